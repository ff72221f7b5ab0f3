"""The one place where errors become messages and exit codes (spec 6.4)."""

import traceback
from collections.abc import Callable
from typing import Final

from sidegate.cli.exit_codes import ExitCode, exit_code_of
from sidegate.cli.output import complain, printable, show_problems
from sidegate.core.model.errors import ConfigError, PolicyError

PROGRAM: Final = "sidegate"


def end_in_order(call: Callable[[], int]) -> int:
    """Return the exit code of *call*, or say what went wrong and return the one that belongs to that."""
    try:
        return call()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (ConfigError, PolicyError) as error:
        show_problems(error.problems)
        count = len(error.problems)
        complain(f"{PROGRAM}: {count} problem{'s' if count != 1 else ''}; correct what is named above")
        return exit_code_of(error)
    except Exception as error:  # noqa: BLE001  (the outermost rim: what is no user's doing is shown as the bug it is)
        code = exit_code_of(error)
        if code is ExitCode.INTERNAL:
            complain("".join(traceback.format_exception(error)).rstrip())
            complain(f"{PROGRAM}: this is a bug in sidegate; please report it with the lines above")
        else:
            complain("\n".join(printable(line) for line in f"{PROGRAM}: {error}".splitlines()))
        return code
