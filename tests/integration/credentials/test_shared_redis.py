"""Sessions, revocations and used-up keys across real sidecars and a real Redis (spec 3.1, 3.2, 5.3, 5.4)."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from tests.integration.client import Response
from tests.integration.credentials.conftest import MakeRedis, MakeSharing
from tests.integration.redis.servers import FaultProxy, RedisServer
from tests.integration.sidecar import ACME, ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually

from sidegate.core.identity.api_key import RANDOM_BYTES
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.units import Millis
from sidegate.credentials.events import RevokedKind
from sidegate.credentials.minting import KeyRequest, mint
from sidegate.credentials.opaque import NewSession, create_session, revoke
from sidegate.credentials.registry import RedisRegistry
from sidegate.credentials.table import SessionRecord
from sidegate.telemetry import clock

KEPT = ("--appendonly", "yes", "--appendfsync", "always")


def ask_with(sidecar: Sidecar, cookie: str) -> Response:
    """Read a file with a session cookie."""
    return sidecar.ask("GET", ROUTE_FILE, headers=[f"Cookie: __session={cookie}"])


def create(url: str) -> str:
    """Create an opaque session of ana's and return its cookie."""
    new = NewSession("user:ana", "acme", SessionLimits(Millis(1_800_000), Millis(43_200_000)))
    with closing(RedisRegistry(url)) as registry:
        return create_session(registry, new, os.urandom(32), clock.now()).decode()


def revoke_in(url: str, kind: RevokedKind, name: str) -> None:
    """Invalidate something as the command line does."""
    with closing(RedisRegistry(url)) as registry:
        revoke(registry, kind, name, clock.now())


def sessions_in(url: str) -> list[SessionRecord]:
    """Return all sessions."""
    with closing(RedisRegistry(url)) as registry:
        return list(registry.list_sessions())


def listed(sidecar: Sidecar, *which: str) -> list[dict[str, str]]:
    """List sessions by the command line."""
    done = sidecar.run("session", "list", "--config", str(sidecar.config), "-o", "json", *which)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def refused(response: Response) -> str | None:
    """Return why a request was refused; None if it was forwarded."""
    return None if response.status == 200 else response.reason


def is_refused(sidecar: Sidecar, cookie: str, why: str) -> bool:
    """Whether a cookie is refused for that reason."""
    return refused(ask_with(sidecar, cookie)) == why


def single_use_key() -> tuple[str, str]:
    """Return a key and acme's policy with it."""
    key, record = mint_for("service:ci", single_use=True)
    return key, f"{ACME}keys:\n  - {json.dumps(record)}\n"


def mint_for(account: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """Return a key of acme's and its record."""
    minted: dict[str, Any] = mint(KeyRequest("acme", account, **options), os.urandom(RANDOM_BYTES), clock.now())
    return minted["key"], minted["record"]


def test_revoked_everywhere(redis: RedisServer, make_sharing: MakeSharing) -> None:
    """One sidecar's session is every sidecar's; ended by anybody, it is refused by all, and listed as revoked."""
    first, second = make_sharing(redis.url), make_sharing(redis.url)
    done = first.run("session", "create", "--config", str(first.config), "--account", "user:ana", "--org", "acme", "-q")
    assert done.returncode == 0, done.stderr
    cookie = done.stdout.strip()
    assert [refused(ask_with(sidecar, cookie)) for sidecar in (first, second)] == [None, None]
    (session,) = listed(second, "--account", "user:ana")
    assert (session["kind"], session["state"]) == ("opaque", "live")
    done = second.run("session", "revoke", "--config", str(second.config), session["id"])
    assert done.returncode == 0, done.stderr
    for sidecar in (first, second):
        eventually(partial(is_refused, sidecar, cookie, "session_revoked"), "the session is revoked")
    (session,) = listed(first)
    assert session["state"] == "revoked"


@pytest.mark.parametrize(("kind", "name"), [(RevokedKind.ACCOUNT, "user:ana"), (RevokedKind.ORGANIZATION, "acme")])
def test_revoked_with_its_owner(redis: RedisServer, make_sharing: MakeSharing, kind: RevokedKind, name: str) -> None:
    """All that an account or organization has is over, also where it was never seen; what begins later is not."""
    first, second = make_sharing(redis.url), make_sharing(redis.url)
    cookie, signed = create(redis.url), first.session("ana")
    assert refused(ask_with(first, cookie)) is None
    assert refused(ask_with(first, signed)) is None
    revoke_in(redis.url, kind, name)
    eventually(lambda: refused(ask_with(first, cookie)) == "session_revoked", "the session is revoked")
    assert refused(ask_with(first, signed)) == "session_revoked"
    assert refused(ask_with(second, cookie)) == "session_revoked"
    assert refused(ask_with(second, create(redis.url))) is None


def test_single_use_exactly_once(redis: RedisServer, make_sharing: MakeSharing) -> None:
    """Of 100 simultaneous uses over three sidecars exactly one passes, and the others hear why (spec 3.2)."""
    clear, policy = single_use_key()
    sidecars = [make_sharing(redis.url, policy=policy) for _ in range(3)]
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda number: sidecars[number % 3].ask("GET", ROUTE_FILE, who=clear), range(100)))
    assert sorted(answer.status for answer in answers) == [200, *[401] * 99]
    assert {refused(answer) for answer in answers} == {None, "key_consumed"}
    allowed = [record for sidecar in sidecars for record in sidecar.decisions() if record["outcome"] == "allow"]
    assert len(allowed) == 1


def test_survives_restarts(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """A revocation and a use outlive every sidecar and Redis, where Redis keeps its file (spec 3.1)."""
    redis = make_redis(*KEPT)
    clear, policy = single_use_key()
    first = make_sharing(redis.url, policy=policy)
    cookie, signed = create(redis.url), first.session("ana")
    assert refused(first.ask("GET", ROUTE_FILE, who=clear)) is None
    assert refused(ask_with(first, signed)) is None
    revoke_in(redis.url, RevokedKind.ACCOUNT, "user:ana")
    first.stop()
    redis.kill()
    redis.start()
    first.start()
    assert [refused(ask_with(first, each)) for each in (cookie, signed)] == ["session_revoked"] * 2
    assert refused(first.ask("GET", ROUTE_FILE, who=clear)) == "key_consumed"


def test_what_redis_lost_is_written_again(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """A Redis that comes back empty brings nothing to life that a running sidecar knows to be revoked (spec 5.4)."""
    redis = make_redis()
    first = make_sharing(redis.url)
    signed = first.session("ana")
    assert refused(ask_with(first, signed)) is None
    revoke_in(redis.url, RevokedKind.ACCOUNT, "user:ana")
    eventually(lambda: refused(ask_with(first, signed)) == "session_revoked", "the session is revoked")
    redis.kill()
    redis.start()
    eventually(lambda: "revocations_restored" in {one["event"] for one in first.events()}, "it is written again")
    assert refused(ask_with(first, signed)) == "session_revoked"
    assert refused(ask_with(make_sharing(redis.url), signed)) == "session_revoked"


@pytest.mark.parametrize("how", ["cut", "sever"])
def test_redis_away(fault_proxy: FaultProxy, redis: RedisServer, make_sharing: MakeSharing, how: str) -> None:
    """What is known goes on; what is not, and what has to be recorded, is refused; then all is well (spec 5.4)."""
    clear, policy = single_use_key()
    behind = make_sharing(fault_proxy.url, policy=policy)
    known, unknown = create(redis.url), create(redis.url)
    assert refused(ask_with(behind, known)) is None
    getattr(fault_proxy, how)()
    answers = [ask_with(behind, known), ask_with(behind, unknown), behind.ask("GET", ROUTE_FILE, who=clear)]
    assert [refused(answer) for answer in answers] == [None, "policy_unavailable", "policy_unavailable"]
    assert [answer.field("Retry-After") is None for answer in answers] == [True, False, False]
    fault_proxy.heal()
    eventually(lambda: refused(ask_with(behind, unknown)) is None, "the other session is known")
    eventually(lambda: behind.metric("sidegate_redis_up") == 1.0, "Redis is up")


def test_too_stale(fault_proxy: FaultProxy, redis: RedisServer, make_sharing: MakeSharing) -> None:
    """What is known is believed for the configured time and no longer; what changed meanwhile counts afterwards."""
    behind = make_sharing(fault_proxy.url, max_staleness_ms=1000)
    cookie = create(redis.url)
    assert refused(ask_with(behind, cookie)) is None
    fault_proxy.cut()
    eventually(lambda: refused(ask_with(behind, cookie)) == "policy_unavailable", "nothing is believed any more")
    revoke_in(redis.url, RevokedKind.ACCOUNT, "user:ana")
    fault_proxy.heal()

    def heard() -> str | None:
        why = refused(ask_with(behind, cookie)) or "forwarded"
        return None if why == "policy_unavailable" else why

    assert eventually(heard, "Redis is heard again") == "session_revoked"


def test_idle_clock_is_shared(redis: RedisServer, make_sharing: MakeSharing) -> None:
    """A session that is used at one sidecar is not idle at another; one that nobody uses is, everywhere (spec 3.1)."""
    surfaces = {"web": {"idle_ms": 1500, "absolute_ms": 60_000}}
    first, second = (make_sharing(redis.url, surfaces=surfaces) for _ in range(2))
    cookie = create(redis.url)
    assert refused(ask_with(second, cookie)) is None
    began = sessions_in(redis.url)[0].last_seen

    def used_for_long() -> bool:
        assert refused(ask_with(first, cookie)) is None
        return sessions_in(redis.url)[0].last_seen > began + 2000

    eventually(used_for_long, "the session is used for longer than its idle limit")
    assert refused(ask_with(second, cookie)) is None
    eventually(lambda: sessions_in(redis.url)[0].last_seen + 1500 < clock.now(), "nobody uses it")
    assert [refused(ask_with(sidecar, cookie)) for sidecar in (first, second)] == ["session_idle"] * 2


def test_junk_under_a_key(redis: RedisServer, make_sharing: MakeSharing) -> None:
    """Garbage in Redis refuses what it is about and nothing else."""
    sidecar = make_sharing(redis.url)
    good, bad = create(redis.url), create(redis.url)
    spoilt = sha256(bad.encode()).hexdigest()
    redis.command("SET", f"sidegate:{{state}}:revoked:session:{spoilt}", "junk")
    assert [refused(ask_with(sidecar, each)) for each in (good, bad)] == [None, "policy_unavailable"]
    redis.command("DEL", f"sidegate:{{state}}:revoked:session:{spoilt}")
    redis.command("RPUSH", f"sidegate:session:{spoilt}", "x")
    redis.command("HSET", f"sidegate:session:{spoilt}", "started", "soon")
    assert [refused(ask_with(sidecar, each)) for each in (good, bad)] == [None, "policy_unavailable"]


def test_keys_by_the_command_line(redis: RedisServer, make_sharing: MakeSharing) -> None:
    """A key is listed with its last use, rotated when exposed, and refused everywhere at once (spec 3.2)."""
    clear, policy = single_use_key()
    reusable, record = mint_for("service:ci")
    first, second = (make_sharing(redis.url, policy=f"{policy}  - {json.dumps(record)}\n") for _ in range(2))
    for sidecar, key in ((first, reusable), (second, reusable), (first, clear)):
        assert refused(sidecar.ask("GET", ROUTE_FILE, who=key)) is None
    config = ("--config", str(first.config))
    done = first.run("key", "list", *config, "-o", "json")
    assert done.returncode == 0, done.stderr
    listed = {key["id"]: (key["state"], key["last_used"] is not None) for key in json.loads(done.stdout)}
    assert listed[record["id"]] == ("active", True)
    assert sorted(state for state, _ in listed.values()) == ["active", "consumed"]
    done = first.run("key", "rotate", record["id"], "--org", "acme", "--exposed", *config, "-o", "json")
    assert done.returncode == 0, done.stderr
    rotated = json.loads(done.stdout)
    assert (rotated["predecessor"]["state"], rotated["record"]["account"]) == ("revoked", "service:ci")
    for sidecar in (first, second):
        eventually(partial(_key_is_refused, sidecar, reusable), "the exposed key is refused")
    entries = policy + "".join(f"  - {json.dumps(rotated[name])}\n" for name in ("predecessor", "record"))
    third = make_sharing(redis.url, policy=entries)
    assert refused(third.ask("GET", ROUTE_FILE, who=rotated["key"])) is None


def _key_is_refused(sidecar: Sidecar, key: str) -> bool:
    return refused(sidecar.ask("GET", ROUTE_FILE, who=key)) == "key_revoked"


def test_others_do_not_wait(fault_proxy: FaultProxy, redis: RedisServer, make_sharing: MakeSharing) -> None:
    """While a request waits for its session, others are served; on one connection answers keep their order; a client
    that leaves meanwhile leaves one record and nothing else."""
    behind = make_sharing(fault_proxy.url)
    known, unknown = create(redis.url), create(redis.url)
    assert refused(ask_with(behind, known)) is None
    fault_proxy.cut()
    waiting = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: a\r\nCookie: __session={unknown}\r\n\r\n".encode()
    with behind.connect() as client, behind.connect() as leaving:
        client.send(waiting + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        leaving.send(waiting)
        leaving.abort()
        assert refused(ask_with(behind, known)) is None
        answers = [client.read_response(), client.read_response()]
    assert [refused(answer) for answer in answers] == ["policy_unavailable", None]
    fault_proxy.heal()
    eventually(lambda: refused(ask_with(behind, unknown)) is None, "the session is known")
    ids = [record["id"] for record in behind.decisions()]
    assert len(ids) == len(set(ids))
    assert behind.metric("sidegate_requests_in_flight") == 0.0
