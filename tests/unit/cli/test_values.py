"""Values of policy entries in the spelling of policy files."""

from ipaddress import ip_network

import pytest

from sidegate.cli.values import describe_value, plain_value
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import Conditions, DenyEntry

READ = mask_of([Authority.READ])


@pytest.mark.parametrize(
    ("name", "given", "plain", "text"),
    [
        pytest.param("purpose", None, None, "none", id="nothing"),
        pytest.param("single_use", True, True, "true", id="flag"),
        pytest.param("who", "user:a", "user:a", "user:a", id="text"),
        pytest.param("state", AccountState.ACTIVE, "active", "active", id="enum"),
        pytest.param("quorum", 2, 2, "2", id="number"),
        pytest.param("authorities", READ, ["read"], "read", id="authorities"),
        pytest.param("ceiling", 0, [], "none", id="no-authorities"),
        pytest.param("expires_at", UnixMillis(0), "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z", id="instant"),
        pytest.param("digest", b"\x01\xff", "sha256:01ff", "sha256:01ff", id="digest"),
        pytest.param("on", parse_scope("p1@main"), "p1@main", "p1@main", id="scope"),
        pytest.param("scopes", (parse_scope("p1"), parse_scope("*")), ["p1", "*"], "p1, *", id="scopes"),
        pytest.param("sources", (ip_network("10.0.0.0/8"),), ["10.0.0.0/8"], "10.0.0.0/8", id="networks"),
        pytest.param("hide", frozenset({"x"}), ["x"], "x", id="set"),
        pytest.param("sections", {("a",): READ, (): 0}, {"/a": ["read"], "/": []}, '{"/a":["read"],"/":[]}', id="map"),
        pytest.param(
            "when",
            Conditions(mfa=True),
            {"mfa": True, "surfaces": None, "sources": None},
            '{"mfa":true,"surfaces":null,"sources":null}',
            id="conditions",
        ),
        pytest.param(
            "denies",
            (DenyEntry("d", "user:a", READ, parse_scope("p1")),),
            [{"id": "d", "who": "user:a", "authorities": ["read"], "on": "p1"}],
            '[{"id":"d","who":"user:a","authorities":["read"],"on":"p1"}]',
            id="entries",
        ),
    ],
)  # fmt: skip
def test_values(name: str, given: object, plain: object, text: str) -> None:
    """As JSON, and for people."""
    assert (plain_value(name, given), describe_value(name, given)) == (plain, text)
