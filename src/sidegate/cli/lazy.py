"""Commands that are imported when they are called: `sidegate --help` must not load the whole of Sidegate."""

from importlib import import_module
from typing import Any

import typer
from typer._click import Command, Context  # typer's own copy of click: the types of what is overridden
from typer.core import TyperCommand
from typer.main import get_command


class LazyCommand(TyperCommand):
    """Stands for the command or group of a module that is not imported yet.

    Args:
        name: As it is called.
        summary: Its line in the list of commands; the module's own help has to begin with it.
        module: Offers ``app``, a :class:`typer.Typer`.
    """

    def __init__(self, name: str, summary: str, module: str) -> None:
        super().__init__(name=name, short_help=summary, rich_markup_mode=None)
        self._module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Context | None = None,
        **extra: Any,  # noqa: ANN401  (as typer has it)
    ) -> Context:
        """Hand over to the real command: a context belongs to the command that made it."""
        return self.load().make_context(info_name, args, parent=parent, **extra)

    def load(self) -> Command:
        """Import the module and return its command."""
        app = getattr(import_module(self._module), "app", None)
        if not isinstance(app, typer.Typer):
            raise TypeError(f"{self._module} offers no `app` that is a typer application")
        command = get_command(app)
        command.name = self.name
        return command
