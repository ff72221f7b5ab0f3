"""aiohttp without the certificates of all the world."""

import subprocess
import sys

import pytest

_CONTEXTS = "cs = (aiohttp.connector._SSL_CONTEXT_VERIFIED, aiohttp.connector._SSL_CONTEXT_UNVERIFIED)"
_LOADED = f"{_CONTEXTS}; print(any(c.get_ca_certs() for c in cs))"
_SAFE = "c = aiohttp.connector._SSL_CONTEXT_VERIFIED; print(c.check_hostname and c.verify_mode is ssl.CERT_REQUIRED)"
_INTACT = "print(len(ssl.create_default_context().get_ca_certs()) == before)"
_BEFORE = "before = len(ssl.create_default_context().get_ca_certs())"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["import sidegate.telemetry.lean_http, aiohttp", _LOADED], "False", id="nothing-loaded"),
        pytest.param(["import ssl, sidegate.telemetry.lean_http, aiohttp", _SAFE], "True", id="trusts-nobody"),
        pytest.param(["import ssl", _BEFORE, "import sidegate.telemetry.lean_http", _INTACT], "True", id="as-before"),
        pytest.param(["import ssl, aiohttp, sidegate.telemetry.lean_http", _SAFE], "True", id="aiohttp-first"),
        pytest.param(["import sidegate.app.serve, aiohttp", _LOADED], "False", id="in-a-sidecar"),
    ],
)
def test_no_certificates_are_read_at_import(lines: list[str], expected: str) -> None:
    """The context that aiohttp falls back on trusts nobody and checks as ever; others are made as before."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60
    )
    assert expected == done.stdout.strip()
