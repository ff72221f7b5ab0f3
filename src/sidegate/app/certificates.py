"""Certificates and keys that the settings name: can they be used, and until when."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sidegate.config.choices import TlsVersion
from sidegate.config.files import read_file
from sidegate.config.held import Settings, Tls, UpstreamTls
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.telemetry.catalogue import TlsCertificate, TlsUse

_DAY_MS: Final = 86_400_000
MAX_PEM_BYTES: Final = 4 << 20
"""The certificates of all public authorities are a quarter of a MiB."""
_WARN_BEFORE: Final = Millis(14 * _DAY_MS)
_WARN_SHARE: Final = 10
"""Warned of is what has less than a tenth of its time left, and less than two weeks: authorities renew at a third."""


@value
class TlsFiles:
    """The files of one use of TLS, which are renewed together.

    Attributes:
        use: Which.
        cert: Our certificate, with what stands between it and its root; None for none.
        key: Its key.
        ca: Who may sign the other side's certificates; None for the system's, or for nobody who is asked.
        min_version: Oldest version.
    """

    use: TlsUse
    cert: Path | None
    key: Path | None
    ca: Path | None
    min_version: TlsVersion

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file."""
        return tuple(path for path in (self.cert, self.key, self.ca) if path is not None)

    def setting(self, path: Path | None) -> str:
        """Return the name of the setting that *path* stands in."""
        ca = "client_ca" if self.use is TlsUse.LISTEN else "ca"
        return f"{self.use}.tls.{'cert' if path is self.cert else 'key' if path is self.key else ca}"


@value
class Expiry:
    """When the first certificate of a file ends.

    Attributes:
        certificate: Which file.
        path: Of the file.
        begins: When its time began.
        ends: When it ends.
    """

    certificate: TlsCertificate
    path: Path
    begins: UnixMillis
    ends: UnixMillis

    def remaining(self, now: UnixMillis) -> Millis:
        """Return how long it is good; negative once it is not."""
        return Millis(self.ends - now)

    def is_near(self, now: UnixMillis) -> bool:
        """Whether somebody has to be told."""
        return self.remaining(now) < min(_WARN_BEFORE, (self.ends - self.begins) // _WARN_SHARE)


@value
class TlsMaterial:
    """What was read from the files.

    Attributes:
        authorities: Content of ``ca``, PEM.
        expiries: Of every file of certificates.
    """

    authorities: str | None
    expiries: tuple[Expiry, ...]


_CERT_OF: Final = {TlsUse.LISTEN: TlsCertificate.LISTEN_CERT, TlsUse.UPSTREAM: TlsCertificate.UPSTREAM_CERT}
_CA_OF: Final = {TlsUse.LISTEN: TlsCertificate.LISTEN_CLIENT_CA, TlsUse.UPSTREAM: TlsCertificate.UPSTREAM_CA}


def listen_files(tls: Tls) -> TlsFiles:
    """Return the files of the data port."""
    return TlsFiles(TlsUse.LISTEN, tls.cert, tls.key, tls.client_ca, tls.min_version)


def upstream_files(tls: UpstreamTls | None) -> TlsFiles:
    """Return the files for the upstream; there may be none at all."""
    if tls is None:
        return TlsFiles(TlsUse.UPSTREAM, None, None, None, TlsVersion.TLS_1_2)
    return TlsFiles(TlsUse.UPSTREAM, tls.cert, tls.key, tls.ca, tls.min_version)


def all_files(settings: Settings) -> Iterator[TlsFiles]:
    """Yield the files of every use of TLS."""
    if settings.listen.tls is not None:
        yield listen_files(settings.listen.tls)
    if settings.upstream.url.scheme == "https":
        yield upstream_files(settings.upstream.tls)


def read_material(files: TlsFiles) -> TlsMaterial:
    """Read all of *files* and hold them against each other.

    Raises:
        ConfigError: Says of each what is wrong with it.
    """
    problems: list[Problem] = []
    contents = {path: _read(files, path, problems) for path in files.paths}
    expiries = []
    own: list[x509.Certificate] = []
    for path, certificate in ((files.cert, _CERT_OF[files.use]), (files.ca, _CA_OF[files.use])):
        if path is None or not contents[path]:
            continue
        found = _certificates(files, path, contents[path], problems)
        if found:
            expiries.append(_expiry(certificate, path, found))
        own = found if path is files.cert else own
    if files.key is not None and contents[files.key]:
        _hold_key_against(files, contents[files.key], own, problems)
    if problems:
        raise ConfigError(tuple(problems))
    return TlsMaterial(None if files.ca is None else contents[files.ca].decode("latin-1"), tuple(expiries))


def expiry_warnings(files: TlsFiles, material: TlsMaterial, now: UnixMillis) -> Iterator[Problem]:
    """Yield what has to be renewed."""
    for expiry in material.expiries:
        if expiry.begins > now:
            hint = "check the clock of this machine, or wait"
            yield _problem(files, expiry.path, f"is good only from {date_of(expiry.begins)} on", hint)
        elif expiry.is_near(now):
            what = "has expired on" if expiry.ends <= now else "expires on"
            hint = "renew it and put the new one in its place; no restart is needed"
            yield _problem(files, expiry.path, f"{what} {date_of(expiry.ends)}", hint)


def _problem(files: TlsFiles, path: Path | None, what: str, hint: str) -> Problem:
    return Problem(None, files.setting(path), f"is {path}, which {what}", hint)


def date_of(instant: UnixMillis) -> str:
    """Return *instant* for people."""
    return f"{datetime.fromtimestamp(instant / 1000).astimezone():%Y-%m-%d %H:%M %Z}"


def _read(files: TlsFiles, path: Path, problems: list[Problem]) -> bytes:
    content, problem = read_file(path)
    if problem is not None:
        problems.append(_problem(files, path, problem.what, "name a file that the user of this process can read"))
    elif not content:
        problems.append(_problem(files, path, "is empty", "write it whole, then put it in its place by a rename"))
    elif len(content) > MAX_PEM_BYTES:
        problems.append(_problem(files, path, f"has {len(content)} bytes", f"write at most {MAX_PEM_BYTES}"))
        return b""
    return content


def _certificates(files: TlsFiles, path: Path, pem: bytes, problems: list[Problem]) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        what, hint = (
            "holds no certificate in PEM that can be read",
            "write it whole, -----BEGIN CERTIFICATE----- to END",
        )
        problems.append(_problem(files, path, what, hint))
        return []


def _expiry(certificate: TlsCertificate, path: Path, found: list[x509.Certificate]) -> Expiry:
    first = min(found, key=lambda one: one.not_valid_after_utc)
    begins, ends = (
        UnixMillis(int(instant.timestamp() * 1000))
        for instant in (first.not_valid_before_utc, first.not_valid_after_utc)
    )
    return Expiry(certificate, path, begins, ends)


def _hold_key_against(files: TlsFiles, pem: bytes, own: list[x509.Certificate], problems: list[Problem]) -> None:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        hint = "decrypt it with `openssl pkey -in KEY -out PLAIN`, readable by this process only"
        problems.append(_problem(files, files.key, "is encrypted", hint))
        return
    except (ValueError, UnsupportedAlgorithm):
        what, hint = (
            "holds no private key in PEM that can be read",
            "write it whole, -----BEGIN PRIVATE KEY----- to END",
        )
        problems.append(_problem(files, files.key, what, hint))
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own and own[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        what = f"does not belong to the first certificate in {files.cert}"
        hint = "put key and certificate of one order there, the certificate first, then those between it and its root"
        problems.append(_problem(files, files.key, what, hint))
