"""What a command that takes long is doing, on the error stream, if somebody watches."""

import sys
from typing import Final

from sidegate.cli.output import is_styled, printable

_CLEAR: Final = "\r\033[K"


class Steps:
    """Shows one line, which each step takes the place of."""

    def __init__(self) -> None:
        self._is_shown = is_styled(sys.stderr)
        self._is_dirty = False

    def show(self, doing: str) -> None:
        """Say what is going on from now on, e.g. ``comparing acme``."""
        if self._is_shown:
            self._is_dirty = True
            sys.stderr.write(f"{_CLEAR}{printable(doing)} …")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line off the screen."""
        if self._is_dirty:
            self._is_dirty = False
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
