"""Certificates: whether they can be read, belong to their keys, and last (RFC 5280)."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.app.examination.files import SOON
from sidegate.core.model.units import UnixMillis, format_instant

PAIR: Final = Check(
    "certificate-pair", Section.CERTIFICATES, "Each certificate can be read and belongs to its key.",
    "Put certificate chain and key as PEM in place together; a running sidecar keeps the last good pair.",
)  # fmt: skip
LASTS: Final = Check(
    "certificate-lasts", Section.CERTIFICATES, "No certificate ends within two weeks.",
    "Renew it; a running sidecar takes the new one by itself.",
)  # fmt: skip
AUTHORITY: Final = Check(
    "certificate-authority", Section.CERTIFICATES, "Files of certificate authorities can be read and are not over.",
    "Name a PEM file with the certificates of the authorities, or leave the setting out for the system's.",
)  # fmt: skip

_MILLIS: Final = 1000


def examine_certificates(site: Site) -> Iterator[Finding]:
    """Look at those of the data port, and at those towards the upstream."""
    listener, upstream = site.settings.listen.tls, site.settings.upstream.tls
    pairs = [(tls.cert, tls.key) for tls in (listener, upstream) if tls is not None and tls.cert is not None]
    authorities = [
        *([] if listener is None or listener.client_ca is None else [listener.client_ca]),
        *([] if upstream is None or upstream.ca is None else [upstream.ca]),
    ]
    if not pairs:
        yield PAIR.skip("no certificate is configured")
        yield LASTS.skip("no certificate is configured")
    for cert, key in pairs:
        yield from _examine_pair(cert, key, site.now)
    if not authorities:
        yield AUTHORITY.skip("none is configured")
    for path in authorities:
        yield _examine_authority(path, site.now)


def _examine_pair(cert: Path, key: Path | None, now: UnixMillis) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        yield PAIR.fail(f"{cert}, {key}: {error}")
        yield LASTS.skip("it cannot be read")
        return
    yield PAIR.ok(str(cert))
    ends = _end_of(cert)
    told = f"{cert} ends at {format_instant(ends)}"
    if ends <= now:
        yield LASTS.fail(told)
    else:
        yield LASTS.warn(told) if ends - now < SOON else LASTS.ok(told)


def _no_password() -> str:
    raise ValueError("the key is encrypted; a sidecar has nobody to ask")


def _examine_authority(path: Path, now: UnixMillis) -> Finding:
    try:
        ends = _end_of(path)
    except (OSError, ValueError) as error:
        return AUTHORITY.fail(f"{path}: {error}")
    told = f"{path}, the first ends at {format_instant(ends)}"
    return AUTHORITY.ok(told) if ends > now else AUTHORITY.fail(told)


def _end_of(path: Path) -> UnixMillis:
    """Return when the first of the certificates in *path* ends.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds none.
    """
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return min(_millis(one.not_valid_after_utc) for one in found)


def _millis(instant: datetime) -> UnixMillis:
    return UnixMillis(round(instant.astimezone(UTC).timestamp() * _MILLIS))
