"""From what a request presents to who asks, or why it is refused (spec 3)."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from sidegate.core.identity.api_key import KEY_PREFIX, is_source_allowed
from sidegate.core.identity.jwt import looks_signed
from sidegate.core.identity.session import SessionLimits, limits_on
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.principal import Address, RefusedCredential, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.wire.credential import Presented
from sidegate.credentials.events import KeySeen, key_name
from sidegate.credentials.ports import Missing, OnConsumed, Pending, SharedState
from sidegate.credentials.proving import Prover, SignedSessions
from sidegate.credentials.table import facts_of
from sidegate.credentials.verified import Verified
from sidegate.credentials.waiting import Deadlined
from sidegate.telemetry.log import get_log

VERIFIED_CAPACITY: Final = 8192
"""Verified credentials kept, about 1.5 KiB each."""
KEY_USE_EVERY: Final = Millis(60 * 60 * 1000)
"""How often the use of a key is recorded at most: coarse, as people look at it in days."""

DEFAULT_PATIENCE: Final = Millis(250)
"""A request never waits longer for where sessions and keys are kept (spec 5.4)."""

MAX_FETCHES: Final = 4
"""Of one verification: a session, what its account and organization say, its activity again. More means that what was
fetched is lost as fast as it comes."""

Answer = VerifiedCredential | RefusedCredential | Reason
"""Who asks; or why he is refused, with whose credential it is if that was proved."""

_log: Final = get_log("credentials")


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
        "_capacity",
        "_key_source",
        "_patience_s",
        "_prover",
        "_state",
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
        self._prover = Prover(state, surfaces, signed=signed, accept_opaque=accept_opaque)
        self._key_source = self._prover.keys
        self._patience_s = patience / 1000
        # First in, first out: one look-up of 60 ns; least recently used would cost three times as much on each
        # request, and tokens are short-lived: the oldest is the first to expire anyway.
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()
        self._capacity = capacity

    def verify(
        self, presented: Presented, source: Address | None, now: UnixMillis, snapshot: Snapshot
    ) -> Answer | Missing:
        """Verify what a request presents. Never waits.

        Args:
            presented: As read from its head.
            source: The client's address, for API keys that are bound to networks.
            now: Wall clock, read once per request.
            snapshot: Policy that the request is decided with.

        Returns:
            The credential, or one of the reasons that answer 401; ``source_address`` for a key used from elsewhere
            (403); ``policy_unavailable`` while the shared state cannot be relied on (503). A reason comes with the
            credential that it is about, once that was proved. :class:`Missing` when the answer has to be waited for,
            by :meth:`verify_later`.
        """
        found = self._verified.get(presented.digest)
        if found is None:
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
            return _from_where_it_may(found, source)
        quiet = now - session.last_seen
        if quiet >= found.due:
            if quiet >= found.idle:
                if not self._state.is_outdated(session, found.idle):
                    return RefusedCredential(found.credential, Reason.SESSION_IDLE)
                del self._verified[presented.digest]
                return self._verify_new(presented, source, now, snapshot)
            found.session = self._prover.record_activity(found.credential, found.started, found.due, now)
        return found.credential

    def verify_later(  # noqa: PLR0917  the arguments of verify()
        self,
        missing: Missing,
        presented: Presented,
        source: Address | None,
        now: UnixMillis,
        snapshot: Callable[[], Snapshot],
        on_verified: Callable[[Answer], None],
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
        waiting: Deadlined[Answer] = Deadlined(on_verified, Reason.POLICY_UNAVAILABLE, self._patience_s)
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
    ) -> Answer | Missing:
        token = _only_one(presented)
        if isinstance(token, Reason):
            return token
        if self._state.failure is not None:
            return Reason.POLICY_UNAVAILABLE
        if presented.api_key is not None or token.startswith(KEY_PREFIX):
            # Never from the session's cookie: browsers send that unasked, and a key knows neither idle nor logout.
            found = (
                self._prover.prove_key(token, now, snapshot) if presented.session is None else Reason.INVALID_CREDENTIAL
            )
        elif looks_signed(token):
            found = self._prover.prove_signed(presented.digest, token, now, snapshot)
        else:
            found = self._prover.prove_opaque(token, now, snapshot)
        if not isinstance(found, Verified):
            return found
        if now < found.until:
            self._verified[presented.digest] = found
            if len(self._verified) > self._capacity:
                self._verified.popitem(last=False)
        if found.entry is not None:
            self._record_key_use(found, now)
        return _from_where_it_may(found, source)

    def _renew(self, found: Verified, now: UnixMillis, snapshot: Snapshot) -> bool:
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
            limits = self._prover.limits_of(credential.surface, credential.org, record, snapshot)
            found.limit(limits)
            if now >= found.until:
                return False
        found.version, found.snapshot, found.keys = self._state.version, snapshot, keys
        return True

    def _record_key_use(self, found: Verified, now: UnixMillis) -> None:
        found.used_at = now
        self._state.record_key_use(KeySeen(key_name(found.credential.org, found.credential.id), now))


def _only_one(presented: Presented) -> bytes | Reason:
    """Return the one thing that is presented."""
    if presented.ambiguous:
        return Reason.AMBIGUOUS_CREDENTIAL
    token: bytes | None = None
    for part in (presented.session, presented.bearer, presented.api_key):
        if part is None:
            continue
        if token is not None and part != token:
            # Also when both are of one session: which of two spellings the upstream would take is not known.
            return Reason.AMBIGUOUS_CREDENTIAL
        token = part
    return Reason.NO_CREDENTIAL if token is None else token


def _from_where_it_may(found: Verified, source: Address | None) -> VerifiedCredential | RefusedCredential:
    if found.entry is None or is_source_allowed(found.entry, source):
        return found.credential
    return RefusedCredential(found.credential, Reason.SOURCE_ADDRESS)
