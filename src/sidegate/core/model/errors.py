"""The families of exceptions. A refusal is a value; only a fault is raised (style 3)."""

from enum import StrEnum
from typing import TYPE_CHECKING

from sidegate.core.model.value import value

if TYPE_CHECKING:
    from sidegate.core.model.decision import Reason


class SidegateError(Exception):
    """Root of the families; never raised itself."""


class NamingError(SidegateError, ValueError):
    """A name, path, section, scope or target is not written as spec 1.2 says. Where it stood is the caller's to add."""


@value
class Position:
    """A place in a file, for people: both counts start at 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@value
class Problem:
    """One thing that is wrong in a file or a variable.

    Attributes:
        position: Where it stands; None for something outside files, e.g. a variable (then *key* names it).
        key: Dotted name of the setting or entry.
        what: What is wrong, e.g. ``is 'soon'``.
        hint: What to do next.
    """

    position: Position | None
    key: str
    what: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.position}: " if self.position is not None else ""
        return f"{place}`{self.key}` {self.what}; {self.hint}"

    def describe(self) -> dict[str, object]:
        """Return it for JSON: the place apart, so that an editor can go there."""
        position = self.position
        return {
            "file": None if position is None else position.file,
            "line": None if position is None else position.line,
            "column": None if position is None else position.column,
            "key": self.key,
            "what": self.what,
            "hint": self.hint,
            "text": str(self),
        }


class _ProblemsError(SidegateError):
    """Carries every problem found, not only the first."""

    def __init__(self, problems: "tuple[Problem, ...]") -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ConfigError(_ProblemsError):
    """The configuration or routes cannot be used. The process must not start (exit 78)."""


class PolicyError(_ProblemsError):
    """A policy document cannot be used. The last good revision stays."""


class WireError(SidegateError):
    """Bytes that cannot be read in exactly one way (spec 2).

    Attributes:
        status: HTTP status of the answer.
        reason: ``malformed_request``, ``ambiguous_path`` and so on.
        detail: One sentence for the client; never holds bytes of the request.
    """

    def __init__(self, status: int, reason: "Reason", detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class Dependency(StrEnum):
    """Something outside this process that Sidegate leans on."""

    UPSTREAM = "upstream"
    REDIS = "redis"
    JWKS = "jwks"
    SPOOL = "spool"
    SINK = "sink"
    STATE = "state"


class DependencyError(SidegateError):
    """Something outside did not do its part."""

    def __init__(self, dependency: Dependency, doing: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{dependency} failed while {doing}")
        self.dependency = dependency
        self.doing = doing
        self.retry_after_s = retry_after_s


class IntegrityError(SidegateError):
    """Stored data is not what was stored."""


class InvariantError(SidegateError):
    """A bug in Sidegate: something that cannot be is so."""
