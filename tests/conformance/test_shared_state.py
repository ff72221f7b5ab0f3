"""Every shared state behaves alike: what one worker records, all know, once and for good (spec 3.1, 3.2)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.stores import RedisStores, Store, open_store

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.principal import CredentialKind, Link, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import (
    Event,
    KeyConsumed,
    Revoked,
    RevokedKind,
    SessionCreated,
    SessionSeen,
    key_name,
)
from sidegate.credentials.ports import Durability
from sidegate.credentials.table import StateTable

T = UnixMillis(1_800_000_000_000)


def at(offset: int) -> UnixMillis:
    """Return an instant near T."""
    return UnixMillis(T + offset)


def session(session_id: str = "s1", *, chain: tuple[Link, ...] = ()) -> VerifiedCredential:
    """Return a verified session."""
    return VerifiedCredential(CredentialKind.SESSION, session_id, "user:ana", "acme", chain=chain, issued_at=T)


def key(org: str = "acme", *, issued: int = 0) -> VerifiedCredential:
    """Return a verified single-use key."""
    return VerifiedCredential(
        CredentialKind.API_KEY, "k1", "service:ci", org, issued_at=UnixMillis(issued), single_use=True
    )


def seen(offset: int, session_id: str = "s1", started: int = 0) -> SessionSeen:
    """Return activity of a session of ana's."""
    return SessionSeen(session_id, "user:ana", "acme", "web", at(started), at(offset))


def created(session_id: str = "o1") -> SessionCreated:
    """Return an opaque session of ana's."""
    return SessionCreated(session_id, "user:ana", "acme", "web", SessionLimits(Millis(10), Millis(100)), at(-5), T)


@pytest.fixture(params=["memory", "journal"])
def log_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give each kind of store that is a log in turn."""
    with open_store(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=["memory", "journal", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store | RedisStores]:
    """Give each kind of store in turn."""
    if request.param == "redis":
        stores = RedisStores(request.getfixturevalue("redis").url)
        yield stores
        stores.close()
        return
    with open_store(request.param, tmp_path) as opened:
        yield opened


AnyStore = Store | RedisStores


def test_empty(store: AnyStore) -> None:
    """Nothing is known at first, and nothing refused."""
    state = store.worker()
    assert (
        state.find_session("s1"),
        state.refusal_of(session(), T),
        state.list_sessions(),
        state.failure,
    ) == (None, None, (), None)


@pytest.mark.parametrize(
    ("revoked", "credential", "started", "reason"),
    [
        pytest.param((RevokedKind.SESSION, "s1", 0), session(), 0, Reason.SESSION_REVOKED, id="session"),
        pytest.param((RevokedKind.SESSION, "s2", 0), session(), 0, None, id="another-session"),
        pytest.param((RevokedKind.SESSION, "s1", 999), session(), 0, Reason.SESSION_REVOKED, id="by-a-clock-ahead"),
        pytest.param((RevokedKind.ACCOUNT, "user:ana", 0), session(), -1, Reason.SESSION_REVOKED, id="older"),
        pytest.param((RevokedKind.ACCOUNT, "user:ana", 0), session(), 0, Reason.SESSION_REVOKED, id="of-that-instant"),
        pytest.param((RevokedKind.ACCOUNT, "user:ana", 0), session(), 1, None, id="younger"),
        pytest.param((RevokedKind.ACCOUNT, "user:bo", 0), session(), 0, None, id="another-account"),
        pytest.param((RevokedKind.ACCOUNT, "service:ci", 9), key(), 0, None, id="account-ends-sessions-not-keys"),
        pytest.param((RevokedKind.ORGANIZATION, "acme", 0), session(), 0, Reason.SESSION_REVOKED, id="organization"),
        pytest.param((RevokedKind.ORGANIZATION, "acme", 0), session(), 1, None, id="organization-younger"),
        pytest.param((RevokedKind.ORGANIZATION, "acme", 0), key(), 0, Reason.KEY_REVOKED, id="organization-and-key"),
        pytest.param((RevokedKind.ORGANIZATION, "globex", 0), session(), 0, None, id="another-organization"),
        pytest.param((RevokedKind.KEY, key_name("acme", "k1"), 0), key(), 0, Reason.KEY_REVOKED, id="key"),
        pytest.param((RevokedKind.KEY, key_name("globex", "k1"), 0), key(), 0, None, id="same-id-elsewhere"),
        pytest.param((RevokedKind.SESSION, "k1", 0), key(), 0, None, id="key-is-no-session"),
        pytest.param(
            (RevokedKind.LINK, "ag_2", 0),
            session(chain=(Link("ag_1"), Link("ag_2"))),
            0,
            Reason.SESSION_REVOKED,
            id="link-anywhere-in-the-chain",
        ),
        pytest.param((RevokedKind.LINK, "ag_3", 0), session(chain=(Link("ag_1"),)), 0, None, id="another-link"),
    ],
)
def test_revocation(
    store: AnyStore,
    revoked: tuple[RevokedKind, str, int],
    credential: VerifiedCredential,
    started: int,
    reason: Reason | None,
) -> None:
    """By id; accounts and organizations for all that was issued then or before. Known to who made it at once, to the
    others with the next poll, and to whoever starts later."""
    kind, revoked_id, offset = revoked
    first, second = store.worker(), store.worker()
    assert second.refusal_of(credential, at(started)) is None
    first.revoke(Revoked(kind, revoked_id, at(offset)))
    assert (reason, None) == (first.refusal_of(credential, at(started)), second.refusal_of(credential, at(started)))
    second.poll()
    assert reason == second.refusal_of(credential, at(started))
    assert reason == store.worker().refusal_of(credential, at(started))


def test_revocation_is_never_taken_back(store: AnyStore) -> None:
    """An earlier instant that arrives later does not shorten what a revocation reaches."""
    state = store.worker()
    state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", at(10)))
    state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", at(0)))
    assert store.worker().refusal_of(session(), at(5)) == Reason.SESSION_REVOKED


def test_version_grows_with_refusals_only(store: AnyStore) -> None:
    """Whoever remembers a credential must look again after a revocation or a consumption, not after activity."""
    state = store.worker()
    assert (state.refusal_of(session("s9"), T), state.refusal_of(key(), T)) == (None, None)
    before = state.version
    state.record_activity(seen(0))
    state.record_activity(seen(5))
    assert before == state.version
    state.revoke(Revoked(RevokedKind.SESSION, "s9", T))
    after_revocation = state.version
    state.consume_key(key(), T)
    assert before < after_revocation < state.version


def test_version_grows_when_a_session_turns_out_older(store: AnyStore) -> None:
    """Its absolute limit is then nearer than whoever remembers it thinks."""
    state = store.worker()
    state.record_activity(seen(0, started=0))
    before = state.version
    state.record_activity(seen(1, started=-50))
    assert before < state.version


def test_consumed_once(store: AnyStore) -> None:
    """Of any number of uses on any worker exactly one passes, also if a worker has not polled (spec 3.2)."""
    workers = [store.worker() for _ in range(3)]
    answers = [worker.consume_key(key(), T) for worker in workers * 2]
    assert [None, *[Reason.KEY_CONSUMED] * 5] == answers
    assert store.worker().consume_key(key(), T) == Reason.KEY_CONSUMED


def test_consumed_elsewhere(store: AnyStore) -> None:
    """The same key id in another organization is another key."""
    state = store.worker()
    answers = [state.consume_key(key("acme"), T), state.consume_key(key("globex"), T)]
    assert answers == [None, None]


def test_revoked_before_consumed(store: AnyStore) -> None:
    """A key that another worker revoked meanwhile is not consumed but refused."""
    first, second = store.worker(), store.worker()
    second.revoke(Revoked(RevokedKind.KEY, key_name("acme", "k1"), T))
    assert first.consume_key(key(), T) == Reason.KEY_REVOKED


def test_reusable_key_is_not_refused_as_consumed(store: AnyStore) -> None:
    """A key that is no longer for a single use works again."""
    state = store.worker()
    state.consume_key(key(), T)
    reusable = VerifiedCredential(CredentialKind.API_KEY, "k1", "service:ci", "acme")
    assert state.refusal_of(reusable, T) is None


def test_activity_is_shared(store: AnyStore) -> None:
    """Idle counts from the last recorded activity of any worker (spec 3.1)."""
    first, second = store.worker(), store.worker()
    first.record_activity(seen(0))
    second.record_activity(seen(7))
    for worker in (first, second, first):
        worker.poll()
    records = [worker.find_session("s1") for worker in (first, second, store.worker())]
    assert [(at(0), at(7))] * 3 == [(record.started, record.last_seen) for record in records if record is not None]


def test_activity_updates_the_record_in_place(store: AnyStore) -> None:
    """Whoever holds a record sees what others add to it."""
    first, second = store.worker(), store.worker()
    held = first.record_activity(seen(0))
    first.poll()
    second.poll()
    second.record_activity(seen(9))
    second.poll()
    first.poll()
    assert held is first.find_session("s1")
    assert at(9) == held.last_seen


def test_activity_never_goes_back(store: AnyStore) -> None:
    """An older activity that arrives later does not make a session idle; an older start is believed."""
    state = store.worker()
    state.record_activity(seen(9, started=3))
    state.record_activity(seen(4, started=1))
    record = state.find_session("s1")
    assert record is not None
    assert (at(1), at(9)) == (record.started, record.last_seen)


def test_opaque_session(store: AnyStore) -> None:
    """A created session is known with all that was recorded, on every worker and after a restart."""
    first, second = store.worker(), store.worker()
    first.create_session(created())
    second.poll()
    for state in (first, second, store.worker()):
        record = state.find_session("o1")
        assert record is not None
        assert (created().limits, at(-5), T, T) == (
            record.limits,
            record.second_factor_at,
            record.started,
            record.last_seen,
        )


def test_list_sessions(store: AnyStore) -> None:
    """All that are remembered are listed, signed and opaque."""
    state = store.worker()
    state.create_session(created())
    state.record_activity(seen(0))
    state.poll()
    assert {"o1", "s1"} == {record.id for record in state.list_sessions()}


def test_subscribers(store: AnyStore) -> None:
    """Each new revocation is told once, whoever made it, until the subscription ends."""
    first, second = store.worker(), store.worker()
    told: list[Revoked] = []
    unsubscribe = second.subscribe(told.append)
    mine, other = Revoked(RevokedKind.SESSION, "s1", T), Revoked(RevokedKind.LINK, "ag_1", T)
    first.revoke(other)
    second.poll()
    second.revoke(mine)
    second.revoke(mine)
    second.poll()
    unsubscribe()
    unsubscribe()
    second.revoke(Revoked(RevokedKind.SESSION, "s2", T))
    assert [other, mine] == told


def test_exclusive(log_store: Store) -> None:
    """While one follower holds the log no other gets it; then nothing is recorded, and activity waits."""
    holder, state = log_store.log(), log_store.worker()
    with holder.exclusively():
        state.record_activity(seen(0))
        state.poll()
        with pytest.raises(DependencyError, match="another worker"):
            state.revoke(Revoked(RevokedKind.SESSION, "s1", T))
        with pytest.raises(DependencyError, match="another worker"):
            state.consume_key(key(), T)
    assert state.failure is None
    assert holder.read() == []
    state.poll()
    assert [seen(0)] == holder.read()
    assert state.consume_key(key(), T) is None


def test_append_without_reading(log_store: Store) -> None:
    """Appending first loses nothing that others appended; a follower is not told its own events."""
    first, second = log_store.log(), log_store.log()
    with first.exclusively():
        first.append([seen(1)], Durability.PROCESS)
    with second.exclusively():
        second.append([seen(2)], Durability.HOST)
    assert ([seen(2)], [seen(1)]) == (first.read(), second.read())
    assert (first.read(), second.read()) == ([], [])


def test_closing_writes_what_waits(store: AnyStore) -> None:
    """Activity that waits for the next poll is not lost at an orderly end."""
    state = store.worker()
    state.record_activity(seen(3))
    state.close()
    record = store.worker().find_session("s1")
    assert record is not None
    assert at(3) == record.last_seen


def test_prune_keeps_what_matters(log_store: Store) -> None:
    """Forgetting what is old changes no answer about what is not."""
    state = log_store.worker()
    state.record_activity(seen(0))
    state.revoke(Revoked(RevokedKind.SESSION, "s2", T))
    before = state.version
    state.prune(at(1))
    assert before < state.version
    assert state.find_session("s1") is not None
    assert state.refusal_of(session("s2"), T) == Reason.SESSION_REVOKED


IDS = st.sampled_from(["a", "b"])
TIMES = st.integers(-5, 5).map(at)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(SessionSeen, IDS, st.just("user:ana"), st.just("acme"), st.just("web"), TIMES, TIMES),
    st.builds(
        SessionCreated,
        st.just("o"),
        st.just("user:ana"),
        st.just("acme"),
        st.just("web"),
        st.just(SessionLimits(Millis(1), Millis(2))),
        st.just(at(-1)),  # an id is random: it is created once
        st.just(T),
    ),
    st.builds(Revoked, st.sampled_from(RevokedKind), IDS, TIMES),
    st.builds(KeyConsumed, IDS, TIMES),
)


def contents(table: StateTable) -> set[Event]:
    """Return what a table says, in no order."""
    return set(table.events(at(10)))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, max_size=12), st.lists(st.integers(0, 2), max_size=12))
@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_all_followers_agree(
    kind: str, tmp_path_factory: pytest.TempPathFactory, events: list[Event], who: list[int]
) -> None:
    """Whoever writes what in turn, every follower ends up with the same state, and so does one who starts later."""
    with open_store(kind, tmp_path_factory.mktemp("store")) as store:
        logs = [store.log() for _ in range(3)]
        tables = [StateTable() for _ in logs]
        for event, writer in zip(events, who, strict=False):
            with logs[writer].exclusively():
                logs[writer].append([event], Durability.PROCESS)
            tables[writer].apply(event)
        logs.append(store.log())
        tables.append(StateTable())
        for log, table in zip(logs, tables, strict=True):
            for event in log.read():
                table.apply(event)
        found = [contents(table) for table in tables]
        # The instant at which a key was used up is the first that was heard of; that it was is what counts.
        assert len({frozenset(_without_times(each)) for each in found}) == 1


def _without_times(events: set[Event]) -> Iterator[object]:
    for event in events:
        yield (event.id, "consumed") if isinstance(event, KeyConsumed) else event
