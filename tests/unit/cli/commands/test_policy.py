"""`sidegate policy`: what there is."""

from typing import Any

import pytest


@pytest.mark.parametrize("name", ["test", "diff", "show"])
def test_the_commands_of_the_group(sidegate: Any, name: str) -> None:
    """Each is listed with its line, and helps."""
    assert f"  {name} " in sidegate("policy", "--help").out
    done = sidegate("policy", name, "--help")
    assert (done.code, done.out.splitlines()[0].startswith(f"Usage: sidegate policy {name} ")) == (0, True)
