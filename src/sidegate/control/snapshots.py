"""`/v1/snapshot`: which policy is in force here, how old it is, and what could not be loaded (spec 6.6)."""

from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from sidegate.control.answers import json_answer
from sidegate.control.route import Route
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.telemetry.clock import Clock


class CurrentSnapshot(Protocol):
    """Where the snapshot in force is read from."""

    @property
    def current(self) -> Snapshot:
        """The snapshot in force; one without organizations before the first load."""


@value
class SourceStatus:
    """How the source of the policy is doing.

    Attributes:
        source: What it is, without credentials, e.g. ``dir:policy/``.
        loaded_at: When the snapshot in force was loaded; None before the first one.
        checked_at: When it was last known to be the newest; None before the first look.
        problems: Why something newer is not in force. Empty when all is well.
    """

    source: str
    loaded_at: UnixMillis | None
    checked_at: UnixMillis | None
    problems: Sequence[Problem] = ()


def _describe_organization(organization: OrganizationSnapshot) -> dict[str, object]:
    document = organization.document
    candidate = document.candidate
    return {
        "organization": organization.organization,
        "revision": organization.revision,
        "digest": f"sha256:{organization.digest}",
        "counts": {
            "roles": len(document.roles),
            "members": len(document.members),
            "groups": len(document.groups),
            "bindings": len(document.bindings),
            "denies": len(document.denies),
            "approvals": len(document.approvals),
            "keys": len(document.keys),
        },
        "candidate": None
        if candidate is None
        else {
            "roles": len(candidate.roles),
            "members": len(candidate.members),
            "groups": len(candidate.groups),
            "bindings": len(candidate.bindings),
            "denies": len(candidate.denies),
            "approvals": len(candidate.approvals),
            "keys": len(candidate.keys),
            "remove": len(candidate.remove),
        },
        "subjects_cached": organization.subjects_cached,
    }


def describe_problem(problem: Problem) -> dict[str, object]:
    """Return *problem* for JSON: the place apart, so that an editor can go there."""
    position = problem.position
    return {
        "file": None if position is None else position.file,
        "line": None if position is None else position.line,
        "column": None if position is None else position.column,
        "key": problem.key,
        "what": problem.what,
        "hint": problem.hint,
        "text": str(problem),
    }


def describe_snapshot(snapshot: Snapshot, status: SourceStatus, now: UnixMillis) -> dict[str, object]:
    """Return what is in force, for JSON. Ages are in milliseconds, None for what never was."""
    return {
        "revision": snapshot.revision,
        "source": status.source,
        "loaded_at": None if status.loaded_at is None else format_instant(status.loaded_at),
        "age_ms": None if status.loaded_at is None else now - status.loaded_at,
        "checked_at": None if status.checked_at is None else format_instant(status.checked_at),
        "unchecked_ms": None if status.checked_at is None else now - status.checked_at,
        "errors": [describe_problem(problem) for problem in status.problems],
        "organizations": [
            _describe_organization(organization) for _, organization in sorted(snapshot.organizations.items())
        ],
    }


class Snapshots:
    """The policy in force.

    Args:
        holder: Where it is.
        status: How its source is doing.
        clock: For ages.
    """

    __slots__ = ("_clock", "_holder", "_status")

    def __init__(self, holder: CurrentSnapshot, status: Callable[[], SourceStatus], clock: Clock) -> None:
        self._holder = holder
        self._status = status
        self._clock = clock

    async def snapshot(self, _request: web.Request) -> web.Response:
        """Answer what is in force."""
        return json_answer(describe_snapshot(self._holder.current, self._status(), self._clock.now()))

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (Route("GET", "/v1/snapshot", "the policy in force, its age and its load errors", self.snapshot),)
