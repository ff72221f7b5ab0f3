"""Access that ends while streams are open at several sidecars that share a Redis (spec 2.7, 5.3, 5.4)."""

from contextlib import closing

from tests.integration.conftest import MakeSidecar
from tests.integration.redis.conftest import fault_proxy, make_redis, own_redis, redis, shared_redis
from tests.integration.redis.servers import FaultProxy, RedisServer
from tests.integration.sidecar import Sidecar
from tests.integration.streams.arena import Arena, Kind
from tests.integration.waiting import eventually

from sidegate.credentials.events import RevokedKind
from sidegate.credentials.opaque import revoke
from sidegate.credentials.registry import RedisRegistry
from sidegate.telemetry import clock

__all__ = ["fault_proxy", "make_redis", "own_redis", "redis", "shared_redis"]

POLICY = """\
organization: acme
members:
  user:ana: {roles: [Member]}
  user:ben: {roles: [Member]}
bindings:
  - {id: ana, who: user:ana, role: Designer, on: p1}
  - {id: ben, who: user:ben, role: Designer, on: p1}
"""


def _sharing(make_sidecar: MakeSidecar, arena: Arena, url: str, **sessions: object) -> Sidecar:
    shared = {"redis": url, **sessions}
    return make_sidecar(upstream=arena.url, policies={"acme": POLICY}, settings={"sessions": shared}).start()


def _open(arena: Arena, sidecar: Sidecar, user: str, group: str) -> None:
    token = sidecar.session(user, "acme", session_id=f"of-{user}")
    arena.open(sidecar, group, f"Cookie: __session={token}", Kind)


def _completions(sidecar: Sidecar) -> list[tuple[str, str | None]] | None:
    lines = [(line["ended"], line["reason"]) for line in sidecar.completions()]
    return lines if len(lines) == len(Kind) else None


def test_revoked_at_all_sidecars(make_sidecar: MakeSidecar, arena: Arena, redis: RedisServer) -> None:
    """What is revoked once ends its streams at every sidecar, in the right form and with one record each, and no
    stream of anybody else."""
    sidecars = [_sharing(make_sidecar, arena, redis.url) for _ in range(2)]
    for number, sidecar in enumerate(sidecars):
        _open(arena, sidecar, "ana", f"ana{number}")
        _open(arena, sidecar, "ben", f"ben{number}")
    arena.wait_until_established()
    with closing(RedisRegistry(redis.url)) as registry:
        revoke(registry, RevokedKind.SESSION, "of-ana", clock.now())
    for number, sidecar in enumerate(sidecars):
        arena.wait_until_ended(f"ana{number}")
        for stream in arena.of(f"ana{number}"):
            if stream.kind is Kind.WEBSOCKET:
                assert stream.close_frame == (1008, "session_revoked")
            else:
                assert (stream.was_reset, stream.is_whole) == (True, False)
        lines = eventually(lambda at=sidecar: _completions(at), "one record for each stream")  # type: ignore[misc]
        assert set(lines) == {("access_ended", "session_revoked")}
    spared = [one for group in ("ben0", "ben1") for one in arena.of(group)]
    beats = [one.beats for one in spared]
    eventually(lambda: all(one.beats > was for one, was in zip(spared, beats, strict=True)), "others go on")
    assert {one.ended_at for one in spared} == {None}


def test_redis_is_away_for_too_long(make_sidecar: MakeSidecar, arena: Arena, fault_proxy: FaultProxy) -> None:
    """When nothing can be known about revocations any more, streams end as new requests are refused."""
    sidecar = _sharing(make_sidecar, arena, fault_proxy.url, max_staleness_ms=1000)
    _open(arena, sidecar, "ana", "ana")
    arena.wait_until_established()
    fault_proxy.cut()
    arena.wait_until_ended("ana")
    lines = eventually(lambda: _completions(sidecar), "one record for each stream")
    assert set(lines) == {("access_ended", "policy_unavailable")}
