"""A real `git http-backend` behind a small CGI server: the smart HTTP protocol as git itself speaks it."""

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHUNK = 65536


def _backend() -> str:
    folder = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    return str(Path(folder) / "git-http-backend")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "GitServer"

    def do_GET(self) -> None:
        self._run(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._run(self._read_chunks())
        else:
            self._run(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            assert self.rfile.readline() == b"\r\n"
        assert self.rfile.readline() == b"\r\n"
        return body

    def _run(self, body: bytes) -> None:
        """Run the backend by CGI 1.1 (RFC 3875)."""
        target = urlsplit(self.path)
        self.server.seen.append((self.command, self.path, self.headers.get("X-Sidegate-Account", "")))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(target.path),
            "QUERY_STRING": target.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": self.headers.get("X-Sidegate-Account", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        for name in ("Content-Encoding", "Git-Protocol", "Accept"):
            if name in self.headers:
                environment[f"HTTP_{name.upper().replace('-', '_')}"] = self.headers[name]
        done = subprocess.run([self.server.backend], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status = 200
        fields = []
        for line in head.decode("latin-1").split("\r\n"):
            name, _, text = line.partition(": ")
            if name == "Status":
                status = int(text.split()[0])
            else:
                fields.append((name, text))
        self.send_response(status)
        for name, text in fields:
            self.send_header(name, text)
        # In chunks, as web servers answer CGI programs whose length they do not know.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(content), CHUNK):
            piece = content[at : at + CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


class GitServer(ThreadingHTTPServer):
    """Serves the bare repositories below a folder.

    Attributes:
        seen: (method, target, account) of every request.
    """

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.backend = _backend()
        self.seen: list[tuple[str, str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self._thread.join()
        self.server_close()
