"""What could not be used is said once, and listed until all of its organization could be."""

import io
import json
from collections.abc import Iterator

import pytest

from sidegate.distribution.redis_refusals import MAX_ORGANIZATIONS, MAX_SHOWN, Refusals
from sidegate.telemetry.log import LogFormat, configure_log


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what is logged."""
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    yield stream
    configure_log()


def test_said_once(log: io.StringIO) -> None:
    """The same again is not said again; something else about it is; and so is that it is over."""
    failures: list[None] = []
    refusals = Refusals(lambda: failures.append(None))
    for why in ("torn", "torn", "unsigned"):
        refusals.note("acme", "user:ana", why, 7)
    refusals.note("acme", "", "gone", 7)
    assert [str(problem) for problem in refusals.problems()] == [
        "`acme: user:ana` unsigned; the last good one stays in force, for as long as it may",
        "`acme` gone; the last good one stays in force, for as long as it may",
    ]
    refusals.settle("acme")
    refusals.settle("acme")
    refusals.settle("globex")
    assert refusals.problems() == []
    said = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [one["event"] for one in said] == ["policy_refused"] * 3 + ["policy_accepted"]
    assert (said[0]["organization"], said[0]["why"], said[0]["kept_revision"]) == ("acme", "torn", 7)
    assert len(failures) == 3


def test_bounded(log: io.StringIO) -> None:
    """However much cannot be used: so much of one organization, and so many organizations."""
    refusals = Refusals(lambda: None)
    for number in range(MAX_SHOWN + 5):
        refusals.note("acme", f"user:u{number}", "torn", 7)
    assert len(refusals.problems()) == MAX_SHOWN
    for number in range(MAX_ORGANIZATIONS):
        refusals.note(f"org{number}", "", "gone", 0)
    assert len(refusals.problems()) == MAX_ORGANIZATIONS
    assert len(log.getvalue().splitlines()) == MAX_SHOWN + MAX_ORGANIZATIONS
