"""Redis as a test needs it: one server, one behind a faulty network, a Sentinel set, a Cluster.

What is shared by a session is emptied before each test; what a test stops or breaks it gets for itself.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.redis.servers import Cluster, FaultProxy, RedisServer, SentinelSet, free_ports, running

MakeRedis = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a server that all tests share; take ``redis`` instead."""
    yield from running(RedisServer(tmp_path_factory.mktemp("redis"), free_ports(1)[0]))


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    """Return an empty server. Not to be stopped or reconfigured: others use it too."""
    assert shared_redis.command("FLUSHALL") == "+OK"
    return shared_redis


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
def own_redis(make_redis: MakeRedis) -> RedisServer:
    """Return a server that the test may break."""
    return make_redis()


@pytest.fixture
def fault_proxy(redis: RedisServer) -> Iterator[FaultProxy]:
    """Return a network in front of ``redis`` that can be cut."""
    proxy = FaultProxy(redis.port)
    yield proxy
    proxy.close()


@pytest.fixture
def sentinel_set(tmp_path: Path) -> Iterator[SentinelSet]:
    """Return a master with a replica and three Sentinels."""
    servers = SentinelSet(tmp_path / "sentinels")
    try:
        yield servers.start()
    finally:
        servers.close()


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a Cluster that all tests share; take ``cluster`` instead."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """Return an empty Cluster of three nodes. A test may move slots, if it moves them back; not stop nodes."""
    for node in shared_cluster.nodes:
        assert node.command("FLUSHALL") == "+OK"
    return shared_cluster
