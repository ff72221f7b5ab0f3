"""Very large policy files read in a fraction of the time, if nothing is wrong with them.

Most of the time of reading a million bindings goes into the place of every key and value, which nobody asks for unless
something is wrong. So here none is noted: what is read must be right in every respect, to the last warning, or the file
is read once more by :mod:`sidegate.config.policy_file`, which says what is wrong and where. That it is read here at all
depends on how it is written:

* JSON without escapes of characters.
* YAML whose ``bindings`` are mostly written one to a line, ``- {id: b1, who: user:ana, role: Designer, on: p1}``, with
  plain or double-quoted values. These lines are taken out before libyaml reads the rest.

What comes of a file is the same on both ways; tests hold them against each other.
"""

import json
import re
from typing import Any, Final

from pydantic import ValidationError

from sidegate.config.explain import find_empty
from sidegate.config.policy_file import LoadedPolicy, document_of, read_policy
from sidegate.config.policy_model import WrittenPolicy
from sidegate.config.yaml_tree import read_tree, resolve_scalar
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.validate import find_problems

QUICK_ABOVE: Final = 1 << 20
"""Bytes. Less is read within a second, with the place of everything."""

MAX_BYTES: Final = 1 << 30
"""Some ten million bindings."""

_BINDINGS: Final = re.compile(r"^bindings:[ ]*\n", re.MULTILINE)
_WORD: Final = r"([A-Za-z_][A-Za-z0-9_./@-]*(?::[A-Za-z0-9_./@-]+)*|\"[ !#-\[\]-~]*\")"
_ITEM: Final = re.compile(rf"( *)- \{{id: {_WORD}, who: {_WORD}, role: {_WORD}, on: {_WORD}\}}\n")
_KEYS: Final = ("id", "who", "role", "on")


class _NotQuickError(Exception):
    """It is not written so, or something is wrong with it: the other way tells."""


def read_policy_quickly(content: bytes, file: str, above: int = QUICK_ABOVE) -> LoadedPolicy:
    """Read the *content* of a policy file called *file*, whatever its size.

    Args:
        content: The whole file.
        file: Its name, for positions.
        above: Bytes; what is longer, and right, comes without positions.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    if len(content) <= above:
        return read_policy(content, file)
    try:
        return LoadedPolicy(file, _document(_read(content)), ())
    except (_NotQuickError, ValidationError, RecursionError):
        return read_policy(content, file, max_bytes=MAX_BYTES)


def _document(data: object) -> PolicyDocument:
    if next(iter(find_empty(data)), None) is not None:
        raise _NotQuickError
    document = document_of(WrittenPolicy.model_validate(data))
    if find_problems(document):
        raise _NotQuickError
    return document


def _read(content: bytes) -> object:
    if len(content) > MAX_BYTES:
        raise _NotQuickError
    return read_json(content) if content.lstrip(b" \t\r\n")[:1] == b"{" else read_lines(content)


def read_json(content: bytes) -> object:
    """Return what the JSON text *content* says.

    Raises:
        _NotQuickError: It is none, or says something that YAML does not, or otherwise.
    """
    if b"\\" in content or b"\t" in content:
        raise _NotQuickError
    try:
        return json.loads(
            content.decode(),
            object_pairs_hook=_distinct,
            parse_int=resolve_scalar,
            parse_float=resolve_scalar,
            parse_constant=_no_constant,
        )
    except ValueError as error:
        raise _NotQuickError from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotQuickError
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def read_lines(content: bytes) -> object:
    """Return what the YAML text *content* says, bindings that are one to a line taken out before it is parsed.

    Raises:
        _NotQuickError: It has none of these, or is no YAML that is read.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _NotQuickError from error
    found = _BINDINGS.search(text)
    if found is None:
        raise _NotQuickError
    at_line = text.count("\n", 0, found.start())
    rest, taken = _take_lines(text, found.end(), at_line + 1)
    tree = read_tree(rest.encode(), "", MAX_BYTES)
    # Only if it was the key of the file, and not a line within some text, do its lines mean what they were taken for.
    place = tree.key_position(("bindings",))
    if tree.problems or type(tree.data) is not dict or (place.line, place.column) != (at_line + 1, 1):
        raise _NotQuickError
    listed = tree.data.get("bindings")
    if type(listed) is not list:
        raise _NotQuickError
    merged: list[object] = []
    for number, item in enumerate(listed):
        run = taken.pop(tree.position(("bindings", number)).line, None)
        merged += [item] if run is None else run
    if taken:
        raise _NotQuickError
    return {**tree.data, "bindings": merged}


def _take_lines(text: str, start: int, line: int) -> tuple[str, dict[int, list[object]]]:
    """Take bindings that are a line each out of *text*, from *start* on, which is the beginning of a line.

    Returns:
        The rest, with one item in the place of each run of them, and the runs by the number of the line, from 1, that
        this stands on.
    """
    kept = [text[:start]]
    taken: dict[int, list[object]] = {}
    line += 1
    run: list[object] = []
    indent: str | None = None
    # As long as lines go on to be items of this one list; what comes after it is none of ours.
    while (end := text.find("\n", start)) >= 0:
        item = _ITEM.match(text, start)
        if item is not None and indent in {None, item[1]}:
            indent = item[1]
            values = [_value_of(word) for word in item.groups()[1:]]
            if not run:
                kept.append(f"{indent}- 0\n")
                taken[line] = run
                line += 1
            run.append(dict(zip(_KEYS, values, strict=True)))
        elif indent is None or not text.startswith((f"{indent}- ", f"{indent} ", "\n"), start):
            break
        else:
            kept.append(text[start : end + 1])
            run = []
            line += 1
        start = end + 1
    kept.append(text[start:])
    return "".join(kept), taken


def _value_of(word: str) -> str:
    """Return what a plain or double-quoted scalar says.

    Raises:
        _NotQuickError: It is no text.
    """
    if word[0] == '"':
        return word[1:-1]
    if resolve_scalar(word) is not word:
        raise _NotQuickError
    return word
