"""`/v1/snapshot`: which policy is in force here, how old it is, and what could not be loaded (spec 6.6)."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from sidegate.control.answers import json_answer
from sidegate.control.route import Route
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.telemetry.clock import Clock


class CurrentSnapshot(Protocol):
    """Where the snapshot in force is read from."""

    @property
    def current(self) -> Snapshot:
        """The snapshot in force; one without organizations before the first load."""


class PolicyState(CurrentSnapshot, Protocol):
    """The snapshot in force and how its source is doing (:class:`~sidegate.distribution.holder.SnapshotHolder`)."""

    @property
    def loaded_at(self) -> UnixMillis | None:
        """When the snapshot in force was put there; None before the first."""

    @property
    def checked_at(self) -> UnixMillis | None:
        """When its source was last known to hold nothing newer; None before the first look."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Why something newer is not in force; empty when all is well."""


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


def describe_snapshot(state: PolicyState, source: str, now: UnixMillis) -> dict[str, object]:
    """Return what is in force, for JSON. Ages are in milliseconds, None for what never was."""
    snapshot, loaded_at, checked_at = state.current, state.loaded_at, state.checked_at
    return {
        "revision": snapshot.revision,
        "source": source,
        "loaded_at": None if loaded_at is None else format_instant(loaded_at),
        "age_ms": None if loaded_at is None else now - loaded_at,
        "checked_at": None if checked_at is None else format_instant(checked_at),
        "unchecked_ms": None if checked_at is None else now - checked_at,
        "errors": [describe_problem(problem) for problem in state.problems],
        "organizations": [
            _describe_organization(organization) for _, organization in sorted(snapshot.organizations.items())
        ],
    }


class Snapshots:
    """The policy in force.

    Args:
        state: Where it is and how its source is doing.
        source: What the source is, without credentials, e.g. ``dir:policy/``.
        clock: For ages.
    """

    __slots__ = ("_clock", "_source", "_state")

    def __init__(self, state: PolicyState, source: str, clock: Clock) -> None:
        self._state = state
        self._source = source
        self._clock = clock

    async def snapshot(self, _request: web.Request) -> web.Response:
        """Answer what is in force."""
        return json_answer(describe_snapshot(self._state, self._source, self._clock.now()))

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (Route("GET", "/v1/snapshot", "the policy in force, its age and its load errors", self.snapshot),)
