"""A JSON body that decides is read one way."""

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.routing.body import parse_body, parse_pointer, read_pointer, require_json_headers


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"a": "x"}', {"a": "x"}, id="object"),
        pytest.param(b' [1, 2.5, true, null, {"a": {}}] ', [1, 2.5, True, None, {"a": {}}], id="every-type"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="surrogate-pair"),
        pytest.param(b'"\\\\ud800"', "\\ud800", id="escaped-backslash-is-no-surrogate"),
        pytest.param(b'{"a": {"b": 1}, "b": {"b": 1}}', {"a": {"b": 1}, "b": {"b": 1}}, id="same-name-elsewhere"),
    ],
)
def test_parse(body: bytes, expected: object) -> None:
    """Any JSON text in UTF-8 is read."""
    assert expected == parse_body(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="none"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut-short"),
        pytest.param(b"{} {}", id="two-texts"),
        pytest.param(b"{'a': 1}", id="single-quotes"),
        pytest.param(b'{"a": 1,}', id="trailing-comma"),
        pytest.param(b'{"a": 1, "a": 1}', id="repeated-member"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="repeated-member-escaped"),
        pytest.param(b'[[{"x": {"a": 1, "a": 1}}]]', id="repeated-member-deep"),
        pytest.param(b"[NaN]", id="nan"),
        pytest.param(b"[-Infinity]", id="infinity"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param(b'"\xff"', id="not-utf-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate-bytes"),
        pytest.param(b'"\\ud800"', id="lone-surrogate"),
        pytest.param(b'{"\\uDFFF": 1}', id="lone-surrogate-in-a-name"),
        pytest.param(b'"a\nb"', id="raw-control-character"),
        pytest.param(b"[" * 100_000, id="nested-too-deep"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nested-too-deep-and-closed"),
        pytest.param(b"1" * 5000, id="integer-too-long"),
    ],
)
def test_parse_refused(body: bytes | None) -> None:
    """Whatever another parser could see differently is a malformed request."""
    with pytest.raises(WireError) as caught:
        parse_body(body)
    assert (caught.value.status, caught.value.reason) == (400, Reason.MALFORMED_REQUEST)


DOCUMENT = {"a": {"b": "x", "": "empty", "c/d": "slash", "e~f": "tilde"}, "list": ["zero", {"n": "one"}], "n": 1}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        pytest.param("/a/b", "x", id="member"),
        pytest.param("/a/", "empty", id="empty-name"),
        pytest.param("/a/c~1d", "slash", id="escaped-slash"),
        pytest.param("/a/e~0f", "tilde", id="escaped-tilde"),
        pytest.param("/list/0", "zero", id="index"),
        pytest.param("/list/1/n", "one", id="member-of-an-element"),
    ],
)
def test_pointer(pointer: str, expected: str) -> None:
    """A pointer names one string (RFC 6901)."""
    assert expected == read_pointer(DOCUMENT, parse_pointer(pointer))


@pytest.mark.parametrize(
    "pointer",
    [
        pytest.param("/x", id="missing"),
        pytest.param("/a/b/c", id="below-a-string"),
        pytest.param("/a", id="object"),
        pytest.param("/n", id="number"),
        pytest.param("/list/2", id="index-past-the-end"),
        pytest.param("/list/00", id="index-with-leading-zero"),
        pytest.param("/list/-", id="index-behind-the-last"),
        pytest.param("/list/-1", id="negative-index"),
        pytest.param("/list/n", id="name-in-a-list"),
    ],
)
def test_pointer_refused(pointer: str) -> None:
    """What is not there, or is not a string, is a malformed request."""
    with pytest.raises(WireError, match="JSON body"):
        read_pointer(DOCUMENT, parse_pointer(pointer))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"path": "a", "Path": "b"}, id="other-case"),
        pytest.param({"path": "a", "\u017fath": "b", "PATH": "c"}, id="other-case-again"),
    ],
)
def test_member_in_another_case_refused(document: dict[str, str]) -> None:
    """A second member that a parser blind to case takes for the same is refused."""
    with pytest.raises(WireError, match="another case"):
        read_pointer(document, ("path",))


@pytest.mark.parametrize("text", ["", "a", "a/b", "/~", "/a~2b", "/~x"])
def test_not_a_pointer(text: str) -> None:
    """The empty pointer and malformed escapes are refused when the routes are loaded."""
    with pytest.raises(ValueError, match="not a JSON pointer"):
        parse_pointer(text)


@pytest.mark.parametrize(
    "content_type",
    [
        (),
        (b"application/json",),
        (b"application/json; charset=utf-8",),
        (b'Application/JSON;charset="UTF-8"',),
        (b"application/merge-patch+json",),
        (b" application/json ",),
    ],
)
def test_json_declared(content_type: tuple[bytes, ...]) -> None:
    """JSON may be declared, or nothing at all."""
    require_json_headers(content_type, ())


@pytest.mark.parametrize(
    ("content_type", "content_encoding"),
    [
        pytest.param((b"application/x-www-form-urlencoded",), (), id="form"),
        pytest.param((b"text/plain",), (), id="text"),
        pytest.param((b"application/json; charset=utf-16",), (), id="other-charset"),
        pytest.param((b"application/json; boundary=x",), (), id="other-parameter"),
        pytest.param((b"application/json", b"application/json"), (), id="twice"),
        pytest.param((b"application/json, text/plain",), (), id="list"),
        pytest.param((b"application/jsonp",), (), id="longer"),
        pytest.param((b"",), (), id="empty"),
        pytest.param((), (b"gzip",), id="encoded"),
        pytest.param((), (b"identity",), id="said-to-be-not-encoded"),
    ],
)
def test_other_declaration_refused(content_type: tuple[bytes, ...], content_encoding: tuple[bytes, ...]) -> None:
    """A body that declares to be something else may be read by the upstream as something else."""
    with pytest.raises(WireError) as caught:
        require_json_headers(content_type, content_encoding)
    assert caught.value.status == 400
