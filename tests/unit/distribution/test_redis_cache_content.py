"""Steps lead to what was in memory, and nothing that is no step leads anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.distribution.redis_cache_content import (
    KeptOrganization,
    Step,
    StepKind,
    follow_steps,
    merge,
    read_steps,
    write_steps,
)

AT = UnixMillis(1000)
BEGIN = (Step(StepKind.HEADER, "acme", "", b"header"), Step(StepKind.REVISION, "acme", "7"))
ANA = Step(StepKind.SUBJECT, "acme", "user:ana", b"ana")
KEY = Step(StepKind.KEY, "acme", "A" * 16, b"key")
PAGES = (Step(StepKind.PAGE, "acme", "bindings.0", b"one"), Step(StepKind.PAGE, "acme", "bindings.1", b"two"))


def plain(kept: KeptOrganization) -> tuple[object, ...]:
    """Return everything that *kept* says."""
    return (kept.revision, kept.header, kept.subjects, kept.keys, kept.since)


def test_pages() -> None:
    """They come and go with headers, and those of several processes are put together."""
    other = Step(StepKind.PAGE, "acme", "bindings.1", b"new")
    steps = [*BEGIN, *PAGES, other, Step(StepKind.DROP_PAGE, "acme", "bindings.0")]
    found = follow_steps([write_steps(steps)], UnixMillis(1000))
    assert found["acme"].pages == {"bindings.1": b"new"}
    whole = follow_steps([write_steps([*BEGIN, *PAGES])], UnixMillis(1000))
    assert merge([whole, follow_steps([write_steps(BEGIN)], UnixMillis(1000))])["acme"].pages == {
        "bindings.0": b"one",
        "bindings.1": b"two",
    }


@given(
    st.lists(
        st.builds(Step, st.sampled_from(StepKind), st.text(max_size=20), st.text(max_size=20), st.binary(max_size=300))
    )
)
def test_comes_back(steps: list[Step]) -> None:
    """What was written is read, whatever it says."""
    assert list(read_steps(write_steps(steps))) == steps


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([*BEGIN, ANA, KEY], (7, b"header", {"user:ana": b"ana"}, {"A" * 16: b"key"}, 1000), id="put"),
        pytest.param(
            [*BEGIN, ANA, Step(StepKind.SUBJECT, "acme", "user:ana", b"new"), Step(StepKind.REVISION, "acme", "8")],
            (8, b"header", {"user:ana": b"new"}, {}, 1000),
            id="put-again",
        ),
        pytest.param(
            [*BEGIN, ANA, KEY, Step(StepKind.DROP_SUBJECT, "acme", "user:ana")],
            (7, b"header", {}, {"A" * 16: b"key"}, 1000),
            id="drop-subject",
        ),
        pytest.param(
            [*BEGIN, ANA, KEY, Step(StepKind.DROP_KEY, "acme", "A" * 16), Step(StepKind.DROP_KEY, "acme", "B")],
            (7, b"header", {"user:ana": b"ana"}, {}, 1000),
            id="drop-key",
        ),
        pytest.param(
            [*BEGIN, ANA, KEY, Step(StepKind.DROP_RECORDS, "acme")], (7, b"header", {}, {}, 1000), id="drop-records"
        ),
        pytest.param([*BEGIN, ANA, Step(StepKind.DROP_ORGANIZATION, "acme")], None, id="drop-organization"),
        pytest.param(
            [*BEGIN, ANA, Step(StepKind.DROP_ORGANIZATION, "acme"), *BEGIN], (7, b"header", {}, {}, 1000), id="again"
        ),
        pytest.param([*BEGIN, Step(StepKind.DOUBT, "acme", "400")], (7, b"header", {}, {}, 400), id="doubt"),
        pytest.param([*BEGIN, Step(StepKind.DOUBT, "acme", "2000")], (7, b"header", {}, {}, 1000), id="no-younger"),
        pytest.param(
            [*BEGIN, Step(StepKind.DOUBT, "acme", "400"), Step(StepKind.DOUBT, "acme")],
            (7, b"header", {}, {}, 1000),
            id="doubt-settled",
        ),
        pytest.param([ANA, BEGIN[1]], None, id="without-header"),
        pytest.param([ANA, BEGIN[0]], None, id="without-revision"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_steps_lead_to(steps: list[Step], expected: tuple[object, ...] | None) -> None:
    """Each step in its order, in one entry or in several; what cannot be used is not there."""
    for entries in ([write_steps(steps)], [write_steps([step]) for step in steps]):
        found = follow_steps(entries, AT)
        assert ({org: plain(kept) for org, kept in found.items()}) == ({} if expected is None else {"acme": expected})


ENTRY = write_steps([*BEGIN, ANA])


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(ENTRY[:-1], id="cut"),
        pytest.param(ENTRY[:5], id="cut-in-head"),
        pytest.param(ENTRY + b"\x01", id="longer"),
        pytest.param(b"\x63" + ENTRY[1:], id="unknown-step"),
        pytest.param(write_steps([Step(StepKind.HEADER, "acme")]).replace(b"acme", b"\xff\xfe\xfd\xfc"), id="no-text"),
        pytest.param(write_steps([Step(StepKind.REVISION, "acme", "x")]), id="no-number"),
        pytest.param(write_steps([Step(StepKind.REVISION, "acme", "٣")]), id="no-ascii-number"),
        pytest.param(write_steps([Step(StepKind.DOUBT, "acme", "-1")]), id="negative"),
    ],
)
def test_no_steps(entry: bytes) -> None:
    """Whoever sealed it: what is no list of steps is refused whole."""
    with pytest.raises(IntegrityError):
        follow_steps([entry], AT)


def kept(revision: int, since: int, *accounts: str, keys: tuple[str, ...] = ()) -> KeptOrganization:
    """Return what a process kept of an organization."""
    one = KeptOrganization(UnixMillis(since))
    one.revision, one.header = revision, b"header"
    one.subjects = {account: f"{account}@{revision}".encode() for account in accounts}
    one.keys = dict.fromkeys(keys, b"key")
    return one


def test_merged() -> None:
    """Of one revision everybody's accounts count and the oldest age; of several the latest alone."""
    first = {"acme": kept(7, 500, "a", keys=("k",)), "globex": kept(3, 500, "g")}
    second = {"acme": kept(7, 400, "b"), "globex": kept(4, 300, "h")}
    third = {"acme": kept(6, 900, "c"), "initech": kept(1, 1, "i")}
    for order in ([first, second, third], [third, second, first], [second, third, first]):
        copies = [
            {org: kept(one.revision, one.since, *one.subjects, keys=tuple(one.keys)) for org, one in each.items()}
            for each in order
        ]
        merged = merge(copies)
        assert {org: plain(one) for org, one in merged.items()} == {
            "acme": (7, b"header", {"a": b"a@7", "b": b"b@7"}, {"k": b"key"}, 400),
            "globex": (4, b"header", {"h": b"h@4"}, {}, 300),
            "initech": (1, b"header", {"i": b"i@1"}, {}, 1),
        }
