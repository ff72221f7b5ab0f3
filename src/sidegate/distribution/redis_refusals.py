"""What came from Redis and could not be used, said once each (spec 5.2)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sidegate.core.model.errors import Problem
from sidegate.telemetry.log import get_log

_log: Final = get_log("distribution")

MAX_ORGANIZATIONS: Final = 4096
MAX_SHOWN: Final = 100
"""Of one organization: accounts and keys whose record cannot be used."""

_HINT: Final = "the last good one stays in force, for as long as it may"


class Refusals:
    """Records and organizations that could not be used.

    Args:
        on_failure: Told once for each, for a metric.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._found: OrderedDict[str, dict[str, str]] = OrderedDict()

    def note(self, org: str, label: str, why: str, kept_revision: int) -> None:
        """Note that something of *org* could not be used.

        Args:
            org: Its name.
            label: Which part: empty for all of it, else an account or ``key:ID``.
            why: In a sentence, with what to do.
            kept_revision: What stays in force; 0 for nothing.
        """
        found = self._found.setdefault(org, {})
        if found.get(label) == why or (label not in found and len(found) >= MAX_SHOWN):
            return
        found[label] = why
        if len(self._found) > MAX_ORGANIZATIONS:
            self._found.popitem(last=False)
        self._on_failure()
        _log.warning("policy_refused", organization=org, why=why, kept_revision=kept_revision)

    def settle(self, org: str) -> None:
        """Note that all of *org* could be used."""
        if self._found.pop(org, None) is not None:
            _log.info("policy_accepted", organization=org)

    def problems(self) -> list[Problem]:
        """List what could not be used and could not be read again since."""
        return [
            Problem(None, f"{org}: {label}" if label else org, why, _HINT)
            for org, found in self._found.items()
            for label, why in found.items()
        ]
