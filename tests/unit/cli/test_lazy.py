"""Commands that are imported when they are called."""

import sys

import pytest

from sidegate.cli.lazy import LazyCommand


def test_loads_on_use_only() -> None:
    """Nothing is imported for the list; the real command comes with the first use."""
    sys.modules.pop("sidegate.cli.commands.config", None)
    command = LazyCommand("config", "Show the settings in effect.", "sidegate.cli.commands.config")
    assert (command.name, command.get_short_help_str()) == ("config", "Show the settings in effect.")
    assert "sidegate.cli.commands.config" not in sys.modules
    assert command.load().name == "config"
    context = command.make_context("config", ["show"])
    assert context.command is not command


def test_a_module_that_offers_something_else() -> None:
    """A module without an application is a mistake of ours and says so."""
    with pytest.raises(TypeError, match="is a typer application"):
        LazyCommand("x", "", "tests.unit.cli.samples").load()
