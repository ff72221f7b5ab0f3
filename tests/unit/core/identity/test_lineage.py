"""Links of a delegation chain as a token writes them (spec 1.7)."""

import pytest

from sidegate.core.identity.lineage import read_chain
from sidegate.core.model.authority import NO_AUTHORITY, Authority, mask_of
from sidegate.core.model.principal import Link, LinkDeny
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis

READ = mask_of([Authority.READ])


@pytest.mark.parametrize(
    ("claim", "chain"),
    [
        pytest.param(None, (), id="null"),
        pytest.param([], (), id="empty"),
        pytest.param([{"id": "a"}], (Link("a"),), id="no-restriction"),
        pytest.param(
            [{"id": "a", "allow": None, "scopes": None, "deny": None, "expires_at": None}], (Link("a"),), id="nulls"
        ),
        pytest.param([{"id": "a", "allow": []}], (Link("a", allow=NO_AUTHORITY),), id="nothing-allowed"),
        pytest.param([{"id": "a", "scopes": []}], (Link("a", scopes=()),), id="no-scope"),
        pytest.param(
            [{"id": "a", "allow": ["read"], "scopes": ["p1@main:x", "/skills"]}, {"id": "b"}],
            (Link("a", READ, (parse_scope("p1@main:x"), parse_scope("/skills"))), Link("b")),
            id="two-in-order",
        ),
        pytest.param(
            [{"id": "a", "deny": [{"authorities": ["read"], "on": "*"}]}],
            (Link("a", deny=(LinkDeny(READ, parse_scope("*")),)),),
            id="deny",
        ),
        pytest.param([{"id": "a", "expires_at": 1}], (Link("a", expires_at=UnixMillis(1000)),), id="seconds"),
        pytest.param(
            [{"id": "a", "expires_at": "1970-01-01T00:00:01Z"}],
            (Link("a", expires_at=UnixMillis(1000)),),
            id="rfc-3339",
        ),
        pytest.param([{"id": "a"}] * 9, (Link("a"),) * 9, id="nine-are-for-the-engine-to-refuse"),
    ],
)
def test_read_chain(claim: object, chain: tuple[Link, ...]) -> None:
    """Outermost first, null for absent, an empty list for nothing."""
    assert chain == read_chain(claim)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({}, id="object"),
        pytest.param("a", id="text"),
        pytest.param(False, id="false"),
        pytest.param([None], id="null-link"),
        pytest.param([{}], id="no-id"),
        pytest.param([{"id": ""}], id="empty-id"),
        pytest.param([{"id": "a,b"}], id="comma-in-id"),
        pytest.param([{"id": "a\n"}], id="newline-in-id"),
        pytest.param([{"id": 1}], id="number-id"),
        pytest.param([{"id": "a", "only": []}], id="unknown-restriction"),
        pytest.param([{"id": "a", "allow": "read"}], id="allow-is-a-text"),
        pytest.param([{"id": "a", "allow": ["Read"]}], id="authority-in-another-case"),
        pytest.param([{"id": "a", "allow": ["read", "fly"]}], id="unknown-authority"),
        pytest.param([{"id": "a", "allow": ["read", "read"]}], id="authority-twice"),
        pytest.param([{"id": "a", "allow": [1]}], id="authority-is-a-number"),
        pytest.param([{"id": "a", "allow": [["read"]]}], id="authority-is-a-list"),
        pytest.param([{"id": "a", "scopes": "*"}], id="scopes-is-a-text"),
        pytest.param([{"id": "a", "scopes": ["p1@*"]}], id="scope-in-another-spelling"),
        pytest.param([{"id": "a", "scopes": [1]}], id="scope-is-a-number"),
        pytest.param([{"id": "a", "deny": {}}], id="deny-is-an-object"),
        pytest.param([{"id": "a", "deny": [{"authorities": ["read"]}]}], id="deny-without-scope"),
        pytest.param([{"id": "a", "deny": [{"on": "*"}]}], id="deny-without-authorities"),
        pytest.param([{"id": "a", "deny": [{"authorities": ["read"], "on": "*", "x": 1}]}], id="deny-with-more"),
        pytest.param([{"id": "a", "expires_at": "soon"}], id="expiry-is-no-instant"),
        pytest.param([{"id": "a", "expires_at": "2026-01-01T00:00:00"}], id="expiry-without-offset"),
        pytest.param([{"id": "a", "expires_at": 1.5}], id="expiry-is-a-fraction"),
        pytest.param([{"id": "a", "expires_at": True}], id="expiry-is-true"),
        pytest.param([{"id": "a", "expires_at": -1}], id="expiry-is-negative"),
        pytest.param([{"id": "a", "expires_at": 10**12}], id="expiry-is-beyond-the-years"),
        pytest.param([{"id": "a"}, {"id": "b", "allow": 1}], id="only-the-second-is-wrong"),
    ],
)
def test_read_chain_refused(claim: object) -> None:
    """A restriction that cannot be read is not passed over."""
    assert read_chain(claim) is None
