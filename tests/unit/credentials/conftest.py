"""Keys made once per run, and the log as it is written."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from tests.unit.core.identity.issuer import Issuer

from sidegate.telemetry.log import LogFormat, configure_log


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return an issuer with one key of each kind."""
    return Issuer()


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """Return what gives the events that were logged, in order."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    yield lambda: [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)
