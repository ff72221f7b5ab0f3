"""A field section of HTTP/2 becomes one head of HTTP/1.1, or is refused (RFC 9113 section 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.block import HeaderReader, HeaderRules
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.core.wire.head import read_request_line
from sidegate.core.wire.http2_request import EITHER, HTTP, HTTPS, read_request, require_trailers, speaks_grpc
from sidegate.core.wire.names import NamePolicy

Fields = list[tuple[bytes, bytes]]

M = (b":method", b"GET")
S = (b":scheme", b"http")
A = (b":authority", b"h:1")
P = (b":path", b"/a?b=c")
START = [M, S, A, P]

MALFORMED = (400, Reason.MALFORMED_REQUEST)
FRAMING = (400, Reason.AMBIGUOUS_FRAMING)
REFUSED_METHOD = (405, Reason.METHOD_NOT_ALLOWED)


def without(name: bytes) -> Fields:
    """Return the start of a request without one of its pseudo-header fields."""
    return [field for field in START if field[0] != name]


def replaced(name: bytes, value: bytes) -> Fields:
    """Return the start of a request with another value."""
    return [(name, value) if field[0] == name else field for field in START]


@pytest.mark.parametrize(
    ("section", "ended", "head"),
    [
        pytest.param(START, True, b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n", id="plain"),
        pytest.param([A, P, S, M], True, b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n", id="any-order-of-pseudo"),
        pytest.param(
            [*START, (b"x-b", b"1"), (b"x-a", b""), (b"x-b", b"\xff\t2")],
            True,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nx-b: 1\r\nx-a: \r\nx-b: \xff\t2\r\n",
            id="order-and-bytes-stay",
        ),
        pytest.param(
            [*without(b":authority"), (b"x", b"1"), (b"host", b"h:1")],
            True,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nx: 1\r\n",
            id="host-alone",
        ),
        pytest.param([*START, (b"host", b"H:1")], True, b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n", id="host-agrees"),
        pytest.param(
            [*START, (b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2; c=3"), (b"cookie", b"a=4")],
            True,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\ncookie: a=1; b=2; c=3; a=4\r\nx: 1\r\n",
            id="cookie-crumbs",
        ),
        pytest.param(
            [*START, (b"te", b"trailers")], True, b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nte: trailers\r\n", id="te"
        ),
        pytest.param(
            START,
            False,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n",
            id="body-without-length",
        ),
        pytest.param(
            [*START, (b"content-length", b"3")],
            False,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\ncontent-length: 3\r\n",
            id="body-with-length",
        ),
        pytest.param(
            [*START, (b"content-length", b"0")],
            True,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\ncontent-length: 0\r\n",
            id="no-body-with-length",
        ),
        pytest.param(
            [(b":method", b"OPTIONS"), S, A, (b":path", b"*")],
            True,
            b"OPTIONS * HTTP/1.1\r\nHost: h:1\r\n",
            id="asterisk",
        ),
        pytest.param(
            [*START, (b"content-type", b"application/grpc-web+proto")],
            True,
            b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\ncontent-type: application/grpc-web+proto\r\n",
            id="grpc-web",
        ),
    ],
)
def test_head(section: Fields, ended: bool, head: bytes) -> None:
    """What is said in HTTP/1.1: one request per stream, so that it closes."""
    assert read_request(section, HTTP, ended=ended).head == head + b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("section", "ended", "verdict"),
    [
        pytest.param([], True, MALFORMED, id="nothing"),
        *(pytest.param(without(name), True, MALFORMED, id=f"no{name.decode()}") for name, _ in START),
        *(pytest.param([*START, (name, value)], True, MALFORMED, id=f"two{name.decode()}") for name, value in START),
        *(
            pytest.param([*without(name), (b"x", b"1"), (name, value)], True, MALFORMED, id=f"late{name.decode()}")
            for name, value in START
        ),
        pytest.param([M, S, P, (b"host", b"h:1"), A], True, MALFORMED, id="late-behind-host"),
        pytest.param([M, S, P, (b"cookie", b"a=1"), A], True, MALFORMED, id="late-behind-cookie"),
        pytest.param([*START, (b":status", b"200")], True, MALFORMED, id="status"),
        pytest.param([*START, (b"cookie", b"a=1"), (b"cookie", b"")], True, MALFORMED, id="empty-crumb"),
        pytest.param([*START, (b":unknown", b"1")], True, MALFORMED, id="unknown-pseudo"),
        pytest.param([*START, (b":protocol", b"websocket")], True, MALFORMED, id="protocol-without-connect"),
        pytest.param([(b":method", b"CONNECT"), A], True, REFUSED_METHOD, id="connect"),
        pytest.param(
            [(b":method", b"CONNECT"), S, A, P, (b":protocol", b"websocket")],
            False,
            REFUSED_METHOD,
            id="extended-connect",
        ),
        *(
            pytest.param(replaced(b":method", method), True, MALFORMED, id=f"method-{name}")
            for name, method in {
                "empty": b"",
                "space": b"GET /admin HTTP/1.1\r\nHost: h\r\n\r\nGET",
                "crlf": b"GET\r\n",
                "nul": b"G\x00T",
                "blank": b"GET ",
                "tab": b"\tGET",
                "high": b"G\xc9T",
            }.items()
        ),
        *(
            pytest.param(replaced(b":path", path), True, MALFORMED, id=f"path-{name}")
            for name, path in {
                "empty": b"",
                "relative": b"a",
                "absolute": b"http://h/a",
                "space": b"/a b",
                "request": b"/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /b",
                "crlf": b"/a\r\nX: y",
                "lf": b"/a\nX: y",
                "nul": b"/\x00",
                "tab": b"/\t",
                "high": b"/\xff",
                "del": b"/\x7f",
                "asterisk-and-more": b"*a",
            }.items()
        ),
        *(
            pytest.param(replaced(b":scheme", scheme), True, MALFORMED, id=f"scheme-{name}")
            for name, scheme in {
                "empty": b"",
                "other-socket": b"https",
                "upper": b"HTTP",
                "other": b"ftp",
                "injected": b"http://evil/?",
                "crlf": b"http\r\nX: y",
            }.items()
        ),
        *(
            pytest.param(replaced(b":authority", host), True, MALFORMED, id=f"authority-{name}")
            for name, host in {
                "empty": b"",
                "userinfo": b"u@h",
                "space": b"h x",
                "crlf": b"h\r\nX: y",
                "slash": b"h/a",
                "list": b"h,i",
                "comma-port": b"h:1:2",
            }.items()
        ),
        pytest.param([*START, (b"host", b"i")], True, MALFORMED, id="host-differs"),
        pytest.param([*START, (b"host", b"h:1"), (b"host", b"h:1")], True, MALFORMED, id="host-twice"),
        pytest.param([*START, (b"host", b"")], True, MALFORMED, id="host-empty"),
        *(
            pytest.param([*START, (name, b"1")], True, MALFORMED, id=f"name-{label}")
            for label, name in {
                "empty": b"",
                "upper": b"X-a",
                "space": b"x a",
                "colon": b"x:a",
                "trailing-colon": b"x:",
                "crlf": b"x\r\ny",
                "line": b"x: 1\r\ny",
                "nul": b"x\x00",
                "high": b"x\xff",
                "del": b"x\x7f",
                "tab": b"x\t",
                "brackets": b"x(y)",
            }.items()
        ),
        *(
            pytest.param([*START, (b"x", value)], True, MALFORMED, id=f"value-{label}")
            for label, value in {
                "crlf": b"1\r\ny: 2",
                "cr": b"1\r",
                "lf": b"\n1",
                "nul": b"1\x002",
                "leading-space": b" 1",
                "trailing-space": b"1 ",
                "leading-tab": b"\t1",
                "trailing-tab": b"1\t",
                "blank": b" ",
                "bell": b"1\x072",
                "del": b"1\x7f2",
            }.items()
        ),
        *(
            pytest.param([*START, field], True, MALFORMED, id=f"hop-{field[0].decode()}")
            for field in (
                (b"connection", b"close"),
                (b"connection", b"x-a"),
                (b"proxy-connection", b"keep-alive"),
                (b"keep-alive", b"timeout=5"),
                (b"transfer-encoding", b"chunked"),
                (b"transfer-encoding", b"identity"),
                (b"upgrade", b"websocket"),
                (b"te", b"gzip"),
                (b"te", b"trailers, deflate"),
                (b"te", b""),
            )
        ),
        *(
            pytest.param([*START, (b"content-length", length)], False, FRAMING, id=f"length-{label}")
            for label, length in {
                "empty": b"",
                "signed": b"+3",
                "negative": b"-1",
                "padded": b"03",
                "hex": b"0x3",
                "list": b"3,3",
                "word": b"three",
                "long": b"9" * 19,
                "unicode": "\u0663".encode(),
            }.items()
        ),
        pytest.param([*START, (b"content-length", b"3"), (b"content-length", b"3")], False, FRAMING, id="length-twice"),
        pytest.param([*START, (b"content-length", b"3")], True, FRAMING, id="length-and-no-body"),
        *(
            pytest.param(
                [*START, (b"content-type", kind)], False, (505, Reason.VERSION_NOT_SUPPORTED), id=kind.decode()
            )
            for kind in (b"application/grpc", b"application/grpc+proto", b"Application/GRPC;x=1")
        ),
    ],
)
def test_refused(section: Fields, ended: bool, verdict: tuple[int, Reason]) -> None:
    """What cannot be said in HTTP/1.1 in one way, or must not be said in HTTP/2 at all."""
    with pytest.raises(WireError) as caught:
        read_request(section, HTTP, ended=ended)
    assert (caught.value.status, caught.value.reason) == verdict


@pytest.mark.parametrize(
    ("schemes", "scheme", "good"),
    [
        pytest.param(HTTP, b"http", True, id="cleartext"),
        pytest.param(HTTP, b"https", False, id="cleartext-says-tls"),
        pytest.param(HTTPS, b"https", True, id="tls"),
        pytest.param(HTTPS, b"http", False, id="tls-says-cleartext"),
        pytest.param(EITHER, b"https", True, id="trusted-proxy"),
        pytest.param(EITHER, b"ws", False, id="trusted-proxy-other"),
    ],
)
def test_scheme(schemes: tuple[bytes, ...], scheme: bytes, good: bool) -> None:
    """``:scheme`` is that of the socket, or what a trusted proxy in front may know better."""
    section = replaced(b":scheme", scheme)
    if good:
        assert read_request(section, schemes, ended=True).head
    else:
        with pytest.raises(WireError):
            read_request(section, schemes, ended=True)


@pytest.mark.parametrize(
    ("more", "ended", "length", "chunked"),
    [
        pytest.param([], True, NO_LENGTH, False, id="nothing"),
        pytest.param([], False, NO_LENGTH, True, id="unknown"),
        pytest.param([(b"content-length", b"7")], False, 7, False, id="announced"),
        pytest.param([(b"content-length", b"0")], False, 0, False, id="announced-empty"),
    ],
)
def test_body(more: Fields, ended: bool, length: int, chunked: bool) -> None:
    """How the body is framed behind the head."""
    request = read_request([*START, *more], HTTP, ended=ended)
    assert (request.method, request.length, request.chunked) == (b"GET", length, chunked)


@pytest.mark.parametrize(
    ("section", "good"),
    [
        pytest.param([], True, id="none"),
        pytest.param([(b"x", b"1"), (b"grpc-status", b"0")], True, id="fields"),
        pytest.param([(b":path", b"/")], False, id="pseudo"),
        pytest.param([(b"X", b"1")], False, id="upper"),
        pytest.param([(b"x", b"1\r\ny: 2")], False, id="crlf"),
        pytest.param([(b"connection", b"close")], False, id="hop-by-hop"),
    ],
)
def test_trailers(section: Fields, good: bool) -> None:
    """Trailers are header fields, and nothing else."""
    if good:
        require_trailers(section)
    else:
        with pytest.raises(WireError):
            require_trailers(section)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param([(b"content-type", b"application/grpc")], True, id="grpc"),
        pytest.param([(b"X", b""), (b"content-type", b"application/grpc+json")], True, id="whatever-else-is-wrong"),
        pytest.param([(b"content-type", b"application/grpc-web")], False, id="grpc-web"),
        pytest.param([(b"content-type", b"application/grpcx")], False, id="prefix"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_speaks_grpc(section: Fields, expected: bool) -> None:
    """Whether a refusal is said in the terms of gRPC."""
    assert speaks_grpc(section) is expected


_TEXT = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"a", b"/a", b"GET", b"http", b"h", b"x\r\ny: 1", b" HTTP/1.1\r\n", b"\r\n\r\n", b"chunked", b"3"]
    ),
)
_NAMES = st.one_of(
    _TEXT,
    st.sampled_from([b":method", b":path", b":scheme", b":authority", b"host", b"cookie", b"content-length", b"te"]),
)


@given(st.lists(st.tuples(_NAMES, _TEXT), max_size=4), st.booleans())
def test_never_more_than_it_says(more: Fields, ended: bool) -> None:
    """Whatever stands in a section: what comes out is one head, with the method and target that went in, and as many
    lines as there were fields at most."""
    for section in ([*START, *more], more):
        try:
            request = read_request(section, HTTP, ended=ended)
        except WireError:
            continue
        assert request.head.count(b"\r\n\r\n") == 1
        assert request.head.endswith(b"\r\n\r\n")
        line, _, lines = request.head.partition(b"\r\n")
        pseudo = dict(field for field in section if field[0].startswith(b":"))
        assert line == pseudo[b":method"] + b" " + pseudo[b":path"] + b" HTTP/1.1"
        ours = 3 if request.chunked else 2
        assert lines.count(b"\r\n") - 1 <= len(section) - len(pseudo) + ours
        assert b"\r" not in lines.replace(b"\r\n", b"")
        assert b"\n" not in lines.replace(b"\r\n", b"")


def test_read_by_the_strict_reader() -> None:
    """What is said is what the reader of HTTP/1.1 takes it for."""
    request = read_request([*START, (b"cookie", b"s=1"), (b"cookie", b"t=2"), (b"x", b"y")], HTTP, ended=False)
    line, _, block = request.head.partition(b"\r\n")
    read = read_request_line(line, 8192)
    rules = HeaderRules(NamePolicy(b"X-API-Key", frozenset()), b"s", keep_credentials=False, max_fields=100)
    fields, presented = HeaderReader(rules).read(block[:-2])
    assert read.path is not None
    assert (read.method, read.path.text, read.query) == (b"GET", b"/a", b"b=c")
    assert (fields.host, presented.session, fields.chunked, fields.close) == (b"h:1", b"1", True, True)
    assert fields.forward == b"Host: h:1\r\ncookie: t=2\r\nx: y\r\nTransfer-Encoding: chunked\r\n"
