"""What a process keeps on disk of sessions, revocations and used-up keys: entries, and what they come to.

Each entry is a JSON array of rows, in the order in which they became so; the first word of a row says what it is::

    ["place", epoch, millis, number, sequence]            up to where changes were taken in
    ["fact", kind, id, revoked_at, consumed, session]     what was known of a fact then; session as below, or null
    ["revoked", kind, id, at]                             a revocation
    ["used", key, at, until]                              a single-use key that was used up

    session: [account, org, surface, started, last_seen, idle, absolute, second_factor_at, read_at]

Reading a row twice does no harm. No cookie, token or key is in any of it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.facts import HeldFact
from sidegate.credentials.held import KnownFact
from sidegate.credentials.ports import Fact
from sidegate.credentials.redis_following import FollowedPlace
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import SessionRecord

Row = list[Any]

_NEVER: Final = UnixMillis(-1)


@value
class KeptState:
    """What was kept.

    Attributes:
        at: When it was last proved that nothing was missed.
        place: Up to where changes were taken in; None if that is not known, and then there are no facts.
        facts: What was held, in no order.
        revoked: Revocations, in the order in which they were heard of.
        used: Used-up keys, in that order.
    """

    at: UnixMillis
    place: FollowedPlace | None
    facts: dict[Fact, KnownFact]
    revoked: tuple[Revoked, ...]
    used: tuple[UsedUp, ...]


def place_row(place: FollowedPlace) -> Row:
    """Write *place*."""
    return ["place", place.epoch.decode("ascii", "replace"), *place.position, place.sequence]


def fact_row(fact: Fact, held: HeldFact) -> Row:
    """Write what is held of *fact*."""
    return ["fact", *fact, held.revoked_at, held.consumed, None if held.session is None else _session(held.session)]


def revoked_row(event: Revoked) -> Row:
    """Write a revocation."""
    return ["revoked", event.kind, event.id, event.at]


def used_row(used: UsedUp) -> Row:
    """Write that a key was used up."""
    return ["used", used.id, used.at, used.until]


def encode_rows(rows: Sequence[Row]) -> bytes:
    """Write *rows* as one entry."""
    return orjson.dumps(rows)


def read_state(entries: Iterable[bytes], at: UnixMillis) -> KeptState:
    """Put together what *entries* come to.

    Args:
        entries: In the order in which they were written.
        at: When they were last known to be all there is.

    Raises:
        IntegrityError: They are not what this version writes.
    """
    reading = _Reading()
    try:
        for entry in entries:
            reading.take_all(orjson.loads(entry))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise IntegrityError(f"it holds something that this version does not write: {error}") from error
    facts = reading.facts if reading.place is not None else {}
    return KeptState(at, reading.place, facts, tuple(reading.revoked.values()), tuple(reading.used.values()))


class _Reading:
    def __init__(self) -> None:
        self.place: FollowedPlace | None = None
        self.facts: dict[Fact, KnownFact] = {}
        self.revoked: dict[Fact, Revoked] = {}
        self.used: dict[str, UsedUp] = {}

    def take_all(self, rows: Any) -> None:  # noqa: ANN401  (JSON)
        """Take in one entry."""
        if not isinstance(rows, list):
            raise TypeError(f"an entry {rows!r:.60}")
        for row in rows:
            self._take(row)

    def _take(self, row: Row) -> None:
        match row:
            case ["place", str(epoch), int(millis), int(number), int(sequence)]:
                self.place = FollowedPlace(epoch.encode("ascii"), (millis, number), sequence)
            case ["fact", kind, str(fact_id), int() | None as revoked_at, bool(consumed), session]:
                fact = (RevokedKind(kind), fact_id)
                told = self.revoked.get(fact)
                at = max(_NEVER if revoked_at is None else revoked_at, _NEVER if told is None else told.at)
                self.facts[fact] = KnownFact(
                    None if at == _NEVER else UnixMillis(at),
                    consumed or fact_id in self.used,
                    None if session is None else _session_of(fact_id, session),
                )
            case ["revoked", kind, str(revoked_id), int(instant)]:
                self._revoke(Revoked(RevokedKind(kind), revoked_id, UnixMillis(instant)))
            case ["used", str(key), int(instant), int() | None as until]:
                self.used[key] = UsedUp(key, UnixMillis(instant), None if until is None else UnixMillis(until))
                known = self.facts.get((RevokedKind.KEY, key))
                if known is not None:
                    self.facts[RevokedKind.KEY, key] = KnownFact(known.revoked_at, consumed=True)
            case _:
                raise ValueError(f"a row {row!r:.60}")

    def _revoke(self, event: Revoked) -> None:
        fact = (event.kind, event.id)
        self.revoked[fact] = event
        known = self.facts.get(fact)
        if known is not None and (known.revoked_at is None or known.revoked_at < event.at):
            self.facts[fact] = KnownFact(event.at, known.consumed, known.session)


def _session(record: SessionRecord) -> Row:
    limits = (None, None) if record.limits is None else (record.limits.idle, record.limits.absolute)
    return [
        record.account,
        record.org,
        record.surface,
        record.started,
        record.last_seen,
        *limits,
        record.second_factor_at,
        record.read_at,
    ]


def _session_of(session_id: str, row: Row) -> SessionRecord:
    match row:
        case [
            str(account),
            str(org),
            str(surface),
            int(started),
            int(last_seen),
            int() | None as idle,
            int() | None as absolute,
            int() | None as factor,
            int() | None as read_at,
        ]:
            return SessionRecord(
                session_id,
                account,
                org,
                surface,
                UnixMillis(started),
                UnixMillis(last_seen),
                None if idle is None or absolute is None else SessionLimits(Millis(idle), Millis(absolute)),
                None if factor is None else UnixMillis(factor),
                None if read_at is None else UnixMillis(read_at),
            )
        case _:
            raise ValueError(f"a session {row!r:.60}")
