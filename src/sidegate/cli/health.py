"""Asks a running sidecar how it is: for ``HEALTHCHECK`` of an image and for ``exec`` probes (spec 6.6).

Probes start a new interpreter each time, every few seconds, in the sidecar's own CPU share. So nothing is imported here
but the standard library, and the reader of YAML only when the address stands in a file:
``python -I -m sidegate.cli.health`` costs half of what a command of the full command line does.
"""

import argparse
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

LIVE: Final = "/livez"
READY: Final = "/readyz"

HEALTHY: Final = 0
UNHEALTHY: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 69
BAD_CONFIGURATION: Final = 78

DEFAULT_ADDRESS: Final = "127.0.0.1:9090"
DEFAULT_CONFIG: Final = "config/sidegate.yaml"
DEFAULT_TIMEOUT_S: Final = 3.0
MAX_ANSWER_BYTES: Final = 65_536
"""The answer is a line per check; a program that sends more is no sidecar."""

_MAX_CONFIG_BYTES: Final = 1 << 20
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_HEADERS: Final = "Host: localhost\r\nAccept: text/plain\r\nConnection: close\r\n"
_OK: Final = 200
# A wildcard is where a socket is bound, not where it can be reached; the loopback of its family is.
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Answer(NamedTuple):
    """What the admin port said: the status, and the body for people."""

    status: int
    body: str


class AddressError(ValueError):
    """The address of the admin port cannot be read, or the file that it should stand in cannot."""


def find_address(given: str | None, config: str | None, environment: Mapping[str, str]) -> str:
    """Return the address of the admin port: as given, from a variable, from the file, or the usual one (spec 6).

    Args:
        given: The flag; None for none.
        config: The configuration file; None for the one that the environment names, or the usual one if it is there.
        environment: Of this process.

    Raises:
        AddressError: The file cannot be read or does not say it.
    """
    if given is not None:
        return given
    for variable in ("SIDEGATE_ADMIN__ADDRESS", "SIDEGATE_ADMIN"):
        if environment.get(variable):
            return environment[variable]
    path = config or environment.get("SIDEGATE_CONFIG") or None
    if path is None:
        # Not pathlib: it would be a tenth of the whole start.
        path = DEFAULT_CONFIG if os.path.isfile(DEFAULT_CONFIG) else None  # noqa: PTH113
    return DEFAULT_ADDRESS if path is None else _address_in(path)


def _address_in(path: str) -> str:
    from sidegate.config.yaml_tree import read_tree  # noqa: PLC0415 - see the module's docstring

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            content = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise AddressError(f"`{path}` cannot be read: {error.strerror}; name the file with --config") from error
    tree = read_tree(content, path, _MAX_CONFIG_BYTES)
    written = tree.data.get("admin") if isinstance(tree.data, dict) else None
    if isinstance(written, dict):
        written = written.get("address")
    if written is None and not tree.problems:
        return DEFAULT_ADDRESS
    if not isinstance(written, str):
        raise AddressError(f"`{path}` does not say where the admin port is; correct `admin`, or name it with --address")
    if written.startswith("unix:"):
        return f"unix:{os.path.join(os.path.dirname(path), written.removeprefix('unix:'))}"  # noqa: PTH118, PTH120
    return written


def ask(address: str, path: str, timeout_s: float) -> Answer:
    """Send one GET to the admin port.

    Args:
        address: ``host:port``, ``[v6]:port`` or ``unix:path``; a wildcard host is asked over the loopback.
        path: E.g. :data:`LIVE`.
        timeout_s: For each step, not for all together; whoever runs the probe limits the whole.

    Raises:
        AddressError: The address is none of these.
        OSError: Nobody answers there.
        ValueError: Who answers does not speak HTTP.
    """
    family, place = socket_address(address)
    received = b""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(place)
        connection.sendall(f"GET {path}?verbose HTTP/1.1\r\n{_HEADERS}\r\n".encode())
        while len(received) <= MAX_ANSWER_BYTES and (part := connection.recv(8192)):
            received += part
    status = _STATUS_LINE.match(received)
    if status is None or len(received) > MAX_ANSWER_BYTES:
        raise ValueError("what answers there is no sidecar's admin port")
    return Answer(int(status[1]), received.partition(b"\r\n\r\n")[2].decode("utf-8", "replace"))


def socket_address(address: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    """Return the family and the place to connect to for ``host:port``, ``[v6]:port`` or ``unix:path``.

    Raises:
        AddressError: It is none of these.
    """
    if address.startswith("unix:"):
        return socket.AF_UNIX, address.removeprefix("unix:")
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65_535):  # noqa: PLR2004 - the largest port
        raise AddressError(f"`{address}` is no address; write host:port or unix:path")
    host = _REACHED_AT.get(host, host)
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


def check_health(address: str, path: str, timeout_s: float) -> tuple[int, str]:
    """Return the exit code and what to print.

    Returns:
        0 if the checks passed, 1 if some did not, 69 if nobody answers, 78 if the address cannot be used.
    """
    try:
        answer = ask(address, path, timeout_s)
    except AddressError as error:
        return BAD_CONFIGURATION, str(error)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return UNAVAILABLE, f"nobody answers at {address}: {why}; start `sidegate run`, or name its admin port"
    return (HEALTHY if answer.status == _OK else UNHEALTHY), _printable(answer.body.rstrip("\n"))


def _printable(text: str) -> str:
    """Whoever answers may be anybody: nothing it says may move the cursor of a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print the answer, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="sidegate health",
        description="Ask a running sidecar whether it lives, or whether it is ready for requests.",
        epilog="Exit codes: 0 healthy, 1 not healthy, 2 usage, 69 nobody answers, 78 bad configuration.",
    )
    parser.add_argument("--ready", action="store_true", help="ask /readyz instead of /livez")
    parser.add_argument("--config", "-c", metavar="FILE", help="configuration file that names the admin port")
    parser.add_argument("--address", metavar="ADDRESS", help="host:port or unix:path of the admin port")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=DEFAULT_TIMEOUT_S, help="for each step [%(default)s]"
    )
    options = parser.parse_args(arguments)
    try:
        # Not sidegate.config.environment: it needs the models of the settings, and they cost ten times the rest.
        address = find_address(options.address, options.config, os.environ)  # noqa: TID251
    except AddressError as error:
        code, text = BAD_CONFIGURATION, str(error)
    else:
        code, text = check_health(address, READY if options.ready else LIVE, options.timeout)
    stream = sys.stdout if code in {HEALTHY, UNHEALTHY} else sys.stderr
    stream.write(f"{text}\n" if code in {HEALTHY, UNHEALTHY} else f"sidegate health: {text}\n")
    return code


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 60:  # noqa: PLR2004 - a minute: longer, and the probe tells nothing
        raise argparse.ArgumentTypeError("write seconds, more than 0 and at most 60")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
