"""A publisher and bare followers in one process, for what needs no proxy."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.integration.waiting import DEADLINE_S

from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.decision import Decision
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_scope, parse_target
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import BindingEntry, DenyEntry, MemberEntry, PolicyDocument
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_follower import ChangeFollower
from sidegate.distribution.redis_publish import PUBLISH_TIMEOUT, Publisher
from sidegate.distribution.redis_source import RedisPolicies
from sidegate.redis_link.link import DEFAULT_TIMEOUT, Link, open_link
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.tasks import TaskSet

DELETE = Mask(4)


def acme(*, denied: bool = False, members: int = 3, org: str = "acme", **more: Any) -> PolicyDocument:
    """Return a document in which each of ``user:u0``, ``user:u1`` … may do everything on project p1."""
    return PolicyDocument(
        org,
        members=tuple(MemberEntry(f"user:u{number}", roles=("Member",)) for number in range(members)),
        bindings=tuple(
            BindingEntry(f"b{number}", f"user:u{number}", "Admin", parse_scope("p1")) for number in range(members)
        ),
        denies=(DenyEntry("d0", "user:u0", DELETE, parse_scope("*")),) if denied else (),
        **more,
    )


class Following:
    """A sidecar's policy without a sidecar.

    Args:
        url: Of Redis.
        waits: Until the stream of changes is followed, if Redis is there.
        timeout: Longest wait of a call. A test machine may be busy for longer than a service may wait.
        options: For the source.
    """

    def __init__(self, url: str, *, waits: bool = True, timeout: Millis = DEFAULT_TIMEOUT, **options: Any) -> None:
        self._waits = waits
        self.link: Link = open_link(url, timeout=timeout)
        self.failures = 0
        self.policies = RedisPolicies(self.link, SystemClock(), on_failure=self._failed, **options)
        self.follower = ChangeFollower(self.link, self.policies, SystemClock())
        self._tasks = TaskSet(self._task_failed)
        self._broken: list[BaseException] = []

    def _failed(self) -> None:
        self.failures += 1

    def _task_failed(self, name: str, error: BaseException) -> None:
        del name
        self._broken.append(error)

    async def __aenter__(self) -> Self:
        await self.link.look()
        self.link.start(self._tasks)
        self.policies.start(self._tasks)
        self.follower.start(self._tasks)
        if self.link.up and self._waits:
            await self.until(lambda: self.policies.checked_at is not None, "the stream is followed")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        await self.link.close()
        assert self._broken == []

    async def until(self, true: Callable[[], bool], what: str, within_s: float = DEADLINE_S) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(within_s):
                while not true():  # noqa: ASYNC110  what is waited for tells nobody
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s: {what}") from None

    async def fetch(self, want: Want) -> Fetched:
        """Fetch, as a parked request does."""
        told: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.policies.fetch(want, told.set_result)
        async with asyncio.timeout(10):
            return await told

    async def decide(
        self, account: str = "user:u0", authority: Authority = Authority.DELETE, *, org: str = "acme", revision: int = 0
    ) -> Decision | Fetched:
        """Decide like a request: what is missing is fetched, and what cannot be had is told."""
        for _ in range(4):
            want = self.policies.missing(org, account, revision)
            if want is None:
                break
            fetched = await self.fetch(want)
            if fetched is not Fetched.READY:
                return fetched
        else:
            return Fetched.UNAVAILABLE
        now = SystemClock().now()
        if now >= self.policies.stale_after and self.policies.is_too_old(org, [authority], now):
            return Fetched.UNAVAILABLE
        credential = VerifiedCredential(
            kind=CredentialKind.SESSION, id="s", account=account, org=org, issued_at=UnixMillis(0)
        )
        query = Query(credential, authority, parse_target(org, "p1@main:a"), None)
        return decide(self.policies.current, query, now)

    async def reason(self, account: str = "user:u0", **more: Any) -> str:
        """Return the reason of :meth:`decide`, or what came of fetching."""
        found = await self.decide(account, **more)
        return str(found) if isinstance(found, Fetched) else str(found.reason)

    async def becomes(
        self, reason: str, account: str = "user:u0", *, within_s: float = DEADLINE_S, **more: Any
    ) -> None:
        """Wait until :meth:`reason` is *reason*."""
        last = ""
        try:
            async with asyncio.timeout(within_s):
                while (last := await self.reason(account, **more)) != reason:  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"not `{reason}` within {within_s} s, but `{last}`") from None


class Publishing:
    """A publisher with a link of its own.

    Args:
        url: Of Redis.
        signer: Signs what it publishes.
    """

    def __init__(self, url: str, signer: Any = None) -> None:
        self.link = open_link(url, timeout=Millis(PUBLISH_TIMEOUT))
        self.publisher = Publisher(self.link, SystemClock(), signer)

    async def __aenter__(self) -> Publisher:
        return self.publisher

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.link.close()
