"""Documents and problems on their way between processes."""

import pickle
from io import BytesIO

import pytest

from sidegate.config.policy_file import read_document
from sidegate.config.policy_pieces import PIECE, read_pieces, write_pieces
from sidegate.core.model.errors import Position, Problem
from sidegate.core.policy.document import PolicyDocument

SMALL = (
    b"organization: acme\ncandidate:\n  remove: [b1]\nbindings:\n  - {id: b1, who: user:ana, role: Viewer, on: p1}\n"
)
LARGE = b"organization: acme\nmembers:\n%b\nbindings:\n%b" % (
    b"".join(b"  user:u%d: {roles: [Member]}\n" % number for number in range(2 * PIECE + 1)),
    b"".join(b"  - {id: b%d, who: user:u%d, role: Viewer, on: p1}\n" % (number, number) for number in range(5 * PIECE)),
)
PROBLEMS = tuple(Problem(Position("a.yaml", n, 1), f"k{n}", "is wrong", "write it right") for n in range(3 * PIECE + 1))


@pytest.mark.parametrize(
    "content", [pytest.param(SMALL, id="with-a-candidate"), pytest.param(LARGE, id="of-many-pieces")]
)
def test_a_document_arrives_whole(content: bytes) -> None:
    """Every entry in its order, and the place of each."""
    document = read_document(content, "acme.yaml")
    found = read_pieces(write_pieces(document))
    assert found == document
    assert isinstance(found, PolicyDocument)
    assert list(found.positions.items()) == list(document.positions.items())


@pytest.mark.parametrize(
    "problems", [pytest.param(PROBLEMS, id="many"), pytest.param(PROBLEMS[:1], id="one"), pytest.param((), id="none")]
)
def test_problems_arrive_whole(problems: tuple[Problem, ...]) -> None:
    """All of them, in their order."""
    assert read_pieces(write_pieces(problems)) == problems


@pytest.mark.parametrize("of", ["document", "problems"])
def test_no_piece_is_large(of: str) -> None:
    """Taking one keeps the interpreter lock; a document at once would keep it for a second."""
    data = write_pieces(read_document(LARGE, "acme.yaml") if of == "document" else PROBLEMS)
    unpickler = pickle.Unpickler(BytesIO(data))
    sizes = []
    while True:
        try:
            _, content = unpickler.load()
        except EOFError:
            break
        sizes.append(len(content) if isinstance(content, list | dict) else 1)
    assert max(sizes) == PIECE


def test_what_is_in_several_pieces_is_one_object() -> None:
    """The name of a role is in memory once, not once for each piece."""
    found = read_pieces(write_pieces(read_document(LARGE, "acme.yaml")))
    assert isinstance(found, PolicyDocument)
    before = read_document(LARGE, "acme.yaml")
    assert len({id(entry.role) for entry in found.bindings}) <= len({id(entry.role) for entry in before.bindings})
