"""`sidegate shadow set|promote|drop` against a real Redis (spec 1.8, 4.4)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import ACME
from tests.unit.cli.samples import divergence

from sidegate.audit.keys import load_signer
from sidegate.audit.spool import Spool, SpoolLimits
from sidegate.audit.writer import TrailWriter
from sidegate.core.trail.durability import Durability, OnFull
from sidegate.core.trail.record import DecisionRecord, encode_decision_record
from sidegate.telemetry.clock import SystemClock

CANDIDATE = """organization: acme
candidate:
  bindings: [{id: ana-main, who: user:ana, role: Designer, on: "p1@main"}]
  remove: [vera-p1]
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `sidegate`."""
    command = [sys.executable, "-m", "sidegate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def url(redis: RedisServer, tmp_path: Path) -> tuple[str, str]:
    """Return how to name a Redis that holds the policy."""
    file = tmp_path / "acme.yaml"
    file.write_text(ACME)
    assert run("policy", "publish", str(file), "--redis", redis.url).returncode == 0
    return "--redis", redis.url


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    """Return a file with a candidate."""
    file = tmp_path / "candidate.yaml"
    file.write_text(CANDIDATE)
    return str(file)


def trail(root: Path, *records: DecisionRecord) -> str:
    """Write a spool with *records*."""
    limits = SpoolLimits(
        segment_bytes=1 << 20, max_bytes=1 << 24, reserve_bytes=0, on_full=OnFull.DENY, durability=Durability.MEMORY
    )
    writer = TrailWriter(Spool(root / "side-w0", "side-w0", limits), load_signer(root), SystemClock(), 1000)
    writer.open()
    writer.write([encode_decision_record(record) for record in records])
    writer.close()
    return str(root)


def shown(url: tuple[str, str]) -> dict[str, list[dict[str, str]]]:
    """Return the policy as it is published."""
    found: dict[str, list[dict[str, str]]] = json.loads(
        run("policy", "show", "--published", "--org", "acme", "-o", "json", *url).stdout
    )[0]
    return found


def role_on_main(url: tuple[str, str]) -> str:
    """Return the role that ana-main gives now."""
    (role,) = {binding["role"] for binding in shown(url)["bindings"] if binding["id"] == "ana-main"}
    return role


def test_from_trial_to_policy(url: tuple[str, str], candidate: str, tmp_path: Path) -> None:
    """Set, it enforces nothing; promoted, it is the policy, in one revision, and there is no candidate any more."""
    first = json.loads(run("shadow", "set", candidate, *url, "-o", "json").stdout)
    assert (first["published"], role_on_main(url)) == (True, "Viewer")
    again = json.loads(run("shadow", "set", candidate, *url, "-o", "json").stdout)
    assert (again["published"], again["min_revision"]) == (False, first["min_revision"])
    promoted = run("shadow", "promote", trail(tmp_path / "audit"), "--org", "acme", *url, "-o", "json")
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["min_revision"] > first["min_revision"]
    assert role_on_main(url) == "Designer"
    assert "vera-p1" not in {binding["id"] for binding in shown(url)["bindings"]}
    for command in ("drop", "promote"):
        accepted = ("--accept",) if command == "promote" else ()
        done = run("shadow", command, "--org", "acme", *accepted, *url)
        assert (done.returncode, "`acme` has no candidate" in done.stderr) == (65, True), done.stderr


def test_divergences_are_looked_at_first(url: tuple[str, str], candidate: str, tmp_path: Path) -> None:
    """While the trail holds some nothing is promoted, unless somebody says that they are meant."""
    assert run("shadow", "set", candidate, *url).returncode == 0
    root = trail(tmp_path / "audit", divergence(1), divergence(2), divergence(3, org="globex"))
    refused = run("shadow", "promote", root, "--org", "acme", *url)
    assert (refused.returncode, role_on_main(url)) == (1, "Viewer")
    assert "deny not_granted  allow granted" in refused.stdout
    assert "2 requests of `acme` would be answered otherwise" in refused.stderr
    later = ("--since", "2026-11-21T13:00:00Z")
    assert run("shadow", "promote", root, "--org", "acme", *later, *url).returncode == 0
    assert run("shadow", "set", candidate, *url).returncode == 78  # it removes what is gone by now
    assert role_on_main(url) == "Designer"


def test_taken_back(url: tuple[str, str], candidate: str) -> None:
    """Dropped, it is as if it had never been there."""
    before = shown(url)
    assert run("shadow", "set", candidate, *url).returncode == 0
    assert run("shadow", "drop", "--org", "acme", *url).returncode == 0
    assert shown(url)["bindings"] == before["bindings"]
    assert run("shadow", "promote", "--accept", "--org", "acme", *url).returncode == 65


def test_accepted(url: tuple[str, str], candidate: str) -> None:
    """With `--accept` no trail is asked for."""
    assert run("shadow", "set", candidate, *url).returncode == 0
    assert run("shadow", "promote", "--accept", "--org", "acme", *url).returncode == 0
    assert role_on_main(url) == "Designer"
    assert run("shadow", "promote", "--accept", "--org", "nobody", *url).returncode == 65
