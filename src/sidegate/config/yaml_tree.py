"""YAML files read one way: plain data and the place of every key and value in it.

The subset is what all YAML readers agree on: one document of mappings with text keys, sequences and scalars of the YAML
1.2 core schema. Anchors, aliases, merge keys and tags are refused, so is a repeated key. Parsing is libyaml's (see
``docs/decisions/0010-yaml-parser.md``); what a scalar means is decided here, because PyYAML's own rules are those of
YAML 1.1, in which the key ``on`` is a truth value and ``12:30:00`` a number.
"""

import re
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from sidegate.core.model.errors import Position, Problem
from sidegate.core.model.value import value

Path = tuple[str | int, ...]
"""Where something stands in the data: keys and indexes from the root."""

MAX_DEPTH: Final = 32
"""Nested collections. The deepest of our files needs 7."""

_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START: Final = frozenset("0123456789+-.")
# YAML 1.2.2 section 10.3.2. More digits than a double or a 64-bit number has stay text, which no number field takes.
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_RADIX: Final = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,3})?")


_Collection = dict[str, Any] | list[Any]

_REFUSED: Final = "\0"
"""In the place of a key that was refused: its value is read, but goes nowhere. No YAML text holds a NUL."""


class _Mark:
    """Where one node starts, and what is below it."""

    __slots__ = ("below", "column", "keys", "line", "written")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.below: dict[str | int, _Mark] = {}
        self.keys: dict[str, tuple[int, int]] = {}
        self.written: str | None = None


@value
class YamlTree:
    """One file as data.

    Attributes:
        file: Its name, as positions show it.
        data: Mappings, lists, text, numbers, truth values and None; None for an empty or unreadable file.
        problems: What is wrong with it as YAML. The data is then whole but for what the problems name, so that
            everything else that is wrong can be said at the same time; None after a syntax error, or nested too deep.
    """

    file: str
    data: Any
    problems: tuple[Problem, ...]
    _root: _Mark

    def position(self, path: Path) -> Position:
        """Return where the value at *path* starts, or the nearest one around it that is written down."""
        mark, _rest = self._find(path)
        return Position(self.file, mark.line + 1, mark.column + 1)

    def key_position(self, path: Path) -> Position:
        """Return where the key of *path* starts; for an element of a list, the element."""
        around, rest = self._find(path[:-1])
        place = around.keys.get(str(path[-1])) if path and not rest else None
        return self.position(path) if place is None else Position(self.file, place[0] + 1, place[1] + 1)

    def written(self, path: Path) -> str | None:
        """Return the number or constant at *path* as it was written, e.g. ``1.10``; None for anything else."""
        mark, rest = self._find(path)
        return None if rest else mark.written

    def label(self, path: Path) -> str:
        """Return what people call *path*: ``limits.headers``."""
        return dotted(path)

    def _find(self, path: Path) -> tuple[_Mark, Path]:
        """Return the mark of the longest part of *path* that is written down, and the rest."""
        mark = self._root
        for place, step in enumerate(path):
            below = mark.below.get(step)
            if below is None:
                return mark, path[place:]
            mark = below
        return mark, ()


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return what the plain scalar *text* means in the core schema of YAML 1.2, without .inf and .nan."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in _NUMBER_START:
        if _INT.fullmatch(text) is not None:
            return int(text)
        if _RADIX.fullmatch(text) is not None:
            return int(text, 0)
        if _FLOAT.fullmatch(text) is not None:
            return float(text)
    return text


def dotted(path: Path) -> str:
    """Write *path* for people: ``audit.sinks[0].file``; ``file`` for the whole."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "file"


def read_tree(content: bytes, file: str, max_bytes: int) -> YamlTree:
    """Read *content* as one YAML document.

    Args:
        content: The whole file.
        file: Its name, for positions.
        max_bytes: A longer one is refused unread.
    """
    if len(content) > max_bytes:
        return _unreadable(file, 1, 1, f"has {len(content)} bytes", f"write at most {max_bytes}")
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        before = content[: exc.start]
        line, column = before.count(b"\n") + 1, exc.start - before.rfind(b"\n")
        return _unreadable(file, line, column, "is not UTF-8 here", "save it as UTF-8")
    composer = _Composer(file)
    try:
        for event in yaml.parse(text.removeprefix("\ufeff"), Loader=yaml.CLoader):
            composer.take(event)
    except _TooDeepError:
        # Not read on: whoever walks over the data does so by recursion, and the parser's own effort is quadratic.
        return YamlTree(file, None, tuple(composer.problems), composer.root or _Mark(0, 0))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = ", ".join(part for part in (exc.context, exc.problem) if part)
        return _unreadable(file, line, column, f"cannot be read: {what}", _SYNTAX_HINT)
    except yaml.reader.ReaderError as exc:
        line, column = _place_of(text, text.find(chr(exc.character) if isinstance(exc.character, int) else "\0"))
        return _unreadable(file, line, column, "holds a control character", "remove it, or escape it in double quotes")
    return YamlTree(file, composer.data, tuple(composer.problems), composer.root or _Mark(0, 0))


_SYNTAX_HINT: Final = (
    "check indentation and quotes, here and in the line above; quote text that starts with one of * & ! | > % @ ` "
    "or holds braces or brackets"
)


def _place_of(text: str, offset: int) -> tuple[int, int]:
    before = text[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _unreadable(file: str, line: int, column: int, what: str, hint: str) -> YamlTree:
    return YamlTree(
        file, None, (Problem(Position(file, line, column), "file", what, hint),), _Mark(line - 1, column - 1)
    )


def _mark_of(event: Event) -> _Mark:
    start: Any = event.start_mark  # None only for events that a program makes
    return _Mark(start.line, start.column)


class _TooDeepError(Exception):
    """Internal: nothing that is nested so deep is read."""


class _Composer:
    """Makes data and marks from parser events; a stack, no recursion, so that depth costs no C stack."""

    def __init__(self, file: str) -> None:
        self.data: object = None
        self.root: _Mark | None = None
        self.problems: list[Problem] = []
        self._file = file
        self._documents = 0
        # Open collections: data and mark, where each stands in the one around it, and for a mapping the key whose
        # value comes next.
        self._open: list[tuple[_Collection, _Mark]] = []
        self._steps: list[str | int] = []
        self._key: list[str | None] = []

    def take(self, event: Event) -> None:
        """Take the next event of the stream."""
        if isinstance(event, ScalarEvent):
            self._take_scalar(event)
        elif isinstance(event, MappingStartEvent):
            self._open_collection(event, {})
        elif isinstance(event, SequenceStartEvent):
            self._open_collection(event, [])
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()
            self._steps.pop()
            self._key.pop()
        elif isinstance(event, AliasEvent):
            self._refuse(event, f"is an alias (*{event.anchor})", "write the value out; aliases are not read")
            self._place(None, _mark_of(event))
        elif isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents == 2:  # noqa: PLR2004  the second one, and only once
                self._refuse(event, "starts a second document", "keep one document to a file")

    def _step(self) -> str | int:
        """Return where the next node stands in the innermost open collection."""
        if not self._open:
            return ""
        data = self._open[-1][0]
        return len(data) if isinstance(data, list) else self._key[-1] or ""

    def _path(self) -> Path:
        return tuple(step for step in (*self._steps, self._step()) if step not in {"", _REFUSED})

    def _refuse(self, event: Event, what: str, hint: str) -> None:
        mark = _mark_of(event)
        place = Position(self._file, mark.line + 1, mark.column + 1)
        self.problems.append(Problem(place, dotted(self._path()), what, hint))

    def _refuse_properties(self, event: ScalarEvent | CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._refuse(event, f"has an anchor (&{event.anchor})", "remove it; anchors and aliases are not read")
        if event.tag is not None:
            self._refuse(event, f"has a tag ({event.tag})", "remove it; a value is what it looks like")

    def _take_scalar(self, event: ScalarEvent) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        if self._open and self._key[-1] is None and isinstance(self._open[-1][0], dict):
            self._take_key(event, self._open[-1][1].keys)
            return
        text: str = event.value
        mark = _mark_of(event)
        if event.style:
            self._place(text, mark)
            return
        data = resolve_scalar(text)
        if data is not text:
            mark.written = text
        self._place(data, mark)

    def _take_key(self, event: ScalarEvent, keys: dict[str, tuple[int, int]]) -> None:
        key: str = event.value
        if not event.style and not isinstance(resolve_scalar(key), str):
            self._refuse(event, f"has the key {key or 'null'}, which is no text", f'put it in quotes: "{key}"')
            key = _REFUSED
        elif key == "<<" and not event.style:
            self._refuse(event, "has a merge key (<<)", "write the values out; merge keys are not read")
            key = _REFUSED
        elif key in keys:
            self._refuse(event, f"repeats the key `{key}` of line {keys[key][0] + 1}", "keep one")
            key = _REFUSED
        else:
            start = _mark_of(event)
            keys[key] = (start.line, start.column)
        self._key[-1] = key

    def _open_collection(self, event: CollectionStartEvent, data: _Collection) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        if len(self._open) == MAX_DEPTH:
            self._refuse(event, f"is nested more than {MAX_DEPTH} deep", "write it flatter")
            raise _TooDeepError
        mark = _mark_of(event)
        step = self._step()
        if self._open and self._key[-1] is None and isinstance(self._open[-1][0], dict):
            self._refuse(event, "has a key that is no text", "write plain text keys")
            self._key[-1] = _REFUSED
        else:
            self._place(data, mark)
        self._open.append((data, mark))
        self._steps.append(step)
        self._key.append(None)

    def _place(self, data: object, mark: _Mark) -> None:
        if not self._open:
            if self._documents == 1:
                self.data, self.root = data, mark
            return
        around, its_mark = self._open[-1]
        if isinstance(around, list):
            its_mark.below[len(around)] = mark
            around.append(data)
            return
        key = self._key[-1]
        # An alias in the place of a key is refused as an alias; what follows it is its value.
        self._key[-1] = _REFUSED if key is None else None
        if key is not None and key is not _REFUSED:
            around[key] = data
            its_mark.below[key] = mark
