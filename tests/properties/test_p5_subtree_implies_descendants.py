"""P5: ``subtree`` allowed means each descendant allowed (spec 1.9)."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.properties.strategies import decided, documents, generated, queries

from sidegate.core.model.decision import Outcome
from sidegate.core.model.principal import Query
from sidegate.core.model.target import ALL_PROJECTS, Target, project_target, section_target
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument

names = st.sampled_from(["a", "b", "c", "x", "skills", "fiber"])


def descendant(target: Target, branch: str, tail: list[str]) -> Target:
    """The target below *target* on *branch*, if that is still open, and along *tail*."""
    if target.section is not None:
        return section_target(target.org, (*target.section, *tail))
    assert target.project is not None
    return project_target(target.org, target.project, target.branch or branch, (*target.path, *tail))


def with_a_wide_grant(document: PolicyDocument, account: str) -> PolicyDocument:
    """The same policy with *account* as Admin of everything, so that subtrees are allowed often enough to matter."""
    member = MemberEntry(account, roles=("Administrator",), groups=("fiber",))
    wide = BindingEntry("wide", account, "Admin", ALL_PROJECTS)
    return replace(document, members=(member,), bindings=(*document.bindings[:3], wide), denies=document.denies[:1])


@generated
@given(documents(), queries, st.sampled_from(["main", "dev", "b9"]), st.lists(names, max_size=3))
def test_what_is_allowed_on_a_subtree_is_allowed_below(
    document: PolicyDocument, query: Query, branch: str, tail: list[str]
) -> None:
    """Whatever exists below, an allowed subtree includes it, also where a rule asks for approval."""
    generous = with_a_wide_grant(document, query.credential.account)
    plain = replace(query.credential, scopes=None, authorities=None)
    whole = replace(query, credential=plain, target=replace(query.target, subtree=True))
    assume(decided(generous, whole).outcome is Outcome.ALLOW)
    below = replace(whole, target=descendant(query.target, branch, tail))
    assert Outcome.ALLOW is decided(generous, below).outcome
