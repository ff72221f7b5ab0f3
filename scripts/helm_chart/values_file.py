"""Reads values.yaml with its comments: `# --` before a key begins what is said about it, more comment lines go on."""

import re
from typing import Any, Final, NamedTuple

import yaml

_KEY: Final = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(.*)$")
_MARK: Final = "# -- "


class ValueLine(NamedTuple):
    """One described value.

    Attributes:
        path: Its keys from the root.
        description: What the comment says.
        default: What is written.
    """

    path: tuple[str, ...]
    description: str
    default: Any


class UndescribedError(ValueError):
    """A value without a comment."""


def read_values(text: str) -> list[ValueLine]:
    """Return every described value in order.

    Raises:
        UndescribedError: A value that holds no described ones has no comment itself.
    """
    data = yaml.safe_load(text)
    lines: list[ValueLine] = []
    open_keys: list[tuple[int, str]] = []
    described_above: int | None = None  # indentation of a described key: what is below it is its default
    comment: list[str] = []
    undescribed: dict[tuple[str, ...], None] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(_MARK):
            comment = [stripped.removeprefix(_MARK)]
            continue
        if stripped.startswith("#"):
            comment = [*comment, stripped.removeprefix("#").strip()] if comment else []
            continue
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match[1])
        if described_above is not None and indent > described_above:
            continue
        described_above = None
        open_keys = [*((at, key) for at, key in open_keys if at < indent), (indent, match[2])]
        path = tuple(key for _, key in open_keys)
        undescribed.pop(path[:-1], None)
        if comment:
            lines.append(ValueLine(path, " ".join(comment), _value_at(data, path)))
            described_above = indent
        else:
            undescribed[path] = None
        comment = []
    if undescribed:
        names = ", ".join(".".join(path) for path in undescribed)
        raise UndescribedError(f"values.yaml says nothing about {names}; write a comment that begins with `{_MARK}`")
    return lines


def _value_at(data: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401  any value
    for key in path:
        data = data[key]
    return data
