"""Path patterns are read one way or refused."""

import pytest

from sidegate.core.routing.pattern import PatternError, Segment, Shape, parse_pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/", [Segment(Shape.FIXED, "", "", "")], id="root"),
        pytest.param("/a", [Segment(Shape.FIXED, "a", "", "")], id="fixed"),
        pytest.param("/a/", [Segment(Shape.FIXED, "a", "", ""), Segment(Shape.FIXED, "", "", "")], id="trailing-slash"),
        pytest.param("/{x}", [Segment(Shape.PARAMETER, "", "x", "")], id="parameter"),
        pytest.param("/{x}:glob", [Segment(Shape.AFFIXED, "", "x", ":glob")], id="suffix"),
        pytest.param("/v-{x}", [Segment(Shape.AFFIXED, "v-", "x", "")], id="prefix"),
        pytest.param("/a/{x*}", [Segment(Shape.FIXED, "a", "", ""), Segment(Shape.TAIL, "", "x", "")], id="tail"),
        pytest.param("/ümlaut and space", [Segment(Shape.FIXED, "ümlaut and space", "", "")], id="decoded-text"),
        pytest.param("/...", [Segment(Shape.FIXED, "...", "", "")], id="three-dots"),
        pytest.param("*", [], id="asterisk-form"),
    ],
)
def test_pattern_is_its_segments(text: str, expected: list[Segment]) -> None:
    """A pattern has one segment between slashes, each fixed, a parameter, an affixed parameter or the tail."""
    assert tuple(expected) == parse_pattern(text).segments


def test_places_of_parameters() -> None:
    """Each parameter is found by its name, the tail by its place."""
    pattern = parse_pattern("/v1/{org}/{branch}:glob/{path*}")
    assert pattern.places == {"org": 1, "branch": 2, "path": 3}
    assert pattern.tail_place == 3
    assert parse_pattern("/v1/{org}").tail_place is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("", "does not start with `/`", id="empty"),
        pytest.param("v1/a", "does not start with `/`", id="relative"),
        pytest.param("/a//b", "empty segment", id="empty-segment"),
        pytest.param("/a/./b", "no canonical path", id="dot"),
        pytest.param("/a/..", "no canonical path", id="dot-dot"),
        pytest.param("/{a}-{b}", "two parameters in one segment", id="two-parameters"),
        pytest.param("/{x*}/b", "a tail stands at the end", id="tail-in-the-middle"),
        pytest.param("/{x*}/", "a tail stands at the end", id="slash-behind-tail"),
        pytest.param("/a{x*}", "a tail is a whole segment", id="text-before-tail"),
        pytest.param("/{x*}.git", "a tail is a whole segment", id="text-behind-tail"),
        pytest.param("/{x}/{x}", "names {x} twice", id="same-name-twice"),
        pytest.param("/{}", "fixed part", id="nameless"),
        pytest.param("/{a b}", "fixed part", id="name-with-space"),
        pytest.param("/{1}", "fixed part", id="name-starts-with-digit"),
        pytest.param("/a%20b", "write each segment decoded", id="escape"),
        pytest.param("/a?b=c", "the query under `query`", id="query"),
        pytest.param("/a#b", "fixed part", id="fragment"),
        pytest.param("/a;b", "fixed part", id="semicolon"),
        pytest.param("/a\\b", "fixed part", id="backslash"),
        pytest.param("/a\x00", "control character", id="control"),
        pytest.param("/\ud800", "control character", id="surrogate"),
        pytest.param("/u\u0308", "normal form C", id="not-nfc"),
    ],
)
def test_pattern_refused(text: str, hint: str) -> None:
    """What no canonical path could match, or what could be read in two ways, is refused with what to write."""
    with pytest.raises(PatternError, match=hint.replace("{", r"\{").replace("*", r"\*")):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        pytest.param("/a", "a", True, id="fixed-same"),
        pytest.param("/a", "A", False, id="case-matters"),
        pytest.param("/{x}", "a", True, id="parameter"),
        pytest.param("/{x}", "", False, id="parameter-never-empty"),
        pytest.param("/{x}:glob", "b:glob", True, id="suffix"),
        pytest.param("/{x}:glob", ":glob", False, id="suffix-alone"),
        pytest.param("/aa{x}aa", "aaa", False, id="affixes-may-not-overlap"),
        pytest.param("/aa{x}aa", "aaaaa", True, id="one-character-between"),
        pytest.param("/v-{x}", "w-1", False, id="other-prefix"),
    ],
)
def test_segment_takes(pattern: str, text: str, *, expected: bool) -> None:
    """A parameter takes at least one character, with its literal text around it."""
    assert expected == parse_pattern(pattern).segments[0].takes(text)
