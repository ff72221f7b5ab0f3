"""What `sidegate top` shows, as lines for a terminal of any size."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from rich.text import Text

from sidegate.cli.output import printable
from sidegate.cli.vitals import Quantiles, Vitals

_GOOD: Final = "green"
_BAD: Final = "bold red"
_DOUBTFUL: Final = "yellow"
_HEAD: Final = "bold"
_FAINT: Final = "dim"

_NAME_WIDTH: Final = 11
_GAP: Final = "   "
_FULL: Final = 0.8
"""Of a limit: more is shown as doubtful."""
_LATE_S: Final = 0.005
"""Of the loop: spec 7 allows no pause above 5 ms."""
_FEWEST_DENIALS: Final = 1
_FEW: Final = 10
"""Per second; fewer are shown with a digit behind the point."""

_SIZES: Final = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_TIMES: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_SPANS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def frame(vitals: Vitals, title: str, height: int) -> list[Text]:
    """Return at most *height* lines; of the reasons of denials as many as there is room for.

    Args:
        vitals: What to show.
        title: Which sidecar.
        height: Of the terminal.
    """
    head = list(_head(vitals, title))
    foot = list(_foot(vitals))
    room = max(_FEWEST_DENIALS, height - len(head) - len(foot))
    return [*head, *_denials(vitals, room), *foot][:height]


def _head(vitals: Vitals, title: str) -> Iterator[Text]:
    state = Text("not ready", _BAD) if vitals.failing else Text("ready", _GOOD)
    yield _join(Text(printable(title), _HEAD), state, Text(f"up {_span(vitals.uptime_s)}"))
    for name, why in vitals.failing.items():
        yield _row(name, Text(printable(why), _BAD))
    answered = vitals.allowed + vitals.denied
    share = f" ({vitals.denied / answered:.1%})" if answered else ""
    yield _row(
        "requests",
        Text(_rate(vitals.requests)),
        Text(f"allowed {_rate(vitals.allowed)}"),
        Text(f"denied {_rate(vitals.denied)}{share}", _DOUBTFUL if vitals.denied else ""),
        Text(f"failed {_rate(vitals.failed)}", _BAD if vitals.failed else ""),
    )
    connections = _part("connections", vitals.connections, vitals.connections_limit, _count)
    yield _row("open", Text(f"in flight {_count(vitals.in_flight)}"), connections)
    yield _latency("decision", vitals.decision_s)
    yield _latency("overhead", vitals.overhead_s)
    upstream = _latency("upstream", vitals.upstream_s)
    for cause, per_second in vitals.upstream_failures.items():
        upstream.append(_GAP).append(f"{cause} {_rate(per_second)}", _BAD)
    yield upstream


def _denials(vitals: Vitals, room: int) -> Iterator[Text]:
    shown = vitals.denials[:room]
    if not shown:
        yield _row("denied", Text("nothing yet", _FAINT))
    for number, denial in enumerate(shown):
        name = "denied" if number == 0 else ""
        style = _DOUBTFUL if denial.per_second else _FAINT
        yield _row(
            name, Text(f"{denial.reason:<24}{_rate(denial.per_second):>11}{_count(denial.total):>15} in all", style)
        )


def _foot(vitals: Vitals) -> Iterator[Text]:
    yield _row(
        "audit",
        _part("spooled", vitals.spooled_bytes, vitals.spool_limit_bytes, _bytes),
        Text(f"oldest unshipped {_span(vitals.oldest_unshipped_s)}"),
        Text(f"dropped {_count(vitals.dropped)}", _BAD if vitals.dropped else ""),
    )
    age = "none" if vitals.policy_age_s is None else f"{_span(vitals.policy_age_s)} old"
    yield _row(
        "policy",
        Text(age, _BAD if vitals.policy_age_s is None else ""),
        Text(f"lag {_count(vitals.revision_lag)}", _DOUBTFUL if vitals.revision_lag else ""),
        Text(f"load failures {_count(vitals.load_failures)}", _BAD if vitals.load_failures else ""),
        Text(f"subjects {_count(vitals.subjects)}"),
        Text(f"shadow differs {_rate(vitals.divergences)}", _DOUBTFUL if vitals.divergences else ""),
    )
    beside = [Text(f"anomalies {_count(vitals.anomalies)}")]
    if vitals.approvals_pending is not None:
        beside.append(Text(f"approvals pending {_count(vitals.approvals_pending)}"))
    if vitals.redis_up is not None:
        beside.append(Text("redis up", _GOOD) if vitals.redis_up else Text("redis down", _BAD))
    if vitals.jwks_age_s is not None:
        beside.append(Text(f"jwks {_span(vitals.jwks_age_s)} old"))
    yield _row("beside", *beside)
    yield _row(
        "process",
        Text(f"CPU {vitals.cpu_share:.0%}"),
        Text(f"memory {_bytes(vitals.resident_bytes)}"),
        _part("descriptors", vitals.descriptors, vitals.descriptors_limit, _count),
        Text(f"loop lag {_time(vitals.loop_lag_s)}", _DOUBTFUL if vitals.loop_lag_s > _LATE_S else ""),
    )


def _latency(name: str, found: Quantiles) -> Text:
    return _row(name, Text(f"p50 {_time(found.p50):>8}"), Text(f"p99 {_time(found.p99):>8}"))


def _row(name: str, *parts: Text) -> Text:
    return _join(Text(f"{printable(name):<{_NAME_WIDTH}} ", _HEAD).append_text(_join(*parts)))


def _join(*parts: Text) -> Text:
    joined = Text(_GAP, style="").join(parts)
    joined.no_wrap, joined.overflow = True, "ellipsis"
    return joined


def _part(name: str, used: float, limit: float, write: Callable[[float], str]) -> Text:
    of = f" of {write(limit)}" if limit else ""
    return Text(f"{name} {write(used)}{of}", _DOUBTFUL if limit and used > _FULL * limit else "")


def _rate(per_second: float) -> str:
    return f"{per_second:.1f}/s" if 0 < per_second < _FEW else f"{per_second:,.0f}/s"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _bytes(number: float) -> str:
    for unit, size in _SIZES:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} B"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in _TIMES:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "0"


def _span(seconds: float) -> str:
    """Write a long time in its two greatest units."""
    whole = int(seconds)
    for (unit, size), (below, small) in pairwise(_SPANS):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // small}{below}"
    return f"{whole}s"
