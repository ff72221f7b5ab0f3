"""What the verifier leans on. The embedded state implements it; a store over the network can."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from sidegate.core.identity.jwk import KeySet
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Event, Revoked, SessionCreated, SessionSeen
from sidegate.credentials.table import OnRevoked, SessionRecord


class SharedState(Protocol):
    """Sessions, revocations and used-up keys, the same for every worker. Look-ups never wait."""

    @property
    def version(self) -> int:
        """Grows with everything that can refuse a credential that was good before."""

    @property
    def failure(self) -> str | None:
        """Why the state cannot be relied on at present, and what to do; None when it can."""

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is known of a session. The record goes on being updated in place."""

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not."""

    def record_activity(self, seen: SessionSeen) -> SessionRecord:
        """Record that a session was used; others learn it within a poll. Never fails: what cannot be written is
        kept for the next poll."""

    def consume_key(self, credential: VerifiedCredential, now: UnixMillis) -> Reason | None:
        """Use a single-use key up: of any number of callers on all workers exactly one gets None, for good.

        Returns:
            None, ``key_consumed`` or ``key_revoked``.

        Raises:
            DependencyError: It could not be recorded; nothing may be forwarded.
        """

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

    def list_sessions(self) -> Sequence[SessionRecord]:
        """Return every session that is remembered, also those that are over."""

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on, whoever made it; the answer ends it."""


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
