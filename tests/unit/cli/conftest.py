"""What the tests of the command line share: a way to call it, and real files, spools and sessions to call it on."""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest
from tests.unit.cli.samples import NOON

from sidegate.audit.keys import load_signer
from sidegate.audit.spool import Spool, SpoolLimits
from sidegate.audit.writer import TrailWriter
from sidegate.cli.main import run
from sidegate.core.trail.checkpoint import CheckpointCause
from sidegate.core.trail.durability import Durability, OnFull
from sidegate.core.trail.record import (
    CompletionRecord,
    DecisionRecord,
    encode_completion,
    encode_decision_record,
)
from sidegate.telemetry.clock import ManualClock

POLICY = """\
organization: acme
roles:
  Field lead: {clone: Designer, add: [approve], remove: [solve]}
  Auditor: {sections: {/audit: [read]}, ceiling: [read]}
members:
  user:ana: {roles: [Member], groups: [fiber]}
  user:bo: {roles: [Member]}
  user:root: {roles: [Organization admin]}
  user:left: {state: deprovisioned}
  service:ci: {roles: [Member]}
groups:
  fiber: {}
bindings:
  - {id: b1, who: group:fiber, role: Designer, on: p1}
  - {id: b2, who: user:ana, role: Viewer, on: "p1@main"}
  - {id: b3, who: user:bo, role: Admin, on: p2, when: {source: [10.0.0.0/8]}}
  - {id: b4, who: service:ci, role: Designer, on: "*"}
denies:
  - {id: d1, who: user:ana, authorities: [delete], on: "*"}
approvals:
  - {id: promote, authorities: [approve], on: "*@main", approvers: {authority: approve}}
keys:
  - id: 4fQz8Kd01LmNopQr
    digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    account: service:ci
    authorities: [read]
    scopes: [p1]
    expires_at: 2027-01-01T00:00:00Z
candidate:
  bindings: [{id: b2, who: user:ana, role: Designer, on: "p1@main"}]
"""

GLOBEX = """\
organization: globex
members:
  user:gus: {roles: [Member]}
bindings:
  - {id: g1, who: user:gus, role: Viewer, on: "*"}
"""

ROUTES = """\
- get: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Read
- put: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Write
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:glob
  primitive: Glob
  target: {path: {from: body.json, pointer: /pattern, pattern: glob}, subtree: true}
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:merge
  authority: approve
  and: [{authority: read, target: {branch: {from: header, name: X-Source-Branch}}}]
- get: /v1/projects/{project}
  authority: read
- get: /healthz
  public: true
"""

CONFIG = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream: {url: http://127.0.0.1:9000}
routes: routes.yaml
policy: {source: dir:policy/}
sessions: {opaque: {store: memory}}
audit: {spool: var/audit}
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return orjson.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, as JSON lines."""
        return [orjson.loads(line) for line in self.out.splitlines()]


class Sidegate(Protocol):
    """Calls the command."""

    def __call__(self, *arguments: object, stdin: bytes | str = b"") -> Finished:
        """Call `sidegate` with *arguments*."""


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start in an empty folder, with nothing that is set outside, on a plain terminal."""
    for name in ("SIDEGATE_CONFIG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sidegate(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Sidegate:
    """Call the command in this process."""

    def call(*arguments: object, stdin: bytes | str = b"") -> Finished:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        capfd.readouterr()  # what the preparations said
        code = run([str(argument) for argument in arguments])
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Finished(code, out, err)

    return call


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A folder with the policies of two organizations."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "acme.yaml").write_text(POLICY)
    (folder / "globex.yaml").write_text(GLOBEX)
    return folder


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    """A file of routes."""
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    return file


@pytest.fixture
def config(tmp_path: Path, policy: Path, routes: Path) -> Path:
    """A configuration that a sidecar could start from."""
    assert policy.is_dir()
    assert routes.is_file()
    file = tmp_path / "sidegate.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[Sequence[DecisionRecord | CompletionRecord]], Path]:
    """Write a spool with a sidecar's records, signed and closed."""

    def write(records: Sequence[DecisionRecord | CompletionRecord]) -> Path:
        root = tmp_path / "var" / "audit"
        limits = SpoolLimits(
            segment_bytes=1 << 20, max_bytes=1 << 24, reserve_bytes=0, on_full=OnFull.DENY, durability=Durability.MEMORY
        )
        clock = ManualClock(NOON)
        writer = TrailWriter(Spool(root / "side-w0", "side-w0", limits), load_signer(root), clock, 1000)
        writer.open()
        writer.write(
            [
                encode_completion(record) if isinstance(record, CompletionRecord) else encode_decision_record(record)
                for record in records
            ]
        )
        writer.write((), CheckpointCause.CLOSED)
        writer.close()
        return root

    return write
