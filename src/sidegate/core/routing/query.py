"""One parameter of a raw query, read one way (spec 2.2)."""

import re
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")


def _decode_escape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise WireError(400, Reason.MALFORMED_REQUEST, "the query holds a malformed escape; write %25 for a percent")
    return bytes.fromhex(digits.decode("ascii"))


def _decode(text: bytes) -> bytes:
    return _ESCAPE.sub(_decode_escape, text.replace(b"+", b" "))


def read_parameter(query: bytes, name: str) -> str | None:
    """Return the value of parameter *name*, or None if it does not occur.

    The query is split at ``&`` only, each name and value decoded once (``+`` is a space). Upstreams disagree about
    everything beyond that, so a query that a route reads is refused when it leaves room for a second reading.

    Args:
        query: Raw bytes behind the ``?``.
        name: As the route writes it, decoded.

    Raises:
        WireError: 400: the parameter occurs twice, the query holds a ``;`` (a separator to some) or a malformed
            escape, or the value is not UTF-8.
    """
    if not query:
        return None
    if b";" in query:
        raise WireError(400, Reason.MALFORMED_REQUEST, "the query holds a semicolon; write %3B")
    wanted = name.encode()
    found: bytes | None = None
    for pair in query.split(b"&"):
        key, _, text = pair.partition(b"=")
        decoded = _decode(text)
        if _decode(key) != wanted:
            continue
        if found is not None:
            raise WireError(400, Reason.MALFORMED_REQUEST, "a query parameter that decides occurs twice; send it once")
        found = decoded
    if found is None:
        return None
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise WireError(400, Reason.MALFORMED_REQUEST, "a query parameter that decides is not valid UTF-8") from None
