"""Results as JUnit XML."""

from xml.etree import ElementTree as ET

from sidegate.cli.junit import write_junit
from sidegate.cli.policy_cases import Case, CaseResult
from sidegate.cli.questions import Answer, Asked
from sidegate.core.engine.expectations import Expectation
from sidegate.core.model.decision import Reason, deny
from sidegate.core.model.errors import Position
from sidegate.core.model.units import UnixMillis


def _result(name: str, *mismatches: str) -> CaseResult:
    case = Case(name, Position("a.yaml", 3, 5), Asked(None, (), UnixMillis(0)), Expectation())
    return CaseResult(case, Answer(deny(Reason.NO_GRANT), None), mismatches)


def test_one_suite_per_file() -> None:
    """Counts, places, and what is wrong; characters that XML gives a meaning, or cannot hold, come through."""
    text = write_junit({"a.yaml": [_result("one"), _result("<&\"'\x00\x1b", "x is <y>", "z")], "b.yaml": []})
    root = ET.fromstring(text)
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("a.yaml", "2", "1"),
        ("b.yaml", "0", "0"),
    ]
    one, two = root[0]
    assert (one.attrib, len(one)) == (
        {"classname": "a.yaml", "name": "one", "file": "a.yaml", "line": "3"},
        0,
    )
    assert (two.get("name"), two[0].get("message")) == ("<&\"'\\x00\\x1b", "x is <y>; z")
    assert two[0].text == "a.yaml:3:5: x is <y>; z"


def test_nothing() -> None:
    """No files, no suites."""
    assert list(ET.fromstring(write_junit({}))) == []
