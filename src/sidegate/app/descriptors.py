"""File descriptors: as many as the system allows, and some kept back from clients (spec 2.8)."""

import resource
from typing import Final

from sidegate.core.model.errors import ConfigError, Problem
from sidegate.telemetry.log import get_log

_log: Final = get_log("app")

RESERVE: Final = 128
"""Kept for everything but clients and the upstream: the listeners, the spool and what ships it, the journal, key sets,
the admin port's clients, Redis. Each is a handful."""

LEAST_CONNECTIONS: Final = 16
"""With room for fewer clients something is wrong with the limit, not with the clients."""


def raise_limit() -> None:
    """Let this process and its children have as many descriptors as the system grants without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_cap(wanted: int, upstream: int) -> int:
    """Return how many client connections a process may hold.

    Args:
        wanted: As configured.
        upstream: Connections to the upstream, as configured; each needs a descriptor that no client may take.

    Raises:
        ConfigError: There are not enough descriptors to serve anybody.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    possible = limit - upstream - RESERVE
    if possible < LEAST_CONNECTIONS:
        needed = upstream + RESERVE + LEAST_CONNECTIONS
        raise ConfigError(
            (
                Problem(
                    None,
                    "upstream.max_connections",
                    f"is {upstream}, and this process may have {limit} file descriptors in all",
                    f"raise the limit of open files (`ulimit -n`, LimitNOFILE) to {needed} or more, "
                    "or allow fewer connections to the upstream",
                ),
            )
        )
    if possible < wanted:
        hint = f"raise the limit of open files to {wanted + upstream + RESERVE}"
        _log.warning("connections_capped", configured=wanted, possible=possible, descriptors=limit, hint=hint)
    return min(wanted, possible)
