"""The PROXY protocol before HTTP and before TLS: who is believed, what becomes the source, what is refused."""

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from tests.exchange.conftest import MakeSecureRig
from tests.exchange.rig import MemoryTransport
from tests.exchange.secure import SecureClient, SecureRig
from tests.integration.authority import Authority
from tests.integration.sidecar import ACME

from sidegate.telemetry.catalogue import ProxyHeaderFailure
from sidegate.telemetry.metrics import CONNECTIONS, PROXY_HEADER_FAILURE_CELL

BALANCER = ("10.0.0.9", 40000)
STRANGER = ("192.0.2.66", 40000)
GET = b"GET /v1/orgs/acme/projects/p1/branches/x/files/a.json HTTP/1.1\r\nHost: h\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
V1 = b"PROXY TCP4 198.51.100.7 10.0.0.1 50000 8080\r\n"
V1_6 = b"PROXY TCP6 2001:db8::7 fd00::1 50000 8080\r\n"
UNKNOWN = b"PROXY UNKNOWN 198.51.100.7 10.0.0.1 50000 8080\r\n"
FORGED = b"X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    """Return a header of version 2."""
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([command, family]) + len(body).to_bytes(2) + body


_ENDS = socket.inet_aton("198.51.100.7") + socket.inet_aton("10.0.0.1") + b"\xc3\x50\x1f\x90"
_ENDS_6 = ip_address("2001:db8::7").packed + ip_address("fd00::1").packed + b"\xc3\x50\x1f\x90"
V2 = v2(0x21, 0x11, _ENDS)
V2_6 = v2(0x21, 0x21, _ENDS_6)
V2_MAPPED = v2(0x21, 0x21, ip_address("::ffff:198.51.100.7").packed * 2 + b"\xc3\x50\x1f\x90")
V2_TLS = v2(0x21, 0x11, _ENDS + b"\x20\x00\x05\x01\x00\x00\x00\x00")
LOCAL = v2(0x20, 0x00, b"")
UNSPECIFIED = v2(0x21, 0x00, b"")


@pytest.fixture
async def rig(make_secure_rig: MakeSecureRig) -> SecureRig:
    """Return a data path behind load balancers of 10.0.0.0/8, without TLS."""
    return await make(make_secure_rig, tls=None)


async def make(make_secure_rig: MakeSecureRig, **options: Any) -> SecureRig:
    """Make a data path behind load balancers of 10.0.0.0/8."""
    settings = {"trusted_proxies": ["10.0.0.0/8"], **options.pop("settings", {})}
    return await make_secure_rig(listen={"proxy_protocol": "required"}, settings=settings, **options)


def failures(rig: SecureRig) -> dict[ProxyHeaderFailure, int]:
    """Return what was counted."""
    cells = PROXY_HEADER_FAILURE_CELL.items()
    return {cause: rig.gateway.cells[cell] for cause, cell in cells if rig.gateway.cells[cell]}


async def say(rig: SecureRig, data: bytes, cuts: Any = (), peer: tuple[str, int] | None = BALANCER) -> MemoryTransport:
    """Send bytes on a new connection of *peer*."""
    transport = rig.open(peer)
    await rig.feed(transport, data, cuts)
    return transport


def told(rig: SecureRig) -> dict[str, str]:
    """Return the forwarding headers that the upstream got."""
    lines = [line.partition(b": ") for line in rig.forwarded.split(b"\r\n") if line.startswith(b"X-Forwarded-")]
    assert len({name for name, _, _ in lines}) == len(lines)
    return {name.decode().removeprefix("X-Forwarded-"): value.decode() for name, _, value in lines}


@pytest.mark.parametrize(
    ("header", "source", "chain", "proto"),
    [
        pytest.param(V1, "198.51.100.7", "198.51.100.7", "http", id="v1"),
        pytest.param(V1_6, "2001:db8::7", "2001:db8::7", "http", id="v1-version-6"),
        pytest.param(V2, "198.51.100.7", "198.51.100.7", "http", id="v2"),
        pytest.param(V2_6, "2001:db8::7", "2001:db8::7", "http", id="v2-version-6"),
        pytest.param(V2_MAPPED, "198.51.100.7", "198.51.100.7", "http", id="v2-version-4-as-6"),
        pytest.param(V2_TLS, "198.51.100.7", "198.51.100.7", "https", id="v2-tls-in-front"),
        pytest.param(UNKNOWN, None, None, "http", id="unknown"),
        pytest.param(UNSPECIFIED, None, None, "http", id="unspecified"),
    ],
)
@pytest.mark.parametrize("forged", [b"", FORGED], ids=["plain", "forged"])
async def test_source(
    rig: SecureRig, vera: bytes, *, header: bytes, source: str | None, chain: str | None, proto: str, forged: bytes
) -> None:
    """The address in the header is the client's for records and for the upstream; what a client says of itself is not,
    also when the header does not know who it is."""
    client = await say(rig, header + GET + vera + forged + b"\r\n")
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK
    expected = {"Proto": proto, "Host": "h", **({} if chain is None else {"For": chain})}
    assert told(rig) == expected
    assert [record["source"] for record in rig.decisions()] == [source]


async def test_local(rig: SecureRig, vera: bytes) -> None:
    """A connection of the load balancer's own, e.g. to see whether we are there, is its own."""
    client = await say(rig, LOCAL + GET + vera + b"\r\n")
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK
    assert [record["source"] for record in rig.decisions()] == [BALANCER[0]]


async def test_chain_of_proxies(rig: SecureRig, vera: bytes) -> None:
    """Where the header names a trusted proxy, what that one says of its client is believed."""
    header = b"PROXY TCP4 10.1.1.1 10.0.0.1 50000 8080\r\n"
    await say(rig, header + GET + vera + b"X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n\r\n")
    assert told(rig)["For"] == "198.51.100.7, 10.1.1.1"
    assert [record["source"] for record in rig.decisions()] == ["198.51.100.7"]


async def test_condition(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """A binding that holds from a network only goes by the address in the header."""
    policy = ACME.replace(
        "{id: vera-p1, who: user:vera, role: Viewer, on: p1}",
        "{id: vera-p1, who: user:vera, role: Viewer, on: p1, when: {source: [198.51.100.0/24]}}",
    )
    assert "when:" in policy
    rig = await make(make_secure_rig, tls=None, policies={"acme": policy})
    inside = await say(rig, V2 + GET + vera + b"\r\n")
    rig.upstream.feed(OK)
    await rig.settle()
    outside = await say(rig, V1.replace(b"198.51.100.7", b"203.0.113.9") + GET + vera + b"\r\n")
    nowhere = await say(rig, UNKNOWN + GET + vera + b"\r\n")
    assert inside.sent == OK
    for refused in (outside, nowhere):
        assert refused.sent.startswith(b"HTTP/1.1 403 ")
        assert b'"source_address"' in refused.sent


@pytest.mark.parametrize("header", [V1, V2_TLS], ids=["v1", "v2"])
async def test_every_cut(rig: SecureRig, vera: bytes, header: bytes) -> None:
    """Wherever header and request are cut, what goes up and what is recorded is the same."""
    data = header + GET + vera + b"\r\n"
    seen = set()
    for cuts in [(), range(1, len(data)), *((cut,) for cut in range(1, len(header) + 2))]:
        client = await say(rig, data, cuts)
        await rig.feed(rig.pool.opened[-1], OK)
        assert client.sent == OK
        seen.add(tuple(sorted(told_last(rig).items())))
        client.drop(None)
        await rig.settle()
    assert len(seen) == 1
    assert {record["source"] for record in rig.decisions()} == {"198.51.100.7"}


def told_last(rig: SecureRig) -> dict[str, str]:
    """Return the forwarding headers of the last request, and forget it."""
    found = told(rig)
    for upstream in rig.pool.opened:
        upstream.sent.clear()
    return found


async def test_second_header(rig: SecureRig, vera: bytes) -> None:
    """A header stands once, before everything: a client that sends one of its own behind it sends no HTTP."""
    client = await say(rig, V1 + V1.replace(b"198.51.100.7", b"10.0.0.3") + GET + vera + b"\r\n")
    assert client.sent.startswith(b"HTTP/1.1 400 ")
    assert rig.forwarded == b""
    assert [record["source"] for record in rig.decisions()] == ["198.51.100.7"]


async def test_keep_alive(rig: SecureRig, vera: bytes) -> None:
    """The header holds for every request of its connection; there is none between them."""
    client = await say(rig, V1 + GET + vera + b"\r\n")
    rig.upstream.feed(OK)
    await rig.settle()
    await rig.feed(client, GET + vera + b"\r\n")
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK + OK
    assert [record["source"] for record in rig.decisions()] == ["198.51.100.7"] * 2


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET + b"\r\n", id="http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="tls"),
        pytest.param(b" " + V1, id="blank-before"),
        pytest.param(V1.replace(b"50000", b"050000"), id="port"),
        pytest.param(V1.replace(b"\r\n", b"\n"), id="bare-lf"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 4096, id="endless"),
        pytest.param(v2(0x21, 0x12, _ENDS), id="datagrams"),
        pytest.param(v2(0x21, 0x11, _ENDS + b"\x03\x00\x04\x00\x00\x00\x00"), id="checksum"),
        pytest.param(v2(0x21, 0x11, _ENDS + b"\x04\x00\x09x"), id="addition-cut-off"),
        pytest.param(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", id="too-long"),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte-by-byte"])
async def test_no_header(rig: SecureRig, vera: bytes, data: bytes, *, bytewise: bool) -> None:
    """A trusted peer that sends none, or not in its form, is cut without an answer; nothing that follows is read."""
    data += GET + vera + b"\r\n"
    client = await say(rig, data, range(1, len(data)) if bytewise else ())
    assert client.aborted
    assert client.sent == b""
    assert rig.forwarded == b""
    assert rig.decisions() == []
    assert failures(rig) == {ProxyHeaderFailure.MALFORMED: 1}
    assert rig.gateway.cells[CONNECTIONS] == 0


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(STRANGER, id="stranger"),
        pytest.param(("198.51.100.7", 1), id="who-the-header-names"),
        pytest.param(("fd00::1", 1), id="other-family"),
    ],
)
@pytest.mark.parametrize("data", [V1, V2, LOCAL, UNKNOWN, b""], ids=["v1", "v2", "local", "unknown", "none"])
async def test_untrusted(rig: SecureRig, vera: bytes, peer: tuple[str, int], data: bytes) -> None:
    """Nobody but a trusted proxy is listened to at all, with a header or without."""
    client = await say(rig, data + GET + vera + b"\r\n", peer=peer)
    assert client.aborted
    assert client.sent == b""
    assert rig.decisions() == []
    assert failures(rig) == {ProxyHeaderFailure.UNTRUSTED: 1}


async def test_gone_before_it_is_accepted(rig: SecureRig, vera: bytes) -> None:
    """A connection whose other end cannot be told any more is nobody's."""
    client = await say(rig, V1 + GET + vera + b"\r\n", peer=None)
    assert client.aborted
    assert rig.decisions() == []
    assert failures(rig) == {ProxyHeaderFailure.GONE: 1}


async def test_off_by_default(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """Without the setting a header is no HTTP, from whomever it comes: it is never guessed that there may be one."""
    rig = await make_secure_rig(tls=None, settings={"trusted_proxies": ["10.0.0.0/8"]})
    client = await say(rig, V1 + GET + vera + b"\r\n")
    assert client.sent.startswith(b"HTTP/1.1 400 ")
    assert rig.forwarded == b""


async def test_deadline_and_limit(make_secure_rig: MakeSecureRig) -> None:
    """Who waits with its header is a connection like any other, and has as long as for a request's head."""
    rig = await make(make_secure_rig, tls=None, settings={"limits": {"connections": 2}})
    waiting = [await say(rig, b"PROXY TCP4 ") for _ in range(2)]
    refused = await say(rig, b"")
    assert refused.aborted
    assert rig.gateway.cells[CONNECTIONS] == 2
    await rig.wait(9)
    await rig.feed(waiting[0], b"198.")
    await rig.wait(2)
    assert all(client.aborted for client in waiting)
    assert failures(rig) == {ProxyHeaderFailure.TIMEOUT: 2}
    assert rig.gateway.cells[CONNECTIONS] == 0


async def test_leaves(rig: SecureRig) -> None:
    """A peer that leaves before its header is whole leaves nothing behind."""
    for cut in range(len(V1)):
        client = await say(rig, V1[:cut])
        client.drop(None)
    await rig.settle()
    assert failures(rig) == {ProxyHeaderFailure.GONE: len(V1)}
    assert rig.gateway.cells[CONNECTIONS] == 0


async def test_shut_down(rig: SecureRig) -> None:
    """A sidecar that ends now waits for nobody's header."""
    client = await say(rig, V1[:5])
    for guest in list(rig.gateway.connections):
        guest.going_away()
        guest.shut_down()
    await rig.settle()
    assert client.closed
    assert failures(rig) == {}


@pytest.mark.parametrize("cut", [pytest.param(1 << 20, id="whole"), pytest.param(1, id="byte-by-byte")])
async def test_before_tls(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes, cut: int) -> None:
    """With TLS the header stands before the handshake, also in one segment with its beginning."""
    rig = await make(make_secure_rig)
    transport = rig.open(BALANCER)
    client = SecureClient(transport, authority.client(), before=V2)
    assert client.shake_hands(cut)
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK
    assert told(rig) == {"For": "198.51.100.7", "Proto": "https", "Host": "h"}
    assert [record["source"] for record in rig.decisions()] == ["198.51.100.7"]


async def test_within_tls(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """A header within TLS is no HTTP."""
    rig = await make(make_secure_rig)
    client = SecureClient(rig.open(BALANCER), authority.client(), before=V2)
    assert client.shake_hands()
    client.feed(V1 + GET + vera + b"\r\n")
    await rig.settle()
    assert client.sent.startswith(b"HTTP/1.1 400 ")
    assert rig.forwarded == b""
