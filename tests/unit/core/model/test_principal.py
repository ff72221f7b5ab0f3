"""Who asks, as verified."""

from sidegate.core.model.authority import Authority
from sidegate.core.model.principal import CredentialKind, Link, Query, VerifiedCredential
from sidegate.core.model.target import parse_target


def test_a_credential_withholds_nothing_by_default() -> None:
    """None is "no list"; a list that is there and empty lets nothing pass."""
    credential = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme")
    assert (credential.authorities, credential.scopes, credential.chain) == (None, None, ())
    assert (Link("a").allow, Link("a").scopes, Link("a").deny, Link("a").expires_at) == (None, None, (), None)


def test_a_query_claims_nothing_by_default() -> None:
    """No second factor, no address, no approval."""
    credential = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme")
    query = Query(credential, Authority.READ, parse_target("acme", "p1"))
    assert (query.source, query.credential.second_factor_at, query.approved) == (None, None, False)
