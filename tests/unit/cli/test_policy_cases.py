"""Files of policy tests, read and run."""

from pathlib import Path

import pytest

from sidegate.cli.exit_codes import DataError
from sidegate.cli.local import load_policies
from sidegate.cli.policy_cases import read_cases, run_case
from sidegate.core.engine.expectations import Expectation
from sidegate.core.model.decision import Outcome
from sidegate.core.model.units import UnixMillis

NOW = UnixMillis(1_795_262_400_000)


def test_defaults_hold_where_a_test_says_nothing_else(tmp_path: Path) -> None:
    """Members of `defaults` are those of every test that does not have them itself."""
    file = tmp_path / "t.yaml"
    file.write_text(
        "defaults: {org: acme, account: user:ana, authority: read, expect: allow}\n"
        "tests:\n- {target: p1}\n- {name: two, target: p1, authority: write, expect: deny}\n"
    )
    one, two = read_cases(file, NOW, None)
    assert (one.name, one.position.line, one.expected) == ("user:ana read p1", 3, Expectation(Outcome.ALLOW))
    assert (two.name, two.position.line, two.expected) == ("two", 4, Expectation(Outcome.DENY))
    assert one.asked.now == NOW


def test_results(tmp_path: Path, policy: Path) -> None:
    """A case passes when nothing is not as expected."""
    file = tmp_path / "t.jsonl"
    file.write_text('{"org":"acme","account":"user:ana","authority":"read","target":"p1","expect":"allow"}\n')
    (case,) = read_cases(file, NOW, None)
    assert run_case(load_policies(policy).snapshot, case).mismatches == ()


@pytest.mark.parametrize("text", ["", "null\n", "tests: []\n", "[]\n"])
def test_files_without_tests(tmp_path: Path, text: str) -> None:
    """No tests, no cases; a file that is no list at all is wrong."""
    file = tmp_path / "t.yaml"
    file.write_text(text)
    if text in {"", "null\n"}:
        with pytest.raises(DataError, match="`tests` is no list"):
            read_cases(file, NOW, None)
    else:
        assert read_cases(file, NOW, None) == []
