"""Certificates: whether they can be read, belong to their keys, and last (RFC 5280)."""

from collections.abc import Iterator
from typing import Final

from sidegate.app.certificates import TlsFiles, TlsMaterial, all_files, date_of, expiry_warnings, read_material
from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.core.model.errors import ConfigError
from sidegate.core.model.units import UnixMillis

USABLE: Final = Check(
    "certificates-usable", Section.CERTIFICATES, "Certificates, keys and authorities can be read and belong together.",
    "Put certificate chain and key as PEM in place together; a running sidecar keeps the last good pair.",
)  # fmt: skip
LAST: Final = Check(
    "certificates-last", Section.CERTIFICATES, "No certificate is over, or nearly so.",
    "Renew it; a running sidecar takes the new one by itself.",
)  # fmt: skip


def examine_certificates(site: Site) -> Iterator[Finding]:
    """Look at those of the data port, and at those towards the upstream."""
    named = [files for files in all_files(site.settings) if files.paths]
    if not named:
        yield USABLE.skip("none is configured")
        yield LAST.skip("none is configured")
    for files in named:
        try:
            material = read_material(files)
        except ConfigError as error:
            yield USABLE.fail("; ".join(str(problem) for problem in error.problems))
            yield LAST.skip("they cannot be used")
            continue
        yield USABLE.ok(", ".join(str(path) for path in files.paths))
        yield _examine_expiry(files, material, site.now)


def _examine_expiry(files: TlsFiles, material: TlsMaterial, now: UnixMillis) -> Finding:
    first = min(material.expiries, key=lambda expiry: expiry.ends)
    is_over = any(expiry.ends <= now or expiry.begins > now for expiry in material.expiries)
    warnings = "; ".join(str(problem) for problem in expiry_warnings(files, material, now))
    if is_over:
        return LAST.fail(warnings)
    return LAST.warn(warnings) if warnings else LAST.ok(f"the first, {first.path}, ends on {date_of(first.ends)}")
