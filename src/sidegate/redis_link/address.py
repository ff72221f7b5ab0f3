"""Addresses of Redis: ``redis://``, ``rediss://``, ``redis+sentinel://`` and ``redis+cluster://`` (spec 5.1)."""

import re
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from sidegate.core.model.value import value

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26_379
MAX_PORT: Final = 65_535
_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?))(?::([0-9]{1,5}))?")


class Topology(StrEnum):
    """How the servers belong together."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_TOPOLOGY: Final = {
    "redis": Topology.STANDALONE,
    "rediss": Topology.STANDALONE,
    "redis+sentinel": Topology.SENTINEL,
    "redis+cluster": Topology.CLUSTER,
}

_HINTS: Final = {
    Topology.STANDALONE: "write redis://host:6379/0",
    Topology.SENTINEL: "write redis+sentinel://host1:26379,host2:26379/name-of-the-master",
    Topology.CLUSTER: "write redis+cluster://host1:6379,host2:6379",
}

_OPTIONS: Final = {
    Topology.STANDALONE: frozenset({"ca", "db"}),
    Topology.SENTINEL: frozenset({"ca", "db", "tls"}),
    Topology.CLUSTER: frozenset({"ca", "tls"}),
}


@value
class RedisAddress:
    """Where Redis is. The password is not shown when it is printed.

    Attributes:
        topology: How the servers belong together.
        nodes: Host and port of each server named: of Redis itself, or of the Sentinels.
        master: Name under which the Sentinels know the master; empty but for Sentinel.
        db: Number of the database; 0 in a Cluster.
        username: None for the default user.
        password: None for none.
        tls: Whether connections are encrypted.
        ca: File with the certificates of those who may sign the servers'; None for the system's.
    """

    topology: Topology
    nodes: tuple[tuple[str, int], ...]
    master: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: str | None = None

    def __repr__(self) -> str:
        return f"RedisAddress({self})"

    def __str__(self) -> str:
        scheme = "redis" if self.topology is Topology.STANDALONE else f"redis+{self.topology}"
        if self.tls and self.topology is Topology.STANDALONE:
            scheme = "rediss"
        nodes = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        path = f"/{self.master}" if self.master else f"/{self.db}" if self.db else ""
        return f"{scheme}://{nodes}{path}"


def parse_address(url: str) -> RedisAddress:
    """Read the address of a Redis.

    Args:
        url: ``scheme://[user[:password]@]host[:port][,host[:port]...][/db or name of the master][?options]``. User and
            password are percent-encoded. Options: ``db`` (number, Sentinel), ``tls=1`` (Sentinel, Cluster), ``ca``
            (file).

    Raises:
        ValueError: Not such an address; says what to write, and shows nothing of what was written before the ``@``.
    """
    parts = urlsplit(url)
    topology = _TOPOLOGY.get(parts.scheme)
    if topology is None:
        raise ValueError("no address of a Redis; write redis://, rediss://, redis+sentinel:// or redis+cluster://")
    hint = _HINTS[topology]
    userinfo, _, places = parts.netloc.rpartition("@")
    nodes = tuple(_node(place, topology) for place in places.split(","))
    if topology is Topology.STANDALONE and len(nodes) != 1:
        raise ValueError(f"names {len(nodes)} servers; {hint}")
    options = {name: given[-1] for name, given in parse_qs(parts.query, keep_blank_values=True).items()}
    unknown = options.keys() - _OPTIONS[topology]
    if unknown or parts.fragment:
        raise ValueError(f"has an unknown option {', '.join(sorted(unknown)) or '#'}; {hint}")
    path = unquote(parts.path.removeprefix("/"))
    username, _, password = userinfo.partition(":")
    tls = parts.scheme == "rediss" or options.get("tls") in {"1", "true"}
    if options.get("tls", "0") not in {"0", "1", "true", "false"}:
        raise ValueError("says neither tls=1 nor tls=0; write one of them")
    return RedisAddress(
        topology,
        nodes,
        master=_master(path, hint) if topology is Topology.SENTINEL else "",
        db=_db(path, options.get("db"), topology),
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=tls,
        ca=options.get("ca") or None,
    )


def _node(place: str, topology: Topology) -> tuple[str, int]:
    found = _NODE.fullmatch(place)
    if found is None:
        raise ValueError(f"`{place}` is no host:port; {_HINTS[topology]}")
    default = DEFAULT_SENTINEL_PORT if topology is Topology.SENTINEL else DEFAULT_PORT
    port = int(found[3]) if found[3] is not None else default
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"port {port} is none; write 1 to {MAX_PORT}")
    return (found[1] or found[2], port)


def _master(path: str, hint: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", path) is None:
        raise ValueError(f"names no master; {hint}")
    return path


def _db(path: str, option: str | None, topology: Topology) -> int:
    written = option if topology is Topology.SENTINEL else path or option
    if topology is Topology.CLUSTER and written:
        raise ValueError(f"has a path; a Cluster has one database, so {_HINTS[topology]}")
    if not written:
        return 0
    if re.fullmatch("[0-9]{1,5}", written) is None:
        raise ValueError(f"`{written}` is no number of a database; {_HINTS[topology]}")
    return int(written)
