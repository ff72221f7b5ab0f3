"""structlog without what it brings along.

When rich is installed, structlog imports it for tracebacks in colour, which are not used here: 5 MiB of every process,
of 60 that an idle one may have (spec 7), and 50 ms of every start. So rich is hidden while structlog is imported, and
only then: the command line uses it.
"""

import sys
from typing import Any, Final

_HIDDEN: Final = "rich"


def _import_structlog() -> None:
    modules: dict[str, Any] = sys.modules
    if _HIDDEN in modules:  # loaded already, so there is nothing to save
        return
    modules[_HIDDEN] = None  # documented: the import system then raises ModuleNotFoundError
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del modules[_HIDDEN]


_import_structlog()

import structlog  # noqa: E402  it is there by now
from structlog.typing import EventDict, FilteringBoundLogger, Processor  # noqa: E402

__all__ = ["EventDict", "FilteringBoundLogger", "Processor", "structlog"]
