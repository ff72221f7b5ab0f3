"""The policy of one process, from where the settings say it is (spec 5.1)."""

from typing import TYPE_CHECKING, Final, Protocol

from sidegate.app.policy_fingerprint import fingerprint_of
from sidegate.config.endpoints import DirectorySource, RedisSource
from sidegate.config.held import Settings
from sidegate.core.model.units import Millis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.distribution.directory import PolicyDirectory, ReadPolicy
from sidegate.distribution.holder import SnapshotHolder
from sidegate.distribution.ports import PolicySource
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.tasks import TaskSet

if TYPE_CHECKING:
    from sidegate.redis_link.link import Link


class Policy(Protocol):
    """A policy and whatever keeps it current."""

    @property
    def source(self) -> PolicySource:
        """What is decided with."""

    @property
    def failures(self) -> int:
        """How often something newer could not be put in force."""

    @property
    def link(self) -> "Link | None":
        """To the Redis that it is in, if it is in one."""

    def follow(self, tasks: TaskSet) -> None:
        """Keep it current from now on, until *tasks* is closed."""

    def lag(self) -> int:
        """How many revisions are known of and not in force."""

    @property
    def age_limit(self) -> Millis | None:
        """How old it may be before the first requests are refused; None where it cannot grow old."""

    def fingerprint(self) -> int | None:
        """48 bits that are the same wherever the same policy is in force; None before any is."""

    def subjects_cached(self) -> int:
        """How many accounts are in memory, ready to be decided."""

    async def close(self) -> None:
        """Let go. Close the task set first."""


ALONE: Final = "w0"


def open_policy(settings: Settings, read: ReadPolicy, part: str = ALONE) -> Policy:
    """Open the policy of a process. A folder is read at once, so that nothing listens before it can decide.

    Args:
        settings: As configured.
        read: Reads a policy file.
        part: Name of the process among those of the sidecar, under which it keeps a cache.

    Raises:
        PolicyError: The folder cannot be used. A Redis that is away is no error: it may come back.
        ConfigError: A key or the password cannot be read.
    """
    match source := settings.policy.source:
        case DirectorySource():
            return _InFolder(source, read)
        case RedisSource():
            # Only here: the client library is a sixth of the memory of a process that has no use for it.
            from sidegate.app.policy_in_redis import PolicyInRedis  # noqa: PLC0415

            return PolicyInRedis(source, settings, part)


class _InFolder:
    def __init__(self, source: DirectorySource, read: ReadPolicy) -> None:
        self.failures = 0
        self.age_limit: Millis | None = None
        self._fingerprint = 0
        self.link: Link | None = None
        self._holder = SnapshotHolder()
        self.source: PolicySource = self._holder
        self._directory = PolicyDirectory(source.path, self._holder, SystemClock(), read, on_failure=self._note_failure)
        self._holder.on_swap(self._note_swap)
        self._directory.load()

    def follow(self, tasks: TaskSet) -> None:
        self._directory.start(tasks)

    def lag(self) -> int:
        return int(bool(self._holder.problems))

    def fingerprint(self) -> int | None:
        return self._fingerprint

    def subjects_cached(self) -> int:
        return sum(one.subjects_cached for one in self._holder.current.organizations.values())

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _note_failure(self) -> None:
        self.failures += 1

    def _note_swap(self, snapshot: Snapshot) -> None:
        digests = sorted(f"{name}={one.digest}" for name, one in snapshot.organizations.items())
        self._fingerprint = fingerprint_of("\n".join(digests).encode())
