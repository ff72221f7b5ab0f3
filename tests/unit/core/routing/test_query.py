"""A query parameter that decides is read one way."""

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.routing.query import read_parameter


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(b"", None, id="no-query"),
        pytest.param(b"a=1", None, id="another"),
        pytest.param(b"p=1", "1", id="one"),
        pytest.param(b"p=", "", id="empty-value"),
        pytest.param(b"p", "", id="no-equals-sign"),
        pytest.param(b"a=1&p=2&&b", "2", id="among-others"),
        pytest.param(b"p=a=b", "a=b", id="first-equals-sign-divides"),
        pytest.param(b"p=a+b", "a b", id="plus-is-a-space"),
        pytest.param(b"p=a%2Bb", "a+b", id="escaped-plus"),
        pytest.param(b"p=%2525", "%25", id="decoded-once"),
        pytest.param(b"p=a%26q", "a&q", id="escaped-separator"),
        pytest.param(b"p=%C3%BC", "\u00fc", id="utf-8"),
        pytest.param(b"%70=1", "1", id="escaped-name"),
        pytest.param(b"P=1", None, id="case-matters"),
        pytest.param(b"p[]=1", None, id="brackets-are-another-name"),
        pytest.param(b"=1", None, id="nameless"),
    ],
)
def test_read(query: bytes, expected: str | None) -> None:
    """Split at ``&`` only, each side decoded once."""
    assert expected == read_parameter(query, "p")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(b"p=1&p=1", id="twice"),
        pytest.param(b"p=1&%70=2", id="twice-once-escaped"),
        pytest.param(b"p&p=2", id="twice-once-without-value"),
        pytest.param(b"p=1;q=2", id="semicolon"),
        pytest.param(b"q=1;p=2", id="semicolon-elsewhere"),
        pytest.param(b"p=%", id="escape-cut-short"),
        pytest.param(b"p=%4", id="escape-of-one-digit"),
        pytest.param(b"p=%4g", id="escape-of-no-digits"),
        pytest.param(b"%zz=1", id="malformed-name"),
        pytest.param(b"p=1&q=%zz", id="malformed-elsewhere"),
        pytest.param(b"p=%ff", id="not-utf-8"),
        pytest.param(b"p=%c0%af", id="overlong-utf-8"),
        pytest.param(b"p=%ed%a0%80", id="surrogate"),
    ],
)
def test_refused(query: bytes) -> None:
    """Whatever another reader could see differently is a malformed request."""
    with pytest.raises(WireError) as caught:
        read_parameter(query, "p")
    assert (caught.value.status, caught.value.reason) == (400, Reason.MALFORMED_REQUEST)
