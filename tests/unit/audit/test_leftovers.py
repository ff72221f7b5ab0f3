"""Tests of finding chains that nobody writes any more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sidegate.audit.leftovers import find_leftovers
from sidegate.audit.ports import Position
from sidegate.audit.shipper import cursor_path, write_cursor
from sidegate.audit.trail import AuditTrail


async def _leave(make_trail: Callable[..., AuditTrail], sidecar: str) -> None:
    trail = make_trail(sidecar=sidecar)
    trail.open()
    await trail.close()


async def test_chains_of_nobody_are_found(make_trail: Callable[..., AuditTrail], tmp_path: Path) -> None:
    """Not those that run, are about to, or are held; by name."""
    for sidecar in ("h-w2", "h-w1", "h-w0"):
        await _leave(make_trail, sidecar)
    held = make_trail(sidecar="h-w3")
    held.open()
    root = tmp_path / "audit"
    assert find_leftovers(root, {"h-w0"}, ["file"]) == ["h-w1", "h-w2"]
    await held.close()
    assert find_leftovers(root, {"h-w0"}, ["file"]) == ["h-w1", "h-w2", "h-w3"]


@pytest.mark.parametrize(
    ("shipped", "expected"),
    [
        pytest.param({}, ["h-w1"], id="to-nobody"),
        pytest.param({"file": 0}, ["h-w1"], id="to-one"),
        pytest.param({"file": 0, "redis": -1}, ["h-w1"], id="to-one-not-whole"),
        pytest.param({"file": 0, "redis": 0}, [], id="to-both"),
    ],
)
async def test_chain_that_every_sink_has_is_left_alone(
    shipped: dict[str, int], expected: list[str], make_trail: Callable[..., AuditTrail], tmp_path: Path
) -> None:
    """Opening it again would add a checkpoint at every start, for ever."""
    await _leave(make_trail, "h-w1")
    folder = tmp_path / "audit" / "h-w1"
    size = (folder / "00000001.ndjson").stat().st_size
    for sink, less in shipped.items():
        write_cursor(cursor_path(folder, sink), Position(1, size + less))
    assert find_leftovers(tmp_path / "audit", set(), ["file", "redis"]) == expected


def test_spool_that_is_not_there_holds_none(tmp_path: Path) -> None:
    """At the first start."""
    assert find_leftovers(tmp_path / "audit", set(), ["file"]) == []
