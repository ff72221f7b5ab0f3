"""`/v1/explain` and `/v1/decisions/{id}`."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.control.explanations import Explanations, spool_finder
from sidegate.control.recorded import RecordedDecider
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.checkpoint import CheckpointSigner
from sidegate.core.trail.record import DecisionRecord
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.metrics import Metrics

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

WRITE_MAIN = {"org": "acme", "account": "user:ana", "authority": "write", "target": "p1@main:designs/a.json"}
UNKNOWN_ID = "01890a5d-ac96-7740-8000-000000000000"


@pytest.fixture
async def client(serve: Serve, holder: SnapshotHolder, clock: ManualClock) -> Client:
    """Explains; nothing was recorded."""
    return await serve(Explanations(holder, lambda _: None, clock))


async def test_a_question_is_answered_with_its_steps(client: Client) -> None:
    """The decision, each check up to the one that failed, and the entries with their places."""
    body = await (await client.post("/v1/explain", json=WRITE_MAIN | {"id": 5})).json()
    assert (body["id"], body["outcome"], body["reason"], body["because"], body["revision"]) == (
        5,
        "deny",
        "not_granted",
        ["b2"],
        7,
    )
    assert [(step["check"], step["result"]) for step in body["steps"]] == [
        ("organization", "passed"),
        ("membership", "passed"),
        ("denies", "passed"),
        ("ceiling", "passed"),
        ("grants", "failed"),
    ]
    assert body["steps"][-1]["considered"] == [
        {"entry": "b2", "authorities": ["read"], "decided": True, "position": "policy/acme.yaml:12:5"}
    ]
    assert body["hint"]
    assert body["shadow"] == {"outcome": "allow", "reason": "granted", "because": ["b2"], "remedy": "none"}


async def test_a_question_in_the_query_gets_the_same_answer(client: Client) -> None:
    """For a browser's address bar and for curl."""
    posted = await (await client.post("/v1/explain", json=WRITE_MAIN)).json()
    assert await (await client.get("/v1/explain", params=WRITE_MAIN)).json() == posted


async def test_numbers_and_flags_in_the_query_are_read_as_such(client: Client) -> None:
    """What JSON has types for is text there."""
    params = WRITE_MAIN | {
        "target": "p2@x",
        "source": "10.0.0.9",
        "subtree": "true",
        "mfa_age_s": "60",
        "approved": "false",
    }
    body = await (await client.get("/v1/explain", params=params)).json()
    assert (body["outcome"], body["steps"][-2]["check"]) == ("allow", "subtree")


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        pytest.param([("org", "acme"), ("org", "other")], "`org` stands in the query twice", id="twice"),
        pytest.param([*WRITE_MAIN.items(), ("subtree", "1")], "the question cannot be read", id="no-flag"),
        pytest.param([*WRITE_MAIN.items(), ("mfa_age_s", "-1")], "the question cannot be read", id="no-age"),
        pytest.param([*WRITE_MAIN.items(), ("mfa_age_s", "9" * 5000)], "the question cannot be read", id="huge-age"),
        pytest.param([*WRITE_MAIN.items(), ("chain", "[]")], "the question cannot be read", id="chain-as-text"),
        pytest.param([], "the question cannot be read", id="nothing"),
        pytest.param([("decision_id", UNKNOWN_ID), ("org", "a")], "`decision_id` stands beside a question", id="both"),
        pytest.param([("decision_id", "1")], "this is no decision id", id="no-id"),
        pytest.param([("decision_id", UNKNOWN_ID.upper())], "this is no decision id", id="id-in-upper-case"),
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_read_is_refused(
    client: Client, params: list[tuple[str, str]], detail: str
) -> None:
    """400 with what is wrong."""
    response = await client.get("/v1/explain", params=params)
    assert (response.status, (await response.json(content_type=None))["detail"]) == (400, detail)


async def test_every_problem_of_a_question_is_listed(client: Client) -> None:
    """With the names of the members."""
    response = await client.post("/v1/explain", json={"org": "acme", "acount": "user:ana", "authority": "x"})
    body = await response.json(content_type=None)
    assert [error["key"] for error in body["errors"]] == ["account", "authority", "target", "acount"]


async def test_a_candidate_that_breaks_is_shown_as_such(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock
) -> None:
    """The enforced answer stands; what broke is said beside it."""
    # A compiled form that was broken behind the engine's back.
    candidate = holder.current.organizations["acme"].candidate
    assert candidate is not None
    del candidate.header.roles
    client = await serve(Explanations(holder, lambda _: None, clock))
    body = await (await client.post("/v1/explain", json=WRITE_MAIN)).json()
    assert body["outcome"] == "deny"
    assert body["shadow"].keys() == {"error"}
    assert body["shadow"]["error"].startswith("AttributeError: ")


@pytest.fixture
async def spool(tmp_path: Path, holder: SnapshotHolder, clock: ManualClock) -> tuple[Path, str]:
    """A spool on the disk with one decision in it, and the id of that."""
    trail = AuditTrail(
        TrailSettings(tmp_path, "s1", SpoolLimits()), CheckpointSigner(Ed25519PrivateKey.generate()), clock
    )
    trail.open()
    credential = VerifiedCredential(CredentialKind.SESSION, "s", "user:ana", "acme")
    query = Query(credential, Authority.WRITE, parse_target("acme", "p1@main:designs/a.json"))
    decider = RecordedDecider(holder, trail, Metrics(), clock)
    recorded = await decider.decide(query, clock.now(), route="/x", request_id="r1")
    await trail.close()
    return tmp_path, recorded.decision_id


async def test_a_recorded_decision_is_explained(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock, spool: tuple[Path, str]
) -> None:
    """What was decided, where the entries stand that decided it, and the steps that lead there."""
    client = await serve(Explanations(holder, spool_finder(spool[0]), clock))
    for response in (
        await client.get("/v1/explain", params={"decision_id": spool[1]}),
        await client.post("/v1/explain", json={"decision_id": spool[1]}),
    ):
        body = await response.json()
        assert (body["decision_id"], body["outcome"], body["reason"]) == (spool[1], "deny", "not_granted")
        assert body["cited"] == [{"entry": "b2", "position": "policy/acme.yaml:12:5"}]
        assert (body["steps"][-1]["check"], body["revision_in_force"]) == ("grants", 7)
        assert body["assumed"] == {"surface": "web", "second_factor": False, "subtree": False}
        assert body["record"]["request_id"] == "r1"


async def test_after_a_change_of_policy_the_record_stands_without_steps(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock, spool: tuple[Path, str]
) -> None:
    """The note says why, and what to do."""
    document = PolicyDocument(organization="acme")
    holder.swap(Snapshot(8, [compile_document(document, 8)]), clock.now())
    client = await serve(Explanations(holder, spool_finder(spool[0]), clock))
    body = await (await client.get("/v1/explain", params={"decision_id": spool[1]})).json()
    assert (body["reason"], body["steps"], body["assumed"], body["revision_in_force"]) == ("not_granted", None, None, 8)
    assert "the policy has changed since" in body["note"]
    assert body["cited"] == [{"entry": "b2", "position": None}]


async def test_what_the_record_does_not_hold_is_not_made_up(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock, spool: tuple[Path, str]
) -> None:
    """The same revision, but another decision: perhaps the credential was restricted."""
    document = PolicyDocument(organization="acme")
    holder.swap(Snapshot(8, [compile_document(document, 7)]), clock.now())
    client = await serve(Explanations(holder, spool_finder(spool[0]), clock))
    body = await (await client.get("/v1/explain", params={"decision_id": spool[1]})).json()
    assert body["steps"] is None
    assert "does not hold all that the credential proved" in body["note"]


async def test_the_record_of_a_decision_is_answered_as_it_is(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock, spool: tuple[Path, str]
) -> None:
    """Member for member what is in the spool, but for the chain's own."""
    client = await serve(Explanations(holder, spool_finder(spool[0]), clock))
    body = await (await client.get(f"/v1/decisions/{spool[1]}")).json()
    lines = [
        json.loads(line)
        for file in (spool[0] / "s1").glob("*")
        for line in file.read_bytes().splitlines()
        if line.startswith(b"{")
    ]
    (line,) = [line for line in lines if line.get("id") == spool[1]]
    assert body == {name: member for name, member in line.items() if name not in {"v", "record", "hash"}}
    assert body["shadow"] == {"outcome": "allow", "reason": "granted"}


async def test_a_refusal_before_any_decision_has_a_record_too(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock
) -> None:
    """Nobody was proven, so there is nothing to put again; what is known is shown."""
    refused = DecisionRecord(
        id=UNKNOWN_ID,
        time=clock.now(),
        org=None,
        actor=None,
        credential=None,
        authority=None,
        primitive=None,
        target=None,
        kind=None,
        outcome=Outcome.DENY,
        reason=Reason.NO_CREDENTIAL,
        because=(),
        remedy=Remedy.AUTHENTICATE,
        shadow=None,
        revision=None,
        approval_id=None,
        method="GET",
        path="/v1/orgs",
        route=None,
        source="10.0.0.9",
        request_id=None,
        trace_id=None,
        decision_ns=None,
    )
    client = await serve(Explanations(holder, lambda _: refused, clock))
    body = await (await client.get("/v1/explain", params={"decision_id": UNKNOWN_ID})).json()
    assert (body["reason"], body["steps"], body["cited"], body["revision_in_force"]) == (
        "no_credential",
        None,
        [],
        None,
    )
    assert body["note"] == "the request was refused before it was put to the policy"
    assert [body["record"][name] for name in ("actor", "credential", "shadow", "method")] == [None, None, None, "GET"]


@pytest.mark.parametrize("path", [f"/v1/decisions/{UNKNOWN_ID}", f"/v1/explain?decision_id={UNKNOWN_ID}"])
async def test_an_unknown_decision_says_where_to_look(client: Client, path: str) -> None:
    """404; it may have been shipped."""
    response = await client.get(path)
    assert response.status == 404
    assert "sidegate audit query" in (await response.json(content_type=None))["hint"]


async def test_a_record_that_cannot_be_read_is_no_mystery(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock
) -> None:
    """500, and the command that finds out more."""

    def find(_decision_id: str) -> DecisionRecord | None:
        raise IntegrityError("line 3 is no record")

    client = await serve(Explanations(holder, find, clock))
    response = await client.get(f"/v1/decisions/{UNKNOWN_ID}")
    body = await response.json(content_type=None)
    assert (response.status, body["detail"]) == (500, "the record cannot be read: line 3 is no record")
    assert "audit verify" in body["hint"]


@pytest.mark.parametrize("decision_id", [UNKNOWN_ID, "x"])
def test_without_a_spool_nothing_is_found(tmp_path: Path, decision_id: str) -> None:
    """Before the first record, or with everything in memory."""
    assert spool_finder(tmp_path / "none")(decision_id) is None


async def test_an_id_that_is_not_in_the_spool_is_not_found(spool: tuple[Path, str]) -> None:
    """Only the very id."""
    other = spool[1][:-1] + ("0" if spool[1][-1] != "0" else "1")
    assert spool_finder(spool[0])(other) is None
