"""The settings of a running sidecar: what was read, without what reads (spec 7, resident memory).

To read and judge a configuration takes pydantic and the models of :mod:`sidegate.config.settings_model`: a fifth of
the memory of an idle sidecar, for what is done once. So another process does it (:mod:`sidegate.app.apart`) and hands
over :class:`Section` objects, with the attributes of those models and nothing else. To the type checker they are the
models, so that a name that does not exist is found; methods they have none.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sidegate.config.endpoints import RedisSource

__all__ = [
    "Audit",
    "Secret",
    "Section",
    "Settings",
    "SignedSessions",
    "Sink",
    "Tls",
    "Upstream",
    "UpstreamTls",
    "shared_redis",
]

_MASK: Final = "***"


class Section:
    """Settings that belong together; they cannot be changed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        vars(self).update(settings)

    def __setattr__(self, name: str, _given: object) -> NoReturn:
        raise AttributeError(f"cannot assign to setting {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete setting {name!r}")

    def __reduce__(self) -> tuple[type["Section"], tuple[dict[str, Any]]]:
        return Section, (vars(self),)

    def __repr__(self) -> str:
        return f"Section({vars(self)!r})"


class Secret:
    """Text that is shown nowhere."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return it; called as with pydantic."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK


if TYPE_CHECKING:
    from sidegate.config.audit_model import Audit, Sink
    from sidegate.config.listener_model import Tls, Upstream, UpstreamTls
    from sidegate.config.session_model import SignedSessions
    from sidegate.config.settings_model import Settings
else:
    Audit = Settings = SignedSessions = Sink = Tls = Upstream = UpstreamTls = Section


def shared_redis(settings: Settings) -> RedisSource | None:
    """Return the Redis in which sidecars share sessions, revocations and used-up keys; None for none."""
    source = settings.policy.source
    return settings.sessions.redis or (source if isinstance(source, RedisSource) else None)
