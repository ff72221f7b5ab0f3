"""`sidegate shadow report`: where the candidate differs (spec 4.4)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.cli.samples import decision_record, divergence

from sidegate.core.model.authority import Authority

Spool = Callable[..., Path]


def test_groups_and_counts(sidegate: Any, spool: Spool) -> None:
    """By account, authority, scope and both answers, with count, first, last and the newest as the example."""
    root = spool(
        [
            divergence(1),
            decision_record(2),
            divergence(3, target="p1@main:designs/b.json"),
            divergence(4, target="p1@x:a"),
            divergence(5, target="/skills/fiber", authority=Authority.READ),
            divergence(6, target="p1"),
        ]
    )
    done = sidegate("shadow", "report", root, "-o", "json")
    assert done.code == 0
    assert [group["scope"] for group in done.json] == ["p1@main", "/skills/fiber", "p1", "p1@x"]
    expected = {
        "org": "acme",
        "account": "user:ana",
        "authority": "write",
        "scope": "p1@main",
        "enforced": "deny not_granted",
        "candidate": "allow granted",
        "count": 2,
        "first_seen": "2026-11-21T12:00:01.000Z",
        "last_seen": "2026-11-21T12:00:03.000Z",
        "example": divergence(3).id,
        "example_target": "p1@main:designs/b.json",
    }
    assert expected == done.json[0]


def test_since_and_organization(sidegate: Any, spool: Spool) -> None:
    """Only what is asked for is counted."""
    root = spool([divergence(1), divergence(2), divergence(3, org="globex")])
    done = sidegate("shadow", "report", root, "--org", "acme", "--since", "2026-11-21T12:00:02Z", "-o", "json")
    assert [group["count"] for group in done.json] == [1]


def test_for_people(sidegate: Any, spool: Spool, config: Path) -> None:
    """A table from the configured spool; a sentence when there is nothing."""
    spool([divergence(1)])
    done = sidegate("shadow", "report", "--config", config)
    assert "1      user:ana  write      p1@main  acme  deny not_granted  allow granted" in done.out
    assert sidegate("shadow", "report", "--config", config, "--org", "x").out == "no divergences\n"


def test_damaged_lines_are_said(sidegate: Any, spool: Spool) -> None:
    """Counts from a damaged trail are not passed off as whole: exit code 65."""
    root = spool([divergence(1), divergence(2)])
    segment = root / "side-w0" / "00000001.ndjson"
    segment.write_bytes(segment.read_bytes().replace(b'{"v":1,"record":"decision"', b'{"v":9,"record":"decision"', 1))
    done = sidegate("shadow", "report", root)
    assert (done.code, "1 lines are no records" in done.err) == (65, True)
