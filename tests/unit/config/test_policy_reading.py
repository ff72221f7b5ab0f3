"""What the process that reads a policy file answers."""

import pytest

from sidegate.config.policy_file import read_document
from sidegate.config.policy_pieces import read_pieces
from sidegate.config.policy_reading import answer
from sidegate.core.model.errors import PolicyError

ACME = b"organization: acme\nbindings:\n  - {id: b1, who: user:ana, role: Viewer, on: p1}\n"


def test_a_document() -> None:
    """As it is read here."""
    assert read_pieces(answer(ACME, "acme.yaml")) == read_document(ACME, "acme.yaml")


@pytest.mark.parametrize("content", [b"", b"organization: [", b"organization: acme\nx: 1\n", b"\xff"])
def test_problems(content: bytes) -> None:
    """As they are found here, whatever the file holds."""
    with pytest.raises(PolicyError) as error:
        read_document(content, "acme.yaml")
    assert read_pieces(answer(content, "acme.yaml")) == error.value.problems
