"""Records that the tests of the command line put into spools."""

from typing import Any

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.target import Kind
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import (
    Actor,
    ActorType,
    CompletionRecord,
    CredentialReference,
    DecisionRecord,
    Ending,
    ShadowVerdict,
)

NOON = UnixMillis(1_795_262_400_000)
"""2026-11-21T12:00:00Z."""


def decision_record(number: int, **given: Any) -> DecisionRecord:
    """Make the record of one decision, refused unless *given* says otherwise, *number* seconds after noon."""
    fields: dict[str, Any] = {
        "id": f"0193{number:04d}-0000-7000-8000-000000000000",
        "time": UnixMillis(NOON + 1000 * number),
        "org": "acme",
        "actor": Actor("user:ana", ActorType.USER, ()),
        "credential": CredentialReference(CredentialKind.SESSION, "s1"),
        "authority": Authority.WRITE,
        "primitive": None,
        "target": "p1@main:designs/a.json",
        "kind": Kind.PATH,
        "outcome": Outcome.DENY,
        "reason": Reason.NOT_GRANTED,
        "because": ("b2",),
        "remedy": Remedy.REQUEST_ELEVATION,
        "shadow": None,
        "revision": 1,
        "approval_id": None,
        "method": "PUT",
        "path": "/v1/orgs/acme/projects/p1/branches/main/files/designs/a.json",
        "route": "/v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}",
        "source": "10.0.0.9",
        "request_id": "r1",
        "trace_id": None,
        "decision_ns": 900,
    }
    return DecisionRecord(**{**fields, **given})


def divergence(number: int, **given: Any) -> DecisionRecord:
    """Make a record in which the candidate would have allowed."""
    return decision_record(number, shadow=ShadowVerdict(Outcome.ALLOW, Reason.GRANTED), **given)


def completion_record(number: int, decision_id: str) -> CompletionRecord:
    """Make a completion record, *number* seconds after noon."""
    record_id = f"0194{number:04d}-0000-7000-8000-000000000000"
    return CompletionRecord(
        record_id, UnixMillis(NOON + 1000 * number), decision_id, "acme", 200, 5, 7, 40, Ending.CLIENT_CLOSED, None
    )
