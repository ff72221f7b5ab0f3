"""`sidegate session`: sessions as this machine, or all that share a Redis, know them (spec 3.1)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from sidegate.app.shared_state import open_registry
from sidegate.cli.arguments import ConfigOption, OutputOption, parse_duration, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.local import read_settings
from sidegate.cli.output import Colour, Format, coloured, complain, say, show_json, show_table
from sidegate.config.held import shared_redis
from sidegate.config.settings import Settings
from sidegate.core.identity.session import SessionLimits, judge_session, limits_on, strictest
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.credentials.events import RevokedKind
from sidegate.credentials.opaque import (
    SESSION_BYTES,
    NewSession,
    create_session,
    digest_session,
    list_sessions,
    revoke,
)
from sidegate.credentials.ports import Registry
from sidegate.credentials.table import SessionRecord
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Create, list and revoke sessions."""


@contextmanager
def _opened(settings: Settings) -> Iterator[Registry]:
    """Open the state that running sidecars share; what is written is seen by them at once."""
    registry = open_registry(settings)
    try:
        yield registry
    finally:
        registry.close()


_CREATE_EPILOG: Final = """
\b
Examples:
  sidegate session create --account user:ana --org acme
  curl -H "Cookie: __session=$(sidegate session create --account user:ana --org acme --quiet)" http://127.0.0.1:8080/
"""


@app.command("create", epilog=_CREATE_EPILOG)
def create_command(
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="Whose it is: user:ana.")],
    org: Annotated[str, typer.Option("--org", metavar="ORG", help="The organization it acts in.")],
    *,
    surface: Annotated[str, typer.Option("--surface", metavar="NAME", help="web, mobile or admin.")] = "web",
    mfa: Annotated[bool, typer.Option("--mfa", help="As if a second factor had just been used.")] = False,
    idle: Annotated[
        str | None, typer.Option("--idle", metavar="DURATION", help="Shorter than the surface's, e.g. 10m.")
    ] = None,
    absolute: Annotated[
        str | None, typer.Option("--absolute", metavar="DURATION", help="Shorter than the surface's, e.g. 1h.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the cookie's value and nothing else.")] = False,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Create a session and print its cookie, once.

    For trials, tests and emergencies; people sign in with the identity provider. Only the SHA-256 of the cookie is
    stored. Whoever may run this command on this machine can act as anybody: every session it makes is listed.
    """
    settings = read_settings(config)
    if settings.sessions.opaque is None:
        store = "memory" if shared_redis(settings) is None else "redis"
        raise UsageError(f"opaque sessions are not accepted; add `opaque: {{store: {store}}}` under `sessions`")
    usual = limits_on(surface, _configured(settings))
    limits = SessionLimits(
        usual.idle if idle is None else min(usual.idle, read_value("--idle", idle, parse_duration)),
        usual.absolute if absolute is None else min(usual.absolute, read_value("--absolute", absolute, parse_duration)),
    )
    now = clock.now()
    new = NewSession(account, org, limits, surface, now if mfa else None)
    with _opened(settings) as state:
        try:
            cookie = create_session(state, new, os.urandom(SESSION_BYTES), now)
        except ValueError as error:
            raise UsageError(str(error)) from None
    value = cookie.decode()
    if quiet:
        say(value)
    elif output is Format.JSON:
        name = settings.sessions.cookie
        show_json({"id": digest_session(cookie), "cookie": name, "value": value, "account": account, "org": org})
    else:
        say(f"{settings.sessions.cookie}={coloured(value, Colour.STRONG)}")
        complain("This is the only time that the cookie is shown.")
    return ExitCode.OK


_LIST_EPILOG: Final = """
\b
Examples:
  sidegate session list
  sidegate session list --account user:ana -o json
"""


@app.command("list", epilog=_LIST_EPILOG)
def list_command(
    account: Annotated[str | None, typer.Option("--account", metavar="ACCOUNT", help="Whose.")] = None,
    org: Annotated[str | None, typer.Option("--org", metavar="ORG", help="In which organization.")] = None,
    *,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """List the sessions that are remembered, oldest first, also those that are over.

    Opaque ones are there from their creation, signed ones from their first use.
    """
    settings = read_settings(config)
    now = clock.now()
    with _opened(settings) as state:
        listed = [
            (record, _verdict(state, record, _configured(settings), now))
            for record in list_sessions(state, account, org)
        ]
    if output is Format.JSON:
        show_json(
            [
                {
                    "id": record.id,
                    "account": record.account,
                    "org": record.org,
                    "surface": record.surface,
                    "kind": "signed" if record.limits is None else "opaque",
                    "started": format_instant(record.started),
                    "last_seen": format_instant(record.last_seen),
                    "state": verdict,
                }
                for record, verdict in listed
            ]
        )
    else:
        rows = [
            [
                record.id,
                record.account,
                record.org,
                record.surface,
                "signed" if record.limits is None else "opaque",
                format_instant(record.started),
                format_instant(record.last_seen),
                verdict,
            ]
            for record, verdict in listed
        ]
        show_table(("id", "account", "org", "surface", "kind", "started", "last seen", "state"), rows, empty="none")
    return ExitCode.OK


def _configured(settings: Settings) -> dict[str, SessionLimits]:
    return {
        surface: SessionLimits(limits.idle_ms, limits.absolute_ms)
        for surface, limits in settings.sessions.surfaces.items()
    }


def _verdict(state: Registry, record: SessionRecord, configured: dict[str, SessionLimits], now: UnixMillis) -> str:
    """Say how a session stands, by the configured limits and its own; an organization may have shorter ones."""
    credential = VerifiedCredential(
        CredentialKind.SESSION, record.id, record.account, record.org, issued_at=record.started
    )
    if state.refusal_of(credential, record.started) is not None:
        return "revoked"
    limits = limits_on(record.surface, configured)
    if record.limits is not None:
        limits = strictest((limits, record.limits))
    return judge_session(record.state(), limits, now).value


_REVOKE_EPILOG: Final = """
\b
Examples:
  sidegate session revoke 3b5a…
  sidegate session revoke --account user:ana
  sidegate session revoke --organization acme
"""


@app.command("revoke", epilog=_REVOKE_EPILOG)
def revoke_command(
    session_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="As `session list` shows it.", show_default=False)
    ] = None,
    *,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ACCOUNT", help="All its sessions that began until now.")
    ] = None,
    link: Annotated[
        str | None, typer.Option("--link", metavar="ID", help="A link of delegation chains, and all below it.")
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option("--organization", metavar="ORG", help="Its sessions that began, its keys made until now."),
    ] = None,
    config: ConfigOption = None,
) -> int:
    """End a session, all of an account, what acts by a link of a chain, or everything of an organization.

    For good, and on every sidecar that shares the state.
    """
    named = {
        RevokedKind.SESSION: session_id,
        RevokedKind.ACCOUNT: account,
        RevokedKind.LINK: link,
        RevokedKind.ORGANIZATION: organization,
    }
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise UsageError("give either the id of a session, --account, --link or --organization")
    kind, name = given[0]
    with _opened(read_settings(config)) as registry:
        try:
            revoke(registry, kind, name, clock.now())
        except ValueError as error:
            raise UsageError(str(error)) from None
        is_known = kind is not RevokedKind.SESSION or registry.knows_session(name)
    complain(f"revoked {_REVOKED_TEXT[kind].format(name)}")
    if not is_known:
        complain("No session with this id was used here so far; should one be, it is refused.")
    return ExitCode.OK


_REVOKED_TEXT: Final = {
    RevokedKind.SESSION: "{}",
    RevokedKind.ACCOUNT: "every session of {} until now",
    RevokedKind.LINK: "the link {} and all below it",
    RevokedKind.ORGANIZATION: "every session and key of {} until now",
}
