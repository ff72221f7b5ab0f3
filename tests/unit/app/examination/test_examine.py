"""The checks as a whole."""

from sidegate.app.examination.check import Section
from sidegate.app.examination.examine import CHECKS


def test_checks_have_names_of_their_own() -> None:
    """They are anchors in the documentation."""
    names = [check.id for check in CHECKS]
    assert len(names) == len(set(names))
    assert len(names) >= 25


def test_every_section_has_checks_and_stands_once() -> None:
    """In the order in which people read."""
    sections = [check.section for check in CHECKS]
    assert list(dict.fromkeys(sections)) == list(Section)
    assert sections == sorted(sections, key=list(Section).index)


def test_every_check_says_what_to_do() -> None:
    """In whole sentences."""
    assert [check.id for check in CHECKS if not (check.hint.endswith(".") and check.asks.endswith("."))] == []
