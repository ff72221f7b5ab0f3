"""Keeping the embedded state current while the loop runs."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials import journal
from sidegate.credentials.events import Revoked, RevokedKind, SessionSeen
from sidegate.credentials.follower import StateFollower
from sidegate.credentials.journal import JOURNAL, JournalLog
from sidegate.credentials.state import FollowedState
from sidegate.credentials.table import SESSION_RETENTION
from sidegate.telemetry.clock import ManualClock

T = UnixMillis(1_800_000_000_000)
SESSION = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme")


class Worker:
    """One worker's state and what follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(T)
        self.log = JournalLog(folder)
        self.state = FollowedState(self.log)
        self.follower = StateFollower(self.state, self.log, folder, self.clock)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Return a worker with an empty journal."""
    opened = Worker(tmp_path / "state")
    yield opened
    opened.state.close()


async def test_step_takes_in_what_others_wrote(worker: Worker) -> None:
    """What another process revokes is refused after the next step."""
    other = FollowedState(JournalLog(worker.folder))
    other.revoke(Revoked(RevokedKind.SESSION, "s1", T))
    other.close()
    before = worker.state.refusal_of(SESSION, T)
    await worker.follower.step()
    assert (before, worker.state.refusal_of(SESSION, T)) == (None, Reason.SESSION_REVOKED)


async def test_run_steps_until_cancelled(worker: Worker) -> None:
    """A running follower needs nobody to call it."""
    other = FollowedState(JournalLog(worker.folder))
    other.revoke(Revoked(RevokedKind.SESSION, "s1", T))
    other.close()
    heard = asyncio.Event()
    worker.state.subscribe(lambda _: heard.set())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.follower.run(Millis(0)))
        await heard.wait()
        running.cancel()
    assert worker.state.refusal_of(SESSION, T) == Reason.SESSION_REVOKED


async def test_failure_is_told_once(worker: Worker, logged: Callable[[], list[str]]) -> None:
    """A failure and the recovery from it are one line each, however long it lasts."""
    (worker.folder / JOURNAL).rename(worker.folder / "away")
    for _ in range(3):
        await worker.follower.step()
    (worker.folder / "away").rename(worker.folder / JOURNAL)
    for _ in range(3):
        await worker.follower.step()
    assert logged() == ["state_failed", "state_recovered"]


async def test_compaction(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that has grown is compacted, and what it forgets is forgotten here as well."""
    monkeypatch.setattr(journal, "COMPACT_ABOVE_BYTES", 1000)
    for offset in range(20):
        worker.state.record_activity(SessionSeen("s1", "user:ana", "acme", "web", T, UnixMillis(T + offset)))
        worker.state.poll()
    worker.clock.set(UnixMillis(T + SESSION_RETENTION + 19))
    worker.state.record_activity(SessionSeen("s2", "user:ana", "acme", "web", T, worker.clock.now()))
    before = (worker.folder / JOURNAL).stat().st_size
    await worker.follower.step()
    assert (worker.folder / JOURNAL).stat().st_size < before / 5
    assert [record.id for record in worker.state.list_sessions()] == ["s2"]
    await worker.follower.step()
    assert worker.log.generation == 1


async def test_compaction_done_by_another(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    """A worker that finds the work done by another between its poll and its turn leaves it alone."""
    monkeypatch.setattr(journal, "COMPACT_ABOVE_BYTES", 0)
    other = Worker(worker.folder)
    worker.state.revoke(Revoked(RevokedKind.SESSION, "s1", T))
    # Both find it due before either has begun: the steps run up to the thread each hands the work to.
    await asyncio.gather(worker.follower.step(), other.follower.step())
    other.state.close()
    assert logged().count("journal_compacted") == 1


async def test_compaction_meets_damage(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    """A journal that is damaged while it is to be compacted stays as it is, and credentials are refused."""
    monkeypatch.setattr(journal, "COMPACT_ABOVE_BYTES", 0)
    worker.state.revoke(Revoked(RevokedKind.SESSION, "s1", T))
    damaged = bytearray((worker.folder / JOURNAL).read_bytes())
    damaged[-3] ^= 1
    (worker.folder / JOURNAL).write_bytes(damaged)
    await worker.follower.step()
    assert logged() == ["journal_compaction_failed"]
    assert damaged == (worker.folder / JOURNAL).read_bytes()


async def test_compaction_that_cannot_be_done(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    """While another process holds the journal, compaction waits for another time, and says so."""
    monkeypatch.setattr(journal, "COMPACT_ABOVE_BYTES", 0)
    worker.state.revoke(Revoked(RevokedKind.SESSION, "s1", T))
    holder = JournalLog(worker.folder)
    with holder.exclusively():
        await worker.follower.step()
    holder.close()
    assert logged() == ["journal_compaction_deferred"]
    assert worker.log.generation == 0
    await worker.follower.step()
    await worker.follower.step()
    assert worker.log.generation == 1
