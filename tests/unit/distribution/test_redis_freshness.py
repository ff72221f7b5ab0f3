"""How old an organization is follows from what was heard, what was missed, and what could not be read."""

import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import PolicyDocument
from sidegate.distribution.redis_freshness import MAX_GENERATIONS, Freshness
from sidegate.distribution.redis_header import write_header
from sidegate.distribution.redis_held_header import open_header, open_root
from sidegate.distribution.redis_memory import LoadedOrganization
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, seal
from sidegate.distribution.staleness import Staleness

LIMITS = Staleness(Millis(900), {Authority.APPROVE: Millis(60)})
Told = list[tuple[str, int | None]]


def at(number: int) -> UnixMillis:
    """Return an instant."""
    return UnixMillis(number)


def loaded(name: str, generation: int = 1) -> Organization:
    """Return an organization that is in memory since *generation*."""
    known = Organization(name)
    record = seal(name, RecordKind.HEADER, HEADER_ID, 5, write_header(PolicyDocument(name)).root)
    known.loaded = LoadedOrganization(
        open_header(name, open_root(name, record, None), {}, None, None), 5, known.held, {}
    )
    known.generation = generation
    return known


def test_nothing_was_heard() -> None:
    """Then everything is too old."""
    fresh = Freshness(LIMITS)
    assert (fresh.checked_at, fresh.steady_at, fresh.stale_after) == (None, None, 0)
    assert fresh.is_too_old(None, [Authority.READ], at(0))


@pytest.mark.parametrize(
    ("now", "authority", "expected"),
    [
        pytest.param(1900, Authority.READ, False, id="at-limit"),
        pytest.param(1901, Authority.READ, True, id="over-limit"),
        pytest.param(1060, Authority.APPROVE, False, id="at-tighter-limit"),
        pytest.param(1061, Authority.APPROVE, True, id="over-tighter-limit"),
    ],
)
def test_age_counts_from_the_last_moment(now: int, authority: Authority, *, expected: bool) -> None:
    """Of a known organization and of one that is not."""
    fresh = Freshness(LIMITS)
    fresh.note_current(at(1000))
    assert fresh.stale_after == 1060
    for known in (None, loaded("acme")):
        assert fresh.is_too_old(known, [authority], at(now)) is expected


def test_doubt_ages_one_organization() -> None:
    """From when it began, the earliest counts, until it is settled; and both is told."""
    told: Told = []
    fresh = Freshness(LIMITS, lambda org, since: told.append((org, since)))
    acme, globex = loaded("acme"), loaded("globex")
    fresh.note_current(at(1000))
    fresh.doubt(acme, at(900))
    fresh.doubt(acme, at(950))
    fresh.doubt(acme, at(800))
    fresh.note_current(at(2000))
    assert (fresh.good_at(acme), fresh.good_at(globex), fresh.stale_after) == (800, 2000, 860)
    assert list(fresh.doubted()) == [acme]
    assert fresh.steady_at == 2000
    fresh.settle(acme)
    fresh.settle(globex)
    fresh.note_current(at(2001))
    assert (fresh.good_at(acme), fresh.stale_after, list(fresh.doubted())) == (2001, 2061, [])
    assert told == [("acme", 900), ("acme", 800), ("acme", None)]


def test_missed_changes_age_everything_of_before() -> None:
    """At once, by its generation; step by step it is then told of each. What is read afterwards is current."""
    told: Told = []
    fresh = Freshness(LIMITS, lambda org, since: told.append((org, since)))
    before, never = loaded("before"), Organization("never-loaded")
    fresh.note_current(at(1000))
    steps = fresh.note_missed(at(1500), [before, never])
    fresh.note_current(at(2000))
    after = loaded("after", fresh.generation)
    assert [fresh.good_at(one) for one in (before, after, never)] == [1000, 2000, 2000]
    assert (fresh.is_current(before), fresh.is_current(after)) == (False, True)
    # What is kept on disk must not be younger than what is not told of yet.
    assert (fresh.stale_after, fresh.steady_at, told) == (1060, 1000, [])
    assert len(list(steps)) == 2
    assert (fresh.steady_at, told) == (2000, [("before", 1000)])
    before.generation = fresh.generation
    fresh.settle(before)
    fresh.note_current(at(3000))
    assert (fresh.good_at(before), fresh.stale_after) == (3000, 3060)


def test_missed_twice() -> None:
    """Who was not read in between is as old as before the first time."""
    fresh = Freshness(LIMITS)
    one, other = loaded("one"), loaded("other")
    fresh.note_current(at(1000))
    first = fresh.note_missed(at(1000), [one, other])
    other.generation = fresh.generation
    fresh.note_current(at(2000))
    second = fresh.note_missed(at(2000), [one, other])
    fresh.note_current(at(3000))
    assert (fresh.good_at(one), fresh.good_at(other)) == (1000, 2000)
    for steps in (second, first):
        list(steps)
        assert (fresh.good_at(one), fresh.good_at(other)) == (1000, 2000)


def test_missed_before_anything_was_heard() -> None:
    """There is nothing that could be older than now."""
    fresh = Freshness(LIMITS)
    list(fresh.note_missed(at(1500), []))
    fresh.note_current(at(1500))
    assert fresh.good_at(loaded("acme", fresh.generation)) == 1500


def test_many_interruptions() -> None:
    """What is from before all that are remembered is too old for everything."""
    fresh = Freshness(LIMITS)
    fresh.note_current(at(10_000))
    old = loaded("old")
    for _ in range(MAX_GENERATIONS + 1):
        list(fresh.note_missed(at(10_000), []))
    assert fresh.good_at(old) == 0


def test_kept_from_before() -> None:
    """It counts until Redis is heard, is never written again as if it were newer, and says itself how old it is."""
    fresh = Freshness(LIMITS)
    fresh.note_kept(at(500))
    kept = loaded("kept", 0)
    fresh.doubt(kept, at(400))
    assert (fresh.checked_at, fresh.steady_at, fresh.good_at(kept), fresh.good_at(None)) == (500, None, 400, 500)
    fresh.note_current(at(1000))
    fresh.note_kept(at(900))
    assert (fresh.checked_at, fresh.good_at(kept)) == (1000, 400)
    kept.doubted_since = None
    assert fresh.good_at(kept) == 0


def test_lag_counts_what_was_heard_of() -> None:
    """Not what is merely in doubt."""
    fresh = Freshness(LIMITS)
    one, other = loaded("one"), loaded("other")
    for known in (one, other):
        fresh.doubt(known, at(1))
    one.heard = 6
    assert fresh.lag == 1
    fresh.forget(one)
    assert fresh.lag == 0
