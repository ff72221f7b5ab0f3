"""`sidegate top`: how a running sidecar is, live (spec 6.4)."""

import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sidegate.cli.admin_port import AddressOption, AdminPort, find_admin_port
from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.exit_codes import ExitCode, UnansweredError
from sidegate.cli.output import Format, complain, printable, say, show_json_line
from sidegate.cli.vitals import Vitals, read_vitals
from sidegate.cli.vitals_view import frame
from sidegate.core.model.units import format_instant
from sidegate.core.model.value import value
from sidegate.telemetry import clock
from sidegate.telemetry.scrape import Samples, read_samples

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate top
  sidegate top --address 127.0.0.1:9090 --interval 5
  sidegate top --frames 1 -o json | jq .denied

\b
On a terminal `q` or Ctrl-C ends it. `sidegate tap` shows single decisions.
"""

_PIPE_HEIGHT: Final = 50
_QUIT: Final = frozenset({"q", "Q", "\x03", "\x04"})
_MILLIS_PER_SECOND: Final = 1000


@value
class _Look:
    """One scrape, and when it was made."""

    samples: Samples
    failing: dict[str, str]
    at_s: float
    wall_s: float


@app.command("top", epilog=_EPILOG)
def top_command(
    *,
    interval: Annotated[
        float, typer.Option("--interval", "-i", metavar="SECONDS", min=0.2, max=60, help="Between two looks.")
    ] = 1.0,
    frames: Annotated[int | None, typer.Option("--frames", "-n", metavar="N", min=1, help="End after so many.")] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show live what a running sidecar does: decisions, denials by reason, latency, upstream, audit, policy.

    Rates and latencies are those of the last interval. Not on a terminal, or with `-o json`, one frame follows the
    other; with `-o json` each is one line. A sidecar that goes away is waited for.
    """
    port = find_admin_port(address, config)
    first = _look(port)
    console = Console(highlight=False)  # it knows NO_COLOR, and terminals that cannot move a cursor
    if output is Format.TABLE and console.is_terminal and not console.is_dumb_terminal:
        return _watch_on_terminal(console, port, first, interval, frames)
    earlier: _Look | None = first
    shown = 0
    while frames is None or shown < frames:
        time.sleep(interval)
        later = _look(port) if frames is not None else _look_if_there(port)
        if earlier is not None and later is not None:
            _print(_vitals(earlier, later), port, output)
            shown += 1
        elif later is None:
            complain(f"sidegate: nobody answers at {printable(port.address)}; waiting")
        earlier = later
    return ExitCode.OK


def _watch_on_terminal(console: Console, port: AdminPort, first: _Look, interval: float, frames: int | None) -> int:
    earlier: _Look | None = first
    shown = 0
    waiting = Text(f"{printable(port.address)}: first numbers in {interval:g} s …", "dim")
    with _keys() as pressed, Live(waiting, console=console, screen=True, auto_refresh=False) as live:
        while frames is None or shown < frames:
            if pressed(interval):
                break
            later = _look_if_there(port)
            if later is None:
                live.update(Text(f"nobody answers at {printable(port.address)}; waiting …", "bold red"), refresh=True)
            elif earlier is not None:
                # The size is asked for each time: a terminal that was resized is filled anew.
                lines = frame(_vitals(earlier, later), f"Sidegate {port.address}", console.size.height)
                live.update(Group(*lines), refresh=True)
                shown += 1
            earlier = later
    return ExitCode.OK


@contextmanager
def _keys() -> Iterator["_Keys"]:
    """Take single keys while this lasts, if there is a keyboard."""
    if not sys.stdin.isatty():
        yield _Keys(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _Keys:
    """Waits for a key that ends the command."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, seconds: float) -> bool:
        """Wait *seconds*; returns at once, and true, when somebody wants to end it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._descriptor is None:
                time.sleep(left)
            elif select.select([self._descriptor], [], [], left)[0]:
                key = sys.stdin.read(1)
                if not key or key in _QUIT:
                    return True
        return False


def _look(port: AdminPort) -> _Look:
    text = port.text("/metrics")
    at_s, wall_s = time.monotonic(), clock.now() / _MILLIS_PER_SECOND
    try:
        samples = read_samples(text)
    except ValueError:
        raise UnansweredError(
            f"what {port.address} answers are no metrics; name the admin port with --address"
        ) from None
    checks = port.readiness().get("checks", [])
    failing = {str(check["name"]): str(check["detail"]) for check in checks if not check["ok"]}
    return _Look(samples, failing, at_s, wall_s)


def _look_if_there(port: AdminPort) -> _Look | None:
    try:
        return _look(port)
    except UnansweredError:
        return None


def _vitals(earlier: _Look, later: _Look) -> Vitals:
    return read_vitals(earlier.samples, later.samples, later.at_s - earlier.at_s, later.wall_s, later.failing)


def _print(vitals: Vitals, port: AdminPort, output: Format) -> None:
    if output is Format.JSON:
        show_json_line({"time": format_instant(clock.now()), "address": port.address, **asdict(vitals)})
    else:
        for line in frame(vitals, f"Sidegate {port.address}", _PIPE_HEIGHT):
            say(line.plain.rstrip())
        say()
    sys.stdout.flush()
