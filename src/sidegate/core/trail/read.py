"""Records read back from their lines."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.target import Kind
from sidegate.core.model.units import parse_instant
from sidegate.core.trail.record import (
    SCHEMA_VERSION,
    Actor,
    ActorType,
    CompletionRecord,
    CredentialReference,
    DecisionRecord,
    Ending,
    ShadowVerdict,
)

Members = Mapping[str, Any]
"""A line as JSON has it."""

_HINT: Final = "run `sidegate audit verify`"


def read_members(line: bytes) -> Members:
    """Read *line* as a JSON object of a version that is known.

    Raises:
        IntegrityError: It is none.
    """
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise IntegrityError(f"a line of the audit trail is not JSON; {_HINT}") from None
    if not isinstance(members, dict):
        raise IntegrityError(f"a line of the audit trail is no JSON object; {_HINT}")
    if members.get("v") != SCHEMA_VERSION:
        raise IntegrityError(
            f"a line of the audit trail has version {members.get('v')!r}, this sidegate reads {SCHEMA_VERSION};"
            " read it with the version that wrote it, or a later one"
        )
    return members


def decision_of(members: Members) -> DecisionRecord:
    """Read a decision record.

    Raises:
        IntegrityError: A member is missing or has no such value.
    """
    try:
        actor, credential, shadow = members["actor"], members["credential"], members["shadow"]
        return DecisionRecord(
            id=members["id"],
            time=parse_instant(members["time"]),
            org=members["org"],
            actor=None if actor is None else Actor(actor["account"], ActorType(actor["type"]), tuple(actor["chain"])),
            credential=None
            if credential is None
            else CredentialReference(CredentialKind(credential["kind"]), credential["id"]),
            authority=None if members["authority"] is None else Authority(members["authority"]),
            primitive=None if members["primitive"] is None else Primitive(members["primitive"]),
            target=members["target"],
            kind=None if members["kind"] is None else Kind(members["kind"]),
            outcome=Outcome(members["outcome"]),
            reason=Reason(members["reason"]),
            because=tuple(members["because"]),
            remedy=Remedy(members["remedy"]),
            shadow=None if shadow is None else ShadowVerdict(Outcome(shadow["outcome"]), Reason(shadow["reason"])),
            revision=members["revision"],
            approval_id=members["approval_id"],
            method=members["method"],
            path=members["path"],
            route=members["route"],
            source=members["source"],
            request_id=members["request_id"],
            trace_id=members["trace_id"],
            decision_ns=members["decision_ns"],
            sidecar=members["sidecar"],
            seq=members["seq"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"a decision record cannot be read ({error!r}); {_HINT}") from None


def completion_of(members: Members) -> CompletionRecord:
    """Read a completion record.

    Raises:
        IntegrityError: A member is missing or has no such value.
    """
    try:
        return CompletionRecord(
            id=members["id"],
            time=parse_instant(members["time"]),
            decision_id=members["decision_id"],
            org=members["org"],
            status=members["status"],
            bytes_in=members["bytes_in"],
            bytes_out=members["bytes_out"],
            duration_ms=members["duration_ms"],
            ended=Ending(members["ended"]),
            reason=None if members["reason"] is None else Reason(members["reason"]),
            sidecar=members["sidecar"],
            seq=members["seq"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"a completion record cannot be read ({error!r}); {_HINT}") from None
