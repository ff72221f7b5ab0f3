"""A data path in memory whose clients speak TLS: what goes in and comes out is what a client says and reads."""

import contextlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.issuer import Issuer
from tests.exchange.rig import CLIENT_ADDRESS, MemoryTransport, Rig
from tests.integration.authority import Authority
from tests.integration.sidecar import Sidecar

from sidegate.app.entrance import open_entrance

NAME = "gate.example"


class SecureClient:
    """The client's end of one connection, with the surface of :class:`MemoryTransport`, which carries it.

    Args:
        socket: Carries it.
        context: The client's.
        name: Whom it wants to talk to; None for anybody.
        session: Of an earlier connection.
        before: Sent before the handshake.

    Attributes:
        socket: What carries it, with everything in cipher.
        tls: Its state.
        failure: Why the handshake failed.
        heard_end: The other side said that it ends.
    """

    def __init__(
        self,
        socket: MemoryTransport,
        context: ssl.SSLContext,
        name: str | None = NAME,
        session: ssl.SSLSession | None = None,
        before: bytes = b"",
    ) -> None:
        self.socket = socket
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        self.failure: ssl.SSLError | None = None
        self.heard_end = False
        self._is_open = False
        self._read = bytearray()
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def shake_hands(self, cut: int = 1 << 20) -> bool:
        """Do the handshake, feeding *cut* bytes at a time; returns whether it was done."""
        while not self._is_open and self.failure is None:
            try:
                self.tls.do_handshake()
                self._is_open = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.failure = error
            flight = self._before + self._outgoing.read()
            self._before = b""
            for at in range(0, len(flight), cut):
                self.socket.feed(flight[at : at + cut])
            answer = self._take()
            if not answer and not self._is_open:
                break
            self._incoming.write(answer)
        return self._is_open

    def encrypt(self, data: bytes) -> bytes:
        """Return *data* as it goes over the wire."""
        self.tls.write(data)
        return self._outgoing.read()

    def feed(self, data: bytes) -> None:
        """Say *data*."""
        self.socket.feed(self.encrypt(data))

    def say_end(self) -> None:
        """Say that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):  # it would wait for the other side's end
            self.tls.unwrap()
        self.socket.feed(self._outgoing.read())

    @property
    def sent(self) -> bytearray:
        """What was said to the client and it has not forgotten."""
        self._incoming.write(self._take())
        while not self.heard_end:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            self.heard_end = not data
            self._read += data
        return self._read

    @property
    def ended(self) -> bool:
        """Whether the other side ended in order."""
        _ = self.sent
        return self.heard_end and self.socket.ended

    def _take(self) -> bytes:
        data = bytes(self.socket.sent)
        self.socket.sent.clear()
        return data


class SecureRig(Rig):
    """A data path behind TLS.

    Args:
        folder: For its files.
        issuer: Of sessions.
        authority: Signs the certificates of both ends.
        tls: Laid over `listen.tls`; None for no TLS.
        listen: Laid over `listen`.
        settings: Laid over the rest.
        options: As for a sidecar.

    Attributes:
        pair: What the data port shows.
        entrance: Makes the first protocol of a connection.
    """

    def __init__(
        self,
        folder: Path,
        issuer: Issuer,
        authority: Authority,
        *,
        tls: Mapping[str, Any] | None = {},
        listen: Mapping[str, Any] = {},
        settings: Mapping[str, Any] = {},
        **options: Any,
    ) -> None:
        self.authority = authority
        self.pair = authority.issue("gate")
        shown = {"cert": str(self.pair.cert), "key": str(self.pair.key)}
        port: dict[str, Any] = {"address": "127.0.0.1:0", **listen}
        if tls is not None:
            port["tls"] = {**shown, **tls}
        files = Sidecar(folder, "http://127.0.0.1:9", issuer, settings={**settings, "listen": port}, **options)
        super().__init__(files)
        self.entrance = open_entrance(self.gateway, self._process)

    def open(self, peer: tuple[str, int] | None = (CLIENT_ADDRESS, 50000)) -> MemoryTransport:
        """Open a connection on which nothing is said yet."""
        return MemoryTransport(self.entrance(), peer)

    def connect(self, peer: tuple[str, int] | None = (CLIENT_ADDRESS, 50000)) -> Any:
        """Open a client's connection and do its handshake."""
        client = SecureClient(self.open(peer), self.authority.client())
        assert client.shake_hands()
        return client
