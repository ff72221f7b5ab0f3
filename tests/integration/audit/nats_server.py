"""A real nats-server on a free port, and ways to take it away."""

import subprocess
import sys
from pathlib import Path

from tests.integration.redis.servers import HOST
from tests.integration.waiting import eventually


class NatsServer:
    """One nats-server with JetStream.

    Args:
        folder: For its files; kept across restarts.
        port: To listen on.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://{HOST}:{self.port}"

    def start(self) -> "NatsServer":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).parent / "nats-server"
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-a", HOST, "-p", str(self.port), "-js", "-sd", self.folder / "js"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: b"Server is ready" in (self.folder / "server.log").read_bytes(), "nats-server is ready")
        return self

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self.folder / "server.log").unlink()
