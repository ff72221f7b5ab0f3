"""Reads changed policy files in a process of its own.

What reads and judges a file (pydantic, a parser of YAML) is a fifth of the memory of an idle sidecar, and reading takes
the interpreter lock from requests. So a process is started for it that ends when it has read. What it answers is
unpickled here: it is this very program, and nobody else has a hand on the pipe.
"""

import signal
import subprocess
import sys
from typing import Final

from sidegate.config.plan import Documents, key_of
from sidegate.config.policy_pieces import read_pieces
from sidegate.core.model.errors import InvariantError, PolicyError
from sidegate.core.policy.document import PolicyDocument

_COMMAND: Final = ("-P", "-m", "sidegate.config.policy_reading")  # -P: no module is taken from the working directory
_UNCAUGHT: Final = 1
"""Exit code of an interpreter whose program did not catch an exception."""
_TIMEOUT_S: Final = 900.0
"""A file of the greatest size takes some minutes; a reader that is stuck must not keep policy as it is for good."""


class PolicyReading:
    """Knows what was read at the start, and has read what is new.

    Args:
        documents: What was read before; each is taken out when it is asked for.
    """

    __slots__ = ("_documents",)

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def __call__(self, content: bytes, file: str) -> PolicyDocument:
        """Return what *content* of the file called *file* says. Takes its time: not for the event loop.

        Raises:
            PolicyError: Carries everything that is wrong with it.
            OSError: It could not be read this time.
        InvariantError: There is a bug in what reads.
        """
        known = self._documents.pop(key_of(content, file), None)
        return known if known is not None else _read_elsewhere(content, file)


def _read_elsewhere(content: bytes, file: str) -> PolicyDocument:
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module; the name of a file is one argument
            [sys.executable, *_COMMAND, file], input=content, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"the process that reads it did not end within {_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        what = f"the process that reads it {_ending(done.returncode)}{': ' if last else ''}{last}"
        # A bug comes again with the same file; everything else may be over the next time.
        raise InvariantError(what) if done.returncode == _UNCAUGHT else OSError(what)
    answer = read_pieces(done.stdout)
    if isinstance(answer, PolicyDocument):
        return answer
    raise PolicyError(answer)


def _ending(code: int) -> str:
    return f"ended with {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
