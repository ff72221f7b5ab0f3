"""Proves who asks by what a request presents for the first time: an API key, a signed or an opaque session (spec 3)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from sidegate.core.identity.api_key import expiry_of, issued_at_of, judge_key, parse_key
from sidegate.core.identity.jwk import NO_KEYS, KeySet
from sidegate.core.identity.jwt import TokenRules, UnknownKid, VerifiedToken, verify_token
from sidegate.core.identity.session import SessionLimits, SessionState, activity_due, judge_session, reason_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, RefusedCredential, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value, value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.events import RevokedKind, SessionSeen
from sidegate.credentials.limits import effective_limits
from sidegate.credentials.opaque import digest_session
from sidegate.credentials.ports import KeySource, Missing, SharedState
from sidegate.credentials.table import SessionRecord, facts_of
from sidegate.credentials.verified import EPOCH, Verified

FAILED_CAPACITY: Final = 2048
"""Failed tokens kept, apart from the good ones: junk evicts only junk."""
FAILED_FOR: Final = Millis(2000)
"""How long a failure is believed: long enough that a repeated token costs nothing, short enough that nobody waits."""
PROVED_CAPACITY: Final = 2048
"""Signed tokens that hold and are refused all the same, e.g. of a revoked session, kept for their signature only."""

KEY_SURFACE: Final = "api"
"""An API key is used from no surface that a person sits at; a condition on one is not met by it."""

_FOREVER: Final = UnixMillis(2**63 - 1)


@value
class SignedSessions:
    """How signed sessions are verified.

    Attributes:
        keys: Where the keys come from.
        rules: Allow-list and claims.
    """

    keys: KeySource
    rules: TokenRules


Proof = Verified | RefusedCredential | Reason | Missing
"""What comes of proving: a reason alone while nobody is proved."""


@hot_value
class _Failed:
    refusal: RefusedCredential | Reason
    until: UnixMillis
    keys: KeySet


@hot_value
class _Proved:
    token: VerifiedToken
    keys: KeySet


class Prover:
    """Verifies from the beginning. What it proves is remembered elsewhere; which signed tokens failed, here.

    Args:
        state: Sessions, revocations and used-up keys.
        surfaces: Session limits by surface, at least one.
        signed: How signed sessions are verified; None refuses them.
        accept_opaque: Whether sessions of the store are accepted.

    Attributes:
        keys: Where the keys of signed sessions come from.
    """

    __slots__ = ("_accept_opaque", "_failed", "_proved", "_signed", "_state", "_surfaces", "keys")

    def __init__(
        self,
        state: SharedState,
        surfaces: Mapping[str, SessionLimits],
        *,
        signed: SignedSessions | None,
        accept_opaque: bool,
    ) -> None:
        self._state = state
        self._surfaces = dict(surfaces)
        self._signed = signed
        self._accept_opaque = accept_opaque
        self._failed: OrderedDict[bytes, _Failed] = OrderedDict()
        self._proved: OrderedDict[bytes, _Proved] = OrderedDict()
        self.keys: KeySource = signed.keys if signed is not None else _NoKeys()

    def prove_key(self, token: bytes, now: UnixMillis, snapshot: Snapshot) -> Proof:
        """Prove an API key."""
        parts = parse_key(token)
        if isinstance(parts, Reason):
            return parts
        known = snapshot.find_key(parts.id, parts.digest)
        if known is None:
            return Reason.INVALID_CREDENTIAL
        org, entry = known
        refusal = judge_key(entry, parts, now)
        if refusal is Reason.INVALID_CREDENTIAL:
            return refusal
        issued_at = issued_at_of(entry)
        credential = VerifiedCredential(
            kind=CredentialKind.API_KEY,
            id=entry.id,
            account=entry.account,
            org=org,
            authorities=entry.authorities,
            scopes=entry.scopes,
            surface=KEY_SURFACE,
            issued_at=EPOCH if issued_at is None else issued_at,
            expires_at=expiry_of(entry),
            single_use=entry.single_use,
            key_digest=entry.digest,
        )
        if refusal is not None:
            return RefusedCredential(credential, refusal)
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        refusal = self._state.refusal_of(credential, credential.issued_at)
        if refusal is not None:
            return RefusedCredential(credential, refusal)
        until = _FOREVER if credential.expires_at is None else credential.expires_at
        return Verified(
            credential,
            until,
            self._state.version,
            snapshot,
            self.keys.current,
            credential.issued_at,
            entry=entry,
        )

    def prove_signed(self, digest: bytes, token: bytes, now: UnixMillis, snapshot: Snapshot) -> Proof:
        """Prove a signed session whose token has this digest."""
        if self._signed is None:
            return Reason.INVALID_CREDENTIAL
        keys = self.keys.current
        failed = self._failed.get(digest)
        # Not from before a clock that was set back, either: it might be believed for hours.
        if failed is not None and failed.until - FAILED_FOR <= now < failed.until and failed.keys is keys:
            return failed.refusal
        proved = self._proved.get(digest)
        if proved is not None and proved.keys is keys and now < proved.token.cacheable_until:
            return self._prove_session(proved.token, keys, now, snapshot)
        answer = verify_token(token, keys, self._signed.rules, now)
        if isinstance(answer, UnknownKid):
            self.keys.request_refresh()
            answer = Reason.INVALID_CREDENTIAL
        if not isinstance(answer, VerifiedToken):
            self._failed[digest] = _Failed(answer, UnixMillis(now + FAILED_FOR), keys)
            if len(self._failed) > FAILED_CAPACITY:
                self._failed.popitem(last=False)
            return answer
        found = self._prove_session(answer, keys, now, snapshot)
        if isinstance(found, RefusedCredential):
            # Whatever refused it is looked at again each time; only its signature is not.
            self._proved[digest] = _Proved(answer, keys)
            if len(self._proved) > PROVED_CAPACITY:
                self._proved.popitem(last=False)
        return found

    def _prove_session(self, token: VerifiedToken, keys: KeySet, now: UnixMillis, snapshot: Snapshot) -> Proof:
        """Prove the session of a token whose signature holds by *keys*."""
        credential = token.credential
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        record = self._state.find_session(credential.id)
        if record is not None and (record.limits is not None or record.account != credential.account):
            # The issuer gave one session id twice, or an opaque session's.
            return RefusedCredential(credential, Reason.INVALID_CREDENTIAL)
        started = _earliest(credential.issued_at, record, now)
        until = token.cacheable_until if keys.usable_until is None else min(token.cacheable_until, keys.usable_until)
        found = Verified(credential, until, self._state.version, snapshot, keys, started, key=token.key)
        return self._admit(found, record, now)

    def prove_opaque(self, token: bytes, now: UnixMillis, snapshot: Snapshot) -> Proof:
        """Prove a session of the store."""
        session_id = digest_session(token) if self._accept_opaque else None
        if session_id is None:
            return Reason.INVALID_CREDENTIAL
        missing = self._state.missing(((RevokedKind.SESSION, session_id),))
        if missing:
            return Missing(missing)
        record = self._state.find_session(session_id)
        if record is None or record.limits is None:
            return Reason.INVALID_CREDENTIAL
        credential = VerifiedCredential(
            kind=CredentialKind.SESSION,
            id=record.id,
            account=record.account,
            org=record.org,
            second_factor_at=record.second_factor_at,
            surface=record.surface,
            issued_at=record.started,
            expires_at=UnixMillis(
                record.started + self.limits_of(record.surface, record.org, record, snapshot).absolute
            ),
        )
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        keys = self.keys.current
        found = Verified(credential, _FOREVER, self._state.version, snapshot, keys, record.started)
        return self._admit(found, record, now)

    def limits_of(self, surface: str, org: str, record: SessionRecord | None, snapshot: Snapshot) -> SessionLimits:
        """Return the limits that a session has in the end."""
        return effective_limits(surface, org, record, self._surfaces, snapshot)

    def record_activity(
        self, credential: VerifiedCredential, started: UnixMillis, due: Millis, now: UnixMillis
    ) -> SessionRecord:
        """Record that a session was used."""
        return self._state.record_activity(
            SessionSeen(credential.id, credential.account, credential.org, credential.surface, started, now), due
        )

    def _admit(self, found: Verified, record: SessionRecord | None, now: UnixMillis) -> Proof:
        """Hold a session against revocation and its limits, and count the use as activity."""
        credential = found.credential
        refusal = self._state.refusal_of(credential, found.started)
        if refusal is not None:
            return RefusedCredential(credential, refusal)
        limits = self.limits_of(credential.surface, credential.org, record, found.snapshot)
        # A session that was never seen was never idle here; its age counts from its token.
        last_seen = now if record is None else record.last_seen
        refusal = reason_of(judge_session(SessionState(found.started, last_seen), limits, now))
        if refusal is not None:
            if refusal is Reason.SESSION_IDLE and record is not None and self._state.is_outdated(record, limits.idle):
                return Missing(((RevokedKind.SESSION, credential.id),))
            return RefusedCredential(credential, refusal)
        due = activity_due(limits)
        if record is None or now - last_seen >= due:
            record = self.record_activity(credential, found.started, due, now)
        found.session = record
        found.limit(limits)
        return found


class _NoKeys:
    """Stands where no signed sessions are accepted."""

    __slots__ = ()
    current = NO_KEYS

    def request_refresh(self) -> None:
        """There is nothing to fetch."""


def _earliest(issued_at: UnixMillis, record: SessionRecord | None, now: UnixMillis) -> UnixMillis:
    """Return when a session began as far as is known: no later than the token, or its first use."""
    known = now if record is None else record.started
    return min(known, issued_at) if issued_at else known
