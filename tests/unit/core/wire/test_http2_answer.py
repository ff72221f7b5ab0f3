"""An answer of HTTP/1.1 as HTTP/2 says it (RFC 9113 section 8.1)."""

import pytest

from sidegate.core.model.errors import WireError
from sidegate.core.wire.http2_answer import AnswerReader, answer_head, grpc_answer
from sidegate.core.wire.response import read_response_head

OK = b"HTTP/1.1 200 OK\r\n"


def read(method: bytes, pieces: list[bytes], *, end: bool = False) -> tuple[list[int], bytes, bool]:
    """Read an answer that is written in these pieces; return statuses, payload and whether it is whole."""
    reader = AnswerReader(method)
    statuses, payload = [], b""
    for piece in pieces:
        rest = piece
        while not reader.begun:
            found = reader.find_head(rest)
            if found is None:
                break
            raw, rest = found
            head = read_response_head(raw)
            statuses.append(head.status)
            reader.begin(head)
        if reader.begun and rest:
            payload += reader.feed(rest)
    if end:
        reader.end()
    return statuses, payload, reader.done


def test_head_in_lower_case() -> None:
    """The status becomes a pseudo-header field, names become lower case, and order stays."""
    head = answer_head(b"HTTP/1.1 404 Not Found\r\nX-B: 1\r\nx-a: \r\nSet-Cookie: A=b\r\n")
    assert head.status == 404
    assert head.section == ((b":status", b"404"), (b"x-b", b"1"), (b"x-a", b""), (b"set-cookie", b"A=b"))


@pytest.mark.parametrize(
    ("method", "written", "payload"),
    [
        pytest.param(b"GET", OK + b"Content-Length: 3\r\n\r\nabc", b"abc", id="length"),
        pytest.param(b"GET", OK + b"Content-Length: 0\r\n\r\n", b"", id="empty"),
        pytest.param(
            b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde", id="chunked"
        ),
        pytest.param(b"HEAD", OK + b"Content-Length: 3\r\n\r\n", b"", id="head"),
        pytest.param(b"HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", b"", id="head-chunked"),
        pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="204"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", id="304"),
        pytest.param(
            b"GET",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na",
            b"a",
            id="interim",
        ),
    ],
)
def test_whole(method: bytes, written: bytes, payload: bytes) -> None:
    """The end of an answer is found wherever its bytes are cut, and nowhere before."""
    for place in range(len(written)):
        statuses, got, done = read(method, [written[:place], written[place:]])
        assert (got, done) == (payload, True)
        assert statuses == ([103, 200] if b"103" in written else statuses[:1])
    assert not read(method, [written[:-1]])[2]


def test_until_close() -> None:
    """Without a length an answer ends when that is said, and only then."""
    assert read(b"GET", [OK + b"\r\nabc", b"de"]) == ([200], b"abcde", False)
    assert read(b"GET", [OK + b"\r\nabc", b"de"], end=True) == ([200], b"abcde", True)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: 3\r\n", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", id="chunked"),
    ],
)
def test_cut_is_not_whole(head: bytes) -> None:
    """An answer that was announced otherwise is not whole because nothing more comes."""
    assert not read(b"GET", [OK + head + b"\r\n", b"1\r\n"[:2]], end=True)[2]


@pytest.mark.parametrize(
    ("method", "written"),
    [
        pytest.param(b"GET", OK + b"Content-Length: 1\r\n\r\nab", id="longer"),
        pytest.param(b"HEAD", OK + b"Content-Length: 1\r\n\r\na", id="head"),
        pytest.param(b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", id="chunked"),
        pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\n\r\nx", id="204"),
    ],
)
def test_more_than_announced(method: bytes, written: bytes) -> None:
    """Nothing comes behind the end of an answer."""
    with pytest.raises(WireError):
        read(method, [written])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(505, b"12", id="not-supported"),
        pytest.param(400, b"12", id="malformed"),
        pytest.param(503, b"14", id="unavailable"),
    ],
)
def test_grpc(status: int, code: bytes) -> None:
    """A client of gRPC is told with 200 and a status of its own, and a message that is printable ASCII."""
    fields = dict(grpc_answer(status).section)
    assert (fields[b":status"], fields[b"content-type"], fields[b"grpc-status"]) == (b"200", b"application/grpc", code)
    assert fields[b"grpc-message"].isascii()
    assert b"%2F2" in fields[b"grpc-message"] or status == 503
