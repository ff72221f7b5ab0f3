"""From a policy document to the snapshot that decides."""

import pytest

from sidegate.core.model.authority import Mask
from sidegate.core.model.errors import PolicyError, Position
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.digest import digest_of
from sidegate.core.policy.document import BindingEntry, Candidate, DenyEntry, MemberEntry, PolicyDocument, RoleEntry


def test_every_error_is_raised_at_once_with_its_place() -> None:
    """So that one run of `check` is enough."""
    position = Position("policy/acme.yaml", 3, 5)
    document = PolicyDocument(
        "acme",
        roles=(RoleEntry("Viewer"),),
        denies=(DenyEntry("d1", "user:ana", Mask(0), ALL_PROJECTS),),
        members=(MemberEntry("user:ana"),),
        positions={"d1": position},
    )
    with pytest.raises(PolicyError) as raised:
        compile_document(document, 1)
    assert {"role:Viewer": None, "d1": position} == {problem.key: problem.position for problem in raised.value.problems}


def test_warnings_do_not_stop() -> None:
    """A binding to a role that nobody knows grants nothing, and the rest is used (spec 1.5)."""
    document = PolicyDocument("acme", bindings=(BindingEntry("b1", "user:ana", "Unknown", ALL_PROJECTS),))
    assert document is compile_document(document, 1).document


def test_what_a_snapshot_says_of_itself() -> None:
    """Organization, revision, digest, keys; a candidate only when there is one."""
    plain = PolicyDocument("acme")
    overlaid = PolicyDocument("acme", candidate=Candidate())
    snapshot = compile_document(plain, 812)
    assert ("acme", 812, digest_of(plain), None) == (
        snapshot.organization,
        snapshot.revision,
        snapshot.digest,
        snapshot.candidate,
    )
    assert compile_document(overlaid, 812).candidate is not None


def test_a_broken_candidate_stops_the_document() -> None:
    """It is refused when it is published, so that evaluating it later cannot fail for a reason known before."""
    document = PolicyDocument("acme", candidate=Candidate(remove=("b1",)))
    with pytest.raises(PolicyError, match=r"candidate:remove"):
        compile_document(document, 1)
