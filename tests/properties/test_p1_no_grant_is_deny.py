"""P1: no grant, no allow (spec 1.9)."""

from dataclasses import replace

from hypothesis import assume, given
from tests.properties.strategies import decided, documents, generated, queries

from sidegate.core.model.decision import Outcome
from sidegate.core.model.principal import Query
from sidegate.core.policy.document import PolicyDocument

IMPLYING_ROLES = {"Organization admin", "Full API Access"}


@generated
@given(documents(), queries)
def test_without_bindings_nothing_in_projects_is_allowed(document: PolicyDocument, query: Query) -> None:
    """Without a binding of its own or of a group, and without an implied one, an account may do nothing in projects."""
    assume(query.target.section is None)
    members = tuple(
        replace(member, roles=tuple(role for role in member.roles if role not in IMPLYING_ROLES))
        for member in document.members
    )
    assert Outcome.DENY is decided(replace(document, bindings=(), members=members), query).outcome


@generated
@given(documents(), queries)
def test_without_organization_roles_nothing_is_allowed(document: PolicyDocument, query: Query) -> None:
    """Sections are given by organization roles alone, and an empty ceiling lets no binding through."""
    members = tuple(replace(member, roles=()) for member in document.members)
    assert Outcome.DENY is decided(replace(document, members=members), query).outcome


@generated
@given(documents(), queries)
def test_whoever_is_no_member_gets_nothing(document: PolicyDocument, query: Query) -> None:
    """Bindings alone do not make a member."""
    others = tuple(member for member in document.members if member.account != query.credential.account)
    assert Outcome.DENY is decided(replace(document, members=others), query).outcome
