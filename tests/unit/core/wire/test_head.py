"""Request heads: one reading, or a refusal with the status of spec 2.1 to 2.3."""

from dataclasses import replace

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.block import HeaderBlock, HeaderReader, HeaderRules
from sidegate.core.wire.credential import NOTHING, Presented, gather
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.core.wire.head import read_request_line
from sidegate.core.wire.names import NamePolicy

RULES = HeaderRules(
    NamePolicy(b"X-API-Key", frozenset({b"x-branch"})), b"__session", keep_credentials=False, max_fields=8
)
MAX_TARGET = 64
HOST = b"Host: api.example\r\n"


@pytest.mark.parametrize(
    ("line", "method", "minor", "query", "host", "forwarded"),
    [
        pytest.param(b"GET /a HTTP/1.1", b"GET", 1, None, None, b"GET /a HTTP/1.1\r\n", id="plain"),
        pytest.param(b"GET /a HTTP/1.0", b"GET", 0, None, None, b"GET /a HTTP/1.1\r\n", id="1.0-goes-up-as-1.1"),
        pytest.param(b"GET /a? HTTP/1.1", b"GET", 1, b"", None, b"GET /a? HTTP/1.1\r\n", id="empty-query"),
        pytest.param(
            b"GET /a?x=%2e&y?;'\" HTTP/1.1",
            b"GET",
            1,
            b"x=%2e&y?;'\"",
            None,
            b"GET /a?x=%2e&y?;'\" HTTP/1.1\r\n",
            id="query-byte-for-byte",
        ),
        pytest.param(b"PUT /%61%2fb HTTP/1.1", b"PUT", 1, None, None, b"PUT /a%2Fb HTTP/1.1\r\n", id="path-canonical"),
        pytest.param(
            b"M-SEARCH /a HTTP/1.1", b"M-SEARCH", 1, None, None, b"M-SEARCH /a HTTP/1.1\r\n", id="method-with-dash"
        ),
        pytest.param(
            b"GET http://api.example:80/a?b HTTP/1.1",
            b"GET",
            1,
            b"b",
            b"api.example:80",
            b"GET /a?b HTTP/1.1\r\n",
            id="absolute",
        ),
        pytest.param(
            b"GET HTTPS://[::1] HTTP/1.1", b"GET", 1, None, b"[::1]", b"GET / HTTP/1.1\r\n", id="absolute-without-path"
        ),
        pytest.param(
            b"GET http://h?q HTTP/1.1", b"GET", 1, b"q", b"h", b"GET /?q HTTP/1.1\r\n", id="absolute-only-query"
        ),
    ],
)
def test_request_line(
    line: bytes, method: bytes, minor: int, query: bytes | None, host: bytes | None, *, forwarded: bytes
) -> None:
    """Every accepted line has one reading and goes upstream in origin form."""
    read = read_request_line(line, MAX_TARGET)
    assert (method, minor, query, host, forwarded) == (read.method, read.minor, read.query, read.host, read.forwarded)


def test_asterisk() -> None:
    """`OPTIONS *` has no path and goes upstream as it is."""
    read = read_request_line(b"OPTIONS * HTTP/1.1", MAX_TARGET)
    assert (read.path, read.forwarded) == (None, b"OPTIONS * HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        pytest.param(b"", 400, Reason.MALFORMED_REQUEST, id="empty"),
        pytest.param(b"GET /a", 400, Reason.MALFORMED_REQUEST, id="no-version"),
        pytest.param(b"GET /a ", 400, Reason.MALFORMED_REQUEST, id="empty-version"),
        pytest.param(b"GET  /a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="two-spaces"),
        pytest.param(b"GET /a  HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="two-spaces-before-version"),
        pytest.param(b"GET /a HTTP/1.1 ", 400, Reason.MALFORMED_REQUEST, id="blank-after-version"),
        pytest.param(b" GET /a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="blank-first"),
        pytest.param(b"GET\t/a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="tab"),
        pytest.param(b"get /a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="lower-case-method"),
        pytest.param(b"FOO /a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="unknown-method"),
        pytest.param(b"DESCRIBE /a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="method-of-rtsp"),
        pytest.param(b"PRI * HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="http2-preface-method"),
        pytest.param(b"GET /a http/1.1", 400, Reason.MALFORMED_REQUEST, id="lower-case-version"),
        pytest.param(b"GET /a HTTP/1.1\n", 400, Reason.MALFORMED_REQUEST, id="trailing-lf"),
        pytest.param(b"GET /a HTTP/11.1", 400, Reason.MALFORMED_REQUEST, id="two-digit-version"),
        pytest.param(b"GET /a HTTP/0.9", 505, Reason.VERSION_NOT_SUPPORTED, id="0.9"),
        pytest.param(b"GET /a HTTP/1.2", 505, Reason.VERSION_NOT_SUPPORTED, id="1.2"),
        pytest.param(b"GET /a HTTP/2.0", 505, Reason.VERSION_NOT_SUPPORTED, id="2.0"),
        pytest.param(b"CONNECT a:80 HTTP/1.1", 405, Reason.METHOD_NOT_ALLOWED, id="connect"),
        pytest.param(b"TRACE /a HTTP/1.1", 405, Reason.METHOD_NOT_ALLOWED, id="trace"),
        pytest.param(b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1", 414, Reason.TARGET_TOO_LONG, id="target-too-long"),
        pytest.param(b"GET /a#b HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="fragment"),
        pytest.param(b"GET /a?b#c HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="fragment-in-query"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="not-ascii"),
        pytest.param(b"GET /a\x7f HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="delete"),
        pytest.param(b"GET /a\x00 HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="nul"),
        pytest.param(b"GET * HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="asterisk-of-get"),
        pytest.param(b"GET a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="no-slash"),
        pytest.param(b"GET ?a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="only-query"),
        pytest.param(b"GET ftp://h/a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="other-scheme"),
        pytest.param(b"GET http:///a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="absolute-without-host"),
        pytest.param(b"GET http://u@h/a HTTP/1.1", 400, Reason.MALFORMED_REQUEST, id="user-information"),
        pytest.param(b"GET //h/a HTTP/1.1", 400, Reason.AMBIGUOUS_PATH, id="two-slashes"),
        pytest.param(b"GET /a/../b HTTP/1.1", 400, Reason.AMBIGUOUS_PATH, id="dot-dot"),
        pytest.param(b"GET http://h//a HTTP/1.1", 400, Reason.AMBIGUOUS_PATH, id="absolute-two-slashes"),
    ],
)
def test_refused_line(line: bytes, status: int, reason: Reason) -> None:
    """Each class of spec 2.1 and 2.2 has its status and reason."""
    with pytest.raises(WireError) as refused:
        read_request_line(line, MAX_TARGET)
    assert (status, reason) == (refused.value.status, refused.value.reason)


def test_longest_target() -> None:
    """The limit counts the whole target, path and query."""
    target = b"/" + b"a" * (MAX_TARGET - 3) + b"?b"
    assert read_request_line(b"GET %b HTTP/1.1" % target, MAX_TARGET).query == b"b"


def _read(block: bytes) -> HeaderBlock:
    return HeaderReader(RULES).read(HOST + block)[0]


@pytest.mark.parametrize(
    ("block", "forward"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"x-One:  1 \r\nAccept: */*\r\n", b"x-One: 1\r\nAccept: */*\r\n", id="order-and-spelling"),
        pytest.param(b"A: 1\r\nA: 2\r\n", b"A: 1\r\nA: 2\r\n", id="repeats"),
        pytest.param(b"Keep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\n", b"", id="hop-by-hop"),
        pytest.param(b"Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Hop2: 1\r\n", b"X-Hop2: 1\r\n", id="nominated"),
        pytest.param(b"Connection:\r\n", b"", id="empty-connection"),
        pytest.param(b"X-Sidegate-Account: user:eve\r\nx_sidegate_account: user:eve\r\n", b"", id="identity"),
        pytest.param(b"X-Original-URL: /x\r\nForwarded: for=1\r\nX-Real-IP: 1\r\n", b"", id="overrides"),
        pytest.param(b"Content_Length: 5\r\nTransfer.Encoding: chunked\r\n", b"", id="aliases"),
        pytest.param(b"Content-Length: 5\r\n", b"Content-Length: 5\r\n", id="length"),
        pytest.param(b"Transfer-Encoding: CHUNKED\r\n", b"Transfer-Encoding: chunked\r\n", id="chunked-re-made"),
        pytest.param(b"Expect: 100-Continue\r\n", b"", id="expect"),
        pytest.param(b"Authorization: Bearer a\r\nX-API-Key: b\r\n", b"", id="credentials-stripped"),
        pytest.param(b"Authorization: Basic a\r\n", b"", id="foreign-authorization-stripped"),
        pytest.param(b"Cookie: a=1; __session=t; b=2\r\n", b"Cookie: a=1; b=2\r\n", id="session-cut-out"),
        pytest.param(b"Cookie: __session=t\r\n", b"", id="nothing-left-of-cookie"),
        pytest.param(b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n", b"", id="h2c-dropped"),
        pytest.param(b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", b"", id="forwarding-rebuilt"),
        pytest.param(b"X-Sidegate-Approval: ap_1\r\n", b"", id="approval-is-for-us"),
        pytest.param(b"X-Branch: main\r\n", b"X-Branch: main\r\n", id="decisive-passes"),
        pytest.param(b"Traceparent: x\r\n", b"Traceparent: x\r\n", id="traceparent-passes"),
    ],
)
def test_forwarded_headers(block: bytes, forward: bytes) -> None:
    """What reaches the upstream, byte for byte (spec 2.3)."""
    assert HOST + forward == _read(block).forward


def test_credentials_kept() -> None:
    """Where the configuration forwards credentials they pass as they came."""
    block = HOST + b"Cookie: __session=t; b=2\r\nAuthorization: Bearer a\r\nX-API-Key: k\r\n"
    assert block == HeaderReader(replace(RULES, keep_credentials=True)).read(block)[0].forward


@pytest.mark.parametrize(
    ("block", "status", "reason"),
    [
        pytest.param(b"", 400, Reason.MALFORMED_REQUEST, id="no-host"),
        pytest.param(HOST + HOST, 400, Reason.MALFORMED_REQUEST, id="two-hosts"),
        pytest.param(b"Host:\r\n", 400, Reason.MALFORMED_REQUEST, id="empty-host"),
        pytest.param(b"Host: a b\r\n", 400, Reason.MALFORMED_REQUEST, id="host-with-blank"),
        pytest.param(b"Host: a:port\r\n", 400, Reason.MALFORMED_REQUEST, id="port-not-a-number"),
        pytest.param(b"Host: a:123456\r\n", 400, Reason.MALFORMED_REQUEST, id="port-too-long"),
        pytest.param(b"Host: u@a\r\n", 400, Reason.MALFORMED_REQUEST, id="host-with-user"),
        pytest.param(b"Host: a/b\r\n", 400, Reason.MALFORMED_REQUEST, id="host-with-path"),
        pytest.param(b"Host: a,b\r\n", 400, Reason.MALFORMED_REQUEST, id="host-list"),
        pytest.param(HOST + b"A : b\r\n", 400, Reason.MALFORMED_REQUEST, id="blank-before-colon"),
        pytest.param(HOST + b"A: b\r\n c\r\n", 400, Reason.MALFORMED_REQUEST, id="folded"),
        pytest.param(HOST + b"A: \x00\r\n", 400, Reason.MALFORMED_REQUEST, id="nul"),
        pytest.param(HOST + b"A: 1\r\n" * 8, 431, Reason.HEAD_TOO_LARGE, id="too-many"),
        pytest.param(
            HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, Reason.AMBIGUOUS_FRAMING, id="both"
        ),
        pytest.param(HOST + b"Content-Length: 01\r\n", 400, Reason.AMBIGUOUS_FRAMING, id="leading-zero"),
        pytest.param(HOST + b"Connection: a b\r\n", 400, Reason.MALFORMED_REQUEST, id="connection-not-tokens"),
        pytest.param(HOST + b"Connection: host\r\n", 400, Reason.MALFORMED_REQUEST, id="connection-names-host"),
        pytest.param(
            HOST + b"Connection: x, X_Sidegate_Account\r\n",
            400,
            Reason.MALFORMED_REQUEST,
            id="connection-names-identity",
        ),
        pytest.param(
            HOST + b"Connection: x\r\nConnection: cookie\r\n", 400, Reason.MALFORMED_REQUEST, id="second-connection"
        ),
        pytest.param(HOST + b"Expect: 200-maybe\r\n", 417, Reason.EXPECTATION_FAILED, id="other-expectation"),
        pytest.param(
            HOST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n", 400, Reason.MALFORMED_REQUEST, id="two-expects"
        ),
        pytest.param(HOST + b"X-Branch: a\r\nX-Branch: a\r\n", 400, Reason.MALFORMED_REQUEST, id="decisive-twice"),
        pytest.param(
            HOST + b"X-Sidegate-Approval: a\r\nX-Sidegate-Approval: b\r\n",
            400,
            Reason.MALFORMED_REQUEST,
            id="two-approvals",
        ),
    ],
)
def test_refused_block(block: bytes, status: int, reason: Reason) -> None:
    """Each class of spec 2.1 and 2.3 has its status and reason."""
    with pytest.raises(WireError) as refused:
        HeaderReader(RULES).read(block)
    assert (status, reason) == (refused.value.status, refused.value.reason)


@pytest.mark.parametrize(
    ("block", "field", "expected"),
    [
        pytest.param(b"", "length", NO_LENGTH, id="no-length"),
        pytest.param(b"Content-Length: 7\r\n", "length", 7, id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", "chunked", True, id="chunked"),
        pytest.param(b"Connection: x, CLOSE\r\n", "close", True, id="close"),
        pytest.param(b"Connection: closed\r\n", "close", False, id="not-close"),
        pytest.param(b"Connection: keep-alive\r\nUpgrade: websocket\r\n", "upgrade", None, id="upgrade-not-named"),
        pytest.param(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", "upgrade", b"websocket", id="upgrade"),
        pytest.param(b"Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", "upgrade", b"a,b", id="upgrades-joined"),
        pytest.param(b"Connection: upgrade\r\n", "upgrade", None, id="upgrade-to-nothing"),
        pytest.param(b"Expect: 100-continue\r\n", "expects_continue", True, id="expect"),
        pytest.param(b"X-Forwarded-For: a\r\nX-Forwarded-For: b\r\n", "forwarded_for", b"a,b", id="for-joined"),
        pytest.param(b"X-Forwarded-Proto: https\r\n", "forwarded_proto", b"https", id="proto"),
        pytest.param(b"X-Forwarded-Proto: gopher\r\n", "forwarded_proto", None, id="proto-unknown"),
        pytest.param(b"X-Forwarded-Host: a:1\r\n", "forwarded_host", b"a:1", id="forwarded-host"),
        pytest.param(b"X-Forwarded-Host: a\r\nX-Forwarded-Host: b\r\n", "forwarded_host", None, id="two-hosts"),
        pytest.param(b"X-Sidegate-Approval: ap\r\n", "approval", b"ap", id="approval"),
        pytest.param(b"X-Request-Id: r-1\r\n", "request_id", "r-1", id="request-id"),
        pytest.param(b"X-Request-Id: a b\r\n", "request_id", None, id="request-id-with-blank"),
        pytest.param(b"X-Request-Id: " + b"a" * 129 + b"\r\n", "request_id", None, id="request-id-too-long"),
        pytest.param(b"X-Request-Id: a\r\nX-Request-Id: a\r\n", "request_id", None, id="two-request-ids"),
        pytest.param(
            b"traceparent: 00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01\r\n", "trace_id", "ab" * 16, id="trace-id"
        ),
        pytest.param(b"traceparent: 00-xyz\r\n", "trace_id", None, id="trace-id-malformed"),
        pytest.param(b"X-Branch: main\r\n", "fields", {b"x-branch": (b"main",)}, id="decisive"),
        pytest.param(b"X-Other: main\r\n", "fields", {}, id="not-decisive"),
        pytest.param(
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            "websocket_key",
            b"A" * 22 + b"==",
            id="websocket-key",
        ),
        pytest.param(
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            "websocket_key",
            None,
            id="websocket-version-8",
        ),
        pytest.param(
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n",
            "websocket_key",
            None,
            id="websocket-key-not-canonical",
        ),
        pytest.param(b"Sec-WebSocket-Version: 13\r\n", "websocket_key", None, id="websocket-no-key"),
    ],
)
def test_read_fields(block: bytes, field: str, expected: object) -> None:
    """What later steps read of a header block."""
    assert expected == getattr(_read(block), field)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(b"", NOTHING, id="no-credential"),
        pytest.param(b"Cookie: a=b\r\n", NOTHING, id="another-cookie"),
        pytest.param(b"Cookie: __session=t\r\n", gather((b"t",), (), ()), id="cookie"),
        pytest.param(b"Cookie: __session=t; __session=u\r\n", gather((b"t", b"u"), (), ()), id="two-in-a-line"),
        pytest.param(b"Cookie: __session=t\r\nCookie: __session=t\r\n", gather((b"t", b"t"), (), ()), id="two-lines"),
        pytest.param(b"Authorization: Bearer t\r\n", gather((), (b"Bearer t",), ()), id="bearer"),
        pytest.param(b"X-Api-Key: k\r\n", gather((), (), (b"k",)), id="key"),
        pytest.param(
            b"X-Api-Key: k\r\nCookie: __session=t\r\nX-Api-Key: l\r\nAuthorization: Basic x\r\n",
            gather((b"t",), (b"Basic x",), (b"k", b"l")),
            id="everything",
        ),
    ],
)
def test_presented(block: bytes, expected: Presented) -> None:
    """What a block presents, by however many lines; also when all of them were seen before."""
    reader = HeaderReader(RULES)
    assert [expected] * 3 == [reader.read(HOST + block)[1] for _ in range(3)]


def test_blocks_that_differ_in_a_token_are_one() -> None:
    """Nothing but what they present is read anew."""
    reader = HeaderReader(RULES)
    found = [reader.read(HOST + b"A: b\r\nCookie: c=d; __session=%d; e\r\n" % number) for number in range(4)]
    assert found[3][0] is found[2][0]
    assert found[0][0] == found[3][0]
    assert [presented.session for _, presented in found] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(b"Cookie: a=1; __session=t", b"Cookie: a=2; __session=t", id="other-cookie"),
        pytest.param(b"Cookie: __session=t", b"Cookie: a=2", id="no-session"),
        pytest.param(b"Cookie: __session=t", b"X-Api-Key: t", id="another-kind"),
        pytest.param(b"X-Branch: a", b"X-Branch: b", id="decisive"),
        pytest.param(b"Authorization: a", b"Authorization: b", id="decisive-credential"),
    ],
)
def test_blocks_that_differ_in_more_are_not_one(first: bytes, second: bytes) -> None:
    """Whatever else a line says, or a route reads of it, is read for each."""
    decisive = frozenset({b"x-branch", b"authorization"})
    reader = HeaderReader(replace(RULES, names=NamePolicy(b"X-API-Key", decisive)))
    for _ in range(3):
        found, other = (reader.read(HOST + line + b"\r\n") for line in (first, second))
        assert found[0] is not other[0]
        assert (found[0].forward, found[0].fields, found[1]) != (other[0].forward, other[0].fields, other[1])


def test_long_blocks_are_read_anew() -> None:
    """What would take much memory is not remembered."""
    reader = HeaderReader(RULES)
    lines = HOST + b"".join(b"A%d: %b\r\n" % (number, b"x" * 1024) for number in range(4))
    assert len({id(block) for block in [reader.read(lines)[0] for _ in range(4)]}) == 4


def test_host_is_read() -> None:
    """The one Host is kept as written."""
    assert _read(b"").host == b"api.example"


class _StricterParser:
    """A version of llhttp that refuses what ours accepts."""

    def __init__(self, protocol: object) -> None:
        del protocol

    def feed_data(self, data: bytes) -> None:
        raise httptools.HttpParserInvalidMethodError(data)


def test_both_readers_must_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that only our own grammar accepts is refused: llhttp is the second judge of every line."""
    _read(b"")
    monkeypatch.setattr(httptools, "HttpRequestParser", _StricterParser)
    with pytest.raises(WireError) as refused:
        _read(b"")
    assert (refused.value.status, refused.value.reason) == (400, Reason.MALFORMED_REQUEST)


def test_unfinished_line() -> None:
    """A block whose last line does not end in CRLF is refused, whoever cut it."""
    with pytest.raises(WireError) as refused:
        HeaderReader(RULES).read(HOST + b"A: b")
    assert (refused.value.status, refused.value.reason) == (400, Reason.MALFORMED_REQUEST)


_LINES = st.sampled_from(
    [
        HOST,
        b"A: 1\r\n",
        b"A: 2\r\n",
        b"Cookie: __session=t\r\n",
        b"Cookie: __session=v\r\n",
        b"Cookie: __session=t; __session=v\r\n",
        b"Cookie: a=1\r\n",
        b"Cookie: a=1; __session=u\r\n",
        b"X-Api-Key: k\r\n",
        b"Authorization: Bearer t\r\n",
        b"Authorization: Basic t\r\n",
        b"X-Api-Key: l\r\n",
        b"Connection: close\r\n",
        b"Connection: A\r\n",
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-Branch: x\r\n",
        b"Expect: 100-continue\r\n",
        b"bad\r\n",
        b"A : b\r\n",
        b"X-Forwarded-For: 10.0.0.1\r\n",
        b"traceparent: 00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01\r\n",
    ]
)


_READS_CREDENTIALS = NamePolicy(b"X-API-Key", frozenset({b"cookie", b"authorization", b"x-api-key"}))


def _verdict(reader: HeaderReader, block: bytes) -> tuple[HeaderBlock | int, Presented | Reason]:
    try:
        return reader.read(block)
    except WireError as error:
        return error.status, error.reason


@given(
    st.lists(st.lists(_LINES, max_size=6).map(b"".join), min_size=1, max_size=4),
    st.sampled_from([RULES, replace(RULES, keep_credentials=True), replace(RULES, names=_READS_CREDENTIALS)]),
)
def test_memory_changes_nothing(blocks: list[bytes], rules: HeaderRules) -> None:
    """What a reader remembers of other blocks never changes what it says of one: the third time as the first."""
    fresh = [_verdict(HeaderReader(rules), block) for block in blocks]
    reader = HeaderReader(rules)
    assert [fresh] * 3 == [[_verdict(reader, block) for block in blocks] for _ in range(3)]
