"""Questions as JSON."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidegate.control.question import QuestionError, read_question
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.principal import CredentialKind, Link, LinkDeny, Query, VerifiedCredential
from sidegate.core.model.target import Kind, parse_scope, parse_target
from sidegate.core.model.units import UnixMillis, parse_instant

NOW = UnixMillis(1_800_000_000_000)
PLAIN: dict[str, Any] = {"org": "acme", "account": "user:ana", "authority": "write", "target": "p1@main:designs/a.json"}

FULL: dict[str, Any] = {
    "id": 1,
    "org": "acme",
    "account": "user:ana",
    "authority": "write",
    "target": "p1@main:designs/a.json",
    "kind": "path",
    "subtree": True,
    "time": "2026-11-21T00:00:00Z",
    "mfa_age_s": 60,
    "surface": "mobile",
    "source": "10.0.0.9",
    "credential": {
        "kind": "api_key", "id": "4fQz", "org": "other", "authorities": ["read", "write"], "scopes": ["p1", "/skills"],
    },
    "chain": [
        {
            "id": "ag_1",
            "allow": ["write"],
            "scopes": ["p1@*:designs"],
            "deny": [{"authorities": ["delete"], "on": "*"}],
            "expires_at": "2026-12-01T00:00:00+01:00",
        },
        {"id": "ag_2"},
    ],
    "approved": True,
}  # fmt: skip


def test_a_whole_question_is_read_as_it_is_written() -> None:
    """Every member of spec 6.4 has its place in the query."""
    question = read_question(FULL, NOW)
    time = parse_instant("2026-11-21T00:00:00Z")
    assert (question.id, question.now) == (1, time)
    assert question.query == Query(
        VerifiedCredential(
            kind=CredentialKind.API_KEY,
            id="4fQz",
            account="user:ana",
            org="other",
            authorities=mask_of([Authority.READ, Authority.WRITE]),
            scopes=(parse_scope("p1"), parse_scope("/skills")),
            chain=(
                Link(
                    "ag_1",
                    mask_of([Authority.WRITE]),
                    (parse_scope("p1@*:designs"),),
                    (LinkDeny(mask_of([Authority.DELETE]), parse_scope("*")),),
                    parse_instant("2026-11-30T23:00:00Z"),
                ),
                Link("ag_2"),
            ),
            second_factor_at=UnixMillis(time - 60_000),
            surface="mobile",
        ),
        Authority.WRITE,
        parse_target("acme", "p1@main:designs/a.json", subtree=True),
        ip_address("10.0.0.9"),
        approved=True,
    )


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="missing"),
        pytest.param({name: None for name in FULL if name not in PLAIN}, id="null"),
    ],
)
def test_what_is_not_said_is_the_plainest_case(more: dict[str, Any]) -> None:
    """A session of the target's organization, on the web, from nowhere known, without second factor or approval."""
    question = read_question(PLAIN | more, NOW)
    credential = question.query.credential
    assert (question.id, question.now) == (None, NOW)
    assert (credential.kind, credential.org, credential.surface) == (CredentialKind.SESSION, "acme", "web")
    assert (credential.authorities, credential.scopes, credential.chain, credential.second_factor_at) == (
        None,
        None,
        (),
        None,
    )
    assert (question.query.source, question.query.approved, question.query.target.subtree) == (None, False, False)
    assert question.query.target.kind is Kind.PATH


def test_an_empty_list_is_a_restriction_and_null_is_none() -> None:
    """`[]` withholds everything; it must not be taken for "nothing said"."""
    question = read_question(PLAIN | {"credential": {"authorities": [], "scopes": []}}, NOW)
    assert (question.query.credential.authorities, question.query.credential.scopes) == (0, ())


def test_a_second_factor_of_age_zero_is_one() -> None:
    """0 seconds is now, not never."""
    assert read_question(PLAIN | {"mfa_age_s": 0}, NOW).query.credential.second_factor_at == NOW


@pytest.mark.parametrize(
    ("change", "key", "text"),
    [
        pytest.param({"org": None}, "org", "is missing", id="org-missing"),
        pytest.param({"org": "a b"}, "org", "is no name", id="org-no-name"),
        pytest.param({"account": "ana"}, "account", "write user:ID or service:ID", id="account-without-kind"),
        pytest.param({"account": "user:"}, "account", "write user:ID or service:ID", id="account-without-id"),
        pytest.param({"account": 7}, "account", "is a number", id="account-number"),
        pytest.param({"authority": "wirte"}, "authority", "write one of read, write", id="authority-unknown"),
        pytest.param({"authority": ["read"]}, "authority", "is a list", id="authority-list"),
        pytest.param({"target": "*"}, "target", "holds `*`", id="target-with-star"),
        pytest.param({"target": "p1@main:a/../b"}, "target", "`..`", id="target-with-dots"),
        pytest.param({"target": ""}, "target", "is no target", id="target-empty"),
        pytest.param({"kind": "branch"}, "kind", "is a path", id="kind-of-another-target"),
        pytest.param({"kind": "file"}, "kind", "write one of section", id="kind-unknown"),
        pytest.param({"subtree": "false"}, "subtree", "write true or false", id="flag-as-text"),
        pytest.param({"subtree": 0}, "subtree", "write true or false", id="flag-as-number"),
        pytest.param({"approved": {}}, "approved", "is an object", id="flag-as-object"),
        pytest.param({"time": "2026-11-21"}, "time", "write an instant", id="time-without-offset"),
        pytest.param({"time": 1}, "time", "is a number", id="time-number"),
        pytest.param({"time": "0001-01-01T00:00:00+23:59"}, "time", "write an instant", id="time-before-all"),
        pytest.param({"time": "9999-12-31T23:59:59-23:59"}, "time", "write an instant", id="time-after-all"),
        pytest.param({"time": "soon"}, "time", "write an instant", id="time-no-instant"),
        pytest.param({"mfa_age_s": -1}, "mfa_age_s", "write whole seconds", id="age-negative"),
        pytest.param({"mfa_age_s": 1.5}, "mfa_age_s", "write whole seconds", id="age-fraction"),
        pytest.param({"mfa_age_s": True}, "mfa_age_s", "write whole seconds", id="age-flag"),
        pytest.param({"mfa_age_s": 1 << 41}, "mfa_age_s", "write whole seconds", id="age-of-the-world"),
        pytest.param({"source": "10.0.0.256"}, "source", "write an address", id="source-no-address"),
        pytest.param({"source": "10.0.0.0/8"}, "source", "write an address", id="source-network"),
        pytest.param({"surface": ["web"]}, "surface", "write a string", id="surface-list"),
        pytest.param({"id": []}, "id", "write a string or a number", id="id-list"),
        pytest.param({"id": True}, "id", "write a string or a number", id="id-flag"),
        pytest.param({"credential": []}, "credential", "is no object", id="credential-list"),
        pytest.param({"credential": {"kind": "cookie"}}, "credential.kind", "session, api_key", id="credential-kind"),
        pytest.param({"credential": {"scope": ["p1"]}}, "credential.scope", "did you mean `scopes`", id="slip"),
        pytest.param({"credential": {"scopes": "p1"}}, "credential.scopes", "write a list", id="scopes-text"),
        pytest.param({"credential": {"scopes": ["p1@*"]}}, "credential.scopes", "is no scope", id="scope-misspelt"),
        pytest.param({"credential": {"authorities": ["x"]}}, "credential.authorities", "write one of", id="mask"),
        pytest.param({"chain": {}}, "chain", "write a list", id="chain-object"),
        pytest.param({"chain": ["ag_1"]}, "chain", "is no object", id="chain-of-names"),
        pytest.param({"chain": [{"id": "a"}, {}]}, "chain[1].id", "is missing", id="link-without-id"),
        pytest.param({"chain": [{"id": "a", "alow": []}]}, "chain[0].alow", "did you mean `allow`", id="link-slip"),
        pytest.param({"chain": [{"id": "a", "deny": [{"on": "*"}]}]}, "chain[0].deny[0].authorities", "", id="d"),
        pytest.param({"chain": [{}] * 1025}, "chain", "at most 1024", id="chain-too-long"),
        pytest.param({"orgs": "x"}, "orgs", "did you mean `org`", id="unknown-near"),
        pytest.param({"zzzzzz": 1}, "zzzzzz", "there are: ", id="unknown-far"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_name(change: dict[str, Any], key: str, text: str) -> None:
    """One problem, under the member's own name, with what to write instead."""
    with pytest.raises(QuestionError) as caught:
        read_question(PLAIN | change, NOW)
    assert [problem.key for problem in caught.value.problems] == [key]
    assert text in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_question_is_an_object(document: object) -> None:
    """Anything else is refused as a whole."""
    with pytest.raises(QuestionError, match="write one JSON object"):
        read_question(document, NOW)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """Nobody corrects a question one error at a time."""
    with pytest.raises(QuestionError) as caught:
        read_question({"account": "x", "chain": [{"expires_at": "soon"}], "time": 1}, NOW)
    assert [problem.key for problem in caught.value.problems] == [
        "org",
        "account",
        "authority",
        "target",
        "time",
        "chain[0].id",
        "chain[0].expires_at",
    ]


_NAMES = st.sampled_from([*FULL, "scopes", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_NAMES, _JSON))
def test_no_question_breaks_the_reader(change: dict[str, Any]) -> None:
    """Whatever is sent is read, or refused with at least one problem."""
    problems: tuple[object, ...] | None = None
    try:
        read_question(PLAIN | change, NOW)
    except QuestionError as error:
        problems = error.problems
    assert problems != ()
