"""Sidecars that speak TLS, and who signs for both ends."""

import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.authority import Authority, Pair
from tests.integration.client import Client
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import Sidecar
from tests.integration.waiting import DEADLINE_S

MakeSecure = Callable[..., Sidecar]
NAME = "gate.example"
NOTHING: Mapping[str, Any] = {}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs the certificates of both ends."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """Return what the data port shows."""
    return authority.issue("gate")


@pytest.fixture
def make_secure(make_sidecar: MakeSidecar, pair: Pair) -> MakeSecure:
    """Return a maker of sidecars whose data port speaks TLS; `tls=` and `listen=` are laid over those settings."""

    def make(tls: Mapping[str, Any] = NOTHING, listen: Mapping[str, Any] = NOTHING, **options: Any) -> Sidecar:
        shown = {"cert": str(pair.cert), "key": str(pair.key), **tls}
        settings = {**options.pop("settings", {}), "listen": {"address": "127.0.0.1:0", "tls": shown, **listen}}
        return make_sidecar(settings=settings, **options)

    return make


def connect(sidecar: Sidecar, context: ssl.SSLContext) -> Client:
    """Open a connection over TLS, to which an end that is not told is an error."""
    plain = socket.create_connection(("127.0.0.1", sidecar.port), timeout=DEADLINE_S)
    return Client(context.wrap_socket(plain, server_hostname=NAME, suppress_ragged_eofs=False))


def request(sidecar: Sidecar, path: str, *lines: str, who: str = "vera", method: str = "GET") -> bytes:
    """Return one request."""
    cookie = f"Cookie: __session={sidecar.session(who)}"
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {NAME}", cookie, *lines, "", ""]).encode()


def serial_of(client: Client) -> str:
    """Return the serial number of the certificate that the other side showed."""
    shown = client._socket
    assert isinstance(shown, ssl.SSLSocket)
    certificate = shown.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])
