"""`sidegate run`: the proxy itself."""

from pathlib import Path
from typing import Final

import typer

from sidegate.cli.arguments import ConfigOption
from sidegate.cli.local import read_settings
from sidegate.config.plan import Plan, Serve
from sidegate.config.planning import make_plan
from sidegate.core.model.errors import ConfigError, PolicyError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate run
  sidegate run --config /etc/sidegate/sidegate.yaml
  SIDEGATE_LOG__LEVEL=debug sidegate run
"""


@app.command("run", epilog=_EPILOG)
def run_command(context: typer.Context, config: ConfigOption = None) -> int:
    """Start the proxy.

    Serves until SIGTERM, which lets requests in progress finish; a second one ends at once. If anything in the
    configuration, the routes or the policy is wrong, all of it is said and nothing listens (exit code 78). Every
    setting can be given as a variable, `SIDEGATE_<SECTION>__<KEY>`.
    """
    serve: Serve = context.obj or _serve_here
    try:
        return serve(_plan(config))
    except (ConfigError, PolicyError) as error:
        # Starting stops at the first file that cannot be used; whoever has to correct it wants to hear of all of them.
        from sidegate.cli.inspection import inspect  # noqa: PLC0415  a start that succeeds takes less without it

        known = error.problems
        others = [problem for problem in inspect(config).problems if problem not in known]
        raise ConfigError((*known, *others)) from error


def _plan(config: Path | None) -> Plan:
    return make_plan(read_settings(config))


def _serve_here(plan: Plan) -> int:
    # Only here: usually another process serves, and this one needs nothing of what that needs.
    from sidegate.app.serve import run  # noqa: PLC0415

    return run(plan)
