"""`sidegate audit`: what there is."""

from typing import Any

import pytest


@pytest.mark.parametrize("name", ["tail", "query", "verify", "export"])
def test_the_commands_of_the_group(sidegate: Any, name: str) -> None:
    """Each is listed with its line, and helps."""
    assert f"  {name} " in sidegate("audit", "--help").out
    done = sidegate("audit", name, "--help")
    assert (done.code, done.out.splitlines()[0].startswith(f"Usage: sidegate audit {name} ")) == (0, True)
