"""Runs a real client straight at an upstream and through Sidegate, and compares what both ends made of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.issuer import Issuer
from tests.integration.sidecar import ISSUER, Sidecar
from tests.transparency.exchanges import ROUTES
from tests.transparency.rules import expected_upstream, seen_upstream
from tests.transparency.store import Call, Serve, Store, serve

FRAMING: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "trailer"})
"""Header lines of answers that belong to one connection; everything else has to be the same, order included."""


@dataclass(frozen=True)
class Got:
    """What a client made of one answer.

    Attributes:
        what: It asked for.
        headers: (lower-case name, value), in order, without :data:`FRAMING`.
    """

    what: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def got(what: str, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Got:
    """Return what a client made of one answer."""
    kept = tuple((name.lower(), text) for name, text in headers if name.lower() not in FRAMING)
    return Got(what, status, kept, body)


Client = Callable[[str, str], object]
"""Takes the URL of a folder without a slash at the end, and a token; returns what is to be compared."""


@dataclass(frozen=True)
class Ground:
    """An upstream and a sidecar in front of it."""

    store: Store
    sidecar: Sidecar
    token: str

    def compare(self, client: Client) -> tuple[int, list[str]]:
        """Run *client* both ways; return how many requests it made, and every difference that no rule allows."""
        seen, calls = [], []
        for port in (self.store.port, self.sidecar.port):
            self.store.calls.clear()
            seen.append(client(_folder(port), self.token))
            calls.append(list(self.store.calls))
        found = [] if seen[0] == seen[1] else [f"the client got {seen[0]!r}, and {seen[1]!r} with Sidegate"]
        if len(calls[0]) != len(calls[1]):
            found.append(f"the upstream got {_lines(calls[0])}, and {_lines(calls[1])} with Sidegate")
        for direct, through in zip(*calls, strict=False):
            found += self._differences(direct, through)
        return len(calls[1]), found + self.store.failures

    def _differences(self, direct: Call, through: Call) -> Iterator[str]:
        ports = (b"127.0.0.1:%d" % self.store.port, b"127.0.0.1:%d" % self.sidecar.port)
        # A client names the port that it was told; nothing else knows of it.
        expected = expected_upstream(direct.head.replace(*ports) + direct.body)
        sight = seen_upstream(through.head + through.body, expected)
        if (sight.heads, sight.payloads) != (expected.heads, expected.payloads):
            yield f"the upstream got {sight.heads!r} and not {expected.heads!r}, or another body"


def compare_socket_client(
    folder: Path, serving: Callable[[], AbstractContextManager[int]], client: Client
) -> list[str]:
    """Run *client* at what *serving* serves, without and with Sidegate; return what differs for it."""
    with serving() as port, sidecar_for(folder, port) as (sidecar, token):
        direct, through = (client(_folder(at), token) for at in (port, sidecar.port))
    return [] if direct == through else [f"{direct!r}, and {through!r} with Sidegate"]


def _lines(calls: Sequence[Call]) -> list[bytes]:
    return [call.head.partition(b"\r\n")[0] for call in calls]


@contextmanager
def ground(folder: Path, answering: Serve = serve) -> Iterator[Ground]:
    """Start both; nothing in the sidecar's log may be an error in the end."""
    store = Store(answering)
    try:
        with sidecar_for(folder, store.port) as (sidecar, token):
            yield Ground(store, sidecar, token)
    finally:
        store.close()


@contextmanager
def sidecar_for(folder: Path, upstream: int, routes: str = ROUTES) -> Iterator[tuple[Sidecar, str]]:
    """Start a sidecar in front of the port *upstream*; gives it and a session that may do everything."""
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    sidecar = Sidecar(folder / "sidecar", f"http://127.0.0.1:{upstream}", issuer, routes=routes)
    try:
        sidecar.start()
        yield sidecar, issuer.session("ana", "acme")
        assert [event for event in sidecar.events() if event.get("level") in {"error", "critical"}] == []
        assert "Traceback" not in sidecar.log.read_text()
    finally:
        sidecar.close()


def _folder(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1/orgs/acme/projects/p1/branches/x/files"
