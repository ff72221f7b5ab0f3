"""Tests of decision records as OCSF events."""

from typing import Any

import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import IntegrityError
from sidegate.core.trail.ocsf import ocsf_event

_RECORD: dict[str, Any] = {
    "v": 1,
    "record": "decision",
    "id": "019ad735-ab11-79f5-bdca-55429a74b174",
    "time": "2026-12-01T00:00:00.250Z",
    "org": "acme",
    "actor": {"account": "user:ana", "type": "agent", "chain": ["agent:1", "agent:2"]},
    "credential": {"kind": "session", "id": "s1"},
    "authority": "write",
    "primitive": "Edit",
    "target": "p1@main:a",
    "kind": "path",
    "outcome": "deny",
    "reason": "not_granted",
    "because": ["b1"],
    "remedy": "none",
    "shadow": None,
    "revision": 7,
    "approval_id": None,
    "method": "POST",
    "path": "/v1/a",
    "route": "/v1/{path*}",
    "source": "10.0.0.1",
    "request_id": "r1",
    "trace_id": "t1",
    "decision_ns": 900,
    "sidecar": "host-w0",
    "seq": 3,
    "hash": "ab",
}
_NOTHING_KNOWN: dict[str, Any] = {
    **dict.fromkeys(_RECORD, None),
    "id": _RECORD["id"],
    "time": _RECORD["time"],
    "outcome": "deny",
    "reason": "malformed_request",
}

# Required attributes and "at least one" constraints of class api_activity and of the objects in it (OCSF 1.3.0,
# schema.ocsf.io/1.3.0/classes/api_activity). The types are those of the dictionary.
_REQUIRED: dict[str, dict[str, type]] = {
    "": {
        **dict.fromkeys(("activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid"), int),
        **dict.fromkeys(("metadata", "actor", "api", "src_endpoint"), dict),
    },
    "metadata": {"version": str, "product": dict},
    "metadata.product": {"vendor_name": str},
    "api": {"operation": str},
    "api.request": {"uid": str},
}
_AT_LEAST_ONE: dict[str, set[str]] = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    "actor.user": {"account", "name", "uid"},
    "actor.user.org": {"name", "uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"},
    "metadata.product": {"name", "uid"},
    "http_request.url": {"url_string", "path"},
}


def _at(event: dict[str, Any], path: str) -> dict[str, Any] | None:
    found: Any = event
    for name in filter(None, path.split(".")):
        found = found.get(name)
        if found is None:
            return None
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("record", [_RECORD, _NOTHING_KNOWN], ids=["everything-known", "nothing-known"])
def test_event_has_what_its_class_requires(record: dict[str, Any]) -> None:
    """Also for a request that was refused before anything was known of it."""
    event = ocsf_event(record, "1.2")
    for path, required in _REQUIRED.items():
        held = _at(event, path)
        assert held is not None
        assert {name: type(held.get(name)) for name in required} == required
    for path, names in _AT_LEAST_ONE.items():
        held = _at(event, path)
        assert held is None or names & held.keys(), path
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["class_uid"] // 1000 == event["category_uid"]


def test_record_becomes_an_event() -> None:
    """Who, what, on what, from where, and how it was answered; the rest is not lost."""
    assert ocsf_event(_RECORD, "1.2") == {
        "activity_id": 3,
        "activity_name": "Update",
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": 6003,
        "class_name": "API Activity",
        "type_uid": 600303,
        "severity_id": 1,
        "time": 1_796_083_200_250,
        "status_id": 2,
        "status": "Failure",
        "status_code": "not_granted",
        "metadata": {
            "version": "1.3.0",
            "uid": _RECORD["id"],
            "correlation_uid": "t1",
            "log_name": "decisions",
            "log_provider": "host-w0",
            "sequence": 3,
            "tenant_uid": "acme",
            "product": {"name": "Sidegate", "vendor_name": "Sidegate", "version": "1.2"},
        },
        "actor": {
            "user": {
                "uid": "user:ana",
                "type_id": 1,
                "type": "User",
                "credential_uid": "s1",
                "org": {"uid": "acme"},
            },
            "session": {"uid": "s1"},
            "app_uid": "agent:2",
            "authorizations": [
                {"decision": "deny", "policy": {"uid": "acme", "name": "organization policy", "version": "7"}}
            ],
        },
        "api": {"operation": "Edit", "service": {"name": "DataStore"}, "request": {"uid": "r1"}},
        "src_endpoint": {"ip": "10.0.0.1"},
        "http_request": {"http_method": "POST", "uid": "r1", "url": {"path": "/v1/a"}},
        "resources": [{"uid": "p1@main:a", "name": "p1@main:a", "type": "path", "namespace": "acme"}],
        "unmapped": {
            "primitive": "Edit",
            "kind": "path",
            "because": ["b1"],
            "remedy": "none",
            "route": "/v1/{path*}",
            "decision_ns": 900,
            "revision": 7,
            "sidecar": "host-w0",
            "seq": 3,
            "hash": "ab",
            "chain": ["agent:1", "agent:2"],
        },
    }


@pytest.mark.parametrize("authority", Authority)
def test_every_authority_is_an_activity(authority: Authority) -> None:
    """Those that are no create, read, update or delete go under their own name."""
    event = ocsf_event({**_RECORD, "authority": authority.value}, "1")
    known = {"read": (2, "Read"), "write": (3, "Update"), "delete": (4, "Delete")}
    assert (event["activity_id"], event["activity_name"]) == known.get(authority, (99, authority.value))


@pytest.mark.parametrize(
    ("account", "type_id"), [("user:ana", 1), ("service:ci", 4), ("other", 0)], ids=["user", "service", "other"]
)
def test_accounts_have_a_type(account: str, type_id: int) -> None:
    """As the schema counts them."""
    event = ocsf_event({**_RECORD, "actor": {"account": account, "chain": []}}, "1")
    assert event["actor"]["user"]["type_id"] == type_id


def test_record_without_a_time_is_refused() -> None:
    """An event has to say when."""
    with pytest.raises(IntegrityError, match="no instant"):
        ocsf_event({**_RECORD, "time": "soon"}, "1")
