"""Sessions, revocations and used-up keys in Redis: one call for each thing that is done with them."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Final, cast

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import Dependency, DependencyError, IntegrityError
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value, value
from sidegate.credentials.events import (
    Event,
    Revoked,
    RevokedKind,
    SessionCreated,
    SessionSeen,
    decode_event,
    encode_event,
    key_name,
)
from sidegate.credentials.held import KnownFact
from sidegate.credentials.ports import Fact
from sidegate.credentials.redis_layout import (
    CHANGES,
    CHANGES_KEPT,
    CONSUME,
    CREATE,
    EPOCH,
    KEEP,
    KEPT_FOR_GOOD,
    ORGANIZATIONS,
    RESTORE,
    REVOKE,
    SEQUENCE,
    SYNCHRONIZE,
    TOUCH,
    account_sessions_key,
    accounts_key,
    consumed_key,
    instant_of,
    key_uses_key,
    retention_of,
    revoked_key,
    session_fields,
    session_key,
    session_of,
)
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import REVOCATION_RETENTION, SESSION_RETENTION, SessionRecord
from sidegate.redis_link.address import Topology
from sidegate.redis_link.errors import RETRY_AFTER_S, RedisRefusedError
from sidegate.redis_link.link import Link, pairs
from sidegate.redis_link.servers import Argument, Command, Reply

GRACE: Final = Millis(24 * 60 * 60 * 1000)
"""How long things are kept that are over, so that whoever comes with one is told why it is refused."""

READ_AT_ONCE: Final = 500
"""Events that are taken from the stream in one go: some milliseconds of work for the event loop."""

_LISTED_AT_ONCE: Final = 500
_RESTORED_AT_ONCE: Final = 200
"""Some milliseconds of work for Redis, during which it does nothing else."""
_RESTORE_WITHIN: Final = Millis(2000)

_REFUSED: Final = {b"key_consumed": Reason.KEY_CONSUMED, b"key_revoked": Reason.KEY_REVOKED, b"consumed": None}

_RESTORING: Final = "writing revocations again"

StreamId = tuple[int, int]
"""Of an event; ordered."""

BEGINNING: Final[StreamId] = (0, 0)


class OtherDataError(DependencyError):
    """Redis does not hold the data that was followed: what is missing in it means nothing."""

    def __init__(self, doing: str) -> None:
        super().__init__(Dependency.REDIS, f"{doing}, in data that is not the data of before", RETRY_AFTER_S)


@value
class Standing:
    """Where the data and its stream stand.

    Attributes:
        epoch: Of the data.
        first: Id of the oldest event in the stream; BEGINNING when there is none.
        last: Id of the newest.
        sequence: Number of the newest.
    """

    epoch: bytes
    first: StreamId
    last: StreamId
    sequence: int


@hot_value
class Change:
    """One entry of the stream.

    Attributes:
        at: Its id.
        sequence: Its number; one more than that of the entry before it.
        event: What happened; None if it cannot be read.
    """

    at: StreamId
    sequence: int
    event: Event | None


class RedisStore:
    """The commands. Every call raises DependencyError when Redis is away, refuses or takes longer than the link allows.

    Args:
        link: To Redis.
    """

    __slots__ = ("_is_cluster", "_link")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_cluster = link.address.topology is Topology.CLUSTER

    @property
    def problem(self) -> str | None:
        """Why Redis is away; None when it is there."""
        return self._link.problem

    async def read_facts(
        self, facts: Sequence[Fact], now: UnixMillis, epoch: bytes | None = None
    ) -> dict[Fact, KnownFact]:
        """Read what is known of *facts*; those that cannot be read are left out.

        Args:
            facts: What to read.
            now: Wall clock.
            epoch: Name that the data must have; None for any.

        Raises:
            OtherDataError: It has another.
            DependencyError: Redis is away.
        """
        try:
            return await self._read(facts, now, epoch)
        except (RedisRefusedError, IntegrityError):
            if len(facts) == 1:
                raise
        # Something is wrong with one of them: the others must not suffer from it.
        found: dict[Fact, KnownFact] = {}
        for fact in facts:
            try:
                found |= await self._read((fact,), now, epoch)
            except (RedisRefusedError, IntegrityError):
                continue
        return found

    async def touch(self, seen: SessionSeen, due: Millis, *, is_signed: bool) -> tuple[UnixMillis, UnixMillis] | None:
        """Record that a session was used, unless somebody did less than *due* before.

        Returns:
            Its start and its last use, whoever recorded them; None when it is gone.
        """
        reply = await self._link.run_script(
            TOUCH,
            (session_key(seen.id),),
            (seen.at, due, seen.started, seen.account, seen.org, seen.surface, SESSION_RETENTION, int(is_signed)),
            doing="recording a session's use",
        )
        if reply is None:
            return None
        started, last_seen = cast("list[bytes]", reply)
        if not (started.isdigit() and last_seen.isdigit()):
            raise RedisRefusedError("recording a session's use", "what is there is not what was written", "FORMAT")
        return UnixMillis(int(started)), UnixMillis(int(last_seen))

    async def index(self, session_id: str, account: str, org: str, now: UnixMillis, until: UnixMillis) -> None:
        """Make a session findable by its account and organization until *until*."""
        # From the outside in: what is found and is not there is left out, what is there must be found.
        await self._put(ORGANIZATIONS, org, now, until)
        await self._put(accounts_key(org), account, now, until)
        await self._put(account_sessions_key(org, account), session_id, now, until)

    async def create(self, created: SessionCreated) -> None:
        """Record an opaque session."""
        kept = created.limits.absolute + GRACE
        await self.index(created.id, created.account, created.org, created.at, UnixMillis(created.at + kept))
        fields = [part for item in session_fields(created).items() for part in item]
        await self._link.run_script(CREATE, (session_key(created.id),), (kept, *fields), doing="creating a session")

    async def revoke(self, revoked: Revoked) -> bool:
        """Invalidate something and tell every follower; returns whether it was not so before."""
        reply = await self._link.run_script(
            REVOKE,
            (revoked_key(revoked.kind, revoked.id), CHANGES, SEQUENCE),
            (revoked.at, retention_of(revoked.kind), encode_event(revoked).rstrip(b"\n"), CHANGES_KEPT),
            doing=f"revoking a {revoked.kind}",
        )
        return reply == 1

    async def keep_session(self, session_id: str) -> None:
        """Remember a signed session for as long as a revocation from now on, whether it is used or not."""
        key = session_key(session_id)
        await self._link.run_script(KEEP, (key,), (REVOCATION_RETENTION,), doing="keeping an ended session in mind")

    async def restore(self, revoked: Sequence[Revoked], used: Sequence[UsedUp], now: UnixMillis) -> int:
        """Write again what may have been lost, and tell every follower; returns how much was not there."""
        # Written down as it is sent: for all of it at once the loop would stand still.
        lost = chain(map(_lost_revocation, revoked), (_lost_use(one, now) for one in used))
        restored = 0
        while some := list(islice(lost, _RESTORED_AT_ONCE)):
            # Asked first, which costs Redis a tenth: where a hundred sidecars know the same, one of them writes it.
            found = await self._link.call(
                "MGET", *(one.key for one in some), doing=_RESTORING, key=EPOCH, within=_RESTORE_WITHIN
            )
            there = cast("list[bytes | None]", found)
            missing = [one for one, known in zip(some, there, strict=True) if not one.is_in(known)]
            if missing:
                restored += await self._write_again(missing)
        return restored

    async def consume(self, credential: VerifiedCredential, now: UnixMillis, epoch: bytes) -> Reason | None:
        """Use a single-use key up; exactly one caller anywhere gets None.

        Raises:
            OtherDataError: The data is not that of *epoch*.
            DependencyError: It may or may not be used up.
        """
        name = key_name(credential.org, credential.id)
        kept = KEPT_FOR_GOOD if credential.expires_at is None else _kept(credential.expires_at, now)
        reply = await self._link.run_script(
            CONSUME,
            (
                consumed_key(name),
                revoked_key(RevokedKind.KEY, name),
                revoked_key(RevokedKind.ORGANIZATION, credential.org),
                EPOCH,
            ),
            (now, credential.issued_at, kept, epoch),
            doing="using a single-use key up",
        )
        if reply == b"other_data":
            raise OtherDataError("using a single-use key up")
        # Anything else than these three raises, and nothing is forwarded.
        return _REFUSED[cast("bytes", reply)]

    async def record_key_use(self, org: str, key_id: str, at: UnixMillis) -> None:
        """Record when a key was last used."""
        await self._link.call("HSET", key_uses_key(org), key_id, at, doing="recording a key's use")

    async def key_uses(self, org: str) -> dict[str, UnixMillis]:
        """Return when keys of *org* were last used."""
        reply = await self._link.call("HGETALL", key_uses_key(org), doing="reading when keys were used")
        return {key.decode(): UnixMillis(int(at)) for key, at in pairs(reply).items() if at.isdigit()}

    async def list_sessions(self, account: str | None, org: str | None, now: UnixMillis) -> list[SessionRecord]:
        """Return the sessions of *account* and *org* where given."""
        records: list[SessionRecord] = []
        for one_org in [org] if org is not None else await self._listed(ORGANIZATIONS, now):
            for one in [account] if account is not None else await self._listed(accounts_key(one_org), now):
                ids = await self._listed(account_sessions_key(one_org, one), now)
                for start in range(0, len(ids), _LISTED_AT_ONCE):
                    facts = [(RevokedKind.SESSION, each) for each in ids[start : start + _LISTED_AT_ONCE]]
                    found = await self.read_facts(facts, now)
                    records += [known.session for known in found.values() if known.session is not None]
        return records

    async def synchronize(self, epoch: str) -> Standing:
        """Return where the data stands; data without an epoch is given *epoch*."""
        reply = await self._link.run_script(
            SYNCHRONIZE, (EPOCH, CHANGES, SEQUENCE), (epoch,), doing="reading where changes are"
        )
        found, first, last, sequence = cast("list[bytes]", reply)
        if not sequence.isdigit():
            raise RedisRefusedError("reading where changes are", f"`{SEQUENCE}` is no number; delete it", "FORMAT")
        return Standing(found, parse_stream_id(first), parse_stream_id(last), int(sequence))

    async def read_changes(self, after: StreamId, block: Millis) -> list[Change]:
        """Return what changed behind *after*, waiting up to *block* for something."""
        entries = await self._link.read_stream(
            CHANGES, f"{after[0]}-{after[1]}", count=READ_AT_ONCE, block=block, doing="following changes"
        )
        return [_change_of(entry_id, fields) for entry_id, fields in entries]

    # Within.

    async def _write_again(self, lost: "Sequence[_Lost]") -> int:
        arguments: list[Argument] = [CHANGES_KEPT]
        for one in lost:
            arguments += (one.at, one.kept, one.event)
        reply = await self._link.run_script(
            RESTORE,
            (CHANGES, SEQUENCE, *(one.key for one in lost)),
            arguments,
            doing=_RESTORING,
            within=_RESTORE_WITHIN,
        )
        return cast("int", reply)

    async def _read(self, facts: Sequence[Fact], now: UnixMillis, epoch: bytes | None) -> dict[Fact, KnownFact]:
        state: list[Command] = [("GET", EPOCH)]
        sessions: list[Command] = []
        for kind, fact_id in facts:
            state.append(("GET", revoked_key(kind, fact_id)))
            if kind is RevokedKind.KEY:
                state.append(("EXISTS", consumed_key(fact_id)))
            elif kind is RevokedKind.SESSION:
                sessions.append(("HGETALL", session_key(fact_id)))
        doing = "reading sessions and revocations"
        if not self._is_cluster:
            replies = await self._link.call_all([*state, *sessions], key=EPOCH, doing=doing)
            found, told, held = replies[0], replies[1 : len(state)], replies[len(state) :]
        else:
            (found, *told), *each = await asyncio.gather(
                self._link.call_all(state, key=EPOCH, doing=doing),
                *(self._link.call_all([command], key=command[1], doing=doing) for command in sessions),
            )
            held = [replies[0] for replies in each]
        if epoch is not None and found != epoch:
            raise OtherDataError(doing)
        return _facts_of(facts, told, held, now)

    async def _put(self, key: str, member: str, now: UnixMillis, until: UnixMillis) -> None:
        await self._link.call_all(
            [
                ("ZADD", key, "GT", until, member),
                ("ZREMRANGEBYSCORE", key, "-inf", now),
                ("EXPIREAT", key, until // 1000 + 1, "NX"),
                ("EXPIREAT", key, until // 1000 + 1, "GT"),
            ],
            key=key,
            doing="making a session findable",
        )

    async def _listed(self, key: str, now: UnixMillis) -> list[str]:
        reply = await self._link.call("ZRANGE", key, f"({now}", "+inf", "BYSCORE", doing="listing sessions")
        return [member.decode() for member in cast("list[bytes]", reply)]


@hot_value
class _Lost:
    """Something that Redis may have lost: under which key, since when, kept for how long, its event if it has one."""

    key: str
    at: UnixMillis
    kept: Millis
    event: bytes

    def is_in(self, known: bytes | None) -> bool:
        """Whether *known*, which lies under the key, says as much."""
        return known is not None and known.isdigit() and (not self.event or int(known) >= self.at)


def _lost_revocation(event: Revoked) -> _Lost:
    line = encode_event(event).rstrip(b"\n")
    return _Lost(revoked_key(event.kind, event.id), event.at, retention_of(event.kind), line)


def _lost_use(used: UsedUp, now: UnixMillis) -> _Lost:
    # Longer than any key lives, where it is not known how long this one does.
    kept = REVOCATION_RETENTION if used.until is None else _kept(used.until, now)
    return _Lost(consumed_key(used.id), used.at, kept, b"")


def _kept(until: UnixMillis, now: UnixMillis) -> Millis:
    return Millis(max(0, until - now) + GRACE)


def _facts_of(
    facts: Sequence[Fact], state: Sequence[Reply], sessions: Sequence[Reply], now: UnixMillis
) -> dict[Fact, KnownFact]:
    told, held = iter(state), iter(sessions)
    found: dict[Fact, KnownFact] = {}
    for fact in facts:
        kind, fact_id = fact
        revoked_at = instant_of(next(told))
        match kind:
            case RevokedKind.KEY:
                found[fact] = KnownFact(revoked_at, consumed=next(told) == 1)
            case RevokedKind.SESSION:
                found[fact] = KnownFact(revoked_at, session=session_of(fact_id, pairs(next(held)), now))
            case RevokedKind.ACCOUNT | RevokedKind.ORGANIZATION | RevokedKind.LINK:
                found[fact] = KnownFact(revoked_at)
    return found


def _change_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Change:
    number = fields.get(b"n", b"")
    try:
        event = decode_event(fields.get(b"e", b""))
    except IntegrityError:
        event = None
    return Change(parse_stream_id(entry_id), int(number) if number.isdigit() else -1, event)


def parse_stream_id(text: bytes) -> StreamId:
    """Read ``1700000000000-3``."""
    millis, _, number = text.partition(b"-")
    return int(millis), int(number)
