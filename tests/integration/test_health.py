"""``sidegate health`` against sockets that answer well, badly, or not at all."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidegate.cli.health import HEALTHY, MAX_ANSWER_BYTES, UNAVAILABLE, UNHEALTHY, main


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a free port of the loopback, answer one request with *answer*, and keep what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(4096))
                try:
                    connection.sendall(answer)
                except OSError:
                    return  # whoever has read enough hangs up

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize(
    ("answer", "code", "shown"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n[+]loop ok\n", HEALTHY, "[+]loop ok\n", id="healthy"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nok\n", HEALTHY, "ok\n", id="http-1.0"),
        pytest.param(b"HTTP/1.1 503 X\r\n\r\n[-]audit failed\n", UNHEALTHY, "[-]audit failed\n", id="not-ready"),
        pytest.param(b"HTTP/1.1 404 X\r\n\r\n", UNHEALTHY, "\n", id="another-server"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n\x1b[2Jok", HEALTHY, "\ufffd[2Jok\n", id="control-characters"),
        pytest.param(b"", UNAVAILABLE, "", id="hangs-up"),
        pytest.param(b"SSH-2.0-x\r\n", UNAVAILABLE, "", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * MAX_ANSWER_BYTES, UNAVAILABLE, "", id="endless"),
    ],
)
def test_the_answer_is_the_exit_code(answer: bytes, code: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """200 is healthy, any other status is not, and what is no answer is nobody."""
    with answering(answer) as (port, _):
        assert code == main(["--address", f"127.0.0.1:{port}"])
    assert shown == capsys.readouterr().out


@pytest.mark.parametrize(("flags", "path"), [([], b"/livez"), (["--ready"], b"/readyz")], ids=["live", "ready"])
def test_which_question_is_asked(flags: list[str], path: bytes) -> None:
    """`/livez` unless readiness is asked for; a wildcard address is asked over the loopback."""
    with answering(b"HTTP/1.1 200 OK\r\n\r\nok\n") as (port, asked):
        assert main([*flags, "--address", f"0.0.0.0:{port}"]) == HEALTHY
    assert asked[0].startswith(b"GET " + path + b"?verbose HTTP/1.1\r\nHost: localhost\r\n")


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    """The admin port may be a Unix socket."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nok\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert main(["--address", f"unix:{path}"]) == HEALTHY
        thread.join()


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused connection is code 69, with what to do next."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert main(["--address", f"127.0.0.1:{port}"]) == UNAVAILABLE
    assert "start `sidegate run`" in capsys.readouterr().err


def test_only_the_standard_library_is_loaded() -> None:
    """Started as probes start it, nothing heavy is imported: it runs every few seconds."""
    program = (
        "import sys; from sidegate.cli import health; health.find_address('h:1', None, {});"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'pydantic', 'typer', 'aiohttp', 'yaml',"
        " 'rich', 'asyncio', 'email', 'ssl'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
