"""`sidegate key`: API keys (spec 3.2, 6.4)."""

import os
from typing import Annotated, Any

import orjson
import typer

from sidegate.cli.arguments import ConfigOption, OutputOption, PolicyOption, parse_duration, parse_list, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.output import Colour, Format, coloured, complain, say, show_json, show_table
from sidegate.core.identity.api_key import RANDOM_BYTES
from sidegate.credentials.minting import DEFAULT_ENV, KeyRequest, mint
from sidegate.telemetry import clock

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Make, rotate, revoke and list API keys.", no_args_is_help=False
)


@app.callback()
def _group() -> None:
    """Make, rotate, revoke and list API keys."""


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


_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The 16 characters inside the key.")]
_KeyOrgOption = Annotated[str, typer.Option("--org", metavar="ORG", help="The organization that it is of.")]

_ROTATE_EPILOG = """
\b
Examples:
  sidegate key rotate 4fQz8Kd01LmNopQr --org acme
  sidegate key rotate 4fQz8Kd01LmNopQr --org acme --exposed
"""


@app.command("rotate", epilog=_ROTATE_EPILOG)
def rotate_command(
    key_id: _IdArgument,
    org: _KeyOrgOption,
    *,
    overlap: Annotated[
        str | None, typer.Option("--overlap", metavar="DURATION", help="How long the old key works on.  [default: 24h]")
    ] = None,
    exposed: Annotated[
        bool, typer.Option("--exposed", help="Somebody else has it: revoke it at once, on every sidecar.")
    ] = False,
    env: Annotated[str, typer.Option("--env", metavar="NAME", help="Stands in the key for whoever finds it.")] = (
        DEFAULT_ENV
    ),
    policy: PolicyOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Make a key that takes the place of another and may do the same.

    Prints the new key, once, and two entries for the policy file: the new key's, and what the old key's becomes.
    With --exposed the old key is refused from now on, whatever the policy says.
    """
    if exposed and overlap is not None:
        raise UsageError("an exposed key has no overlap; leave --overlap out")
    from sidegate.cli.key_administration import KeyAdministration  # noqa: PLC0415  minting needs nothing of it

    kept = None if overlap is None else read_value("--overlap", overlap, parse_duration)
    rotated = KeyAdministration(config, policy).rotate(org, key_id, kept, is_exposed=exposed, env=env)
    if output is Format.JSON:
        show_json(rotated)
        return ExitCode.OK
    say(coloured(rotated["key"], Colour.STRONG))
    say()
    say(f"# under `keys` in the policy file of {org}, in the place of {key_id}:")
    say(_as_entry(rotated["predecessor"]))
    say(_as_entry(rotated["record"]))
    complain("This is the only time that the key is shown.")
    return ExitCode.OK


_REVOKE_EPILOG = """
\b
Examples:
  sidegate key revoke 4fQz8Kd01LmNopQr --org acme
"""


@app.command("revoke", epilog=_REVOKE_EPILOG)
def revoke_command(key_id: _IdArgument, org: _KeyOrgOption, *, config: ConfigOption = None) -> int:
    """Refuse a key from now on, for good, on every sidecar that shares the state; no policy brings it back."""
    from sidegate.cli.key_administration import KeyAdministration  # noqa: PLC0415  minting needs nothing of it

    KeyAdministration(config, None).revoke(org, key_id)
    complain(f"revoked the key {key_id} of {org}")
    return ExitCode.OK


_LIST_EPILOG = """
\b
Examples:
  sidegate key list
  sidegate key list --org acme -o json
"""


@app.command("list", epilog=_LIST_EPILOG)
def list_command(
    org: Annotated[str | None, typer.Option("--org", metavar="ORG", help="Only of this organization.")] = None,
    *,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """List the keys that the policy has, how each stands, and when it was last used, to the hour."""
    from sidegate.cli.key_administration import KeyAdministration  # noqa: PLC0415  minting needs nothing of it

    listed = KeyAdministration(config, policy).list_keys(org)
    if output is Format.JSON:
        show_json(listed)
    else:
        names = ("id", "org", "account", "state", "expires_at", "last_used")
        rows = [["-" if one[name] is None else str(one[name]) for name in names] for one in listed]
        show_table(("id", "org", "account", "state", "expires at", "last used"), rows, empty="none")
    return ExitCode.OK


def _as_entry(record: dict[str, Any]) -> str:
    """Write *record* as an entry of a YAML list, on one line as in the examples of policy files.

    Its values as JSON, which is YAML too: an id of digits, or one like ``12e4``, would be a number without quotes.
    """
    members = ", ".join(f"{name}: {orjson.dumps(member).decode()}" for name, member in record.items())
    return f"  - {{{members}}}"
