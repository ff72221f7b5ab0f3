"""What is looked at, and what was found."""

from enum import StrEnum
from pathlib import Path

from sidegate.config.held import Settings
from sidegate.config.policy_file import LoadedPolicy
from sidegate.config.routes_file import LoadedRoutes
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value


class Section(StrEnum):
    """What a check is about, in the order in which people read."""

    CONFIGURATION = "configuration"
    POLICY = "policy"
    ROUTES = "routes"
    UPSTREAM = "upstream"
    REDIS = "redis"
    AUDIT = "audit"
    CLOCK = "clock"
    CERTIFICATES = "certificates"
    JWKS = "jwks"
    LIMITS = "limits"
    SIDECAR = "sidecar"


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should, or not for long."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """There is nothing to look at, or what it builds on failed."""


@value
class Check:
    """One thing that is looked at.

    Attributes:
        id: Its name, and its anchor in the documentation.
        section: Where it belongs.
        asks: What it finds out, as a statement that should hold.
        hint: What to do when it does not.
    """

    id: str
    section: Section
    asks: str
    hint: str

    def ok(self, detail: str) -> "Finding":
        """It holds."""
        return Finding(self, State.OK, detail)

    def warn(self, detail: str) -> "Finding":
        """It holds for now, or not quite."""
        return Finding(self, State.WARNING, detail)

    def fail(self, detail: str) -> "Finding":
        """It does not hold."""
        return Finding(self, State.FAILED, detail)

    def skip(self, why: str) -> "Finding":
        """It was not looked at."""
        return Finding(self, State.SKIPPED, why)


@value
class Finding:
    """What one check found.

    Attributes:
        check: Which.
        state: How it ended.
        detail: What was seen.
    """

    check: Check
    state: State
    detail: str


@value
class Site:
    """What is looked at.

    Attributes:
        config: The configuration file; None for variables only.
        settings: As configured.
        routes: None when they cannot be used.
        policies: Of a folder; None when they cannot be used, or are elsewhere.
        problems: What is wrong in any of the files.
        warnings: What looks wrong in them but fails safe.
        now: Wall clock.
        timeout_s: For each step that waits for somebody.
    """

    config: Path | None
    settings: Settings
    routes: LoadedRoutes | None
    policies: tuple[LoadedPolicy, ...] | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    now: UnixMillis
    timeout_s: float
