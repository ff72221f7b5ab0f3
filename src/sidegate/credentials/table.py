"""The state of sessions and keys in memory: what the events come to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from sidegate.core.identity.session import SessionLimits, SessionState
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import (
    Event,
    KeyConsumed,
    KeySeen,
    Revoked,
    RevokedKind,
    SessionCreated,
    SessionSeen,
    key_name,
)

_DAY: Final = 24 * 60 * 60 * 1000

SESSION_RETENTION: Final = Millis(30 * _DAY)
"""How long a session is remembered after its last use. An issuer that renews a session for longer than this without
its being used here makes it look new; identity providers end sessions after 7 days unless configured otherwise."""

REVOCATION_RETENTION: Final = Millis(400 * _DAY)
"""How long a revoked session or link is remembered: longer than the year that anything lives. Accounts, organizations
and keys are few, and theirs are kept."""

KEY_USE_RETENTION: Final = REVOCATION_RETENTION
"""How long it is remembered when a key was last used."""

_NEVER: Final = UnixMillis(-1)

OnRevoked = Callable[[Revoked], None]
"""Told about each revocation that is new, in order; must not raise."""


@dataclass(slots=True)
class SessionRecord:
    """What is known of one session. Shared with whoever looked it up, and updated in place.

    Attributes:
        id: Session id.
        account: Whose it is.
        org: The organization it acts in.
        surface: ``web``, ``mobile``, ``admin``.
        started: The earliest start that was recorded.
        last_seen: The latest activity that was recorded.
        limits: An opaque session's own limits; None for a signed one.
        second_factor_at: An opaque session's second factor.
        read_at: When this was last fetched from where it is kept; None where everything is followed.
    """

    id: str
    account: str
    org: str
    surface: str
    started: UnixMillis
    last_seen: UnixMillis
    limits: SessionLimits | None = None
    second_factor_at: UnixMillis | None = None
    read_at: UnixMillis | None = None

    def state(self) -> SessionState:
        """Return what :func:`judge_session` asks for. Revocation is judged apart, with the account's."""
        return SessionState(self.started, self.last_seen)


class StateTable:
    """Sessions, revocations and used-up keys.

    Attributes:
        version: Grows with everything that can refuse a credential that was good before.
        sessions: By id.
        keys_seen: When keys were last used, by their names.
    """

    __slots__ = ("_consumed", "_revoked", "_subscribers", "keys_seen", "sessions", "version")

    def __init__(self) -> None:
        self.version = 0
        self.sessions: dict[str, SessionRecord] = {}
        self.keys_seen: dict[str, UnixMillis] = {}
        self._consumed: dict[str, UnixMillis] = {}
        self._revoked: dict[RevokedKind, dict[str, UnixMillis]] = {kind: {} for kind in RevokedKind}
        self._subscribers: list[OnRevoked] = []

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* from now on; the answer ends it, and may be called twice."""
        self._subscribers.append(on_revoked)

        def unsubscribe() -> None:
            if on_revoked in self._subscribers:
                self._subscribers.remove(on_revoked)

        return unsubscribe

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case SessionCreated():
                record = self._see(event, event.at)
                record.limits, record.second_factor_at = event.limits, event.second_factor_at
            case SessionSeen():
                self._see(event, event.started)
            case Revoked():
                ids = self._revoked[event.kind]
                if event.at > ids.get(event.id, _NEVER):
                    ids[event.id] = event.at
                    self.version += 1
                    for on_revoked in tuple(self._subscribers):
                        on_revoked(event)
            case KeyConsumed():
                if event.id not in self._consumed:
                    self._consumed[event.id] = event.at
                    self.version += 1
            case KeySeen():
                self.keys_seen[event.id] = max(event.at, self.keys_seen.get(event.id, event.at))
            case _:
                assert_never(event)

    def _see(self, event: SessionCreated | SessionSeen, started: UnixMillis) -> SessionRecord:
        record = self.sessions.get(event.id)
        if record is None:
            record = SessionRecord(event.id, event.account, event.org, event.surface, started, event.at)
            self.sessions[event.id] = record
        elif started < record.started:
            record.started = started
            self.version += 1  # the end of the session moved forward
        record.last_seen = max(record.last_seen, event.at)
        return record

    def is_revoked(self, kind: RevokedKind, revoked_id: str, issued_at: UnixMillis | None = None) -> bool:
        """Whether something was invalidated; for accounts and organizations, whether what was issued then was."""
        at = self._revoked[kind].get(revoked_id)
        return at is not None and (issued_at is None or issued_at <= at)

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not.

        Args:
            credential: As verified; looked at by session id, key id, account and links, never by its spelling.
            started: When the session began, the key was made.
        """
        return judge_revocations(credential, started, self.is_revoked, self._consumed.__contains__)

    def prune(self, now: UnixMillis) -> None:
        """Forget what can no longer matter."""
        self.keys_seen = {name: at for name, at in self.keys_seen.items() if now - at < KEY_USE_RETENTION}
        kept = tuple(self._kept_revocations(now))
        self.sessions = {record.id: record for record in self.sessions.values() if not _is_lapsed(record, now)}
        self._revoked = {kind: {} for kind in RevokedKind}
        for event in kept:
            self._revoked[event.kind][event.id] = event.at
        self.version += 1

    def events(self, now: UnixMillis) -> Iterator[Event]:
        """Return the fewest events that come to this state, leaving out what can no longer matter."""
        for record in self.sessions.values():
            if _is_lapsed(record, now):
                continue
            owner = (record.id, record.account, record.org, record.surface)
            if record.limits is not None:
                yield SessionCreated(*owner, record.limits, record.second_factor_at, record.started)
            yield SessionSeen(*owner, record.started, record.last_seen)
        yield from self._kept_revocations(now)
        for key_id, at in self._consumed.items():
            yield KeyConsumed(key_id, at)
        for key_id, at in self.keys_seen.items():
            if now - at < KEY_USE_RETENTION:
                yield KeySeen(key_id, at)

    def _kept_revocations(self, now: UnixMillis) -> Iterator[Revoked]:
        for kind, ids in self._revoked.items():
            lapses = kind in {RevokedKind.SESSION, RevokedKind.LINK}
            for revoked_id, at in ids.items():
                if not (lapses and now - at >= REVOCATION_RETENTION):
                    yield Revoked(kind, revoked_id, at)
        for record in self.sessions.values():
            # A session that fell with its account must not look new once its record is gone.
            if (
                _is_lapsed(record, now)
                and not self.is_revoked(RevokedKind.SESSION, record.id)
                and (
                    self.is_revoked(RevokedKind.ACCOUNT, record.account, record.started)
                    or self.is_revoked(RevokedKind.ORGANIZATION, record.org, record.started)
                )
            ):
                yield Revoked(RevokedKind.SESSION, record.id, now)


IsRevoked = Callable[[RevokedKind, str, UnixMillis | None], bool]
"""Whether something was invalidated; with an instant, whether what was issued then was."""


def judge_revocations(
    credential: VerifiedCredential, started: UnixMillis, is_revoked: IsRevoked, is_consumed: Callable[[str], bool]
) -> Reason | None:
    """Return why *credential* is invalidated, None if it is not.

    Every check is by presence, not by time: no clock that is set back brings anything to life.

    Args:
        credential: As verified; looked at by session id, key id, account and links, never by its spelling.
        started: When the session began, the key was made.
        is_revoked: Asked about each thing that it rests on.
        is_consumed: Asked about the name of a single-use key.
    """
    if credential.kind is CredentialKind.API_KEY:
        name = key_name(credential.org, credential.id)
        if is_revoked(RevokedKind.KEY, name, None) or is_revoked(RevokedKind.ORGANIZATION, credential.org, started):
            return Reason.KEY_REVOKED
        return Reason.KEY_CONSUMED if credential.single_use and is_consumed(name) else None
    if (
        is_revoked(RevokedKind.SESSION, credential.id, None)
        or is_revoked(RevokedKind.ACCOUNT, credential.account, started)
        or is_revoked(RevokedKind.ORGANIZATION, credential.org, started)
        or any(is_revoked(RevokedKind.LINK, link.id, None) for link in credential.chain)
    ):
        return Reason.SESSION_REVOKED
    return None


def facts_of(credential: VerifiedCredential) -> tuple[tuple[RevokedKind, str], ...]:
    """Return what :func:`judge_revocations` asks about."""
    org = (RevokedKind.ORGANIZATION, credential.org)
    if credential.kind is CredentialKind.API_KEY:
        return (RevokedKind.KEY, key_name(credential.org, credential.id)), org
    return (
        (RevokedKind.SESSION, credential.id),
        (RevokedKind.ACCOUNT, credential.account),
        org,
        *((RevokedKind.LINK, link.id) for link in credential.chain),
    )


def _is_lapsed(record: SessionRecord, now: UnixMillis) -> bool:
    return now - record.last_seen >= SESSION_RETENTION
