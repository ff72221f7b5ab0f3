"""How many clients there may be, by the descriptors that the system allows (spec 2.8)."""

import resource

import pytest

from sidegate.app.descriptors import LEAST_CONNECTIONS, RESERVE, connection_cap, raise_limit
from sidegate.core.model.errors import ConfigError


class Limits:
    """The kernel's two limits."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def get(self, kind: int) -> tuple[int, int]:
        """Stand in for getrlimit."""
        assert kind == resource.RLIMIT_NOFILE
        return self.now

    def set(self, kind: int, limits: tuple[int, int]) -> None:
        """Stand in for setrlimit."""
        assert kind == resource.RLIMIT_NOFILE
        self.now = limits


def _install(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> Limits:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    return limits


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [
        pytest.param(10_000 + 512 + RESERVE, 10_000, id="enough"),
        pytest.param(9_999 + 512 + RESERVE, 9_999, id="one-too-few"),
        pytest.param(4096, 4096 - 512 - RESERVE, id="too-few"),
        pytest.param(LEAST_CONNECTIONS + 512 + RESERVE, LEAST_CONNECTIONS, id="the-least"),
    ],
)
def test_cap(monkeypatch: pytest.MonkeyPatch, descriptors: int, expected: int) -> None:
    """Clients never take what the upstream and the rest need."""
    _install(monkeypatch, descriptors, descriptors)
    assert connection_cap(10_000, 512) == expected


def test_hardly_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for next to nobody it does not start, and says what to change to which number."""
    _install(monkeypatch, 655, 655)
    with pytest.raises(ConfigError, match=r"`upstream.max_connections` is 512.*655 file descriptors.*to 656 or more"):
        connection_cap(10_000, 512)


@pytest.mark.parametrize("soft", [1024, 20_000])
def test_limit_is_raised(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    """A process takes all that it is granted without asking."""
    limits = _install(monkeypatch, soft, 20_000)
    raise_limit()
    assert limits.now == (20_000, 20_000)
