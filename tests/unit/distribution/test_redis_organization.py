"""An organization takes an answer in as a whole, goes back to nothing older, and keeps the last good record."""

import asyncio

import pytest
from tests.unit.distribution.organizations import (
    KEY,
    answer,
    changed,
    key_record,
    opened,
    subject_record,
)

from sidegate.core.model.errors import IntegrityError
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_organization import Organization, Waiter


def begun(*accounts: str, revision: int = 5) -> Organization:
    """Return an organization with *accounts* in memory."""
    known = Organization("acme")
    known.take(opened(answer(revision, *accounts, header=revision)), 0)
    return known


def held(known: Organization) -> dict[str, int]:
    """Return who is in memory, and at which revision."""
    return {account: one.revision for account, one in sorted(known.held.items())}


def header_of(known: Organization) -> object:
    """Return the header in hand."""
    assert known.loaded is not None
    return known.loaded.held_header


class TestWaiter:
    """A waiter is told once."""

    async def test_first_answer_counts(self) -> None:
        """Later ones are not told."""
        told: list[Fetched] = []
        waiter = Waiter(Want("acme", "user:u0"), told.append, 60)
        assert not waiter.is_over
        waiter.tell(Fetched.READY)
        waiter.tell(Fetched.UNAVAILABLE)
        assert (told, waiter.is_over) == ([Fetched.READY], True)

    @pytest.mark.parametrize(("revision", "expected"), [(0, Fetched.UNAVAILABLE), (7, Fetched.BEHIND)])
    async def test_too_late(self, revision: int, expected: Fetched) -> None:
        """Without an answer it is told by its own clock, and what was waited for decides what."""
        told: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        Waiter(Want("acme", "user:u0", revision), told.set_result, 0)
        assert await told is expected


class TestTake:
    """What an answer does to what is in memory."""

    def test_first(self) -> None:
        """Everything of it is new."""
        known = Organization("acme")
        taken = known.take(opened(answer(5, "user:u0", "user:nobody", header=5, keys={KEY.id: key_record(KEY, 5)})), 0)
        assert (known.revision, held(known)) == (5, {"user:nobody": 0, "user:u0": 5})
        assert (set(taken.put), taken.dropped, taken.is_new, taken.is_cleared) == (set(known.held), {}, True, False)
        assert known.loaded is not None
        assert known.loaded.keys == {KEY.id: KEY}
        assert set(taken.keys) == {KEY.id}

    def test_more_of_the_same_revision(self) -> None:
        """Nothing goes, and what is decided with is the same."""
        known = begun("user:u0")
        before = known.loaded
        taken = known.take(opened(answer(5, "user:u1", changes=()), known.loaded.held_header), 5)  # type: ignore[union-attr]
        assert (held(known), taken.is_new, known.loaded is before) == ({"user:u0": 5, "user:u1": 5}, False, True)

    def test_what_changed_goes(self) -> None:
        """And nobody else."""
        known = begun("user:u0", "user:u1", "user:u2")
        header = known.loaded.held_header  # type: ignore[union-attr]
        taken = known.take(opened(answer(7, "user:u0", changes=(changed(7, "user:u0", "user:u1"),)), header), 5)
        assert held(known) == {"user:u0": 7, "user:u2": 5}
        assert (set(taken.dropped), set(taken.put), known.revision) == ({"user:u0", "user:u1"}, {"user:u0"}, 7)

    @pytest.mark.parametrize(
        ("changes", "since"),
        [
            pytest.param(None, 5, id="nobody-knows-what-changed"),
            pytest.param((), 4, id="asked-with-another-revision"),
        ],
    )
    def test_everything_goes(self, changes: tuple[()] | None, since: int) -> None:
        """At once, by taking other places: what is decided with right now stays whole."""
        known = begun("user:u0", "user:u1")
        before = known.loaded
        assert before is not None
        taken = known.take(opened(answer(7, "user:u2", changes=changes), before.held_header), since)
        assert (held(known), taken.is_cleared, set(taken.dropped)) == ({"user:u2": 7}, True, {"user:u0", "user:u1"})
        assert before.subject("user:u0").account == "user:u0"

    def test_going_back(self) -> None:
        """An older revision changes nothing, whether it was seen here or by an earlier process."""
        known = begun("user:u0", revision=5)
        with pytest.raises(IntegrityError, match="went back from revision 5 to 4"):
            known.take(opened(answer(4, "user:u1", header=4)), 0)
        fresh = Organization("acme")
        fresh.floor = 9
        with pytest.raises(IntegrityError, match="went back from revision 9 to 8"):
            fresh.take(opened(answer(8, "user:u1", header=8)), 0)
        assert (held(known), known.revision, fresh.loaded) == ({"user:u0": 5}, 5, None)

    def test_record_that_goes_back(self) -> None:
        """Of one account too: the one in hand stays."""
        known = begun("user:u0", revision=5)
        header = known.loaded.held_header  # type: ignore[union-attr]
        older = {"user:u0": subject_record("user:u0", 4)}
        taken = known.take(opened(answer(7, changes=(changed(7, "user:u0"),), subjects=older), header), 5)
        assert (held(known), set(taken.refused), taken.dropped) == ({"user:u0": 5}, {"user:u0"}, {})

    def test_record_that_does_not_verify(self) -> None:
        """The last good one stays (spec 5.2), also where everything else goes."""
        known = begun("user:u0", "user:u1", revision=5)
        header = known.loaded.held_header  # type: ignore[union-attr]
        taken = known.take(opened(answer(7, changes=None, subjects={"user:u0": b"garbage"}), header), 5)
        assert (held(known), set(taken.refused), set(taken.dropped)) == ({"user:u0": 5}, {"user:u0"}, {"user:u1"})

    def test_account_that_is_gone(self) -> None:
        """No record is no older one: it is nobody's any more."""
        known = begun("user:u0", revision=5)
        header = known.loaded.held_header  # type: ignore[union-attr]
        known.take(opened(answer(7, changes=(changed(7, "user:u0"),), subjects={"user:u0": None}), header), 5)
        assert (held(known), known.held["user:u0"].is_absent) == ({"user:u0": 0}, True)

    def test_keys(self) -> None:
        """They go, come and never go back, like accounts."""
        known = Organization("acme")
        known.take(opened(answer(5, header=5, keys={KEY.id: key_record(KEY, 5), "B" * 16: None})), 0)
        header = known.loaded.held_header  # type: ignore[union-attr]
        taken = known.take(opened(answer(5, changes=(), keys={KEY.id: key_record(KEY, 4)}), header), 5)
        assert (known.keys[KEY.id].revision, dict(taken.keys)) == (5, {})
        taken = known.take(opened(answer(7, changes=(changed(7, keys=(KEY.id,)),)), header), 5)
        assert (taken.gone_keys, list(known.keys)) == ([KEY.id], ["B" * 16])
        assert known.loaded is not None
        assert known.loaded.keys == {}
        taken = known.take(opened(answer(8, changes=None), header), 7)
        assert (taken.gone_keys, known.keys) == (["B" * 16], {})

    def test_header_first(self) -> None:
        """Without one there is nothing to decide with."""
        known = begun("user:u0")
        fresh = Organization("acme")
        with pytest.raises(IntegrityError, match="without its header"):
            fresh.take(opened(answer(5, "user:u1"), known.loaded.held_header), 0)  # type: ignore[union-attr]


class TestWants:
    """What has to be fetched."""

    def test_lacks(self) -> None:
        """Nothing of an account that is in memory at the revision that is asked for."""
        known = begun("user:u0", revision=5)
        assert [
            known.lacks(want)
            for want in (Want("acme", "user:u0"), Want("acme", "user:u0", 5), Want("acme", "user:u0", 6),
                         Want("acme", "user:u1"), Want("acme", key_id="k"))
        ] == [False, False, True, True, True]  # fmt: skip
        assert Organization("acme").lacks(Want("acme"))

    def test_concerned(self) -> None:
        """Of what an event names, what is in memory; an event about everything names nobody."""
        known = begun("user:u0", "user:u1")
        assert known.concerned(changed(7, "user:u1", "user:u9", keys=("k",))) == (["user:u1"], [])
        assert known.concerned(changed(7)) == ([], [])
