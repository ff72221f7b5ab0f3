"""`sidegate shadow replay`: recorded requests under a candidate (spec 4.4)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.cli.samples import decision_record

Spool = Callable[..., Path]


def test_own_candidate(sidegate: Any, spool: Spool, config: Path) -> None:
    """Requests of before there was a candidate are grouped as `report` groups those that were decided beside one."""
    spool([decision_record(1), decision_record(2), decision_record(3, target="p1@x:a"), decision_record(4, actor=None)])
    done = sidegate("shadow", "replay", "--config", config, "-o", "json")
    assert done.code == 0
    assert [(group["scope"], group["count"], group["candidate"]) for group in done.json] == [
        ("p1@main", 2, "allow granted")
    ]
    assert "3 requests were decided again; of 1 the policy in force says something else" in done.err
    assert "1 hold no question" in done.err


def test_candidate_of_a_file(sidegate: Any, spool: Spool, policy: Path, tmp_path: Path) -> None:
    """A candidate that is nowhere yet can be tried, on any trail, since when one likes."""
    root = spool([decision_record(1), decision_record(60)])
    file = tmp_path / "candidate.yaml"
    file.write_text("organization: acme\ncandidate: {remove: [b2]}\n")
    since = ("--since", "2026-11-21T12:00:30Z")
    done = sidegate("shadow", "replay", root, "--policy", policy, "--candidate", file, *since, "-o", "json")
    assert [(group["count"], group["enforced"]) for group in done.json] == [(1, "deny not_granted")]


def test_candidate_that_does_not_fit(sidegate: Any, spool: Spool, policy: Path, tmp_path: Path) -> None:
    """It is refused with its place."""
    root = spool([decision_record(1)])
    file = tmp_path / "candidate.yaml"
    file.write_text("organization: acme\ncandidate: {remove: [nothing]}\n")
    done = sidegate("shadow", "replay", root, "--policy", policy, "--candidate", file)
    assert (done.code, "candidate.yaml:2:13: `candidate:remove`" in done.err) == (78, True)
