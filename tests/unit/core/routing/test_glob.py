"""A glob pattern stands for its longest prefix of literal segments (spec 1.6)."""

import pytest

from sidegate.core.model.errors import NamingError
from sidegate.core.routing.glob import literal_prefix


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("designs/current", ("designs", "current"), id="all-literal"),
        pytest.param("designs/*.json", ("designs",), id="star"),
        pytest.param("designs/**/*.json", ("designs",), id="double-star"),
        pytest.param("**", (), id="everything"),
        pytest.param("*.json", (), id="wildcard-first"),
        pytest.param("a/b?/c", ("a",), id="question-mark"),
        pytest.param("a/[bc]/d", ("a",), id="class"),
        pytest.param("a/{b,c/d}/e", ("a",), id="braces-over-a-slash"),
        pytest.param("a/!(b)/c", ("a",), id="extended"),
        pytest.param("!a/b", (), id="negation"),
        pytest.param("~/b", (), id="home"),
        pytest.param("a/b/", ("a", "b"), id="trailing-slash"),
        pytest.param("a+b@c/x", ("a+b@c", "x"), id="plain-signs"),
        pytest.param(".git/*", (".git",), id="hidden"),
        pytest.param("a/...", ("a", "..."), id="three-dots"),
    ],
)
def test_prefix(pattern: str, expected: tuple[str, ...]) -> None:
    """The first segment with a character that any dialect takes for special ends the prefix."""
    assert expected == literal_prefix(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("", id="empty"),
        pytest.param("/", id="slash"),
        pytest.param("/a/*", id="absolute"),
        pytest.param("a//b", id="empty-segment"),
        pytest.param("a/*/../../b", id="dot-dot-behind-a-wildcard"),
        pytest.param("../a", id="dot-dot-first"),
        pytest.param("a/./b", id="dot"),
        pytest.param("a/{..,x}/b", id="dot-dot-in-braces"),
        pytest.param("a/@(..|x)/b", id="dot-dot-in-a-group"),
        pytest.param("a/[.][.]/b", id="dot-dot-in-classes"),
        pytest.param("a\\*", id="backslash"),
        pytest.param("a\x00b", id="control"),
        pytest.param("a/" * 64 + "b", id="65-segments"),
        pytest.param("a/" + "x" * 256, id="segment-too-long"),
        pytest.param("*/\ud800", id="surrogate-behind-a-wildcard"),
    ],
)
def test_refused(pattern: str) -> None:
    """A pattern that could reach outside its prefix is refused, also behind the first wildcard."""
    with pytest.raises(NamingError):
        literal_prefix(pattern)
