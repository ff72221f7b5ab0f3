"""What receives records in these tests: a Redis, a NATS server, an HTTP endpoint."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.audit.collector import Collector
from tests.integration.audit.nats_server import NatsServer
from tests.integration.redis.servers import RedisServer, free_ports

MakeRedis = Callable[..., RedisServer]


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[MakeRedis]:
    """Return a maker of servers that a test may break; they are running."""
    made: list[RedisServer] = []

    def make(*options: str) -> RedisServer:
        server = RedisServer(tmp_path / f"redis{len(made)}", free_ports(1)[0], options)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def redis(make_redis: MakeRedis) -> RedisServer:
    """Return an empty server of the test's own."""
    return make_redis()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """Return a running NATS server with JetStream."""
    server = NatsServer(tmp_path / "nats", free_ports(1)[0])
    yield server.start()
    server.kill()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """Return an HTTP endpoint that keeps what is posted to it."""
    collector = Collector()
    await collector.start()
    yield collector
    await collector.close()
