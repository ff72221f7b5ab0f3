"""What a sidecar knew of sessions and keys outlives it, and what Redis forgot (spec 5.4): real processes, kill -9."""

import json
from functools import partial

from tests.integration.credentials.conftest import MakeRedis, MakeSharing
from tests.integration.credentials.test_shared_redis import (
    KEPT,
    ask_with,
    create,
    is_refused,
    mint_for,
    refused,
    revoke_in,
    single_use_key,
)
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually

from sidegate.credentials.events import RevokedKind

UNAVAILABLE = "policy_unavailable"
REVOKED = b'["revoked","account","user:vera"'


def kept(sidecar: Sidecar) -> bytes:
    """Return what the sidecar keeps on disk."""
    file = sidecar.folder / "cache" / "sessions-w0.cache"
    return file.read_bytes() if file.exists() else b""


def kill(*doomed: Sidecar | RedisServer) -> None:
    """End them at once (SIGKILL)."""
    for one in doomed:
        one.close() if isinstance(one, Sidecar) else one.kill()


def test_restart_while_redis_is_away(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """Killed with its Redis and started without it, a sidecar serves whom it knew, refuses whom it knew to be revoked
    and everybody else, lets no single-use key pass, and is its old self when Redis is back."""
    redis = make_redis(*KEPT)
    clear, policy = single_use_key()
    reusable, record = mint_for("service:ci")
    sidecar = make_sharing(redis.url, policy=f"{policy}  - {json.dumps(record)}\n")
    known, signed, left = create(redis.url), sidecar.session("ana"), sidecar.session("vera")
    for cookie in (known, signed, left):
        assert refused(ask_with(sidecar, cookie)) is None
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=reusable)) is None
    revoke_in(redis.url, RevokedKind.ACCOUNT, "user:vera")
    eventually(partial(is_refused, sidecar, left, "session_revoked"), "the session is revoked")
    eventually(lambda: REVOKED in kept(sidecar), "that is kept")
    unknown = create(redis.url)
    kill(redis, sidecar)

    sidecar.start()
    answers = [refused(ask_with(sidecar, cookie)) for cookie in (known, signed, left, unknown)]
    assert answers == [None, None, "session_revoked", UNAVAILABLE], sidecar.log.read_text()
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=reusable)) is None
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) == UNAVAILABLE
    assert [event["is_current"] for event in sidecar.events() if event["event"] == "state_resumed"] == [True]

    redis.start()
    eventually(lambda: refused(ask_with(sidecar, unknown)) is None, "the unknown session is known")
    assert [refused(ask_with(sidecar, cookie)) for cookie in (known, signed, left)] == [None, None, "session_revoked"]
    eventually(lambda: refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) is None, "the key is used")
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) == "key_consumed"


def test_too_old(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """What is kept is believed no longer than what is in memory. What is over stays over all the same, also where the
    Redis that comes back has forgotten it and nobody else is there who knows."""
    redis = make_redis()
    clear, policy = single_use_key()
    sidecar = make_sharing(redis.url, policy=policy, max_staleness_ms=1000)
    known, signed = create(redis.url), sidecar.session("vera")
    assert [refused(ask_with(sidecar, cookie)) for cookie in (known, signed)] == [None, None]
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) is None
    revoke_in(redis.url, RevokedKind.ACCOUNT, "user:vera")
    eventually(lambda: REVOKED in kept(sidecar) and b'"used"' in kept(sidecar), "that is kept")
    kill(redis, sidecar)

    sidecar.start()
    eventually(partial(is_refused, sidecar, known, UNAVAILABLE), "nothing is believed any more")
    redis.start()
    eventually(partial(is_refused, sidecar, signed, "session_revoked"), "the revocation is there again")
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) == "key_consumed"
    other = make_sharing(redis.url, policy=policy)
    assert refused(ask_with(other, signed)) == "session_revoked"
    assert refused(other.ask("GET", ROUTE_FILE, who=clear)) == "key_consumed"
    # Whose session it was is known to nobody any more; that it is none is the safe reading.
    assert refused(ask_with(sidecar, known)) == "invalid_credential"


def test_lost_by_redis_while_sidecars_run(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """A Redis that comes back empty under running sidecars: what one of them knew, none of them forgets; nobody passes
    with a used-up key in between (spec 3.2, 5.4)."""
    redis = make_redis()
    clear, policy = single_use_key()
    knowing, other = (make_sharing(redis.url, policy=policy) for _ in range(2))
    left = knowing.session("vera")
    for sidecar in (knowing, other):
        assert refused(ask_with(sidecar, left)) is None
    assert refused(knowing.ask("GET", ROUTE_FILE, who=clear)) is None
    over = knowing.session("ana", session_id="sess_over")
    revoke_in(redis.url, RevokedKind.SESSION, "sess_over")
    assert refused(ask_with(knowing, over)) == "session_revoked"
    redis.kill()
    redis.start()
    seen = set()

    def is_over() -> bool:
        # One answer after the other, and none among them may let anybody through.
        seen.add(refused(ask_with(other, over)))
        seen.add(refused(other.ask("GET", ROUTE_FILE, who=clear)))
        return {"session_revoked", "key_consumed"} <= seen

    eventually(is_over, "what is over is known to be")
    assert seen <= {"session_revoked", "key_consumed", UNAVAILABLE}
    assert "revocations_restored" in {event["event"] for event in knowing.events()}
    assert "state_lost" in {event["event"] for event in other.events()}


def test_what_is_on_disk(make_redis: MakeRedis, make_sharing: MakeSharing) -> None:
    """What is kept is for its owner's eyes only, holds no cookie and no key, and is whole after an orderly end. When
    one byte of it is not as it was written, nothing of it is believed."""
    redis = make_redis()
    clear, policy = single_use_key()
    sidecar = make_sharing(redis.url, policy=policy)
    cookies = [create(redis.url) for _ in range(5)]
    for cookie in cookies:
        assert refused(ask_with(sidecar, cookie)) is None
    assert refused(sidecar.ask("GET", ROUTE_FILE, who=clear)) is None
    assert sidecar.stop() == 0
    content = kept(sidecar)
    assert content.count(b'"user:ana"') >= 5
    assert not any(secret.encode() in content for secret in (*cookies, clear))
    file = sidecar.folder / "cache" / "sessions-w0.cache"
    assert file.stat().st_mode & 0o777 == 0o600
    redis.kill()
    sidecar.start()
    assert [refused(ask_with(sidecar, cookie)) for cookie in cookies] == [None] * 5
    kill(sidecar)
    file.write_bytes(kept(sidecar).replace(b'"user:ana"', b'"user:bob"', 1))
    sidecar.start()
    assert [refused(ask_with(sidecar, cookie)) for cookie in cookies] == [UNAVAILABLE] * 5
    assert "kept_state_refused" in {event["event"] for event in sidecar.events()}
