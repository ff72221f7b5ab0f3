"""What a change event says (spec 5.3): which organization, which revision, what changed."""

from typing import Any, Final

import orjson

from sidegate.core.model.errors import IntegrityError, NamingError
from sidegate.core.model.target import require_name
from sidegate.core.model.value import value

FORMAT: Final = 1

MAX_NAMED: Final = 1000
"""Subjects and keys that an event names; where more changed, it says that all did."""

FIELD: Final = b"event"
"""Field of a stream's entry that holds the event."""


@value
class Changed:
    """An organization has a new revision.

    Attributes:
        org: Its name.
        revision: The new one.
        previous: The one before; 0 for none.
        header: Whether the header is another.
        subjects: Accounts whose record is another or gone; None for all.
        keys: API keys whose record is another or gone; None for all.
    """

    org: str
    revision: int
    previous: int
    header: bool
    subjects: tuple[str, ...] | None
    keys: tuple[str, ...] | None


@value
class Announced:
    """An organization may get a new revision in the next moments; only where both cannot be written at once (Cluster).

    Attributes:
        org: Its name.
        within_ms: How long from the writing of this event it may take.
    """

    org: str
    within_ms: int


def write_event(event: Changed | Announced) -> bytes:
    """Return *event* as JSON."""
    if isinstance(event, Announced):
        return orjson.dumps({"v": FORMAT, "kind": "announced", "org": event.org, "within_ms": event.within_ms})
    return orjson.dumps(
        {
            "v": FORMAT,
            "kind": "changed",
            "org": event.org,
            "revision": event.revision,
            "previous": event.previous,
            "header": event.header,
            "subjects": _named(event.subjects),
            "keys": _named(event.keys),
        }
    )


def _named(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None or len(names) > MAX_NAMED else names


def read_event(text: bytes) -> Changed | Announced | None:
    """Read an event; None for one of a kind that this part does not know, which is somebody else's.

    Raises:
        IntegrityError: It is of a kind that is known, and is not what :func:`write_event` makes.
    """
    try:
        plain = orjson.loads(text)
        kind = plain["kind"]
        if kind not in {"changed", "announced"}:
            return None
        if plain["v"] != FORMAT:
            raise IntegrityError(f"a change event has format {plain['v']}, known is {FORMAT}; update this sidegate")
        org = require_name(plain["org"], "organization")
        if kind == "announced":
            return Announced(org, _whole(plain["within_ms"]))
        return Changed(
            org,
            _whole(plain["revision"]),
            _whole(plain["previous"]),
            plain["header"] is not False,
            _names(plain["subjects"]),
            _names(plain["keys"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, NamingError) as error:
        raise IntegrityError(f"a change event cannot be read: {error}") from error


def _whole(plain: Any) -> int:  # noqa: ANN401  JSON
    if type(plain) is not int or not 0 <= plain < 1 << 53:
        raise TypeError("a number is none")
    return plain


def _names(plain: Any) -> tuple[str, ...] | None:  # noqa: ANN401  JSON
    if plain is None:
        return None
    if type(plain) is not list or not all(type(name) is str for name in plain):
        raise TypeError("a list of names is none")
    return tuple(plain)
