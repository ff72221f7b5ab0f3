"""Records as rows of one flat table: the columns of Parquet files and of CSV (spec 5.8)."""

import re
from collections.abc import Callable
from typing import Any, Final

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import parse_instant
from sidegate.core.trail.read import Members
from sidegate.core.trail.record import RecordKind

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INT64: Final = 1 << 63

Getter = Callable[[Members], Any]


def _member(name: str) -> Getter:
    return lambda members: members.get(name)


def _within(outer: str, inner: str) -> Getter:
    def get(members: Members) -> object:
        found = members.get(outer)
        return found.get(inner) if isinstance(found, dict) else found

    return get


_TEXTS: Final[dict[str, Getter]] = {
    "record": _member("record"),
    "id": _member("id"),
    "time": _member("time"),
    "org": _member("org"),
    "account": _within("actor", "account"),
    "actor_type": _within("actor", "type"),
    "credential_kind": _within("credential", "kind"),
    "credential_id": _within("credential", "id"),
    **{name: _member(name) for name in ("authority", "primitive", "target", "kind", "outcome", "reason", "remedy")},
    "shadow_outcome": _within("shadow", "outcome"),
    "shadow_reason": _within("shadow", "reason"),
    **{name: _member(name) for name in ("approval_id", "method", "path", "route", "source", "request_id", "trace_id")},
    **{name: _member(name) for name in ("decision_id", "ended", "sidecar", "hash")},
}
_NUMBERS: Final[dict[str, Getter]] = {
    name: _member(name)
    for name in ("v", "revision", "decision_ns", "status", "bytes_in", "bytes_out", "duration_ms", "seq")
}
_LISTS: Final[dict[str, Getter]] = {"chain": _within("actor", "chain"), "because": _member("because")}

TEXT_COLUMNS: Final = tuple(_TEXTS)
NUMBER_COLUMNS: Final = tuple(_NUMBERS)
LIST_COLUMNS: Final = tuple(_LISTS)


def flatten(members: Members) -> dict[str, Any]:
    """Return the record with *members* as one row; every column is there, None where the record has nothing.

    Raises:
        IntegrityError: It is no record that could have been written: the id, the time or a type is not right.
    """
    row: dict[str, Any] = {name: get(members) for name, get in _TEXTS.items()}
    row |= {name: get(members) for name, get in _NUMBERS.items()}
    row |= {name: get(members) for name, get in _LISTS.items()}
    for name in TEXT_COLUMNS:
        if row[name] is not None and not isinstance(row[name], str):
            raise IntegrityError(f"`{name}` of a record is no text")
    for name in NUMBER_COLUMNS:
        number = row[name]
        if number is not None and (type(number) is not int or not -_INT64 <= number < _INT64):
            raise IntegrityError(f"`{name}` of a record is no whole number")
    for name in LIST_COLUMNS:
        if row[name] is not None and not _is_texts(row[name]):
            raise IntegrityError(f"`{name}` of a record is no list of texts")
    # Kinds that come later are records like these; what says that it is a checkpoint and cannot be read as one is none.
    if row["record"] in {None, RecordKind.CHECKPOINT}:
        raise IntegrityError(f"a line is no record but {row['record']!r}")
    if row["id"] is None or _ID.fullmatch(row["id"]) is None:
        raise IntegrityError("the id of a record is no UUID")
    try:
        parse_instant(row["time"] or "")
    except ValueError:
        raise IntegrityError("the time of a record is no instant") from None
    return row


def _is_texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(text, str) for text in found)
