"""The audit trail: from the decision to the sink."""

from typing import Final

from scripts.dashboards.model import Colour, Dashboard, Panel, Query, Row, Unit, gauge, rate

_SPOOLED: Final = "sidegate_audit_spooled_bytes"
_LIMIT: Final = "sidegate_audit_spool_limit_bytes"

AUDIT: Final = Dashboard(
    "audit",
    "Sidegate / Audit",
    "Whether every decision is recorded, and whether the records arrive.",
    (
        Row(
            "Arriving",
            (
                Panel(
                    "Oldest unshipped record",
                    "Age of the oldest record that some sink has not acknowledged. It grows while a sink is away,"
                    " and falls when it has caught up.",
                    (Query(gauge("sidegate_audit_oldest_unshipped_seconds"), "{{instance}}"),),
                    Unit.SECONDS,
                    steps=((300, Colour.ORANGE),),
                ),
                Panel(
                    "Decisions to record",
                    "Every decision is a record: this is what the sinks have to keep up with.",
                    (Query(f"sum by (instance) ({rate('sidegate_decisions_total')})", "{{instance}}"),),
                    Unit.PER_SECOND,
                ),
            ),
        ),
        Row(
            "Spool",
            (
                Panel(
                    "Spool",
                    "What waits on the sidecar's disk. A segment goes when every sink has it, so some MiB are always"
                    " there; without any sink it only grows.",
                    (Query(gauge(_SPOOLED), "{{instance}}"),),
                    Unit.BYTES,
                    width=8,
                ),
                Panel(
                    "Spool, of its cap",
                    "At 100 % every request is refused, or the oldest records are dropped, as `audit.on_full` says.",
                    (Query(f"{gauge(_SPOOLED)} / {gauge(_LIMIT)}", "{{instance}}"),),
                    Unit.SHARE,
                    width=8,
                    steps=((0.7, Colour.RED),),
                    maximum=1,
                ),
                Panel(
                    "Time until the spool is full",
                    "If it goes on growing as in the last 10 minutes. Not there while it does not grow.",
                    (
                        Query(
                            f"({gauge(_LIMIT)} - {gauge(_SPOOLED)}) / (deriv({gauge(_SPOOLED)}[10m]) > 0)",
                            "{{instance}}",
                        ),
                    ),
                    Unit.SECONDS,
                    width=8,
                ),
            ),
        ),
        Row(
            "Missing",
            (
                Panel(
                    "Records that are not in the spool",
                    "`spool_full` and `write_failed`: their requests were refused. `oldest_dropped`: removed to make"
                    " room. `torn_line`: cut after a crash, nobody had been answered. Should be 0.",
                    (Query(f"sum by (cause) ({rate('sidegate_audit_dropped_total')})", "{{cause}}"),),
                    Unit.PER_SECOND,
                    is_stacked=True,
                ),
                Panel(
                    "Refused without a record",
                    "503 audit_unavailable: no operation without its record. Should be 0.",
                    (
                        Query(
                            f"sum by (instance) ({rate('sidegate_decisions_total', reason='audit_unavailable')})",
                            "{{instance}}",
                        ),
                    ),
                    Unit.PER_SECOND,
                    steps=((0.001, Colour.RED),),
                ),
            ),
        ),
    ),
)
