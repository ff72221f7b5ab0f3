"""Sidecars that share a real Redis."""

from collections.abc import Callable

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.redis.conftest import MakeRedis, fault_proxy, make_redis, own_redis, redis, shared_redis
from tests.integration.sidecar import Sidecar

__all__ = ["MakeRedis", "fault_proxy", "make_redis", "own_redis", "redis", "shared_redis"]

MakeSharing = Callable[..., Sidecar]


@pytest.fixture
def make_sharing(make_sidecar: MakeSidecar) -> MakeSharing:
    """Return a maker of sidecars, running, that share sessions in the Redis at an address."""

    def make(url: str, *, policy: str | None = None, **sessions: object) -> Sidecar:
        options = {} if policy is None else {"policies": {"acme": policy}}
        shared = {"redis": url, "opaque": {"store": "redis"}, **sessions}
        sidecar = make_sidecar(settings={"sessions": shared}, **options)
        return sidecar.start()

    return make
