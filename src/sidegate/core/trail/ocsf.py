"""Decision records as OCSF events: class 6003, API Activity, of schema 1.3.0 (spec 5.8; schema.ocsf.io/1.3.0).

A decision is about one operation on an API, by somebody, on something: that is what API Activity says, allowed or not.
Authorize Session (3003) tells that a session was given rights, User Access Management (3005) that rights were changed:
neither is what happens here. Completion records say how a transfer went; they have no class and are left out.

What OCSF has no attribute for is under ``unmapped``, so that nothing of a record is lost; the line's hash too.
"""

from collections.abc import Mapping
from typing import Any, Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import parse_instant
from sidegate.core.trail.read import Members

OCSF_VERSION: Final = "1.3.0"
_CATEGORY_UID: Final = 6
_CLASS_UID: Final = 6003
_TYPES_PER_CLASS: Final = 100
_UNKNOWN: Final = 0
_OTHER: Final = 99
_INFORMATIONAL: Final = 1
_SUCCESS: Final = 1
_FAILURE: Final = 2

_ACTIVITIES: Final[Mapping[str, tuple[int, str]]] = {
    Authority.READ: (2, "Read"),
    Authority.WRITE: (3, "Update"),
    Authority.DELETE: (4, "Delete"),
}
"""The others are no create, read, update or delete: they are ``Other`` (99) under their own name."""
_USER_TYPES: Final[Mapping[str, tuple[int, str]]] = {"user": (1, "User"), "service": (4, "Service")}
_UNMAPPED: Final = (
    *(
        "primitive",
        "kind",
        "because",
        "remedy",
        "shadow",
        "approval_id",
        "route",
        "decision_ns",
        "sidecar",
        "seq",
        "hash",
    ),
    "revision",
)


def ocsf_event(members: Members, product_version: str) -> dict[str, Any]:
    """Return the decision record with *members* as an event.

    Args:
        members: Of a decision record.
        product_version: Of Sidegate.

    Raises:
        IntegrityError: Its time is no instant.
    """
    activity_id, activity = _activity(members.get("authority"))
    is_allowed = members.get("outcome") == Outcome.ALLOW
    event = {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": _CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": _CLASS_UID,
        "class_name": "API Activity",
        "type_uid": _CLASS_UID * _TYPES_PER_CLASS + activity_id,
        "severity_id": _INFORMATIONAL,
        "time": _time(members),
        "status_id": _SUCCESS if is_allowed else _FAILURE,
        "status": "Success" if is_allowed else "Failure",
        "status_code": members.get("reason"),
        "metadata": {
            "version": OCSF_VERSION,
            "uid": members.get("id"),
            "correlation_uid": members.get("trace_id"),
            "log_name": "decisions",
            "log_provider": members.get("sidecar"),
            "sequence": members.get("seq"),
            "tenant_uid": members.get("org"),
            "product": {"name": "Sidegate", "vendor_name": "Sidegate", "version": product_version},
        },
        "actor": _actor(members),
        "api": _api(members),
        "src_endpoint": _source(members),
        "http_request": _http_request(members),
        "resources": _resources(members),
        "unmapped": {
            **{name: members[name] for name in _UNMAPPED if members.get(name) is not None},
            "chain": list((members.get("actor") or {}).get("chain") or ()),
        },
    }
    return _without_nothing(event)


def _activity(authority: object) -> tuple[int, str]:
    if authority is None:
        return _UNKNOWN, "Unknown"
    return _ACTIVITIES.get(str(authority), (_OTHER, str(authority)))


def _time(members: Members) -> int:
    try:
        return parse_instant(str(members.get("time")))
    except ValueError:
        raise IntegrityError("the time of a record is no instant; run `sidegate audit verify`") from None


def _actor(members: Members) -> dict[str, Any]:
    actor, credential = members.get("actor") or {}, members.get("credential") or {}
    account = actor.get("account")
    decision = {"decision": members.get("outcome"), "policy": _policy(members)}
    if account is None:
        # An actor names somebody or something: whoever it was, it came through the gate.
        return {"app_name": "unauthenticated", "authorizations": [decision]}
    type_id, kind = _USER_TYPES.get(str(account).partition(":")[0], (_UNKNOWN, "Unknown"))
    chain = actor.get("chain") or ()
    is_session = credential.get("kind") == "session"
    return {
        "user": {
            "uid": account,
            "type_id": type_id,
            "type": kind,
            "credential_uid": credential.get("id"),
            "org": {"uid": members.get("org")},
        },
        "session": {"uid": credential.get("id")} if is_session else None,
        # The agent that asked; those between it and the account are with the rest of the record.
        "app_uid": chain[-1] if chain else None,
        "authorizations": [decision],
    }


def _policy(members: Members) -> dict[str, Any] | None:
    revision = members.get("revision")
    if revision is None:
        return None
    return {"uid": members.get("org") or "none", "name": "organization policy", "version": str(revision)}


def _api(members: Members) -> dict[str, Any]:
    return {
        "operation": members.get("primitive") or members.get("authority") or members.get("method") or "unknown",
        "service": {"name": "DataStore"},
        "request": {"uid": members.get("request_id") or members.get("id")},
    }


def _source(members: Members) -> dict[str, Any]:
    # An endpoint has to be named; one that is not known is, as such.
    source = members.get("source")
    return {"ip": source} if source is not None else {"name": "unknown"}


def _http_request(members: Members) -> dict[str, Any] | None:
    if members.get("method") is None:
        return None
    return {
        "http_method": members.get("method"),
        "uid": members.get("request_id"),
        "url": {"path": members.get("path")} if members.get("path") is not None else None,
    }


def _resources(members: Members) -> list[dict[str, Any]] | None:
    target = members.get("target")
    if target is None:
        return None
    return [
        {
            "uid": target,
            "name": target,
            "type": members.get("kind"),
            "namespace": members.get("org"),
        }
    ]


def _without_nothing(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None: an attribute that is not there is the way to say so."""
    return {
        name: _without_nothing(inner) if isinstance(inner, dict) else inner
        for name, inner in event.items()
        if inner is not None
    }
