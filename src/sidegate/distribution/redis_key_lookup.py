"""Finds the organizations of an API key that names none (spec 3.2, 5.2)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, cast

from sidegate.core.model.errors import DependencyError
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_keys import owners_of
from sidegate.distribution.redis_organization import Waiter
from sidegate.redis_link.link import Link
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("distribution")

KEY_LOOKUPS: Final = 64
"""Look-ups of unknown API keys on their way at a time; more are refused at once. Whoever invents keys takes nothing
else from those who have one: a known key needs no look-up."""

MAX_OWNERS: Final = 8
"""Organizations that are asked about one key id. Ids are random; more than one is an accident already."""


class KeyLookups:
    """Look-ups on their way.

    Args:
        link: To Redis.
        fetch: Fetches one organization's record of a key.
        on_found: Told the id of a key that was looked for wherever it may be.
    """

    def __init__(
        self, link: Link, fetch: Callable[[Want], Awaitable[Fetched]], on_found: Callable[[str], None]
    ) -> None:
        self._link = link
        self._fetch = fetch
        self._on_found = on_found
        self._waiting: dict[str, list[Waiter]] = {}

    def look_up(self, key_id: str, waiter: Waiter, tasks: TaskSet) -> None:
        """Look for the key *key_id* in Redis, and tell *waiter*."""
        waiting = self._waiting.get(key_id)
        if waiting is not None:
            waiting.append(waiter)
        elif len(self._waiting) >= KEY_LOOKUPS:
            asyncio.get_running_loop().call_soon(waiter.tell, Fetched.UNAVAILABLE)
        else:
            self._waiting[key_id] = [waiter]
            tasks.spawn(self._find(key_id), "policy_find_key")

    async def _find(self, key_id: str) -> None:
        answer = Fetched.UNAVAILABLE
        try:
            owners = await self._link.call("SMEMBERS", owners_of(key_id), doing="finding the owner of an API key")
            names = sorted(owner.decode() for owner in cast("list[bytes]", owners or []))[:MAX_OWNERS]
            found = await asyncio.gather(*(self._fetch(Want(name, key_id=key_id)) for name in names))
            if Fetched.UNAVAILABLE not in found:
                answer = Fetched.READY
                self._on_found(key_id)
        except (DependencyError, UnicodeDecodeError) as error:
            _log.debug("key_lookup_failed", why=str(error))
        finally:
            for waiter in self._waiting.pop(key_id, ()):
                waiter.tell(answer)
