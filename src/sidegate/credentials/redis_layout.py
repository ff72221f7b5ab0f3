"""What lies in Redis of sessions and keys, under which names (docs/sessions-and-keys.md).

What is looked at together has one hash tag, ``{state}``: revocations, used-up keys and the stream that tells about
revocations change together, in one script. Sessions have none: they are many, and each is read and written by itself.
"""

from collections.abc import Mapping
from typing import Final

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import RevokedKind, SessionCreated
from sidegate.credentials.table import REVOCATION_RETENTION, SessionRecord
from sidegate.redis_link.link import make_script

FORMAT: Final = b"1"
"""Of a session's hash, under ``v``. What has another is refused, not guessed at."""

CHANGES: Final = "sidegate:{state}:changes"
"""Stream of revocations."""
CHANGES_KEPT: Final = 100_000
"""Events in the stream, about; some 15 MB. A follower that missed more fetches anew what it uses."""
SEQUENCE: Final = "sidegate:{state}:sequence"
"""Number of the last event. Each carries its own, so that a follower sees when one is missing."""
EPOCH: Final = "sidegate:{state}:epoch"
"""A random name that the data was given when it began: another one means that the data was lost."""
ORGANIZATIONS: Final = "sidegate:{state}:organizations"
"""Organizations with sessions, by when the last of these is over."""
SESSION_PREFIX: Final = "sidegate:session:"

KEPT_FOR_GOOD: Final = Millis(0)

_LAPSING: Final = frozenset({RevokedKind.SESSION, RevokedKind.LINK})


def session_key(session_id: str) -> str:
    """Return where a session's record lies."""
    return SESSION_PREFIX + session_id


def revoked_key(kind: RevokedKind, revoked_id: str) -> str:
    """Return where it lies when something was invalidated."""
    return f"sidegate:{{state}}:revoked:{kind}:{revoked_id}"


def consumed_key(name: str) -> str:
    """Return where it lies that a single-use key was used up; *name* as :func:`key_name` says."""
    return f"sidegate:{{state}}:consumed:{name}"


def accounts_key(org: str) -> str:
    """Return the index of an organization's accounts with sessions."""
    return f"sidegate:{{{org}}}:sessions"


def account_sessions_key(org: str, account: str) -> str:
    """Return the index of an account's sessions."""
    return f"sidegate:{{{org}}}:sessions:{account}"


def key_uses_key(org: str) -> str:
    """Return where it lies when an organization's keys were last used."""
    return f"sidegate:{{{org}}}:keys:used"


def retention_of(kind: RevokedKind) -> Millis:
    """Return how long a revocation is kept: longer than anything lives that it is about."""
    return REVOCATION_RETENTION if kind in _LAPSING else KEPT_FOR_GOOD


def session_fields(created: SessionCreated) -> dict[str, str]:
    """Return the hash of an opaque session."""
    fields = {
        "account": created.account,
        "org": created.org,
        "surface": created.surface,
        "started": str(created.at),
        "seen": str(created.at),
        "idle": str(created.limits.idle),
        "absolute": str(created.limits.absolute),
        "v": FORMAT.decode(),
    }
    if created.second_factor_at is not None:
        fields["second_factor"] = str(created.second_factor_at)
    return fields


def session_of(session_id: str, fields: Mapping[bytes, bytes], read_at: UnixMillis) -> SessionRecord | None:
    """Read a session's hash; None when there is none.

    Raises:
        IntegrityError: It is not what was written, or of another format.
    """
    if not fields:
        return None
    if fields.get(b"v") != FORMAT:
        raise IntegrityError(f"the session {session_id} in Redis has a format of another version; run that version")
    try:
        limits = None
        if b"idle" in fields or b"absolute" in fields:
            limits = SessionLimits(Millis(int(fields[b"idle"])), Millis(int(fields[b"absolute"])))
        factor = fields.get(b"second_factor")
        return SessionRecord(
            session_id,
            fields[b"account"].decode("ascii"),
            fields[b"org"].decode(),
            fields[b"surface"].decode("ascii"),
            UnixMillis(int(fields[b"started"])),
            UnixMillis(int(fields[b"seen"])),
            limits,
            None if factor is None else UnixMillis(int(factor)),
            read_at,
        )
    except (KeyError, ValueError) as error:
        raise IntegrityError(
            f"the session {session_id} in Redis cannot be read ({error!r}); delete its key, which ends the session"
        ) from None


def instant_of(reply: object) -> UnixMillis | None:
    """Read when something was invalidated; None when it was not.

    Raises:
        IntegrityError: It is not what was written.
    """
    if reply is None:
        return None
    if isinstance(reply, bytes) and reply.isdigit():
        return UnixMillis(int(reply))
    raise IntegrityError("a revocation in Redis is not what was written; write it again with `sidegate session revoke`")


REVOKE: Final = make_script("""
local held = redis.pcall('GET', KEYS[1])
local known = type(held) == 'string' and tonumber(held)
if known and known >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'n', redis.call('INCR', KEYS[3]), 'e', ARGV[3])
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
""")
"""Keys: the revocation, the stream, its sequence. Arguments: instant, how long it is kept (0 for good), event,
length of the stream. Record and event are there together; an earlier instant never takes a later one's place. The
event goes first, as scripts are not rolled back: where there is no stream to write to, nothing was revoked. Whatever
else lies under the revocation's key gives way to it."""

CONSUME: Final = make_script("""
if redis.call('GET', KEYS[4]) ~= ARGV[4] then return 'other_data' end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'key_revoked' end
local org = redis.call('GET', KEYS[3])
if org and tonumber(ARGV[2]) <= tonumber(org) then return 'key_revoked' end
if redis.call('EXISTS', KEYS[1]) == 1 then return 'key_consumed' end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
return 'consumed'
""")
"""Keys: the use, the key's revocation, the organization's, the epoch. Arguments: instant, when the key was made, how
long the use is kept (0 for good), the epoch of the data that the caller follows: in other data an earlier use may be
missing. A script runs alone: of any number of callers one is told ``consumed``."""

RESTORE: Final = make_script("""
local restored = 0
for i = 3, #KEYS do
  local at, kept, event = ARGV[3 * i - 7], ARGV[3 * i - 6], ARGV[3 * i - 5]
  local held = redis.pcall('GET', KEYS[i])
  local known = type(held) == 'string' and tonumber(held)
  if not known or (event ~= '' and known < tonumber(at)) then
    if event ~= '' then
      redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'n', redis.call('INCR', KEYS[2]), 'e', event)
    end
    if kept == '0' then
      redis.call('SET', KEYS[i], at)
    else
      redis.call('SET', KEYS[i], at, 'PX', kept)
    end
    restored = restored + 1
  end
end
return restored
""")
"""Keys: the stream, its sequence, then revocations and uses of keys. Arguments: length of the stream, then for each of
these the instant, how long it is kept (0 for good), and the event (none for a use). What is there stays, but for a
revocation that is earlier. Answers how many were not there."""

TOUCH: Final = make_script("""
local found = redis.call('HMGET', KEYS[1], 'v', 'started', 'seen')
if not found[1] then
  if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('FORMAT unknown') end
  if ARGV[8] == '0' then return false end
  redis.call('HSET', KEYS[1], 'v', '1', 'account', ARGV[4], 'org', ARGV[5], 'surface', ARGV[6],
    'started', ARGV[3], 'seen', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  return {ARGV[3], ARGV[1]}
end
if found[1] ~= '1' then return redis.error_reply('FORMAT unknown') end
local started, seen = found[2], found[3]
if tonumber(ARGV[3]) < tonumber(started) then
  started = ARGV[3]
  redis.call('HSET', KEYS[1], 'started', started)
end
if tonumber(ARGV[1]) >= tonumber(seen) + tonumber(ARGV[2]) then
  seen = ARGV[1]
  redis.call('HSET', KEYS[1], 'seen', seen)
  if ARGV[8] == '1' then redis.call('PEXPIRE', KEYS[1], ARGV[7], 'GT') end
end
return {started, seen}
""")
"""Key: the session. Arguments: instant of the use, how young another's may be to stand for it, start, account,
organization, surface, how long it is remembered, whether it may be made (1 for signed sessions). Answers start and last
use, whoever recorded them; nothing for an opaque session that is gone."""

KEEP: Final = make_script("""
if redis.call('HEXISTS', KEYS[1], 'idle') == 1 then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[1], 'GT')
""")
"""Key: the session. Argument: how long it is remembered from now on, if that is longer. Not for an opaque session: it
is over where its record is gone."""

CREATE: Final = make_script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('EXISTS already') end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
""")
"""Key: the session. Arguments: how long it is remembered, then its fields."""

SYNCHRONIZE: Final = make_script("""
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {epoch, first[1] and first[1][1] or '0-0', last[1] and last[1][1] or '0-0', redis.call('GET', KEYS[3]) or '0'}
""")
"""Keys: the epoch, the stream, its sequence. Argument: the epoch of data that begins now. Answers the epoch, the ids of
the first and last event, and the number of the last."""
