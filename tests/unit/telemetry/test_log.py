"""The structured log."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from sidegate.telemetry.log import LogFormat, LogLevel, configure_log, get_log, log_unhandled, mask_text

Lines = Callable[[], list[dict[str, Any]]]

KEY = "sg_live_0123456789abcdefSECRETSECRET"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_is_an_event_with_typed_fields(lines: Lines) -> None:
    """The four fields of every line come first; numbers stay numbers."""
    get_log("distribution").warning("snapshot_rejected", revision=812, source="dir", kept_revision=None)
    (line,) = lines()
    assert list(line) == ["at", "level", "part", "event", "revision", "source", "kept_revision"]
    assert (
        line["level"],
        line["part"],
        line["event"],
        line["revision"],
        line["kept_revision"],
    ) == ("warning", "distribution", "snapshot_rejected", 812, None)
    assert line["at"].endswith("Z")


def test_a_logger_made_before_the_configuration_follows_it() -> None:
    """Modules make their loggers when they are imported."""
    early = get_log("early")
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    early.info("listener_opened")
    assert json.loads(stream.getvalue())["event"] == "listener_opened"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param(LogLevel.DEBUG, ["debug", "info", "warning", "error"], id="debug"),
        pytest.param(LogLevel.INFO, ["info", "warning", "error"], id="info"),
        pytest.param(LogLevel.WARNING, ["warning", "error"], id="warning"),
        pytest.param(LogLevel.ERROR, ["error"], id="error"),
    ],
)
def test_only_lines_of_the_level_and_above_are_written(level: LogLevel, expected: list[str]) -> None:
    """A level names the least severe line."""
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON, level)
    log = get_log("test")
    log.debug("a_b")
    log.info("a_b")
    log.warning("a_b")
    log.error("a_b")
    assert expected == [json.loads(line)["level"] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        pytest.param(LogFormat.AUTO, io.StringIO(), True, id="auto-on-a-pipe"),
        pytest.param(LogFormat.AUTO, Terminal(), False, id="auto-on-a-terminal"),
        pytest.param(LogFormat.JSON, Terminal(), True, id="json-on-a-terminal"),
        pytest.param(LogFormat.CONSOLE, io.StringIO(), False, id="console-on-a-pipe"),
    ],
)
def test_the_form_is_as_asked_or_by_what_the_stream_is(form: LogFormat, stream: io.StringIO, is_json: bool) -> None:
    """People get key=value, programs get JSON lines."""
    configure_log(stream, form)
    get_log("test").info("listener_opened", address="127.0.0.1:8080")
    text = stream.getvalue()
    assert is_json == text.startswith("{")
    assert "listener_opened" in text
    assert "127.0.0.1:8080" in text


def test_the_log_goes_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for answers."""
    configure_log()
    get_log("test").info("listener_opened")
    captured = capsys.readouterr()
    assert (captured.out, "listener_opened" in captured.err) == ("", True)


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_line_break_in_a_value_makes_no_second_line(form: LogFormat) -> None:
    """Nobody can forge a line through a value."""
    stream = io.StringIO()
    configure_log(stream, form)
    get_log("test").info("listener_opened", address="x\n2026 [info] forged\r\nline")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"token": "abc"}, {"token": "***"}, id="named-token"),
        pytest.param({"session_cookie": "abc"}, {"session_cookie": "***"}, id="last-word-decides"),
        pytest.param({"X-API-Key": "abc"}, {"X-API-Key": "***"}, id="header-spelling"),
        pytest.param({"Authorization": "abc"}, {"Authorization": "***"}, id="authorization"),
        pytest.param({"key_id": "4fQz"}, {"key_id": "4fQz"}, id="a-key-id-is-no-secret"),
        pytest.param({"token_count": 3}, {"token_count": 3}, id="nor-a-count"),
        pytest.param({"seen": {"Cookie": "a=b", "Via": "x"}}, {"seen": {"Cookie": "***", "Via": "x"}}, id="nested"),
        pytest.param({"lines": [f"X: {KEY}", ("y",)]}, {"lines": ["X: ***", ["y"]]}, id="key-inside-a-list"),
        pytest.param({"why": f"cannot read {JWT}."}, {"why": "cannot read ***."}, id="jwt-inside-a-text"),
        pytest.param({"url": "redis://me:pw@host/0"}, {"url": "redis://***@host/0"}, id="url-with-password"),
        pytest.param({"url": "http://host:80/a@b"}, {"url": "http://host:80/a@b"}, id="url-with-port"),
        pytest.param({"raw": b"GET / HTTP/1.1"}, {"raw": "<14 bytes>"}, id="bytes"),
    ],
)  # fmt: skip
def test_a_credential_is_never_written(lines: Lines, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Masked by the name of the key and by the form of the text, however deep."""
    get_log("test").info("thing_seen", **fields)
    (line,) = lines()
    assert expected == {key: line[key] for key in fields}


def test_a_credential_in_an_exception_is_masked(lines: Lines) -> None:
    """Neither the message nor the trace shows it."""

    def fail() -> None:
        raise ValueError(f"bad key {KEY}")

    try:
        fail()
    except ValueError:
        get_log("test").exception("key_refused")
    (line,) = lines()
    assert (line["error_type"], line["error"]) == ("ValueError", "bad key ***")
    assert KEY not in json.dumps(line)
    assert "Traceback" in line["exception"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Bearer abc.def-ghi next", "Bearer *** next", id="bearer"),
        pytest.param("basic dXNlcjpwdw==", "basic ***", id="basic-lower-case"),
        pytest.param("sg_short", "sg_short", id="too-short-for-a-key"),
        pytest.param("nothing here", "nothing here", id="plain"),
    ],
)
def test_text_is_masked_by_its_form(text: str, expected: str) -> None:
    """What looks like a credential is replaced, all else stays."""
    assert expected == mask_text(text)


def test_what_json_does_not_know_is_written_as_text(lines: Lines) -> None:
    """No value can make a line fail."""
    get_log("test").info("thing_seen", thing=1j)
    assert lines()[0]["thing"] == "1j"


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.CONSOLE])
@pytest.mark.parametrize(
    "thing", [pytest.param("lone \ud800", id="surrogate"), pytest.param(1 << 70, id="beyond-64-bits")]
)
def test_what_cannot_be_encoded_is_written_all_the_same(form: LogFormat, thing: object) -> None:
    """Bytes of a request that were decoded somehow must not make a line disappear."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    configure_log(stream, form)
    get_log("test").info("thing_seen", thing=thing)
    stream.flush()
    written = raw.getvalue().decode()
    assert "thing_seen" in written
    assert ("d800" in written) or (str(1 << 70) in written)


def test_a_terminal_that_lacks_a_letter_gets_its_number() -> None:
    """A process may have been started in the C locale."""
    raw = io.BytesIO()
    configure_log(io.TextIOWrapper(raw, encoding="ascii", write_through=True), LogFormat.JSON)
    get_log("test").info("thing_seen", thing="Größe")
    assert b"Gr\\xf6\\xdfe" in raw.getvalue()


class Broken(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [pytest.param(Broken(), id="broken-pipe"), pytest.param(_closed(), id="closed")])
def test_a_log_that_cannot_be_written_stops_nobody(stream: io.StringIO) -> None:
    """The line is lost, the caller goes on; lines of libraries too."""
    configure_log(stream, LogFormat.JSON)
    get_log("test").error("disk_failed")
    logging.getLogger("aiohttp").error("bad thing")


def test_without_a_standard_error_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon may have been started without one."""
    monkeypatch.setattr(sys, "stderr", None)
    configure_log()
    get_log("test").error("disk_failed")


def test_before_it_is_configured_only_warnings_are_written_and_never_between_answers() -> None:
    """A command prints answers to standard output; what its parts log must not get in between."""
    code = "from sidegate.telemetry.log import get_log; log = get_log('x'); log.info('a_seen'); log.warning('b_seen')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, "a_seen" in done.stderr, "b_seen" in done.stderr) == ("", False, True)


def test_lines_of_libraries_go_the_same_way(lines: Lines) -> None:
    """Warnings of the standard library's logging become lines of the same form; chatter does not."""
    logging.getLogger("aiohttp.server").info("connection opened")
    logging.getLogger("aiohttp.server").warning("bad thing: %s", KEY)
    (line,) = lines()
    assert (line["part"], line["level"], line["event"]) == ("aiohttp.server", "warning", "bad thing: ***")


async def test_what_nobody_caught_is_logged(lines: Lines) -> None:
    """The exception handler of the loop writes one line with the exception."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_unhandled)

    def fail() -> None:
        raise ZeroDivisionError("by zero")

    loop.call_soon(fail)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (line,) = lines()
    assert (
        line["event"],
        line["part"],
        line["task"],
        line["error_type"],
    ) == ("exception_unhandled", "asyncio", None, "ZeroDivisionError")


async def test_an_unhandled_report_without_an_exception_names_the_task(lines: Lines) -> None:
    """The loop also reports what is no exception; the line says during what, and in which task."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name("relay")
    log_unhandled(asyncio.get_running_loop(), {"message": "Task was destroyed but it is pending!", "task": task})
    (line,) = lines()
    assert (line["during"], line["task"], "error" in line) == ("Task was destroyed but it is pending!", "relay", False)
