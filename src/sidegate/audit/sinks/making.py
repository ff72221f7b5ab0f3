"""Makes the configured sinks. Clients are imported only where they are asked for: one is an extra, all take memory."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

from sidegate.audit.ports import Sink
from sidegate.audit.sinks.file import FileSink
from sidegate.audit.sinks.http import HttpSink
from sidegate.config.held import Sink as SinkSettings
from sidegate.core.model.errors import ConfigError, InvariantError, Problem
from sidegate.core.model.units import Millis
from sidegate.telemetry.tasks import TaskSet

_EXTRAS: Final = frozenset({"nats"})
"""Kinds of sinks whose client is an extra, of the kind's name; the package too."""


_REDIS_WITHIN: Final = Millis(5000)
"""No request waits for it: better a late answer than a batch that is sent again."""


def check_sinks(sinks: Iterable[SinkSettings]) -> None:
    """See to it that each of *sinks* can be made.

    Raises:
        ConfigError: An extra is not installed, or a file cannot be used.
    """
    for sink in sinks:
        if sink.kind in _EXTRAS:
            require_extra(sink.kind, "audit.sinks")
        if sink.http is not None:
            HttpSink(sink.http.url.url, sink.http.ca, sink.http.token_file)


def require_extra(extra: str, asked_by: str) -> None:
    """See to it that the package of *extra* is installed.

    Raises:
        ConfigError: It is not.
    """
    if find_spec(extra) is None:
        what = f"needs the extra `{extra}`, which is not installed"
        raise ConfigError((Problem(None, asked_by, what, f"install `sidegate[{extra}]`"),))


def make_sink(sink: SinkSettings, tasks: TaskSet) -> Sink:
    """Make *sink*, which :func:`check_sinks` has passed.

    Args:
        sink: As configured.
        tasks: For what it does beside sending; closed before it is.
    """
    if sink.file is not None:
        return FileSink(sink.file)
    if sink.http is not None:
        return HttpSink(sink.http.url.url, sink.http.ca, sink.http.token_file)
    if sink.redis is not None:
        from sidegate.audit.sinks.redis import RedisStreamSink  # noqa: PLC0415  see above
        from sidegate.redis_link.link import open_link  # noqa: PLC0415  as above

        return RedisStreamSink(open_link(sink.redis.url, timeout=_REDIS_WITHIN), tasks)
    if sink.nats is not None:
        from sidegate.audit.sinks.nats import NatsSink  # noqa: PLC0415  an extra

        return NatsSink(sink.nats.url)
    raise InvariantError("a sink passed the settings that this version does not have")
