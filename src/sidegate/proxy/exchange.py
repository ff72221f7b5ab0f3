"""One request: bytes -> head -> credential -> (authority, target) -> decision -> record -> forward or refuse."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, assert_never

from sidegate.core.anomaly.watch import NOTHING_UNUSUAL
from sidegate.core.engine.decide import decide_all_subject, decide_subject
from sidegate.core.engine.permit import permit_of
from sidegate.core.engine.shadow import decide_shadow_subject
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import WireError
from sidegate.core.model.principal import CredentialKind, Query, RefusedCredential, VerifiedCredential
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.record import NO_ORIGIN, Fragment, ShadowVerdict, encode_decision
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.credentials.ports import PENDING, Missing
from sidegate.credentials.verifier import Answer
from sidegate.distribution.ports import Fetched, Want
from sidegate.proxy.body import BodyReader, ChunkedBody, LengthBody
from sidegate.proxy.collector import Collector
from sidegate.proxy.forwarding import Origin
from sidegate.proxy.machines import machine_of
from sidegate.proxy.pairing import CONTINUE
from sidegate.proxy.passage import Passage
from sidegate.proxy.prepared import Prepared, Standing, verdict_of
from sidegate.proxy.reading import Head, Request, Unreadable
from sidegate.proxy.refusals import with_notes
from sidegate.telemetry.catalogue import PresentedKind, RequestKind
from sidegate.telemetry.clock import monotonic_ns
from sidegate.telemetry.metrics import CREDENTIAL_CELL, IN_FLIGHT, KEY_EXPIRY_WARNINGS, REQUEST_CELL

if TYPE_CHECKING:
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

PUBLIC: Final = Decision(Outcome.ALLOW, Reason.PUBLIC_ROUTE, (), Remedy.NONE)

MAX_FETCHES: Final = 6
"""A request that is missing something again and again does not fit into memory together with the others."""

# Read for each request: an attribute of an enum costs more than a call (CPython 3.11).
_ALLOW: Final = Outcome.ALLOW
_VERIFIED: Final = {
    CredentialKind.SESSION: CREDENTIAL_CELL[PresentedKind.SESSION],
    CredentialKind.API_KEY: CREDENTIAL_CELL[PresentedKind.API_KEY],
}
_DENIED: Final = {reason: deny(reason) for reason in Reason}
_AMBIGUOUS: Final = Reason.AMBIGUOUS_CREDENTIAL
_REFUSED: Final = REQUEST_CELL[RequestKind.REFUSED]

_NANOS_PER_MILLI: Final = 1_000_000
_MILLIS_PER_SECOND: Final = 1000


class Exchange:
    """One request from its head to its record, and from there to the relay or to a refusal.

    One request, one record, whatever breaks: nothing is written to either side before :meth:`recorded`.

    Args:
        gateway: The data plane.
        client: Whose request it is.
        request: Its head, and what that presents.
    """

    __slots__ = (
        "_began",
        "_body",
        "_client",
        "_close",
        "_collected",
        "_decision",
        "_detail",
        "_fetches",
        "_gateway",
        "_gone",
        "_head",
        "_id",
        "_notes",
        "_now",
        "_observed",
        "_origin",
        "_prepared",
        "_presented",
        "_queries",
        "_revision",
        "_snapshot",
        "_status",
        "_verified",
        "_waited_ms",
    )

    _decision: Decision
    _revision: int

    def __init__(self, gateway: "Gateway", client: "ClientConnection", request: Request) -> None:
        self._gateway = gateway
        self._client = client
        self._began = monotonic_ns()
        self._now: UnixMillis = gateway.clock.now()
        self._snapshot: Snapshot = gateway.policies.current
        self._head = request.head
        self._presented = request.presented
        self._body: BodyReader | None = None
        self._collected: bytes | None = None
        self._origin: Origin | None = None
        self._verified: VerifiedCredential | None = None
        self._prepared: Prepared | None = None
        self._queries: tuple[Query, ...] = ()
        self._fetches = 0
        self._waited_ms = 0
        self._id = b""
        self._status = 0
        self._detail: str | None = None
        self._notes = b""
        self._observed = NOTHING_UNUSUAL
        self._close = False
        self._gone = False
        gateway.cells[IN_FLIGHT] += 1

    # Reading.

    def begin(self) -> None:
        """Serve the request."""
        try:
            self._begin()
        except Exception:
            self._abandon()
            raise

    def _begin(self) -> None:
        gateway, head = self._gateway, self._head
        self._origin = origin = self._client.origin(head.block)
        if isinstance(head, Unreadable):
            self.refuse_unread(head.error)
            return
        if head.length:
            maximum = gateway.limits.max_body_bytes
            if maximum and head.length > maximum:
                error = WireError(413, Reason.BODY_TOO_LARGE, f"the body is longer than {maximum} bytes")
                self.refuse_unread(error)
                return
            self._body = ChunkedBody(maximum) if head.length == NO_LENGTH else LengthBody(head.length)
        if gateway.cells[IN_FLIGHT] > gateway.limits.in_flight:
            self._refuse(deny(Reason.OVERLOADED))
        elif head.is_public:
            gateway.count_decision(PUBLIC)
            self._record(PUBLIC, gateway.undecided.fragment(PUBLIC, head.reading, None, self._snapshot.revision), None)
        else:
            self._identify(head, origin)

    # Deciding.

    def _identify(self, head: Head, origin: Origin) -> None:
        gateway, presented = self._gateway, self._presented
        if presented.session is None:
            # Elsewhere no key is looked for.
            want = gateway.policies.missing_key(presented)
            if want is not None:
                self._fetch(want, self._identify_again)
                return
        verified = gateway.verifier.verify(presented, origin.source, self._now, self._snapshot)
        if isinstance(verified, Missing):
            self._wait()
            gateway.verifier.verify_later(
                verified, presented, origin.source, self._now, self._read_policy, self._identified_later
            )
        else:
            self._identified(verified, head)

    def _identified(self, verified: Answer, head: Head) -> None:
        gateway = self._gateway
        if not isinstance(verified, VerifiedCredential):
            self._unidentified(verified)
            return
        want = gateway.policies.missing(verified.org, verified.account, head.at_least)
        if want is not None:
            # Then verified again: the organization may limit sessions more tightly (spec 3.1).
            self._fetch(want, self._identify_again)
            return
        self._verified = verified
        if self._collected is not None:
            self._decide(head, verified, self._collected)
            return
        gateway.cells[_VERIFIED[verified.kind]] += 1
        match = head.reading.match
        if match is None:
            self._warn_of_expiry(Standing(verified))
            self._refuse_known(verified, deny(Reason.UNMAPPED_ROUTE))
        elif match.route.needs_body:
            self._collect(head, verified)
        else:
            self._decide(head, verified, None)

    def _unidentified(self, refused: RefusedCredential | Reason) -> None:
        gateway = self._gateway
        if isinstance(refused, RefusedCredential):
            # Proved, so its record says whose it was.
            self._verified = refused.credential
            gateway.count_refused(self._presented, refused.reason)
            self._refuse_known(refused.credential, _DENIED[refused.reason])
        else:
            gateway.count_refused(self._presented, refused)
            self._close = refused is _AMBIGUOUS
            self._refuse(_DENIED[refused])

    def _warn_of_expiry(self, standing: Standing) -> None:
        if self._now >= standing.warns_from:
            self._notes = standing.warning
            self._gateway.cells[KEY_EXPIRY_WARNINGS] += 1

    def _refuse_known(self, credential: VerifiedCredential, decision: Decision) -> None:
        """Refuse, without asking policy, whoever proved to be somebody: a machine's denials are watched, and from where
        it comes (spec 3.4), above all when it comes with a key that is over, or from where it may not be used."""
        machine = machine_of(credential)
        if machine is not None and self._origin is not None:
            self._observed = self._gateway.machines.observe(machine, self._origin.source, self._now, decision)
        self._refuse(decision)

    def _read(self) -> tuple[Head, Origin]:
        """Return what :meth:`begin` has read before anything could be waited for."""
        head, origin = self._head, self._origin
        assert isinstance(head, Head) and origin is not None  # noqa: S101, PT018 - else it was refused
        return head, origin

    def _identify_again(self) -> None:
        self._identify(*self._read())

    def _fetch(self, want: Want, resume: Callable[[], None]) -> None:
        """Have *want* fetched, without a task, and go on with *resume*; never for longer than the source is patient."""
        self._fetches += 1
        if self._fetches > MAX_FETCHES:
            self._refuse(deny(Reason.POLICY_UNAVAILABLE))
            return
        self._wait()
        began = monotonic_ns()

        def fetched(answer: Fetched) -> None:
            if self._id:
                return  # the client left meanwhile, and that is recorded
            self._waited_ms += (monotonic_ns() - began) // _NANOS_PER_MILLI
            try:
                self._fetched(answer, resume)
            except Exception:
                self._abandon()
                raise

        self._gateway.policies.fetch(want, fetched, self._waited_ms)

    def _fetched(self, answer: Fetched, resume: Callable[[], None]) -> None:
        match answer:
            case Fetched.READY:
                self._now = self._gateway.clock.now()
                self._read_policy()
                resume()
            case Fetched.UNAVAILABLE:
                self._refuse(deny(Reason.POLICY_UNAVAILABLE))
            case Fetched.BEHIND:
                self._refuse(deny(Reason.REVISION_UNAVAILABLE))
            case _:
                assert_never(answer)

    def _wait(self) -> None:
        """Leave the client alone while an answer is fetched; whoever fetches sets a deadline that is much shorter."""
        self._client.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s

    def _read_policy(self) -> Snapshot:
        """Go on with the policy that is in force after waiting, not with the one from before."""
        self._snapshot = self._gateway.policies.current
        return self._snapshot

    def _identified_later(self, verified: Answer) -> None:
        if self._id:
            return  # the client left meanwhile, and that is recorded
        try:
            self._identified(verified, self._read()[0])
        except Exception:
            self._abandon()
            raise

    def _collect(self, head: Head, verified: VerifiedCredential) -> None:
        """Wait for the body that the decision reads."""
        if self._body is None:
            self._decide(head, verified, b"")
            return
        client = self._client
        limit = self._gateway.limits.body_json_bytes
        client.body = Collector(client, self._body, limit, self._body_read, self.refuse_unread)
        client.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s
        held = client.take_held()
        if held:
            client.body.client_data(held)
        elif head.block.expects_continue:
            # The decision needs the body, so the client has to send it first.
            client.transport.write(CONTINUE)
        client.resume()

    def _body_read(self, body: bytes) -> None:
        self._collected = body
        try:
            # A body may take its time: what counts is who may do what when it is there, not when its head came.
            self._now = self._gateway.clock.now()
            self._read_policy()
            self._identify_again()
        except Exception:
            self._abandon()
            raise

    def _decide(self, head: Head, verified: VerifiedCredential, body: bytes | None) -> None:
        """Put the request to the engine; nothing that it takes is missing."""
        gateway, now, snapshot, origin = self._gateway, self._now, self._snapshot, self._origin
        assert origin is not None  # noqa: S101 - begin() has read it
        prepared = gateway.prepared.young.get((head.reading, id(verified)))
        if prepared is None:
            try:
                prepared = gateway.prepare(head.reading, verified, head.block, body)
            except WireError as error:
                self.refuse_unread(error)
                return
        self._prepared = prepared
        if now >= gateway.policies.stale_after and gateway.policies.is_too_old(
            verified.org, [ask.authority for ask in prepared.asks], now
        ):
            self._refuse(deny(Reason.POLICY_UNAVAILABLE))
            return
        queries = prepared.asked
        if not queries or queries[0].source is not origin.source:
            queries = prepared.ask_from(origin.source)
        self._queries = queries
        organization = snapshot.organizations.get(verified.org)
        self._revision = snapshot.revision if organization is None else organization.revision
        start = monotonic_ns()
        subject = None if organization is None else organization.subject(verified.account)
        if len(queries) == 1:
            decision = decide_subject(subject, queries[0], now)
        else:
            decision = decide_all_subject(subject, queries, now)
        took = monotonic_ns() - start
        gateway.metrics.decision_seconds.observe_ns(took)
        shadow = None
        if subject is not None and subject.shadow is not None:
            shadow = verdict_of(decide_shadow_subject(subject, queries, now, decision))
        standing = prepared.standing
        if standing.machine is not None:
            self._observed = gateway.machines.observe(standing.machine, origin.source, now, decision)
            decision = gateway.machines.judge(self._observed, decision)
            self._warn_of_expiry(standing)
        if verified.single_use and decision.outcome is _ALLOW:
            self._consume(prepared, verified, decision, shadow, took)
        else:
            self._decided(prepared, decision, shadow, took)

    def _consume(
        self,
        prepared: Prepared,
        verified: VerifiedCredential,
        decision: Decision,
        shadow: ShadowVerdict | None,
        took: int,
    ) -> None:
        """Use a single-use key up before anything is forwarded (spec 3.2)."""

        def consumed_later(refused: Reason | None) -> None:
            if self._id:
                return  # the client left meanwhile, and that is recorded; the key stays used up
            try:
                self._decided(prepared, decision if refused is None else deny(refused), shadow, took)
            except Exception:
                self._abandon()
                raise

        refused = self._gateway.verifier.consume(verified, self._now, consumed_later)
        if refused is PENDING:
            self._wait()
        else:
            self._decided(prepared, decision if refused is None else deny(refused), shadow, took)

    def _decided(self, prepared: Prepared, decision: Decision, shadow: ShadowVerdict | None, took: int) -> None:
        gateway = self._gateway
        if shadow is not None:
            gateway.metrics.count_divergence(decision.outcome, shadow.outcome)
        fragment = prepared.fragment(decision, shadow, self._revision)
        gateway.cells[prepared.cell] += 1
        self._record(decision, fragment, took)

    # Recording.

    def _record(self, decision: Decision, fragment: Fragment, took: int | None) -> None:
        """Hand in the one record of this request; what follows waits for it."""
        trail, now, origin = self._gateway.trail, self._now, self._origin
        self._decision = decision
        self._id = decision_id = trail.next_id(now)
        told = NO_ORIGIN if origin is None else origin.fragment
        trail.submit(encode_decision(fragment, decision_id, trail.instant(now), told, took), self)
        if self._observed.raised and self._verified is not None and origin is not None:
            self._gateway.machines.report(self._observed, self._verified, origin.source, decision_id, now)

    def recorded(self) -> None:
        """See :class:`sidegate.audit.ports.Waiter`."""
        if self._gone:
            self._gateway.count_end(RequestKind.ABORTED, None)
            return
        try:
            if self._decision.outcome is _ALLOW:
                self._forward()
            else:
                self._answer()
        except Exception:
            self._client.transport.abort()
            raise

    def unrecorded(self) -> None:
        """See :class:`sidegate.audit.ports.Waiter`."""
        if self._gone:
            self._gateway.count_end(RequestKind.ABORTED, None)
            return
        # What was decided is counted already, and a counter never falls: this is a second decision about the request.
        self._decision = deny(Reason.AUDIT_UNAVAILABLE)
        self._gateway.count_decision(self._decision)
        self._status = 0
        self._detail = None
        self._answer()

    def _abandon(self) -> None:
        """Leave a request that a bug of ours keeps from being decided: recorded, not forwarded, not answered."""
        self._gone = True
        self._client.transport.abort()
        if not self._id:
            self._refuse(deny(Reason.POLICY_UNAVAILABLE))

    # Refusing.

    def refuse_unread(self, error: WireError) -> None:
        """Refuse a request that cannot be read in one way: answer, close, read nothing more (spec 2, W-B)."""
        self._status = error.status
        self._detail = error.detail
        self._close = True
        self._refuse(deny(error.reason))

    def _refuse(self, decision: Decision) -> None:
        self._gateway.count_decision(decision)
        reading = self._head.reading
        fragment = self._gateway.undecided.fragment(decision, reading, self._verified, self._snapshot.revision)
        self._record(decision, fragment, None)

    def _answer(self) -> None:
        gateway, client, head, prepared = self._gateway, self._client, self._head, self._prepared
        keep = head_only = False
        if head.reading is not None:
            head_only = head.reading.line.method == b"HEAD"
        if isinstance(head, Head):
            # A body that was not read to its end would be taken for the next request.
            unread = self._body is not None and not self._body.done
            keep = head.persists and not (self._close or unread or gateway.draining)
        reason = self._decision.reason
        if keep and prepared is not None and not self._status and self._detail is None:
            answer = prepared.refusal
            if answer is None or answer.reason is not reason:
                answer = gateway.refusals.find(reason, ask=prepared.asks[0], close=False, head_only=head_only)
                prepared.refusal = answer
        else:
            answer = gateway.refusals.find(
                reason,
                status=self._status,
                detail=self._detail,
                ask=None if prepared is None else prepared.asks[0],
                close=not keep,
                head_only=head_only,
            )
        wire = gateway.refusals.write(answer, self._id)
        client.transport.write(with_notes(wire, self._notes) if self._notes else wire)
        cells = gateway.cells
        cells[IN_FLIGHT] -= 1
        cells[_REFUSED + answer.status] += 1
        client.finish(keep=keep)

    # Forwarding.

    def _forward(self) -> None:
        gateway, prepared, decision_id = self._gateway, self._prepared, self._id
        head, origin = self._read()
        permit = permit_of(self._queries, self._decision, decision_id.decode("ascii"))
        assert permit is not None  # noqa: S101 - recorded() asks for allows only
        if prepared is None:
            identity, org = b"", None
        else:
            identity, org = prepared.identity(self._revision), prepared.asks[0].target.org
            if gateway.attestor is not None:
                identity += gateway.attestor.header(prepared, self._revision, decision_id, self._now)
        unchecked = gateway.policies.unchecked_since(self._now)
        if unchecked is not None:
            # A warning for the upstream, whose answer goes to the client byte for byte (spec 5.4, 6.5).
            identity += b"X-Sidegate-Policy-Age: %d\r\n" % ((self._now - unchecked) // _MILLIS_PER_SECOND)
        wire = b"".join((head.forward, origin.lines, identity, b"X-Sidegate-Decision: ", decision_id, b"\r\n\r\n"))
        passage = Passage(gateway, self._client, permit, head, wire, org, self._began)
        passage.body = self._body
        passage.payload = self._collected or b""
        passage.notes = self._notes
        passage.start()

    # From the client, while the record is being written or the body collected.

    def client_full(self) -> None:
        """Nothing of ours is on its way yet."""

    def client_drained(self) -> None:
        """Nothing of ours is on its way yet."""

    def client_gone(self) -> None:
        """The client left; the record is written all the same, and nothing is forwarded."""
        self._gone = True
        if not self._id:
            self._refuse(deny(Reason.MALFORMED_REQUEST))

    def going_away(self) -> None:
        """See :class:`sidegate.proxy.client.Serving`. It is decided and answered as ever."""

    def shut_down(self) -> None:
        """See :class:`sidegate.proxy.client.Serving`."""
        self._client.transport.abort()

    def deadline_passed(self, now: float) -> None:
        """The body that the decision reads did not arrive in time."""
        del now
        if self._id:
            return  # Its one record is being written; a slow disk is no reason for a second one.
        self._client.body = None
        self.refuse_unread(WireError(408, Reason.REQUEST_TIMEOUT, "the request body did not arrive in time"))
