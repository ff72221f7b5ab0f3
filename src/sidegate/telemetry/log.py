"""Structured log: one line per state change, none per step of a request, never a credential."""

import asyncio
import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any, Final, TextIO, cast

import orjson

from sidegate.telemetry.lean import EventDict, FilteringBoundLogger, Processor, structlog

Logger = FilteringBoundLogger
"""What :func:`get_log` returns: ``log.warning("snapshot_rejected", revision=812)``."""


class LogFormat(StrEnum):
    """How a line is written."""

    JSON = "json"
    CONSOLE = "console"
    AUTO = "auto"
    """Console when the stream is a terminal, JSON lines otherwise."""


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_NUMBER_OF: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}

MASK: Final = "***"
"""Stands where something must not be shown."""

# A key that names a credential is a bug in the caller; its value is masked all the same. ``key_id``, ``keys`` and the
# like stay readable: only the last word of a name decides.
_SECRET_WORDS: Final = frozenset(
    {"authorization", "cookie", "credential", "jwt", "passphrase", "password", "passwd", "secret", "token"}
)
_SECRET_ENDS: Final = ("api_key", "private_key", "signing_key", "clear_key")

# Forms of credentials inside a text (an exception's message, say): an API key (spec 3), a JWT, a scheme with its
# credentials, and the password of a URL. Bounded repetition only: the text may be hostile.
_SECRET_TEXT: Final = re.compile(
    r"\bsg_[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)?"
    r"|(?<=\bbearer\s)\S+"
    r"|(?<=\bbasic\s)\S+"
    r"|(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,1024}(?=@)",
    re.IGNORECASE,
)


def mask_text(text: str) -> str:
    """Replace what looks like a credential in *text* by ``***``."""
    return _SECRET_TEXT.sub(MASK, text)


def _names_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return name.endswith(_SECRET_ENDS) or name.rpartition("_")[2] in _SECRET_WORDS


def _mask_value(value: object) -> object:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"  # may be anything, also a credential
    if isinstance(value, Mapping):
        return {key: MASK if _names_secret(str(key)) else _mask_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask_value(inner) for inner in value]
    return value


def mask_credentials(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Mask every credential in *event*, by the name of its key and by the form of its text (a structlog processor)."""
    for key, value in event.items():
        event[key] = MASK if _names_secret(key) else _mask_value(value)
    return event


_HEAD: Final = ("at", "level", "part", "event")


def _order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put first what every line has, so that lines stand below each other."""
    first = {key: event[key] for key in _HEAD if key in event}
    return {**first, **event}


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, an integer beyond 64 bits: written all the same
        return json.dumps(event, default=str)


def _name_library(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Name the part for a line of the standard library's ``logging``."""
    event["part"] = event["_record"].name
    return event


def _add_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Turn ``exc_info`` into fields: the type, the message, and the trace as one text."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        event["error_type"] = type(error).__name__
        event["error"] = str(error)
        event["exception"] = "".join(traceback.format_exception(error))
    return event


class _Output:
    """A stream that cannot hurt whoever logs: a log that nobody reads any more must not stop the proxy.

    Args:
        stream: Where to; None for whatever standard error is at the moment.
    """

    __slots__ = ("__weakref__", "_stream")  # structlog keeps a lock per stream, weakly

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        stream = self._stream or sys.stderr
        return stream is not None and not stream.closed and stream.isatty()

    def write(self, text: str) -> None:
        stream = self._stream or sys.stderr
        if stream is None:  # started without one
            return
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        except (OSError, ValueError):  # a full disk, a pipe that nobody reads, a stream that is closed
            return

    def flush(self) -> None:
        stream = self._stream or sys.stderr
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    _add_exception,
    mask_credentials,
    _order,
]


def _renderer_for(form: LogFormat, *, colors: bool) -> Processor:
    if form is LogFormat.JSON:
        return cast("Processor", _render_json)
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=0,
        sort_keys=False,
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
    )


def _configure(output: _Output, renderer: Processor, level: LogLevel) -> None:
    structlog.configure(
        processors=[*_SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBER_OF[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", output)),
        cache_logger_on_first_use=False,
    )


def configure_log(
    stream: TextIO | None = None, form: LogFormat = LogFormat.AUTO, level: LogLevel = LogLevel.INFO
) -> None:
    """Set where and how lines are written. Called once at start; loggers made before follow.

    Lines of the standard library's ``logging`` (asyncio, aiohttp) go the same way.

    Args:
        stream: Where to; standard error when None, so that standard output stays for answers.
        form: JSON lines, key=value for people, or by what *stream* is.
        level: The least severe line that is written.
    """
    output = _Output(stream)
    if form is LogFormat.AUTO:
        form = LogFormat.CONSOLE if output.isatty() else LogFormat.JSON
    renderer = _renderer_for(form, colors=output.isatty())
    _configure(output, renderer, level)
    bridge: logging.Handler = logging.StreamHandler(cast("TextIO", output))
    bridge.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library, *_SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [bridge]
    # Libraries speak at INFO about every connection; their warnings are what an operator needs.
    root.setLevel(max(_NUMBER_OF[level], logging.WARNING))


# Until somebody configures it: warnings only, on standard error. structlog's own default writes everything to standard
# output, between the answers of a command.
_configure(_Output(None), _renderer_for(LogFormat.CONSOLE, colors=False), LogLevel.WARNING)


def get_log(name: str) -> Logger:
    """Return the logger of a part, e.g. ``get_log("audit")``; *name* is in every line as ``part``."""
    return cast("Logger", structlog.get_logger(part=name))


def log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody caught, as an asyncio exception handler (``loop.set_exception_handler(log_unhandled)``).

    Names of the objects concerned are kept out: their ``repr`` may hold bytes of a request.
    """
    error = context.get("exception")
    task = context.get("task") or context.get("future")
    get_log("asyncio").error(
        "exception_unhandled",
        during=context.get("message", "unknown"),
        task=task.get_name() if isinstance(task, asyncio.Task) else None,
        exc_info=error,
    )
