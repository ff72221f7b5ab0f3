"""OpenID AuthZEN 1.0."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.audit.trail import AuditTrail
from sidegate.control.authzen import EVALUATION, EVALUATIONS, MAX_EVALUATIONS, METADATA, AuthZen, read_evaluation
from sidegate.control.question import QuestionError, read_question
from sidegate.control.recorded import RecordedDecider
from sidegate.core.model.units import UnixMillis
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.metrics import Metrics

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]
Records = Callable[[], list[dict[str, object]]]

NOW = UnixMillis(1_800_000_000_000)

ANA = {"type": "user", "id": "ana"}
WRITE = {"name": "write"}
ON_MAIN = {"type": "branch", "id": "p1@main", "properties": {"organization": "acme"}}
ON_X = {"type": "branch", "id": "p1@x", "properties": {"organization": "acme"}}
ALLOWED: dict[str, Any] = {"subject": ANA, "action": WRITE, "resource": ON_X}
DENIED: dict[str, Any] = {"subject": ANA, "action": WRITE, "resource": ON_MAIN}


@pytest.fixture
async def client(
    serve: Serve, holder: SnapshotHolder, trail: AuditTrail, metrics: Metrics, clock: ManualClock
) -> Client:
    """A decision point over the policy of the tests."""
    return await serve(AuthZen(RecordedDecider(holder, trail, metrics, clock)))


IN_ACME = {"properties": {"organization": "acme"}}
BARE = {"type": "branch", "id": "p1@x"}


@pytest.mark.parametrize(
    ("subject", "resource", "target_org", "acting_org"),
    [
        pytest.param(ANA, BARE | {"properties": {"org": "acme"}}, "acme", "acme", id="short"),
        pytest.param(ANA | IN_ACME, BARE, "acme", "acme", id="of-the-subject-alone"),
        pytest.param(ANA | {"properties": {"org": "globex"}}, ON_X, "acme", "globex", id="of-both"),
        pytest.param(
            ANA | IN_ACME, BARE | {"properties": {"org": "acme", "organization": "acme"}}, "acme", "acme", id="alike"
        ),
    ],
)
def test_whose_organization(
    subject: dict[str, Any], resource: dict[str, Any], target_org: str, acting_org: str
) -> None:
    """The account acts in one and the target belongs to one; said of one of them it holds for both."""
    query = read_evaluation({"subject": subject, "action": WRITE, "resource": resource}, NOW).query
    assert (query.target.org, query.credential.org) == (target_org, acting_org)


@pytest.mark.parametrize(
    ("evaluation", "key"),
    [
        pytest.param(
            ALLOWED | {"resource": BARE | {"properties": {"org": "acme", "organization": "globex"}}},
            "resource.properties.org",
            id="two-names-differ",
        ),
        pytest.param(
            ALLOWED | {"subject": ANA | {"properties": {"organisation": "acme"}}},
            "subject.properties.organisation",
            id="misspelt",
        ),
    ],
)
def test_organization_in_two_ways(evaluation: dict[str, Any], key: str) -> None:
    """What could be meant in two ways is refused, under its name."""
    with pytest.raises(QuestionError) as caught:
        read_evaluation(evaluation, NOW)
    assert [problem.key for problem in caught.value.problems] == [key]


def test_an_evaluation_is_the_question_in_other_words() -> None:
    """Everything that counts in a decision can be said."""
    evaluation = {
        "subject": {"type": "service", "id": "ci", "properties": {"department": "sales"}},
        "action": {"name": "read"},
        "resource": {"type": "path", "id": "p1@x:a", "properties": {"organization": "acme", "subtree": True}},
        "context": {
            "surface": "mobile",
            "mfa_age_s": 5,
            "source": "10.0.0.9",
            "credential": {"kind": "api_key", "id": "k1", "scopes": ["p1"]},
            "chain": [{"id": "ag_1"}],
            "weather": "fine",
        },
    }
    question = {
        "org": "acme",
        "account": "service:ci",
        "authority": "read",
        "target": "p1@x:a",
        "kind": "path",
        "subtree": True,
        "surface": "mobile",
        "mfa_age_s": 5,
        "source": "10.0.0.9",
        "credential": {"kind": "api_key", "id": "k1", "scopes": ["p1"]},
        "chain": [{"id": "ag_1"}],
    }
    assert read_evaluation(evaluation, NOW) == read_question(question, NOW)


@pytest.mark.parametrize(
    ("name", "authority", "subtree"),
    [
        ("Read", "read", False),
        ("Edit", "write", False),
        ("Glob", "read", True),
        ("Grep", "read", True),
        ("run", "run", False),
    ],
)
def test_an_action_is_an_authority_or_a_primitive(name: str, authority: str, subtree: bool) -> None:
    """A primitive asks for its authority; some always ask for a subtree (spec 1.6)."""
    query = read_evaluation(DENIED | {"action": {"name": name}}, NOW).query
    assert (query.authority.value, query.target.subtree) == (authority, subtree)


def test_a_glob_cannot_be_talked_out_of_its_subtree() -> None:
    """`subtree: false` beside it changes nothing."""
    resource = ON_X | {"properties": {"organization": "acme", "subtree": False}}
    assert read_evaluation(DENIED | {"action": {"name": "Glob"}, "resource": resource}, NOW).query.target.subtree


def test_nobody_brings_an_approval_or_a_time() -> None:
    """What a caller says about either is not asked for."""
    question = read_evaluation(DENIED | {"context": {"approved": True, "time": "2020-01-01T00:00:00Z"}}, NOW)
    assert (question.query.approved, question.now) == (False, NOW)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        pytest.param({"subject": None}, "subject", id="no-subject"),
        pytest.param({"subject": []}, "subject", id="subject-list"),
        pytest.param({"subject": {"type": "group", "id": "x"}}, "subject", id="subject-of-another-type"),
        pytest.param({"subject": {"type": "user"}}, "subject", id="subject-without-id"),
        pytest.param({"action": None}, "action.name", id="no-action"),
        pytest.param({"action": {"name": "fly"}}, "action.name", id="action-unknown"),
        pytest.param({"action": {"name": ["read"]}}, "action.name", id="action-list"),
        pytest.param({"resource": {"type": "branch", "id": "p1@x"}}, "resource.properties.organization", id="no-org"),
        pytest.param({"resource": ON_X | {"id": "*"}}, "resource.id", id="target-with-star"),
        pytest.param({"resource": ON_X | {"type": "path"}}, "resource.type", id="kind-of-another-target"),
        pytest.param({"resource": ON_X | {"properties": []}}, "resource.properties", id="properties-list"),
        pytest.param(
            {"resource": ON_X | {"properties": {"organization": "acme", "subtre": True}}},
            "resource.properties.subtre",
            id="slip-in-properties",
        ),
        pytest.param({"context": {"chian": []}}, "context.chian", id="slip-in-context"),
        pytest.param({"context": {"source": "x"}}, "context.source", id="source-no-address"),
        pytest.param({"context": {"chain": [{}]}}, "context.chain[0].id", id="link-without-id"),
        pytest.param({"context": {"credential": {"scope": []}}}, "context.credential.scope", id="slip-in-credential"),
        pytest.param({"context": {"credential": []}}, "context.credential", id="credential-list"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_authzen(change: dict[str, Any], key: str) -> None:
    """And a slip of the pen never loses a restriction."""
    with pytest.raises(QuestionError) as caught:
        read_evaluation(DENIED | change, NOW)
    assert [problem.key for problem in caught.value.problems] == [key]


@pytest.mark.parametrize("document", [None, [], "x"])
def test_an_evaluation_is_an_object(document: object) -> None:
    """Anything else is refused."""
    with pytest.raises(QuestionError, match="write one JSON object"):
        read_evaluation(document, NOW)


async def test_an_evaluation_is_decided_and_recorded(client: Client, records: Records) -> None:
    """The answer cites its record."""
    body = await (await client.post(EVALUATION, json=DENIED)).json()
    (record,) = records()
    assert body == {
        "decision": False,
        "context": {
            "reason": "not_granted",
            "remedy": "request_elevation",
            "because": ["b2"],
            "decision_id": record["id"],
        },
    }
    assert record["credential"] == {"kind": "session", "id": "authzen"}
    assert (await (await client.post(EVALUATION, json=ALLOWED)).json())["decision"] is True


async def test_a_bad_evaluation_is_a_400_and_no_record(client: Client, records: Records) -> None:
    """Nothing was asked, nothing was decided."""
    for path in (EVALUATION, EVALUATIONS):
        response = await client.post(path, json=DENIED | {"subject": {}})
        body = await response.json(content_type=None)
        assert (response.status, body["errors"][0]["key"]) == (400, "subject")
    assert records() == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [True, False, True], id="default"),
        pytest.param({"options": {}}, [True, False, True], id="no-choice"),
        pytest.param({"options": {"evaluations_semantic": "execute_all"}}, [True, False, True], id="all"),
        pytest.param({"options": {"evaluations_semantic": "deny_on_first_deny"}}, [True, False], id="first-deny"),
        pytest.param({"options": {"evaluations_semantic": "permit_on_first_permit"}}, [True], id="first-permit"),
    ],
)
async def test_several_are_answered_in_order_as_far_as_asked(
    client: Client, records: Records, options: dict[str, Any], expected: list[bool]
) -> None:
    """Defaults stand at the top; each that was decided is recorded, and none that was not."""
    document = {
        "subject": ANA,
        "action": WRITE,
        "evaluations": [{"resource": ON_X}, {"resource": ON_MAIN}, {"resource": ON_MAIN, "action": {"name": "read"}}],
    }
    body = await (await client.post(EVALUATIONS, json=document | options)).json()
    assert expected == [answer["decision"] for answer in body["evaluations"]]
    assert len(records()) == len(expected)


async def test_one_bad_evaluation_among_several_is_denied(client: Client, records: Records) -> None:
    """The others are answered; the bad one says what is wrong, and is not recorded."""
    document = {**ALLOWED, "evaluations": [{}, {"action": {"name": "fly"}}, 7]}
    body = await (await client.post(EVALUATIONS, json=document)).json()
    assert [answer["decision"] for answer in body["evaluations"]] == [True, False, False]
    assert body["evaluations"][1]["context"]["error"]["status"] == 400
    assert "action.name" in body["evaluations"][1]["context"]["error"]["message"]
    assert len(records()) == 1


async def test_a_given_part_replaces_its_default_as_a_whole(client: Client) -> None:
    """Nothing of the default's inside is merged in: no organization, no answer."""
    document = {**ALLOWED, "evaluations": [{"resource": {"type": "branch", "id": "p1@x"}}]}
    body = await (await client.post(EVALUATIONS, json=document)).json()
    assert body["evaluations"][0]["decision"] is False
    assert "organization" in body["evaluations"][0]["context"]["error"]["message"]


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_without_a_list_it_is_one_evaluation(client: Client, more: dict[str, Any]) -> None:
    """As the standard has it."""
    body = await (await client.post(EVALUATIONS, json=ALLOWED | more)).json()
    assert body["decision"] is True


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"evaluations": {"a": 1}}, id="no-list"),
        pytest.param({"evaluations": [{}] * (MAX_EVALUATIONS + 1)}, id="too-many"),
        pytest.param({"evaluations": [{}], "options": []}, id="options-list"),
        pytest.param({"evaluations": [{}], "options": {"evaluations_semantic": "any"}}, id="semantic-unknown"),
        pytest.param({"evaluations": [{}], "options": {"evaluations_semantic": 1}}, id="semantic-number"),
    ],
)
async def test_a_list_that_cannot_be_read_is_refused_whole(
    client: Client, records: Records, more: dict[str, Any]
) -> None:
    """400, and nothing of it was decided."""
    response = await client.post(EVALUATIONS, json=ALLOWED | more)
    assert (response.status, records()) == (400, [])


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        pytest.param("bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716", id="plain"),
        pytest.param("x" * 129, None, id="too-long"),
        pytest.param("ä", None, id="not-ascii"),
        pytest.param(None, None, id="none"),
    ],
)
async def test_the_request_id_is_handed_back_and_recorded(
    client: Client, records: Records, sent: str | None, returned: str | None
) -> None:
    """One that can be repeated as it came."""
    response = await client.post(EVALUATION, json=ALLOWED, headers={} if sent is None else {"X-Request-ID": sent})
    assert returned == response.headers.get("X-Request-ID")
    assert returned == records()[0]["request_id"]


async def test_the_metadata_name_the_routes(client: Client) -> None:
    """Under the name that the client used, which the guard has checked."""
    body = await (await client.get(METADATA, headers={"Host": "localhost:9090"})).json()
    assert body == {
        "policy_decision_point": "http://localhost:9090",
        "access_evaluation_endpoint": "http://localhost:9090/access/v1/evaluation",
        "access_evaluations_endpoint": "http://localhost:9090/access/v1/evaluations",
    }
