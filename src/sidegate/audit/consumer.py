"""One of those who share the audit stream in Redis: takes entries, acknowledges them, takes over from the dead."""

from collections.abc import Sequence
from typing import Final, cast

from sidegate.audit.entries import StreamBatch
from sidegate.audit.sinks.redis import STREAM_KEY
from sidegate.audit.stream import batch_of
from sidegate.core.model.units import Millis
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link, make_script, stream_entries
from sidegate.redis_link.servers import Reply

FIRST: Final = "0-0"
"""Before every entry."""

_DOING: Final = "taking records from the audit stream"
_WITHIN: Final = Millis(10_000)

_TRIM: Final = make_script("""
local limit = ARGV[1]
local function is_less(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if a1 ~= b1 then
    if #a1 ~= #b1 then return #a1 < #b1 end
    return a1 < b1
  end
  if #a2 ~= #b2 then return #a2 < #b2 end
  return a2 < b2
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  local needed = of['last-delivered-id']
  local pending = redis.call('XPENDING', KEYS[1], of['name'])
  if pending[2] and is_less(pending[2], needed) then needed = pending[2] end
  if is_less(needed, limit) then limit = needed end
end
return redis.call('XTRIM', KEYS[1], 'MINID', limit)
""")
"""Trims what every group has acknowledged and what is older than ARGV[1]; what one group still needs stays, and with it
the last entry that was delivered: a group's position then never lies before the oldest entry."""

_LEAVE: Final = make_script("""
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
""")
"""Removing a consumer removes what it has not acknowledged from the group for good: only one that has nothing goes."""


class StreamConsumer:
    """A member of a consumer group.

    Args:
        link: To the Redis.
        group: Shares what is added among its members.
        name: This member's own; one that is started again under its name gets back what it had not acknowledged.
    """

    def __init__(self, link: Link, group: str, name: str) -> None:
        self._link = link
        self._group = group
        self._name = name

    async def join(self) -> None:
        """Make the group, from the first entry on, if it is not there: at first, and in a Redis that was emptied.

        Raises:
            DependencyError: Redis is away or refuses.
        """
        try:
            await self._link.call(
                "XGROUP", "CREATE", STREAM_KEY, self._group, "0", "MKSTREAM", doing=_DOING, key=STREAM_KEY
            )
        except RedisRefusedError as error:
            if error.code != "BUSYGROUP":
                raise

    async def take_back(self, count: int, after: str = FIRST) -> list[StreamBatch]:
        """Return what this member was given before and has not acknowledged, behind the id *after*."""
        return await self._read(after, count, None)

    async def take(self, count: int, block: Millis | None) -> list[StreamBatch]:
        """Return what nobody was given yet, at most *count*; waits up to *block* for one, None to not wait."""
        return await self._read(">", count, block)

    async def take_over(self, count: int, idle: Millis, start: str = FIRST) -> tuple[list[StreamBatch], str]:
        """Take what other members were given and have not acknowledged for *idle*; it is this member's now.

        Args:
            count: At most so many.
            idle: For so long.
            start: Where to go on.

        Returns:
            The entries, and where to go on; :data:`FIRST` if that was all.
        """
        answer = await self._link.call(
            "XAUTOCLAIM", STREAM_KEY, self._group, self._name, idle, start, "COUNT", count, doing=_DOING, within=_WITHIN
        )
        following, entries = cast("list[Reply]", answer)[:2]
        return _batches(entries), cast("bytes", following).decode()

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Note that the entries *ids* are kept for good elsewhere."""
        await self._link.call(
            "XACK", STREAM_KEY, self._group, *ids, doing="acknowledging records of the audit stream", within=_WITHIN
        )

    async def trim(self, kept_from: int) -> int:
        """Remove the entries of before *kept_from* (UNIX milliseconds) that every group has acknowledged; how many."""
        answer = await self._link.run_script(
            _TRIM, (STREAM_KEY,), (f"{kept_from}-0",), doing="trimming the audit stream", within=_WITHIN
        )
        return cast("int", answer)

    async def leave(self) -> None:
        """Leave the group, unless something is not acknowledged: another member takes that over first."""
        await self._link.run_script(
            _LEAVE, (STREAM_KEY,), (self._group, self._name), doing="leaving the audit stream", within=_WITHIN
        )

    async def _read(self, after: str, count: int, block: Millis | None) -> list[StreamBatch]:
        waiting = () if block is None else ("BLOCK", block)
        answer = await self._link.call(
            *("XREADGROUP", "GROUP", self._group, self._name, "COUNT", count, *waiting, "STREAMS", STREAM_KEY, after),
            doing=_DOING,
            key=STREAM_KEY,
            within=Millis(_WITHIN + (block or 0)),
        )
        return [] if answer is None else _batches(cast("list[list[Reply]]", answer)[0][1])


def _batches(reply: Reply) -> list[StreamBatch]:
    # What was removed from the stream while it was somebody's has no fields; there is nothing to keep of it.
    return [batch_of(entry) for entry in stream_entries(reply) if entry[1]]
