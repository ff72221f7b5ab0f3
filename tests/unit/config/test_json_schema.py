# ruff: noqa: E501 - tables, one case to a line
"""The shipped JSON Schemas are those of the models, and refuse what the models refuse structurally."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sidegate.config.explain import validate
from sidegate.config.json_schema import MODELS, generate_schema, schema_text, shipped_schema
from sidegate.config.policy_file import read_policy
from sidegate.config.routes_file import read_routes
from sidegate.config.settings_model import Settings
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import ConfigError, PolicyError

POLICY = "organization: acme\n"
ROUTE = "- get: /v1/{org}/{project}\n  "
SETTINGS = "upstream: {url: http://h}\n"


@pytest.mark.parametrize("name", MODELS)
def test_shipped_schema_is_current(name: str) -> None:
    """The file in the package is what the models make; write ``schema_text`` into it after changing a model."""
    assert schema_text(name) == shipped_schema(name)


@pytest.mark.parametrize("name", MODELS)
def test_schema_is_one(name: str) -> None:
    """Each is a schema of the draft that it names."""
    Draft202012Validator.check_schema(generate_schema(MODELS[name]))


def described(schema: Any, path: str = "") -> list[str]:
    """List the properties without a description."""
    if not isinstance(schema, dict):
        return []
    found = [f"{path}.{name}" for name, inner in schema.get("properties", {}).items() if "description" not in inner]
    for name, inner in [*schema.get("properties", {}).items(), *schema.get("$defs", {}).items()]:
        found += described(inner, f"{path}.{name}")
    return found


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_described(name: str) -> None:
    """An editor can say what each key is for."""
    assert described(generate_schema(MODELS[name])) == []


def is_valid(name: str, text: str) -> bool:
    """Ask the schema."""
    data = read_tree(text.encode(), "f.yaml", 1 << 20).data
    return bool(Draft202012Validator(generate_schema(MODELS[name])).is_valid(data))


def is_read(name: str, text: str) -> bool:
    """Ask the reader."""
    try:
        match name:
            case "policy":
                read_policy(text.encode(), "acme.yaml")
            case "routes":
                read_routes(text.encode(), "routes.yaml")
            case _:
                tree = read_tree(text.encode(), "sidegate.yaml", 1 << 20)
                return validate(Settings, tree.data, tree)[0] is not None
    except (ConfigError, PolicyError):
        return False
    return True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("policy", POLICY, id="policy-least"),
        pytest.param("policy", POLICY + 'roles: {"Field lead": {clone: Designer, add: [approve]}}', id="role"),
        pytest.param("policy", POLICY + "roles: {A: {sections: {/: [read], /x/y: []}}}", id="sections"),
        pytest.param("policy", POLICY + "members: {user:a: {roles: [Member]}, service:b: {}}", id="members"),
        pytest.param(
            "policy",
            POLICY + 'bindings: [{id: b, who: group:a b, role: V, on: "*@main", not_after: 2026-12-01T00:00:00.5+01:00}]',
            id="binding",
        ),
        pytest.param(
            "policy",
            POLICY + "bindings: [{id: b, who: user:x, role: V, on: p, when: {surface: mobile, source: '10.0.0.1'}}]",
            id="conditions-in-the-short-form",
        ),
        pytest.param("policy", POLICY + 'denies: [{id: d, who: "agent:x", authorities: [read], on: /x}]', id="deny"),
        pytest.param("policy", POLICY + "candidate: {remove: []}", id="candidate"),
        pytest.param("routes", "[]", id="routes-least"),
        pytest.param("routes", ROUTE + "authority: read", id="route"),
        pytest.param("routes", ROUTE + "public: true", id="public"),
        pytest.param("routes", ROUTE + "public: false\n  authority: read", id="not-public"),
        pytest.param("routes", ROUTE + "primitive: Read\n  and: [{authority: write, target: {org: x}}]", id="and"),
        pytest.param("routes", ROUTE + "authority: read\n  target: {branch: {from: query, name: b}}", id="source"),
        pytest.param("routes", "- {options: '*', public: true}", id="asterisk"),
        pytest.param("sidegate", SETTINGS, id="settings-least"),
        pytest.param("sidegate", SETTINGS + 'listen: "[::1]:1"\nadmin: {address: unix:x}', id="listeners"),
        pytest.param(
            "sidegate",
            SETTINGS + "sessions: {signed: {issuer: i, jwks: file:j, algorithms: [RS256], audience: one}}",
            id="audience-in-the-short-form",
        ),
        pytest.param("sidegate", SETTINGS + "audit: {sinks: [{file: a}]}", id="sink"),
    ],
)  # fmt: skip
def test_good_documents(name: str, text: str) -> None:
    """What is read is valid, too."""
    assert (is_read(name, text), is_valid(name, text)) == (True, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("policy", "{}", id="policy-nameless"),
        pytest.param("policy", "[]", id="policy-list"),
        pytest.param("policy", "organization: a b", id="organization"),
        pytest.param("policy", POLICY + "member: {}", id="unknown-key"),
        pytest.param("policy", POLICY + "members:", id="empty-key"),
        pytest.param("policy", POLICY + "mfa_max_age_s: '60'", id="text-for-number"),
        pytest.param("policy", POLICY + "mfa_max_age_s: -1", id="negative"),
        pytest.param("policy", POLICY + "members: {ana: {}}", id="account"),
        pytest.param("policy", POLICY + "members: {user:a: {state: gone}}", id="state"),
        pytest.param("policy", POLICY + "roles: {A: {authorities: [reed]}}", id="authority"),
        pytest.param("policy", POLICY + "roles: {A: {authorities: read}}", id="text-for-list"),
        pytest.param("policy", POLICY + "roles: {A: {sections: {x: [read]}}}", id="section"),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: user:a, role: V}]", id="binding-without-scope"),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: role:a, role: V, on: p}]", id="bound-role"),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: user:a, role: 1.1, on: p}]", id="number-for-text"),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: user:a, role: V, on: p, not_after: }]", id="empty"),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: user:a, role: V, on: p, not_after: soon}]", id="instant"),
        pytest.param(
            "policy", POLICY + "bindings: [{id: b, who: user:a, role: V, on: p, not_after: 2026-12-01T00:00:00}]", id="local"
        ),
        pytest.param("policy", POLICY + "bindings: [{id: b, who: user:a, role: V, on: p, when: {mfa: yes}}]", id="truth"),
        pytest.param("policy", POLICY + "denies: [{id: d, who: user:a, authorities: [], on: p}]", id="no-authorities"),
        pytest.param("policy", POLICY + "approvals: [{id: a, authorities: [run], on: p, quorum: 0}]", id="quorum"),
        pytest.param("policy", POLICY + "keys: [{id: x, digest: y, account: user:a}]", id="key"),
        pytest.param("policy", POLICY + "candidate: {organization: x}", id="candidate"),
        pytest.param("routes", "{}", id="routes-mapping"),
        pytest.param("routes", "- {public: true}", id="no-method"),
        pytest.param("routes", "- {get: /x, put: /x, public: true}", id="two-methods"),
        pytest.param("routes", "- {get: x, public: true}", id="pattern"),
        pytest.param("routes", "- {trace: /x, public: true}", id="unknown-method"),
        pytest.param("routes", ROUTE + "name: x", id="nothing-asked"),
        pytest.param("routes", ROUTE + "public: false", id="not-public-nothing-asked"),
        pytest.param("routes", ROUTE + "authority: read\n  primitive: Read", id="two-asked"),
        pytest.param("routes", ROUTE + "authority: read\n  public: true", id="public-asks"),
        pytest.param("routes", ROUTE + "authority: read\n  target: {projct: x}", id="unknown-part"),
        pytest.param("routes", ROUTE + "authority: read\n  target: {branch: {from: cookie, name: x}}", id="origin"),
        pytest.param("routes", ROUTE + "authority: read\n  target: {branch: {name: x}}", id="no-origin"),
        pytest.param("routes", ROUTE + "authority: read\n  target: {branch: 5}", id="number-for-template"),
        pytest.param("routes", ROUTE + "authority: read\n  query: {a: 1}", id="query-number"),
        pytest.param("routes", ROUTE + "authority: read\n  allow_encoded: [hash]", id="encoded"),
        pytest.param("sidegate", "{}", id="settings-empty"),
        pytest.param("sidegate", SETTINGS + "listn: x", id="settings-unknown"),
        pytest.param("sidegate", SETTINGS + "listen: x", id="endpoint"),
        pytest.param("sidegate", SETTINGS + "listen: {}", id="listener-without-address"),
        pytest.param("sidegate", "upstream: {url: http://h/path}", id="upstream"),
        pytest.param("sidegate", SETTINGS + "policy: {source: policy}", id="policy-source"),
        pytest.param("sidegate", SETTINGS + "limits: {headers: 0}", id="too-small"),
        pytest.param("sidegate", SETTINGS + "limits: {headers: 1000000}", id="too-large"),
        pytest.param("sidegate", SETTINGS + "limits: {headers: 1.5}", id="fraction"),
        pytest.param("sidegate", SETTINGS + "audit: {sinks: [{}]}", id="no-sink"),
        pytest.param("sidegate", SETTINGS + "audit: {sinks: [{file: a, http: b}]}", id="two-sinks"),
        pytest.param("sidegate", SETTINGS + "audit: {on_full: ignore}", id="choice"),
        pytest.param("sidegate", SETTINGS + "hide: [mfa_required]", id="not-hideable"),
        pytest.param("sidegate", SETTINGS + "sessions: {surfaces: {WEB: {idle_ms: 1, absolute_ms: 1}}}", id="surface"),
        pytest.param("sidegate", SETTINGS + "sessions: {surfaces: {web: {idle_ms: 1}}}", id="half-a-surface"),
        pytest.param("sidegate", SETTINGS + "sessions: {signed: {issuer: i, jwks: j, algorithms: [none]}}", id="algorithm"),
        pytest.param("sidegate", SETTINGS + "api_keys: {header: a b}", id="header"),
        pytest.param("sidegate", SETTINGS + "log: {level: loud}", id="log"),
    ],
)  # fmt: skip
def test_bad_documents(name: str, text: str) -> None:
    """What is refused for its structure is not valid either."""
    assert (is_read(name, text), is_valid(name, text)) == (False, False)
