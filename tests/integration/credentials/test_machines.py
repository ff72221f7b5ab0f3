"""API keys and service accounts: told before they expire, watched for what is unusual (spec 3.2, 3.4)."""

import json
import os

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ACME, ROUTE_FILE
from tests.integration.waiting import eventually

from sidegate.core.identity.api_key import RANDOM_BYTES
from sidegate.core.model.units import Millis
from sidegate.credentials.minting import KeyRequest, mint
from sidegate.telemetry import clock

DAY = 24 * 60 * 60 * 1000
FORBIDDEN = "/v1/orgs/globex/projects/g1/branches/x/files/a.json"


def key_for(days: int) -> tuple[str, str, str]:
    """Return a key that lives so many days, when it expires, and acme's policy with it."""
    request = KeyRequest("acme", "service:ci", lifetime=Millis(days * DAY))
    minted = mint(request, os.urandom(RANDOM_BYTES), clock.now())
    record = minted["record"]
    assert isinstance(record, dict)
    return str(minted["key"]), record["expires_at"], f"{ACME}keys:\n  - {json.dumps(record)}\n"


@pytest.mark.parametrize(("days", "told"), [pytest.param(29, True, id="soon"), pytest.param(31, False, id="later")])
def test_expiry_is_told(make_sidecar: MakeSidecar, days: int, told: bool) -> None:
    """Thirty days before a key expires every response says when, the refused ones too, and a metric counts it."""
    clear, expires_at, policy = key_for(days)
    sidecar = make_sidecar(policies={"acme": policy}).start()
    answers = [
        sidecar.ask("GET", ROUTE_FILE, who=clear),
        sidecar.ask("GET", FORBIDDEN, who=clear),
        sidecar.ask("GET", "/nowhere", who=clear),
        sidecar.ask("GET", ROUTE_FILE, who="ana"),
    ]
    assert [answer.status for answer in answers] == [200, 403, 403, 200]
    expected = expires_at if told else None
    assert [answer.field("X-Sidegate-Key-Expires") for answer in answers] == [expected] * 3 + [None]
    assert sidecar.metric("sidegate_key_expiry_warnings_total") == 3.0 * told


@pytest.mark.parametrize(
    ("on_anomaly", "afterwards"), [pytest.param("report", 200, id="report"), pytest.param("deny", 403, id="deny")]
)
def test_denials_are_an_anomaly(make_sidecar: MakeSidecar, on_anomaly: str, afterwards: int) -> None:
    """A burst of denials is recorded and counted once; it refuses only where it is configured to (spec 3.4)."""
    clear, _, policy = key_for(90)
    settings = {"anomalies": {"denials": 3, "on_anomaly": on_anomaly}}
    sidecar = make_sidecar(policies={"acme": policy}, settings=settings).start()
    denied = [sidecar.ask("GET", FORBIDDEN, who=clear).status for _ in range(6)]
    answer = sidecar.ask("GET", ROUTE_FILE, who=clear)
    assert (denied, answer.status) == ([403] * 6, afterwards)
    anomalies = eventually(
        lambda: [line for line in sidecar.lines() if line["record"] == "anomaly"], "the anomaly is recorded"
    )
    (anomaly,) = anomalies
    shown_by = sidecar.decision(anomaly["decision_id"])
    assert (anomaly["kind"], anomaly["org"], anomaly["credential"]) == ("denials", "acme", shown_by["credential"])
    assert (shown_by["outcome"], anomaly["source"]) == ("deny", "127.0.0.1")
    assert sidecar.metric("sidegate_anomalies_total", kind="denials") == 1.0
    if on_anomaly == "deny":
        assert (answer.reason, sidecar.decisions()[-1]["because"]) == ("denied_by_rule", ["anomaly:denials"])
    assert sidecar.ask("GET", ROUTE_FILE, who="ana").status == 200
    verified = sidecar.run("audit", "verify", str(sidecar.spool))
    assert verified.returncode == 0, verified.stderr + verified.stdout


def test_refusals_before_policy_are_denials(make_sidecar: MakeSidecar) -> None:
    """A burst of requests with a key that is refused before policy is asked is an anomaly too (spec 3.4)."""
    cases: tuple[tuple[dict[str, object], str, str], ...] = (
        ({"networks": ["10.0.0.0/8"]}, ROUTE_FILE, "source_address"),
        ({"state": "revoked"}, ROUTE_FILE, "key_revoked"),
        ({}, "/nowhere", "unmapped_route"),
    )
    clear_keys, entries = [], []
    for change, _, _ in cases:
        clear, _, policy = key_for(90)
        clear_keys.append(clear)
        entries.append({**json.loads(policy.rpartition("  - ")[2]), **change})
    listed = "".join(f"  - {json.dumps(entry)}\n" for entry in entries)
    sidecar = make_sidecar(policies={"acme": f"{ACME}keys:\n{listed}"}, settings={"anomalies": {"denials": 3}}).start()
    for clear, (_, path, reason) in zip(clear_keys, cases, strict=True):
        assert {sidecar.ask("GET", path, who=clear).reason for _ in range(6)} == {reason}
    anomalies = eventually(
        lambda: found if len(found := [line for line in sidecar.lines() if line["record"] == "anomaly"]) > 2 else None,
        "the anomalies are recorded",
    )
    assert [one["credential"]["id"] for one in anomalies] == [entry["id"] for entry in entries]
    assert {(one["kind"], one["org"], one["source"]) for one in anomalies} == {("denials", "acme", "127.0.0.1")}
    shown_by = [sidecar.decision(one["decision_id"])["reason"] for one in anomalies]
    assert shown_by == [reason for _, _, reason in cases]
    assert sidecar.metric("sidegate_anomalies_total", kind="denials") == 3.0
