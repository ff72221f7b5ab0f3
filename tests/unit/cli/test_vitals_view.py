"""What `sidegate top` shows."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, Group

from sidegate.cli.vitals import Denial, Vitals, read_vitals
from sidegate.cli.vitals_view import frame
from sidegate.telemetry.scrape import read_samples

QUIET = read_vitals(read_samples(""), read_samples("process_start_time_seconds 0\n"), 1.0, 93_784.0, {})


def _shown(vitals: Vitals, height: int = 24) -> str:
    return "\n".join(line.plain for line in frame(vitals, "Sidegate x:1", height))


def test_everything_has_its_line() -> None:
    """Nothing is left out for being nought: it is good news."""
    lines = _shown(QUIET).splitlines()
    assert lines[0] == "Sidegate x:1   ready   up 1d 2h"
    assert [line.split()[0] for line in lines[1:]] == [
        *("requests", "open", "decision", "overhead", "upstream", "denied", "audit", "policy", "beside", "process"),
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"failing": {"policy": "none loaded"}}, "not ready", id="not-ready"),
        pytest.param({"failing": {"policy": "none loaded"}}, "policy      none loaded", id="why-not"),
        pytest.param({"allowed": 30.0, "denied": 10.0}, "denied 10/s (25.0%)", id="share"),
        pytest.param({"requests": 1234.4}, "requests    1,234/s", id="many"),
        pytest.param({"requests": 0.25}, "requests    0.2/s", id="few"),
        pytest.param({"upstream_failures": {"timeout": 2.0}}, "timeout 2.0/s", id="upstream"),
        pytest.param({"spooled_bytes": 1.5 * 2**20, "spool_limit_bytes": 2.0**30}, "1.5 MiB of 1.0 GiB", id="sizes"),
        pytest.param({"redis_up": False}, "redis down", id="redis"),
        pytest.param({"policy_age_s": 61.0}, "policy      1m 1s old", id="age"),
        pytest.param({"policy_age_s": None}, "policy      none", id="no-policy"),
        pytest.param({"loop_lag_s": 0.0123}, "loop lag 12.3 ms", id="lag"),
    ],
)
def test_values_in_words(change: dict[str, object], text: str) -> None:
    """With units, and of what there is at most."""
    assert text in _shown(replace(QUIET, **change))  # type: ignore[arg-type]


def test_only_as_many_lines_as_there_is_room_for() -> None:
    """The reasons give way first; even the smallest terminal is not overrun."""
    busy = replace(QUIET, denials=tuple(Denial(f"reason{number}", 1.0, 1.0) for number in range(50)))
    assert len(frame(busy, "x", 24)) == 24
    assert "process" in _shown(busy, 24)
    assert _shown(busy, 24).count("reason") == 14
    assert len(frame(busy, "x", 3)) == 3


def test_long_lines_end_with_an_ellipsis() -> None:
    """They do not wrap: the next line would be pushed off the screen."""
    console = Console(width=30, file=StringIO(), force_terminal=False)
    lines = console.render_lines(Group(*frame(QUIET, "x", 24)), console.options)
    assert len(lines) == len(frame(QUIET, "x", 24))
    assert "…" in "".join(segment.text for segment in lines[1])


def test_what_a_sidecar_says_cannot_move_the_cursor() -> None:
    """Whoever answers at the address may be anybody."""
    shown = _shown(replace(QUIET, failing={"a\x1b[2J": "b\x1b[2J"}))
    assert "\x1b" not in shown
