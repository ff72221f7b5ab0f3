"""What a reader of policy files answers, in pieces.

Unpickling keeps the interpreter lock from the beginning of an object to its end: a document of 100,000 bindings at once
would stop the event loop of who takes it for more than a second. Between two pieces others have their turn.
"""

import pickle
from collections.abc import Iterator
from dataclasses import fields
from io import BytesIO
from itertools import islice
from typing import Any, Final

from sidegate.core.model.errors import Problem
from sidegate.core.policy.document import PolicyDocument

PIECE: Final = 100
"""Entries, problems or places; a millisecond."""

_PROBLEMS: Final = "problems"
_Answer = PolicyDocument | tuple[Problem, ...]


def write_pieces(answer: _Answer) -> bytes:
    """Return *answer* pickled, a piece at a time; what is in several of them is written once."""
    written = BytesIO()
    pickler = pickle.Pickler(written, pickle.HIGHEST_PROTOCOL)
    for piece in _pieces_of(answer):
        pickler.dump(piece)
    return written.getvalue()


def read_pieces(data: bytes) -> _Answer:
    """Return what :func:`write_pieces` was given."""
    unpickler = pickle.Unpickler(BytesIO(data))  # noqa: S301  of this very program
    found: dict[str, Any] = {}
    while True:
        try:
            name, content = unpickler.load()
        except EOFError:
            break
        known = found.setdefault(name, content)
        if known is content:
            continue
        if isinstance(known, dict):
            known.update(content)
        else:
            known.extend(content)
    for name, content in found.items():
        found[name] = tuple(content) if isinstance(content, list) else content
    return found[_PROBLEMS] if _PROBLEMS in found else PolicyDocument(**found)


def _pieces_of(answer: _Answer) -> Iterator[tuple[str, object]]:
    if not isinstance(answer, PolicyDocument):
        yield _PROBLEMS, []
        yield from ((_PROBLEMS, list(piece)) for piece in _cut(answer))
        return
    for field in fields(answer):
        content = getattr(answer, field.name)
        if isinstance(content, tuple):
            yield field.name, []
            yield from ((field.name, list(piece)) for piece in _cut(content))
        elif type(content) is dict:
            yield field.name, {}
            items = iter(content.items())
            while some := dict(islice(items, PIECE)):
                yield field.name, some
        else:
            yield field.name, content


def _cut(entries: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    return (entries[start : start + PIECE] for start in range(0, len(entries), PIECE))
