"""What comes from Redis is read as a whole or not at all."""

from typing import Any

import pytest
from tests.unit.distribution.organizations import (
    KEY,
    answer,
    changed,
    header_record,
    key_record,
    opened,
    subject_record,
)

from sidegate.core.model.errors import IntegrityError
from sidegate.distribution.redis_events import write_event
from sidegate.distribution.redis_loading import LargeHeader, large_header, read_answer, with_header
from sidegate.distribution.redis_memory import BIG_BYTES

HEADER = header_record(5)
RECORD = subject_record("user:u0", 5)


def test_read() -> None:
    """Revision, header, changes, then records in the order in which they were asked for."""
    event = changed(7, "user:u0")
    reply: Any = [b"7", HEADER, [write_event(event)], RECORD, None, b"key"]
    raw = read_answer("acme", reply, ["user:u0", "user:u1"], ["k"])
    assert raw is not None
    assert (raw.revision, raw.header, raw.changes) == (7, HEADER, (event,))
    assert (raw.subjects, raw.keys) == ({"user:u0": RECORD, "user:u1": None}, {"k": b"key"})


@pytest.mark.parametrize(
    ("header", "expected", "changes", "known"),
    [(1, None, [], ()), (HEADER, HEADER, None, None)],
    ids=["known-header", "unknown-changes"],
)
def test_what_is_known_is_not_sent(header: Any, expected: bytes | None, changes: Any, known: object) -> None:
    """A header that is known, and changes that nobody knows any more."""
    raw = read_answer("acme", [b"7", header, changes], [], [])
    assert raw is not None
    assert (raw.header, raw.changes) == (expected, known)


def test_not_there() -> None:
    """An organization that nobody published."""
    assert read_answer("acme", None, [], []) is None


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param([b"x", HEADER, []], "no number", id="revision-is-garbage"),
        pytest.param([b"7", None, []], "no header", id="no-header"),
        pytest.param([b"7", HEADER, [b"{}"]], "cannot be read", id="log-is-garbage"),
        pytest.param([b"7", HEADER, [b'{"v":1,"kind":"other"}']], "something else", id="log-of-others"),
    ],
)
def test_strange(reply: Any, says: str) -> None:
    """What nobody published is refused."""
    with pytest.raises(IntegrityError, match=says):
        read_answer("acme", reply, [], [])


def test_large_header_is_fetched_by_itself() -> None:
    """The answer says so; what was fetched takes its place."""
    reply: Any = [b"7", [b"beginning", 1_000_000], [], RECORD]
    assert large_header(reply) == LargeHeader(b"beginning", 1_000_000)
    assert with_header(reply, HEADER) == [b"7", HEADER, [], RECORD]
    others: list[Any] = [None, [b"7", 1, []], [b"7", HEADER, []]]
    assert [large_header(one) for one in others] == [None] * 3


def test_bigness() -> None:
    """What holds up the loop is what all records together come to."""
    small = answer(5, "user:u0", header=5)
    assert not small.is_big
    assert answer(5, subjects={f"user:u{number}": b"x" * (BIG_BYTES // 4) for number in range(5)}).is_big


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(answer(5, header=6), "later than 5", id="header-from-the-future"),
        pytest.param(answer(9, header=4), "went back from revision 5 to 4", id="header-from-the-past"),
    ],
)
def test_header_decides(raw: Any, says: str) -> None:
    """Without a good header nothing of an answer is used (spec 5.2)."""
    known = opened(answer(5, header=5)).header
    with pytest.raises(IntegrityError, match=says):
        opened(raw, known)


def test_no_header_at_all() -> None:
    """Neither in the answer nor in hand."""
    with pytest.raises(IntegrityError, match="without its header"):
        opened(answer(5, "user:u0"))


def test_each_record_by_itself() -> None:
    """One that does not verify, or is from the future, is refused; the others are used."""
    raw = answer(
        5,
        "user:u0",
        header=5,
        subjects={"user:u1": b"garbage", "user:u2": subject_record("user:u2", 6)},
        keys={KEY.id: key_record(KEY, 5), "B" * 16: key_record(KEY, 5)},
    )
    found = opened(raw)
    assert set(found.subjects) == {"user:u0"}
    assert set(found.keys) == {KEY.id}
    assert set(found.refused) == {"user:u1", "user:u2", f"key:{'B' * 16}"}
