"""The journal as a file: torn, damaged, full, replaced, compacted."""

import errno
import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials import journal
from sidegate.credentials.events import KeyConsumed, Revoked, RevokedKind, SessionSeen, encode_event, seal, unseal
from sidegate.credentials.journal import JOURNAL, LOCK, JournalLog, compact_journal
from sidegate.credentials.ports import Durability
from sidegate.credentials.state import FollowedState
from sidegate.credentials.table import SESSION_RETENTION

T = UnixMillis(1_800_000_000_000)
NO_PATIENCE = Millis(0)


def revoked(session_id: str) -> Revoked:
    """Return a revocation."""
    return Revoked(RevokedKind.SESSION, session_id, T)


def seen(offset: int, session_id: str = "s1") -> SessionSeen:
    """Return activity."""
    return SessionSeen(session_id, "user:ana", "acme", "web", T, UnixMillis(T + offset))


def single_use() -> VerifiedCredential:
    """Return a single-use key."""
    return VerifiedCredential(CredentialKind.API_KEY, "k1", "service:ci", "acme", single_use=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the journal is to be."""
    return tmp_path / "state"


@contextmanager
def opened(folder: Path) -> Iterator[JournalLog]:
    """Open a follower that does not wait for the lock."""
    log = JournalLog(folder, NO_PATIENCE)
    try:
        yield log
    finally:
        log.close()


def append(log: JournalLog, *events: Revoked | SessionSeen | KeyConsumed) -> None:
    """Append under the lock."""
    with log.exclusively():
        log.append(events, Durability.PROCESS)


def test_modes(folder: Path) -> None:
    """Folder and files are for their owner alone: they say who has sessions."""
    with opened(folder):
        modes = [oct(path.stat().st_mode & 0o777) for path in (folder, folder / JOURNAL, folder / LOCK)]
    assert modes == ["0o700", "0o600", "0o600"]


def test_torn_tail_is_not_read(folder: Path) -> None:
    """A line without its newline is not there yet."""
    line = encode_event(revoked("s2"))
    with opened(folder) as log:
        append(log, revoked("s1"))
        with (folder / JOURNAL).open("ab") as file:
            file.write(line[:-1])
        assert log.read() == []
        with (folder / JOURNAL).open("ab") as file:
            file.write(line[-1:])
        assert [revoked("s2")] == log.read()


@pytest.mark.parametrize("kept", [1, 10, -2, -1])
def test_torn_tail_is_cut_by_the_next_writer(folder: Path, kept: int) -> None:
    """What a crash tore off is cut by whoever writes next; nothing before it is touched."""
    with opened(folder) as first, opened(folder) as second:
        append(first, revoked("s1"))
        with (folder / JOURNAL).open("ab") as file:
            file.write(encode_event(revoked("torn"))[:kept])
        assert [revoked("s1")] == second.read()
        append(second, revoked("s2"))
        assert [revoked("s2")] == first.read()
    with opened(folder) as later:
        assert [revoked("s1"), revoked("s2")] == later.read()


@pytest.mark.parametrize("place", [0, 8, 9, 20, -2])
def test_damaged_line(folder: Path, place: int) -> None:
    """One changed byte in a line is found, at start as well as while running."""
    with opened(folder) as log:
        state = FollowedState(log)
        before = state.version
        line = bytearray(encode_event(revoked("s1")))
        line[place] ^= 1
        with (folder / JOURNAL).open("ab") as file:
            file.write(line)
        state.poll()
        assert state.failure is not None
        assert "not what was written" in state.failure
        assert before < state.version
        state.poll()
        assert "not what was written" in state.failure
        with pytest.raises(IntegrityError, match="restore the file"):
            state.consume_key(single_use(), T)
    with opened(folder) as log, pytest.raises(IntegrityError, match="restore the file"):
        log.read()


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"e": "teleported", "id": "x"}, id="unknown-event"),
        pytest.param({"e": "revoked", "kind": "planet", "id": "x", "at": 1}, id="unknown-kind"),
        pytest.param({"e": "revoked", "id": "x"}, id="missing-member"),
        pytest.param({"x": 1}, id="no-event"),
    ],
)
def test_event_of_a_later_version(folder: Path, members: dict[str, object]) -> None:
    """An event that is not understood may be a revocation: the journal is refused."""
    with opened(folder) as log:
        with (folder / JOURNAL).open("ab") as file:
            file.write(seal(members))
        with pytest.raises(IntegrityError, match="run the version that wrote it"):
            log.read()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"hello", "is not a state journal", id="no-line"),
        pytest.param(b"hello\n", "not what was written", id="another-file"),
        pytest.param(b"[1]\n", "not what was written", id="json"),
        pytest.param(encode_event(revoked("s1")), "another version", id="no-header"),
        pytest.param(seal({"e": "journal", "format": 2}), "another version", id="later-format"),
    ],
)
def test_not_a_journal(folder: Path, content: bytes, what: str) -> None:
    """A file that is no journal is neither read nor overwritten."""
    folder.mkdir()
    (folder / JOURNAL).write_bytes(content)
    with pytest.raises(IntegrityError, match=what):
        JournalLog(folder)
    assert content == (folder / JOURNAL).read_bytes()


def test_sealed_line_of_another_type() -> None:
    """A line whose check is right but which is no object is not what was written."""
    with pytest.raises(IntegrityError, match="not what was written"):
        unseal(seal([])[:-1])  # type: ignore[arg-type]


def test_empty_file_is_begun(folder: Path) -> None:
    """An empty file is what a crash while making it left."""
    folder.mkdir()
    (folder / JOURNAL).touch()
    with opened(folder) as log:
        append(log, revoked("s1"))
    with opened(folder) as log:
        assert [revoked("s1")] == log.read()


def test_symbolic_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """A link in the journal's place could lead anywhere."""
    with opened(folder):
        pass
    (folder / JOURNAL).rename(tmp_path / "elsewhere")
    (folder / JOURNAL).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DependencyError, match="opening the state journal"):
        JournalLog(folder)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be is said with its name."""
    (tmp_path / "state").touch()
    with pytest.raises(DependencyError, match="opening the state journal"):
        JournalLog(tmp_path / "state")


def test_shortened_file(folder: Path) -> None:
    """A journal that lost what was read before is damaged: revocations in it may come to life at the next start."""
    with opened(folder) as log:
        append(log, revoked("s1"))
        size = (folder / JOURNAL).stat().st_size
        os.truncate(folder / JOURNAL, size - 1)
        with pytest.raises(IntegrityError, match="became shorter"):
            log.read()


def test_removed_file(folder: Path) -> None:
    """While the journal is gone nothing can be relied on; when it is back, it is again."""
    with opened(folder) as log:
        state = FollowedState(log)
        (folder / JOURNAL).rename(folder / "away")
        state.poll()
        failed = state.version
        assert state.failure is not None
        assert "refused until the state can be read" in state.failure
        state.poll()
        assert failed == state.version
        (folder / "away").rename(folder / JOURNAL)
        state.poll()
        assert state.failure is None


def test_replaced_by_an_empty_journal(folder: Path) -> None:
    """Another file in the journal's place takes nothing from what a running worker knows."""
    with opened(folder) as log:
        state = FollowedState(log)
        state.revoke(revoked("s1"))
        (folder / JOURNAL).unlink()
        with opened(folder) as other:
            append(other, revoked("s2"))
            state.poll()
            for session_id in ("s1", "s2"):
                credential = VerifiedCredential(CredentialKind.SESSION, session_id, "user:ana", "acme")
                assert state.refusal_of(credential, T) == Reason.SESSION_REVOKED


def test_lock_patience(folder: Path) -> None:
    """Who cannot have the lock gives up after the patience it was given."""
    with opened(folder) as log, (folder / LOCK).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DependencyError, match="waiting 0 ms"), log.exclusively():
            pass
        fcntl.flock(other, fcntl.LOCK_UN)
        with log.exclusively():
            pass


def test_lock_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the patience the lock is tried again."""
    log = JournalLog(folder, Millis(60_000))
    with (folder / LOCK).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr("sidegate.credentials.journal.time.sleep", lambda _: fcntl.flock(other, fcntl.LOCK_UN))
        append(log, revoked("s1"))
    log.close()
    with opened(folder) as later:
        assert [revoked("s1")] == later.read()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow above *size*, as on a full disk: the write stops in the middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("room", [0, 7])
def test_full_disk(folder: Path, room: int) -> None:
    """What does not fit is not there in part; nothing counts as recorded, and it can be recorded later."""
    with opened(folder) as log:
        state = FollowedState(log)
        state.revoke(revoked("s1"))
        before = (folder / JOURNAL).read_bytes()
        with file_size_limit(len(before) + room):
            with pytest.raises(DependencyError, match="writing the state journal"):
                state.consume_key(single_use(), T)
            state.record_activity(seen(5))
            state.poll()
        assert before == (folder / JOURNAL).read_bytes()
        assert state.consume_key(single_use(), T) is None
        state.poll()
    with opened(folder) as later:
        assert [revoked("s1"), KeyConsumed("acme/k1", T), seen(5)] == later.read()


def test_failed_sync_uses_the_key_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use that was written but not synced may be on the disk: it is refused now and counts as used."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    with opened(folder) as log:
        state = FollowedState(log)
        with monkeypatch.context() as patched:
            patched.setattr("sidegate.credentials.journal.os.fdatasync", fail)
            with pytest.raises(DependencyError, match="writing the state journal"):
                state.consume_key(single_use(), T)
        assert state.consume_key(single_use(), T) == Reason.KEY_CONSUMED


def test_compaction(folder: Path) -> None:
    """Compaction keeps what matters, in the fewest lines; followers go on without reading it all again."""
    with opened(folder) as log, opened(folder) as behind:
        state = FollowedState(log)
        for offset in range(50):
            append(log, seen(offset))
        append(log, revoked("s2"), KeyConsumed("acme/k1", T))
        size = (folder / JOURNAL).stat().st_size
        assert compact_journal(folder, UnixMillis(T + 50))
        assert (folder / JOURNAL).stat().st_size < size / 5
        state.poll()
        assert log.generation == 1
        append(log, revoked("s3"))
        assert log.read() == []
        everything = [*(seen(offset) for offset in range(50)), revoked("s2"), KeyConsumed("acme/k1", T), revoked("s3")]
        assert everything == behind.read()
    with opened(folder) as later:
        assert [seen(49), revoked("s2"), KeyConsumed("acme/k1", T), revoked("s3")] == later.read()


def test_follower_across_one_compaction(folder: Path) -> None:
    """A follower reads the rest of the old file and goes on behind the compacted part: nothing missed or repeated."""
    with opened(folder) as writer, opened(folder) as follower:
        append(writer, seen(1))
        assert [seen(1)] == follower.read()
        append(writer, seen(2))
        compact_journal(folder, T)
        append(writer, seen(3))
        assert [seen(2), seen(3)] == follower.read()
        assert follower.read() == []


def test_follower_across_two_compactions(folder: Path) -> None:
    """One that missed a generation reads all of the present one."""
    with opened(folder) as writer, opened(folder) as follower:
        append(writer, seen(1))
        assert [seen(1)] == follower.read()
        append(writer, seen(2))
        compact_journal(folder, T)
        append(writer, revoked("s1"))
        compact_journal(folder, T)
        append(writer, revoked("s2"))
        # The rest of the file it knew, then the whole present one, which repeats some of it and does no harm.
        assert [seen(2), seen(2), revoked("s1"), revoked("s2")] == follower.read()


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let no file be opened, as when the process has too many."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_nothing_is_lost_when_the_new_file_cannot_be_opened(folder: Path) -> None:
    """What was read before a fault is returned after it."""
    with opened(folder) as writer, opened(folder) as follower:
        append(writer, seen(1))
        compact_journal(folder, T)
        with no_more_files(), pytest.raises(DependencyError, match="Too many open files"):
            follower.read()
        append(writer, seen(2))
        assert [seen(1), seen(2)] == follower.read()


def test_compaction_forgets(folder: Path) -> None:
    """Sessions that were not used for long are forgotten; one that fell with its account stays refused."""
    with opened(folder) as log:
        append(log, seen(0, "dead"), seen(int(SESSION_RETENTION), "live"))
        append(log, Revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(T + 1)))
        compact_journal(folder, UnixMillis(T + SESSION_RETENTION))
    with opened(folder) as later:
        state = FollowedState(later)
        assert state.find_session("dead") is None
        assert state.find_session("live") is not None
        credential = VerifiedCredential(CredentialKind.SESSION, "dead", "user:ana", "acme")
        renewed = UnixMillis(T + SESSION_RETENTION)
        assert state.refusal_of(credential, renewed) == Reason.SESSION_REVOKED


def test_compaction_of_nothing(folder: Path) -> None:
    """Without a journal there is nothing to do, and none is made."""
    assert not compact_journal(folder, T)
    assert not folder.exists()


def test_compaction_by_several_workers(folder: Path) -> None:
    """Of the workers that find the same journal too long, one compacts it; the others leave its work alone."""
    with opened(folder) as log:
        append(log, seen(1))
        found = [compact_journal(folder, T, generation) for generation in (0, 0, 1)]
    assert found == [True, False, True]


def test_compaction_leaves_a_damaged_journal(folder: Path) -> None:
    """A journal that is not what was written stays as it is, for whoever wants to see what happened."""
    with opened(folder):
        pass
    with (folder / JOURNAL).open("ab") as file:
        file.write(b"damage\n")
    before = (folder / JOURNAL).read_bytes()
    with pytest.raises(IntegrityError):
        compact_journal(folder, T)
    assert before == (folder / JOURNAL).read_bytes()


def test_compaction_due(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Due above a size and once more was appended than twice what compaction left."""
    monkeypatch.setattr(journal, "COMPACT_ABOVE_BYTES", 1000)
    with opened(folder) as log:
        due = []
        for offset in range(10):
            append(log, seen(offset))
            due.append(log.is_compaction_due())
        assert not due[0]
        assert due[-1]
        compact_journal(folder, T)
        log.read()
        assert not log.is_compaction_due()


def _consume(folder: Path, gate: object, answers: object) -> None:
    """Consume the key in a process of its own, once all are ready."""
    state = FollowedState(JournalLog(folder, Millis(30_000)))
    gate.wait()  # type: ignore[attr-defined]
    answers.put(state.consume_key(single_use(), T))  # type: ignore[attr-defined]
    state.close()


def test_consumed_once_by_processes(folder: Path) -> None:
    """Of several processes that use a key at the same time exactly one passes (spec 3.2)."""
    context = get_context("spawn")
    gate, answers = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_consume, args=(folder, gate, answers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(found, key=str) == [None] + [Reason.KEY_CONSUMED] * 3 or found.count(None) == 1
