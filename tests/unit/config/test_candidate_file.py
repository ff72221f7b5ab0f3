"""Files with a candidate: read as strictly as policy files, and held to the policy that they are tried beside."""

import pytest

from sidegate.config.candidate_file import read_candidate, with_candidate
from sidegate.config.policy_file import read_policy
from sidegate.core.model.errors import PolicyError

ENFORCED = b"""organization: acme
members:
  user:ana: {roles: [Member]}
bindings:
  - {id: b1, who: user:ana, role: Viewer, on: p1}
"""
CANDIDATE = b"""organization: acme
candidate:
  bindings: [{id: b1, who: user:ana, role: Designer, on: p1}]
"""


def test_read() -> None:
    """It becomes the change that puts the candidate, with the places of its entries."""
    patch = read_candidate(CANDIDATE, "c.yaml")
    assert patch.organization == "acme"
    assert patch.put.candidate is not None
    assert [binding.id for binding in patch.put.candidate.bindings] == ["b1"]
    assert str(patch.positions["candidate:b1"]) == "c.yaml:3:14"


def test_policy_file_does_too() -> None:
    """Of a policy file the candidate is taken, and the rest is not looked at."""
    assert read_candidate(ENFORCED + CANDIDATE.partition(b"\n")[2], "p.yaml").put == read_candidate(CANDIDATE, "").put


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "c.yaml:1:1: `candidate` is missing", id="empty"),
        pytest.param(b"[]", "write a mapping", id="list"),
        pytest.param(b"organization: acme\n", "`candidate` is missing", id="no-candidate"),
        pytest.param(b"candidate: {}\n", "`organization` is missing", id="no-organization"),
        pytest.param(b"organization: acme\ncandidate: {remov: [b1]}\n", ":2:13: `candidate.remov`", id="misspelt"),
        pytest.param(b"organization: acme\ncandidate: {\n", "cannot be read", id="no-yaml"),
    ],
)
def test_refused(content: bytes, problem: str) -> None:
    """What is wrong is said with its place."""
    with pytest.raises(PolicyError) as caught:
        read_candidate(content, "c.yaml")
    assert problem in str(caught.value)


def test_laid_over() -> None:
    """It takes the place of the policy's own candidate, and has to fit to the policy."""
    document = read_policy(ENFORCED, "p.yaml").document
    tried = with_candidate(document, read_candidate(CANDIDATE, "c.yaml"))
    assert tried.candidate is not None
    assert (tried.bindings, tried.candidate.bindings[0].role) == (document.bindings, "Designer")
    wrong = read_candidate(b"organization: acme\ncandidate: {remove: [gone]}\n", "c.yaml")
    with pytest.raises(PolicyError) as caught:
        with_candidate(document, wrong)
    assert "c.yaml:2:13: `candidate:remove` holds `gone`" in str(caught.value)
