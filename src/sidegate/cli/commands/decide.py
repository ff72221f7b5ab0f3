"""`sidegate decide`: many questions at once (spec 6.4)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import orjson
import typer

from sidegate.cli.arguments import ConfigOption, PolicyOption, instant_of
from sidegate.cli.exit_codes import DataError, ExitCode
from sidegate.cli.local import find_policies
from sidegate.cli.output import Progress, complain
from sidegate.cli.questions import answer, describe_answer, parse_line, read_asked
from sidegate.config.routes_file import load_routes
from sidegate.control.question import QuestionError
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.routing.table import RouteTable
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_READ_BYTES: Final = 1 << 20
_MAX_LINE_BYTES: Final = 1 << 20
"""The largest honest line, eight links with a thousand scopes each, has some 300 KiB."""
_BLANK: Final = b" \t\r\n"

_EPILOG: Final = """
\b
Examples:
  sidegate decide --policy policy/ < requests.jsonl > decisions.jsonl
  sidegate decide --routes routes.yaml < access.jsonl | grep '"deny"'
  echo '{"org": "acme", "account": "user:ana", "authority": "write", "target": "p1@main"}' | sidegate decide
"""


@app.command("decide", epilog=_EPILOG)
def decide_command(
    policy: PolicyOption = None,
    routes: Annotated[
        Path | None,
        typer.Option(
            "--routes",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Routes file; lines may then have a method and a path.",
            show_default=False,
        ),
    ] = None,
    *,
    time: Annotated[
        str | None, typer.Option("--time", metavar="INSTANT", help="For lines without `time`.  [default: now]")
    ] = None,
    config: ConfigOption = None,
) -> int:
    """Decide requests from standard input, one JSON object to a line.

    Needed are `org`, `account`, `authority` and `target` or, with `--routes`, `method` and `path` (and where a route
    reads them, `headers` and `body`) in the place of the last two. `id`, `kind`, `subtree`, `time`, `mfa_age_s`,
    `surface`, `source`, `credential`, `chain` and `approved` may be left out.

    Answers come in the order of the lines: `{"id", "outcome", "reason", "because", "shadow"}`. A line that cannot be
    read is answered with `{"id", "line", "error"}`, the others are decided nevertheless, and the exit code is 65.
    """
    table = None if routes is None else load_routes(routes).table
    decider = LineDecider(find_policies(policy, config).snapshot, table, instant_of(time, clock.now()))
    progress = Progress("deciding", "lines")
    out = sys.stdout.buffer
    for lines in read_lines(sys.stdin.buffer):
        out.write(b"".join([decider.answer(line) for line in lines]))
        # Answers go out as soon as there is nothing more to read: whoever asks line by line gets them line by line.
        out.flush()
        progress.advance(len(lines))
    progress.end()
    if decider.unreadable:
        plural = "s" if decider.unreadable != 1 else ""
        complain(f"sidegate: {decider.unreadable} line{plural} could not be read; their answers say why")
        return ExitCode.BAD_DATA
    return ExitCode.OK


def read_lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Read lines as they arrive, each time all that are whole by now; of an overlong one only its beginning."""
    held = b""
    is_cut = False
    while chunk := _read_some(stream):
        if is_cut:
            _, newline, chunk = chunk.partition(b"\n")
            is_cut = not newline
        *lines, held = (held + chunk).split(b"\n")
        if len(held) > _MAX_LINE_BYTES:
            lines.append(held)
            held, is_cut = b"", True
        yield lines
    if held:
        yield [held]


def _read_some(stream: BinaryIO) -> bytes:
    return stream.read1(_READ_BYTES) if hasattr(stream, "read1") else stream.read(_READ_BYTES)


class LineDecider:
    """Answers line by line.

    Args:
        snapshot: Decided with.
        routes: For lines with a method and a path.
        now: For lines without a time.

    Attributes:
        unreadable: How many lines could not be read so far.
    """

    def __init__(self, snapshot: Snapshot, routes: RouteTable | None, now: UnixMillis) -> None:
        self._snapshot = snapshot
        self._routes = routes
        self._now = now
        self._number = 0
        self.unreadable = 0

    def answer(self, line: bytes) -> bytes:
        """Return the answer to *line* with its line feed; nothing for a blank line."""
        self._number += 1
        if not line.strip(_BLANK):
            return b""
        document: object = None
        try:
            document = parse_line(line)
            asked = read_asked(document, self._now, self._routes)
        except DataError as error:
            return self._refuse(document, f"the line {error}")
        except QuestionError as error:
            return self._refuse(document, " | ".join(map(str, error.problems)))
        said = {"id": asked.id, **describe_answer(answer(self._snapshot, asked))}
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)

    def _refuse(self, document: object, error: str) -> bytes:
        self.unreadable += 1
        given = document.get("id") if isinstance(document, dict) else None
        return orjson.dumps({"id": given, "line": self._number, "error": error}, option=orjson.OPT_APPEND_NEWLINE)
