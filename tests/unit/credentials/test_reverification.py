"""Whether a verified credential still holds, without its token (spec 2.7)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, Link, VerifiedCredential
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import KeyEntry, KeyState, MemberEntry, PolicyDocument
from sidegate.core.policy.document import SessionLimits as Tightening
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.events import Event, KeyConsumed, Revoked, RevokedKind, SessionCreated, SessionSeen, key_name
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.ports import Durability, Fact, Missing, OnFetched
from sidegate.credentials.reverification import Reverifier
from sidegate.credentials.state import FollowedState
from sidegate.credentials.table import SessionRecord

T0 = UnixMillis(1_000_000)
WEB = SessionLimits(idle=Millis(10_000), absolute=Millis(100_000))
SURFACES = {"web": WEB}
DIGEST = bytes(32)
KEY_ID = "4fQz0123456789AB"
SIGNED = VerifiedCredential(
    CredentialKind.SESSION, "s1", "user:ana", "acme", chain=(Link("ag_1"),), issued_at=T0, expires_at=UnixMillis(T0 + 1)
)
KEY = VerifiedCredential(
    CredentialKind.API_KEY, KEY_ID, "service:ci", "acme", surface="api", issued_at=T0, key_digest=DIGEST
)


def entry(**changes: Any) -> KeyEntry:
    """Return the key's record with *changes*."""
    usual: dict[str, Any] = {"id": KEY_ID, "digest": DIGEST, "account": "service:ci", "created_at": T0}
    return KeyEntry(**(usual | changes))


def policy(*keys: KeyEntry, org: str = "acme", sessions: dict[str, Tightening] | None = None) -> Snapshot:
    """Compile a policy with *keys*."""
    members = tuple(MemberEntry(account) for account in sorted({key.account for key in keys}))
    document = PolicyDocument(org, members=members, keys=keys, sessions=sessions or {})
    return Snapshot(1, [compile_document(document, 1)])


class Bench:
    """A reverifier over a state that others write to."""

    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.state = FollowedState(self.hub.open())
        self.reverifier = Reverifier(self.state, SURFACES)
        self.tell(SessionSeen("s1", "user:ana", "acme", "web", T0, T0))

    def tell(self, *events: Event) -> None:
        """Write as another worker does, and let it arrive."""
        self.hub.open().append(events, Durability.PROCESS)
        self.state.poll()

    def ask(
        self,
        credential: VerifiedCredential,
        after: int = 0,
        snapshot: Snapshot | None = None,
        source: str | None = None,
        *,
        was_active: bool = False,
    ) -> VerifiedCredential | Reason | Missing:
        """Ask *after* so many milliseconds."""
        address = None if source is None else ip_address(source)
        known = policy(entry()) if snapshot is None else snapshot
        return self.reverifier.verify_again(credential, address, UnixMillis(T0 + after), known, was_active=was_active)


@pytest.fixture
def bench() -> Bench:
    """Return a fresh one."""
    return Bench()


def test_session_outlives_its_token(bench: Bench) -> None:
    """A session holds as long as itself, not as long as the token that was presented."""
    assert bench.ask(SIGNED, 9_999) is SIGNED


REVOKED = [
    pytest.param(Revoked(RevokedKind.SESSION, "s1", T0), Reason.SESSION_REVOKED, id="session"),
    pytest.param(Revoked(RevokedKind.ACCOUNT, "user:ana", T0), Reason.SESSION_REVOKED, id="account"),
    pytest.param(Revoked(RevokedKind.ORGANIZATION, "acme", T0), Reason.SESSION_REVOKED, id="organization"),
    pytest.param(Revoked(RevokedKind.LINK, "ag_1", T0), Reason.SESSION_REVOKED, id="link"),
    pytest.param(Revoked(RevokedKind.SESSION, "s2", T0), None, id="another-session"),
    pytest.param(Revoked(RevokedKind.ACCOUNT, "user:bo", T0), None, id="another-account"),
    pytest.param(Revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(T0 - 1)), None, id="account-before-the-session"),
    pytest.param(Revoked(RevokedKind.ORGANIZATION, "globex", T0), None, id="another-organization"),
    pytest.param(Revoked(RevokedKind.LINK, "ag_2", T0), None, id="another-link"),
    pytest.param(Revoked(RevokedKind.KEY, "acme/s1", T0), None, id="a-key-called-like-the-session"),
]


@pytest.mark.parametrize(("event", "expected"), REVOKED)
def test_revoked_session(bench: Bench, event: Revoked, expected: Reason | None) -> None:
    """Revoking the session, its account, organization or a link ends it; anything else does not."""
    bench.tell(event)
    assert bench.ask(SIGNED) == (SIGNED if expected is None else expected)


@pytest.mark.parametrize(
    ("after", "seen", "sessions", "expected"),
    [
        pytest.param(9_999, 0, None, None, id="before-the-idle-limit"),
        pytest.param(10_000, 0, None, Reason.SESSION_IDLE, id="at-the-idle-limit"),
        pytest.param(19_999, 10_000, None, None, id="used-elsewhere"),
        pytest.param(99_999, 95_000, None, None, id="before-the-absolute-limit"),
        pytest.param(100_000, 99_999, None, Reason.SESSION_EXPIRED, id="at-the-absolute-limit"),
        pytest.param(5_000, 0, {"web": Tightening(Millis(5_000), None)}, Reason.SESSION_IDLE, id="tightened-idle"),
        pytest.param(
            5_000, 4_999, {"web": Tightening(None, Millis(5_000))}, Reason.SESSION_EXPIRED, id="tightened-absolute"
        ),
    ],
)
def test_limits(
    bench: Bench, after: int, seen: int, sessions: dict[str, Tightening] | None, expected: Reason | None
) -> None:
    """Idle and absolute limits hold at their first millisecond, as the policy in force has them."""
    bench.tell(SessionSeen("s1", "user:ana", "acme", "web", T0, UnixMillis(T0 + seen)))
    assert bench.ask(SIGNED, after, policy(sessions=sessions)) == (SIGNED if expected is None else expected)


def test_earlier_start_elsewhere(bench: Bench) -> None:
    """Another worker that knows of an earlier beginning moves the end of the session forward."""
    bench.tell(SessionSeen("s1", "user:ana", "acme", "web", UnixMillis(T0 - 99_000), UnixMillis(T0 + 900)))
    assert (bench.ask(SIGNED, 999), bench.ask(SIGNED, 1_000)) == (SIGNED, Reason.SESSION_EXPIRED)


def test_activity_keeps_a_session(bench: Bench) -> None:
    """What the client sends counts as use, for all workers, at most once per tenth of the idle limit."""
    assert bench.ask(SIGNED, 999, was_active=True) is SIGNED
    assert bench.state.find_session("s1") == SessionRecord("s1", "user:ana", "acme", "web", T0, T0)
    bench.ask(SIGNED, 1_000, was_active=True)
    other = FollowedState(bench.hub.open())
    bench.state.poll()
    other.poll()
    found = other.find_session("s1")
    assert found is not None
    assert found.last_seen == T0 + 1_000
    assert bench.ask(SIGNED, 10_999) is SIGNED
    assert bench.ask(SIGNED, 11_000) is Reason.SESSION_IDLE


def test_activity_does_not_revive(bench: Bench) -> None:
    """A session that is idle or revoked stays so, whatever its holder sends."""
    assert bench.ask(SIGNED, 10_000, was_active=True) is Reason.SESSION_IDLE
    assert bench.ask(SIGNED, 10_001) is Reason.SESSION_IDLE


def test_forgotten_session(bench: Bench) -> None:
    """A session that nothing is known of any more does not hold."""
    assert bench.ask(replace(SIGNED, id="s9")) is Reason.SESSION_EXPIRED


def test_opaque_session_steps_up(bench: Bench) -> None:
    """A second factor that an opaque session used meanwhile counts from then on; its own limits tighten."""
    limits = SessionLimits(Millis(10_000), Millis(20_000))
    bench.tell(SessionCreated("s3", "user:ana", "acme", "web", limits, UnixMillis(T0 + 5), T0))
    opaque = VerifiedCredential(CredentialKind.SESSION, "s3", "user:ana", "acme", issued_at=T0)
    again = bench.ask(opaque, 10)
    assert again == replace(opaque, second_factor_at=UnixMillis(T0 + 5))
    assert isinstance(again, VerifiedCredential)
    assert bench.ask(again, 10) is again
    bench.tell(SessionSeen("s3", "user:ana", "acme", "web", T0, UnixMillis(T0 + 19_000)))
    assert bench.ask(again, 20_000) is Reason.SESSION_EXPIRED


NETWORK = (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("snapshot", "after", "source", "expected"),
    [
        pytest.param(policy(entry()), 0, None, None, id="as-it-was"),
        pytest.param(policy(), 0, None, Reason.KEY_REVOKED, id="gone"),
        pytest.param(policy(entry(digest=b"\x01" * 32)), 0, None, Reason.KEY_REVOKED, id="another-key-of-that-id"),
        pytest.param(policy(entry(), org="globex"), 0, None, Reason.KEY_REVOKED, id="another-organizations"),
        pytest.param(policy(entry(account="service:other")), 0, None, Reason.KEY_REVOKED, id="another-accounts"),
        pytest.param(policy(entry(state=KeyState.REVOKED)), 0, None, Reason.KEY_REVOKED, id="revoked-in-the-policy"),
        pytest.param(policy(entry(expires_at=UnixMillis(T0 + 5))), 4, None, None, id="before-its-expiry"),
        pytest.param(policy(entry(expires_at=UnixMillis(T0 + 5))), 5, None, Reason.KEY_EXPIRED, id="at-its-expiry"),
        pytest.param(policy(entry(networks=NETWORK)), 0, "10.0.0.1", None, id="from-its-network"),
        pytest.param(policy(entry(networks=NETWORK)), 0, "11.0.0.1", Reason.SOURCE_ADDRESS, id="from-elsewhere"),
        pytest.param(policy(entry(networks=NETWORK)), 0, None, Reason.SOURCE_ADDRESS, id="from-nowhere"),
    ],
)
def test_key(bench: Bench, snapshot: Snapshot, after: int, source: str | None, expected: Reason | None) -> None:
    """A key holds as its record in the policy in force says."""
    assert bench.ask(KEY, after, snapshot, source) == (KEY if expected is None else expected)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(Revoked(RevokedKind.KEY, key_name("acme", KEY_ID), T0), Reason.KEY_REVOKED, id="key"),
        pytest.param(Revoked(RevokedKind.ORGANIZATION, "acme", T0), Reason.KEY_REVOKED, id="organization"),
        pytest.param(Revoked(RevokedKind.KEY, key_name("globex", KEY_ID), T0), None, id="another-organizations-key"),
        pytest.param(Revoked(RevokedKind.ACCOUNT, "service:ci", T0), None, id="account"),
    ],
)
def test_revoked_key(bench: Bench, event: Revoked, expected: Reason | None) -> None:
    """Revoking the key or its organization ends it (an account's revocation is about its sessions)."""
    bench.tell(event)
    assert bench.ask(KEY) == (KEY if expected is None else expected)


def test_single_use_key(bench: Bench) -> None:
    """A key that this very request used up holds for it, until it is revoked."""
    single = replace(KEY, single_use=True)
    bench.tell(KeyConsumed(key_name("acme", KEY_ID), T0))
    snapshot = policy(entry(single_use=True))
    assert bench.ask(single, snapshot=snapshot) is single
    bench.tell(Revoked(RevokedKind.KEY, key_name("acme", KEY_ID), T0))
    assert bench.ask(single, snapshot=snapshot) is Reason.KEY_REVOKED


def test_restricted_key(bench: Bench) -> None:
    """A key whose record restricts it now is answered as restricted, to be decided anew."""
    restricted = entry(authorities=mask_of([Authority.READ]), scopes=(parse_scope("p1"),))
    again = bench.ask(KEY, snapshot=policy(restricted))
    assert again == replace(KEY, authorities=restricted.authorities, scopes=restricted.scopes)


def test_unreliable_state(bench: Bench) -> None:
    """While the state cannot be relied on nothing holds: a revocation may be what is missing."""
    bench.state.failure = "the disk is gone"
    assert (bench.ask(SIGNED), bench.ask(KEY)) == (Reason.POLICY_UNAVAILABLE, Reason.POLICY_UNAVAILABLE)


class DistantState(FollowedState):
    """A state that is not followed whole: facts have to be fetched, activity of others is not known."""

    __slots__ = ("fetched", "unknown")

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__(hub.open())
        self.unknown: set[Fact] = set()
        self.fetched: list[tuple[Fact, ...]] = []

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        return tuple(fact for fact in facts if fact in self.unknown)

    def is_outdated(self, record: SessionRecord, idle: Millis) -> bool:
        del record, idle
        return True

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        self.fetched.append(tuple(facts))
        on_fetched(True)


def test_facts_elsewhere() -> None:
    """What is not known here has to be fetched before anything is said, also before a session is called idle."""
    bench = Bench()
    state = DistantState(bench.hub)
    bench.reverifier = Reverifier(state, SURFACES)
    link = (RevokedKind.LINK, "ag_1")
    state.unknown = {link}
    found = bench.ask(SIGNED)
    assert found == Missing((link,))
    assert isinstance(found, Missing)
    told: list[bool] = []
    bench.reverifier.fetch(found, told.append)
    assert (told, state.fetched) == ([True], [(link,)])
    state.unknown = set()
    assert bench.ask(SIGNED) is SIGNED
    assert bench.ask(SIGNED, 10_000) == Missing(((RevokedKind.SESSION, "s1"),))
    assert bench.ask(SIGNED, 100_000) is Reason.SESSION_EXPIRED


def test_subscribe(bench: Bench) -> None:
    """Revocations are told as they arrive, until they are wanted no more."""
    told: list[Revoked] = []
    end: Callable[[], None] = bench.reverifier.subscribe(told.append)
    event = Revoked(RevokedKind.SESSION, "s1", T0)
    bench.tell(event)
    end()
    bench.tell(Revoked(RevokedKind.SESSION, "s2", T0))
    assert told == [event]
