"""`sidegate config`: the settings in effect (spec 6.1)."""

from typing import Final

import typer

from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.local import read_settings
from sidegate.cli.output import Format, show_json, show_table
from sidegate.config.settings import masked

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Show the settings in effect."""


_SHOW_EPILOG: Final = """
\b
Examples:
  sidegate config show
  SIDEGATE_LIMITS__HEADERS=50 sidegate config show -o json
"""


@app.command("show", epilog=_SHOW_EPILOG)
def show_command(config: ConfigOption = None, *, output: OutputOption = Format.TABLE) -> int:
    """Show every setting as a sidecar would have it, defaults and variables included, secrets masked."""
    settings = masked(read_settings(config))
    if output is Format.JSON:
        show_json(settings)
    else:
        show_table(("setting", "value"), list(_flat(settings, "")), empty="none")
    return ExitCode.OK


def _flat(settings: object, name: str) -> list[list[str]]:
    if isinstance(settings, dict) and settings:
        return [row for key, inner in settings.items() for row in _flat(inner, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list):
        return [[name, ", ".join(map(str, settings)) or "none"]]
    return [[name, "none" if settings is None or settings == {} else str(settings)]]
