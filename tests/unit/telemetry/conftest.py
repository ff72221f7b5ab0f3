"""A log that can be read back."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from sidegate.telemetry.log import LogFormat, configure_log

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _restored_log() -> Iterator[None]:
    """Leave the process-wide configuration as it was found."""
    root = logging.getLogger()
    handlers, level, before = list(root.handlers), root.level, structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def lines() -> Lines:
    """Write the log as JSON lines; the call returns what was written so far."""
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
