"""Real servers of different parsing habits, each in a process of its own in front of an application that writes down
what it read."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.integration.waiting import eventually
from tests.wire.real.journal import VARIABLE

ROOT: Final = Path(__file__).parents[3]
HERE: Final = Path(__file__).parent
ASGI: Final = "tests.wire.real.asgi_app:app"
WSGI: Final = "tests.wire.real.wsgi_app:app"

_TOMCAT: Final = Path("/usr/share/java/tomcat10-embed-core.jar")

Command = Callable[[Path, int], list[str]]


def _module(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def _aiohttp(folder: Path, port: int) -> list[str]:
    del folder
    return _module("tests.wire.real.aiohttp_app", str(port))


def _uvicorn(parser: str) -> Command:
    def command(folder: Path, port: int) -> list[str]:
        del folder
        quiet = ("--no-access-log", "--log-level", "error", "--no-server-header", "--ws", "none")
        return _module("uvicorn", ASGI, "--http", parser, "--port", str(port), *quiet)

    return command


def _hypercorn(folder: Path, port: int) -> list[str]:
    del folder
    return _module("hypercorn", ASGI, "--bind", f"127.0.0.1:{port}", "--log-level", "ERROR")


def _gunicorn(folder: Path, port: int) -> list[str]:
    threads = ("--worker-class", "gthread", "--threads", "8", "--log-level", "error", "--no-control-socket")
    return _module("gunicorn", WSGI, "--bind", f"127.0.0.1:{port}", *threads, "--worker-tmp-dir", str(folder))


def _waitress(folder: Path, port: int) -> list[str]:
    del folder
    return _module("waitress", f"--listen=127.0.0.1:{port}", "--threads=8", WSGI)


def _node(folder: Path, port: int) -> list[str]:
    return ["node", str(HERE / "node_app.js"), str(port), str(folder / "journal")]


def _java(folder: Path, port: int) -> list[str]:
    return ["java", str(HERE / "JavaApp.java"), str(port), str(folder / "journal")]


def _tomcat(folder: Path, port: int) -> list[str]:
    return ["java", "-cp", str(_TOMCAT), str(HERE / "TomcatApp.java"), str(port), str(folder / "journal")]


def _caddy(folder: Path, port: int) -> list[str]:
    settings = folder / "Caddyfile"
    settings.write_text(
        "{\n  admin off\n  auto_https off\n  persist_config off\n}\n"
        f"http://:{port} {{\n  bind 127.0.0.1\n  reverse_proxy 127.0.0.1:{_behind(folder)}\n}}\n"
    )
    return [find_command("caddy"), "run", "--adapter", "caddyfile", "--config", str(settings)]


def _nginx(folder: Path, port: int) -> list[str]:
    settings = folder / "nginx.conf"
    behind = _behind(folder)
    settings.write_text(
        f"daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; underscores_in_headers on; client_max_body_size 0;\n"
        f"large_client_header_buffers 4 32k;\n"
        f"location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; }} }} }}\n"
    )
    return [find_command("nginx"), "-c", str(settings), "-e", f"{folder}/error.log"]


def _haproxy(folder: Path, port: int) -> list[str]:
    settings = folder / "haproxy.cfg"
    behind = _behind(folder)
    settings.write_text(
        "global\n  maxconn 512\n  tune.bufsize 65536\n"
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend out\n"
        f"backend out\n  server one 127.0.0.1:{behind}\n"
    )
    return [find_command("haproxy"), "-db", "-f", str(settings)]


def _apache(folder: Path, port: int) -> list[str]:
    settings = folder / "httpd.conf"
    modules = "/usr/lib/apache2/modules"
    behind = _behind(folder)
    loaded = ("mpm_event", "authz_core", "proxy", "proxy_http")
    settings.write_text(
        "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in loaded)
        + f"ServerName x\nListen 127.0.0.1:{port}\nPidFile {folder}/httpd.pid\nErrorLog {folder}/error.log\n"
        f"DefaultRuntimeDir {folder}\nMutex pthread\nAllowEncodedSlashes NoDecode\nLimitRequestFieldSize 65536\n"
        f"LimitRequestLine 16384\nProxyPass / http://127.0.0.1:{behind}/ nocanon\n"
    )
    return [find_command("apache2"), "-X", "-f", str(settings)]


_BEHIND: Final[dict[Path, int]] = {}


def _behind(folder: Path) -> int:
    """Return the port of the application that an intermediary stands in front of."""
    return _BEHIND[folder]


def find_command(command: str) -> str:
    """Return where *command* is; Debian puts servers where not everybody looks."""
    return (
        shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:{Path(sys.executable).parent}")
        or command
    )


SERVERS: Final[dict[str, Command]] = {
    "aiohttp": _aiohttp,
    "uvicorn-h11": _uvicorn("h11"),
    "uvicorn-httptools": _uvicorn("httptools"),
    "hypercorn": _hypercorn,
    "gunicorn": _gunicorn,
    "waitress": _waitress,
    "node": _node,
    "java": _java,
    "tomcat": _tomcat,
    "nginx": _nginx,
    "haproxy": _haproxy,
    "apache2": _apache,
    "caddy": _caddy,
}
FROM_PIP: Final = ("aiohttp", "uvicorn-h11", "uvicorn-httptools", "hypercorn", "gunicorn", "waitress")
INTERMEDIARIES: Final = frozenset({"nginx", "haproxy", "apache2", "caddy"})
"""Stand in front of the aiohttp application, which writes down what they forward."""
_COMMANDS: Final = {
    "node": "node", "java": "javac", "tomcat": "javac", "nginx": "nginx", "haproxy": "haproxy", "apache2": "apache2",
    "caddy": "caddy",
}  # fmt: skip


def is_there(name: str) -> bool:
    """Whether the server *name* is installed."""
    if name == "tomcat" and not _TOMCAT.exists():
        return False
    return name in FROM_PIP or shutil.which(find_command(_COMMANDS[name])) is not None


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def serving(name: str, folder: Path) -> Iterator[int]:
    """Run the server *name*; gives the port it listens on. What its application reads is in ``folder/journal``."""
    with contextlib.ExitStack() as stack:
        if name in INTERMEDIARIES:
            _BEHIND[folder] = free_port()
            stack.enter_context(running(_aiohttp(folder, _BEHIND[folder]), folder, _BEHIND[folder]))
        port = free_port()
        stack.enter_context(running(SERVERS[name](folder, port), folder, port))
        yield port


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run *command* in a process of its own, from when it listens at *port*; what it says goes to ``server.log``."""
    environment = {**os.environ, VARIABLE: str(folder / "journal"), "PYTHONPATH": os.pathsep.join(sys.path)}
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip

    def listens() -> bool:
        assert process.poll() is None, f"{command[:4]} ended with {process.returncode}:\n{log.read_text()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        eventually(listens, f"{command[:4]} listens")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
