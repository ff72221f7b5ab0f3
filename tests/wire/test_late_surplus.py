"""An upstream that takes a request's body for another request, or sends bytes behind an answer that has ended: whoever
comes next must not get them (spec 2, W-C; CL.0)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from scripts.issuer import Issuer
from tests.exchange.rig import MemoryTransport, Rig
from tests.integration.sidecar import ROUTES

from sidegate.proxy.upstream import STALE_S, UpstreamAddress, UpstreamConnection, UpstreamPool
from sidegate.telemetry.tasks import TaskSet

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nX: "

PUBLIC = ROUTES + "- post: /open\n  public: true\n"

MakeRig = Callable[..., Awaitable[Rig]]


def ask(token: bytes | None, method: bytes = b"GET", body: bytes = b"", path: bytes = PATH) -> bytes:
    """Return a request; nobody's without *token*."""
    cookie = b"" if token is None else b"Cookie: __session=%b\r\n" % token
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%b %b HTTP/1.1\r\nHost: h\r\n%b%b\r\n%b" % (method, path, cookie, length, body)


async def exchange(rig: Rig, request: bytes, answer: bytes = OK) -> tuple[MemoryTransport, MemoryTransport]:
    """Send *request* on a connection of its own and answer it; return both ends."""
    client = await rig.say(request)
    line = request.partition(b"\r\n")[0]
    upstream = next(one for one in reversed(rig.pool.opened) if bytes(one.sent).rpartition(line)[1] and not one.closed)
    await rig.feed(upstream, answer)
    return client, upstream


async def test_answer_to_a_body_goes_to_nobody_else(rig: Rig, ana: bytes, vera: bytes) -> None:
    """CL.0: what an upstream makes of a body, and answers late, is not what the next client gets."""
    _, poisoned = await exchange(rig, ask(ana, b"POST", SMUGGLED))
    victim, other = await exchange(rig, ask(vera))
    assert other is not poisoned
    await rig.feed(poisoned, EVIL)
    assert poisoned.aborted
    assert victim.sent == OK


async def test_own_requests_go_the_same_way(rig: Rig, ana: bytes) -> None:
    """Uploads of one holder share a connection, as far as it is silent; his requests without a body use another."""
    _, first = await exchange(rig, ask(ana, b"PUT", b"one"))
    _, second = await exchange(rig, ask(ana, b"PUT", b"two"))
    assert second is first
    _, read = await exchange(rig, ask(ana))
    assert read is not first
    await rig.feed(first, EVIL)
    _, third = await exchange(rig, ask(ana, b"PUT", b"three"))
    assert first.aborted
    assert third is read


async def test_another_session_is_another_holder(rig: Rig, issuer: Issuer) -> None:
    """Holders are told apart by session: two of the same account share nothing. Renewed tokens of one session do."""
    one, renewed = (issuer.session("ana", "acme", session_id="s1", lasts_s=lasts).encode() for lasts in (60, 90))
    _, first = await exchange(rig, ask(one, b"PUT", b"one"))
    _, second = await exchange(rig, ask(renewed, b"PUT", b"two"))
    assert second is first
    _, other = await exchange(rig, ask(issuer.session("ana", "acme", session_id="s2").encode(), b"PUT", b"three"))
    assert other is not first


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param(b"PUT", b"400", id="refused"),
        pytest.param(b"PUT", b"302", id="redirected"),
        pytest.param(b"PUT", b"500", id="failed"),
        pytest.param(b"GET", b"200", id="get-with-a-body"),
    ],
)
async def test_bodies_that_are_often_not_read(rig: Rig, ana: bytes, method: bytes, status: bytes) -> None:
    """A refusal, a redirect or a method whose body means nothing: the upstream has hardly read it; that connection is
    not used again, for its own holder neither."""
    client, upstream = await exchange(rig, ask(ana, method, b"body"), OK.replace(b"200", status))
    assert client.sent.endswith(b"\r\n\r\nok")
    assert not client.ended
    assert upstream.aborted


async def test_bodies_of_nobody(make_rig: MakeRig) -> None:
    """On a public route nobody is told from anybody: a connection that had a body is not used again."""
    rig = await make_rig(routes=PUBLIC)
    _, upstream = await exchange(rig, ask(None, b"POST", b"body", b"/open"))
    assert upstream.aborted


async def test_kept_connections_give_way(make_rig: MakeRig, ana: bytes, vera: bytes) -> None:
    """What is kept for one holder keeps nobody else from the upstream when there may be no more connections."""
    rig = await make_rig(settings={"upstream": {"max_connections": 1}})
    _, kept = await exchange(rig, ask(ana, b"PUT", b"one"))
    client, _ = await exchange(rig, ask(vera))
    assert kept.aborted
    assert client.sent == OK


async def test_who_waits_gets_a_fresh_connection(make_rig: MakeRig, ana: bytes, vera: bytes) -> None:
    """Who waits for a place is not given the connection that just carried somebody else's body."""
    rig = await make_rig(settings={"upstream": {"max_connections": 1}})
    await rig.say(ask(ana, b"PUT", b"one"))
    waiting = await rig.say(ask(vera))
    first = rig.upstream
    await rig.feed(first, OK)
    assert first.aborted
    await rig.feed(rig.pool.opened[1], OK)
    assert waiting.sent == OK


async def test_kept_too_long(rig: Rig, ana: bytes) -> None:
    """A request with a body is not sent on a connection that its upstream may be closing just now."""
    _, first = await exchange(rig, ask(ana, b"PUT", b"one"))
    await rig.wait(STALE_S * 1.5)
    _, second = await exchange(rig, ask(ana, b"PUT", b"two"))
    assert second is not first
    assert first.aborted


async def test_kept_for_nothing(rig: Rig, ana: bytes, vera: bytes) -> None:
    """What was kept for longer than it can be used is given back to the upstream with the next request of anybody."""
    _, kept = await exchange(rig, ask(ana, b"PUT", b"one"))
    await exchange(rig, ask(vera))
    assert not kept.aborted
    await rig.wait(STALE_S * 1.5)
    await exchange(rig, ask(vera))
    assert kept.aborted


async def test_kept_connection_that_ends(rig: Rig, ana: bytes) -> None:
    """A connection that its upstream ends is forgotten, the others of the same holder are not."""
    clients = [await rig.say(ask(ana, b"PUT", b"body")) for _ in range(2)]
    one, two = rig.pool.opened
    for upstream in (one, two):
        await rig.feed(upstream, OK)
    assert [client.sent for client in clients] == [OK, OK]
    two.drop(None)
    await rig.settle()
    _, used = await exchange(rig, ask(ana, b"PUT", b"again"))
    assert used is one


class _Taker:
    """Takes what a pool opens."""

    def __init__(self) -> None:
        self.attached: asyncio.Future[UpstreamConnection] = asyncio.get_running_loop().create_future()

    def attach(self, upstream: UpstreamConnection) -> None:
        self.attached.set_result(upstream)

    def connect_failed(self, error: OSError | TimeoutError) -> None:
        self.attached.set_exception(error)


@pytest.mark.parametrize("speaks", [pytest.param(True, id="speaks"), pytest.param(False, id="silent")])
async def test_bytes_that_wait_in_the_kernel(speaks: bool) -> None:
    """Surplus that has come but was not read yet is found when the connection is to be used again: real sockets, and
    no turn of the event loop between its arrival and its use."""
    tasks = TaskSet()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        pool = UpstreamPool(UpstreamAddress("127.0.0.1", port, None), limit=4, connect_timeout_s=5.0, tasks=tasks)
        taker = _Taker()
        pool.connect(taker)
        upstream = await taker.attached
        end, _ = listening.accept()
        with end:
            upstream.is_doubtful = True
            pool.release(upstream, 1.0)
            if speaks:
                end.sendall(EVIL)
            taken = pool.take(1.0, is_retriable=True)
            assert taken is (None if speaks else upstream)
            assert upstream.transport.is_closing() is speaks
            upstream.discard()
            await asyncio.sleep(0)
    await tasks.close()
