"""The candidate laid over the enforced policy."""

import pytest

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.overlay import apply_candidate, keys_defined, removable_keys

READ = mask_of([Authority.READ])

B1 = BindingEntry("b1", "user:ana", "Viewer", ALL_PROJECTS)
B1_NEW = BindingEntry("b1", "user:bo", "Designer", ALL_PROJECTS)
B2 = BindingEntry("b2", "user:ana", "Admin", ALL_PROJECTS)
D1 = DenyEntry("d1", "user:ana", READ, ALL_PROJECTS)
A1 = ApprovalRule("a1", READ, ALL_PROJECTS)
ROLE = RoleEntry("R", authorities=READ)
MEMBER = MemberEntry("user:ana")
GROUP = GroupEntry("fiber")
KEY = KeyEntry("k1", bytes(32), "user:ana")
WHOLE = PolicyDocument("acme", 1, (ROLE,), (MEMBER,), (GROUP,), (B1, B2), (D1,), (A1,), (KEY,))


def laid(candidate: Candidate) -> PolicyDocument:
    """The whole document with *candidate* applied."""
    return apply_candidate(
        PolicyDocument("acme", 1, (ROLE,), (MEMBER,), (GROUP,), (B1, B2), (D1,), (A1,), (KEY,), candidate=candidate)
    )


def test_no_candidate_is_no_change() -> None:
    """The very same document."""
    assert WHOLE is apply_candidate(WHOLE)


def test_an_empty_candidate_is_dropped() -> None:
    """What is left has no candidate of its own."""
    assert laid(Candidate()) == WHOLE


def test_an_entry_of_the_same_id_replaces() -> None:
    """Also when it now is for somebody else."""
    assert {B1_NEW, B2} == set(laid(Candidate(bindings=(B1_NEW,))).bindings)


def test_other_entries_are_added() -> None:
    """Every section takes additions."""
    candidate = Candidate(
        (RoleEntry("S"),),
        (MemberEntry("user:bo"),),
        (GroupEntry("copper"),),
        (BindingEntry("b9", "user:bo", "Viewer", ALL_PROJECTS),),
        (DenyEntry("d9", "user:bo", READ, ALL_PROJECTS),),
        (ApprovalRule("a9", READ, ALL_PROJECTS),),
        (KeyEntry("k9", bytes(32), "user:bo"),),
    )
    after = laid(candidate)
    for name in ("roles", "members", "groups", "bindings", "denies", "approvals", "keys"):
        assert (*getattr(WHOLE, name), *getattr(candidate, name)) == getattr(after, name)


@pytest.mark.parametrize(
    ("word", "listed"),
    [
        pytest.param("b1", "bindings", id="binding"),
        pytest.param("d1", "denies", id="deny"),
        pytest.param("a1", "approvals", id="approval"),
        pytest.param("R", "roles", id="role-by-name"),
        pytest.param("role:R", "roles", id="role-by-key"),
        pytest.param("member:user:ana", "members", id="member"),
        pytest.param("group:fiber", "groups", id="group"),
        pytest.param("key:k1", "keys", id="key"),
    ],
)
def test_removals(word: str, listed: str) -> None:
    """By id; what has no id of its own by its key. Nothing else goes."""
    after = laid(Candidate(remove=(word,)))
    for name in ("roles", "members", "groups", "bindings", "denies", "approvals", "keys"):
        gone = 1 if name == listed else 0
        assert len(getattr(WHOLE, name)) - gone == len(getattr(after, name))
    assert removable_keys(WHOLE)[word] == 1


def test_a_bare_name_removes_roles_only() -> None:
    """An account, group or key is named with its kind, so that no id is taken for one."""
    assert laid(Candidate(remove=("user:ana", "fiber", "k1"))) == WHOLE


def test_words_that_would_name_two_entries_are_counted() -> None:
    """A role may be called like a binding."""
    document = PolicyDocument("acme", roles=(RoleEntry("b1"),), bindings=(B1,))
    assert (removable_keys(document)["b1"], removable_keys(document)["role:b1"]) == (2, 1)


def test_what_a_candidate_defines() -> None:
    """Under every word that ``remove`` could hold."""
    candidate = Candidate((ROLE,), (MEMBER,), (GROUP,), (B1,), (D1,), (A1,), (KEY,))
    assert removable_keys(WHOLE).keys() - {"b2"} == keys_defined(candidate).keys()
