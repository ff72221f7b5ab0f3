"""`sidegate key`: API keys (spec 3.2, 6.4)."""

import os
from typing import Annotated, Any

import orjson
import typer

from sidegate.cli.arguments import OutputOption, parse_duration, parse_list, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.output import Colour, Format, coloured, complain, say, show_json
from sidegate.core.identity.api_key import RANDOM_BYTES
from sidegate.credentials.minting import DEFAULT_ENV, KeyRequest, mint
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Make API keys.", no_args_is_help=False)


@app.callback()
def _group() -> None:
    """Make API keys."""


_MINT_EPILOG = """
\b
Examples:
  sidegate key mint --account service:ci --org acme --authorities read,run --scopes p1,p2
  sidegate key mint --account service:deploy --org acme --single-use --expires 1h -o json
"""


@app.command("mint", epilog=_MINT_EPILOG)
def mint_command(
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="Who acts with it: service:ci.")],
    org: Annotated[str, typer.Option("--org", metavar="ORG", help="The organization it acts in.")],
    authorities: Annotated[
        str | None, typer.Option("--authorities", metavar="LIST", help="Only these, e.g. read,run.")
    ] = None,
    scopes: Annotated[str | None, typer.Option("--scopes", metavar="LIST", help="Only there, e.g. p1,p2@main.")] = None,
    *,
    single_use: Annotated[bool, typer.Option("--single-use", help="Consumed by the first request allowed.")] = False,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="How long it lives.  [default: 365d]")
    ] = None,
    env: Annotated[str, typer.Option("--env", metavar="NAME", help="Stands in the key for whoever finds it.")] = (
        DEFAULT_ENV
    ),
    created_by: Annotated[str | None, typer.Option("--created-by", metavar="WHO", help="Kept in the entry.")] = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Make a key and the entry that the policy file keeps of it.

    The clear key is shown once and stored nowhere: only its SHA-256 is in the entry. The key works as soon as the entry
    stands under `keys` in the organization's policy file.
    """
    lifetime = None if expires is None else read_value("--expires", expires, parse_duration)
    request = KeyRequest(
        org=org,
        account=account,
        authorities=parse_list(authorities),
        scopes=parse_list(scopes),
        lifetime=lifetime,
        single_use=single_use,
        env=env,
        created_by=created_by,
    )
    try:
        minted: Any = mint(request, os.urandom(RANDOM_BYTES), clock.now())
    except ValueError as error:
        raise UsageError(str(error)) from None
    if output is Format.JSON:
        show_json(minted)
        return ExitCode.OK
    say(coloured(minted["key"], Colour.STRONG))
    say()
    say(f"# under `keys` in the policy file of {org}:")
    say(_as_entry(minted["record"]))
    complain("This is the only time that the key is shown.")
    return ExitCode.OK


def _as_entry(record: dict[str, Any]) -> str:
    """Write *record* as an entry of a YAML list, on one line as in the examples of policy files.

    Its values as JSON, which is YAML too: an id of digits, or one like ``12e4``, would be a number without quotes.
    """
    members = ", ".join(f"{name}: {orjson.dumps(member).decode()}" for name, member in record.items())
    return f"  - {{{members}}}"
