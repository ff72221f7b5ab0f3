"""A real `sidegate run` in a process of its own, with generated files, and everything a test wants to ask it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.issuer import Issuer, write_jwks
from tests.integration.client import Client, Response, ask
from tests.integration.waiting import DEADLINE_S, eventually

ISSUER = "https://issuer.example"

ROUTES = """\
- get: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Read
- put: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Write
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Edit
- delete: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Delete
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:glob
  primitive: Glob
  target: {path: {from: body.json, pointer: /pattern, pattern: glob}, subtree: true}
- get: /v1/orgs/{org}/live
  authority: read
  target: {section: /live}
- get: /healthz
  public: true
"""

ACME = """\
organization: acme
members:
  user:ana: {roles: [Member]}
  user:vera: {roles: [Member]}
  user:nell: {roles: [Member]}
  service:ci: {roles: [Member]}
bindings:
  - {id: ana-p1, who: user:ana, role: Designer, on: p1}
  - {id: ana-main, who: user:ana, role: Viewer, on: "p1@main"}
  - {id: vera-p1, who: user:vera, role: Viewer, on: p1}
  - {id: ci-all, who: service:ci, role: Designer, on: "*"}
"""
GLOBEX = """\
organization: globex
members:
  user:gus: {roles: [Member]}
bindings:
  - {id: gus-g1, who: user:gus, role: Designer, on: g1}
"""

FILES = "/v1/orgs/acme/projects/p1/branches/x/files"
ROUTE_FILE = f"{FILES}/designs/current/route.json"

Json = dict[str, Any]


@dataclass(frozen=True)
class AdminAnswer:
    """What the admin port said."""

    status: int
    text: str


class Sidecar:
    """One sidecar with its files.

    Args:
        folder: An empty folder for configuration, policy and spool.
        upstream: ``http://host:port`` or ``unix:/path``.
        issuer: Whose sessions are accepted.
        settings: Laid over the defaults here, section by section.

    Attributes:
        port: Of the data port, once started.
        admin: Of the admin port.
        log: Structured log of all starts so far.
    """

    def __init__(
        self,
        folder: Path,
        upstream: str,
        issuer: Issuer,
        *,
        settings: Mapping[str, Any] = {},
        routes: str = ROUTES,
        policies: Mapping[str, str] = {"acme": ACME, "globex": GLOBEX},
    ) -> None:
        self.folder = folder
        self.issuer = issuer
        self.config = folder / "sidegate.yaml"
        self.policy = folder / "policy"
        self.spool = folder / "audit"
        self.log = folder / "log.jsonl"
        self.port = 0
        self.admin = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0
        self.policy.mkdir(parents=True)
        for org, text in policies.items():
            (self.policy / f"{org}.yaml").write_text(text)
        (folder / "routes.yaml").write_text(routes)
        write_jwks(folder / "jwks.json", issuer)
        written: Json = {
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "upstream": {"url": upstream},
            "routes": "routes.yaml",
            "policy": {"source": "dir:policy/"},
            "sessions": {"signed": {"issuer": issuer.name, "jwks": "file:jwks.json", "algorithms": [issuer.algorithm]}},
            "audit": {"spool": "audit"},
        }
        for section, given in settings.items():
            before = written.get(section, {})
            is_laid_over = isinstance(given, dict) and isinstance(before, dict)
            written[section] = {**before, **given} if is_laid_over else given
        self.config.write_text(json.dumps(written, indent=2))

    # Its life.

    @property
    def pid(self) -> int:
        """Process id of the sidecar, of the supervisor where there are several workers."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it without waiting for anything."""
        self._read = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sidegate", "run", "--config", str(self.config)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )
        return self._process

    def start(self, workers: int = 1) -> "Sidecar":
        """Start it and wait until it is ready."""
        self.launch()
        return self.await_ready(workers)

    def await_ready(self, workers: int = 1) -> "Sidecar":
        """Wait until what was launched is ready."""
        process = self._process
        assert process is not None

        def ready() -> bool:
            assert process.poll() is None, f"sidegate ended with {process.returncode}:\n{self.log.read_text()}"
            events = self.events()
            data = [event for event in events if event["event"] == "listener_opened"]
            admin = [event for event in events if event["event"] == "admin_opened"]
            if len(data) < workers or not admin:
                return False
            self.port = _port_of(data[-1])
            self.admin = _port_of(admin[-1])
            return self.ask_admin("/readyz").status == 200

        eventually(ready, f"sidegate is ready; its log:\n{self.log.read_text()}")
        return self

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S + 10)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def events(self) -> list[Json]:
        """Return the log lines since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            lines = log.read().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]

    # Asking it.

    def connect(self) -> Client:
        """Open a connection to the data port."""
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S))

    def ask(
        self,
        method: str,
        path: str,
        *,
        who: str | None = None,
        org: str = "acme",
        headers: Sequence[str] = (),
        body: bytes = b"",
    ) -> Response:
        """Send one request on a connection of its own.

        Args:
            who: A user whose session cookie is sent; a whole API key if it begins with ``sg_``; None for nothing.
        """
        lines = [f"{method} {path} HTTP/1.1", "Host: gate.example", *headers]
        if who is not None and who.startswith("sg_"):
            lines.append(f"X-API-Key: {who}")
        elif who is not None:
            lines.append(f"Cookie: __session={self.session(who, org)}")
        if body or method in {"PUT", "POST", "PATCH"}:
            lines.append(f"Content-Length: {len(body)}")
        return ask(self.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body, method)

    def session(self, user: str, org: str = "acme", **more: Any) -> str:
        """Return a new session token."""
        return self.issuer.session(user, org, **more)

    def ask_admin(self, path: str) -> AdminAnswer:
        """GET a path of the admin port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=DEADLINE_S) as answer:
                return AdminAnswer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return AdminAnswer(error.code, error.read().decode())
        except OSError as error:
            return AdminAnswer(0, str(error))

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all samples called *name* that carry *labels*."""
        wanted = {f'{label}="{text}"' for label, text in labels.items()}
        total = 0.0
        for line in self.ask_admin("/metrics").text.splitlines():
            sample, _, number = line.rpartition(" ")
            found, _, carried = sample.removesuffix("}").partition("{")
            if found == name and wanted <= set(carried.split(",")):
                total += float(number)
        return total

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `sidegate` in the same folder."""
        return subprocess.run(
            [sys.executable, "-m", "sidegate", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=60,
            check=False,
        )

    def mint_key(self, *arguments: str) -> tuple[str, Json]:
        """Mint an API key; returns the key and its record for the policy file."""
        done = self.run("key", "mint", "-o", "json", *arguments)
        assert done.returncode == 0, done.stderr
        minted = json.loads(done.stdout)
        return minted["key"], minted["record"]

    # What it recorded.

    def lines(self) -> list[Json]:
        """Return every whole record of the spool, checkpoints too, in order of segments."""
        segments = sorted(self.spool.rglob("*.ndjson"))
        lines = [line for segment in segments for line in segment.read_bytes().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def decisions(self) -> list[Json]:
        """Return every decision record."""
        return [line for line in self.lines() if line["record"] == "decision"]

    def decision(self, decision_id: str) -> Json:
        """Return the one decision record called *decision_id*."""
        found = [record for record in self.decisions() if record["id"] == decision_id]
        assert len(found) == 1, f"{len(found)} records of {decision_id}"
        return found[0]

    def completions(self) -> list[Json]:
        """Return every completion record."""
        return [line for line in self.lines() if line["record"] == "completion"]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SIDEGATE_")}


def _port_of(event: Json) -> int:
    return int(event["address"].rpartition(":")[2])
