"""Without TLS the first bytes of a connection say which HTTP it is, where that is wished for (RFC 9113 section 3.3)."""

import subprocess
import sys

import pytest
from tests.exchange.conftest import MakeRig
from tests.exchange.http2_client import HELLO, PREFACE, Http2Reader, frame, headers, request
from tests.exchange.rig import MemoryTransport, Rig, bytewise

from sidegate.app.entrance import protocols_of
from sidegate.config.settings import load_settings
from sidegate.proxy.arrival import DIRECT
from sidegate.proxy.http2.prior_knowledge import PrefaceAwaiter
from sidegate.telemetry.metrics import CONNECTIONS

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a"
H2C = {"listen": {"address": "127.0.0.1:0", "protocols": ["http/1.1", "h2c"]}}


@pytest.fixture
async def open_rig(make_rig: MakeRig) -> Rig:
    """Return a data path that takes HTTP/2 without TLS."""
    return await make_rig(settings=H2C)


def connect(rig: Rig) -> MemoryTransport:
    """Open a connection of a client."""
    return MemoryTransport(
        protocols_of(rig.gateway, load_settings(rig.files.config, {})).plain(DIRECT), ("192.0.2.1", 5)
    )


@pytest.mark.parametrize("bytewise_", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"PROPFIND", b"POST"])
async def test_http_1(open_rig: Rig, bytewise_: bool, method: bytes) -> None:
    """Who speaks HTTP/1 is answered in it, methods that begin like the preface too."""
    client = connect(open_rig)
    sent = method + b" " + PATH + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    await open_rig.feed(client, sent, bytewise(sent) if bytewise_ else ())
    assert client.sent.startswith(b"HTTP/1.1 401 ")
    assert len(open_rig.decisions()) == 1
    assert open_rig.gateway.cells[CONNECTIONS] == 1


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 24, 30])
async def test_http_2(open_rig: Rig, cut: int) -> None:
    """Who begins with the preface is answered in HTTP/2, wherever it is cut."""
    client = connect(open_rig)
    await open_rig.feed(client, HELLO + headers(request(PATH)), (cut,))
    reader = Http2Reader()
    reader.feed(bytes(client.sent))
    assert reader.answers[1].status == 401
    assert open_rig.gateway.cells[CONNECTIONS] == 1


async def test_almost_the_preface(open_rig: Rig) -> None:
    """No method begins with PRI: what follows is judged as HTTP/2, and is none."""
    client = connect(open_rig)
    await open_rig.feed(client, b"PRI * HTTP/1.1\r\nHost: h\r\n\r\n")
    reader = Http2Reader()
    reader.feed(bytes(client.sent))
    assert reader.goaway[0][1] == 1
    assert client.ended
    assert not open_rig.decisions()


@pytest.mark.parametrize(("said", "seconds"), [(b"", 76), (b"PR", 11)], ids=["nothing", "half-a-word"])
async def test_says_nothing(open_rig: Rig, said: bytes, seconds: int) -> None:
    """A connection that does not say which HTTP it is ends in time."""
    client = connect(open_rig)
    if said:
        await open_rig.feed(client, said)
    await open_rig.wait(seconds - 2)
    assert not client.closed
    await open_rig.wait(3)
    assert client.closed


async def test_leaves_without_a_word(open_rig: Rig) -> None:
    """A connection that ends before it said anything has no place any more."""
    client = connect(open_rig)
    client.feed_end()
    await open_rig.settle()
    assert client.closed
    assert not open_rig.gateway.connections


async def test_too_many_connections(make_rig: MakeRig) -> None:
    """A connection has its place from the beginning, and keeps it when it is given on."""
    rig = await make_rig(settings={**H2C, "limits": {"connections": 1}})
    first = connect(rig)
    second = connect(rig)
    assert second.sent.startswith(b"HTTP/1.1 503 ")
    await rig.feed(first, HELLO + headers(request(PATH)))
    reader = Http2Reader()
    reader.feed(bytes(first.sent))
    assert reader.answers[1].status == 401


async def test_drain(open_rig: Rig) -> None:
    """A connection that has said nothing does not hold up the end."""
    silent, other = connect(open_rig), connect(open_rig)
    for guest in list(open_rig.gateway.connections):
        assert isinstance(guest, PrefaceAwaiter)
    next(iter(open_rig.gateway.connections)).going_away()
    await open_rig.wait(76)
    assert silent.closed
    assert other.closed


async def test_shut_down(open_rig: Rig) -> None:
    """At the end it is cut."""
    silent = connect(open_rig)
    for guest in list(open_rig.gateway.connections):
        guest.shut_down()
    await open_rig.settle()
    assert silent.aborted


async def test_off_unless_wished_for(rig: Rig) -> None:
    """By default the preface is a request of an unknown version, and refused as one."""
    client = connect(rig)
    await rig.feed(client, PREFACE + frame(4))
    assert client.sent.startswith(b"HTTP/1.1 505 ")
    assert client.ended


def test_not_loaded_unless_wished_for() -> None:
    """Who does not speak HTTP/2 does not pay for its engine."""
    program = "import sidegate.app.serve, sys; sys.exit(bool({'h2', 'hpack'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
