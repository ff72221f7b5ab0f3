"""Arguments and options that several commands take, and the written forms of their values."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from sidegate.cli.exit_codes import UsageError
from sidegate.cli.output import Format
from sidegate.core.model.principal import Address
from sidegate.core.model.units import Millis, UnixMillis, parse_instant

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file.  [default: config/sidegate.yaml]",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Format, typer.Option("--output", "-o", metavar="table|json", help="What to print.", show_default=True)
]
OrgOption = Annotated[
    str | None,
    typer.Option("--org", metavar="ORG", help="Organization; needed when it does not follow from the policy."),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="PATH",
        exists=True,
        help="Policy file, or folder of them, instead of the configured one.",
        show_default=False,
    ),
]
RoutesOption = Annotated[
    Path | None,
    typer.Option(
        "--routes",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Routes file, instead of the configured one.",
        show_default=False,
    ),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="NAME:VALUE", help="Request header, for routes that read one."),
]
BodyOption = Annotated[
    str | None, typer.Option("--body", metavar="JSON", help="Request body, for routes that read it.")
]
SpoolArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="SPOOL",
        exists=True,
        help="Folder of a spool, of one sidecar in it, or of a file sink.  [default: the configured spool]",
        show_default=False,
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="INSTANT", help="Decide as if it were then, e.g. 2026-12-01T00:00:00Z."),
]

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)")
_UNIT_MILLIS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def read_value(option: str, text: str, read: Callable[[str], T]) -> T:
    """Return *text* as *read* has it.

    Raises:
        UsageError: *read* raises a ValueError; its message is told with the *option*'s name before it.
    """
    try:
        return read(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}") from None


def parse_duration(text: str) -> Millis:
    """Read ``90d``, ``12h``, ``30m``, ``45s``, ``2w``, ``500ms``; ``0`` needs no unit.

    Raises:
        ValueError: Not written so.
    """
    if text == "0":
        return Millis(0)
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"`{text}` is no duration; write it like 90d, 12h, 30m or 45s")
    return Millis(int(found[1]) * _UNIT_MILLIS[found[2]])


def parse_age(text: str) -> Millis:
    """Read a duration, or whole seconds without a unit, as the lines of `sidegate decide` have them.

    Raises:
        ValueError: Not written so.
    """
    return parse_duration(f"{text}s" if text.isdecimal() else text)


def parse_headers(listed: list[str] | None) -> dict[str, str]:
    """Read ``NAME:VALUE`` of each header.

    Raises:
        UsageError: One is not written so, or comes twice.
    """
    headers: dict[str, str] = {}
    for header in listed or ():
        name, colon, text = header.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"--header: `{header}` is no header; write it like X-Project:p1")
        if name.strip().lower() in headers:
            raise UsageError(f"--header: `{name.strip()}` comes twice; what decides has to be there once")
        headers[name.strip().lower()] = text.strip()
    return headers


def parse_address(text: str) -> Address:
    """Read an IP address.

    Raises:
        ValueError: It is none.
    """
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"`{text}` is no address; write it like 10.0.0.9 or 2001:db8::1") from None


def parse_list(text: str | None) -> list[str] | None:
    """Split ``read,write`` at its commas; None stays None. Blanks around members do not count."""
    return None if text is None else [part.strip() for part in text.split(",")]


def instant_of(text: str | None, now: UnixMillis) -> UnixMillis:
    """Read the value of ``--time``; *now* when it was not given.

    Raises:
        UsageError: It is no instant.
    """
    return now if text is None else read_value("--time", text, parse_instant)
