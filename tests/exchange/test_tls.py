"""TLS with clients: handshakes in pieces, too slow, too many, of others; certificates; ends that are told or not."""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.exchange.conftest import MakeSecureRig
from tests.exchange.rig import CLIENT_ADDRESS, MemoryTransport
from tests.exchange.secure import NAME, SecureClient, SecureRig
from tests.integration.authority import DAY, Authority, Pair

from sidegate.proxy.arrival import HTTP_2, Arrival, Protocols
from sidegate.proxy.pieces import READ_BYTES
from sidegate.proxy.tls import LINGER_BYTES
from sidegate.proxy.tls_clients import AT_A_TIME, ClientLink, Handshakes
from sidegate.telemetry.catalogue import TlsFailure
from sidegate.telemetry.metrics import CONNECTIONS, TLS_FAILURE_CELL


class RenewedNever:
    """A context that stays."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context


GET = b"GET /v1/orgs/acme/projects/p1/branches/x/files/a.json HTTP/1.1\r\nHost: h\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def failures(rig: SecureRig) -> dict[TlsFailure, int]:
    """Return what was counted."""
    return {cause: rig.gateway.cells[cell] for cause, cell in TLS_FAILURE_CELL.items() if rig.gateway.cells[cell]}


@pytest.mark.parametrize("cut", [pytest.param(1 << 20, id="whole"), pytest.param(1, id="byte-by-byte")])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
async def test_request(
    make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes, version: ssl.TLSVersion, cut: int
) -> None:
    """However the handshake is cut, what goes up is what goes up in the clear, but that it says https."""
    rig = await make_secure_rig()
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    client = SecureClient(rig.open(), context)
    assert client.shake_hands(cut)
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK
    assert client.tls.selected_alpn_protocol() is None
    lines = rig.forwarded.split(b"\r\n")
    assert {b"X-Forwarded-For: " + CLIENT_ADDRESS.encode(), b"X-Forwarded-Proto: https"} <= set(lines)
    assert [record["source"] for record in rig.decisions()] == [CLIENT_ADDRESS]


async def test_request_with_the_handshake(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """A request that comes in the same segment as the end of the handshake is served."""
    rig = await make_secure_rig()
    client = SecureClient(rig.open(), authority.client())
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.socket.feed(client._outgoing.read())
    client._incoming.write(client._take())
    client.tls.do_handshake()
    client.socket.feed(client.encrypt(GET + vera + b"\r\n"))
    await rig.settle()
    assert rig.forwarded.startswith(b"GET ")


@pytest.mark.parametrize(
    ("offered", "chosen", "spoken"),
    [
        pytest.param((), None, "http1", id="nothing"),
        pytest.param(("http/1.1",), "http/1.1", "http1", id="http-1"),
        pytest.param(("http/1.1", "h2"), "h2", "h2", id="ours-is-preferred"),
        pytest.param(("spdy/3",), None, "http1", id="nothing-in-common"),
    ],
)
async def test_what_is_negotiated_speaks(
    make_secure_rig: MakeSecureRig, authority: Authority, offered: tuple[str, ...], chosen: str | None, spoken: str
) -> None:
    """ALPN chooses who speaks on the connection (RFC 7301); HTTP/1.1 where it chooses nothing."""
    rig = await make_secure_rig()
    made: list[str] = []

    def note(name: str) -> Callable[[Arrival], Any]:
        def make(arrival: Arrival) -> Any:
            assert arrival.is_secure
            made.append(name)
            return rig.gateway.accept(arrival)

        return make

    protocols = Protocols(note("http1"), {HTTP_2: note("h2")})
    context = authority.server(rig.pair)
    context.set_alpn_protocols(list(protocols.offered))

    client_context = authority.client()
    if offered:
        client_context.set_alpn_protocols(list(offered))
    link = ClientLink(rig.gateway, RenewedNever(context), protocols, Handshakes())
    client = SecureClient(MemoryTransport(link, (CLIENT_ADDRESS, 1)), client_context)
    assert client.shake_hands()
    assert (client.tls.selected_alpn_protocol(), made) == (chosen, [spoken])
    client.socket.drop(None)
    await rig.settle()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET + b"\r\n", id="http"),
        pytest.param(b"CONNECT h:443 HTTP/1.1\r\n\r\n", id="connect"),
        pytest.param(b"\x00" * 64, id="zeros"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", id="proxy-header"),
        pytest.param(b"\x80\x2e\x01\x00\x02" + b"\x00" * 64, id="ssl-2"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\x01" * 64, id="record-too-long"),
    ],
)
async def test_something_else_is_spoken(make_secure_rig: MakeSecureRig, data: bytes) -> None:
    """Plain HTTP, or anything that is no TLS, ends the connection; nothing of it is served, and it is counted."""
    rig = await make_secure_rig()
    socket = rig.open()
    socket.feed(data)
    await rig.settle()
    assert socket.closed
    assert b"HTTP" not in socket.sent
    assert not rig.gateway.connections
    assert sum(failures(rig).values()) == 1
    assert failures(rig).keys() <= {TlsFailure.NOT_TLS, TlsFailure.VERSION, TlsFailure.PROTOCOL}
    assert rig.decisions() == []


async def test_every_cut_of_a_first_flight(make_secure_rig: MakeSecureRig, authority: Authority) -> None:
    """A client that leaves in its first flight, wherever, leaves nothing behind."""
    rig = await make_secure_rig()
    probe = SecureClient(rig.open(), authority.client())
    with pytest.raises(ssl.SSLWantReadError):
        probe.tls.do_handshake()
    flight = probe._outgoing.read()
    probe.socket.drop(None)
    for cut in range(0, len(flight), 7):
        socket = rig.open()
        socket.feed(flight[:cut])
        socket.feed_end()
    await rig.settle()
    assert not rig.gateway.connections
    assert rig.gateway.cells[CONNECTIONS] == 0
    assert failures(rig) == {TlsFailure.GONE: 1 + len(range(0, len(flight), 7))}


async def test_handshake_deadline(make_secure_rig: MakeSecureRig) -> None:
    """A handshake has as long as a request's head, in total."""
    rig = await make_secure_rig()
    socket = rig.open()
    for byte in b"\x16\x03\x01\x02\x00":
        socket.feed(bytes([byte]))
        await rig.wait(1.5)
    assert not socket.closed
    await rig.wait(3)
    assert socket.aborted
    assert socket.closed
    assert failures(rig) == {TlsFailure.TIMEOUT: 1}


async def test_slow_handshake_is_cheap(make_secure_rig: MakeSecureRig, authority: Authority) -> None:
    """Until its first record is whole a connection costs its bytes only: nothing of OpenSSL is made for it."""
    rig = await make_secure_rig()
    probe = SecureClient(rig.open(), authority.client())
    with pytest.raises(ssl.SSLWantReadError):
        probe.tls.do_handshake()
    flight = probe._outgoing.read()
    for byte in flight[:-1]:
        probe.socket.feed(bytes([byte]))
    (link,) = rig.gateway.connections
    assert not hasattr(link, "tls")
    probe.socket.feed(flight[-1:])
    assert hasattr(link, "tls")
    probe.socket.drop(None)
    await rig.settle()


async def test_oldest_handshake_gives_way(make_secure_rig: MakeSecureRig, authority: Authority) -> None:
    """Where too many have begun and are not done, the oldest is given up; whoever goes on is through."""
    rig = await make_secure_rig()
    contexts, handshakes = RenewedNever(authority.server(rig.pair)), Handshakes(limit=2)
    protocols = Protocols(rig.gateway.accept, {})

    def begin() -> SecureClient:
        link = ClientLink(rig.gateway, contexts, protocols, handshakes)
        client = SecureClient(MemoryTransport(link, (CLIENT_ADDRESS, 1)), authority.client())
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.socket.feed(client._outgoing.read())
        return client

    stuck = [begin(), begin()]
    other = ClientLink(rig.gateway, contexts, protocols, handshakes)
    client = SecureClient(MemoryTransport(other, (CLIENT_ADDRESS, 1)), authority.client())
    assert client.shake_hands()
    await rig.settle()
    assert [one.socket.closed for one in stuck] == [True, False]
    assert failures(rig) == {TlsFailure.CROWDED: 1}
    # The one that is through has left its place.
    begin()
    await rig.settle()
    assert [one.socket.closed for one in stuck] == [True, False]


async def test_few_handshakes_in_one_turn(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """Handshakes that come together begin a few at a time, in their order; all of them are served, and one that leaves
    while it waits has no turn."""
    rig = await make_secure_rig()
    context = authority.client()
    clients = [SecureClient(rig.open(), context) for _ in range(3 * AT_A_TIME)]
    links = list(rig.gateway.connections)
    for client in clients:
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        flight = client._outgoing.read()
        client.socket.feed(flight[:-1])
        client.socket.feed(flight[-1:])
    assert sum(hasattr(link, "tls") for link in links) == AT_A_TIME
    assert [bool(client.socket.sent) for client in clients] == [True] * AT_A_TIME + [False] * 2 * AT_A_TIME
    assert not clients[-1].socket.is_reading()
    clients[-1].socket.drop(None)
    await rig.settle()
    assert all(client.socket.sent for client in clients[:-1])
    assert not clients[-1].socket.sent
    for client in clients[:-1]:
        client._incoming.write(client._take())
        assert client.shake_hands()
        client.feed(GET + vera + b"\r\n")
    await rig.settle()
    assert len(rig.decisions()) == len(clients) - 1


async def test_handshakes_count(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """Handshakes are connections: beyond the limit there is none, and one that ends makes room."""
    rig = await make_secure_rig(settings={"limits": {"connections": 3}})
    held = [rig.open() for _ in range(3)]
    assert rig.gateway.cells[CONNECTIONS] == 3
    refused = rig.open()
    await rig.settle()
    assert refused.aborted
    assert rig.gateway.cells[CONNECTIONS] == 3
    held[0].drop(None)
    await rig.settle()
    # At the limit, so that its own place is the only one that it can have.
    client = SecureClient(rig.open(), authority.client())
    assert client.shake_hands()
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    assert rig.forwarded
    assert rig.gateway.cells[CONNECTIONS] == 3


async def test_idle_after_the_handshake(make_secure_rig: MakeSecureRig) -> None:
    """Who asks nothing is told the end after the idle timeout."""
    rig = await make_secure_rig()
    client = rig.connect()
    await rig.wait(76)
    assert client.ended


@pytest.mark.parametrize(
    ("shown", "cause"),
    [
        pytest.param("good", None, id="good"),
        pytest.param("none", TlsFailure.CLIENT_CERTIFICATE, id="none"),
        pytest.param("other", TlsFailure.CLIENT_CERTIFICATE, id="of-another-authority"),
        pytest.param("old", TlsFailure.CLIENT_CERTIFICATE, id="expired"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
async def test_client_certificates(
    make_secure_rig: MakeSecureRig,
    authority: Authority,
    tmp_path: Path,
    vera: bytes,
    *,
    shown: str,
    cause: TlsFailure | None,
    version: ssl.TLSVersion,
) -> None:
    """With `client_ca` only who shows a certificate of it says anything at all."""
    rig = await make_secure_rig(tls={"client_ca": str(authority.file)})
    pairs: dict[str, Pair | None] = {
        "good": authority.issue("client", ["client"]),
        "none": None,
        "other": Authority(tmp_path / "other", "test authority").issue("client", ["client"]),
        "old": authority.issue("old", ["client"], begins=-3 * DAY, ends=-DAY),
    }
    context = authority.client(pairs[shown])
    context.minimum_version = context.maximum_version = version
    client = SecureClient(rig.open(), context)
    client.shake_hands()
    if client.failure is None:
        client.feed(GET + vera + b"\r\n")
    await rig.settle()
    assert bool(rig.forwarded) is (cause is None)
    assert failures(rig) == ({} if cause is None else {cause: 1})
    assert client.socket.closed is (cause is not None)


async def test_client_that_does_not_trust_us(make_secure_rig: MakeSecureRig, tmp_path: Path) -> None:
    """A client that refuses our certificate is told apart: somebody has to do something about it."""
    rig = await make_secure_rig()
    client = SecureClient(rig.open(), Authority(tmp_path / "other").client())
    assert not client.shake_hands()
    await rig.settle()
    assert failures(rig) == {TlsFailure.REJECTED: 1}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=lambda one: one.name)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_old_versions(make_secure_rig: MakeSecureRig, authority: Authority, version: ssl.TLSVersion) -> None:
    """TLS 1.0 and 1.1 are not spoken (RFC 8996)."""
    rig = await make_secure_rig()
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    client = SecureClient(rig.open(), context)
    assert not client.shake_hands()
    await rig.settle()
    assert failures(rig) == {TlsFailure.VERSION: 1}


async def test_least_version(make_secure_rig: MakeSecureRig, authority: Authority) -> None:
    """`min_version: TLSv1.3` refuses TLS 1.2."""
    rig = await make_secure_rig(tls={"min_version": "TLSv1.3"})
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not SecureClient(rig.open(), context).shake_hands()
    assert SecureClient(rig.open(), authority.client()).shake_hands()
    await rig.settle()
    assert failures(rig) == {TlsFailure.VERSION: 1}


@pytest.mark.parametrize(
    "ciphers",
    [
        pytest.param("AES128-SHA256", id="no-forward-secrecy"),
        pytest.param("ECDHE-ECDSA-AES128-SHA256", id="no-authenticated-encryption"),
        pytest.param("aNULL:@SECLEVEL=0", id="nobody-proves-anything"),
    ],
)
async def test_weak_ciphers(make_secure_rig: MakeSecureRig, authority: Authority, ciphers: str) -> None:
    """Under TLS 1.2 only ciphers with forward secrecy and authenticated encryption are there (RFC 9325)."""
    rig = await make_secure_rig()
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    assert not SecureClient(rig.open(), context).shake_hands()
    await rig.settle()
    assert failures(rig) == {TlsFailure.VERSION: 1}


async def test_end_is_told(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """A response that ends with its connection is followed by close_notify: it cannot have been cut on the way."""
    rig = await make_secure_rig()
    client = rig.connect()
    client.feed(GET + vera + b"Connection: close\r\n\r\n")
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent.endswith(b"\r\n\r\nok")
    assert client.ended
    assert not client.socket.aborted


async def test_cut_is_not_told(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """A response that breaks off is not followed by close_notify: nobody takes it for a whole one."""
    rig = await make_secure_rig()
    client = rig.connect()
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
    await rig.settle()
    rig.upstream.drop(None)
    await rig.settle()
    assert client.sent.endswith(b"ok")
    assert not client.heard_end
    assert client.socket.aborted


@pytest.mark.parametrize("told", [True, False], ids=["close-notify", "socket-only"])
async def test_client_that_ends_its_side(make_secure_rig: MakeSecureRig, vera: bytes, *, told: bool) -> None:
    """A client that ends its side after its request still gets its answer, then the end."""
    rig = await make_secure_rig()
    client = rig.connect()
    client.feed(GET + vera + b"\r\n")
    if told:
        client.say_end()
    client.socket.feed_end()
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    if told:
        # Both have told their end, after which a client reads no more: what came is looked at as bytes.
        assert len(client.socket.sent) > len(OK)
    else:
        assert client.sent == OK
    await rig.wait(3)
    assert client.socket.closed


async def test_client_that_ends_between_requests(make_secure_rig: MakeSecureRig) -> None:
    """A client that ends while nothing is served is told the end too."""
    rig = await make_secure_rig()
    client = rig.connect()
    client.say_end()
    await rig.settle()
    assert client.socket.ended
    assert client.socket.closed


async def test_bytes_after_the_end(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """What comes after close_notify is nobody's; beyond a limit it ends the connection."""
    rig = await make_secure_rig()
    client = rig.connect()
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    client.say_end()
    for _ in range(LINGER_BYTES // READ_BYTES):
        client.socket.feed(b"\x17" * READ_BYTES)
    await rig.settle()
    assert not client.socket.closed
    client.socket.feed(b"\x17" * READ_BYTES)
    await rig.settle()
    assert client.socket.closed
    assert len(rig.decisions()) == 1


async def test_garbage_after_the_handshake(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """A record that was not made by the client ends the connection; what came before it was served, nothing after."""
    rig = await make_secure_rig()
    client = rig.connect()
    good = client.encrypt(GET + vera + b"\r\n")
    bad = bytearray(client.encrypt(GET + vera + b"\r\n"))
    bad[-1] ^= 1
    client.socket.feed(good + bytes(bad))
    await rig.settle()
    assert client.socket.closed
    assert len(rig.decisions()) == 1
    assert rig.gateway.cells[CONNECTIONS] == 0


async def test_replayed_record(make_secure_rig: MakeSecureRig, vera: bytes) -> None:
    """A record that comes twice is refused the second time."""
    rig = await make_secure_rig()
    client = rig.connect()
    record = client.encrypt(GET + vera + b"\r\n")
    client.socket.feed(record)
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    client.socket.feed(record)
    await rig.settle()
    assert client.socket.closed
    assert len(rig.decisions()) == 1


@pytest.mark.parametrize("cut", [pytest.param(1 << 20, id="whole"), pytest.param(1013, id="in-pieces")])
async def test_large_bodies(make_secure_rig: MakeSecureRig, ana: bytes, cut: int) -> None:
    """Bodies of many records arrive as they were sent, both ways, whatever the segments."""
    rig = await make_secure_rig()
    client = rig.connect()
    body = hashlib.shake_256(b"body").digest(300_000)
    request = GET.replace(b"GET", b"PUT") + ana + b"Content-Length: %d\r\n\r\n" % len(body) + body
    cipher = client.encrypt(request)
    for at in range(0, len(cipher), cut):
        client.socket.feed(cipher[at : at + cut])
    await rig.settle()
    assert rig.forwarded.endswith(body)
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await rig.settle()
    assert client.sent.endswith(body)


async def test_drain_while_shaking_hands(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """A sidecar that is about to end serves who is in its handshake, and says that the connection closes."""
    rig = await make_secure_rig()
    client = SecureClient(rig.open(), authority.client())
    rig.gateway.draining = True
    for guest in list(rig.gateway.connections):
        guest.going_away()
    assert client.shake_hands()
    assert not rig.gateway.emptied.is_set()
    client.feed(GET + vera + b"\r\n")
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert b"Connection: close" in client.sent
    client.socket.drop(None)
    await rig.settle()
    assert rig.gateway.emptied.is_set()


async def test_end_while_shaking_hands(make_secure_rig: MakeSecureRig) -> None:
    """A sidecar that ends now waits for nobody's handshake."""
    rig = await make_secure_rig()
    socket = rig.open()
    for guest in list(rig.gateway.connections):
        guest.shut_down()
    await rig.settle()
    assert socket.closed


async def test_resumed_session(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """A ticket saves half of the next handshake, also where client certificates are asked for."""
    rig = await make_secure_rig(tls={"client_ca": str(authority.file)})
    context = authority.client(authority.issue("client", ["client"]))
    first = SecureClient(rig.open(), context)
    assert first.shake_hands()
    first.feed(GET + vera + b"\r\n")
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert first.sent == OK  # and the tickets with it
    again = SecureClient(rig.open(), context, session=first.tls.session)
    assert again.shake_hands()
    assert again.tls.session_reused
    again.feed(GET + vera + b"\r\n")
    await rig.settle()
    assert len(rig.decisions()) == 2


async def test_name_that_is_asked_for(make_secure_rig: MakeSecureRig, authority: Authority, vera: bytes) -> None:
    """There is one certificate, whatever name a client asks for (SNI); what routes is the request."""
    rig = await make_secure_rig()
    context = authority.client()
    context.check_hostname = False
    for name in (None, "other.example", NAME):
        client = SecureClient(rig.open(), context, name)
        assert client.shake_hands()
        client.feed(GET + vera + b"\r\n")
    await rig.settle()
    assert len(rig.decisions()) == 3
