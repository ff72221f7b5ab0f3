"""What only a state over Redis has: facts that are fetched, a stream that can have gaps, data that can be lost."""

from collections.abc import Iterator

import pytest
from tests.conformance.redis_worker import RedisWorker
from tests.conformance.stores import RedisStores
from tests.conformance.test_shared_state import T, created, key, seen, session
from tests.integration.redis.conftest import cluster, shared_cluster
from tests.integration.redis.servers import Cluster, RedisServer

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, InvariantError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.redis_following import DOUBTED, SETTLE
from sidegate.credentials.registry import keep_fallen
from sidegate.credentials.table import SESSION_RETENTION, facts_of

__all__ = ["cluster", "shared_cluster"]

CHANGES = "sidegate:{state}:changes"
REVOKED = Revoked(RevokedKind.SESSION, "s1", T)


@pytest.fixture
def stores(redis: RedisServer) -> Iterator[RedisStores]:
    """Give an empty Redis."""
    opened = RedisStores(redis.url)
    yield opened
    opened.close()


def is_missing(worker: RedisWorker) -> bool:
    """Whether the session has to be fetched."""
    return bool(worker.state.missing(facts_of(session())))


def test_facts_are_fetched_once(stores: RedisStores) -> None:
    """What was fetched and used is held; nothing is held that nobody asked for."""
    worker = stores.worker()
    assert is_missing(worker)
    assert worker.refusal_of(session(), T) is None
    worker.record_activity(seen(0))
    assert not is_missing(worker)


def test_a_session_that_is_not_there_is_asked_for_again(stores: RedisStores) -> None:
    """That nothing was found is believed for a moment only."""
    worker = stores.worker()
    assert worker.find_session("o1") is None
    stores.worker().create_session(created())
    stores.clock.advance(Millis(2000))
    found = worker.find_session("o1")
    assert found is not None
    assert found.account == "user:ana"


def test_a_revocation_that_arrives_while_a_fact_is_fetched(stores: RedisStores) -> None:
    """What was read before the event does not undo it."""
    worker, other = stores.worker(), stores.worker()

    async def race() -> None:
        worker.state.fetch(facts_of(session()), lambda _: None)
        await other.store.revoke(REVOKED)
        await worker.state.step(Millis(1))

    worker.wait(race())
    assert worker.refusal_of(session(), T) == Reason.SESSION_REVOKED


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(("XADD", CHANGES, "*", "e", "junk", "n", "1"), id="unreadable"),
        pytest.param(("XADD", CHANGES, "*", "n", "7"), id="without-an-event"),
    ],
)
def test_an_event_that_cannot_be_read_forgets_everything(
    stores: RedisStores, redis: RedisServer, damage: tuple[str, ...]
) -> None:
    """It may have revoked anything; everything is fetched again."""
    worker = stores.worker()
    worker.refusal_of(session(), T)
    worker.record_activity(seen(0))
    before = worker.version
    redis.command(*damage)
    worker.poll()
    assert (is_missing(worker), before < worker.version) == (True, True)
    assert worker.refusal_of(session(), T) is None


def test_a_missing_event_forgets_everything(stores: RedisStores, redis: RedisServer) -> None:
    """The numbers of events show that one is gone, e.g. trimmed while this follower was slow."""
    worker, other = stores.worker(), stores.worker()
    worker.refusal_of(session(), T)
    worker.record_activity(seen(0))
    worker.poll()
    other.revoke(REVOKED)
    redis.command("XTRIM", CHANGES, "MAXLEN", "0")
    other.revoke(Revoked(RevokedKind.SESSION, "s2", T))
    worker.poll()
    assert is_missing(worker)
    assert worker.refusal_of(session(), T) == Reason.SESSION_REVOKED


def test_changes_missed_by_who_was_away(stores: RedisStores) -> None:
    """Who reconnects takes in what was missed before anything is believed."""
    worker = stores.worker()
    worker.refusal_of(session(), T)
    worker.record_activity(seen(0))
    stores.worker().revoke(REVOKED)
    assert worker.wait(worker.state.connect())
    assert worker.state.refusal_of(session(), T) == Reason.SESSION_REVOKED


def lose_everything(stores: RedisStores, redis: RedisServer, *knowing: RedisWorker) -> None:
    """Empty Redis, and have *knowing* notice and go on once everybody had the time to write what they know."""
    redis.command("FLUSHALL")
    assert [worker.wait(worker.state.connect()) for worker in knowing] == [False] * len(knowing)
    stores.clock.advance(Millis(SETTLE - 1))
    assert [worker.wait(worker.state.connect()) for worker in knowing] == [False] * len(knowing)
    stores.clock.advance(Millis(1))
    assert [worker.wait(worker.state.connect()) for worker in knowing] == [True] * len(knowing)


def test_lost_data_is_written_again(stores: RedisStores, redis: RedisServer) -> None:
    """A Redis that comes back empty gets what a follower remembers, and everything held is fetched anew."""
    worker = stores.worker()
    worker.refusal_of(session(), T)
    worker.revoke(REVOKED)
    stores.clock.advance(Millis(2 * DOUBTED))
    lose_everything(stores, redis, worker)
    assert is_missing(worker)
    assert stores.worker().refusal_of(session(), T) == Reason.SESSION_REVOKED
    assert worker.refusal_of(session(), T) == Reason.SESSION_REVOKED


def test_a_lost_use_is_written_again(stores: RedisStores, redis: RedisServer) -> None:
    """A single-use key that one sidecar saw used stays used up, for those that never heard of it too."""
    first, second = stores.worker(), stores.worker()
    assert first.refusal_of(key(), T) is None
    assert second.refusal_of(key(), T) is None
    assert first.consume_key(key(), T) is None
    redis.command("FLUSHALL")
    assert second.consume_key(key(), T) is Reason.POLICY_UNAVAILABLE
    assert [worker.wait(worker.state.connect()) for worker in (first, second)] == [False, False]
    assert second.consume_key(key(), T) is Reason.POLICY_UNAVAILABLE
    stores.clock.advance(SETTLE)
    assert [worker.wait(worker.state.connect()) for worker in (first, second)] == [True, True]
    assert second.consume_key(key(), T) is Reason.KEY_CONSUMED
    assert stores.worker().refusal_of(key(), T) is Reason.KEY_CONSUMED


def test_what_is_not_there_means_nothing_in_other_data(stores: RedisStores, redis: RedisServer) -> None:
    """A follower that has not noticed the loss yet takes the absence of a revocation for nothing, and looks."""
    first, second = stores.worker(), stores.worker()
    first.revoke(REVOKED)
    redis.command("FLUSHALL")
    assert not second.know(*facts_of(session()))
    assert [worker.wait(worker.state.connect()) for worker in (first, second)] == [False, False]
    assert not second.know(*facts_of(session()))
    stores.clock.advance(SETTLE)
    assert [worker.wait(worker.state.connect()) for worker in (first, second)] == [True, True]
    assert second.refusal_of(session(), T) is Reason.SESSION_REVOKED


def test_what_is_held_is_believed_while_others_write(stores: RedisStores, redis: RedisServer) -> None:
    """A Redis that lost its data counts as away for a moment: what is known goes on (spec 5.4)."""
    worker = stores.worker()
    assert worker.refusal_of(session(), T) is None
    worker.record_activity(seen(0))
    redis.command("FLUSHALL")
    assert not worker.wait(worker.state.connect())
    assert not is_missing(worker)
    assert worker.state.refusal_of(session(), T) is None


def test_lost_twice(stores: RedisStores, redis: RedisServer) -> None:
    """What was written again into data that is lost in its turn is written once more, and waited for anew."""
    worker = stores.worker()
    worker.revoke(REVOKED)
    redis.command("FLUSHALL")
    assert not worker.wait(worker.state.connect())
    stores.clock.advance(SETTLE)
    lose_everything(stores, redis, worker)
    assert stores.worker().refusal_of(session(), T) == Reason.SESSION_REVOKED


def test_the_end_is_lost(stores: RedisStores, redis: RedisServer) -> None:
    """A fail-over that lost the last revocation gets it again; one that is there stays as it is."""
    worker = stores.worker()
    worker.revoke(Revoked(RevokedKind.SESSION, "s2", T))
    worker.revoke(REVOKED)
    last = redis.command("XREVRANGE", CHANGES, "+", "-", "COUNT", "1")
    assert last == "*1"
    for command in (("DEL", "sidegate:{state}:revoked:session:s1"), ("DECR", "sidegate:{state}:sequence")):
        redis.command(*command)
    assert not worker.wait(worker.state.connect())
    stores.clock.advance(SETTLE)
    assert worker.wait(worker.state.connect())
    assert stores.worker().refusal_of(session(), T) == Reason.SESSION_REVOKED
    assert redis.command("GET", "sidegate:{state}:sequence") == "2"


SEQUENCE = "sidegate:{state}:sequence"
SPOILT = "sidegate:{state}:revoked:session:s1"


@pytest.mark.parametrize(
    "junk", [pytest.param(("SET", SPOILT, "junk"), id="no-number"), pytest.param(("RPUSH", SPOILT, "x"), id="a-list")]
)
def test_a_revocation_takes_the_place_of_junk(stores: RedisStores, redis: RedisServer, junk: tuple[str, ...]) -> None:
    """Whatever lies under its key, whoever revokes again is heard; so is who writes again what Redis lost."""
    worker = stores.worker()
    redis.command(*junk)
    worker.revoke(REVOKED)
    assert stores.worker().refusal_of(session(), T) == Reason.SESSION_REVOKED
    redis.command("FLUSHALL")
    redis.command(*junk)
    assert not worker.wait(worker.state.connect())
    stores.clock.advance(SETTLE)
    assert worker.wait(worker.state.connect())
    assert stores.worker().refusal_of(session(), T) == Reason.SESSION_REVOKED


@pytest.mark.parametrize(
    "spoilt", [pytest.param(CHANGES, id="the-stream"), pytest.param(SEQUENCE, id="the-number-of-the-last-event")]
)
def test_junk_in_the_place_of_what_is_followed(stores: RedisStores, redis: RedisServer, spoilt: str) -> None:
    """Counts as a Redis that is away: nothing is revoked by halves, nobody is misled, and deleting it is enough."""
    worker = stores.worker()
    assert worker.refusal_of(session(), T) is None
    worker.revoke(Revoked(RevokedKind.SESSION, "s2", T))
    redis.command("DEL", spoilt)
    redis.command("SET", spoilt, "junk")
    with pytest.raises(DependencyError):
        worker.wait(worker.store.revoke(REVOKED))
    assert redis.command("EXISTS", SPOILT) == ":0"
    assert not worker.wait(worker.state.connect())
    redis.command("DEL", spoilt)
    assert not worker.wait(worker.state.connect())
    stores.clock.advance(SETTLE)
    assert worker.wait(worker.state.connect())
    worker.revoke(REVOKED)
    assert worker.refusal_of(session(), T) == Reason.SESSION_REVOKED


def test_junk_in_one_session_keeps_no_other_from_being_written(stores: RedisStores, redis: RedisServer) -> None:
    """Its use cannot be recorded; those of others are."""
    worker = stores.worker()
    for name in ("bad", "good"):
        worker.record_activity(seen(0, name))
    worker.poll()
    redis.command("HSET", "sidegate:session:bad", "seen", "9e99999")
    for name in ("bad", "good"):
        worker.record_activity(seen(20, name))
    worker.poll()
    assert stores.worker().wait(worker.store.touch(seen(20, "good"), Millis(10), is_signed=True)) == (T, T + 20)


def test_nothing_is_believed_for_too_long(stores: RedisStores) -> None:
    """After the configured time without word from Redis nothing can be relied on; one word makes it good again."""
    worker = stores.worker(max_staleness=Millis(60_000))
    stores.clock.advance(Millis(59_999))
    worker.state.judge_age()
    assert worker.failure is None
    before = worker.version
    stores.clock.advance(Millis(1))
    worker.state.judge_age()
    assert (worker.failure is not None, before < worker.version) == (True, True)
    assert not worker.know((RevokedKind.SESSION, "s9"))
    assert worker.wait(worker.state.connect())
    assert worker.failure is None


def test_nothing_is_believed_once_nobody_follows(stores: RedisStores) -> None:
    """Whatever breaks while revocations are taken in, nothing is relied on from then on, even if Redis is there."""
    other = stores.worker()
    other.revoke(Revoked(RevokedKind.SESSION, "s0", T))
    worker = stores.worker()

    def break_down(_event: Revoked) -> None:
        raise InvariantError("a listener broke")

    worker.subscribe(break_down)
    other.revoke(REVOKED)
    before = worker.version
    with pytest.raises(InvariantError):
        worker.wait(worker.state.run())
    assert worker.failure is not None
    assert "restart sidegate" in worker.failure
    assert worker.version > before
    assert worker.wait(worker.state.connect())
    assert worker.failure is not None
    assert not worker.know((RevokedKind.SESSION, "s9"))


def test_forgetting_makes_everybody_look_again(stores: RedisStores) -> None:
    """When held facts go because there are too many, nothing may go on resting on them unseen."""
    worker = stores.worker(capacity=4)
    worker.refusal_of(session(), T)
    worker.record_activity(seen(0))
    before = worker.version
    for number in range(12):
        worker.know((RevokedKind.ACCOUNT, f"user:{number}"))
    assert (is_missing(worker), before < worker.version) == (True, True)


def test_activity_of_others_stands_for_ours(stores: RedisStores) -> None:
    """A use is written only if nobody wrote one less than a tenth of the idle limit before (spec 3.1)."""
    first, second = stores.worker(), stores.worker()
    first.record_activity(seen(0))
    first.poll()
    answer = second.wait(second.store.touch(seen(5), Millis(10), is_signed=True))
    assert answer == (T, T)
    answer = second.wait(second.store.touch(seen(10), Millis(10), is_signed=True))
    assert answer == (T, UnixMillis(T + 10))


@pytest.mark.parametrize(
    ("kind", "revoked_id"),
    [
        pytest.param(RevokedKind.ACCOUNT, "user:ana", id="account"),
        pytest.param(RevokedKind.ORGANIZATION, "acme", id="organization"),
    ],
)
def test_a_session_that_fell_is_remembered(
    stores: RedisStores, redis: RedisServer, kind: RevokedKind, revoked_id: str
) -> None:
    """A session that fell with its account or organization is remembered as long as a revocation, however rarely it is
    tried: a token that is made for it later must not look like the beginning of another one."""
    worker = stores.worker()
    worker.record_activity(seen(0, "s1"))
    worker.create_session(created())
    worker.poll()
    worker.revoke(Revoked(kind, revoked_id, UnixMillis(T + 5)))
    worker.wait(keep_fallen(worker.store, Revoked(kind, revoked_id, UnixMillis(T + 5)), T))

    def left(session_id: str) -> int:
        return int(redis.command("PTTL", f"sidegate:session:{session_id}").removeprefix(":"))

    assert left("s1") > SESSION_RETENTION * 2
    assert left("o1") < SESSION_RETENTION
    # A use that was under way does not make it shorter again.
    worker.wait(worker.store.touch(seen(4, "s1"), Millis(1), is_signed=True))
    assert left("s1") > SESSION_RETENTION * 2


def test_use_of_a_session_that_is_gone(stores: RedisStores, redis: RedisServer) -> None:
    """Writing the use of an opaque session does not bring it back."""
    worker = stores.worker()
    worker.create_session(created())
    assert worker.find_session("o1") is not None
    redis.command("DEL", "sidegate:session:o1")
    worker.record_activity(seen(1, "o1"))
    worker.poll()
    assert worker.find_session("o1") is None


def test_cluster(cluster: Cluster) -> None:
    """The same over the nodes of a Cluster: sessions, revocation, single use, lists."""
    stores = RedisStores(cluster.url)
    first, second = stores.worker(), stores.worker()
    first.create_session(created())
    for number in range(5):
        first.record_activity(seen(0, f"s{number}"))
    first.poll()
    assert {"o1", *(f"s{number}" for number in range(5))} == {one.id for one in second.list_sessions()}
    assert second.refusal_of(session(), T) is None
    first.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", T))
    second.poll()
    assert second.refusal_of(session(), T) == Reason.SESSION_REVOKED
    assert [worker.consume_key(key(), T) for worker in (first, second, first)] == [None, *[Reason.KEY_CONSUMED] * 2]
    stores.close()
