"""`sidegate run`: one process reads the configuration and ends, another one serves.

To parse a command line and to read and judge files takes a third of the memory that an idle sidecar may have (spec 7)
and is done once. So a child does it, exactly as the command by itself would, and hands over what it has read; meanwhile
this process loads what serving takes. What cannot be read is said by the child, whose exit code is then the program's.

What comes through the pipe is unpickled: the other end is this very program, and nobody else has a hand on it.
"""

import gc
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from sidegate.cli.ending import PROGRAM, end_in_order
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.output import complain

COMMAND: Final = "run"


def is_served_apart(arguments: Sequence[str]) -> bool:
    """Whether *arguments* call the command that stays; what else they hold is the child's to judge."""
    return bool(arguments) and arguments[0] == COMMAND


def run_apart(arguments: Sequence[str]) -> int:
    """Read in a child, serve in this process, and return the exit code.

    To be called before any thread runs.
    """
    return end_in_order(partial(_read_and_serve, arguments))


def _read_and_serve(arguments: Sequence[str]) -> int:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _read(arguments, writing)
    os.close(writing)
    # While the child reads: on a machine with two cores this takes no time of its own.
    from sidegate.app.serve import run  # noqa: PLC0415 - see above

    with os.fdopen(reading, "rb") as pipe:
        handed = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        complain(f"{PROGRAM}: reading the configuration was ended by {signal.Signals(-code).name}; start it again")
        return ExitCode.UNAVAILABLE
    if code or not handed:
        return code
    return run(pickle.loads(handed))  # noqa: S301 - see the module


def _read(arguments: Sequence[str], writing: int) -> None:
    """Be the child: call the command, hand over what it has read, and end."""
    code: int = ExitCode.INTERNAL
    gc.disable()  # nothing here lives for long
    try:
        # Only here: what it imports is what the other process does without.
        from sidegate.cli.main import run  # noqa: PLC0415 - see above
        from sidegate.config.plan import Plan  # noqa: PLC0415 - see above

        def hand_over(plan: Plan) -> int:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(plan, pipe, pickle.HIGHEST_PROTOCOL)
            return ExitCode.OK

        code = run(arguments, hand_over)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Never back into the code of the other process, whatever happened.
        os._exit(code)
