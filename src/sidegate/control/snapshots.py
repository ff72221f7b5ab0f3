"""`/v1/snapshot`: which policy is in force here, how old it is, and what could not be loaded (spec 6.6)."""

from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol

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


MAX_SHOWN: Final = 500
"""Organizations that one answer describes, at some 10 µs each; there may be 20,000 in memory of what is in Redis."""


def _describe_organization(organization: OrganizationSnapshot) -> dict[str, object]:
    candidate = organization.document.candidate
    return {
        "organization": organization.organization,
        "revision": organization.revision,
        "digest": f"sha256:{organization.digest}",
        "counts": organization.counts(),
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


def describe_snapshot(state: PolicyState, source: str, now: UnixMillis, only: str = "") -> dict[str, object]:
    """Return what is in force, for JSON. Ages are in milliseconds, None for what never was.

    Args:
        state: Where it is.
        source: What it comes from, for people.
        now: Wall clock.
        only: An organization to describe; empty for as many as one answer has room for.
    """
    snapshot, loaded_at, checked_at = state.current, state.loaded_at, state.checked_at
    return {
        "revision": snapshot.revision,
        "source": source,
        "loaded_at": None if loaded_at is None else format_instant(loaded_at),
        "age_ms": None if loaded_at is None else now - loaded_at,
        "checked_at": None if checked_at is None else format_instant(checked_at),
        "unchecked_ms": None if checked_at is None else now - checked_at,
        "errors": [problem.describe() for problem in state.problems],
        "organizations_in_memory": len(snapshot.organizations),
        "organizations": [_describe_organization(organization) for organization in _shown(snapshot, only)],
    }


def _shown(snapshot: Snapshot, only: str) -> list[OrganizationSnapshot]:
    if only:
        found = snapshot.organizations.get(only)
        return [] if found is None else [found]
    shown = islice(snapshot.organizations.values(), MAX_SHOWN)
    return sorted(shown, key=lambda organization: organization.organization)


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

    async def snapshot(self, request: web.Request) -> web.Response:
        """Answer what is in force; `?organization=NAME` for one organization."""
        only = request.query.get("organization", "")
        return json_answer(describe_snapshot(self._state, self._source, self._clock.now(), only))

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        meaning = "the policy in force, its age and its load errors; ?organization=NAME for one of many"
        return (Route("GET", "/v1/snapshot", meaning, self.snapshot),)
