"""Which of the forms on offer a client would rather read (RFC 9110 section 12.5.1)."""

from typing import Final

TEXT: Final = "text/plain"
JSON: Final = "application/json"

_MAX_RANGES: Final = 32
"""Of an Accept header, more are not looked at: nobody means them."""


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, written = parameter.strip().partition("=")
        if name.strip().lower() == "q":
            try:
                weight = float(written)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0


def _weight_of(media_type: str, ranges: dict[str, float]) -> float:
    """The most specific range that covers the type counts, not the best one."""
    kind = media_type.partition("/")[0]
    for covering in (media_type, f"{kind}/*", "*/*"):
        if covering in ranges:
            return ranges[covering]
    return 0.0


def choose(accept: str, offered: tuple[str, ...]) -> str:
    """Return the one of *offered* that *accept* prefers.

    Args:
        accept: Value of the Accept header; empty for none.
        offered: Media types without parameters, the default first. It also answers a client that wants none of them: a
            plain answer is of more use than a refusal.
    """
    ranges: dict[str, float] = {}
    for written in accept.split(",")[:_MAX_RANGES]:
        media_type, *parameters = written.split(";")
        name = media_type.strip().lower()
        if name:
            ranges[name] = max(ranges.get(name, 0.0), _weight(parameters))
    # max() keeps the first of equals: the earlier offer.
    return max(offered, key=lambda media_type: _weight_of(media_type, ranges))
