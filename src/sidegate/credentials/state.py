"""The shared state over an event log: the embedded form of :class:`SharedState` and :class:`Registry`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, IntegrityError, InvariantError
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Event, KeyConsumed, KeySeen, Revoked, SessionCreated, SessionSeen, key_name
from sidegate.credentials.ports import AT_ONCE, Durability, EventLog, Fact, OnConsumed, OnFetched
from sidegate.credentials.table import OnRevoked, SessionRecord, StateTable

MAX_PENDING: Final = 100_000
"""Sessions whose activity waits to be written; above it, activity is not recorded, and so not counted."""


class FollowedState:
    """Sessions, revocations and used-up keys, read from a log that all workers append to.

    Args:
        log: This follower's own. What it holds is read at once.

    Raises:
        IntegrityError: The log is not what was written. Nothing can be verified against it.
        DependencyError: The log cannot be read.
    """

    __slots__ = ("_log", "_pending", "_table", "failure", "version")

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._table = StateTable()
        self._pending: dict[str, SessionSeen | KeySeen] = {}
        self.failure: str | None = None
        # A plain attribute: it is read for every request, and a property costs three times as much.
        self.version = 0
        self._catch_up()

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is known of a session."""
        return self._table.sessions.get(session_id)

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not."""
        return self._table.refusal_of(credential, started)

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        """Return nothing: everything is followed."""
        del facts
        return ()

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        """Not called: nothing is ever missing."""
        del facts, on_fetched
        raise InvariantError("facts were fetched of a state that follows everything")

    def is_outdated(self, record: SessionRecord, idle: Millis) -> bool:
        """Return False: activity of others is followed."""
        del record, idle
        return False

    def list_sessions(self, account: str | None = None, org: str | None = None) -> Sequence[SessionRecord]:
        """Return every session that is remembered, of *account* and *org* where given."""
        return tuple(
            record
            for record in self._table.sessions.values()
            if account in {None, record.account} and org in {None, record.org}
        )

    def knows_session(self, session_id: str) -> bool:
        """Whether a session is remembered."""
        return session_id in self._table.sessions

    def key_uses(self, org: str) -> Mapping[str, UnixMillis]:
        """Return when keys of *org* were last used, by key id."""
        prefix = key_name(org, "")
        return {name.removeprefix(prefix): at for name, at in self._table.keys_seen.items() if name.startswith(prefix)}

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on; the answer ends it."""
        return self._table.subscribe(on_revoked)

    def record_activity(self, seen: SessionSeen, due: Millis = AT_ONCE) -> SessionRecord:
        """Record that a session was used: here at once, for the others with the next :meth:`poll`."""
        del due  # whoever calls knows what others recorded
        known = self._table.sessions.get(seen.id)
        if len(self._pending) < MAX_PENDING or known is None:
            self._pending[seen.id] = seen
            self._apply(seen)
            known = self._table.sessions[seen.id]
        return known

    def record_key_use(self, seen: KeySeen) -> None:
        """Record that a key was used: for others with the next :meth:`poll`."""
        if len(self._pending) < MAX_PENDING:
            # No session id has a space in it.
            self._pending[f"key {seen.id}"] = seen
            self._apply(seen)

    def consume_key(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: OnConsumed | None = None
    ) -> Reason | None:
        """Use a single-use key up; exactly one caller on all workers gets None. Blocks for a write and a sync, and
        never answers later."""
        del on_consumed
        with self._log.exclusively():
            # Under the lock, so that whatever another worker wrote is seen: this is what makes it exactly one.
            self._catch_up()
            refusal = self._table.refusal_of(credential, credential.issued_at)
            if refusal is not None:
                return refusal
            self._append(KeyConsumed(key_name(credential.org, credential.id), now))
        return None

    def create_session(self, created: SessionCreated) -> None:
        """Record an opaque session."""
        self._record(created)

    def revoke(self, revoked: Revoked) -> None:
        """Invalidate something, for good and on every worker."""
        self._record(revoked)

    def poll(self) -> None:
        """Write the activity that waits and take in what others wrote. To be called often: it is one system call
        when nothing happened.

        A log that cannot be read makes :attr:`failure` say so until it can; one that is not what was written, or cannot
        be taken in, makes it say so for good: revocations may be among what is missing.
        """
        if isinstance(self.failure, _Broken):
            return
        try:
            self._catch_up()
            if self._pending:
                self._flush()
        except IntegrityError as error:
            self._fail(_Broken(error))
        except DependencyError as error:
            self._fail(f"{error}; credentials are refused until the state can be read")
        else:
            self.failure = None

    def prune(self, now: UnixMillis) -> None:
        """Forget what can no longer matter."""
        self._table.prune(now)
        self.version = self._table.version

    def close(self) -> None:
        """Write what waits, as far as that is possible, and let go of the log."""
        self.poll()
        self._log.close()

    def _record(self, event: Event) -> None:
        with self._log.exclusively():
            self._catch_up()
            self._append(event)

    def _append(self, event: Event) -> None:
        # What was written but could not be synced is taken in by the next read, like another worker's.
        self._log.append((event,), Durability.HOST)
        self._apply(event)

    def _flush(self) -> None:
        try:
            # Not waiting: this runs on the event loop every few milliseconds, and activity can wait.
            with self._log.exclusively(AT_ONCE):
                self._catch_up()
                self._log.append(tuple(self._pending.values()), Durability.PROCESS)
        except DependencyError:
            # Busy or full. Nothing is lost by waiting: a session that nobody can record goes idle early.
            return
        self._pending.clear()

    def _catch_up(self) -> None:
        events = self._log.read()
        try:
            for event in events:
                self._table.apply(event)
        except Exception as error:
            # The rest of what was read is lost, and nobody knows what it revoked.
            self._fail(_Broken(f"an event could not be taken in ({type(error).__name__}: {error}); restart sidegate"))
            raise
        self.version = self._table.version

    def _apply(self, event: Event) -> None:
        self._table.apply(event)
        self.version = self._table.version

    def _fail(self, why: str) -> None:
        if self.failure is None or isinstance(why, _Broken):
            # So that credentials verified before are looked at again, and refused.
            self._table.version += 1
            self.version = self._table.version
        self.failure = why


class _Broken(str):
    """A failure that does not pass."""

    __slots__ = ()
