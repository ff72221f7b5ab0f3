"""The watched folder of policy files: the embedded default (spec 5.1)."""

import asyncio
from pathlib import Path
from typing import Final

from sidegate.config.policy_file import LoadedPolicy, inspect_policy_file, policy_files
from sidegate.core.model.errors import PolicyError, Position, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

POLL_S: Final = 0.2
"""Between two looks. A change is used once two looks in a row saw the same, so an edit acts after 0.2 to 0.4 s."""

_NANOS_PER_MILLI: Final = 1_000_000

_log: Final = get_log("policy")

Signature = tuple[int, int, int, int]
"""Of a file: inode, size, times of change. Symbolic links are followed: a Kubernetes ConfigMap is swapped by one."""


@value
class _Loaded:
    """A file as it was used, or why it was not."""

    signature: Signature
    organization: OrganizationSnapshot | None
    problems: tuple[Problem, ...]


class PolicyDirectory:
    """Keeps a holder current with a folder.

    Each file stands for itself: one that is invalid leaves its organization at the last good revision, and the others
    go on. A revision is the file's time of change in milliseconds, or one more than the last where that is not later:
    the same on every worker, and after a restart.

    Args:
        folder: Holds ``<organization>.yaml``.
        holder: Where snapshots go.
        clock: For the times that health and metrics show.

    Attributes:
        failures: How many files turned out invalid so far; for the metric.
    """

    __slots__ = ("_clock", "_files", "_folder", "_holder", "_last_seen", "_unreadable", "failures")

    def __init__(self, folder: Path, holder: SnapshotHolder, clock: Clock) -> None:
        self._folder = folder
        self._holder = holder
        self._clock = clock
        self._files: dict[Path, _Loaded] = {}
        self._last_seen: dict[Path, Signature] = {}
        self._unreadable: str | None = None
        self.failures = 0

    def load(self) -> None:
        """Read the whole folder, before anything listens.

        Raises:
            PolicyError: The folder or any file in it cannot be used; carries everything that is wrong.
        """
        try:
            seen = _look(self._folder)
        except OSError as error:
            problem = Problem(
                Position(str(self._folder), 1, 1), "policy", f"cannot be read: {error.strerror}", "name a folder"
            )
            raise PolicyError((problem,)) from error
        files = _read(seen, {})
        problems = tuple(problem for loaded in files.values() for problem in loaded.problems)
        if problems:
            raise PolicyError(problems)
        self._last_seen = seen
        self._put(files)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.step()

    async def step(self) -> None:
        """Look once, and use what has changed and come to rest."""
        try:
            seen = await asyncio.to_thread(_look, self._folder)
        except OSError as error:
            self._note_unreadable(error)
            return
        self._unreadable = None
        is_at_rest = seen == self._last_seen
        self._last_seen = seen
        if not is_at_rest:
            return
        if seen == {path: loaded.signature for path, loaded in self._files.items()}:
            self._holder.checked_at = self._clock.now()
            return
        # Reading and compiling take seconds for a large organization: not on the loop.
        self._put(await asyncio.to_thread(_read, seen, self._files))

    def _put(self, files: dict[Path, _Loaded]) -> None:
        before, self._files = self._files, files
        now = self._clock.now()
        self._holder.problems = tuple(problem for loaded in files.values() for problem in loaded.problems)
        self._holder.checked_at = now
        for path, loaded in files.items():
            if loaded.problems and before.get(path) is not loaded:
                self.failures += 1
                kept = None if loaded.organization is None else loaded.organization.revision
                _log.error(
                    "policy_rejected",
                    file=str(path),
                    problems=[str(one) for one in loaded.problems],
                    kept_revision=kept,
                )
        organizations = [loaded.organization for loaded in files.values() if loaded.organization is not None]
        current = self._holder.current
        if self._holder.loaded_at is not None and organizations == list(current.organizations.values()):
            return
        revision = max([current.revision + 1, *(one.revision for one in organizations)])
        self._holder.swap(Snapshot(revision, organizations), now)
        _log.info("policy_loaded", revision=revision, organizations=len(organizations))

    def _note_unreadable(self, error: OSError) -> None:
        text = f"cannot be read: {error.strerror or error}"
        problem = Problem(Position(str(self._folder), 1, 1), "policy", text, "make the folder readable again")
        self._holder.problems = (problem,)
        if self._unreadable != text:
            self._unreadable = text
            _log.error("policy_folder_unreadable", folder=str(self._folder), error=text)


def _look(folder: Path) -> dict[Path, Signature]:
    seen = {}
    for path in policy_files(folder):
        status = path.stat()
        seen[path] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return seen


def _read(seen: dict[Path, Signature], before: dict[Path, _Loaded]) -> dict[Path, _Loaded]:
    """Read what has changed; in a thread. What is in *before* is not touched."""
    files: dict[Path, _Loaded] = {}
    for path, signature in seen.items():
        known = before.get(path)
        files[path] = known if known is not None and known.signature == signature else _load(path, signature, known)
    return files


def _load(path: Path, signature: Signature, known: _Loaded | None) -> _Loaded:
    last_good = None if known is None else known.organization
    try:
        loaded: LoadedPolicy = inspect_policy_file(path)
        changed_at = signature[2] // _NANOS_PER_MILLI
        revision = changed_at if last_good is None else max(changed_at, last_good.revision + 1)
        return _Loaded(signature, compile_document(loaded.document, revision), ())
    except PolicyError as error:
        return _Loaded(signature, last_good, error.problems)
