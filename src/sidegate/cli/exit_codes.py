"""How a command ends: one exit code per family of outcomes (spec 6.4)."""

from enum import IntEnum
from typing import Final, Self

from sidegate.core.model.errors import (
    ConfigError,
    DependencyError,
    IntegrityError,
    NamingError,
    PolicyError,
    SidegateError,
    WireError,
)


class ExitCode(IntEnum):
    """What a script can go by. From 64 on they are those of sysexits.h.

    Attributes:
        meaning: For people.
    """

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make the member for *code*."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "yes, allowed, nothing wrong"
    NO = 1, "no: refused by policy, a test that failed, policies that differ, a trail that was tampered with"
    USAGE = 2, "the command line cannot be read"
    BAD_DATA = 65, "data handed in, or stored data, is not what it should be"
    UNAVAILABLE = 69, "something that the command needs is not there or does not answer"
    # Never 1: a crash must not look like an answer.
    INTERNAL = 70, "a bug in Sidegate"
    BAD_CONFIGURATION = 78, "the configuration, the routes or a policy file cannot be used"
    INTERRUPTED = 130, "Ctrl-C"
    # What a shell reports for a process that SIGPIPE ended.
    BROKEN_PIPE = 141, "whoever read the output went away"


class UsageError(SidegateError):
    """The arguments contradict each other or name something that does not exist."""


class DataError(SidegateError):
    """What was handed in as data cannot be read, or does not hold what is asked for."""


class UnansweredError(SidegateError):
    """A running sidecar was asked, and nobody answers, or not as one would."""


_BY_FAMILY: Final[tuple[tuple[type[BaseException], ExitCode], ...]] = (
    (UsageError, ExitCode.USAGE),
    (DataError, ExitCode.BAD_DATA),
    (ConfigError, ExitCode.BAD_CONFIGURATION),
    (PolicyError, ExitCode.BAD_CONFIGURATION),
    (NamingError, ExitCode.USAGE),
    (WireError, ExitCode.BAD_DATA),
    (IntegrityError, ExitCode.BAD_DATA),
    (DependencyError, ExitCode.UNAVAILABLE),
    (UnansweredError, ExitCode.UNAVAILABLE),
    (BrokenPipeError, ExitCode.BROKEN_PIPE),
    (OSError, ExitCode.UNAVAILABLE),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that belongs to *error*; ``INTERNAL`` for what no user can have caused."""
    return next((code for family, code in _BY_FAMILY if isinstance(error, family)), ExitCode.INTERNAL)
