"""What a process holds of facts that are kept in Redis, and what it answers from that without asking."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from cachetools import FIFOCache

from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value
from sidegate.credentials.events import Revoked, RevokedKind, SessionSeen, key_name
from sidegate.credentials.facts import GENERATION, FactTable, HeldFact
from sidegate.credentials.ports import Fact
from sidegate.credentials.remembered import Remembered, UsedUp
from sidegate.credentials.table import SessionRecord
from sidegate.telemetry.clock import Clock

_ABSENT: Final = 2048
"""Sessions that are not there, apart from those that are: junk evicts only junk."""
_ABSENT_FOR: Final = Millis(2000)


@hot_value
class KnownFact:
    """What is known of one fact where it is kept.

    Attributes:
        revoked_at: When it was invalidated; None if it was not.
        consumed: A single-use key was used up.
        session: Of a session, if there is one.
    """

    revoked_at: UnixMillis | None
    consumed: bool = False
    session: SessionRecord | None = None


class Notes(Protocol):
    """Who keeps what is held beyond the end of the process."""

    def fact_changed(self, fact: Fact) -> None:
        """Something about *fact* was learned, or a session was used."""

    def revoked(self, event: Revoked) -> None:
        """A revocation was heard of for the first time."""

    def used_up(self, used: UsedUp) -> None:
        """It was heard of for the first time that a key was used up."""

    def all_forgotten(self) -> None:
        """Nothing of what was noted before about facts holds any longer."""


class NoNotes:
    """Keeps nothing."""

    __slots__ = ()

    def fact_changed(self, fact: Fact) -> None:
        """Nothing is kept."""

    def revoked(self, event: Revoked) -> None:
        """Nothing is kept."""

    def used_up(self, used: UsedUp) -> None:
        """Nothing is kept."""

    def all_forgotten(self) -> None:
        """Nothing is kept."""


class HeldFacts:
    """Facts that are held, kept current by whoever follows the changes.

    Args:
        clock: For how long a session that is not there is believed to be none.
        on_outdated: Called with everything that can refuse a credential that was good before.
        capacity: Facts held per generation.

    Attributes:
        remembered: What is over for good; outlives whatever is forgotten here.
        notes: Who keeps it all; to be set before anything is learned.
    """

    __slots__ = ("_absent", "_clock", "_facts", "_forgotten", "_outdate", "notes", "remembered")

    def __init__(self, clock: Clock, on_outdated: Callable[[], None], capacity: int = GENERATION) -> None:
        self._clock = clock
        self._outdate = on_outdated
        self._facts = FactTable(capacity)
        self._forgotten = 0
        self._absent: FIFOCache[str, UnixMillis] = FIFOCache(_ABSENT)
        self.remembered = Remembered()
        self.notes: Notes = NoNotes()

    # What is known.

    def find(self, fact: Fact) -> HeldFact | None:
        """Return what is held of *fact*."""
        return self._facts.find(fact)

    def snapshot(self) -> Iterator[tuple[Fact, HeldFact]]:
        """Return everything, what was used last first; facts themselves go on changing."""
        return self._facts.snapshot()

    def is_held(self, fact: Fact) -> bool:
        """Whether nothing has to be fetched to judge by *fact*."""
        held = self._facts.find(fact)
        if held is not None:
            return not held.is_doubtful
        if fact[0] is not RevokedKind.SESSION:
            return False
        until = self._absent.get(fact[1])
        return until is not None and self._clock.now() < until

    def is_revoked(self, kind: RevokedKind, revoked_id: str, issued_at: UnixMillis | None) -> bool:
        """Whether something was invalidated; with an instant, whether what was issued then was."""
        held = self._facts.find((kind, revoked_id))
        if held is None:
            # A session that is not there yet, just looked for; anything else has to be fetched before it is asked for.
            return kind is not RevokedKind.SESSION or revoked_id not in self._absent
        return held.revoked_at is not None and (issued_at is None or issued_at <= held.revoked_at)

    def is_consumed(self, name: str) -> bool:
        """Whether a single-use key was used up, as far as is known here."""
        held = self._facts.find((RevokedKind.KEY, name))
        return held is None or held.consumed

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is held of a session."""
        held = self._facts.find((RevokedKind.SESSION, session_id))
        return None if held is None else held.session

    # What changes it.

    def learn(self, fact: Fact, known: KnownFact, revoked_meanwhile: UnixMillis | None = None) -> None:
        """Take in what was fetched.

        Args:
            fact: What was asked about.
            known: The answer.
            revoked_meanwhile: When a revocation says that it was invalidated, which came while the answer was on its
                way and may not be in it.
        """
        self._remember(fact, known)
        told = [at for at in (known.revoked_at, revoked_meanwhile, self.remembered.revoked_at(fact)) if at is not None]
        if fact[0] is RevokedKind.SESSION and known.session is None and not told and self._is_absent(fact):
            return
        held = self._facts.hold(fact)
        held.is_doubtful = False
        held.consumed = held.consumed or known.consumed or self.remembered.is_consumed(fact)
        if told and held.revoke(max(told)):
            self._outdate()
        if known.session is not None:
            if held.session is None:
                held.session = known.session
            else:
                # In place: whoever holds the record sees it.
                self._merge(held.session, known.session.started, known.session.last_seen)
                held.session.read_at = known.session.read_at
        elif held.session is not None:
            held.session.read_at = self._clock.now()
        self.notes.fact_changed(fact)

    def see(self, seen: SessionSeen) -> SessionRecord:
        """Take in that a session was used here."""
        fact = (RevokedKind.SESSION, seen.id)
        held = self._facts.hold(fact)
        record = held.session
        if record is None:
            record = SessionRecord(
                seen.id, seen.account, seen.org, seen.surface, seen.started, seen.at, read_at=self._clock.now()
            )
            held.session = record
            self.notice_forgetting()
        else:
            self._merge(record, seen.started, seen.at)
        self.notes.fact_changed(fact)
        return record

    def see_recorded(self, session_id: str, started: UnixMillis, last_seen: UnixMillis) -> None:
        """Take in what Redis says about a session after a use of it was recorded there."""
        record = self.find_session(session_id)
        if record is not None:
            self._merge(record, started, last_seen)
            record.read_at = self._clock.now()
            self.notes.fact_changed((RevokedKind.SESSION, session_id))

    def doubt(self, session_id: str) -> None:
        """Have a session fetched again before it is relied on."""
        held = self._facts.find((RevokedKind.SESSION, session_id))
        if held is not None:
            held.is_doubtful = True

    def end(self, session_id: str) -> None:
        """Take in that an opaque session is there no longer: it is over for everybody."""
        if self._facts.find((RevokedKind.SESSION, session_id)) is not None:
            self.doubt(session_id)
            self._outdate()

    def use_up(self, credential: VerifiedCredential, at: UnixMillis) -> None:
        """Take in that a single-use key was used up, by whomever."""
        name = key_name(credential.org, credential.id)
        used = UsedUp(name, at, credential.expires_at)
        if self.remembered.consume(used):
            self.notes.used_up(used)
        held = self._facts.find((RevokedKind.KEY, name))
        if held is not None and not held.consumed:
            held.consumed = True
            self._outdate()

    def revoke(self, event: Revoked) -> None:
        """Take in that something was invalidated."""
        fact = (event.kind, event.id)
        if self.remembered.revoke(event):
            self.notes.revoked(event)
        held = self._facts.find(fact)
        if held is None and fact[0] is RevokedKind.SESSION and self._absent.pop(fact[1], None) is not None:
            held = self._facts.hold(fact)
        if held is not None and held.revoke(event.at):
            self._outdate()
        # A fact that was forgotten since the last look may be one that a remembered credential rests on.
        self.notice_forgetting()

    def forget(self) -> None:
        """Forget all facts; what is over stays so."""
        self._facts.clear()
        self._absent.clear()
        self.notes.all_forgotten()
        self.notice_forgetting()

    def notice_forgetting(self) -> None:
        """Have credentials looked at again that may rest on what was forgotten."""
        if self._forgotten != self._facts.forgotten:
            self._forgotten = self._facts.forgotten
            self._outdate()

    # Within.

    def _is_absent(self, fact: Fact) -> bool:
        """Note that a session is not there; False for a signed one, which was used here and not recorded yet."""
        held = self._facts.find(fact)
        if held is not None and held.session is not None and held.session.limits is None:
            return False
        self._absent[fact[1]] = UnixMillis(self._clock.now() + _ABSENT_FOR)
        if held is not None:
            held.session, held.is_doubtful = None, False
        return True

    def _remember(self, fact: Fact, known: KnownFact) -> None:
        if known.revoked_at is not None:
            event = Revoked(fact[0], fact[1], known.revoked_at)
            if self.remembered.revoke(event):
                self.notes.revoked(event)
        if known.consumed:
            used = UsedUp(fact[1], self._clock.now())
            if self.remembered.consume(used):
                self.notes.used_up(used)

    def _merge(self, record: SessionRecord, started: UnixMillis, last_seen: UnixMillis) -> None:
        if started < record.started:
            record.started = started
            self._outdate()  # the end of the session moved forward
        record.last_seen = max(record.last_seen, last_seen)
