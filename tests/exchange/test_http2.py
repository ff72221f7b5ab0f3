"""HTTP/2 of a client: the same verdicts, records and answers as HTTP/1.1, stream by stream (RFC 9113, spec 2)."""

import json
from dataclasses import replace

import pytest
from scripts.issuer import Issuer
from tests.exchange.conftest import MakeRig
from tests.exchange.http2_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    HELLO,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WIDE,
    WINDOW_UPDATE,
    Fields,
    Http2Client,
    data,
    frame,
    headers,
    request,
    setting,
)
from tests.exchange.rig import Rig, bytewise

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.proxy.arrival import Arrival
from sidegate.proxy.http2.connection import RESETS
from sidegate.proxy.http2.engine import CONNECTION_WINDOW, STREAM_WINDOW
from sidegate.telemetry.metrics import CONNECTIONS

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 6, 7, 9, 11


@pytest.fixture(scope="session")
def read(issuer: Issuer) -> Fields:
    """Return the section of a GET that vera may make."""
    return request(PATH, (b"cookie", b"__session=" + issuer.session("vera", "acme").encode()))


@pytest.fixture(scope="session")
def write(issuer: Issuer) -> Fields:
    """Return the section of a PUT that ana may make."""
    return request(PATH, (b"cookie", b"__session=" + issuer.session("ana", "acme").encode()), method=b"PUT")


def plus(section: Fields, *more: tuple[bytes, bytes]) -> Fields:
    """Return a section with more fields."""
    return [*section, *more]


def window(stream: int, size: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def completions(rig: Rig) -> list[tuple[str, str | None]]:
    """Return how everything ended that was recorded to have ended."""
    return [(line["ended"], line["reason"]) for line in rig.completions()]


# What is forwarded, answered and recorded.


async def test_request_and_record(rig: Rig, read: Fields) -> None:
    """One request in is one request out, in HTTP/1.1 and canonical, and one record."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(plus(read, (b"x-a", b"1"), (b"te", b"trailers"), (b"x-envoy-a", b"2"))))
    (record,) = rig.decisions()
    line, _, rest = rig.forwarded.partition(b"\r\n")
    assert line == b"GET " + PATH + b" HTTP/1.1"
    assert rest.startswith(b"Host: h\r\nx-a: 1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n")
    assert rest.endswith(b"X-Sidegate-Decision: " + record["id"].encode() + b"\r\n\r\n")
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-B: 3\r\nConnection: x-c\r\nX-C: 4\r\n\r\nok")
    await rig.settle()
    answer = client.answer()
    assert answer.fields == [(b":status", b"200"), (b"content-length", b"2"), (b"x-b", b"3")]
    assert (answer.body, answer.ended, answer.reset) == (b"ok", True, None)
    assert (record["outcome"], record["method"], record["path"]) == ("allow", "GET", PATH.decode())


async def test_cut_anywhere(rig: Rig, write: Fields) -> None:
    """The verdict does not depend on how bytes are cut."""
    sent = HELLO + headers(write, end=False) + data(b"hello", end=False) + data(b"", end=True)
    client = Http2Client(rig)
    await client.say(sent, bytewise(sent))
    whole = rig.forwarded
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer().body == b"ok"
    assert len(rig.decisions()) == 1


async def test_refused_by_policy(rig: Rig, read: Fields) -> None:
    """A refusal is a problem document; the connection and other streams go on."""
    client = Http2Client(rig)
    refused = [(name, b"DELETE" if name == b":method" else value) for name, value in read]
    await client.say(HELLO + headers(refused, 1) + headers(read, 3))
    answer = client.answer(1)
    problem = json.loads(answer.body)
    assert (answer.status, answer.value(b"content-type"), answer.ended) == (403, b"application/problem+json", True)
    assert problem["reason"] == "not_granted"
    assert answer.value(b"connection") is None
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer(3).body == b"ok"
    assert [record["outcome"] for record in rig.decisions()] == ["deny", "allow"]
    assert problem["decision_id"] == rig.decisions()[0]["id"]
    assert client.goaway is None


async def test_streams_are_apart(rig: Rig, read: Fields) -> None:
    """Streams are served at the same time, each on an upstream connection of its own, answered in any order."""
    client = Http2Client(rig)
    await client.say(HELLO + b"".join(headers(read, stream) for stream in (1, 3, 5)))
    assert len(rig.pool.opened) == 3
    for number, stream in ((2, 5), (0, 1), (1, 3)):
        rig.pool.opened[number].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % stream)
        await rig.settle()
        assert client.answer(stream).body == b"%d" % stream
    assert rig.gateway.cells[CONNECTIONS] == 1


@pytest.mark.parametrize(
    ("written", "fields", "body"),
    [
        pytest.param(
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), [(b"content-length", b"7")], b"", id="head"
        ),
        pytest.param((b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"), [], b"", id="204"),
        pytest.param(
            (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
            [(b"content-length", b"7")],
            b"",
            id="304",
        ),
        pytest.param(
            (
                b"GET",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n",
            ),
            [],
            b"abc",
            id="chunked-with-trailers",
        ),
        pytest.param(
            (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), [(b"content-length", b"0")], b"", id="empty"
        ),
    ],
)
async def test_framing_of_answers(
    rig: Rig, read: Fields, written: tuple[bytes, bytes], fields: Fields, body: bytes
) -> None:
    """The end of an answer is the end of its stream, however the upstream says it; trailers are dropped."""
    client = Http2Client(rig)
    method, answered = written
    await client.say(HELLO + headers([(name, method if name == b":method" else value) for name, value in read]))
    rig.upstream.feed(answered)
    await rig.settle()
    answer = client.answer()
    assert answer.fields is not None
    assert (answer.fields[1:], answer.body, answer.ended, answer.reset) == (fields, body, True, None)


async def test_answer_until_close(rig: Rig, read: Fields) -> None:
    """An answer that ends with its connection ends its stream; cut, it does not."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1) + headers(read, 3))
    for upstream, error in zip(rig.pool.opened, (None, ConnectionResetError()), strict=True):
        upstream.feed(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await rig.settle()
        upstream.drop(error)
        await rig.settle()
    assert (client.answer(1).body, client.answer(1).ended, client.answer(1).reset) == (b"abc", True, None)
    assert (client.answer(3).body, client.answer(3).ended, client.answer(3).reset) == (b"abc", False, INTERNAL_ERROR)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: 5\r\n\r\nab", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", id="chunked"),
    ],
)
async def test_truncated_is_never_whole(rig: Rig, read: Fields, head: bytes) -> None:
    """A body that the upstream does not finish ends its stream with a reset, and no other."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read))
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\n" + head)
    await rig.settle()
    rig.upstream.drop(None)
    await rig.settle()
    assert (client.answer().ended, client.answer().reset, client.goaway) == (False, INTERNAL_ERROR, None)
    assert completions(rig) == [("upstream_closed", "upstream_invalid")]


async def test_interim_answers(rig: Rig, write: Fields) -> None:
    """``Expect`` is answered by the proxy once the request is allowed; other interim answers pass."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(plus(write, (b"expect", b"100-continue")), end=False))
    assert [dict(fields)[b":status"] for fields in client.answer().interim] == [b"100"]
    assert b"xpect" not in rig.forwarded
    await client.say(data(b"x"))
    rig.upstream.feed(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    await rig.settle()
    assert client.answer().interim[1] == [(b":status", b"103"), (b"link", b"</a>")]
    assert client.answer().body == b"ok"


async def test_body_with_length(rig: Rig, write: Fields) -> None:
    """A body of announced length is forwarded with it."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(plus(write, (b"content-length", b"6")), end=False))
    await client.say(data(b"abc", end=False) + data(b"def"))
    head, _, body = rig.forwarded.partition(b"\r\n\r\n")
    assert b"content-length: 6\r\n" in head
    assert b"ransfer-" not in head
    assert body == b"abcdef"


async def test_trailers_are_dropped(rig: Rig, write: Fields) -> None:
    """Trailers of a request end it and go no further (spec 2.1)."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(write, end=False) + data(b"abc", end=False) + headers([(b"x-t", b"1")]))
    assert rig.forwarded.endswith(b"3\r\nabc\r\n0\r\n\r\n")
    assert b"x-t" not in rig.forwarded
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer().body == b"ok"


@pytest.mark.parametrize(
    ("announced", "rest"),
    [
        pytest.param(b"4", data(b"de"), id="longer"),
        pytest.param(b"5", data(b"d"), id="shorter"),
        pytest.param(b"3", data(b"d", end=False), id="longer-and-going-on"),
        pytest.param(b"4", headers([(b"x", b"1")]), id="shorter-with-trailers"),
        pytest.param(b"4", data(b"d", end=False) + headers([(b":path", b"/b")]), id="pseudo-in-trailers"),
        pytest.param(b"4", data(b"d", end=False) + data(b"e"), id="more-behind-the-last"),
        pytest.param(None, headers([(b":path", b"/b")]), id="pseudo-in-trailers-without-length"),
        pytest.param(None, headers([(b"x", b"a\r\nb: c")]), id="line-end-in-trailers"),
    ],
)
async def test_body_is_not_what_was_announced(
    rig: Rig, read: Fields, write: Fields, announced: bytes | None, rest: bytes
) -> None:
    """H2.CL: such a stream ends, its upstream never has a whole request, and other streams go on (RFC 9113, 8.1.1)."""
    client = Http2Client(rig)
    more = () if announced is None else ((b"content-length", announced),)
    await client.say(HELLO + headers(plus(write, *more), end=False) + data(b"abc", end=False))
    upstream = rig.upstream
    await client.say(rest)
    assert (client.answer().reset, client.goaway) == (PROTOCOL_ERROR, None)
    assert upstream.aborted
    assert not bytes(upstream.sent).endswith((b"\r\n0\r\n\r\n", b"abcd", b"abcde"))
    assert completions(rig) == [("client_closed", None)]
    await client.say(headers(read, 3))
    rig.pool.opened[-1].feed(OK)
    await rig.settle()
    assert client.answer(3).body == b"ok"


async def test_early_answer(rig: Rig, write: Fields) -> None:
    """An answer before the end of its request is delivered; the rest is neither wanted nor answered (RFC 9113, 8.1)."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(write, end=False) + data(b"abc", end=False))
    rig.upstream.feed(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
    await rig.settle()
    answer = client.answer()
    assert (answer.status, answer.body, answer.ended, answer.reset) == (413, b"no", True, NO_ERROR)
    await client.say(data(b"more-of-it"))
    assert client.goaway is None
    assert b"more-of-it" not in rig.forwarded


async def test_session_in_crumbs(rig: Rig, read: Fields, write: Fields) -> None:
    """Crumbs of ``cookie`` are one header before the session is looked for: two sessions are two (spec 2.4)."""
    client = Http2Client(rig)
    mine = dict(read)[b"cookie"]
    other = dict(write)[b"cookie"]
    await client.say(HELLO + headers(request(PATH, (b"cookie", b"a=1"), (b"cookie", mine), (b"cookie", b"b=2"))))
    assert b"cookie: a=1; b=2\r\n" in rig.forwarded
    await client.say(headers(request(PATH, (b"cookie", mine), (b"cookie", other)), 3))
    assert json.loads(client.answer(3).body)["reason"] == "ambiguous_credential"


@pytest.mark.parametrize(
    ("section", "ended", "verdict"),
    [
        pytest.param([*request(PATH), (b"X-Upper", b"1")], True, (400, "malformed_request"), id="upper-case"),
        pytest.param(request(b"/a b"), True, (400, "malformed_request"), id="space-in-path"),
        pytest.param(request(b"//evil/a"), True, (400, "ambiguous_path"), id="two-slashes"),
        pytest.param(request(b"/a/../b"), True, (400, "ambiguous_path"), id="dots"),
        pytest.param(request(PATH, method=b"get"), True, (400, "malformed_request"), id="lower-case-method"),
        pytest.param(request(PATH, method=b"TRACE"), True, (405, "method_not_allowed"), id="trace"),
        pytest.param(
            [(b":method", b"CONNECT"), (b":authority", b"h:1")], True, (405, "method_not_allowed"), id="connect"
        ),
        pytest.param(
            [*request(PATH, method=b"CONNECT"), (b":protocol", b"websocket")],
            False,
            (405, "method_not_allowed"),
            id="rfc-8441",
        ),
        pytest.param(request(PATH, scheme=b"https"), True, (400, "malformed_request"), id="scheme"),
        pytest.param(
            request(PATH, (b"content-length", b"1")), True, (400, "ambiguous_framing"), id="length-without-body"
        ),
        pytest.param(request(PATH, (b"content-length", b"+1")), False, (400, "ambiguous_framing"), id="signed-length"),
        pytest.param(request(PATH, (b"expect", b"tea")), True, (417, "expectation_failed"), id="expectation"),
        pytest.param(request(b"/" + b"a" * 8200), True, (414, "target_too_long"), id="long-target"),
        pytest.param(request(PATH, *[(b"x", b"1")] * 120), True, (431, "head_too_large"), id="many-fields"),
        pytest.param(request(PATH, (b"x", b"1" * 32_700)), True, (431, "head_too_large"), id="long-head"),
    ],
)
async def test_unreadable(rig: Rig, read: Fields, section: Fields, ended: bool, verdict: tuple[int, str]) -> None:
    """What cannot be read in one way is answered and recorded, once; its stream ends, and no other."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(section, 1, end=ended) + headers(read, 3))
    answer = client.answer(1)
    assert (answer.status, json.loads(answer.body)["reason"], answer.ended) == (*verdict, True)
    assert answer.reset == (None if ended else NO_ERROR)
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer(3).body == b"ok"
    assert client.goaway is None
    assert [(record["outcome"], record["reason"]) for record in rig.decisions()] == [
        ("deny", verdict[1]), ("allow", "granted")
    ]  # fmt: skip


async def test_grpc_is_refused_in_its_own_terms(rig: Rig, read: Fields) -> None:
    """A call of gRPC gets a status of gRPC that says what to do, and one record."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(plus(read, (b"content-type", b"application/grpc+proto")), end=False) + data(b"\0"))
    answer = client.answer()
    assert (answer.status, answer.value(b"grpc-status"), answer.body, answer.ended) == (200, b"12", b"", True)
    assert b"gRPC-Web" in (answer.value(b"grpc-message") or b"")
    assert [record["reason"] for record in rig.decisions()] == ["version_not_supported"]
    assert not rig.pool.opened


async def test_scheme_of_tls(rig: Rig, read: Fields) -> None:
    """Over TLS ``:scheme`` is https, and the upstream is told so."""
    client = Http2Client(rig, arrival=Arrival(is_secure=True))
    secure = [(name, b"https" if name == b":scheme" else value) for name, value in read]
    await client.say(HELLO + headers(read, 1) + headers(secure, 3))
    assert client.answer(1).status == 400
    assert b"X-Forwarded-Proto: https\r\n" in rig.forwarded


# Flow control and back-pressure.


async def test_large_answer_within_windows(rig: Rig, read: Fields) -> None:
    """No more is sent than the client allows, and no more is held than 64 KiB; then it goes on to the end."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read))
    body = bytes(range(256)) * 2048
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await rig.settle()
    assert len(client.answer().body) == 65_535
    assert not rig.upstream.is_reading()
    held = len(body) - 65_535 - len(rig.upstream._incoming)
    assert 32_768 < held <= 65_536
    while not client.answer().ended:
        before = len(client.answer().body)
        await client.say(window(0, 30_000) + window(1, 30_000))
        assert len(client.answer().body) > before
    assert client.answer().body == body
    assert client.answer().reset is None
    await client.say(frame(GOAWAY, 0, 0, bytes(8)))
    assert client.transport.closed, "a stream was kept beyond its end"


async def test_last_bytes_wait_for_the_connection(rig: Rig, read: Fields) -> None:
    """A stream whose answer is there whole, and waits for the connection's window only, ends with its last byte."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(4, 1_000_000)) + headers(read))
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 66000\r\n\r\n" + bytes(66_000))
    await rig.settle()
    assert (len(client.answer().body), client.answer().ended) == (65_535, False)
    await client.say(window(0, 1000))
    assert client.answer().ended
    assert not client.connection._streams, "a stream was kept beyond its end"


async def test_windows_shrink_and_grow(rig: Rig, read: Fields) -> None:
    """A client may change the windows of streams at any time, below what is sent already."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(4, 10)) + headers(read))
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b"x" * 30)
    await rig.settle()
    assert len(client.answer().body) == 10
    await client.say(frame(SETTINGS, 0, 0, setting(4, 0)) + window(1, 5))
    assert len(client.answer().body) == 10
    await client.say(window(1, 9))
    assert len(client.answer().body) == 14
    await client.say(frame(SETTINGS, 0, 0, setting(4, 65_535)))
    assert (len(client.answer().body), client.answer().ended) == (30, True)


async def test_streams_take_turns(rig: Rig, read: Fields) -> None:
    """When the connection's window opens, streams are served in turn."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(4, 10_000_000)) + headers(read, 1) + headers(read, 3))
    for upstream in rig.pool.opened:
        upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
    await rig.settle()
    first = len(client.answer(1).body)
    assert (first, len(client.answer(3).body)) == (65_535, 0)
    await client.say(window(0, 65_536))
    assert len(client.answer(1).body) == first + 32_768
    assert len(client.answer(3).body) == 32_768
    client.transport.drop(None)
    await rig.settle()


async def test_client_that_does_not_read(rig: Rig, read: Fields) -> None:
    """What the socket does not take is not written: 64 KiB wait for a stream, whatever its window."""
    client = Http2Client(rig)
    await client.say(
        PREFACE + frame(SETTINGS, 0, 0, setting(4, 2**31 - 1)) + frame(WINDOW_UPDATE, 0, 0, WIDE) + headers(read)
    )
    client.transport.stall()
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    await rig.settle()
    assert not rig.upstream.is_reading()
    assert client.transport.unsent <= 2 * 65_536
    assert len(rig.upstream._incoming) > 800_000
    assert not client.transport.is_reading(), "what it asks for meanwhile would pile up as well"
    client.transport.take()
    await rig.settle()
    assert (len(client.answer().body), client.answer().ended) == (1_000_000, True)
    assert client.transport.is_reading()


async def test_client_that_never_reads_is_cut(rig: Rig, read: Fields) -> None:
    """A client that takes nothing for ten seconds loses its connection."""
    client = Http2Client(rig)
    await client.say(
        PREFACE + frame(SETTINGS, 0, 0, setting(4, 2**31 - 1)) + frame(WINDOW_UPDATE, 0, 0, WIDE) + headers(read)
    )
    client.transport.stall()
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    await rig.wait(12)
    assert client.transport.aborted
    assert completions(rig) in ([("client_closed", None)], [("limit_reached", "request_timeout")])


async def test_closed_window_is_too_slow(rig: Rig, read: Fields) -> None:
    """A client that never opens its window loses the stream, not the connection (zero-window stall)."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(4, 0)) + headers(read, 1))
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
    await rig.settle()
    await rig.wait(25)
    assert (client.answer(1).ended, client.answer(1).reset, client.goaway) == (False, INTERNAL_ERROR, None)
    assert completions(rig) == [("limit_reached", "request_timeout")]


async def test_small_answer_and_closed_window(rig: Rig, read: Fields) -> None:
    """So does one whose whole answer waits: it is not kept for ever."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(4, 0)) + headers(read))
    rig.upstream.feed(OK)
    await rig.wait(9)
    assert (client.answer().status, client.answer().ended, client.answer().reset) == (200, False, None)
    await rig.wait(3)
    assert (client.answer().ended, client.answer().reset) == (False, INTERNAL_ERROR)


def credited(client: Http2Client) -> int:
    """Return the bytes of stream 1 that were taken so far."""
    client.look()
    frames = client.reader.frames
    return sum(int.from_bytes(payload, "big") for kind, _, stream, payload in frames if (kind, stream) == (8, 1))


async def test_large_request_within_windows(rig: Rig, write: Fields) -> None:
    """While the upstream does not take a body, the client may send no more than a window; then it goes on."""
    client = Http2Client(rig)
    await client.say(HELLO + frame(SETTINGS, 1) + headers(write, end=False))
    rig.upstream.stall()
    sent = 0
    while (size := min(8000, STREAM_WINDOW + credited(client) - sent)) > 0:
        await client.say(data(bytes(size), end=False))
        sent += size
    assert rig.upstream.unsent <= 65_536
    assert sent - rig.upstream.unsent <= STREAM_WINDOW
    rig.upstream.take()
    await rig.settle()
    assert STREAM_WINDOW + credited(client) - sent >= STREAM_WINDOW // 2
    await client.say(data(b"end"))
    assert rig.forwarded.endswith(b"3\r\nend\r\n0\r\n\r\n")


async def test_more_than_the_window(rig: Rig, write: Fields) -> None:
    """A client that sends more than it may ends its connection (RFC 9113, 6.9)."""
    client = Http2Client(rig)
    await client.say(HELLO + frame(SETTINGS, 1) + headers(write, end=False))
    rig.upstream.stall()
    for _ in range(8):
        await client.say(data(bytes(16_000), end=False))
    assert client.goaway is not None
    assert client.goaway[1] == FLOW_CONTROL_ERROR
    assert rig.upstream.aborted


async def test_window_of_the_connection_comes_back(rig: Rig, write: Fields) -> None:
    """What was sent on streams that were refused or ended early is given back: the connection does not dry up."""
    client = Http2Client(rig)
    await client.say(HELLO + frame(SETTINGS, 1))
    anonymous = [field for field in write if field[0] != b"cookie"]
    sent = 0
    for stream in range(1, 161, 2):
        await client.say(headers(anonymous, stream, end=False) + data(bytes(16_000), stream))
        sent += 16_000
        assert client.answer(stream).status == 401
    assert sent > CONNECTION_WINDOW
    assert client.goaway is None


async def test_slow_body(rig: Rig, write: Fields) -> None:
    """A body below the least rate ends its stream; one above goes on, whatever the size of its frames (spec 2.8)."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(write, 1, end=False) + headers(write, 3, end=False))
    big = frame(DATA, 0, 1, bytes(16_000))
    await client.say(big[:9])
    for second in range(12):
        await client.say(big[9 + second * 1100 : 9 + (second + 1) * 1100])
        await rig.wait(1)
    assert (client.answer(1).fields, client.answer(1).reset) == (None, None)
    assert client.answer(3).status == 408
    assert client.goaway is None
    client.transport.drop(None)
    await rig.settle()


# Access that ends.


async def test_revoked_midway(rig: Rig, issuer: Issuer, read: Fields) -> None:
    """A stream whose session is revoked is reset within a second, so that its body is not whole; others go on."""
    client = Http2Client(rig)
    ending = request(PATH, (b"cookie", b"__session=" + issuer.session("ana", "acme", session_id="gone").encode()))
    await client.say(HELLO + headers(ending, 1) + headers(read, 3))
    for upstream in rig.pool.opened:
        upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
    await rig.settle()
    rig.state.revoke(Revoked(RevokedKind.SESSION, "gone", UnixMillis(rig.gateway.clock.now())))
    await rig.wait(1)
    assert (client.answer(1).body, client.answer(1).ended, client.answer(1).reset) == (
        b"data: 1\n\n",
        False,
        INTERNAL_ERROR,
    )
    assert completions(rig) == [("access_ended", "session_revoked")]
    rig.pool.opened[1].feed(b"data: 2\n\n")
    await rig.settle()
    assert client.answer(3).body == b"data: 1\n\ndata: 2\n\n"
    client.transport.drop(None)
    await rig.settle()


# Time.


async def test_slow_preface(rig: Rig) -> None:
    """A connection that does not begin in time is ended."""
    client = Http2Client(rig)
    await client.say(PREFACE[:10])
    await rig.wait(11)
    assert client.goaway is not None
    assert client.transport.ended


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(frame(HEADERS, 0, 1, b"\x82"), id="no-continuation"),
        pytest.param(headers(request(PATH))[:20], id="half-a-frame"),
    ],
)
async def test_slow_head(rig: Rig, begun: bytes) -> None:
    """A head that does not arrive in time ends the connection: nothing else can come before its end."""
    client = Http2Client(rig)
    await client.say(HELLO + begun)
    for _ in range(9):
        await rig.wait(1)
        await client.say(frame(CONTINUATION, 0, 1, b"\x82") if begun[4] == 0 else b"")
    assert client.goaway is None
    await rig.wait(2)
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM
    assert not rig.decisions()


async def test_idle(rig: Rig, read: Fields) -> None:
    """A connection without streams ends after the idle time; pings do not keep it."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read))
    rig.upstream.feed(OK)
    await rig.wait(70)
    await client.say(frame(PING, 0, 0, bytes(8)))
    assert client.goaway is None
    await rig.wait(6)
    assert client.goaway == (1, NO_ERROR, b"")
    assert client.transport.ended
    await rig.wait(3)
    assert client.transport.closed


async def test_stream_keeps_the_connection(rig: Rig, read: Fields) -> None:
    """A connection that serves something is not idle."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read))
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    await rig.wait(200)
    assert (client.goaway, client.answer().reset) == (None, None)
    client.transport.drop(None)
    await rig.settle()


# The end of the sidecar.


async def test_drain(rig: Rig, read: Fields) -> None:
    """GOAWAY says that the end is near; what is on its way is served, what comes later is not, then it closes."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1))
    rig.gateway.draining = True
    rig.gateway.limits = replace(rig.gateway.limits, idle_timeout_s=1.0)
    client.connection.going_away()
    await rig.settle()
    assert client.goaway == (2**31 - 1, NO_ERROR, b"going away")
    await client.say(headers(read, 3))
    await rig.wait(2)
    assert client.goaway == (3, NO_ERROR, b"")
    await client.say(headers(read, 5))
    assert client.answer(5).reset == REFUSED_STREAM
    for upstream in rig.pool.opened:
        upstream.feed(OK)
    await rig.settle()
    assert [client.answer(stream).body for stream in (1, 3)] == [b"ok", b"ok"]
    assert client.transport.ended
    assert len(rig.decisions()) == 2


async def test_drain_of_an_idle_connection(rig: Rig) -> None:
    """A connection that serves nothing ends soon, not at once: a request may be on its way."""
    client = Http2Client(rig)
    await client.say(HELLO)
    client.connection.going_away()
    await rig.settle()
    assert not client.transport.ended
    await rig.wait(76)
    assert client.transport.ended


async def test_shut_down(rig: Rig, read: Fields) -> None:
    """At the end everything is cut, with a record each."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1) + headers(read, 3))
    rig.pool.opened[0].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    await rig.settle()
    client.connection.shut_down()
    await rig.settle()
    assert client.transport.aborted
    assert completions(rig) == [("shutdown", None)] * 2


async def test_client_leaves(rig: Rig, read: Fields) -> None:
    """GOAWAY of the client: what it asked for is answered, then the connection closes."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read) + frame(GOAWAY, 0, 0, bytes(8)))
    assert not client.transport.ended
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer().body == b"ok"
    assert client.transport.ended


async def test_client_ends_its_side(rig: Rig, read: Fields) -> None:
    """A client may end its side of the connection and still read its answer."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read))
    client.transport.feed_end()
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer().body == b"ok"
    assert client.transport.ended


async def test_client_vanishes(rig: Rig, read: Fields, write: Fields) -> None:
    """A client that is gone takes its streams with it: one record each, upstream connections dropped."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1) + headers(write, 3, end=False))
    client.transport.drop(ConnectionResetError())
    await rig.settle()
    assert all(upstream.aborted for upstream in rig.pool.opened)
    assert completions(rig) == [("client_closed", None)] * 2
    assert len(rig.decisions()) == 2


# Limits.


async def test_too_many_connections(make_rig: MakeRig, read: Fields) -> None:
    """Beyond the limit a connection is told to go, without any work."""
    rig = await make_rig(settings={"limits": {"connections": 1}})
    first, second = Http2Client(rig), Http2Client(rig)
    await second.say(HELLO + headers(read))
    assert second.goaway is not None
    assert second.goaway[1] == ENHANCE_YOUR_CALM
    await first.say(HELLO + headers(read))
    rig.upstream.feed(OK)
    await rig.settle()
    assert first.answer().body == b"ok"
    assert len(rig.decisions()) == 1


async def test_too_many_streams(rig: Rig, read: Fields) -> None:
    """Streams beyond what was announced are refused one by one, and may be tried again; the others are served."""
    client = Http2Client(rig, streams=2)
    await client.say(HELLO + b"".join(headers(read, stream) for stream in (1, 3, 5)))
    assert client.answer(5).reset == REFUSED_STREAM
    for upstream in rig.pool.opened:
        upstream.feed(OK)
    await rig.settle()
    assert [client.answer(stream).body for stream in (1, 3)] == [b"ok", b"ok"]
    await client.say(headers(read, 7))
    assert client.answer(7).reset is None
    assert len(rig.decisions()) == 3
    client.transport.drop(None)
    await rig.settle()


async def test_too_many_requests_in_flight(make_rig: MakeRig, read: Fields) -> None:
    """Streams count among the requests in flight (spec 2.8)."""
    rig = await make_rig(settings={"limits": {"in_flight": 1}})
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1) + headers(read, 3))
    assert json.loads(client.answer(3).body)["reason"] == "overloaded"
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer(1).body == b"ok"


# Floods.


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(PING, 0, 0, bytes(8)) * 400, id="ping"),
        pytest.param(frame(SETTINGS) * 400, id="settings"),
        pytest.param(frame(SETTINGS, 1) * 400, id="acknowledgements"),
        pytest.param(frame(PRIORITY, 0, 7, bytes(5)) * 400, id="priority"),
        pytest.param(window(0, 1) * 400, id="window-update"),
        pytest.param(frame(0x2A) * 400, id="unknown"),
        pytest.param(frame(SETTINGS, 0, 0, b"".join(setting(code, 1) for code in range(100, 200))), id="many-settings"),
        pytest.param(headers(request(PATH), 1, end=False)[:4] + b"\x00" + headers(request(PATH), 1)[5:]
                     + frame(CONTINUATION, 0, 1) * 40, id="continuation"),
    ],
)  # fmt: skip
async def test_flood_of_frames(rig: Rig, flood: bytes) -> None:
    """Frames that carry nothing end the connection once there are too many, and are not answered for ever."""
    client = Http2Client(rig)
    await client.say(HELLO + flood)
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM
    assert client.transport.ended
    assert len(client.transport.sent) < 8000
    assert not rig.decisions()


async def test_flood_of_empty_data(rig: Rig, write: Fields) -> None:
    """So do DATA frames without data."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(write, end=False) + data(b"", end=False) * 400)
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM
    assert rig.upstream.aborted


async def test_rapid_reset(rig: Rig, read: Fields) -> None:
    """Streams that are asked for and given up at once end the connection (CVE-2023-44487); one record each."""
    client = Http2Client(rig)
    await client.say(HELLO)
    for stream in range(1, 2 * RESETS + 40, 2):
        if client.goaway:
            break
        await client.say(headers(read, stream) + frame(RST_STREAM, 0, stream, bytes(4)))
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM
    assert len(rig.decisions()) <= RESETS + 1
    assert not rig.pool.opened


@pytest.mark.parametrize(
    "provocation",
    [
        pytest.param(lambda stream: window(stream, 2**31 - 1), id="window-overflow"),
        pytest.param(lambda stream: data(b"more", stream), id="more-than-announced"),
    ],
)
async def test_made_you_reset(rig: Rig, write: Fields, provocation: "object") -> None:
    """Making the proxy give streams up counts as giving them up (CVE-2025-8671)."""
    assert callable(provocation)
    client = Http2Client(rig)
    await client.say(HELLO)
    for stream in range(1, 2 * RESETS + 40, 2):
        if client.goaway:
            break
        await client.say(headers(plus(write, (b"content-length", b"3")), stream, end=False) + provocation(stream))
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM


async def test_many_answered_then_given_up(rig: Rig, read: Fields) -> None:
    """A client that is served well may give up as many streams as it was answered, and more."""
    client = Http2Client(rig)
    await client.say(HELLO)
    anonymous = request(PATH)
    for stream in range(1, 1201, 4):
        await client.say(
            headers(anonymous, stream) + headers(read, stream + 2) + frame(RST_STREAM, 0, stream + 2, bytes(4))
        )
    assert client.goaway is None


async def test_header_bomb(rig: Rig) -> None:
    """A short section that expands to a long one ends the connection before it is expanded (CVE-2016-6581)."""
    client = Http2Client(rig)
    value = b"a" * 3800
    block = b"\x40\x01x\x7f" + (len(value) - 127).to_bytes(1, "big") if len(value) < 255 else b""
    block = b"\x40\x01x" + b"\x7f\xd9\x1c" + value + b"\xbe" * 900
    await client.say(HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert client.goaway is not None
    assert client.goaway[1] == ENHANCE_YOUR_CALM
    assert not rig.decisions()


async def test_table_of_the_client_is_not_ours(rig: Rig, read: Fields) -> None:
    """However large a table the client allows for answers, none is kept; it is told so once per change."""
    client = Http2Client(rig)
    await client.say(PREFACE + frame(SETTINGS, 0, 0, setting(1, 2**31)) + headers(read, 1))
    rig.upstream.feed(OK)
    await rig.settle()
    await client.say(headers(read, 3))
    rig.upstream.feed(OK)
    await rig.settle()
    await client.say(frame(SETTINGS, 0, 0, setting(1, 0)) + headers(read, 5))
    rig.upstream.feed(OK)
    await rig.settle()
    client.look()
    blocks = [payload for kind, _, _, payload in client.reader.frames if kind == HEADERS]
    assert [block.startswith(b"\x20") for block in blocks] == [True, False, True]
    assert client.answer(5).body == b"ok"
    assert not client.connection._engine.encoder.header_table.dynamic_entries


# What RFC 9113 calls errors, as in the list of h2spec.


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR, id="5.1.1-data-on-stream-0"),
        pytest.param(data(b"x"), None, id="5.1-idle-data"),
        pytest.param(frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL_ERROR, id="5.1-idle-reset"),
        pytest.param(window(1, 1), PROTOCOL_ERROR, id="5.1-idle-window-update"),
        pytest.param(frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR, id="5.1-idle-continuation"),
        pytest.param(headers(request(PATH), 2), PROTOCOL_ERROR, id="5.1.1-even-stream"),
        pytest.param(headers(request(PATH), 5) + headers(request(PATH), 3), None, id="5.1.1-smaller-stream"),
        pytest.param(headers(request(PATH), 0), PROTOCOL_ERROR, id="6.2-headers-on-stream-0"),
        pytest.param(frame(HEADERS, END_HEADERS | 0x8, 1, b"\x05\x82"), PROTOCOL_ERROR, id="6.2-padding-too-long"),
        pytest.param(frame(HEADERS, END_HEADERS | 0x20, 1, b"\x82"), None, id="6.2-priority-too-short"),
        pytest.param(frame(DATA, 0x8, 1, b"\x05a"), None, id="6.1-padding-too-long"),
        pytest.param(frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR, id="6.3-priority-on-stream-0"),
        pytest.param(frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR, id="6.3-priority-length"),
        pytest.param(frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL_ERROR, id="6.4-reset-on-stream-0"),
        pytest.param(frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR, id="6.4-reset-length"),
        pytest.param(frame(SETTINGS, 1, 0, bytes(6)), FRAME_SIZE_ERROR, id="6.5-acknowledgement-with-payload"),
        pytest.param(frame(SETTINGS, 0, 1), PROTOCOL_ERROR, id="6.5-settings-on-a-stream"),
        pytest.param(frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR, id="6.5-settings-length"),
        pytest.param(frame(SETTINGS, 0, 0, setting(2, 2)), PROTOCOL_ERROR, id="6.5.2-push"),
        pytest.param(frame(SETTINGS, 0, 0, setting(4, 2**31)), FLOW_CONTROL_ERROR, id="6.5.2-window"),
        pytest.param(frame(SETTINGS, 0, 0, setting(5, 16_383)), PROTOCOL_ERROR, id="6.5.2-frame-size-below"),
        pytest.param(frame(SETTINGS, 0, 0, setting(5, 2**24)), PROTOCOL_ERROR, id="6.5.2-frame-size-above"),
        pytest.param(frame(5, END_HEADERS, 1, bytes(4)), PROTOCOL_ERROR, id="6.6-push-promise"),
        pytest.param(frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR, id="6.7-ping-on-a-stream"),
        pytest.param(frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR, id="6.7-ping-length"),
        pytest.param(frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR, id="6.8-goaway-on-a-stream"),
        pytest.param(window(0, 0), PROTOCOL_ERROR, id="6.9-no-increment"),
        pytest.param(frame(WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR, id="6.9-window-update-length"),
        pytest.param(window(0, 2**31 - 1), FLOW_CONTROL_ERROR, id="6.9.1-overflow"),
        pytest.param(
            frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8)), PROTOCOL_ERROR, id="6.10-interrupted"
        ),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\x0f"), None, id="4.3-index-out-of-range"),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\x03\x82"), None, id="rfc7541-6.3-table-too-large"),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\x40\x81\xff\x00"), None, id="rfc7541-5.2-bad-huffman"),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\x80"), None, id="rfc7541-6.1-index-0"),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\x82\x20"), None, id="rfc7541-4.2-late-update"),
        pytest.param((16_385).to_bytes(3, "big") + b"\0\0\0\0\0\1", FRAME_SIZE_ERROR, id="4.2-too-long"),
    ],
)
async def test_connection_error(rig: Rig, sent: bytes, code: int | None) -> None:
    """What breaks the connection ends it with a GOAWAY frame, whatever way it is cut; nothing is forwarded."""
    for cuts in ((), bytewise(HELLO + sent)):
        client = Http2Client(rig)
        await client.say(HELLO + sent, cuts)
        assert client.goaway is not None
        assert client.goaway[1] == code or (code is None and client.goaway[1] != NO_ERROR)
        assert client.transport.ended
    assert not rig.pool.opened


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(data(b"x"), id="data"),
        pytest.param(headers([(b"x", b"1")]), id="headers"),
    ],
)
async def test_more_behind_the_end(rig: Rig, read: Fields, late: bytes) -> None:
    """Frames behind the end of a request are an error (RFC 9113, 5.1), and never a request."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read) + late)
    assert client.goaway is not None or client.answer().reset == STREAM_CLOSED
    assert len(rig.decisions()) == 1
    assert rig.forwarded.count(b"HTTP/1.1") <= 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(0x2A, 0xFF, 0, b"anything"), id="unknown-frame"),
        pytest.param(frame(SETTINGS, 0, 0, setting(0xF0F0, 7)), id="unknown-setting"),
        pytest.param(frame(PING, 0xFE, 0, bytes(8)), id="undefined-flags"),
        pytest.param(frame(PRIORITY, 0, 1, bytes(3) + b"\x03\x10"), id="priority-of-an-idle-stream"),
        pytest.param(frame(0x10, 0, 0, b"\0\0\0\1u=1"), id="priority-update"),
    ],
)
async def test_ignored(rig: Rig, read: Fields, sent: bytes) -> None:
    """What has no meaning is ignored (RFC 9113, 4.1, 5.5, 6.5.2)."""
    client = Http2Client(rig)
    await client.say(HELLO + sent + headers(read))
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.answer().body == b"ok"
    assert client.goaway is None


async def test_ping_is_answered(rig: Rig) -> None:
    """A ping comes back with its bytes."""
    client = Http2Client(rig)
    await client.say(HELLO + frame(PING, 0, 0, b"12345678"))
    client.look()
    assert (PING, 1, 0, b"12345678") in client.reader.frames


async def test_window_of_a_stream_overflows(rig: Rig, read: Fields) -> None:
    """That is an error of the stream alone (RFC 9113, 6.9.1)."""
    client = Http2Client(rig)
    await client.say(HELLO + headers(read, 1) + window(1, 2**31 - 1) + headers(read, 3))
    assert (client.answer(1).reset, client.goaway) == (FLOW_CONTROL_ERROR, None)
    rig.pool.opened[-1].feed(OK)
    await rig.settle()
    assert client.answer(3).body == b"ok"
