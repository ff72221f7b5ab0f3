"""Medians, ratios and their spread over rounds, as a table or as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtests.measurement import Added, Measurement
from loadtests.targets import Finding
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
        added_p50_us: Latency beyond that of the upstream, at half of what the proxy takes; None where not measured.
        added_p99_us: Likewise.
    """

    peer: str
    scenario: str
    about: str
    rounds: int
    requests: int
    cpu_us: Spread
    ratio: Spread | None
    per_second: Spread
    added_p50_us: Spread | None
    added_p99_us: Spread | None
    rss_mib: Spread


Key = tuple[str, str]


def summarize(
    measured: dict[Key, list[Measurement]], added: dict[Key, list[Added]], abouts: dict[Key, str], base: Key | None
) -> list[Row]:
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
                added_p50_us=Spread.of([one.p50_us for one in added[key]]) if key in added else None,
                added_p99_us=Spread.of([one.p99_us for one in added[key]]) if key in added else None,
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
    for name in ("requests/s", "+p50 µs", "+p99 µs", "RSS MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it does")
    for row in rows:
        table.add_row(
            row.peer,
            row.scenario,
            row.cpu_us.text(1),
            "-" if row.ratio is None else row.ratio.text(2),
            f"{row.per_second.median:,.0f}",
            "-" if row.added_p50_us is None else f"{row.added_p50_us.median:,.0f}",
            "-" if row.added_p99_us is None else f"{row.added_p99_us.median:,.0f}",
            f"{row.rss_mib.median:.0f}",
            row.about,
        )
    console = Console(width=None if Console().is_terminal else 190)
    console.print(table)
    print_findings(findings_of(rows), console)
    console.print("+p50, +p99: beyond the upstream's own latency, requests at half of requests/s, constant rate.")
    for note in notes:
        console.print(note, highlight=False)


def findings_of(rows: list[Row]) -> list[Finding]:
    """Hold what was measured to the targets of spec 7."""
    by_key = {(row.peer, row.scenario): row for row in rows}
    findings = []
    for peer in ("sidegate", "sidegate-compiled"):
        own = by_key.get((peer, "allowed"))
        if own is None:
            continue
        pairs = [
            ((BASE, "allowed"), "plain Envoy", 0.8),
            (("haproxy-jwt", "allowed"), "HAProxy with JWT and ACL (goal)", 1.0),
            (("sidegate-memory", "allowed"), "the same with audit `memory`", 1.1),
        ]
        for key, name, most in pairs:
            other = by_key.get(key)
            # The pure build is compared with the pure one.
            if other is not None and not (peer != "sidegate" and key[0] == "sidegate-memory"):
                ratio = own.cpu_us.median / other.cpu_us.median
                findings.append(Finding(f"{peer}: CPU per request / {name}", ratio, most=most))
        for scenario, most in (("denied", 0.5), ("junk-tokens", 1.5), ("junk-token", 1.0)):
            other = by_key.get((peer, scenario))
            if other is not None:
                ratio = other.cpu_us.median / own.cpu_us.median
                findings.append(Finding(f"{peer}: CPU of {scenario} / allowed", ratio, most=most))
        if own.added_p50_us is not None and own.added_p99_us is not None:
            findings.append(Finding(f"{peer}: added latency p50", own.added_p50_us.median, "µs", most=150))
            findings.append(Finding(f"{peer}: added latency p99", own.added_p99_us.median, "µs", most=1000))
    return findings


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print what was measured beside what it should be."""
    if not findings:
        return
    table = Table(title="targets of spec 7; medians")
    for name in ("what", "measured", "target", ""):
        table.add_column(name, no_wrap=True)
    for finding in findings:
        table.add_row(*finding.row())
    console.print(table)


def as_json(rows: list[Row], base: Key | None, notes: list[str]) -> dict[str, object]:
    """Return rows for programs."""
    findings = [finding.as_json() for finding in findings_of(rows)]
    return {"base": base, "notes": notes, "rows": [asdict(row) for row in rows], "targets": findings}
