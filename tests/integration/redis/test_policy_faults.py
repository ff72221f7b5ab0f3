"""Every way in which Redis goes away or holds something else, at start, in mid-flight and for too long (spec 5.4).

In each: nobody is allowed what policy would not give, no request hangs, known accounts are decided for as long as they
may be, and all comes back by itself, or by publishing again, without a restart.
"""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import pytest
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.policies import Following, Publishing, acme
from tests.integration.redis.servers import Cluster, FaultProxy, RedisServer, SentinelSet, talk
from tests.integration.waiting import RECOVERY_S, eventually

from sidegate.core.model.units import Millis
from sidegate.core.policy.document import KeyEntry
from sidegate.distribution.ports import Fetched
from sidegate.distribution.redis_keys import CHANGES
from sidegate.distribution.redis_source import SourceLimits
from sidegate.distribution.staleness import Staleness
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.telemetry.log import LogFormat, configure_log

AWAY: Final = str(Fetched.UNAVAILABLE)
GRANTED: Final = "granted"
STAYS: Final = SourceLimits(staleness=Staleness(Millis(600_000), {}))
SOON_TOO_OLD: Final = SourceLimits(staleness=Staleness(Millis(700), {}))
SUBJECTS: Final = "sidegate:{acme}:subjects"
LASTS_S: Final = 1.0

# user:u0 may do everything but delete, the others everything. The key makes each of the hashes be there.
POLICY: Final = acme(denied=True, members=4, keys=(KeyEntry("A" * 16, b"\x01" * 32, "user:u1"),))


@dataclass(frozen=True)
class Arena:
    """A server that keeps its data, and the network before it."""

    server: RedisServer
    network: FaultProxy

    def publish(self) -> None:
        """Publish the policy, whatever is there."""

        async def run() -> None:
            async with Publishing(self.server.url) as publisher:
                await publisher.publish(POLICY)

        asyncio.run(run())

    def republish(self) -> None:
        """Mend what was broken, as an operator would: remove it and publish again."""
        for name in ("subjects", "header", "digests", "revision", "log", "keys", "pages", "ids"):
            self.server.command("DEL", f"sidegate:{{acme}}:{name}")
        self.publish()


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: Of the row.
        take: Takes Redis away, or breaks what lies there.
        give: Gives it back.
        others: What is told about an account that is not in memory, while it lasts.
        at_start: The same for everybody, when it was so from the start.
        too_old: Whether what is in memory grows old by it.
        lost: How often the link is lost.
        refused: Whether something is refused and alarmed about.
    """

    name: str
    take: Callable[[Arena], object]
    give: Callable[[Arena], object]
    others: str = AWAY
    at_start: str = AWAY
    too_old: bool = True
    lost: int = 1
    refused: bool = False


def stop(arena: Arena) -> None:
    """Ask it to end, as an operator does."""
    with contextlib.suppress(OSError):  # it may be gone before it answers
        arena.server.command("SHUTDOWN")
    arena.server.kill()


def lock(arena: Arena) -> None:
    """Have it want a password that nobody has, also from who is connected."""
    arena.server.command("CONFIG", "SET", "requirepass", "new")
    arena.network.sever()
    arena.network.heal()


def unlock(arena: Arena) -> None:
    """Have it want none."""
    talk(arena.server.port, "CONFIG", "SET", "requirepass", "", password="new")


def put_text(key: str, arena: Arena) -> None:
    """Put something of another type under *key*."""
    arena.server.command("DEL", key)
    arena.server.command("SET", key, "text")


def put_garbage(arena: Arena) -> None:
    """Put what nobody published in the place of every account's record."""
    for number in range(4):
        arena.server.command("HSET", SUBJECTS, f"user:u{number}", "garbage")


def empty(arena: Arena) -> None:
    """Restart it with nothing."""
    arena.server.kill()
    arena.server.wipe()
    arena.server.start()


FAULTS: Final = [
    Fault("stopped", stop, lambda arena: arena.server.launch()),
    Fault("frozen", lambda arena: arena.server.freeze(), lambda arena: arena.server.thaw()),
    Fault("killed", lambda arena: arena.server.kill(), lambda arena: arena.server.launch()),
    Fault("cut-off", lambda arena: arena.network.cut(), lambda arena: arena.network.heal()),
    Fault("reset", lambda arena: arena.network.sever(), lambda arena: arena.network.heal()),
    Fault("other-password", lock, unlock),
    Fault(
        "full",
        lambda arena: arena.server.command("CONFIG", "SET", "maxmemory", "1mb"),
        lambda arena: arena.server.command("CONFIG", "SET", "maxmemory", "0"),
        others=GRANTED,
        at_start=GRANTED,
        too_old=False,
        lost=0,
    ),
    Fault("wrong-type", partial(put_text, SUBJECTS), Arena.republish, too_old=False, lost=0, refused=True),
    Fault(
        "wrong-type-of-changes",
        partial(put_text, CHANGES),
        lambda arena: arena.server.command("DEL", CHANGES),
        others=GRANTED,
        lost=0,
    ),
    Fault("garbage", put_garbage, Arena.republish, too_old=False, lost=0, refused=True),
    Fault("empty", empty, Arena.republish, at_start="not_a_member", refused=True),
]


LEFT_TO_SLOW: Final = frozenset({"stopped", "cut-off", "reset"})
"""Rows that differ little from others, or that whole sidecars are held to."""


@pytest.fixture
def arena(make_redis: MakeRedis) -> Iterator[Arena]:
    """Return a server with the policy, which it has again after it was killed."""
    server = make_redis("--appendonly", "yes", "--appendfsync", "always")
    network = FaultProxy(server.port)
    arena = Arena(server, network)
    arena.publish()
    yield arena
    network.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what is logged."""
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    yield stream
    configure_log()


def events(log: io.StringIO) -> list[str]:
    """Return the names of the events logged so far."""
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]


@asynccontextmanager
async def following(arena: Arena, limits: SourceLimits, *, waits: bool = True) -> AsyncIterator[Following]:
    """Follow through the network, without blocking on a server that is being started."""
    async with Following(arena.network.url, waits=waits, limits=limits) as one:
        yield one


async def mends(fault: Fault, arena: Arena, one: Following) -> None:
    """Give Redis back and wait until everybody is decided as published."""
    await asyncio.to_thread(fault.give, arena)
    await asyncio.to_thread(eventually, arena.server.answers, "redis is back")
    await one.becomes("denied_by_rule", "user:u0", within_s=RECOVERY_S)
    for account in ("user:u1", "user:u2", "user:u3"):
        await one.becomes(GRANTED, account, within_s=RECOVERY_S)
    await one.until(lambda: not one.policies.problems, "nothing is wrong any more")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=pytest.mark.slow if fault.name in LEFT_TO_SLOW else (), id=fault.name)
        for fault in FAULTS
    ],
)
class TestEveryRow:
    """What holds whatever happens."""

    async def test_at_start(self, fault: Fault, arena: Arena) -> None:
        """Nobody is decided from nothing; it begins by itself once Redis is there."""
        await asyncio.to_thread(fault.take, arena)
        async with following(arena, STAYS, waits=fault.at_start != AWAY) as one:
            for account in ("user:u1", "user:u2"):
                await one.becomes(fault.at_start, account)
            assert await one.reason("user:u0") in {fault.at_start, "denied_by_rule"}
            await mends(fault, arena, one)

    async def test_in_mid_flight(self, fault: Fault, arena: Arena, log: io.StringIO) -> None:
        """For as long as it lasts known accounts are decided as published; it is told once."""
        async with following(arena, STAYS) as one:
            await one.becomes("denied_by_rule", "user:u0")
            await one.becomes(GRANTED, "user:u1")
            await asyncio.to_thread(fault.take, arena)
            loop = asyncio.get_running_loop()
            until = loop.time() + LASTS_S
            told: set[str] = set()
            while loop.time() < until:
                assert await one.reason("user:u0") == "denied_by_rule"
                assert await one.reason("user:u1") == GRANTED
                told.add(await one.reason("user:u2"))
            # A busy machine may take longer than a service may wait; never does anybody get another answer.
            assert told <= {fault.others, AWAY}
            await one.becomes(fault.others, "user:u2")
            # What is refused may be read some time after Redis is back.
            await one.until(lambda: (one.failures > 0) is fault.refused, "it is refused, or nothing is")
            await mends(fault, arena, one)
            # On a busy machine an answer may come too late without any fault; whatever is told is told once.
            states = [event for event in events(log) if event in {"redis_lost", "redis_connected"}]
            assert states.count("redis_lost") >= fault.lost
            assert all(one != other for one, other in pairwise(states))
            assert states[-1] == "redis_connected"
            assert events(log).count("policy_refused") == one.failures
            assert ("policy_accepted" in events(log)) is fault.refused
            assert events(log).count("changes_unreadable") <= 1

    async def test_for_too_long(self, fault: Fault, arena: Arena) -> None:
        """After the limit nobody is decided, where nobody can say that nothing is newer; and all comes back."""
        async with following(arena, SOON_TOO_OLD) as one:
            await one.becomes("denied_by_rule", "user:u0")
            await one.becomes(GRANTED, "user:u1")
            await asyncio.to_thread(fault.take, arena)
            if fault.too_old:
                await one.becomes(AWAY, "user:u1", within_s=10)
                await one.becomes(AWAY, "user:u0", within_s=10)
            await mends(fault, arena, one)


class TestPublishing:
    """What a publisher gets to know."""

    async def test_full(self, arena: Arena) -> None:
        """Nothing of a publish that has no room becomes visible."""
        arena.server.command("CONFIG", "SET", "maxmemory", "1mb")
        async with Publishing(arena.server.url) as publisher, following(arena, STAYS) as one:
            before = await publisher.revision_of("acme")
            with pytest.raises(RedisRefusedError, match="memory"):
                await publisher.publish(acme(members=4))
            assert await publisher.revision_of("acme") == before
            assert await one.reason("user:u0") == "denied_by_rule"


@pytest.mark.slow
class TestSentinels:
    """What the Sentinels do is waited for, and nothing goes back."""

    @pytest.mark.parametrize("when", ["at-start", "in-mid-flight", "for-too-long"])
    @pytest.mark.parametrize("how", ["kill", "freeze"])
    async def test_master_gone(self, how: str, when: str, sentinel_set: SentinelSet, log: io.StringIO) -> None:
        """Known accounts are decided until the successor is there, or for as long as they may be; then everybody."""
        async with Publishing(sentinel_set.url) as publisher:
            await publisher.publish(POLICY)
            await publisher._link.call("WAIT", 1, 5000, doing="waiting for the replica", key="sidegate:changes")
        limits = SOON_TOO_OLD if when == "for-too-long" else STAYS
        if when == "at-start":
            getattr(sentinel_set.master, how)()
        async with Following(sentinel_set.url, limits=limits) as one:
            if when != "at-start":
                assert await one.reason("user:u1") == GRANTED
                getattr(sentinel_set.master, how)()
                await one.until(lambda: not one.link.up, "the loss is seen")
            if when == "in-mid-flight":
                assert await one.reason("user:u1") == GRANTED
            assert await one.reason("user:u2") == AWAY
            if when == "for-too-long":
                await one.becomes(AWAY, "user:u1", within_s=10)
            await one.becomes(GRANTED, "user:u3", within_s=20)
            await one.becomes(GRANTED, "user:u1")
            await one.becomes("denied_by_rule", "user:u0")
            assert events(log).count("redis_lost") == 1
        if how == "freeze":
            sentinel_set.master.thaw()


class TestCluster:
    """What happens to the slot of an organization concerns only that organization."""

    @pytest.mark.parametrize("when", ["at-start", "in-mid-flight"])
    async def test_slot_on_its_way(self, when: str, cluster: Cluster) -> None:
        """Half of the keys here and half there: known accounts are decided, the link stays, another slot is as ever."""
        async with Publishing(cluster.url) as publisher:
            await publisher.publish(POLICY)
            await publisher.publish(acme(org="globex"))
        slot = int(cluster.nodes[0].command("CLUSTER", "KEYSLOT", SUBJECTS)[1:])
        old = cluster.node_of(slot)
        new = next(node for node in cluster.nodes if node is not old)

        def begin() -> None:
            new.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", cluster.id_of(old))
            old.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", cluster.id_of(new))
            assert old.command("MIGRATE", "127.0.0.1", str(new.port), SUBJECTS, "0", "1000") == "+OK"

        def end() -> None:
            for name in ("revision", "header", "digests", "log", "keys", "pages", "ids"):
                old.command("MIGRATE", "127.0.0.1", str(new.port), f"sidegate:{{acme}}:{name}", "0", "1000")
            for node in (new, old, *cluster.nodes):
                node.command("CLUSTER", "SETSLOT", str(slot), "NODE", cluster.id_of(new))

        if when == "at-start":
            await asyncio.to_thread(begin)
        async with Following(cluster.url, limits=STAYS) as one:
            if when == "in-mid-flight":
                await one.becomes(GRANTED, "user:u1")
                await asyncio.to_thread(begin)
                assert await one.reason("user:u1") == GRANTED
            assert await one.reason("user:u2") == AWAY
            await one.becomes(GRANTED, "user:u1", org="globex")
            assert one.link.up
            await asyncio.to_thread(end)
            await one.becomes(GRANTED, "user:u2")
            await one.becomes("denied_by_rule", "user:u0")
