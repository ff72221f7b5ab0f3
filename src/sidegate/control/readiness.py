"""The checks of `/readyz`: listener, usable policy, audit writable (spec 6.6)."""

from collections.abc import Callable, Iterable, Sequence

from sidegate.control.snapshots import PolicyState
from sidegate.core.model.errors import Problem
from sidegate.telemetry.health import Check

_MAX_SHOWN = 3
"""Problems that a probe's answer lists; `/v1/snapshot` has them all."""


def listener_check(is_listening: Callable[[], bool]) -> Check:
    """Return the check that new connections are taken: not before the start has ended, not while shutting down."""

    def check() -> str | None:
        return None if is_listening() else "not taking new connections: starting up or shutting down"

    return check


def policy_check(state: PolicyState) -> Check:
    """Return the check that some policy is in force.

    A newer one that cannot be used does not count: the last good one stays, and every sidecar would turn unready at
    once by one wrong file.
    """

    def check() -> str | None:
        if state.loaded_at is not None:
            return None
        shown = _shown(state.problems)
        return f"no policy was loaded yet{': ' if shown else '; see /v1/snapshot'}{shown}"

    return check


def newest_policy_check(state: PolicyState) -> Check:
    """Return the check that nothing newer than what is in force was refused, to be told beside readiness (spec 5.1)."""

    def check() -> str | None:
        return _shown(state.problems) or None

    return check


def _shown(problems: Sequence[Problem]) -> str:
    shown = [str(problem) for problem in problems[:_MAX_SHOWN]]
    more = len(problems) - len(shown)
    if more > 0:
        shown.append(f"and {more} more, see /v1/snapshot")
    return "; ".join(shown)


def audit_check(writable: Callable[[], Problem | None]) -> Check:
    """Return the check that decisions can be recorded; without that every request is refused."""

    def check() -> str | None:
        problem = writable()
        return None if problem is None else str(problem)

    return check


def redis_check(problems: Callable[[], Iterable[str | None]]) -> Check:
    """Return the check that every Redis is there, to be told beside readiness.

    Args:
        problems: Of each link, in words with what to do; None for one that is up.
    """

    def check() -> str | None:
        wrong = dict.fromkeys(problem for problem in problems() if problem is not None)
        return "; ".join(wrong) or None

    return check
