"""Medians, ratios and their spread over rounds, as a table or as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtests.measurement import Measurement
from rich.console import Console
from rich.table import Table

BASE = "envoy"
_MIB = 1 << 20


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest value."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """Sum up *numbers*, at least one."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))

    def text(self, digits: int) -> str:
        """Write it as ``median (least-greatest)``."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.greatest:.{digits}f})"


@dataclass(frozen=True)
class Row:
    """What one proxy did in one scenario over all rounds.

    Attributes:
        cpu_us: CPU time per request.
        ratio: Of that to the base of the same round; None where the base was not measured.
        added_p50_us: Not an overhead at a fixed load: times at saturation.
    """

    peer: str
    scenario: str
    about: str
    rounds: int
    requests: int
    cpu_us: Spread
    ratio: Spread | None
    per_second: Spread
    p50_us: Spread
    p99_us: Spread
    rss_mib: Spread


Key = tuple[str, str]


def summarize(measured: dict[Key, list[Measurement]], abouts: dict[Key, str], base: Key | None) -> list[Row]:
    """Sum up every (peer, scenario); ratios are made within each round, so a slow moment hits both sides."""
    rows = []
    for key, rounds in measured.items():
        ratio = None
        if base is not None and base in measured:
            ratio = Spread.of([one.cpu_us / other.cpu_us for one, other in zip(rounds, measured[base], strict=True)])
        rows.append(
            Row(
                peer=key[0],
                scenario=key[1],
                about=abouts[key],
                rounds=len(rounds),
                requests=sum(one.requests for one in rounds),
                cpu_us=Spread.of([one.cpu_us for one in rounds]),
                ratio=ratio,
                per_second=Spread.of([one.per_second for one in rounds]),
                p50_us=Spread.of([one.p50_us for one in rounds]),
                p99_us=Spread.of([one.p99_us for one in rounds]),
                rss_mib=Spread.of([one.rss_bytes / _MIB for one in rounds]),
            )
        )
    return rows


def print_table(rows: list[Row], base: Key | None, notes: list[str]) -> None:
    """Print rows for people."""
    table = Table(title="CPU per request of the whole proxy process tree; median (least-greatest) over rounds")
    for name in ("proxy", "scenario", "CPU µs/request"):
        table.add_column(name, no_wrap=True)
    table.add_column(f"x {base[0]}" if base is not None else "ratio", no_wrap=True)
    for name in ("requests/s", "p50 µs", "p99 µs", "RSS MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it does")
    for row in rows:
        table.add_row(
            row.peer,
            row.scenario,
            row.cpu_us.text(1),
            "-" if row.ratio is None else row.ratio.text(2),
            f"{row.per_second.median:,.0f}",
            f"{row.p50_us.median:,.0f}",
            f"{row.p99_us.median:,.0f}",
            f"{row.rss_mib.median:.0f}",
            row.about,
        )
    console = Console(width=None if Console().is_terminal else 190)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def as_json(rows: list[Row], base: Key | None, notes: list[str]) -> dict[str, object]:
    """Return rows for programs."""
    return {"base": base, "notes": notes, "rows": [asdict(row) for row in rows]}
