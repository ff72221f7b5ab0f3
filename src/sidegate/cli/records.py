"""Audit records as rows, as CSV, and grouped (spec 4.4, 5.8)."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import parse_target
from sidegate.core.model.value import value

COLUMNS: Final = ("time", "outcome", "reason", "account", "authority", "target", "org", "id")

CSV_COLUMNS: Final = (
    *("v", "record", "id", "time", "org", "account", "actor_type", "chain", "credential_kind", "credential_id"),
    *("authority", "primitive", "target", "kind", "outcome", "reason", "because", "remedy", "shadow_outcome"),
    *("shadow_reason", "revision", "approval_id", "method", "path", "route", "source", "request_id", "trace_id"),
    *("decision_ns", "decision_id", "status", "bytes_in", "bytes_out", "duration_ms", "ended", "sidecar", "seq"),
    "hash",
)

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def row_of(members: Mapping[str, Any]) -> list[str]:
    """Return one record as the cells of :data:`COLUMNS`."""
    if members.get("record") == "completion":
        what = f"{members.get('status') or 'no answer'} {members.get('ended')}"
        return [
            *(_text(members.get("time")), "-", what, "-", "-", "-", _text(members.get("org"))),
            _text(members.get("decision_id")),
        ]
    actor = members.get("actor") or {}
    account = _text(actor.get("account"))
    chain = actor.get("chain") or []
    if members.get("record") == "anomaly":
        what, where = f"unusual {members.get('kind')}", f"from {_text(members.get('source'))}"
        org, decision = _text(members.get("org")), _text(members.get("decision_id"))
        return [
            _text(members.get("time")),
            "-",
            what,
            " > ".join([account, *map(str, chain)]),
            "-",
            where,
            org,
            decision,
        ]
    target = members.get("target")
    asked = _text(target) if target is not None else f"{_text(members.get('method'))} {_text(members.get('path'))}"
    return [
        _text(members.get("time")),
        _text(members.get("outcome")),
        _text(members.get("reason")),
        " > ".join([account, *map(str, chain)]),
        _text(members.get("authority")),
        asked,
        _text(members.get("org")),
        _text(members.get("id")),
    ]


def _text(member: object) -> str:
    return "-" if member is None else str(member)


class CsvText:
    """Writes records as CSV, line by line."""

    def __init__(self) -> None:
        self._held = io.StringIO()
        self._writer = csv.writer(self._held, lineterminator="\r\n")

    def header(self) -> str:
        """Return the first line."""
        return self._line(CSV_COLUMNS)

    def line(self, members: Mapping[str, Any]) -> str:
        """Return the line of one record."""
        actor, credential = members.get("actor") or {}, members.get("credential") or {}
        shadow = members.get("shadow") or {}
        flat = {
            **members,
            "account": actor.get("account"),
            "actor_type": actor.get("type"),
            "chain": " ".join(map(str, actor.get("chain") or ())),
            "credential_kind": credential.get("kind"),
            "credential_id": credential.get("id"),
            "because": " ".join(map(str, members.get("because") or ())),
            "shadow_outcome": shadow.get("outcome"),
            "shadow_reason": shadow.get("reason"),
        }
        return self._line([_inert(flat.get(name)) for name in CSV_COLUMNS])

    def _line(self, cells: Sequence[str]) -> str:
        self._writer.writerow(cells)
        line = self._held.getvalue()
        self._held.seek(0)
        self._held.truncate()
        return line


def _inert(member: object) -> str:
    """Write a cell so that no spreadsheet takes it for a formula: request ids are the client's own words."""
    text = "" if member is None else str(member)
    return f"'{text}" if isinstance(member, str) and text.startswith(_FORMULA_STARTS) else text


@value
class DivergenceKey:
    """What divergences are grouped by (spec 4.4).

    Attributes:
        org: Organization.
        account: Who asked.
        authority: For what.
        scope: On which branch, project or section; paths on one branch belong together.
        enforced: Outcome and reason that acted, e.g. ``deny not_granted``.
        candidate: Outcome and reason of the candidate.
    """

    org: str
    account: str
    authority: str
    scope: str
    enforced: str
    candidate: str


@value
class Divergence:
    """One group.

    Attributes:
        key: What is the same in all of it.
        count: How many records.
        first_seen: Instant of the oldest.
        last_seen: Instant of the newest.
        example: Id of the newest decision.
        example_target: What that was about.
    """

    key: DivergenceKey
    count: int
    first_seen: str
    last_seen: str
    example: str
    example_target: str


def group_divergences(records: Iterable[Mapping[str, Any]]) -> list[Divergence]:
    """Group divergent decision *records*, which come oldest first; the most frequent group first."""
    groups: dict[DivergenceKey, Divergence] = {}
    for members in records:
        key = _key_of(members)
        time, decision_id, target = str(members.get("time")), str(members.get("id")), _text(members.get("target"))
        known = groups.get(key)
        count, first_seen = (1, time) if known is None else (known.count + 1, known.first_seen)
        groups[key] = Divergence(key, count, first_seen, time, decision_id, target)
    return sorted(groups.values(), key=lambda group: (-group.count, str(group.key)))


def _key_of(members: Mapping[str, Any]) -> DivergenceKey:
    actor, shadow = members.get("actor") or {}, members.get("shadow") or {}
    return DivergenceKey(
        _text(members.get("org")),
        _text(actor.get("account")),
        _text(members.get("authority")),
        _scope_of(_text(members.get("org")), _text(members.get("target"))),
        f"{members.get('outcome')} {members.get('reason')}",
        f"{shadow.get('outcome')} {shadow.get('reason')}",
    )


def _scope_of(org: str, text: str) -> str:
    try:
        target = parse_target(org, text)
    except NamingError:
        return text
    if target.section is not None:
        return target.text
    return f"{target.project}@{target.branch}" if target.branch is not None else str(target.project)
