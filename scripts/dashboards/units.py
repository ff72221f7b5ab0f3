"""Numbers with their units, as people read them."""

from typing import Final

from scripts.dashboards.model import Unit

_SECONDS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES: Final = ((float(1 << 30), "GiB"), (float(1 << 20), "MiB"), (float(1 << 10), "KiB"), (1.0, "B"))
_SHARES: Final = ((0.01, "%"),)
_PLAIN: Final = ((1.0, ""),)


def show(number: float, unit: Unit) -> str:
    """Return *number* with three digits at most and its unit, e.g. ``1.5 ms``."""
    if number == 0:
        return "0 %" if unit is Unit.SHARE else "0"
    match unit:
        case Unit.SECONDS:
            return _scaled(number, _SECONDS)
        case Unit.BYTES:
            return _scaled(number, _BYTES)
        case Unit.SHARE:
            return f"{number * 100:.3g} %"
        case Unit.PER_SECOND:
            return f"{number:.3g}/s"
        case Unit.NUMBER:
            return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"  # noqa: PLR2004  three digits


def scale_of(number: float, unit: Unit) -> float:
    """Return how much the unit is that *number* is shown in, e.g. 60 for five minutes."""
    scales = {Unit.SECONDS: _SECONDS, Unit.BYTES: _BYTES, Unit.SHARE: _SHARES}.get(unit, _PLAIN)
    return next((scale for scale, _ in scales if number >= 1.5 * scale), scales[-1][0])


def _scaled(number: float, scales: tuple[tuple[float, str], ...]) -> str:
    for scale, name in scales:
        if abs(number) >= scale * 0.9995:
            return f"{number / scale:.3g} {name}"
    scale, name = scales[-1]
    return f"{number / scale:.2g} {name}"
