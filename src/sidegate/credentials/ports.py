"""What the verifier leans on. The embedded state implements it; a store over the network can."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, StrEnum, auto
from typing import Final, Protocol

from sidegate.core.identity.jwk import KeySet
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value
from sidegate.credentials.events import Event, KeySeen, Revoked, RevokedKind, SessionCreated, SessionSeen
from sidegate.credentials.table import OnRevoked, SessionRecord

Fact = tuple[RevokedKind, str]
"""Something that may be invalidated, by its kind and id: what a credential rests on."""

OnFetched = Callable[[bool], None]
"""Told once whether facts could be had."""

OnConsumed = Callable[[Reason | None], None]
"""Told once whether the use of a key was recorded (None), or why the request is refused."""


@hot_value
class Missing:
    """An answer has to wait: these *facts* are not known here yet, but can be fetched."""

    facts: tuple[Fact, ...]


class Pending(Enum):
    """An answer that will be told later."""

    PENDING = auto()


AT_ONCE: Final = Millis(0)

PENDING: Final = Pending.PENDING


class SharedState(Protocol):
    """Sessions, revocations and used-up keys, the same for every worker. Look-ups never wait."""

    @property
    def version(self) -> int:
        """Grows with everything that can refuse a credential that was good before."""

    @property
    def failure(self) -> str | None:
        """Why the state cannot be relied on at present, and what to do; None when it can."""

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        """Return those of *facts* about which nothing is known here yet; empty where everything is followed."""

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        """Get *facts* from where they are kept. Returns at once; *on_fetched* is told on the event loop, never from
        within the call. Whoever waits sets a deadline of their own."""

    def is_outdated(self, record: SessionRecord, idle: Millis) -> bool:
        """Whether others may have recorded activity of a session that looks idle here. Its fact is then missing until
        it is fetched again."""

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is known of a session. The record goes on being updated in place."""

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not. Nothing it rests on may be missing."""

    def record_activity(self, seen: SessionSeen, due: Millis = AT_ONCE) -> SessionRecord:
        """Record that a session was used, for all workers. Never fails: what cannot be written is kept for later.

        Args:
            seen: The use.
            due: Another's record that is younger than this stands for this one too.
        """

    def record_key_use(self, seen: KeySeen) -> None:
        """Record that a key was used, for people; it may get lost. Never fails."""

    def consume_key(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: OnConsumed
    ) -> Reason | Pending | None:
        """Use a single-use key up: of any number of callers on all workers exactly one gets None, for good.

        Returns:
            None, ``key_consumed`` or ``key_revoked``; PENDING when *on_consumed* will be told one of these, or
            ``policy_unavailable``, within the deadline of whatever keeps them.

        Raises:
            DependencyError: It could not be recorded; nothing may be forwarded.
        """

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on, whoever made it; the answer ends it."""


class Registry(Protocol):
    """Sessions and revocations as those see them who administer them; calls wait until it is done."""

    def create_session(self, created: SessionCreated) -> None:
        """Record an opaque session.

        Raises:
            DependencyError: It could not be recorded.
        """

    def revoke(self, revoked: Revoked) -> None:
        """Invalidate something, for good and on every worker.

        Raises:
            DependencyError: It could not be recorded.
        """

    def list_sessions(self, account: str | None = None, org: str | None = None) -> Sequence[SessionRecord]:
        """Return the sessions that are remembered, of *account* and *org* where given, also those that are over.

        Raises:
            DependencyError: They cannot be read.
        """

    def knows_session(self, session_id: str) -> bool:
        """Whether a session is remembered: it was used, or made in the store.

        Raises:
            DependencyError: It cannot be told.
        """

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not.

        Raises:
            DependencyError: It cannot be told.
        """

    def key_uses(self, org: str) -> Mapping[str, UnixMillis]:
        """Return when keys of *org* were last used, by key id, as far as was recorded.

        Raises:
            DependencyError: It cannot be told.
        """

    def close(self) -> None:
        """Let go of everything."""


class Durability(StrEnum):
    """What an appended event survives."""

    PROCESS = "process"
    """The end of every process."""
    HOST = "host"
    """The end of the machine: synced before the call returns."""


class EventLog(Protocol):
    """An ordered log of events that several processes append to and follow. One object per follower."""

    def read(self) -> list[Event]:
        """Return what was appended by anyone since the last call. Some of it may have been returned before.

        Raises:
            IntegrityError: The log is not what was written.
            DependencyError: It cannot be read.
        """

    def exclusively(self, patience: Millis | None = None) -> AbstractContextManager[None]:
        """Keep all other followers from appending while the context lasts.

        Args:
            patience: How long to wait for another that does the same; None for the log's own.

        Raises:
            DependencyError: Another holds it for too long, or it cannot be had.
        """

    def append(self, events: Sequence[Event], durability: Durability) -> None:
        """Append *events*, all or none. To be called within :meth:`exclusively`.

        What others appended before is returned by the next :meth:`read`; *events* themselves are not.

        Raises:
            DependencyError: They could not be written, or not be synced; then they may yet be there.
        """

    def close(self) -> None:
        """Let go of everything."""


class KeySource(Protocol):
    """Where the keys of signed sessions come from."""

    @property
    def current(self) -> KeySet:
        """The keys that verify at present; another object whenever anything about them changed."""

    def request_refresh(self) -> None:
        """Say that a token names a key that is not known. Returns at once; how often it is heeded is bounded."""
