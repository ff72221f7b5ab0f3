"""What several processes kept comes to one state, and a new process begins with as much of it as it may."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.held import KnownFact
from sidegate.credentials.keeper import StateKeeper, merge_kept, resume_from
from sidegate.credentials.kept import KeptState
from sidegate.credentials.redis_following import FollowedPlace
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import SessionRecord
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.tasks import TaskSet

T = UnixMillis(1_800_000_000_000)
STALENESS = Millis(900_000)
SESSION = (RevokedKind.SESSION, "s1")
KEY = (RevokedKind.KEY, "acme/k1")
REVOKED = Revoked(RevokedKind.ACCOUNT, "user:ana", T)
NOWHERE = "redis://127.0.0.1:1"


def place(sequence: int, epoch: bytes = b"e") -> FollowedPlace:
    """Return a place in the stream."""
    return FollowedPlace(epoch, (T, sequence), sequence)


PLACE = place(5)


def kept(at: int = T, where: FollowedPlace | None = PLACE, **members: Any) -> KeptState:
    """Return what a process kept; *members* are other ones."""
    usual: dict[str, Any] = {"facts": {}, "revoked": (), "used": ()}
    return KeptState(at=UnixMillis(at), place=where, **{**usual, **members})


def session(last_seen: int) -> SessionRecord:
    """Return a session."""
    return SessionRecord("s1", "user:ana", "acme", "web", T, UnixMillis(last_seen))


class Beginning:
    """A state that was just made, by a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock(T)
        self.tasks = TaskSet()
        store = RedisStore(open_link(NOWHERE))
        self.state = RedisState(store, self.clock, self.tasks, patience=Millis(250), max_staleness=STALENESS)

    def keeper(self, folder: Path, part: str = "w0") -> StateKeeper:
        """Return who keeps it."""
        return StateKeeper(self.state, folder, part, source=NOWHERE, max_staleness=STALENESS, clock=self.clock)


class TestMerging:
    """Processes of one sidecar."""

    def test_facts_of_all_that_ended_together(self) -> None:
        """Are current up to the earliest place, and as old as the oldest; what two say of one fact counts together."""
        one = kept(T, place(7), facts={SESSION: KnownFact(None, session=session(T + 9)), KEY: KnownFact(None)})
        other = kept(T - 1000, place(6), facts={SESSION: KnownFact(T, session=session(T)), KEY: KnownFact(None, True)})
        merged = merge_kept([one, other])
        assert (merged.at, merged.place) == (T - 1000, place(6))
        assert merged.facts == {SESSION: KnownFact(T, session=session(T + 9)), KEY: KnownFact(None, consumed=True)}

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(kept(T - 60_001, place(4), facts={KEY: KnownFact(None)}, revoked=(REVOKED,)), id="older"),
            pytest.param(kept(T, place(4, b"f"), facts={KEY: KnownFact(None)}, revoked=(REVOKED,)), id="other-data"),
            pytest.param(kept(T, None, revoked=(REVOKED,)), id="without-a-place"),
        ],
    )
    def test_of_others_only_what_is_over(self, other: KeptState) -> None:
        """What ended long before, or followed other data, says nothing about what is good."""
        merged = merge_kept([kept(T, facts={SESSION: KnownFact(None)}), other])
        assert (merged.at, merged.place, set(merged.facts)) == (T, place(5), {SESSION})
        assert merged.revoked == (REVOKED,)


class TestResuming:
    """A process that begins."""

    def test_young_enough(self) -> None:
        """Goes on as if it had never ended: what was held is held, and gets no younger by it."""
        begun = Beginning()
        facts = {SESSION: KnownFact(None, session=session(T))}
        resume_from(begun.state, kept(T - 10, facts=facts, revoked=(REVOKED,)), STALENESS, T)
        assert begun.state.failure is None
        assert begun.state.missing([SESSION]) == ()
        assert (begun.state.following.place, begun.state.following.age) == (place(5), 10)
        begun.clock.advance(Millis(STALENESS - 11))
        begun.state.judge_age()
        assert begun.state.failure is None
        begun.clock.advance(Millis(1))
        begun.state.judge_age()
        assert begun.state.failure is not None

    def test_too_old(self) -> None:
        """Knows what is over and which data it was in, and believes nothing."""
        begun = Beginning()
        kept_long_ago = kept(T - STALENESS, facts={SESSION: KnownFact(None)}, revoked=(REVOKED,))
        resume_from(begun.state, kept_long_ago, STALENESS, T)
        assert begun.state.failure is not None
        assert begun.state.missing([SESSION]) == (SESSION,)
        assert begun.state.following.readable_epoch is None
        assert begun.state.held.remembered.revoked_at((RevokedKind.ACCOUNT, "user:ana")) == T

    def test_a_revocation_of_another_process_counts(self) -> None:
        """Though the fact was kept by one that had not heard of it."""
        begun = Beginning()
        revoked = Revoked(RevokedKind.SESSION, "s1", T)
        resume_from(begun.state, kept(T, facts={SESSION: KnownFact(None)}, revoked=(revoked,)), STALENESS, T)
        assert begun.state.held.is_revoked(RevokedKind.SESSION, "s1", None)


class TestKeeping:
    """From one process to the next, through files."""

    async def test_round(self, tmp_path: Path) -> None:
        """What is held, heard of and used up is there again, also what came after the file was first written."""
        first = Beginning()
        keeper = first.keeper(tmp_path)
        await keeper.resume()
        first.state.following.resume(place(5), Millis(0), is_current=True)
        first.state.held.learn(SESSION, KnownFact(None, session=session(T)))
        await keeper.flush()
        first.state.held.revoke(REVOKED)
        first.state.held.learn(KEY, KnownFact(None, consumed=True))
        await keeper.flush()
        second = Beginning()
        await second.keeper(tmp_path).resume()
        assert second.state.missing([SESSION, KEY]) == ()
        assert second.state.held.is_consumed("acme/k1")
        assert second.state.held.remembered.revoked_at((RevokedKind.ACCOUNT, "user:ana")) == T
        assert list(second.state.held.remembered.uses()) == [UsedUp("acme/k1", T)]

    async def test_what_is_over_is_kept_at_once(self, tmp_path: Path) -> None:
        """In the turn of the loop in which it is heard of: who is killed after it was told knows it when started again.
        Many of them cost one write."""
        first = Beginning()
        keeper = first.keeper(tmp_path)
        await keeper.resume()
        first.state.following.resume(place(5), Millis(10), is_current=True)
        first.state.held.learn(SESSION, KnownFact(None, session=session(T)))
        await keeper.flush()
        first.state.held.revoke(REVOKED)
        for number in range(500):
            first.state.held.revoke(Revoked(RevokedKind.SESSION, f"s{number}", T))
        await asyncio.sleep(0)
        second = Beginning()
        await second.keeper(tmp_path).resume()
        assert second.state.held.is_revoked(RevokedKind.SESSION, "s1", None)
        assert second.state.held.remembered.revoked_at((RevokedKind.ACCOUNT, "user:ana")) == T
        assert (second.state.following.place, second.state.following.age) == (place(5), 10)

    async def test_what_was_forgotten_is_not_kept(self, tmp_path: Path) -> None:
        """Facts that no longer hold go from the file; what is over stays in it."""
        first = Beginning()
        keeper = first.keeper(tmp_path)
        await keeper.resume()
        first.state.following.resume(place(5), Millis(0), is_current=True)
        first.state.held.learn(SESSION, KnownFact(None, session=session(T)))
        first.state.held.revoke(REVOKED)
        await keeper.flush()
        first.state.held.forget()
        await keeper.flush()
        second = Beginning()
        await second.keeper(tmp_path).resume()
        assert second.state.missing([SESSION]) == (SESSION,)
        assert second.state.held.remembered.revoked_at((RevokedKind.ACCOUNT, "user:ana")) == T

    async def test_a_disk_that_fails(self, tmp_path: Path) -> None:
        """Is told once and tried again; nothing else changes, and then all of it is written."""
        folder = tmp_path / "cache"
        folder.touch()  # a file: no folder can be made there
        first = Beginning()
        keeper = first.keeper(folder)
        await keeper.resume()
        first.state.following.resume(place(5), Millis(0), is_current=True)
        first.state.held.learn(SESSION, KnownFact(None, session=session(T)))
        for _ in range(2):
            await keeper.flush()
        assert first.state.missing([SESSION]) == ()
        folder.unlink()
        await keeper.flush()
        second = Beginning()
        await second.keeper(folder).resume()
        assert second.state.missing([SESSION]) == ()

    async def test_nothing_is_written_before_anything_was_heard(self, tmp_path: Path) -> None:
        """What an earlier process kept is all there is, until Redis is there."""
        first = Beginning()
        keeper = first.keeper(tmp_path)
        await keeper.resume()
        first.state.held.revoke(REVOKED)
        await keeper.flush()
        assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []

    async def test_grown_files_are_written_anew(self, tmp_path: Path) -> None:
        """A file does not grow with what happens, only with what is held."""
        first = Beginning()
        keeper = first.keeper(tmp_path)
        await keeper.resume()
        first.state.following.resume(place(5), Millis(0), is_current=True)
        for number in range(400):
            for at in range(20):
                first.state.held.learn(
                    (RevokedKind.SESSION, f"s{at}" * 60), KnownFact(None, session=session(T + number))
                )
            await keeper.flush()
        sizes = await asyncio.to_thread(lambda: [file.stat().st_size for file in tmp_path.iterdir()])
        assert [size < 1_100_000 for size in sizes] == [True]
        second = Beginning()
        await second.keeper(tmp_path).resume()
        record = second.state.find_session("s7" * 60)
        assert record is not None
        assert record.last_seen == T + 399
