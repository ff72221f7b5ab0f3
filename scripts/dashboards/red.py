"""Rate, errors, duration."""

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
    no,
    quantile,
    quantiles,
    rate,
)

_DECISIONS: Final = "sidegate_decisions_total"
_OURS: Final = any_of("policy_unavailable", "audit_unavailable", "overloaded")
_REQUESTS: Final = "sidegate_requests_total"

_RATE: Final = Row(
    "Rate",
    (
        Panel(
            "Requests by what became of them",
            "`forwarded` and `public` were answered by the service, `refused` here; `failed` were allowed and the"
            " service did not do its part; `aborted` were cut before an answer was whole.",
            (Query(f"sum by (kind) ({rate(_REQUESTS)})", "{{kind}}"),),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Requests by status",
            "As clients see it; `none` got no answer.",
            (Query(f"sum by (code) ({rate(_REQUESTS)}) > 0", "{{code}}"),),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Decisions by authority",
            "What was asked for; `none` was refused before that was known, or is a public route.",
            (Query(f"sum by (authority) ({rate(_DECISIONS)}) > 0", "{{authority}}"),),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
    ),
)

_ERRORS: Final = Row(
    "Denials and errors",
    (
        Panel(
            "Denials by reason",
            "`no_grant` and its like are about rights, `*_credential` and `session_*` about who asks, `*_unavailable`"
            " and `overloaded` about Sidegate itself.",
            (Query(f"sum by (reason) ({rate(_DECISIONS, outcome='deny')}) > 0", "{{reason}}"),),
            Unit.PER_SECOND,
            is_stacked=True,
        ),
        Panel(
            "Share denied, by sidecar",
            "A spike at all of them comes with a policy or an attack, at one with its clients.",
            (
                Query(
                    f"sum by (instance) ({rate(_DECISIONS, outcome='deny')}) / sum by (instance) ({rate(_DECISIONS)})",
                    "{{instance}}",
                ),
            ),
            Unit.SHARE,
            steps=((0.1, Colour.ORANGE),),
        ),
        Panel(
            "Credentials that were refused",
            "By what was presented and why. Many `invalid_credential`: keys were rotated, or somebody tries.",
            (
                Query(
                    f"sum by (kind, outcome) ({rate('sidegate_credentials_total', outcome=no('verified'))}) > 0",
                    "{{kind}}: {{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Refused for our own reasons",
            "503: no usable policy, no place for the record, or too many requests at once. Should be 0.",
            (
                Query(
                    f"sum by (reason) ({rate(_DECISIONS, reason=_OURS)})",
                    "{{reason}}",
                ),
            ),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
        Panel(
            "Failures of the service",
            "No connection, no answer in time, an answer that cannot be read in one way, or one that broke off.",
            (Query(f"sum by (cause) ({rate('sidegate_upstream_failures_total')})", "{{cause}}"),),
            Unit.PER_SECOND,
            width=8,
            is_stacked=True,
        ),
    ),
)

_DURATION: Final = Row(
    "Duration",
    (
        Panel(
            "Time added to requests",
            "By Sidegate alone. The objective is 1 ms for 99 %.",
            quantiles("sidegate_overhead_seconds"),
            Unit.SECONDS,
            width=8,
            steps=((0.001, Colour.ORANGE),),
        ),
        Panel(
            "Time of a decision",
            "Microseconds; the first decision about an account after a change of policy takes longer.",
            quantiles("sidegate_decision_seconds"),
            Unit.SECONDS,
            width=8,
            steps=((0.001, Colour.ORANGE),),
        ),
        Panel(
            "Time of the service",
            "From handing a request over to the head of the answer.",
            quantiles("sidegate_upstream_seconds"),
            Unit.SECONDS,
            width=8,
        ),
        Panel(
            "Time added, all requests",
            "How many requests fell into which time; two bands mean two kinds of requests.",
            (
                Query(
                    f"sum by (le) (increase({gauge('sidegate_overhead_seconds_bucket')}[$__rate_interval]))", "{{le}}"
                ),
            ),
            Unit.SECONDS,
            Kind.HEATMAP,
        ),
        Panel(
            "Slower than 1 ms",
            "Share of requests to which Sidegate added more than 1 ms, by sidecar: what the objective's budget is spent"
            " on. 1 % lasts for the month; 6 % and 14.4 % are where the alert begins, by window.",
            (
                Query(
                    f"1 - sum by (instance) ({rate('sidegate_overhead_seconds_bucket', le='0.001024')})"
                    f" / sum by (instance) ({rate('sidegate_overhead_seconds_count')})",
                    "{{instance}}",
                ),
            ),
            Unit.SHARE,
            steps=((0.01, Colour.ORANGE), (0.144, Colour.RED)),
        ),
        Panel(
            "Time added, p99 by sidecar",
            "One that is slower than the others has less CPU, or more to do.",
            (Query(quantile(0.99, "sidegate_overhead_seconds", "instance"), "{{instance}}"),),
            Unit.SECONDS,
        ),
        Panel(
            "In flight",
            "Requests whose head is read and whose answer is not yet whole.",
            (Query(gauge("sidegate_requests_in_flight"), "{{instance}}"),),
            Unit.NUMBER,
        ),
    ),
)

RED: Final = Dashboard(
    "red",
    "Sidegate / Rate, errors, duration",
    "Traffic: how much, what is refused and why, what fails, how long it takes.",
    (_RATE, _ERRORS, _DURATION),
)
