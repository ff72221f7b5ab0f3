"""Which records a question is about (spec 5.8)."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import Scope, parse_target
from sidegate.core.model.units import UnixMillis, format_instant, parse_instant
from sidegate.core.model.value import value
from sidegate.core.trail.json_text import json_text
from sidegate.core.trail.read import Members
from sidegate.core.trail.record import RecordKind

_AGO: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_UNIT_MILLIS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_since(text: str, now: UnixMillis) -> UnixMillis:
    """Read an instant, or a time before *now* like ``90s``, ``15m``, ``1h``, ``7d``, ``2w``.

    Raises:
        ValueError: Neither; the message says how to write it.
    """
    found = _AGO.fullmatch(text)
    if found is not None:
        return UnixMillis(max(0, now - int(found[1]) * _UNIT_MILLIS[found[2]]))
    try:
        return parse_instant(text)
    except ValueError:
        raise ValueError(f"`{text}` is no time; write it like 15m, 1h, 7d or 2026-12-01T00:00:00Z") from None


@value
class RecordFilter:
    """What a record has to be; None asks for nothing. Everything asked for has to hold.

    A completion record tells only its organization, its time and the decision it belongs to: it answers a filter that
    asks for nothing else.

    Attributes:
        id: Of the decision, or of the record itself.
        org: Organization.
        actor: Account (``user:ana``), or the id of a link of the delegation chain.
        authority: What was asked for.
        target: A scope that covers the target, in the record's organization.
        outcome: allow or deny.
        reason: Why.
        since: The first instant.
        until: The first instant that is too late.
        is_divergent: The candidate answered differently.
        kinds: Kinds of records.
    """

    id: str | None = None
    org: str | None = None
    actor: str | None = None
    authority: Authority | None = None
    target: Scope | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    since: UnixMillis | None = None
    until: UnixMillis | None = None
    is_divergent: bool | None = None
    kinds: frozenset[RecordKind] = frozenset({RecordKind.DECISION})


class RecordMatcher:
    """A filter, made ready for many lines.

    Attributes:
        needles: Each is in every line that matches: a line without one is not worth reading as JSON.
    """

    __slots__ = ("_checks", "_kinds", "_since", "_until", "needles")

    def __init__(self, wanted: RecordFilter) -> None:
        # Instants are written with the same number of digits: as texts they are in the order of time.
        self._since = "" if wanted.since is None else format_instant(wanted.since)
        self._until = None if wanted.until is None else format_instant(wanted.until)
        self._kinds = frozenset(kind.value for kind in wanted.kinds)
        self._checks = _checks_of(wanted)
        self.needles = _needles_of(wanted)

    def matches(self, members: Members) -> bool:
        """Whether the record with *members* is asked for."""
        time = members.get("time")
        return (
            members.get("record") in self._kinds
            and isinstance(time, str)
            and time >= self._since
            and (self._until is None or time < self._until)
            and all(check(members) for check in self._checks)
        )


def _needles_of(wanted: RecordFilter) -> tuple[bytes, ...]:
    texts: list[str | None] = [wanted.id, wanted.org, wanted.actor, wanted.authority, wanted.outcome, wanted.reason]
    return tuple(json_text(text.value if isinstance(text, StrEnum) else text) for text in texts if text is not None)


def _checks_of(wanted: RecordFilter) -> list[Callable[[Members], bool]]:
    checks: list[Callable[[Members], bool]] = []
    for name, asked in (
        ("org", wanted.org),
        ("authority", wanted.authority),
        ("outcome", wanted.outcome),
        ("reason", wanted.reason),
    ):
        if asked is not None:
            checks.append(_equals(name, asked))
    if wanted.id is not None:
        checks.append(lambda members: wanted.id in {members.get("id"), members.get("decision_id")})
    if wanted.actor is not None:
        checks.append(lambda members: _acts(members.get("actor"), wanted.actor))
    if wanted.is_divergent is not None:
        checks.append(lambda members: (members.get("shadow") is not None) is wanted.is_divergent)
    if wanted.target is not None:
        scope = wanted.target
        checks.append(lambda members: _covers(scope, members))
    return checks


def _equals(name: str, asked: str) -> Callable[[Members], bool]:
    return lambda members: members.get(name) == asked


def _acts(actor: object, asked: str | None) -> bool:
    return isinstance(actor, dict) and (actor.get("account") == asked or asked in actor.get("chain", ()))


def _covers(scope: Scope, members: Members) -> bool:
    org, target = members.get("org"), members.get("target")
    if not isinstance(org, str) or not isinstance(target, str):
        return False
    try:
        return scope.covers(parse_target(org, target))
    except NamingError:
        return False
