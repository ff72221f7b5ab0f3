"""Whether a credential that was verified once still holds, without its token (spec 2.7).

What lasts longer than its request is held to the things that the token stood for: the session, its account,
organization and links, or the key's record. The token's own expiry does not count: an issuer makes a new one every
minute, and the session goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from sidegate.core.identity.api_key import expiry_of, is_source_allowed
from sidegate.core.identity.session import SessionLimits, SessionState, activity_due, judge_session, reason_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import Address, CredentialKind, VerifiedCredential
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import KeyState
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.events import RevokedKind, SessionSeen
from sidegate.credentials.limits import effective_limits
from sidegate.credentials.ports import Missing, OnFetched, SharedState
from sidegate.credentials.table import OnRevoked, SessionRecord, facts_of

_SESSION: Final = CredentialKind.SESSION


class Reverifier:
    """Looks again at verified credentials.

    Args:
        state: Sessions, revocations and used-up keys.
        surfaces: Session limits by surface, at least one.
    """

    __slots__ = ("_state", "_surfaces")

    def __init__(self, state: SharedState, surfaces: Mapping[str, SessionLimits]) -> None:
        self._state = state
        self._surfaces = dict(surfaces)

    def verify_again(
        self,
        credential: VerifiedCredential,
        source: Address | None,
        now: UnixMillis,
        snapshot: Snapshot,
        *,
        was_active: bool,
    ) -> VerifiedCredential | Reason | Missing:
        """Tell whether *credential* still holds. Never waits.

        Args:
            credential: As verified, or as answered here the last time.
            source: The client's address.
            now: Wall clock.
            snapshot: Policy in force.
            was_active: The client sent something since the last look; a live session then counts as used.

        Returns:
            The credential, another one where its record changed; else why whoever holds it has access no more:
            ``session_revoked``, ``session_expired``, ``session_idle``, ``key_revoked``, ``key_expired``,
            ``source_address``, ``policy_unavailable`` while the state cannot be relied on. :class:`Missing` when
            something has to be fetched first.
        """
        if self._state.failure is not None:
            return Reason.POLICY_UNAVAILABLE
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        if credential.kind is _SESSION:
            return self._session_again(credential, now, snapshot, was_active=was_active)
        return self._key_again(credential, source, now, snapshot)

    def fetch(self, missing: Missing, on_fetched: OnFetched) -> None:
        """Fetch what was missing; *on_fetched* is told later whether it could be had."""
        self._state.fetch(missing.facts, on_fetched)

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on; the answer ends it."""
        return self._state.subscribe(on_revoked)

    def _session_again(
        self, credential: VerifiedCredential, now: UnixMillis, snapshot: Snapshot, *, was_active: bool
    ) -> VerifiedCredential | Reason | Missing:
        record = self._state.find_session(credential.id)
        if record is None:
            # It was recorded when it was verified: it has been forgotten since, or the state was replaced.
            return Reason.SESSION_EXPIRED
        started = min(record.started, credential.issued_at) if credential.issued_at else record.started
        refusal = self._state.refusal_of(credential, started)
        if refusal is not None:
            return refusal
        limits = effective_limits(credential.surface, credential.org, record, self._surfaces, snapshot)
        refusal = reason_of(judge_session(SessionState(started, record.last_seen), limits, now))
        if refusal is Reason.SESSION_IDLE and self._state.is_outdated(record, limits.idle):
            return Missing(((RevokedKind.SESSION, credential.id),))
        if refusal is not None:
            return refusal
        due = activity_due(limits)
        if was_active and now - record.last_seen >= due:
            seen = SessionSeen(credential.id, credential.account, credential.org, credential.surface, started, now)
            self._state.record_activity(seen, due)
        return _with_second_factor(credential, record)

    def _key_again(
        self, credential: VerifiedCredential, source: Address | None, now: UnixMillis, snapshot: Snapshot
    ) -> VerifiedCredential | Reason:
        known = snapshot.find_key(credential.id, credential.key_digest)
        if known is None or known[0] != credential.org or known[1].account != credential.account:
            return Reason.KEY_REVOKED
        entry = known[1]
        if entry.state is not KeyState.ACTIVE:
            return Reason.KEY_REVOKED
        over = expiry_of(entry)
        if over is not None and over <= now:
            return Reason.KEY_EXPIRED
        refusal = self._state.refusal_of(credential, credential.issued_at)
        # A single-use key was used up by the very request that lasts.
        if refusal is not None and refusal is not Reason.KEY_CONSUMED:
            return refusal
        if not is_source_allowed(entry, source):
            return Reason.SOURCE_ADDRESS
        if (entry.authorities, entry.scopes) == (credential.authorities, credential.scopes):
            return credential
        return replace(credential, authorities=entry.authorities, scopes=entry.scopes)


def _with_second_factor(credential: VerifiedCredential, record: SessionRecord) -> VerifiedCredential:
    """An opaque session's second factor may have been used since; of a signed one only its tokens know."""
    if record.limits is None or record.second_factor_at == credential.second_factor_at:
        return credential
    return replace(credential, second_factor_at=record.second_factor_at)
