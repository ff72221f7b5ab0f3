"""What the claims of a verified token say (spec 3.1)."""

from typing import Any

import pytest
from tests.unit.core.identity.issuer import ISSUER, NOW, NOW_S, claims

from sidegate.core.identity.claims import ClaimPath, ClaimRules, parse_claim_path, read_claims
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import Link, RefusedCredential, VerifiedCredential
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis, UnixMillis

APP = "https://app.example"


def read(rules: dict[str, Any] | None = None, **changes: Any) -> VerifiedCredential | RefusedCredential | Reason:
    """Read usual claims with *changes*."""
    return read_claims(claims(**changes), ClaimRules(issuer=ISSUER, **(rules or {})), NOW)


@pytest.mark.parametrize(
    ("configured", "changes", "accepted"),
    [
        pytest.param({}, {}, True, id="nothing-configured"),
        pytest.param({}, {"azp": "https://evil.example"}, True, id="azp-not-configured"),
        pytest.param({}, {"aud": "other"}, False, id="aud-for-somebody-else"),
        pytest.param({}, {"iss": "https://clerk.example/"}, False, id="iss-with-slash"),
        pytest.param({}, {"iss": "https://CLERK.example"}, False, id="iss-other-case"),
        pytest.param({}, {"iss": [ISSUER]}, False, id="iss-list"),
        pytest.param({}, {"iss": ...}, False, id="no-iss"),
        pytest.param({"authorized_parties": frozenset({APP})}, {"azp": APP}, True, id="azp-in-the-list"),
        pytest.param({"authorized_parties": frozenset({APP})}, {"azp": APP + "/"}, False, id="azp-not-in-the-list"),
        pytest.param({"authorized_parties": frozenset({APP})}, {}, False, id="azp-absent"),
        pytest.param({"authorized_parties": frozenset({APP})}, {"azp": [APP]}, False, id="azp-list"),
        pytest.param({"audiences": frozenset({"a", "b"})}, {"aud": "b"}, True, id="aud-text"),
        pytest.param({"audiences": frozenset({"a"})}, {"aud": ["x", "a"]}, True, id="aud-one-of-several"),
        pytest.param({"audiences": frozenset({"a"})}, {"aud": ["x"]}, False, id="aud-none-of-several"),
        pytest.param({"audiences": frozenset({"a"})}, {"aud": []}, False, id="aud-empty"),
        pytest.param({"audiences": frozenset({"a"})}, {"aud": ["a", 1]}, False, id="aud-with-a-number"),
        pytest.param({"audiences": frozenset({"a"})}, {"aud": {"a": 1}}, False, id="aud-object"),
        pytest.param({"audiences": frozenset({"a"})}, {}, False, id="aud-absent"),
    ],
)
def test_meant_for_us(configured: dict[str, Any], changes: dict[str, Any], accepted: bool) -> None:
    """`iss` is equal, `azp` and `aud` answer the configured lists; an absent claim proves nothing."""
    assert accepted == isinstance(read(configured, **changes), VerifiedCredential)


SLUG = {"organization": ClaimPath(("o", "slg"))}


@pytest.mark.parametrize(
    ("configured", "changes", "org"),
    [
        pytest.param({}, {"org_id": "acme"}, "acme", id="v1"),
        pytest.param({}, {"org_id": ..., "o": {"id": "acme", "rol": "admin"}}, "acme", id="v2"),
        pytest.param({}, {"org_id": "acme", "o": {"id": "acme"}}, "acme", id="both-agree"),
        pytest.param({}, {"org_id": "acme", "o": {"id": "globex"}}, None, id="both-differ"),
        pytest.param({}, {"org_id": ["acme"], "o": {"id": "acme"}}, None, id="v1-of-another-type"),
        pytest.param({}, {"org_id": "acme", "o": {"id": {}}}, None, id="v2-of-another-type"),
        pytest.param({}, {"org_id": "acme", "o": {"slg": "acme"}}, "acme", id="v2-without-id"),
        pytest.param({}, {"org_id": "acme", "o": "acme"}, "acme", id="o-is-no-object"),
        pytest.param({}, {"org_id": ...}, None, id="none"),
        pytest.param({}, {"org_id": ""}, None, id="empty"),
        pytest.param({}, {"org_id": "../acme"}, None, id="not-a-name"),
        pytest.param({}, {"org_id": "acme\n"}, None, id="newline"),
        pytest.param({}, {"org_id": None}, None, id="null"),
        pytest.param(SLUG, {"o": {"id": "org_1", "slg": "acme"}}, "acme", id="configured"),
        pytest.param(SLUG, {"org_id": "acme"}, None, id="configured-and-absent"),
        pytest.param(SLUG, {"o": {"slg": 7}, "org_id": "acme"}, None, id="configured-of-another-type"),
        pytest.param(
            {"organization": ClaimPath(("https://a.example/org",))}, {"https://a.example/org": "x"}, "x", id="url"
        ),
    ],
)
def test_organization(configured: dict[str, Any], changes: dict[str, Any], org: str | None) -> None:
    """`o.id`, `org_id` or the configured claim alone; two that differ name none."""
    found = read(configured, **changes)
    assert org == (found.org if isinstance(found, VerifiedCredential) else None)


@pytest.mark.parametrize(
    ("changes", "used_at"),
    [
        pytest.param({"fva": [3, 0]}, NOW - 10_000, id="just-used"),
        pytest.param({"fva": [3, 2]}, NOW - 10_000 - 120_000, id="two-minutes-before-the-issue"),
        pytest.param({"fva": [3, -1]}, None, id="never"),
        pytest.param({}, None, id="absent"),
        pytest.param({"fva": [3, -2]}, Reason.INVALID_CREDENTIAL, id="below-never"),
        pytest.param({"fva": [3]}, Reason.INVALID_CREDENTIAL, id="one-entry"),
        pytest.param({"fva": [3, 0, 0]}, Reason.INVALID_CREDENTIAL, id="three-entries"),
        pytest.param({"fva": [3, True]}, Reason.INVALID_CREDENTIAL, id="true"),
        pytest.param({"fva": [3, 0.5]}, Reason.INVALID_CREDENTIAL, id="fraction"),
        pytest.param({"fva": ["3", "0"]}, Reason.INVALID_CREDENTIAL, id="texts"),
        pytest.param({"fva": 0}, Reason.INVALID_CREDENTIAL, id="number"),
        pytest.param({"fva": None}, Reason.INVALID_CREDENTIAL, id="null"),
        pytest.param({"fva": [0, 10**12]}, Reason.INVALID_CREDENTIAL, id="before-the-epoch"),
        pytest.param({"fva": [0, 0], "iat": ...}, Reason.INVALID_CREDENTIAL, id="no-time-to-count-from"),
        pytest.param({"fva": [0, -1], "iat": ...}, None, id="never-needs-no-time"),
    ],
)
def test_second_factor(changes: dict[str, Any], used_at: int | Reason | None) -> None:
    """`fva[1]` is minutes before the issue, -1 for none; what cannot be read is refused."""
    found = read(**changes)
    assert used_at == (found.second_factor_at if isinstance(found, VerifiedCredential) else found)


SURFACE = {"surface": ClaimPath(("srf",))}


@pytest.mark.parametrize(
    ("configured", "changes", "surface"),
    [
        pytest.param({}, {"srf": "admin"}, "web", id="not-configured"),
        pytest.param(SURFACE, {}, "web", id="absent"),
        pytest.param(SURFACE, {"srf": "mobile"}, "mobile", id="given"),
        pytest.param(SURFACE, {"srf": "Mobile"}, None, id="upper-case"),
        pytest.param(SURFACE, {"srf": ""}, None, id="empty"),
        pytest.param(SURFACE, {"srf": 1}, None, id="number"),
        pytest.param(SURFACE, {"srf": None}, None, id="null"),
        pytest.param(SURFACE, {"srf": "a" * 33}, None, id="long"),
    ],
)
def test_surface(configured: dict[str, Any], changes: dict[str, Any], surface: str | None) -> None:
    """The surface is that of the configured claim, `web` by default."""
    found = read(configured, **changes)
    assert surface == (found.surface if isinstance(found, VerifiedCredential) else None)


def test_chain() -> None:
    """The links of our own claim come along with their restrictions; `act` is not looked at."""
    found = read(chain=[{"id": "ag_1", "allow": ["read"], "scopes": ["p1"]}], act={"sub": "root"})
    assert isinstance(found, VerifiedCredential)
    assert (Link("ag_1", mask_of([Authority.READ]), (parse_scope("p1"),)),) == found.chain


def test_chain_not_understood() -> None:
    """A restriction that cannot be read refuses the whole token."""
    assert read(chain=[{"id": "ag_1", "only": ["read"]}]) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("name", ["a" * 128, "auth0|5f7c8", "ana@acme.example", "~!#$%&'()*+-./:<=>?[]^_`{}"])
def test_subject(name: str) -> None:
    """Subjects as issuers write them are kept as they are."""
    found = read(sub=name)
    assert isinstance(found, VerifiedCredential)
    assert f"user:{name}" == found.account


def test_no_issue_time() -> None:
    """Without `iat` the session counts as older than any revocation of its account."""
    found = read(iat=...)
    assert isinstance(found, VerifiedCredential)
    assert UnixMillis(0) == found.issued_at


def test_leeway() -> None:
    """The leeway is configured; none is none."""
    rules = {"leeway": Millis(0)}
    assert isinstance(read(rules, exp=NOW_S + 1), VerifiedCredential)
    over = read(rules, exp=NOW_S)
    assert isinstance(over, RefusedCredential)
    assert (over.reason, over.credential.account) == (Reason.SESSION_EXPIRED, "user:ana")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("org_id", ("org_id",), id="one"),
        pytest.param("o.slg", ("o", "slg"), id="dotted"),
        pytest.param("https://acme.example/org.id", ("https://acme.example/org.id",), id="url-is-one-name"),
    ],
)
def test_parse_claim_path(text: str, path: tuple[str, ...]) -> None:
    """Dots lead inwards; a URL is the name of one claim."""
    assert path == parse_claim_path(text)


@pytest.mark.parametrize("text", ["", ".", "o.", ".slg", "o..slg"])
def test_parse_claim_path_refused(text: str) -> None:
    """An empty name is none."""
    with pytest.raises(ValueError, match="names no claim"):
        parse_claim_path(text)
