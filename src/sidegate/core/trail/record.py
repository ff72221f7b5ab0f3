"""Audit records: one per decision, one per exchange that did not simply end (spec 5.5).

A record leaves here *open*: a JSON object without its end. The chain closes it with ``sidecar``, ``seq`` and ``hash``
(:mod:`sidegate.core.trail.chain`). On the data path a decision record is put together from text that was made before:

* :func:`actor_fragment` once per verified credential,
* :func:`decision_fragment` once per (credential, request line, decision), or per request where paths do not repeat,
* :func:`origin_fragment` once per connection and header block,
* :func:`encode_decision` per request.

Never in a record: tokens, cookies, keys, query values, bodies.
"""

from enum import StrEnum
from typing import Final, NewType

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.target import Kind
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.model.value import hot_value, value
from sidegate.core.trail.json_text import NULL, JsonText, json_array, json_text

SCHEMA_VERSION: Final = 1
"""``v`` of every line. A reader refuses what it does not know."""

OpenRecord = NewType("OpenRecord", bytes)
"""A record without its end; what :meth:`AuditTrail.submit` takes."""

Fragment = NewType("Fragment", bytes)
"""Members of a record, from ``org`` to ``route``."""

OriginFragment = NewType("OriginFragment", bytes)
"""Members of a record, from ``source`` to ``trace_id``."""


class RecordKind(StrEnum):
    """What a line is; its ``record`` member."""

    DECISION = "decision"
    COMPLETION = "completion"
    ANOMALY = "anomaly"
    CHECKPOINT = "checkpoint"


class ActorType(StrEnum):
    """Who acted: the account itself, or an agent for it (then the chain is not empty)."""

    USER = "user"
    SERVICE = "service"
    AGENT = "agent"


class Ending(StrEnum):
    """How an exchange ended after it was decided."""

    COMPLETED = "completed"
    CLIENT_CLOSED = "client_closed"
    UPSTREAM_CLOSED = "upstream_closed"
    UPSTREAM_FAILED = "upstream_failed"
    """Unreachable, too late or not HTTP; the reason says which."""
    ACCESS_ENDED = "access_ended"
    """Spec 2.7; the reason says why: revoked, expired, denied at a newer revision."""
    LIMIT_REACHED = "limit_reached"
    SHUTDOWN = "shutdown"


@value
class Actor:
    """Who acted.

    Attributes:
        account: ``user:ID`` or ``service:ID``.
        type: user, service or agent.
        chain: Ids of the delegation links, outermost first.
    """

    account: str
    type: ActorType
    chain: tuple[str, ...]


@value
class CredentialReference:
    """Which credential was used: its public id, never itself."""

    kind: CredentialKind
    id: str


@value
class ShadowVerdict:
    """What the candidate policy would have answered (spec 1.8)."""

    outcome: Outcome
    reason: Reason


@hot_value
class DecisionRecord:
    """One decision, or one refusal before there could be one. What was not known by then is None.

    Attributes:
        id: UUIDv7; the ``decision_id`` of answers and of the header to the upstream.
        org: Organization of the target; of the credential when there is no target.
        target: Written form (spec 1.2).
        because: Ids of the policy entries that decided.
        shadow: Only when the candidate differs.
        revision: Of the snapshot that was asked.
        path: Canonical, without the query.
        route: The route's pattern as written.
        source: The client's address.
        trace_id: 32 hex digits of ``traceparent``.
        decision_ns: What the decision alone took.
        sidecar: Given by the trail; empty until then.
        seq: Given by the trail, from 1, without gaps per sidecar; 0 until then.
    """

    id: str
    time: UnixMillis
    org: str | None
    actor: Actor | None
    credential: CredentialReference | None
    authority: Authority | None
    primitive: Primitive | None
    target: str | None
    kind: Kind | None
    outcome: Outcome
    reason: Reason
    because: tuple[str, ...]
    remedy: Remedy
    shadow: ShadowVerdict | None
    revision: int | None
    approval_id: str | None
    method: str | None
    path: str | None
    route: str | None
    source: str | None
    request_id: str | None
    trace_id: str | None
    decision_ns: int | None
    sidecar: str = ""
    seq: int = 0


@hot_value
class CompletionRecord:
    """How a forwarded request ended: upgraded connections, event streams, cut transfers, upstream failures.

    Attributes:
        id: UUIDv7 of this record: sinks de-duplicate by it.
        time: When it ended.
        decision_id: Of the decision that let it pass.
        org: As in the decision record.
        status: Of the upstream's answer; None when there was none.
        bytes_in: Body bytes from the client.
        bytes_out: Body bytes to the client.
        duration_ms: From the decision to the end.
        ended: How.
        reason: Why, where *ended* asks for it.
        sidecar: As in the decision record.
        seq: As in the decision record.
    """

    id: str
    time: UnixMillis
    decision_id: str
    org: str | None
    status: int | None
    bytes_in: int
    bytes_out: int
    duration_ms: int
    ended: Ending
    reason: Reason | None
    sidecar: str = ""
    seq: int = 0


@hot_value
class AnomalyRecord:
    """Something unusual about a machine identity (spec 3.4).

    Attributes:
        id: UUIDv7 of this record.
        time: When it was seen.
        decision_id: Of the request that showed it.
        credential: What it acted by.
        kind: ``rate``, ``network`` or ``denials``.
        source: The client's address.
    """

    id: str
    time: UnixMillis
    decision_id: str
    credential: VerifiedCredential
    kind: str
    source: str | None


_TEXT: Final[dict[StrEnum, JsonText]] = {
    member: JsonText(b'"%b"' % member.value.encode())
    for closed_set in (Authority, Primitive, Kind, Outcome, Reason, Remedy, CredentialKind, ActorType, Ending)
    for member in closed_set
}
# A StrEnum member equals the plain string: `Authority.READ` and a `Primitive` or `Reason` of the same value share one
# entry, and the text is the same for both.


def _enum_text(member: StrEnum | None) -> bytes:
    return NULL if member is None else _TEXT[member]


def _int_text(number: int | None) -> bytes:
    return NULL if number is None else b"%d" % number


def actor_of(credential: VerifiedCredential) -> Actor:
    """Tell who acts by *credential*."""
    chain = tuple(link.id for link in credential.chain)
    if chain:
        kind = ActorType.AGENT
    elif credential.account.startswith("service:"):
        kind = ActorType.SERVICE
    else:
        kind = ActorType.USER
    return Actor(credential.account, kind, chain)


def actor_fragment(credential: VerifiedCredential) -> bytes:
    """Write ``actor`` and ``credential``. Worth keeping beside the verified credential: it never changes."""
    return _actor_text(actor_of(credential), CredentialReference(credential.kind, credential.id))


def _actor_text(actor: Actor | None, credential: CredentialReference | None) -> bytes:
    if actor is None:
        actor_text: bytes = NULL
    else:
        actor_text = b'{"account":%b,"type":%b,"chain":%b}' % (
            json_text(actor.account),
            _TEXT[actor.type],
            json_array(actor.chain),
        )
    if credential is None:
        return b'"actor":%b,"credential":null' % actor_text
    return b'"actor":%b,"credential":{"kind":%b,"id":%b}' % (
        actor_text,
        _TEXT[credential.kind],
        json_text(credential.id),
    )


NO_ACTOR: Final = _actor_text(None, None)
"""The actor's fragment for a request whose credential was missing or did not verify."""


def decision_fragment(
    actor: bytes,
    decision: Decision,
    *,
    org: str | None = None,
    authority: Authority | None = None,
    primitive: Primitive | None = None,
    target: str | None = None,
    kind: Kind | None = None,
    shadow: Decision | ShadowVerdict | None = None,
    revision: int | None = None,
    approval_id: str | None = None,
    method: str | None = None,
    path: str | None = None,
    route: str | None = None,
) -> Fragment:
    """Write everything from ``org`` to ``route``: what repeats while the same credential asks for the same thing.

    Args:
        actor: From :func:`actor_fragment`, or :data:`NO_ACTOR`.
        decision: What was answered.
        shadow: What the candidate answers, only if it differs.
    """
    if shadow is None:
        shadow_text: bytes = NULL
    else:
        shadow_text = b'{"outcome":%b,"reason":%b}' % (_TEXT[shadow.outcome], _TEXT[shadow.reason])
    return Fragment(
        b'"org":%b,%b,"authority":%b,"primitive":%b,"target":%b,"kind":%b,"outcome":%b,"reason":%b,"because":%b,'
        b'"remedy":%b,"shadow":%b,"revision":%b,"approval_id":%b,"method":%b,"path":%b,"route":%b'
        % (
            json_text(org),
            actor,
            _enum_text(authority),
            _enum_text(primitive),
            json_text(target),
            _enum_text(kind),
            _TEXT[decision.outcome],
            _TEXT[decision.reason],
            json_array(decision.because),
            _TEXT[decision.remedy],
            shadow_text,
            _int_text(revision),
            json_text(approval_id),
            json_text(method),
            json_text(path),
            json_text(route),
        )
    )


def origin_fragment(source: str | None, request_id: str | None, trace_id: str | None) -> OriginFragment:
    """Write ``source``, ``request_id`` and ``trace_id``: what a request says of where it comes from."""
    return OriginFragment(
        b'"source":%b,"request_id":%b,"trace_id":%b' % (json_text(source), json_text(request_id), json_text(trace_id))
    )


NO_ORIGIN: Final = origin_fragment(None, None, None)
"""The origin's fragment for a request that could not be read so far."""


_DECISION: Final = b'{"v":1,"record":"decision","id":"'


def encode_decision(
    fragment: Fragment, record_id: bytes, time: bytes, origin: OriginFragment, decision_ns: int | None
) -> OpenRecord:
    """Put a decision record together; nothing is escaped here.

    Args:
        fragment: From :func:`decision_fragment`.
        record_id: From :meth:`Uuid7.next`.
        time: From :meth:`InstantText.write`.
        origin: From :func:`origin_fragment`.
        decision_ns: What the decision alone took; None if nothing was decided.
    """
    took = NULL if decision_ns is None else b"%d" % decision_ns
    # A join takes three quarters of the time of a format.
    return OpenRecord(
        b"".join((_DECISION, record_id, b'","time":"', time, b'",', fragment, b",", origin, b',"decision_ns":', took))
    )


def encode_decision_record(record: DecisionRecord) -> OpenRecord:
    """Write *record* whole, for callers off the data path. ``sidecar`` and ``seq`` are left to the trail."""
    return encode_decision(
        decision_fragment(
            _actor_text(record.actor, record.credential),
            Decision(record.outcome, record.reason, record.because, record.remedy),
            org=record.org,
            authority=record.authority,
            primitive=record.primitive,
            target=record.target,
            kind=record.kind,
            shadow=record.shadow,
            revision=record.revision,
            approval_id=record.approval_id,
            method=record.method,
            path=record.path,
            route=record.route,
        ),
        json_text(record.id)[1:-1],
        format_instant(record.time).encode(),
        origin_fragment(record.source, record.request_id, record.trace_id),
        record.decision_ns,
    )


def encode_completion(record: CompletionRecord) -> OpenRecord:
    """Write *record*. ``sidecar`` and ``seq`` are left to the trail."""
    return OpenRecord(
        b'{"v":1,"record":"completion","id":%b,"time":"%b","decision_id":%b,"org":%b,"status":%b,"bytes_in":%d,'
        b'"bytes_out":%d,"duration_ms":%d,"ended":%b,"reason":%b'
        % (
            json_text(record.id),
            format_instant(record.time).encode(),
            json_text(record.decision_id),
            json_text(record.org),
            _int_text(record.status),
            record.bytes_in,
            record.bytes_out,
            record.duration_ms,
            _TEXT[record.ended],
            _enum_text(record.reason),
        )
    )


def encode_anomaly(record: AnomalyRecord) -> OpenRecord:
    """Write *record*. ``sidecar`` and ``seq`` are left to the trail."""
    return OpenRecord(
        b'{"v":1,"record":"anomaly","id":%b,"time":"%b","decision_id":%b,"org":%b,%b,"kind":%b,"source":%b'
        % (
            json_text(record.id),
            format_instant(record.time).encode(),
            json_text(record.decision_id),
            json_text(record.credential.org),
            actor_fragment(record.credential),
            json_text(record.kind),
            json_text(record.source),
        )
    )
