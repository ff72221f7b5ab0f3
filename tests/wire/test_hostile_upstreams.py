"""Upstreams that lie about where their answers end: whoever comes next never gets the rest (spec 2.5, W-C)."""

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1

import pytest
from tests.exchange.rig import MemoryTransport, Rig, bytewise
from tests.wire.strict import read_response

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"


def request(token: bytes, method: bytes = b"GET", lines: bytes = b"", path: bytes = PATH) -> bytes:
    """Return a request of whoever has *token*."""
    return b"%b %b HTTP/1.1\r\nHost: h\r\nCookie: __session=%b\r\n%b\r\n" % (method, path, token, lines)


async def test_answer_before_the_body_is_never_followed_by_another(rig: Rig, ana: bytes) -> None:
    """An answer that begins before the request's body was sent ends that upstream connection, also when the body comes
    to its end before the answer does: an upstream that answered early may take the rest of it for a request."""
    client = await rig.say(request(ana, b"PUT", b"Content-Length: 10\r\n") + b"12345")
    await rig.feed(rig.upstream, b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nn")
    await rig.feed(client, b"67890")
    await rig.feed(rig.upstream, b"o")
    assert client.sent.endswith(b"\r\n\r\nno")
    assert b"\r\nConnection: close\r\n" in client.sent
    assert client.ended
    assert rig.upstream.aborted


CHUNKED = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n", id="plain"),
        pytest.param(CHUNKED + b"Connection: keep-alive\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="keep-alive"),
    ],
)
async def test_chunks_in_http_1_0(rig: Rig, vera: bytes, answer: bytes) -> None:
    """HTTP/1.0 knows no Transfer-Encoding: an answer that has both is faulty (RFC 9112 section 6.1)."""
    client = await rig.say(request(vera))
    await rig.feed(rig.upstream, answer)
    problem, _ = read_response(bytes(client.sent), b"GET")
    assert (problem.status, json.loads(problem.body)["reason"]) == (502, "upstream_invalid")
    assert rig.upstream.aborted


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# What the client gets: `502`, `cut` (a part, and a connection that breaks off), or `whole` (and no more than that).
HOSTILE = {
    "splitting-lf-in-a-value": (OK + b"Location: /a\nSet-Cookie: x=y\r\nContent-Length: 0\r\n\r\n", "502"),
    "splitting-cr-in-a-value": (OK + b"Location: /a\rSet-Cookie: x=y\r\nContent-Length: 0\r\n\r\n", "502"),
    "nul-in-a-value": (OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n", "502"),
    "nul-in-the-phrase": (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", "502"),
    "folded-length": (OK + b"X: a\r\n Content-Length: 9\r\nContent-Length: 0\r\n\r\n", "502"),
    "blank-before-colon": (OK + b"Content-Length : 0\r\n\r\n" + EVIL, "502"),
    "length-and-chunks": (OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL, "502"),
    "two-lengths": (OK + b"Content-Length: 0\r\nContent-Length: 9\r\n\r\n" + EVIL, "502"),
    "length-list": (OK + b"Content-Length: 0, 0\r\n\r\n" + EVIL, "502"),
    "signed-length": (OK + b"Content-Length: +0\r\n\r\n" + EVIL, "502"),
    "hex-length": (OK + b"Content-Length: 0x0\r\n\r\n" + EVIL, "502"),
    "unknown-coding": (OK + b"Transfer-Encoding: xchunked\r\n\r\n" + EVIL, "502"),
    "coding-list": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + EVIL, "502"),
    "two-codings": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + EVIL, "502"),
    "line-end-first": (b"\r\n" + EVIL, "502"),
    "no-version": (b"200 OK\r\n\r\n", "502"),
    "http-2": (b"HTTP/2 200 OK\r\n\r\n", "502"),
    "status-of-four-digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "502"),
    "status-with-a-sign": (b"HTTP/1.1 +20 OK\r\n\r\n", "502"),
    "interim-flood": (b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" * 40 + EVIL, "502"),
    "continue-flood": (b"HTTP/1.1 100 Continue\r\n\r\n" * 40 + EVIL, "502"),
    "switch-unasked": (b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL, "502"),
    "chunk-lf": (CHUNKS + b"2\nok\r\n0\r\n\r\n", "cut"),
    "chunk-term-ext": (CHUNKS + b"2;\nxx\r\n2\r\n0\r\n\r\n" + EVIL, "cut"),
    "chunk-spill": (CHUNKS + b"2\r\nokXX0\r\n\r\n", "cut"),
    "chunk-overflow": (CHUNKS + b"ffffffffffffffff\r\nok", "cut"),
    "chunk-trailer-folded": (CHUNKS + b"2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n", "cut"),
    "two-answers": (OK + b"Content-Length: 2\r\n\r\nok" + EVIL, "whole"),
    "two-chunked-answers": (CHUNKS + b"2\r\nok\r\n0\r\n\r\n" + EVIL, "whole"),
    "body-of-204": (b"HTTP/1.1 204 No\r\nContent-Length: 44\r\n\r\n" + EVIL, "whole"),
    "chunked-204": (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n" + EVIL, "whole"),
    "body-of-304": (b"HTTP/1.1 304 Not\r\nContent-Length: 44\r\n\r\n" + EVIL, "whole"),
}


@pytest.mark.parametrize(("answer", "kind"), [pytest.param(*row, id=name) for name, row in HOSTILE.items()])
async def test_hostile_answer(rig: Rig, vera: bytes, ana: bytes, answer: bytes, kind: str) -> None:
    """Nobody but who asked gets any of it, he gets nothing that can be read in two ways, and that connection serves
    nobody else; one record of the decision, one of how it ended."""
    for number, cuts in enumerate(cuttings(answer)):
        before = len(rig.pool.opened)
        client = await rig.say(request(vera))
        hostile = rig.pool.opened[-1]
        assert len(rig.pool.opened) == before + 1, "a connection that lied before was used again"
        await rig.feed(hostile, answer, cuts)
        assert hostile.aborted
        assert b"evil" not in client.sent
        assert b"Set-Cookie" not in client.sent
        if kind == "502":
            assert json.loads(bytes(client.sent).rpartition(b"\r\n\r\n")[2])["reason"] == "upstream_invalid"
            assert client.ended
        elif kind == "cut":
            assert client.aborted or b"HTTP/1.1 502 " in client.sent
            assert b"0\r\n\r\n" not in client.sent
        elif b"HTTP/1.1 502 " not in client.sent and not client.aborted:
            # Cut so that the surplus came later: the whole answer is with the client, and nothing else.
            _, rest = read_response(bytes(client.sent), b"GET")
            assert rest == b""
        canary = await rig.say(request(ana, path=PATH + b"-%d" % number))
        fresh = rig.pool.opened[-1]
        assert fresh is not hostile
        await rig.feed(fresh, OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
        assert canary.sent.endswith(b"\r\n\r\nok")
        assert b"evil" not in canary.sent


def cuttings(data: bytes) -> list[Iterable[int]]:
    """Return ways to cut *data*: not at all, everywhere, and in two before and behind the end of its head."""
    end = data.find(b"\r\n\r\n") + 4
    return [(), bytewise(data), (end,), (max(1, end - 2),), (len(data) - 1,)]


async def test_answers_go_to_who_asked(rig: Rig, vera: bytes, ana: bytes) -> None:
    """Answers of several upstream connections that come in another order than the requests went out are paired with
    the clients that asked, not with those that wait longest (response queue poisoning)."""
    clients = [await rig.say(request(token, path=PATH + b"-%d" % place)) for place, token in enumerate([vera, ana] * 4)]
    assert len(rig.pool.opened) == len(clients)
    for place in (5, 0, 7, 3, 1, 6, 2, 4):
        upstream = rig.pool.opened[place]
        asked = bytes(upstream.sent).split(b" ")[1]
        await rig.feed(upstream, OK + b"Content-Length: %d\r\n\r\n%b" % (len(asked), asked))
    assert [bytes(client.sent).endswith(PATH + b"-%d" % place) for place, client in enumerate(clients)] == [True] * 8


KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
ASK = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n" % KEY
SWITCH = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %b\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SWITCH % b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=", id="wrong-accept"),
        pytest.param((SWITCH % ACCEPT).replace(b"Sec-WebSocket-Accept", b"X-Accept"), id="no-accept"),
        pytest.param((SWITCH % ACCEPT)[:-2] + b"Sec-WebSocket-Accept: x\r\n\r\n", id="two-accepts"),
        pytest.param((SWITCH % ACCEPT).replace(b"Upgrade: websocket", b"Upgrade: h2c"), id="other-protocol"),
        pytest.param((SWITCH % ACCEPT).replace(b"Connection: Upgrade\r\n", b""), id="not-nominated"),
        pytest.param((SWITCH % ACCEPT).replace(b"Upgrade: websocket\r\n", b""), id="no-upgrade"),
    ],
)
async def test_wrong_switch(rig: Rig, vera: bytes, answer: bytes) -> None:
    """A tunnel opens only on the 101 that was asked for (RFC 6455 section 4.1); else 502, and nothing passes."""
    client = await rig.say(request(vera, lines=ASK))
    await rig.feed(rig.upstream, answer + b"\x81\x04evil")
    await rig.feed(client, b"\x81\x85\0\0\0\0hello")
    assert client.sent.startswith(b"HTTP/1.1 502 ")
    assert b"evil" not in client.sent
    assert b"hello" not in rig.forwarded
    assert rig.upstream.aborted


@pytest.mark.parametrize("status", [b"200 OK", b"403 No", b"426 Up"])
async def test_refused_switch_ends_both(rig: Rig, vera: bytes, status: bytes) -> None:
    """Any other answer is an ordinary one, and both connections end with it: whoever believes in the upgrade never
    gets another request (CVE-2024-23326)."""
    client = await rig.say(request(vera, lines=ASK))
    await rig.feed(rig.upstream, b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)
    assert client.sent.endswith(b"Connection: close\r\n\r\nno")
    assert client.ended
    assert rig.upstream.aborted


async def tunnel(rig: Rig, token: bytes) -> MemoryTransport:
    """Open a tunnel."""
    client = await rig.say(request(token, lines=ASK))
    await rig.feed(rig.upstream, SWITCH % ACCEPT)
    assert client.sent.startswith(b"HTTP/1.1 101 ")
    return client


async def test_requests_in_a_tunnel_are_payload(rig: Rig, vera: bytes) -> None:
    """What looks like a request in an open tunnel is never read as one (WebSocket smuggling): nothing is decided."""
    client = await tunnel(rig, vera)
    before = len(rig.decisions())
    await rig.feed(client, request(vera))
    assert len(rig.decisions()) == before
    assert len(rig.pool.opened) == 1
    assert rig.upstream.sent.endswith(request(vera))


@pytest.mark.parametrize("early", [pytest.param(b"\x81\x80\0\0\0\0", id="frame"), pytest.param(b"GET /", id="request")])
async def test_early_bytes(rig: Rig, vera: bytes, early: bytes) -> None:
    """What a client sends before the 101 is passed on neither before it nor behind it (CVE-2026-2833)."""
    client = await rig.say(request(vera, lines=ASK))
    await rig.feed(client, early)
    assert early not in rig.forwarded.partition(b"\r\n\r\n")[2]
    await rig.feed(rig.upstream, SWITCH % ACCEPT)
    assert early not in rig.forwarded.partition(b"\r\n\r\n")[2]
    assert b"101" not in client.sent[:12]
    assert rig.upstream.aborted
