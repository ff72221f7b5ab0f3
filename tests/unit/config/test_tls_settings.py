"""Settings of TLS and of the PROXY protocol: what goes together, and what does not (spec 6.1)."""

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.config.listener_model import ProxyProtocol, TlsVersion
from sidegate.config.places import TcpEndpoint

HTTPS = "upstream: {url: https://h, "


def test_short_form(folder: Folder) -> None:
    """The address alone is a port without TLS on which no header of a proxy is expected."""
    listen = folder.load(UPSTREAM + "listen: 127.0.0.1:1\n").listen
    assert (listen.address, listen.tls, listen.proxy_protocol) == (TcpEndpoint("127.0.0.1", 1), None, ProxyProtocol.OFF)


def test_whole(folder: Folder) -> None:
    """Paths are relative to the file's folder."""
    tls = "{cert: c.pem, key: k.pem, client_ca: a.pem, min_version: TLSv1.3}"
    settings = folder.load(
        f"{HTTPS}tls: {{ca: a, cert: c, key: k, server_name: ds.example, min_version: TLSv1.2}}}}\n"
        f"listen: {{address: '127.0.0.1:1', tls: {tls}, proxy_protocol: required}}\n"
        "trusted_proxies: [10.0.0.0/8]\n"
    )
    port, upstream = settings.listen.tls, settings.upstream.tls
    assert port is not None
    assert upstream is not None
    assert (port.cert, port.client_ca, port.min_version) == (
        folder.path / "c.pem",
        folder.path / "a.pem",
        TlsVersion.TLS_1_3,
    )
    assert (upstream.ca, upstream.server_name) == (folder.path / "a", "ds.example")
    assert settings.listen.proxy_protocol is ProxyProtocol.REQUIRED


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(
            UPSTREAM + "listen: {address: 'unix:/r', tls: {cert: c, key: k}}",
            "`listen.tls` is given for a Unix socket; listen on host:port",
            id="tls-on-a-unix-socket",
        ),
        pytest.param(
            UPSTREAM + "listen: {address: 'unix:/r', proxy_protocol: required}\ntrusted_proxies: [10.0.0.0/8]",
            "`listen.proxy_protocol` is required on a Unix socket",
            id="header-on-a-unix-socket",
        ),
        pytest.param(
            UPSTREAM + "listen: {address: '127.0.0.1:1', proxy_protocol: required}",
            "`listen.proxy_protocol` is required, but nobody is trusted to speak it; name the networks",
            id="header-of-nobody",
        ),
        pytest.param(
            UPSTREAM + "listen: {address: '127.0.0.1:1', proxy_protocol: auto}",
            "`listen.proxy_protocol` is 'auto'; write one of off, required",
            id="guessed",
        ),
        pytest.param(
            UPSTREAM + "listen: {address: '127.0.0.1:1', tls: {cert: c}}", "`listen.tls.key` is missing", id="no-key"
        ),
        pytest.param(
            UPSTREAM + "listen: {address: '127.0.0.1:1', tls: {cert: c, key: k, min_version: TLSv1.1}}",
            "`listen.tls.min_version` is 'TLSv1.1'",
            id="old-version",
        ),
        pytest.param(
            UPSTREAM + "admin: {address: '127.0.0.1:1', proxy_protocol: required}",
            "`admin.proxy_protocol` is not known",
            id="header-on-the-admin-port",
        ),
        pytest.param(
            "upstream: {url: http://h, tls: {ca: a}}",
            "`upstream.tls` is given, but `upstream.url` is not https; write https://",
            id="tls-in-the-clear",
        ),
        pytest.param(
            HTTPS + "tls: {cert: c}}", "`upstream.tls.key` is missing; give certificate and key", id="no-upstream-key"
        ),
        pytest.param(
            HTTPS + "tls: {key: k}}", "`upstream.tls.cert` is missing; give certificate", id="no-upstream-cert"
        ),
        pytest.param(HTTPS + "tls: {verify: false}}", "`upstream.tls.verify` is not known", id="no-switch"),
        pytest.param(
            HTTPS + "tls: {server_name: '-h'}}",
            "`upstream.tls.server_name` is '-h'; write a name or an address",
            id="no-name",
        ),
    ],
)
def test_refused(folder: Folder, text: str, shown: str) -> None:
    """What cannot be meant is one error at its place."""
    (problem,) = folder.problems(text)
    assert shown in problem


@pytest.mark.parametrize("name", ["h", "ds.example", "DS-1.example", "192.0.2.1", "2001:db8::1"])
def test_server_names(folder: Folder, name: str) -> None:
    """A name or an address of either family."""
    tls = folder.load(f"{HTTPS}tls: {{server_name: '{name}'}}}}").upstream.tls
    assert tls is not None
    assert tls.server_name == name
