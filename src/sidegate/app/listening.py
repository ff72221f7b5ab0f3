"""Sockets to listen on."""

import contextlib
import errno
import os
import socket
import stat
from typing import Final

from sidegate.config.endpoints import Endpoint, UnixEndpoint
from sidegate.core.model.errors import ConfigError, Problem

BACKLOG: Final = 4096
"""Connections that wait to be accepted; the kernel caps it at net.core.somaxconn."""

_UNIX_MODE: Final = 0o660


def bind(endpoint: Endpoint, key: str, *, shared: bool = False) -> socket.socket:
    """Bind a socket, not yet listening.

    Args:
        endpoint: Where.
        key: The setting it comes from, for the error.
        shared: Other processes bind the same port (SO_REUSEPORT); the kernel spreads connections over them.

    Raises:
        ConfigError: Nothing can listen there.
    """
    try:
        return (
            _bind_unix(str(endpoint.path))
            if isinstance(endpoint, UnixEndpoint)
            else _bind_tcp(endpoint.host, endpoint.port, shared=shared)
        )
    except OSError as error:
        hint = (
            "end what listens there, or choose another address"
            if error.errno == errno.EADDRINUSE
            else ("choose an address of this machine that this user may bind")
        )
        what = f"is `{endpoint}`, which cannot be bound: {error.strerror or error}"
        raise ConfigError((Problem(None, key, what, hint),)) from error


def _bind_tcp(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    listening.settimeout(0.0)
    return listening


def _bind_unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # Nobody else may connect between bind and chmod.
        mask = os.umask(0o777 & ~_UNIX_MODE)
        try:
            listening.bind(path)
        finally:
            os.umask(mask)
    except OSError:
        listening.close()
        raise
    listening.settimeout(0.0)
    return listening


def _remove_stale(path: str) -> None:
    """Remove the socket that a process left which has ended; one that somebody listens on stays."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - the path may be longer than a Path shows
            raise OSError(errno.EADDRINUSE, "a file that is no socket stands there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)  # noqa: PTH108 - as above
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
