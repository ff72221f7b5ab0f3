"""Upstreams that lie about where their answers end: whoever comes next never gets the rest (spec 2.5, W-C)."""

import json

import pytest
from tests.exchange.rig import Rig
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
