"""Which Redis sidecars share sessions, revocations and used-up keys in."""

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.config.held import shared_redis


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("", None, id="none"),
        pytest.param("sessions: {opaque: {store: memory}}", None, id="of-this-machine"),
        pytest.param("sessions: {redis: 'redis://a'}", "redis://a", id="named"),
        pytest.param("sessions: {redis: 'redis://a', opaque: {}}", "redis://a", id="store-left-out"),
        pytest.param("sessions: {redis: 'redis://a', opaque: {store: redis}}", "redis://a", id="store-written"),
    ],
)
def test_shared_redis(folder: Folder, written: str, expected: str | None) -> None:
    """The one that is named; without one each machine has its own state."""
    source = shared_redis(folder.load(UPSTREAM + written))
    assert expected == (None if source is None else source.url)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        pytest.param(
            "sessions: {opaque: {store: redis}}",
            "`sessions.opaque.store` is redis, but none is named; add `redis: redis://host:6379` under `sessions`",
            id="redis-without-one",
        ),
        pytest.param(
            "sessions: {redis: 'redis://a', opaque: {store: memory}}",
            "`sessions.opaque.store` is memory, but sessions are shared in Redis; write redis, or leave it out",
            id="memory-beside-redis",
        ),
    ],
)
def test_stores_that_contradict(folder: Folder, written: str, problem: str) -> None:
    """Nobody may believe that sessions are somewhere else than they are."""
    (found,) = folder.problems(UPSTREAM + written)
    assert found.partition(" ")[2] == problem
