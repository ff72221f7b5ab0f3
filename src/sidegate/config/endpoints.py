"""Where things are, as a running sidecar holds it: sockets, files, folders, other services.

How they are written in a file, and what is refused, is in :mod:`sidegate.config.places`.
"""

import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from sidegate.core.model.value import value

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
MAX_PORT: Final = 65_535


@value
class TcpEndpoint:
    """A TCP socket. *host* is a name or an address; an IPv6 address stands without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@value
class UnixEndpoint:
    """A Unix stream socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Endpoint = TcpEndpoint | UnixEndpoint


@value
class UpstreamUrl:
    """Where the DataStore service listens, and by which protocol (http or https)."""

    scheme: str
    endpoint: Endpoint

    def __str__(self) -> str:
        return str(self.endpoint) if isinstance(self.endpoint, UnixEndpoint) else f"{self.scheme}://{self.endpoint}"


@value
class FileSource:
    """A file on this machine, written ``file:path``."""

    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"


@value
class UrlSource:
    """Something reached by its address: over HTTPS, HTTP on the loopback, or as the address says."""

    url: str

    def __str__(self) -> str:
        return masked_url(self.url)


@value
class DirectorySource:
    """A watched folder of policy files, written ``dir:path`` (spec 5.1)."""

    path: Path

    def __str__(self) -> str:
        return f"dir:{self.path}"


@value
class RedisSource:
    """A Redis, Sentinel or Cluster address (spec 5.1)."""

    url: str

    def __str__(self) -> str:
        return masked_url(self.url)


def masked_url(url: str) -> str:
    """Return *url* without what stands before the ``@``."""
    return re.sub(r"(?<=://)[^/?#]*@", "***@", url)


def _port(text: str) -> int | None:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) is not None else None
    return port if port is not None and port <= MAX_PORT else None


def parse_tcp(text: str) -> TcpEndpoint:
    """Read ``127.0.0.1:8080``, ``[::1]:8080`` or ``name:8080``.

    Raises:
        ValueError: None of these.
    """
    host, _, port_text = text.rpartition(":")
    port = _port(port_text)
    if port is not None:
        if host.startswith("[") and host.endswith("]"):
            try:
                return TcpEndpoint(str(IPv6Address(host[1:-1])), port)
            except ValueError:
                pass
        elif _HOST.fullmatch(host) is not None:
            return TcpEndpoint(host, port)
    raise ValueError("write host:port, e.g. 127.0.0.1:8080, [::1]:8080 or unix:/run/sidegate.sock")


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address, is this machine itself and nothing outside it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
