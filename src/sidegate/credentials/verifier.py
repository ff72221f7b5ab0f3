"""From what a request presents to who asks, or why it is refused (spec 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cachetools import FIFOCache

from sidegate.core.identity.api_key import (
    KEY_PREFIX,
    expiry_of,
    is_source_allowed,
    issued_at_of,
    judge_key,
    parse_key,
)
from sidegate.core.identity.jwk import NO_KEYS, KeySet, VerificationKey
from sidegate.core.identity.jwt import TokenRules, UnknownKid, looks_signed, verify_token
from sidegate.core.identity.session import (
    SessionLimits,
    SessionState,
    activity_due,
    judge_session,
    limits_on,
    reason_of,
)
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.principal import Address, CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value, value
from sidegate.core.policy.document import KeyEntry
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.wire.credential import Presented
from sidegate.credentials.events import KeySeen, RevokedKind, SessionSeen, key_name
from sidegate.credentials.limits import effective_limits
from sidegate.credentials.opaque import digest_session
from sidegate.credentials.ports import KeySource, Missing, OnConsumed, Pending, SharedState
from sidegate.credentials.table import SessionRecord, facts_of
from sidegate.credentials.waiting import Deadlined
from sidegate.telemetry.log import get_log

VERIFIED_CAPACITY: Final = 8192
"""Verified credentials kept, about 1.5 KiB each."""
FAILED_CAPACITY: Final = 2048
"""Failed tokens kept, apart from the good ones: junk evicts only junk."""
FAILED_FOR: Final = Millis(2000)
"""How long a failure is believed: long enough that a repeated token costs nothing, short enough that nobody waits."""

KEY_SURFACE: Final = "api"
"""An API key is used from no surface that a person sits at; a condition on one is not met by it."""

KEY_USE_EVERY: Final = Millis(60 * 60 * 1000)
"""How often the use of a key is recorded at most: coarse, as people look at it in days."""

DEFAULT_PATIENCE: Final = Millis(250)
"""A request never waits longer for where sessions and keys are kept (spec 5.4)."""

MAX_FETCHES: Final = 4
"""Of one verification: a session, what its account and organization say, its activity again. More means that what was
fetched is lost as fast as it comes."""

_EPOCH: Final = UnixMillis(0)
_NO_TIME: Final = Millis(0)
_FOREVER: Final = UnixMillis(2**63 - 1)

_log: Final = get_log("credentials")


@value
class SignedSessions:
    """How signed sessions are verified.

    Attributes:
        keys: Where the keys come from.
        rules: Allow-list and claims.
    """

    keys: KeySource
    rules: TokenRules


@dataclass(slots=True)
class _Verified:
    """A cached credential with all that must still hold for it.

    Attributes:
        credential: What was proved.
        until: The first instant at which it must be looked at again.
        version: Of the shared state that it was checked against.
        snapshot: Policy that it was checked against.
        keys: Key set that it was checked against.
        started: When the session began, the key was made.
        key: The key that verified a signed session.
        session: The session's record, which is updated by others; None for an API key.
        idle: Time without activity after which the session is over.
        due: Time after which activity is recorded again; never more than *idle*.
        entry: An API key's record.
        used_at: When an API key's use was last recorded from here.
    """

    credential: VerifiedCredential
    until: UnixMillis
    version: int
    snapshot: Snapshot
    keys: KeySet
    started: UnixMillis
    key: VerificationKey | None = None
    session: SessionRecord | None = None
    idle: Millis = _NO_TIME
    due: Millis = _NO_TIME
    entry: KeyEntry | None = None
    used_at: UnixMillis = _EPOCH


@hot_value
class _Failed:
    reason: Reason
    until: UnixMillis
    keys: KeySet


class CredentialVerifier:
    """Verifies what requests present, remembering what it verified.

    A cached credential costs one look-up and a few comparisons; whatever it rests on (key set, policy, shared state,
    its own expiry) is compared on each use, and looked at again when it changed.

    Args:
        state: Sessions, revocations and used-up keys.
        surfaces: Session limits by surface, at least one.
        signed: How signed sessions are verified; None refuses them.
        accept_opaque: Whether sessions of the store are accepted.
        capacity: Verified credentials kept.
        patience: How long a request waits for what is kept elsewhere.
    """

    __slots__ = (
        "_accept_opaque",
        "_failed",
        "_key_source",
        "_patience_s",
        "_signed",
        "_state",
        "_surfaces",
        "_verified",
    )

    def __init__(
        self,
        state: SharedState,
        surfaces: Mapping[str, SessionLimits],
        *,
        signed: SignedSessions | None,
        accept_opaque: bool,
        capacity: int = VERIFIED_CAPACITY,
        patience: Millis = DEFAULT_PATIENCE,
    ) -> None:
        limits_on("web", surfaces)  # raises when there are none
        self._state = state
        self._surfaces = dict(surfaces)
        self._signed = signed
        self._key_source: KeySource = signed.keys if signed is not None else _NoKeys()
        self._accept_opaque = accept_opaque
        self._patience_s = patience / 1000
        # First in, first out: one dict look-up of 60 ns; least recently used would cost three times as much on
        # each request, and tokens are short-lived: the oldest is the first to expire anyway.
        self._verified: FIFOCache[bytes, _Verified] = FIFOCache(capacity)
        self._failed: FIFOCache[bytes, _Failed] = FIFOCache(FAILED_CAPACITY)

    def verify(
        self, presented: Presented, source: Address | None, now: UnixMillis, snapshot: Snapshot
    ) -> VerifiedCredential | Reason | Missing:
        """Verify what a request presents. Never waits.

        Args:
            presented: As read from its head.
            source: The client's address, for API keys that are bound to networks.
            now: Wall clock, read once per request.
            snapshot: Policy that the request is decided with.

        Returns:
            The credential, or one of the reasons that answer 401; ``source_address`` for a key used from elsewhere
            (403); ``policy_unavailable`` while the shared state cannot be relied on (503); :class:`Missing` when the
            answer has to be waited for, by :meth:`verify_later`.
        """
        try:
            found = self._verified[presented.digest]
        except KeyError:
            return self._verify_new(presented, source, now, snapshot)
        if (
            found.version != self._state.version
            or found.snapshot is not snapshot
            or found.keys is not self._key_source.current
            or now >= found.until
        ) and not self._renew(found, now, snapshot):
            del self._verified[presented.digest]
            # From the beginning: that knows the reason, and a token within the leeway or a changed key may hold yet.
            return self._verify_new(presented, source, now, snapshot)
        session = found.session
        if session is None:
            if now - found.used_at >= KEY_USE_EVERY:
                self._record_key_use(found, now)
            return found.credential if _may_come_from(found.entry, source) else Reason.SOURCE_ADDRESS
        quiet = now - session.last_seen
        if quiet >= found.due:
            if quiet >= found.idle:
                if not self._state.is_outdated(session, found.idle):
                    return Reason.SESSION_IDLE
                del self._verified[presented.digest]
                return self._verify_new(presented, source, now, snapshot)
            found.session = self._record_activity(found.credential, found.started, found.due, now)
        return found.credential

    def verify_later(  # noqa: PLR0917  the arguments of verify()
        self,
        missing: Missing,
        presented: Presented,
        source: Address | None,
        now: UnixMillis,
        snapshot: Callable[[], Snapshot],
        on_verified: Callable[[VerifiedCredential | Reason], None],
    ) -> None:
        """Fetch what :meth:`verify` found missing, and verify again. Returns at once.

        Args:
            missing: What it answered.
            presented: As for it.
            source: As for it.
            now: As for it.
            snapshot: The policy in force when there is something to verify with.
            on_verified: Told the answer once, on the event loop, within the configured patience;
                ``policy_unavailable`` if it could not be found out by then.
        """
        waiting: Deadlined[VerifiedCredential | Reason] = Deadlined(
            on_verified, Reason.POLICY_UNAVAILABLE, self._patience_s
        )
        fetches = 0

        def fetch(facts: Missing) -> None:
            nonlocal fetches
            fetches += 1
            if fetches > MAX_FETCHES:
                waiting.tell(Reason.POLICY_UNAVAILABLE)
            else:
                self._state.fetch(facts.facts, fetched)

        def fetched(could_be_had: bool) -> None:  # noqa: FBT001  the only thing there is to tell
            if waiting.is_over:
                return
            if not could_be_had:
                waiting.tell(Reason.POLICY_UNAVAILABLE)
                return
            found = self.verify(presented, source, now, snapshot())
            if isinstance(found, Missing):
                fetch(found)
            else:
                waiting.tell(found)

        fetch(missing)

    def consume(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: OnConsumed
    ) -> Reason | Pending | None:
        """Use *credential* up if it is for a single use: after the decision, before anything is forwarded.

        Of any number of requests on all workers exactly one gets None, for good. May block for a write and a sync.

        Returns:
            None when the request may go on; ``key_consumed``, ``key_revoked``; ``policy_unavailable`` (503) when the
            use could not be recorded. PENDING when *on_consumed* will be told one of these, on the event loop and
            before long.
        """
        if not credential.single_use:
            return None
        if self._state.failure is not None:
            return Reason.POLICY_UNAVAILABLE
        try:
            return self._state.consume_key(credential, now, on_consumed)
        except (DependencyError, IntegrityError) as error:
            _log.warning("key_consumption_failed", key_id=credential.id, why=str(error))
            return Reason.POLICY_UNAVAILABLE

    def _verify_new(
        self, presented: Presented, source: Address | None, now: UnixMillis, snapshot: Snapshot
    ) -> VerifiedCredential | Reason | Missing:
        distinct = {part for part in (presented.session, presented.bearer, presented.api_key) if part is not None}
        if presented.ambiguous or len(distinct) > 1:
            # Also when both are of one session: which of two spellings the upstream would take is not known.
            return Reason.AMBIGUOUS_CREDENTIAL
        if not distinct:
            return Reason.NO_CREDENTIAL
        if self._state.failure is not None:
            return Reason.POLICY_UNAVAILABLE
        token = distinct.pop()
        if presented.api_key is not None or token.startswith(KEY_PREFIX):
            # Never from the session's cookie: browsers send that unasked, and a key knows neither idle nor logout.
            found = self._verify_key(token, now, snapshot) if presented.session is None else Reason.INVALID_CREDENTIAL
        elif looks_signed(token):
            found = self._verify_signed(presented.digest, token, now, snapshot)
        else:
            found = self._verify_opaque(token, now, snapshot)
        if isinstance(found, Reason | Missing):
            return found
        if now < found.until:
            self._verified[presented.digest] = found
        if found.entry is not None:
            self._record_key_use(found, now)
        return found.credential if _may_come_from(found.entry, source) else Reason.SOURCE_ADDRESS

    def _verify_key(self, token: bytes, now: UnixMillis, snapshot: Snapshot) -> "_Verified | Reason | Missing":
        parts = parse_key(token)
        if isinstance(parts, Reason):
            return parts
        known = snapshot.find_key(parts.id, parts.digest)
        if known is None:
            return Reason.INVALID_CREDENTIAL
        org, entry = known
        refusal = judge_key(entry, parts, now)
        if refusal is not None:
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
            issued_at=_EPOCH if issued_at is None else issued_at,
            expires_at=expiry_of(entry),
            single_use=entry.single_use,
            key_digest=entry.digest,
        )
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        refusal = self._state.refusal_of(credential, credential.issued_at)
        if refusal is not None:
            return refusal
        until = _FOREVER if credential.expires_at is None else credential.expires_at
        return _Verified(
            credential,
            until,
            self._state.version,
            snapshot,
            self._key_source.current,
            credential.issued_at,
            entry=entry,
        )

    def _verify_signed(
        self, digest: bytes, token: bytes, now: UnixMillis, snapshot: Snapshot
    ) -> "_Verified | Reason | Missing":
        if self._signed is None:
            return Reason.INVALID_CREDENTIAL
        keys = self._key_source.current
        failed = self._failed.get(digest)
        if failed is not None and now < failed.until and failed.keys is keys:
            return failed.reason
        answer = verify_token(token, keys, self._signed.rules, now)
        if isinstance(answer, UnknownKid):
            self._key_source.request_refresh()
            answer = Reason.INVALID_CREDENTIAL
        if isinstance(answer, Reason):
            self._failed[digest] = _Failed(answer, UnixMillis(now + FAILED_FOR), keys)
            return answer
        credential = answer.credential
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        record = self._state.find_session(credential.id)
        if record is not None and (record.limits is not None or record.account != credential.account):
            return Reason.INVALID_CREDENTIAL  # the issuer gave one session id twice, or an opaque session's
        started = _earliest(credential.issued_at, record, now)
        until = answer.cacheable_until if keys.usable_until is None else min(answer.cacheable_until, keys.usable_until)
        found = _Verified(credential, until, self._state.version, snapshot, keys, started, key=answer.key)
        return self._admit(found, record, now)

    def _verify_opaque(self, token: bytes, now: UnixMillis, snapshot: Snapshot) -> "_Verified | Reason | Missing":
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
                record.started + self._limits_of(record.surface, record.org, record, snapshot).absolute
            ),
        )
        missing = self._state.missing(facts_of(credential))
        if missing:
            return Missing(missing)
        keys = self._key_source.current
        found = _Verified(credential, _FOREVER, self._state.version, snapshot, keys, record.started)
        return self._admit(found, record, now)

    def _admit(
        self, found: "_Verified", record: SessionRecord | None, now: UnixMillis
    ) -> "_Verified | Reason | Missing":
        """Hold a session against revocation and its limits, and count the use as activity."""
        credential = found.credential
        refusal = self._state.refusal_of(credential, found.started)
        if refusal is not None:
            return refusal
        limits = self._limits_of(credential.surface, credential.org, record, found.snapshot)
        # A session that was never seen was never idle here; its age counts from its token.
        last_seen = now if record is None else record.last_seen
        refusal = reason_of(judge_session(SessionState(found.started, last_seen), limits, now))
        if refusal is not None:
            if refusal is Reason.SESSION_IDLE and record is not None and self._state.is_outdated(record, limits.idle):
                return Missing(((RevokedKind.SESSION, credential.id),))
            return refusal
        due = activity_due(limits)
        if record is None or now - last_seen >= due:
            record = self._record_activity(credential, found.started, due, now)
        found.session = record
        _limit(found, limits)
        return found

    def _renew(self, found: "_Verified", now: UnixMillis, snapshot: Snapshot) -> bool:
        """Look again at what *found* rests on; False when it no longer holds or has to be verified anew."""
        credential, keys = found.credential, self._key_source.current
        if self._state.failure is not None or now >= found.until:
            return False
        if self._state.missing(facts_of(credential)):
            return False
        if self._state.refusal_of(credential, found.started) is not None:
            return False
        if found.entry is not None:
            if snapshot.find_key(credential.id, found.entry.digest) != (credential.org, found.entry):
                return False
        else:
            record = self._state.find_session(credential.id)
            if record is None or (found.key is not None and not keys.still_holds(found.key, now)):
                return False
            found.session = record
            found.started = min(found.started, record.started)
            if keys.usable_until is not None and found.key is not None:
                found.until = min(found.until, keys.usable_until)
            limits = self._limits_of(credential.surface, credential.org, record, snapshot)
            _limit(found, limits)
            if now >= found.until:
                return False
        found.version, found.snapshot, found.keys = self._state.version, snapshot, keys
        return True

    def _limits_of(self, surface: str, org: str, record: SessionRecord | None, snapshot: Snapshot) -> SessionLimits:
        return effective_limits(surface, org, record, self._surfaces, snapshot)

    def _record_activity(
        self, credential: VerifiedCredential, started: UnixMillis, due: Millis, now: UnixMillis
    ) -> SessionRecord:
        return self._state.record_activity(
            SessionSeen(credential.id, credential.account, credential.org, credential.surface, started, now), due
        )

    def _record_key_use(self, found: "_Verified", now: UnixMillis) -> None:
        found.used_at = now
        self._state.record_key_use(KeySeen(key_name(found.credential.org, found.credential.id), now))


class _NoKeys:
    """Stands where no signed sessions are accepted."""

    __slots__ = ()
    current = NO_KEYS

    def request_refresh(self) -> None:
        """There is nothing to fetch."""


def _limit(found: _Verified, limits: SessionLimits) -> None:
    found.idle, found.due = limits.idle, activity_due(limits)
    found.until = min(found.until, UnixMillis(found.started + limits.absolute))


def _earliest(issued_at: UnixMillis, record: SessionRecord | None, now: UnixMillis) -> UnixMillis:
    """Return when a session began as far as is known: no later than the token, or its first use."""
    known = now if record is None else record.started
    return min(known, issued_at) if issued_at else known


def _may_come_from(entry: KeyEntry | None, source: Address | None) -> bool:
    return entry is None or is_source_allowed(entry, source)
