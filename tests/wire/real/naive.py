"""A gateway as it must not be: it looks at the first head of a connection and then passes bytes on as they come.

The negative control: the comparison has to see what this lets through.
"""

import contextlib
import socket
import threading
import uuid

from tests.integration.sidecar import Json

_WAIT_S = 1.0


class NaiveGateway:
    """Decides on the request line of the first request, adds its headers and passes everything else on.

    Attributes:
        port: Where it listens.
        records: What it decided, in the form of Sidegate's records.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.records: list[Json] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(_WAIT_S)
        for thread in self._threads:
            thread.join(_WAIT_S)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(_WAIT_S)
            data = b""
            while b"\n" not in data:
                piece = client.recv(65536)
                if not piece:
                    return
                data += piece
            line, _, rest = data.partition(b"\n")
            method, target = (word.decode("latin-1") for word in line.split()[:2])
            decision = str(uuid.uuid4())
            self.records.append(
                {
                    "id": decision, "outcome": "allow", "method": method, "path": target.partition("?")[0],
                    "org": "acme", "revision": 1, "actor": {"account": "user:vera"},
                }
            )  # fmt: skip
            added = (
                f"X-Sidegate-Account: user:vera\r\nX-Sidegate-Organization: acme\r\nX-Sidegate-Revision: 1\r\n"
                f"X-Sidegate-Decision: {decision}\r\n"
            )
            with socket.create_connection(("127.0.0.1", self._upstream), timeout=_WAIT_S) as upstream:
                upstream.sendall(line + b"\n" + added.encode() + rest)
                back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
                back.start()
                _pump(client, upstream)
                back.join(_WAIT_S)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
