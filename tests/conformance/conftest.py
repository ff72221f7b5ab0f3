"""A real Redis for the stores that are in one."""

from tests.integration.redis.conftest import redis, shared_redis

__all__ = ["redis", "shared_redis"]
