"""A sidecar's view of shared state in Redis, driven step by step from tests that have no event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind, SessionCreated, SessionSeen
from sidegate.credentials.ports import Fact, Pending
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.table import OnRevoked, SessionRecord, facts_of
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet

PATIENCE = Millis(5000)

LONG = Millis(10**12)

T = TypeVar("T")


class RedisWorker:
    """One follower; every call returns when it is done."""

    def __init__(self, runner: asyncio.Runner, url: str, clock: Clock, **options: Any) -> None:
        self._runner = runner
        self._clock = clock
        self._link = open_link(url, timeout=PATIENCE)
        self.store = RedisStore(self._link)
        self._tasks = TaskSet()
        usual: dict[str, Any] = {"patience": PATIENCE}
        self.state = RedisState(self.store, clock, self._tasks, **(usual | options))
        assert self.wait(self._link.look())
        assert self.wait(self.state.connect())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* to its end."""
        return self._runner.run(work)

    @property
    def version(self) -> int:
        """As the state says."""
        return self.state.version

    @property
    def failure(self) -> str | None:
        """As the state says."""
        return self.state.failure

    def poll(self) -> None:
        """Take in what others did, and write what waits."""
        self.wait(self._poll())

    def know(self, *facts: Fact) -> bool:
        """Fetch what is missing of *facts*; returns whether it could be had."""
        return self.wait(self._know(facts))

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Look a session up as a verification does of one that looks idle."""
        known = self.state.find_session(session_id)
        if known is not None:
            assert self.state.is_outdated(known, LONG)
        assert self.know((RevokedKind.SESSION, session_id))
        return self.state.find_session(session_id)

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Judge a credential as a verification does."""
        assert self.know(*facts_of(credential))
        return self.state.refusal_of(credential, started)

    def record_activity(self, seen: SessionSeen) -> SessionRecord:
        """Record a use of a session that was looked up before."""
        return self.wait(self._record_activity(seen))

    def consume_key(self, credential: VerifiedCredential, now: UnixMillis) -> Reason | None:
        """Use a key up and wait for the answer."""
        return self.wait(self._consume(credential, now))

    def revoke(self, revoked: Revoked) -> None:
        """Invalidate something; this worker takes it in from the stream like the others."""
        self.wait(self.store.revoke(revoked))
        self.poll()

    def create_session(self, created: SessionCreated) -> None:
        """Create an opaque session."""
        self.wait(self.store.create(created))

    def list_sessions(self) -> Sequence[SessionRecord]:
        """List all."""
        return tuple(self.wait(self.store.list_sessions(None, None, self._clock.now())))

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """As the state does."""
        return self.state.subscribe(on_revoked)

    def close(self) -> None:
        """Write what waits and let go."""
        self.wait(self._close())

    async def _poll(self) -> None:
        await self.state.flush()
        await self.state.step(Millis(1))

    async def _know(self, facts: Sequence[Fact]) -> bool:
        missing = self.state.missing(facts)
        if not missing:
            return True
        fetched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.state.fetch(missing, fetched.set_result)
        return await fetched

    async def _record_activity(self, seen: SessionSeen) -> SessionRecord:
        await self._know([(RevokedKind.SESSION, seen.id)])
        return self.state.record_activity(seen)

    async def _consume(self, credential: VerifiedCredential, now: UnixMillis) -> Reason | None:
        consumed: asyncio.Future[Reason | None] = asyncio.get_running_loop().create_future()
        answer = self.state.consume_key(credential, now, consumed.set_result)
        return await consumed if isinstance(answer, Pending) else answer

    async def _close(self) -> None:
        await self.state.flush()
        await self._tasks.close()
        await self._link.close()
