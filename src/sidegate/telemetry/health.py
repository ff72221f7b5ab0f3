"""Whether this process is alive and ready, as checks that each say what is wrong (spec 6.6)."""

from collections.abc import Callable, Mapping

from sidegate.core.model.value import value
from sidegate.telemetry.shared import Readings

Check = Callable[[], str | None]
"""None when all is well; otherwise what is wrong and what to do next. Cheap: it reads what is known, it does no I/O."""


@value
class CheckResult:
    """One check as it stands.

    Attributes:
        name: Short and stable, e.g. ``policy``.
        wrong: None when all is well.
        is_required: Whether the process is only alive, or ready, when all is well with it.
    """

    name: str
    wrong: str | None
    is_required: bool = True


class Health:
    """The checks of a process.

    Args:
        live: What only a restart mends. That the event loop turns is checked by answering at all.
        ready: What must hold for requests to be sent here: listener, usable policy, audit writable. Not Redis, not the
            upstream: every sidecar would turn unready at once, and nothing would be left to say so (spec 6.6).
        told: What is told beside readiness and does not decide it: Redis.
    """

    __slots__ = ("_live", "_ready", "_told")

    def __init__(
        self, live: Mapping[str, Check], ready: Mapping[str, Check], told: Mapping[str, Check] | None = None
    ) -> None:
        self._live = dict(live)
        self._ready = dict(ready)
        self._told = dict(told or {})

    def live(self) -> tuple[CheckResult, ...]:
        """Run the checks of life."""
        return tuple(CheckResult(name, check()) for name, check in self._live.items())

    def ready(self) -> tuple[CheckResult, ...]:
        """Run the checks of readiness, then what is told beside it."""
        required = (CheckResult(name, check()) for name, check in self._ready.items())
        return (*required, *(CheckResult(name, check(), is_required=False) for name, check in self._told.items()))


def workers_check(readings: Readings) -> Check:
    """Return the check that no worker is stuck: each that has not ended publishes several times a second."""

    def check() -> str | None:
        stuck = [str(reading.pid) for reading in readings() if reading.pid != 0 and not reading.is_live]
        if not stuck:
            return None
        return f"no sign of life from worker process {', '.join(stuck)}; restart it"

    return check
