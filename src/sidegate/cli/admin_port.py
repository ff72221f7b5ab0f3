"""Asks the admin port of a running sidecar (spec 6.6), for the commands that show what goes on in it."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from sidegate.cli.exit_codes import UnansweredError, UsageError
from sidegate.cli.health import AddressError, find_address, socket_address
from sidegate.config.environment import read_environment
from sidegate.core.model.errors import ConfigError, Problem

AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="ADDRESS", help="host:port or unix:path of the admin port.")
]

DEFAULT_TIMEOUT_S: Final = 5.0

_OK: Final = 200
_CLIENT_ERRORS: Final = range(400, 500)
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MAX_LINE_BYTES: Final = 1024 * 1024
_SILENCE_S: Final = 45.0
"""A stream sends something every 15 s, if only an empty line."""


class AdminPort:
    """One admin port.

    Args:
        address: ``host:port`` or ``unix:path``.
        timeout_s: For each step.

    Raises:
        UsageError: The address is none.
    """

    def __init__(self, address: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s
        try:
            self._place = socket_address(address)
        except AddressError as error:
            raise UsageError(str(error)) from None

    def text(self, path: str, query: Mapping[str, str] | None = None, accept: str = "text/plain") -> str:
        """Return the body of the answer to a GET.

        Raises:
            UnansweredError: There is none, or it is no answer of a sidecar.
            UsageError: The sidecar refuses what is asked; with its reason.
        """
        return self._read(path, query, accept, frozenset({_OK}))

    def readiness(self) -> dict[str, Any]:
        """Return what `/readyz` says, ready or not; errors as of :meth:`text`."""
        return _object(self._read("/readyz", {"verbose": ""}, "application/json", frozenset({_OK, 503})))

    def document(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object that answers a GET; errors as of :meth:`text`."""
        return _object(self.text(path, query, "application/json"))

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Return the lines of a stream as they come, without their line feeds, until it ends.

        Raises: as :meth:`text`.
        """
        connection = self._connect()
        try:
            connection.sock.settimeout(_SILENCE_S)
            response = self._ask(connection, path, query, "application/x-ndjson")
            if response.status != _OK:
                self._refuse(response)
            while line := response.readline(_MAX_LINE_BYTES):
                yield line.rstrip(b"\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._unanswered(error) from None
        finally:
            connection.close()

    def _read(self, path: str, query: Mapping[str, str] | None, accept: str, wanted: frozenset[int]) -> str:
        connection = self._connect()
        try:
            response = self._ask(connection, path, query or {}, accept)
            if response.status not in wanted:
                self._refuse(response)
            return response.read(_MAX_ANSWER_BYTES).decode()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise self._unanswered(error) from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        family, place = self._place
        connection = http.client.HTTPConnection("localhost", timeout=self._timeout_s)
        try:
            connection.sock = socket.socket(family, socket.SOCK_STREAM)
            connection.sock.settimeout(self._timeout_s)
            connection.sock.connect(place)
        except OSError as error:
            connection.close()
            raise self._unanswered(error) from None
        return connection

    @staticmethod
    def _ask(
        connection: http.client.HTTPConnection, path: str, query: Mapping[str, str], accept: str
    ) -> http.client.HTTPResponse:
        target = f"{path}?{urlencode(query)}" if query else path
        connection.request("GET", target, headers={"Accept": accept})
        return connection.getresponse()

    def _refuse(self, response: http.client.HTTPResponse) -> None:
        body = response.read(_MAX_ANSWER_BYTES)
        try:
            problem = json.loads(body)
            text = f"{problem['detail']}; {problem['hint']}"
        except (ValueError, KeyError, TypeError):
            raise UnansweredError(
                f"{self.address} answers {response.status}, which a sidecar's admin port would not;"
                " name the right one with --address"
            ) from None
        if response.status in _CLIENT_ERRORS:
            raise UsageError(text)
        raise UnansweredError(f"{self.address}: {text}")

    def _unanswered(self, error: Exception) -> UnansweredError:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return UnansweredError(
            f"nobody answers at {self.address}: {why}; start `sidegate run`, or name its admin port with --address"
        )


def find_admin_port(address: str | None, config: Path | None, timeout_s: float = DEFAULT_TIMEOUT_S) -> AdminPort:
    """Return the admin port that *address* names, else the configured one, else the usual one.

    Raises:
        ConfigError: The configuration cannot be read.
        UsageError: The address is none.
    """
    try:
        found = find_address(address, None if config is None else str(config), read_environment())
    except AddressError as error:
        what, _, hint = str(error).partition("; ")
        raise ConfigError((Problem(None, "admin", what, hint),)) from None
    return AdminPort(found, timeout_s)


def _object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UnansweredError("what answers there is no sidecar's admin port; name the right one with --address")
    return document
