"""Who the client is, and the forwarding headers rebuilt from the socket (spec 2.3 (5))."""

from ipaddress import ip_address, ip_network

import pytest

from sidegate.core.trail.record import origin_fragment
from sidegate.core.wire.block import HeaderBlock, HeaderReader, HeaderRules
from sidegate.core.wire.names import NamePolicy
from sidegate.proxy.arrival import DIRECT, Arrival
from sidegate.proxy.forwarding import UNIX_PEER, Peers, origin_of

RULES = HeaderRules(NamePolicy(b"X-API-Key", frozenset()), b"__session", keep_credentials=False, max_fields=100)
RELAYED = Arrival(is_relayed=True, source="192.0.2.7")
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def _block(*lines: bytes) -> HeaderBlock:
    return HeaderReader(RULES).read(b"Host: api.example:8080\r\n" + b"".join(line + b"\r\n" for line in lines))[0]


@pytest.mark.parametrize(
    ("peer", "lines", "source", "chain"),
    [
        pytest.param("192.0.2.1", (), "192.0.2.1", b"192.0.2.1", id="direct"),
        pytest.param("192.0.2.1", (b"X-Forwarded-For: 10.0.0.9",), "192.0.2.1", b"192.0.2.1", id="untrusted-claims"),
        pytest.param("10.0.0.1", (), "10.0.0.1", b"10.0.0.1", id="trusted-says-nothing"),
        pytest.param(
            "10.0.0.1", (b"X-Forwarded-For: 192.0.2.7",), "192.0.2.7", b"192.0.2.7, 10.0.0.1", id="trusted-says"
        ),
        pytest.param(
            "10.0.0.1",
            (b"X-Forwarded-For: 198.51.100.1, 192.0.2.7",),
            "192.0.2.7",
            b"192.0.2.7, 10.0.0.1",
            id="left-of-the-first-untrusted-is-a-claim",
        ),
        pytest.param(
            "10.0.0.1",
            (b"X-Forwarded-For: 192.0.2.7,10.0.0.2",),
            "192.0.2.7",
            b"192.0.2.7, 10.0.0.2, 10.0.0.1",
            id="two-trusted-hops",
        ),
        pytest.param(
            "10.0.0.1",
            (b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-For: 10.0.0.2"),
            "192.0.2.7",
            b"192.0.2.7, 10.0.0.2, 10.0.0.1",
            id="two-lines",
        ),
        pytest.param("10.0.0.1", (b"X-Forwarded-For: 10.0.0.3",), "10.0.0.3", b"10.0.0.3, 10.0.0.1", id="all-trusted"),
        pytest.param("10.0.0.1", (b"X-Forwarded-For: unknown",), None, b"10.0.0.1", id="not-an-address"),
        pytest.param("10.0.0.1", (b"X-Forwarded-For: 192.0.2.7:80",), None, b"10.0.0.1", id="address-with-port"),
        pytest.param("10.0.0.1", (b"X-Forwarded-For: \xff",), None, b"10.0.0.1", id="not-ascii"),
        pytest.param("10.0.0.1", (b"X-Forwarded-For:",), None, b"10.0.0.1", id="empty"),
        pytest.param(
            "fd00::1", (b"X-Forwarded-For: 2001:db8::7",), "2001:db8::7", b"2001:db8::7, fd00::1", id="version-6"
        ),
    ],
)
def test_source(peer: str, lines: tuple[bytes, ...], source: str | None, chain: bytes) -> None:
    """Only trusted hops are believed; an address that cannot be read is unknown, and then in no network."""
    origin = origin_of(Peers(TRUSTED).at(peer), TRUSTED, _block(*lines))
    expected = None if source is None else ip_address(source)
    assert (expected, b"X-Forwarded-For: %b\r\n" % chain) == (origin.source, origin.lines.split(b"\n")[0] + b"\n")
    assert origin_fragment(source, None, None) == origin.fragment


@pytest.mark.parametrize(
    ("peer", "proto", "host"),
    [
        pytest.param("192.0.2.1", b"http", b"api.example:8080", id="untrusted"),
        pytest.param("10.0.0.1", b"https", b"www.example", id="trusted"),
    ],
)
def test_proto_and_host(peer: str, proto: bytes, host: bytes) -> None:
    """Protocol and host come from a trusted proxy or from the socket."""
    block = _block(b"X-Forwarded-Proto: https", b"X-Forwarded-Host: www.example")
    lines = origin_of(Peers(TRUSTED).at(peer), TRUSTED, block).lines.split(b"\r\n")
    assert [b"X-Forwarded-Proto: " + proto, b"X-Forwarded-Host: " + host, b""] == lines[1:]


def test_trusted_proxy_says_nothing() -> None:
    """What a trusted proxy leaves out is filled from the socket."""
    lines = origin_of(Peers(TRUSTED).at("10.0.0.1"), TRUSTED, _block()).lines
    assert lines == b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: api.example:8080\r\n"


def test_unix_socket() -> None:
    """Over a Unix socket the client is unknown, and no address is made up for it."""
    origin = origin_of(UNIX_PEER, TRUSTED, _block(b"X-Forwarded-For: 192.0.2.7"))
    assert (None, origin_fragment(None, None, None)) == (origin.source, origin.fragment)
    assert origin.lines == b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: api.example:8080\r\n"


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="direct"),
        pytest.param("10.0.0.1", None, id="a-trusted-proxy-said-nothing-readable"),
    ],
)
def test_source_of_an_unreadable_head(peer: str, source: str | None) -> None:
    """Who sends what cannot be read is recorded too; of a client behind a proxy nothing is known then."""
    origin = origin_of(Peers(TRUSTED).at(peer), TRUSTED, None)
    expected = None if source is None else ip_address(source)
    assert (expected, origin_fragment(source, None, None), b"") == (origin.source, origin.fragment, origin.lines)


def test_equal_peers_are_one() -> None:
    """Those that come again: what is kept for an address is then found by its identity."""
    peers = Peers(TRUSTED)
    first, second, third = (peers.at("192.0.2.1") for _ in range(3))
    assert first == second
    assert second is third


@pytest.mark.parametrize(
    ("host", "arrival", "expected"),
    [
        pytest.param("192.0.2.1", DIRECT, ("192.0.2.1", False, b"http"), id="direct"),
        pytest.param("192.0.2.1", Arrival(is_secure=True), ("192.0.2.1", False, b"https"), id="tls"),
        pytest.param("::ffff:10.0.0.1", DIRECT, ("10.0.0.1", True, b"http"), id="version-4-on-a-socket-for-both"),
        pytest.param("10.0.0.1", RELAYED, ("192.0.2.7", False, b"http"), id="relayed"),
        pytest.param(
            "10.0.0.1", Arrival(is_relayed=True, source="10.0.0.2"), ("10.0.0.2", True, b"http"), id="trusted"
        ),
        pytest.param("10.0.0.1", Arrival(is_relayed=True), ("", False, b"http"), id="relayed-for-nobody-knows-whom"),
        pytest.param("10.0.0.1", Arrival(is_relayed=True, is_secure=True), ("", False, b"https"), id="and-tls"),
        pytest.param(None, DIRECT, ("", False, b"http"), id="unix"),
        pytest.param(None, RELAYED, ("192.0.2.7", False, b"http"), id="relayed-over-unix"),
    ],
)
def test_peer(host: str | None, arrival: Arrival, expected: tuple[str, bool, bytes]) -> None:
    """What a proxy in front says for whom it came goes before the socket; who is unknown is nobody's proxy."""
    peer = Peers(TRUSTED).at(host, arrival)
    assert (peer.text, peer.is_trusted, peer.scheme) == expected
    assert (peer.address is None) == (peer.text == "")
