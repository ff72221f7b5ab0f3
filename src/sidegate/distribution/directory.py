"""The watched folder of policy files: a changed file is read whole, compiled off the event loop and swapped in whole
(spec 5.1)."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sidegate.config.policy_folder import MAX_POLICY_BYTES, claim_organization, policy_files
from sidegate.core.model.errors import PolicyError, Position, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.distribution.holder import SnapshotHolder
from sidegate.distribution.piecework import dismantle_free
from sidegate.distribution.politeness import politely
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("distribution")

POLL_INTERVAL_S: Final = 0.2
"""Between two looks at the folder; a change is taken at the second look that finds it the same, so it is in force well
within a second. A look costs one stat per file."""

Signature = tuple[int, int, int, int]
"""mtime_ns, size, inode and device of what a name leads to: any of them changes when the content does."""

ReadPolicy = Callable[[bytes, str], PolicyDocument]
"""Reads the content of the file that is named: PolicyError for what is wrong with it, OSError if it was not read."""

OnFailure = Callable[[], None]
"""Told once per change that could not be put in force."""


@value
class _File:
    """One policy file as last looked at.

    Attributes:
        signature: What it looked like when it was read; None if it never was.
        snapshot: What is in force of it; None if it never was usable.
        problems: What is wrong with it as it was read.
        unsettled: What it looked like at the last look, if that was not what was read; :data:`_GONE` if it was away.
    """

    signature: Signature | None = None
    snapshot: OrganizationSnapshot | None = None
    problems: tuple[Problem, ...] = ()
    unsettled: Signature | None = None


@value
class _Look:
    """What one look at the folder found.

    Attributes:
        files: By file name.
        problems: Of the folder itself.
        snapshot: What is to be put in force; None when nothing has changed.
        failed: Names of files that changed and cannot be used.
        told: Of the problems of the folder and of every file, as many as people read.
    """

    files: Mapping[str, _File]
    problems: tuple[Problem, ...]
    snapshot: Snapshot | None = None
    failed: tuple[str, ...] = ()
    told: tuple[Problem, ...] = ()

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Of the folder and of every file."""
        return (*self.problems, *(problem for file in self.files.values() for problem in file.problems))


MAX_PROBLEMS: Final = 50
"""Kept of one file, and told of a folder. There may be a hundred thousand, and the event loop would stand still for as
long as it takes to write them all into the log or into an answer of the admin port."""

_NANOS_PER_MILLI: Final = 1_000_000
_NO_FILE: Final = _File()
_GONE: Final = (0, 0, 0, 0)
_NOTHING: Final = _Look({}, ())


class PolicyDirectory:
    """Keeps a holder's snapshot what a folder says.

    A file that cannot be used changes nothing: what was last good of it stays in force, and its problems are kept where
    people look for them. A file that is gone takes its organization with it. A folder that cannot be read changes
    nothing.

    Args:
        folder: Holds one file per organization. Links are followed, so that a folder mounted from a Kubernetes
            ConfigMap works, in which one link is turned from the old content to the new.
        holder: Where the snapshot goes.
        clock: For the time of loading.
        read: Reads one file.
        on_failure: Told once per change that could not be put in force, for a metric.
        max_subjects: Compiled accounts kept per organization.
        poll_interval_s: Between two looks, seconds.
    """

    def __init__(
        self,
        folder: Path,
        holder: SnapshotHolder,
        clock: Clock,
        read: ReadPolicy,
        *,
        on_failure: OnFailure = lambda: None,
        max_subjects: int | None = None,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._folder = folder
        self._holder = holder
        self._clock = clock
        self._read = read
        self._on_failure = on_failure
        self._compile_options = {} if max_subjects is None else {"max_subjects": max_subjects}
        self._poll_interval_s = poll_interval_s
        self._last = _NOTHING
        self._retired: list[object] = []

    @property
    def source(self) -> str:
        """What people call it."""
        return f"dir:{self._folder}"

    def load(self) -> None:
        """Read the folder for the first time, before the event loop runs.

        Raises:
            PolicyError: Anything is wrong: there is no last good state to fall back on.
        """
        look = self._look(must_settle=False)
        if look.all_problems:
            raise PolicyError(look.all_problems)
        self._apply(look)

    def start(self, tasks: TaskSet) -> None:
        """Watch the folder from now on, until *tasks* is closed."""
        tasks.spawn(self._watch(), "policy_directory")

    async def refresh(self) -> None:
        """Look once, in a thread, and put in force what has changed and was the same at the look before."""
        self._apply(await asyncio.to_thread(self._look_politely))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_interval_s)
            try:
                await self.refresh()
            except Exception as exc:  # noqa: BLE001  (the rim: without this task no deny is ever enforced again)
                _log.error("policy_look_failed", exc_info=exc)
                self._on_failure()

    def _look_politely(self) -> _Look:
        with politely():
            # What was replaced is freed here: a hundred thousand bindings at once would stop the loop for 50 ms.
            deque(dismantle_free(self._retired), maxlen=0)
            look = self._look(must_settle=True)
            if look.snapshot is not None:
                # What was loaded stays, and would be walked over as soon as the collector is let loose again.
                gc.freeze()
            return look

    def _look(self, *, must_settle: bool) -> _Look:
        """Compare the folder with the last look. Changes nothing, so that a thread may do it."""
        last = self._last
        try:
            paths = {path.name: path for path in policy_files(self._folder)}
        except OSError as exc:
            what = f"cannot be read: {exc.strerror}"
            place = Position(str(self._folder), 1, 1)
            problem = Problem(place, "policy.source", what, "restore the folder; what was last good stays in force")
            failed: tuple[str, ...] = (self._folder.name,) if last.problems != (problem,) else ()
            told = (problem, *_some([one for file in last.files.values() for one in file.problems]))
            return _Look(last.files, (problem,), failed=failed, told=told)
        files: dict[str, _File] = {}
        claimed = {
            file.snapshot.organization: name
            for name, file in last.files.items()
            if file.snapshot is not None and name in paths
        }
        for name, path in paths.items():
            known = last.files.get(name, _NO_FILE)
            files[name] = file = self._look_at(path, known, claimed, must_settle=must_settle)
            if must_settle and len(file.problems) > MAX_PROBLEMS:
                files[name] = replace(file, problems=_some(file.problems))
        for name, file in last.files.items():
            # Some editors move the old file away before they put the new one there: gone is who is gone twice.
            if name not in paths and file.unsettled != _GONE:
                files[name] = replace(file, unsettled=_GONE)
        was = {name: file.snapshot for name, file in last.files.items() if file.snapshot is not None}
        now = {name: file.snapshot for name, file in files.items() if file.snapshot is not None}
        is_changed = was.keys() != now.keys() or any(was[name] is not now[name] for name in was)
        failed = tuple(name for name, file in files.items() if file.problems and _is_news(file, last.files.get(name)))
        told = _some([problem for file in files.values() for problem in file.problems])
        return _Look(files, (), self._snapshot_of(now.values()) if is_changed else None, failed, told)

    def _snapshot_of(self, organizations: Collection[OrganizationSnapshot]) -> Snapshot:
        revision = max([self._holder.current.revision + 1, *(one.revision for one in organizations)])
        return Snapshot(revision, organizations)

    def _look_at(self, path: Path, known: _File, claimed: dict[str, str], *, must_settle: bool) -> _File:
        try:
            return self._take(path, known, claimed, must_settle=must_settle)
        except Exception as exc:  # noqa: BLE001  (the rim of one file: it must not hold up the others)
            what = f"cannot be read: {type(exc).__name__}: {exc}"
            problem = Problem(Position(str(path), 1, 1), "file", what, "write it otherwise; this is a bug of sidegate")
            return _File(known.unsettled, known.snapshot, (problem,))

    def _take(self, path: Path, known: _File, claimed: dict[str, str], *, must_settle: bool) -> _File:
        """Read a file that changed; see :meth:`_look`."""
        try:
            signature = _signature_of(path)
            if signature == known.signature:
                return known if known.unsettled is None else replace(known, unsettled=None)
            if must_settle and signature != known.unsettled:
                # Somebody may be writing. What is there so far may well be a policy, but for the denies at its end.
                return replace(known, unsettled=signature)
            if signature[1] > MAX_POLICY_BYTES:
                place, what = Position(str(path), 1, 1), f"has {signature[1]} bytes"
                problem = Problem(place, "file", what, f"write at most {MAX_POLICY_BYTES}")
                return _File(signature, known.snapshot, (problem,))
            if not path.is_file():
                # Opening a pipe would wait for somebody to write to it, and nothing would be looked at any more.
                problem = Problem(Position(str(path), 1, 1), "file", "is no file", "put a file there, or remove it")
                return _File(signature, known.snapshot, (problem,))
            content = path.read_bytes()
            if _signature_of(path) != signature:
                return replace(known, unsettled=None)
        except OSError as exc:
            place, what = Position(str(path), 1, 1), f"cannot be read: {exc.strerror}"
            return _File(None, known.snapshot, (Problem(place, "file", what, "make it readable, or remove it"),))
        try:
            document = self._read(content, str(path))
        except PolicyError as exc:
            return _File(signature, known.snapshot, exc.problems)
        except OSError as exc:
            # Without its signature, so that it is tried again: nothing is known to be wrong with the file.
            hint = "it is tried again; what was last good stays in force"
            problem = Problem(Position(str(path), 1, 1), "file", f"cannot be read: {exc.strerror or exc}", hint)
            return _File(None, known.snapshot, (problem,))
        try:
            claim_organization(claimed, document, path)
        except PolicyError as exc:
            # Without its signature, so that it is read again: the other file may go.
            return _File(None, known.snapshot, exc.problems)
        try:
            # Of the content, not of this process: the same on every worker and after a restart, so that a record's
            # revision names one policy. Never back, also when an older file is put in the place of a newer.
            revision = signature[0] // _NANOS_PER_MILLI
            if known.snapshot is not None:
                revision = max(revision, known.snapshot.revision + 1)
            return _File(signature, compile_document(document, revision, **self._compile_options))
        except PolicyError as exc:
            return _File(signature, known.snapshot, exc.problems)

    def _apply(self, look: _Look) -> None:
        last, self._last = self._last, look
        now = self._clock.now()
        snapshot = look.snapshot
        if snapshot is not None:
            if last is not _NOTHING:
                self._retired += (last, self._holder.current)
            # Or it would hold what has to be free before it is taken apart.
            del last
            self._holder.swap(snapshot, now)
            # What was built stays for long and holds no cycles: collections need not walk over it.
            gc.freeze()
            _log.info("snapshot_loaded", revision=snapshot.revision, organizations=len(snapshot.organizations))
        self._holder.problems = look.told
        self._holder.checked_at = now
        for name in look.failed:
            self._on_failure()
            file = look.files.get(name)
            problems = [str(problem) for problem in (look.problems if file is None else file.problems)]
            kept = self._holder.current.revision
            _log.warning("snapshot_rejected", file=name, kept_revision=kept, problems=problems)


def _some(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return as many of *problems* as people read, and how many more there are."""
    more = len(problems) - MAX_PROBLEMS
    if more <= 0:
        return tuple(problems)
    position = problems[MAX_PROBLEMS].position
    told = Problem(position, "policy.source", f"has {more} problems more", "run `sidegate check`, which lists all")
    return (*problems[:MAX_PROBLEMS], told)


def _is_news(file: _File, known: _File | None) -> bool:
    return known is None or (file.signature, file.problems) != (known.signature, known.problems)


def _signature_of(path: Path) -> Signature:
    stat = path.stat()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
