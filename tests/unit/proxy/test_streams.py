"""What lasts and what it rests on, where that has to be fetched, is too old, or cannot be told (spec 2.7, 5.4)."""

import asyncio
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_scope, parse_target
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, KeyEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.events import RevokedKind, SessionSeen
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.ports import Fact
from sidegate.credentials.ports import OnFetched as OnFacts
from sidegate.credentials.reverification import Reverifier
from sidegate.credentials.state import FollowedState
from sidegate.distribution.holder import SnapshotHolder
from sidegate.distribution.ports import Fetched, OnFetched, Want
from sidegate.proxy.deadlines import Watched
from sidegate.proxy.gateway import Gateway
from sidegate.proxy.streams import PATIENCE_NS, TURNS, Streams
from sidegate.telemetry.clock import ManualClock

T0 = UnixMillis(1_000_000)
SESSION = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme", issued_at=T0)
KEY = VerifiedCredential(CredentialKind.API_KEY, "4fQz0123456789AB", "user:ana", "acme", key_digest=bytes(32))
FACT = (RevokedKind.SESSION, "s1")


class DistantState(FollowedState):
    """A state of which some facts have to be fetched, by the test."""

    __slots__ = ("asked", "unknown")

    def __init__(self) -> None:
        super().__init__(MemoryHub().open())
        self.unknown: set[Fact] = set()
        self.asked: list[OnFacts] = []

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        return tuple(fact for fact in facts if fact in self.unknown)

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFacts) -> None:
        assert facts
        self.asked.append(on_fetched)


class DistantPolicies(SnapshotHolder):
    """A policy of which some has to be fetched, by the test, and that may be too old."""

    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[str] = set()
        self.asked: list[OnFetched] = []
        self.is_old = False
        self.is_broken = False

    @property
    def stale_after(self) -> UnixMillis:
        return T0

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        if self.is_broken:
            raise RuntimeError("a bug")
        return Want(org, account, revision) if account in self.unknown else None

    def missing_key_id(self, key_id: str) -> Want | None:
        return Want("", key_id=key_id) if key_id in self.unknown else None

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        del want, waited_ms
        self.asked.append(on_fetched)

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        assert (org, list(authorities), now >= T0) == ("acme", [Authority.READ], True)
        return self.is_old


class Watching:
    """Remembers who is watched."""

    def __init__(self) -> None:
        self.watched: set[Watched] = set()
        self.watch = self.watched.add
        self.forget = self.watched.discard


class Stream:
    """Something that lasts."""

    def __init__(self, credential: VerifiedCredential) -> None:
        self.queries = (Query(credential, Authority.READ, parse_target("acme", "p1@x:a")),)
        self.bytes_in = 0
        self.ended: list[Reason] = []

    def end_access(self, reason: Reason) -> None:
        """Remember why."""
        self.ended.append(reason)


class Bench:
    """Streams with everything around them."""

    def __init__(self) -> None:
        self.state = DistantState()
        self.policies = DistantPolicies()
        self.clock = ManualClock(T0)
        self.deadlines = Watching()
        self.state.record_activity(SessionSeen("s1", "user:ana", "acme", "web", T0, T0))
        document = PolicyDocument(
            "acme",
            members=(MemberEntry("user:ana", roles=("Member",)),),
            bindings=(BindingEntry("b", "user:ana", "Viewer", parse_scope("p1")),),
            keys=(KeyEntry(KEY.id, bytes(32), "user:ana"),),
        )
        self.policies.swap(Snapshot(1, [compile_document(document, 1)]), T0)
        gateway = SimpleNamespace(
            policies=self.policies, clock=self.clock, deadlines=self.deadlines, loop=asyncio.get_running_loop()
        )
        limits = {"web": SessionLimits(Millis(1_000_000), Millis(1_000_000))}
        self.streams = Streams(cast("Gateway", gateway), Reverifier(self.state, limits))

    async def open(self, credential: VerifiedCredential = SESSION) -> Stream:
        """Open a stream that is looked at once."""
        stream = Stream(credential)
        self.streams.subscribe(stream)
        await asyncio.sleep(0)
        return stream

    async def look(self) -> None:
        """Let every stream have its turn."""
        for _ in range(TURNS):
            for watched in tuple(self.deadlines.watched):
                watched.deadline_passed(0.0)
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> Bench:
    """Return a fresh one."""
    return Bench()


async def test_watched_while_there_are_any(bench: Bench) -> None:
    """The deadlines drive it only while there is something to look at."""
    assert bench.deadlines.watched == set()
    first, second = await bench.open(), await bench.open()
    assert bench.deadlines.watched == {bench.streams}
    bench.streams.forget(first)
    assert len(bench.streams) == 1
    bench.streams.forget(second)
    bench.streams.forget(second)
    assert (bench.deadlines.watched, len(bench.streams)) == (set(), 0)


@pytest.mark.parametrize("could_be_had", [True, False])
async def test_facts_are_fetched(bench: Bench, could_be_had: bool) -> None:
    """What a stream rests on is fetched, once, while it goes on; if it cannot be had, the stream ends."""
    bench.state.unknown = {FACT}
    stream = await bench.open()
    await bench.look()
    (told,) = bench.state.asked
    assert stream.ended == []
    bench.state.unknown = set()
    told(could_be_had)
    await asyncio.sleep(0)
    assert stream.ended == ([] if could_be_had else [Reason.POLICY_UNAVAILABLE])
    await bench.look()
    assert len(bench.state.asked) == 1


@pytest.mark.parametrize("answer", list(Fetched))
@pytest.mark.parametrize(
    ("credential", "unknown"),
    [pytest.param(SESSION, "user:ana", id="account"), pytest.param(KEY, KEY.id, id="key")],
)
async def test_policy_is_fetched(bench: Bench, credential: VerifiedCredential, unknown: str, answer: Fetched) -> None:
    """An account or key that is not in memory is fetched, and never taken for one that was removed."""
    bench.policies.unknown = {unknown}
    stream = await bench.open(credential)
    (told,) = bench.policies.asked
    assert stream.ended == []
    bench.policies.unknown = set()
    told(answer)
    await asyncio.sleep(0)
    assert stream.ended == ([] if answer is Fetched.READY else [Reason.POLICY_UNAVAILABLE])


async def test_fetch_that_is_not_answered(bench: Bench) -> None:
    """Nothing goes on for longer than the patience without knowing; an answer that comes later changes nothing."""
    bench.state.unknown = {FACT}
    stream = await bench.open()
    bench.clock.advance(Millis(PATIENCE_NS // 1_000_000 - 1))
    await bench.look()
    assert stream.ended == []
    bench.clock.advance(Millis(1))
    await bench.look()
    assert stream.ended == [Reason.POLICY_UNAVAILABLE]
    (told,) = bench.state.asked
    told(False)
    told(True)
    await asyncio.sleep(0)
    assert stream.ended == [Reason.POLICY_UNAVAILABLE]


async def test_policy_too_old(bench: Bench) -> None:
    """A policy that is too old to decide a request is too old to let a stream go on."""
    stream = await bench.open()
    bench.policies.is_old = True
    await bench.look()
    assert stream.ended == [Reason.POLICY_UNAVAILABLE]


async def test_bug_lets_nobody_stay(bench: Bench) -> None:
    """What fails while a stream is looked at ends it, is reported, and leaves the others their turn."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    streams = [await bench.open() for _ in range(5)]
    bench.policies.is_broken = True
    await bench.look()
    for _ in streams:
        await asyncio.sleep(0)
    assert [stream.ended for stream in streams] == [[Reason.POLICY_UNAVAILABLE]] * 5
    assert [type(error) for error in reported] == [RuntimeError] * 5


async def test_forgotten_before_its_turn(bench: Bench) -> None:
    """A stream that ends between being found and its turn is not told anything."""
    stream = await bench.open()
    bench.policies.is_old = True
    for watched in tuple(bench.deadlines.watched):
        for _ in range(TURNS):
            watched.deadline_passed(0.0)
    bench.streams.forget(stream)
    await asyncio.sleep(0)
    assert stream.ended == []


async def test_restricted_key(bench: Bench) -> None:
    """A key whose record is narrowed ends what it may do no more, with the reason of the decision."""
    stream = await bench.open(KEY)
    assert stream.ended == []
    key = KeyEntry(KEY.id, bytes(32), "user:ana", scopes=(parse_scope("p2"),))
    document = PolicyDocument(
        "acme",
        members=(MemberEntry("user:ana", roles=("Member",)),),
        bindings=(BindingEntry("b", "user:ana", "Viewer", parse_scope("p1")),),
        keys=(key,),
    )
    bench.policies.swap(Snapshot(2, [compile_document(document, 2)]), T0)
    await asyncio.sleep(0)
    assert stream.ended == [Reason.OUTSIDE_CREDENTIAL_SCOPE]
