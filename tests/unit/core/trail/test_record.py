"""Tests of records as bytes: the fast way of writing equals the plain one."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind, Link, VerifiedCredential
from sidegate.core.model.target import Kind
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.trail.json_text import json_text
from sidegate.core.trail.read import completion_of, decision_of
from sidegate.core.trail.record import (
    NO_ACTOR,
    Actor,
    ActorType,
    AnomalyRecord,
    CompletionRecord,
    CredentialReference,
    DecisionRecord,
    Ending,
    ShadowVerdict,
    actor_fragment,
    actor_of,
    decision_fragment,
    encode_anomaly,
    encode_completion,
    encode_decision,
    encode_decision_record,
    origin_fragment,
)

_text = st.text(max_size=20)
_maybe_text = st.none() | _text
_instants = st.integers(0, 4_102_444_800_000).map(UnixMillis)
_counts = st.integers(0, 1 << 53)

decisions = st.builds(
    DecisionRecord,
    id=_text,
    time=_instants,
    org=_maybe_text,
    actor=st.none() | st.builds(Actor, _text, st.sampled_from(ActorType), st.lists(_text, max_size=3).map(tuple)),
    credential=st.none() | st.builds(CredentialReference, st.sampled_from(CredentialKind), _text),
    authority=st.none() | st.sampled_from(Authority),
    primitive=st.none() | st.sampled_from(Primitive),
    target=_maybe_text,
    kind=st.none() | st.sampled_from(Kind),
    outcome=st.sampled_from(Outcome),
    reason=st.sampled_from(Reason),
    because=st.lists(_text, max_size=3).map(tuple),
    remedy=st.sampled_from(Remedy),
    shadow=st.none() | st.builds(ShadowVerdict, st.sampled_from(Outcome), st.sampled_from(Reason)),
    revision=st.none() | _counts,
    approval_id=_maybe_text,
    method=_maybe_text,
    path=_maybe_text,
    route=_maybe_text,
    source=_maybe_text,
    request_id=_maybe_text,
    trace_id=_maybe_text,
    decision_ns=st.none() | _counts,
)
completions = st.builds(
    CompletionRecord,
    id=_text,
    time=_instants,
    decision_id=_text,
    org=_maybe_text,
    status=st.none() | st.integers(100, 599),
    bytes_in=_counts,
    bytes_out=_counts,
    duration_ms=_counts,
    ended=st.sampled_from(Ending),
    reason=st.none() | st.sampled_from(Reason),
)


def _spell_out(record: DecisionRecord) -> dict[str, Any]:
    """Write a decision record the slow way, member by member in the order of spec 5.5."""
    actor, credential, shadow = record.actor, record.credential, record.shadow
    return {
        "v": 1,
        "record": "decision",
        "id": record.id,
        "time": format_instant(record.time),
        "org": record.org,
        "actor": actor and {"account": actor.account, "type": actor.type, "chain": list(actor.chain)},
        "credential": credential and {"kind": credential.kind, "id": credential.id},
        "authority": record.authority,
        "primitive": record.primitive,
        "target": record.target,
        "kind": record.kind,
        "outcome": record.outcome,
        "reason": record.reason,
        "because": list(record.because),
        "remedy": record.remedy,
        "shadow": shadow and {"outcome": shadow.outcome, "reason": shadow.reason},
        "revision": record.revision,
        "approval_id": record.approval_id,
        "method": record.method,
        "path": record.path,
        "route": record.route,
        "source": record.source,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "decision_ns": record.decision_ns,
    }


@given(decisions)
def test_decision_record_equals_its_slow_spelling(record: DecisionRecord) -> None:
    """Formatting bytes gives, byte for byte, what serialising the members in the order of spec 5.5 gives."""
    assert orjson.dumps(_spell_out(record)) == encode_decision_record(record) + b"}"


@given(decisions, _text, st.integers(1, 1 << 40))
def test_decision_record_is_read_back_as_it_was(record: DecisionRecord, sidecar: str, seq: int) -> None:
    """Nothing is lost on the way through a line."""
    record.sidecar, record.seq = sidecar, seq  # type: ignore[misc]
    line = encode_decision_record(record) + b',"sidecar":%b,"seq":%d}' % (json_text(sidecar), seq)
    assert record == decision_of(orjson.loads(line))


@given(completions)
def test_completion_record_equals_its_slow_spelling(record: CompletionRecord) -> None:
    """As for decisions: id of the decision, status, bytes in and out, duration, how it ended."""
    expected = {
        "v": 1,
        "record": "completion",
        "id": record.id,
        "time": format_instant(record.time),
        "decision_id": record.decision_id,
        "org": record.org,
        "status": record.status,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "duration_ms": record.duration_ms,
        "ended": record.ended,
        "reason": record.reason,
    }
    assert orjson.dumps(expected) == encode_completion(record) + b"}"


@given(completions)
def test_completion_record_is_read_back_as_it_was(record: CompletionRecord) -> None:
    """Nothing is lost on the way through a line."""
    record.sidecar, record.seq = "host-w0", 7  # type: ignore[misc]
    line = encode_completion(record) + b',"sidecar":"host-w0","seq":7}'
    assert record == completion_of(orjson.loads(line))


@pytest.mark.parametrize(
    ("account", "links", "expected"),
    [
        pytest.param("user:ana", (), Actor("user:ana", ActorType.USER, ()), id="user"),
        pytest.param("service:ci", (), Actor("service:ci", ActorType.SERVICE, ()), id="service"),
        pytest.param(
            "user:ana", ("ag_1", "ag_2"), Actor("user:ana", ActorType.AGENT, ("ag_1", "ag_2")), id="agent-for-a-user"
        ),
        pytest.param("service:ci", ("a",), Actor("service:ci", ActorType.AGENT, ("a",)), id="agent-for-a-service"),
    ],
)
def test_actor_is_the_account_or_an_agent_for_it(account: str, links: tuple[str, ...], expected: Actor) -> None:
    """Whoever acts by a delegation chain is an agent; the account stays the one at its root."""
    credential = VerifiedCredential(
        CredentialKind.SESSION, "s1", account, "acme", chain=tuple(Link(link) for link in links)
    )
    assert expected == actor_of(credential)


def test_fragment_of_a_request_nobody_is_known_for() -> None:
    """Refused before it could be decided: what was not known is null, nothing is left out."""
    fragment = decision_fragment(
        NO_ACTOR, Decision(Outcome.DENY, Reason.MALFORMED_REQUEST, (), Remedy.NONE), method="GET"
    )
    line = encode_decision(fragment, b"i", b"t", origin_fragment("10.0.0.1", None, None), None) + b"}"
    assert orjson.loads(line) == {
        "v": 1, "record": "decision", "id": "i", "time": "t", "org": None, "actor": None, "credential": None,
        "authority": None, "primitive": None, "target": None, "kind": None, "outcome": "deny",
        "reason": "malformed_request", "because": [], "remedy": "none", "shadow": None, "revision": None,
        "approval_id": None, "method": "GET", "path": None, "route": None, "source": "10.0.0.1", "request_id": None,
        "trace_id": None, "decision_ns": None,
    }  # fmt: skip


def test_credential_is_named_never_shown() -> None:
    """Of a credential only kind and public id go into a record."""
    credential = VerifiedCredential(CredentialKind.API_KEY, "4fQz", "service:ci", "acme", surface="web")
    assert (
        actor_fragment(credential)
        == b'"actor":{"account":"service:ci","type":"service","chain":[]},"credential":{"kind":"api_key","id":"4fQz"}'
    )


def test_anomaly_names_who_and_what() -> None:
    """And the decision that showed it."""
    credential = VerifiedCredential(CredentialKind.API_KEY, "4fQz", "service:ci", "acme", surface="web")
    record = AnomalyRecord("i", UnixMillis(0), "d", credential, "rate", None)
    assert orjson.loads(encode_anomaly(record) + b"}") == {
        "v": 1,
        "record": "anomaly",
        "id": "i",
        "time": "1970-01-01T00:00:00.000Z",
        "decision_id": "d",
        "org": "acme",
        "actor": {"account": "service:ci", "type": "service", "chain": []},
        "credential": {"kind": "api_key", "id": "4fQz"},
        "kind": "rate",
        "source": None,
    }


def test_anomaly() -> None:
    """An anomaly names the credential and the decision that showed it; a name cannot break out of the line."""
    credential = VerifiedCredential(CredentialKind.API_KEY, "k1", "service:ci", 'ac"me')
    record = AnomalyRecord("a-1", UnixMillis(0), "d-1", credential, "network", "192.0.2.7")
    assert orjson.loads(encode_anomaly(record) + b"}") == {
        "v": 1,
        "record": "anomaly",
        "id": "a-1",
        "time": "1970-01-01T00:00:00.000Z",
        "decision_id": "d-1",
        "org": 'ac"me',
        "actor": {"account": "service:ci", "type": "service", "chain": []},
        "credential": {"kind": "api_key", "id": "k1"},
        "kind": "network",
        "source": "192.0.2.7",
    }
