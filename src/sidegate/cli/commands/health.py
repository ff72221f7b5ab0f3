"""`sidegate health`: how a running sidecar is. The work is done in :mod:`sidegate.cli.health`, which probes run."""

from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption
from sidegate.cli.health import DEFAULT_TIMEOUT_S, main

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate health
  sidegate health --ready --config /etc/sidegate/sidegate.yaml
  sidegate health --address 127.0.0.1:9090

\b
A probe that runs often starts faster as:
  python -I -m sidegate.cli.health --ready
"""


@app.command("health", epilog=_EPILOG)
def health_command(
    *,
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz instead of /livez.")] = False,
    config: ConfigOption = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="host:port or unix:path of the admin port.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="For each step.", min=0.1, max=60)
    ] = DEFAULT_TIMEOUT_S,
) -> int:
    """Ask a running sidecar whether it lives, or whether it is ready for requests.

    Prints a line per check. Exit code 0 healthy, 1 not healthy, 69 if nobody answers.
    """
    arguments = ["--timeout", str(timeout)]
    if ready:
        arguments.append("--ready")
    if config is not None:
        arguments.append(f"--config={config}")
    if address is not None:
        arguments.append(f"--address={address}")
    return main(arguments)
