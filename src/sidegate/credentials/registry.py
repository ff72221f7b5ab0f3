"""Sessions and revocations in Redis, for whoever administers them and has no event loop: the command line."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind, SessionCreated
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.table import SessionRecord, facts_of, judge_revocations
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import Clock, SystemClock

PATIENCE: Final = Millis(5000)
"""How long a command waits for Redis; nobody waits for the command but who called it."""

_KEPT_AT_ONCE: Final = 100
"""Calls under way at a time; an organization may have a hundred thousand sessions."""

T = TypeVar("T")


class RedisRegistry:
    """A :class:`sidegate.credentials.ports.Registry` in Redis. Not for use within an event loop.

    Args:
        url: Of the Redis that sidecars share.
        clock: For what is over.
        patience: How long each call may take.

    Raises:
        ValueError: *url* is no address of a Redis.
        DependencyError: It does not answer.
    """

    def __init__(self, url: str, clock: Clock | None = None, patience: Millis = PATIENCE) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._runner = asyncio.Runner()
        self._link = open_link(url, timeout=patience)
        self._store = RedisStore(self._link)
        if not self._wait(self._link.look()):
            why = self._store.problem or "it does not answer"
            self.close()
            raise DependencyError(Dependency.REDIS, f"opening the sessions ({why})")

    def create_session(self, created: SessionCreated) -> None:
        """Record an opaque session."""
        self._wait(self._store.create(created))

    def revoke(self, revoked: Revoked) -> None:
        """Invalidate something, for good and on every sidecar."""
        self._wait(self._store.revoke(revoked))
        self._wait(keep_fallen(self._store, revoked, self._clock.now()))

    def list_sessions(self, account: str | None = None, org: str | None = None) -> Sequence[SessionRecord]:
        """Return the sessions that are remembered, of *account* and *org* where given."""
        return self._wait(self._store.list_sessions(account, org, self._clock.now()))

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not."""
        known = self._wait(self._store.read_facts(facts_of(credential), self._clock.now()))

        def is_revoked(kind: RevokedKind, revoked_id: str, issued_at: UnixMillis | None) -> bool:
            at = known[kind, revoked_id].revoked_at
            return at is not None and (issued_at is None or issued_at <= at)

        try:
            return judge_revocations(
                credential, started, is_revoked, lambda name: known[RevokedKind.KEY, name].consumed
            )
        except KeyError as error:
            raise DependencyError(Dependency.REDIS, f"reading whether {error} was revoked") from None

    def knows_session(self, session_id: str) -> bool:
        """Whether a session is remembered."""
        fact = (RevokedKind.SESSION, session_id)
        known = self._wait(self._store.read_facts((fact,), self._clock.now()))
        return known[fact].session is not None

    def key_uses(self, org: str) -> Mapping[str, UnixMillis]:
        """Return when keys of *org* were last used, by key id."""
        return self._wait(self._store.key_uses(org))

    def close(self) -> None:
        """Let go of every connection."""
        self._wait(self._link.close())
        self._runner.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


async def keep_fallen(store: RedisStore, revoked: Revoked, now: UnixMillis) -> None:
    """Have the sessions that fell with an account or an organization remembered for as long as a revocation.

    They are not used any more, and would soon be forgotten; a token that the issuer makes for one of them after that
    would look like the first of a new session, which began after the revocation.
    """
    if revoked.kind is RevokedKind.ACCOUNT:
        fallen = await store.list_sessions(revoked.id, None, now)
    elif revoked.kind is RevokedKind.ORGANIZATION:
        fallen = await store.list_sessions(None, revoked.id, now)
    else:
        return
    for start in range(0, len(fallen), _KEPT_AT_ONCE):
        await asyncio.gather(*(store.keep_session(record.id) for record in fallen[start : start + _KEPT_AT_ONCE]))
