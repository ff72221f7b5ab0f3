"""What a configuration may say but this version does not do.

It is read, so that the error is about what was meant, and refused, so that nobody believes that it is in force. This is
the whole list.
"""

from collections.abc import Callable, Iterator
from typing import Final

from sidegate.config.explain import Places
from sidegate.config.settings_model import Settings
from sidegate.config.yaml_tree import Path
from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value


@value
class Unavailable:
    """One thing that is not available.

    Attributes:
        path: Where it is set.
        what: What it would be.
        hint: What to do next.
        is_asked: Whether the settings ask for it.
    """

    path: Path
    what: str
    hint: str
    is_asked: Callable[[Settings], bool]


UNAVAILABLE: Final = (
    Unavailable(("admin", "tls"), "TLS on the admin port", "remove it", lambda s: s.admin.tls is not None),
)


def find_unavailable(settings: Settings, places: Places) -> Iterator[Problem]:
    """Yield what *settings* ask for and will not get."""
    asked: list[tuple[Path, str, str]] = [
        (thing.path, thing.what, thing.hint) for thing in UNAVAILABLE if thing.is_asked(settings)
    ]
    asked += [
        (
            ("audit", "sinks", number, sink.kind),
            f"an audit sink of kind {sink.kind}",
            "write one of file, redis, http, nats",
        )
        for number, sink in enumerate(settings.audit.sinks)
        if sink.kind == "kafka"
    ]
    for path, what, hint in asked:
        yield Problem(
            places.key_position(path), places.label(path), f"asks for {what}, which this version does not have", hint
        )
