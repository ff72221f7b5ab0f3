"""How a command ends when something goes wrong."""

from typing import Any

import pytest

from sidegate.cli.ending import end_in_order
from sidegate.core.model.errors import ConfigError, NamingError, PolicyError, Position, Problem

_PROBLEM = Problem(Position("a.yaml", 2, 3), "limits.headers", "is 'x'", "write a whole number")


def _raising(error: BaseException) -> Any:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(ConfigError((_PROBLEM,)), 78, "sidegate: 1 problem; correct what is named above", id="settings"),
        pytest.param(PolicyError((_PROBLEM, _PROBLEM)), 78, "sidegate: 2 problems", id="policy"),
        pytest.param(ConfigError((_PROBLEM,)), 78, "a.yaml:2:3: `limits.headers` is 'x'", id="with-its-place"),
        pytest.param(NamingError("no name"), 2, "sidegate: no name", id="usage"),
        pytest.param(OSError(13, "Permission denied", "spool"), 69, "Permission denied", id="machine"),
        pytest.param(ZeroDivisionError("x"), 70, "this is a bug in sidegate", id="bug"),
        pytest.param(KeyboardInterrupt(), 130, "", id="ctrl-c"),
    ],
)
def test_every_error_has_its_exit_code(capsys: Any, error: BaseException, code: int, said: str) -> None:
    """And says on the error stream what is wrong, nothing on the other one."""
    assert end_in_order(_raising(error)) == code
    shown = capsys.readouterr()
    assert (shown.out, said in shown.err) == ("", True)


def test_an_answer_is_passed_on() -> None:
    """Where nothing goes wrong nothing is said."""
    assert end_in_order(lambda: 1) == 1
