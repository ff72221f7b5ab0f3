"""One exit code per family of outcomes."""

import pytest

from sidegate.cli.exit_codes import DataError, ExitCode, UsageError, exit_code_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import (
    ConfigError,
    Dependency,
    DependencyError,
    IntegrityError,
    InvariantError,
    NamingError,
    PolicyError,
    WireError,
)


def test_the_codes_of_the_specification() -> None:
    """Spec 6.4: 0 yes, 1 no, 2 usage, 65 bad data, 69 unavailable, 78 bad configuration."""
    assert {code.name: code.value for code in ExitCode if code.value in {0, 1, 2, 65, 69, 78}} == {
        "OK": 0, "NO": 1, "USAGE": 2, "BAD_DATA": 65, "UNAVAILABLE": 69, "BAD_CONFIGURATION": 78,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(UsageError(), ExitCode.USAGE, id="usage"),
        pytest.param(NamingError(), ExitCode.USAGE, id="naming"),
        pytest.param(DataError(), ExitCode.BAD_DATA, id="data"),
        pytest.param(WireError(400, Reason.AMBIGUOUS_PATH, ""), ExitCode.BAD_DATA, id="wire"),
        pytest.param(IntegrityError(), ExitCode.BAD_DATA, id="integrity"),
        pytest.param(ConfigError(()), ExitCode.BAD_CONFIGURATION, id="config"),
        pytest.param(PolicyError(()), ExitCode.BAD_CONFIGURATION, id="policy"),
        pytest.param(DependencyError(Dependency.SPOOL, ""), ExitCode.UNAVAILABLE, id="dependency"),
        pytest.param(FileNotFoundError(), ExitCode.UNAVAILABLE, id="system"),
        pytest.param(BrokenPipeError(), ExitCode.BROKEN_PIPE, id="broken-pipe-before-system"),
        pytest.param(KeyboardInterrupt(), ExitCode.INTERRUPTED, id="ctrl-c"),
        pytest.param(InvariantError(), ExitCode.INTERNAL, id="invariant"),
        pytest.param(ValueError(), ExitCode.INTERNAL, id="anything-else"),
    ],
)
def test_every_family_has_one(error: BaseException, code: ExitCode) -> None:
    """A crash is never 1: that would be an answer."""
    assert exit_code_of(error) is code
