"""A Redis Stream that all sidecars of a deployment write to (spec 5.6).

::

    sidegate:{audit}:stream    one entry per batch: v, sidecar, first, last, records, data (whole lines)
    sidegate:{audit}:shipped   hash: sidecar -> where its last batch ended, that batch's digest, the stream's number

Both are written by one script, so a batch whose acknowledgement was lost is not added twice, and a Redis that lost
what it had acknowledged (it answers before its disk does) is noticed with the next batch. So is a stream that was
deleted, evicted or overwritten by itself: the one that begins in its place has another number. Nothing is trimmed
here: that is up to who reads the stream (:mod:`sidegate.audit.stream`), and a full Redis refuses, so that the spool
keeps it.
"""

import re
from hashlib import sha256
from typing import Final

from sidegate.audit.ports import Batch, BehindError, Position
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.redis_link.link import Link, make_script
from sidegate.telemetry.tasks import TaskSet

STREAM_KEY: Final = "sidegate:{audit}:stream"
SHIPPED_KEY: Final = "sidegate:{audit}:shipped"
ENTRY_VERSION: Final = "1"

SETTLE_S: Final = 600.0
"""Redis writes to its disk each second (``appendfsync everysec``), a replica follows within seconds, and a snapshot is
made every some minutes: ten minutes cover the first two well, and mostly the third."""

_DIGEST_CHARS: Final = 32
_KNOWN: Final = re.compile(r"([0-9]{10}):([0-9]{16})(?: [0-9a-f]+(?: [0-9]+)?)?")

_ADD: Final = make_script("""
local born = redis.call('HGET', KEYS[2], '#')
if redis.call('EXISTS', KEYS[1]) == 0 then born = (born or 0) + 1 end
born = tostring(born or 1)
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known and string.len(known) > 61 and string.sub(known, 62) ~= born then known = false end
if ARGV[5] == '0' then
  if not known then return 'behind' end
  local at = string.sub(known, 1, 27)
  if at == ARGV[3] and string.sub(known, 29, 60) == ARGV[4] and ARGV[10] ~= '' then return 'there' end
  if at < ARGV[2] then return 'behind ' .. known end
end
if ARGV[10] == '' then return 'there' end
redis.call('XADD', KEYS[1], '*', 'v', ARGV[6], 'sidecar', ARGV[1], 'first', ARGV[7], 'last', ARGV[8],
  'records', ARGV[9], 'data', ARGV[10])
redis.call('HSET', KEYS[2], '#', born, ARGV[1], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. born)
return 'added'
""")
"""What a sidecar has in the stream counts only in the stream that it was added to: trimming leaves an empty one, so a
stream that is not there was taken away. No sidecar is called ``#``."""


class RedisStreamSink:
    """Adds batches to the stream.

    Args:
        link: To the Redis; used by this sink alone. Its deadline is that of a batch of a quarter of a megabyte.
        tasks: In which the link looks whether Redis is there.
    """

    def __init__(self, link: Link, tasks: TaskSet) -> None:
        self._link = link
        self._link.start(tasks)

    @property
    def name(self) -> str:
        """``redis``."""
        return "redis"

    @property
    def settle_s(self) -> float:
        """For so long a crash or a fail-over of Redis may cost what it acknowledged."""
        return SETTLE_S

    async def send(self, batch: Batch) -> None:
        """Add *batch* if it follows what is there.

        Raises:
            DependencyError: Redis is away, or refuses: full, read-only, something else under the key.
            BehindError: What came before is not there.
        """
        doing = f"adding records of `{batch.sidecar}` to the audit stream"
        answer = await self._link.run_script(
            _ADD,
            (STREAM_KEY, SHIPPED_KEY),
            (
                batch.sidecar,
                _written(batch.begin),
                _written(batch.end),
                sha256(batch.data).hexdigest()[:_DIGEST_CHARS],
                int(batch.is_oldest),
                ENTRY_VERSION,
                batch.first_seq,
                batch.last_seq,
                batch.records,
                batch.data,
            ),
            doing=doing,
        )
        if not isinstance(answer, bytes):
            raise DependencyError(Dependency.REDIS, doing)
        verdict, _, known = answer.decode("ascii", "replace").partition(" ")
        if verdict == "behind":
            found = _KNOWN.fullmatch(known)
            raise BehindError(doing, None if found is None else Position(int(found[1]), int(found[2])))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._link.close()


def _written(position: Position) -> str:
    """Write *position* with so many digits that texts are in the order of places."""
    return f"{position.segment:010d}:{position.offset:016d}"
