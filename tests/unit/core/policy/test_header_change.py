"""What is other in a header."""

from dataclasses import replace

from sidegate.core.model.authority import Mask
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.document import ApprovalRule, BindingEntry, Candidate, DenyEntry, RoleEntry
from sidegate.core.policy.header_change import HeaderChange, HeaderEntries, differences

BINDING = BindingEntry("b1", "group:all", "Viewer", ALL_PROJECTS)
DENY = DenyEntry("d1", "group:all", Mask(1), ALL_PROJECTS)
RULE = ApprovalRule("a1", Mask(1), ALL_PROJECTS)


def test_differences() -> None:
    """What changed stands in both, what is the same in neither."""
    other = replace(BINDING, role="Admin")
    new, old, same = (replace(BINDING, id=name) for name in ("new", "old", "same"))
    assert differences([BINDING, old, same], [same, other, new], lambda one: one.id) == ((BINDING, old), (other, new))


def test_beside_a_candidate() -> None:
    """What a candidate replaces or removes is not seen through it."""
    entries = HeaderEntries(
        (BINDING, replace(BINDING, id="b2"), replace(BINDING, id="b3")),
        (DENY, replace(DENY, id="d2")),
        (RULE, replace(RULE, id="a2")),
    )
    change = HeaderChange(60, (), entries, HeaderEntries(bindings=(BINDING,)))
    candidate = Candidate(bindings=(BINDING,), denies=(DENY,), approvals=(RULE,), remove=("b3",))
    roles = (RoleEntry("Lead", "Designer"),)
    beside = change.beside(candidate, roles)
    assert (beside.mfa_max_age_s, beside.roles, len(beside.gone), len(beside.come)) == (60, roles, 3, 0)
    assert [one.id for one in beside.gone.bindings] == ["b2"]
    assert [one.id for one in beside.gone.denies] == ["d2"]
    assert [one.id for one in beside.gone.approvals] == ["a2"]
