"""The first dashboard to open: is anything wrong, and which other one tells more."""

from typing import Final

from scripts.dashboards.model import (
    Colour,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Unit,
    any_of,
    gauge,
    quantile,
    quantiles,
    rate,
)

_DECISIONS: Final = "sidegate_decisions_total"
_OURS: Final = any_of("policy_unavailable", "audit_unavailable", "overloaded")


def _number(
    title: str,
    description: str,
    expr: str,
    unit: Unit,
    *,
    steps: tuple[tuple[float, Colour], ...] = (),
    none: str = "none",
) -> Panel:
    return Panel(title, description, (Query(expr, ""),), unit, Kind.NUMBER, width=4, height=4, steps=steps, none=none)


_NOW: Final = (
    _number(
        "Sidecars",
        "Sidecars that are scraped. Fewer than expected: some are down, or are not found by Prometheus.",
        f"count({gauge('sidegate_connections_limit')})",
        Unit.NUMBER,
    ),
    _number(
        "Requests",
        "Requests answered per second, whoever answered them.",
        f"sum({rate('sidegate_requests_total')})",
        Unit.PER_SECOND,
    ),
    _number(
        "Denied",
        "Share of decisions that were denials, for whatever reason. What is usual differs; a jump is worth a look.",
        f"sum({rate(_DECISIONS, outcome='deny')}) / sum({rate(_DECISIONS)})",
        Unit.SHARE,
        steps=((0.1, Colour.ORANGE),),
    ),
    _number(
        "Refused for our own reasons",
        "Share of requests answered 503 because Sidegate could not decide or record. Should be 0.",
        f"sum({rate(_DECISIONS, reason=_OURS)}) / sum({rate(_DECISIONS)})",
        Unit.SHARE,
        steps=(
            (0.0001, Colour.ORANGE),
            (0.01, Colour.RED),
        ),
    ),
    _number(
        "Slower than 1 ms",
        "Share of requests to which Sidegate added more than 1 ms. The objective allows 1 % over 30 days.",
        f"1 - sum({rate('sidegate_overhead_seconds_bucket', le='0.001024')})"
        f" / sum({rate('sidegate_overhead_seconds_count')})",
        Unit.SHARE,
        steps=(
            (0.01, Colour.ORANGE),
            (0.144, Colour.RED),
        ),
    ),
    _number(
        "Upstream failures",
        "Share of requests that failed at the service behind Sidegate.",
        f"sum({rate('sidegate_upstream_failures_total')}) / sum({rate('sidegate_requests_total')})",
        Unit.SHARE,
        steps=(
            (0.01, Colour.ORANGE),
            (0.05, Colour.RED),
        ),
    ),
    _number(
        "Policies in force",
        "Different policies that the selected sidecars enforce: 1, but for moments after a publication.",
        f'count(count_values("fingerprint", {gauge("sidegate_snapshot_fingerprint")}))',
        Unit.NUMBER,
        steps=((2, Colour.ORANGE),),
    ),
    _number(
        "Age of policy",
        "Time since the sidecar that is furthest behind knew that its policy was the newest. Should be a second.",
        f"max({gauge('sidegate_snapshot_age_seconds')})",
        Unit.SECONDS,
        steps=(
            (60, Colour.ORANGE),
            (450, Colour.RED),
        ),
    ),
    _number(
        "Oldest unshipped record",
        "Age of the oldest audit record that no sink has. Seconds, while the sinks are there.",
        f"max({gauge('sidegate_audit_oldest_unshipped_seconds')})",
        Unit.SECONDS,
        steps=((300, Colour.ORANGE),),
    ),
    _number(
        "Audit spool in use",
        "Of the cap, at the fullest sidecar. At 100 % requests are refused, or old records dropped.",
        f"max({gauge('sidegate_audit_spooled_bytes')} / {gauge('sidegate_audit_spool_limit_bytes')})",
        Unit.SHARE,
        steps=(
            (0.5, Colour.ORANGE),
            (0.7, Colour.RED),
        ),
    ),
    _number(
        "Sidecars without Redis",
        "Sidecars that have a Redis configured and cannot reach it. Should be 0.",
        f"count({gauge('sidegate_redis_up')}) - sum({gauge('sidegate_redis_up')})",
        Unit.NUMBER,
        steps=((1, Colour.RED),),
        none="no Redis",
    ),
    _number(
        "Age of key set",
        "Share of the time that the identity provider's keys may be used without being read again. At 100 % nobody is"
        " let in.",
        f"max({gauge('sidegate_jwks_age_seconds')} / {gauge('sidegate_jwks_age_limit_seconds')})",
        Unit.SHARE,
        steps=(
            (0.25, Colour.ORANGE),
            (0.5, Colour.RED),
        ),
        none="no key set",
    ),
)

OVERVIEW: Final = Dashboard(
    "overview",
    "Sidegate / Overview",
    "Whether anything is wrong, and where to look next.",
    (
        Row("Now", _NOW),
        Row(
            "Traffic",
            (
                Panel(
                    "Requests by what became of them",
                    "Forwarded and answered by the service, refused here, failed at the service, or cut off.",
                    (Query(f"sum by (kind) ({rate('sidegate_requests_total')})", "{{kind}}"),),
                    Unit.PER_SECOND,
                    is_stacked=True,
                ),
                Panel(
                    "Denials by reason",
                    "Why requests are refused. Reasons are explained on the page of reasons of the documentation.",
                    (Query(f"sum by (reason) ({rate(_DECISIONS, outcome='deny')}) > 0", "{{reason}}"),),
                    Unit.PER_SECOND,
                    is_stacked=True,
                ),
                Panel(
                    "Time added to requests",
                    "By Sidegate alone: waiting for the service or for the client is not in it. The objective is 1 ms"
                    " for 99 %.",
                    quantiles("sidegate_overhead_seconds"),
                    Unit.SECONDS,
                    steps=((0.001, Colour.ORANGE),),
                ),
                Panel(
                    "Time of the service",
                    "From handing a request over to the head of the answer: what is slow here is not Sidegate.",
                    quantiles("sidegate_upstream_seconds"),
                    Unit.SECONDS,
                ),
            ),
        ),
        Row(
            "Each sidecar",
            (
                Panel(
                    "Requests",
                    "By sidecar; one that differs from the others gets other traffic, or none.",
                    (Query(f"sum by (instance) ({rate('sidegate_requests_total')})", "{{instance}}"),),
                    Unit.PER_SECOND,
                    width=8,
                ),
                Panel(
                    "Time added, p99",
                    "By sidecar.",
                    (Query(quantile(0.99, "sidegate_overhead_seconds", "instance"), "{{instance}}"),),
                    Unit.SECONDS,
                    width=8,
                    steps=((0.001, Colour.ORANGE),),
                ),
                Panel(
                    "CPU",
                    "Cores in use, by sidecar.",
                    (Query(rate("process_cpu_seconds_total"), "{{instance}}"),),
                    Unit.NUMBER,
                    width=8,
                ),
            ),
        ),
    ),
)
