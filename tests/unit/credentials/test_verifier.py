"""From what a request presents to who asks: every kind, ambiguity, caches, revocation (spec 3)."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from tests.unit.core.identity.issuer import ALL, ISSUER, NOW, NOW_S, Issuer

from sidegate.core.identity.api_key import mint_key
from sidegate.core.identity.claims import ClaimPath, ClaimRules
from sidegate.core.identity.jwk import KeySet
from sidegate.core.identity.jwt import TokenRules
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, RefusedCredential, VerifiedCredential
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis, UnixMillis, year_after
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import KeyEntry, KeyState, MemberEntry, PolicyDocument
from sidegate.core.policy.document import SessionLimits as Tightening
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.wire.credential import NOTHING, Presented, gather
from sidegate.credentials import proving
from sidegate.credentials.events import Revoked, RevokedKind, SessionCreated, SessionSeen, key_name
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.opaque import NewSession, create_session
from sidegate.credentials.ports import Missing, Pending
from sidegate.credentials.proving import FAILED_CAPACITY, FAILED_FOR, SignedSessions
from sidegate.credentials.state import FollowedState
from sidegate.credentials.verifier import Answer, CredentialVerifier

WEB = SessionLimits(Millis(1_800_000), Millis(43_200_000))
SURFACES = {"web": WEB, "admin": SessionLimits(Millis(600_000), Millis(14_400_000))}
KEY = mint_key("live", bytes(range(64)))
CLEAR = KEY.clear.encode()


class Keys:
    """A source of keys that is set by hand."""

    def __init__(self, current: KeySet) -> None:
        self.current = current
        self.asked = 0

    def request_refresh(self) -> None:
        """Count."""
        self.asked += 1


def entry(**changes: Any) -> KeyEntry:
    """Return the key's record, with *changes*."""
    return KeyEntry(**({"id": KEY.id, "digest": KEY.digest, "account": "service:ci"} | changes))


def policy(
    *keys: KeyEntry, org: str = "acme", sessions: dict[str, Tightening] | None = None, revision: int = 1
) -> Snapshot:
    """Compile a policy with *keys*."""
    members = tuple(MemberEntry(account) for account in sorted({key.account for key in keys}))
    document = PolicyDocument(org, members=members, keys=keys, sessions=sessions or {})
    return Snapshot(revision, [compile_document(document, revision)])


EMPTY = policy()


class Bench:
    """A verifier with everything around it."""

    def __init__(self, issuer: Issuer, **changes: Any) -> None:
        self.issuer = issuer
        self.hub = MemoryHub()
        self.state = FollowedState(self.hub.open())
        self.keys = Keys(issuer.keys())
        claims = ClaimRules(issuer=ISSUER, surface=ClaimPath(("srf",)))
        usual: dict[str, Any] = {"signed": SignedSessions(self.keys, TokenRules(ALL, claims)), "accept_opaque": True}
        self.verifier = CredentialVerifier(self.state, SURFACES, **(usual | changes))

    def ask(
        self, presented: Presented, offset: int = 0, snapshot: Snapshot = EMPTY, source: str | None = None
    ) -> VerifiedCredential | Reason:
        """Verify at NOW plus *offset*; of a refusal the reason alone."""
        found = self.ask_whose(presented, offset, snapshot, source)
        return found.reason if isinstance(found, RefusedCredential) else found

    def ask_whose(
        self, presented: Presented, offset: int = 0, snapshot: Snapshot = EMPTY, source: str | None = None
    ) -> Answer:
        """Verify at NOW plus *offset*."""
        address = None if source is None else ip_address(source)
        found = self.verifier.verify(presented, address, UnixMillis(NOW + offset), snapshot)
        assert not isinstance(found, Missing)
        return found

    def consume(self, credential: VerifiedCredential) -> Reason | Pending | None:
        """Use a key up at NOW; here it is known at once."""
        return self.verifier.consume(credential, NOW, lambda answer: pytest.fail(f"told {answer} later"))

    def worker(self) -> FollowedState:
        """Open the state as another worker does."""
        return FollowedState(self.hub.open())

    def opaque(self, offset: int = 0, limits: SessionLimits = WEB, **changes: Any) -> bytes:
        """Create an opaque session and return its cookie."""
        usual: dict[str, Any] = {"account": "user:bo", "org": "acme", "limits": limits}
        new = NewSession(**(usual | changes))
        return create_session(self.state, new, bytes(range(32)), UnixMillis(NOW + offset))


@pytest.fixture
def bench(issuer: Issuer) -> Bench:
    """Return a fresh verifier."""
    return Bench(issuer)


def cookie(value: bytes) -> Presented:
    """Present a session cookie."""
    return gather([value], [], [])


def bearer(value: bytes) -> Presented:
    """Present a bearer token."""
    return gather([], [b"Bearer " + value], [])


def header(value: bytes) -> Presented:
    """Present an API key header."""
    return gather([], [], [value])


def answer(found: VerifiedCredential | Reason) -> str | Reason:
    """Return the account, or the reason."""
    return found if isinstance(found, Reason) else found.account


def whose(found: Answer) -> tuple[Reason, str] | Reason:
    """Return the reason of a refusal, and the account that it says."""
    assert not isinstance(found, VerifiedCredential)
    return (found.reason, found.credential.account) if isinstance(found, RefusedCredential) else found


def test_nothing(bench: Bench) -> None:
    """A request without a credential is said to have none."""
    assert bench.ask(NOTHING) == Reason.NO_CREDENTIAL


@pytest.mark.parametrize("present", [cookie, bearer])
def test_signed_session(bench: Bench, present: Callable[[bytes], Presented]) -> None:
    """A signed session is accepted as the cookie and as a bearer token."""
    assert answer(bench.ask(present(bench.issuer.token()))) == "user:ana"


@pytest.mark.parametrize("present", [cookie, bearer])
def test_opaque_session(bench: Bench, present: Callable[[bytes], Presented]) -> None:
    """An opaque session says what its record says, with its id and never its value."""
    value = bench.opaque(surface="admin", second_factor_at=UnixMillis(NOW - 5))
    found = bench.ask(present(value))
    assert isinstance(found, VerifiedCredential)
    assert (
        found.account,
        found.org,
        found.surface,
        found.second_factor_at,
        found.issued_at,
    ) == ("user:bo", "acme", "admin", NOW - 5, NOW)
    assert value.decode() not in found.id


@pytest.mark.parametrize("present", [header, bearer])
def test_api_key(bench: Bench, present: Callable[[bytes], Presented]) -> None:
    """An API key says what its record says, and is used from no surface that a person sits at."""
    record = entry(authorities=mask_of([Authority.READ]), scopes=(parse_scope("p1"),), created_at=NOW - 1)
    found = bench.ask(present(CLEAR), snapshot=policy(record))
    expected = VerifiedCredential(
        kind=CredentialKind.API_KEY,
        id=KEY.id,
        account="service:ci",
        org="acme",
        authorities=record.authorities,
        scopes=record.scopes,
        surface="api",
        issued_at=UnixMillis(NOW - 1),
        expires_at=year_after(UnixMillis(NOW - 1)),
        key_digest=KEY.digest,
    )
    assert expected == found


TOKEN, OTHER = object(), object()


@pytest.mark.parametrize(
    ("sessions", "bearers", "keys", "expected"),
    [
        pytest.param([TOKEN], [TOKEN], [], "user:ana", id="same-session-twice"),
        pytest.param([], [CLEAR], [CLEAR], "service:ci", id="same-key-twice"),
        pytest.param([TOKEN], [OTHER], [], Reason.AMBIGUOUS_CREDENTIAL, id="two-tokens-of-one-session"),
        pytest.param([TOKEN], [], [CLEAR], Reason.AMBIGUOUS_CREDENTIAL, id="session-and-key"),
        pytest.param([TOKEN], [CLEAR], [], Reason.AMBIGUOUS_CREDENTIAL, id="session-and-bearer-key"),
        pytest.param([], [TOKEN], [CLEAR], Reason.AMBIGUOUS_CREDENTIAL, id="bearer-session-and-key"),
        pytest.param([TOKEN], [b"junk"], [], Reason.AMBIGUOUS_CREDENTIAL, id="session-and-junk"),
        pytest.param([TOKEN], [b"a b"], [], Reason.AMBIGUOUS_CREDENTIAL, id="session-and-malformed-bearer"),
        pytest.param([b""], [TOKEN], [], Reason.AMBIGUOUS_CREDENTIAL, id="empty-cookie-and-session"),
        pytest.param([TOKEN], [], [b""], Reason.AMBIGUOUS_CREDENTIAL, id="session-and-empty-key"),
        pytest.param([TOKEN, TOKEN], [], [], Reason.AMBIGUOUS_CREDENTIAL, id="same-cookie-twice"),
        pytest.param([TOKEN, OTHER], [], [], Reason.AMBIGUOUS_CREDENTIAL, id="two-cookies"),
        pytest.param([], [TOKEN, TOKEN], [], Reason.AMBIGUOUS_CREDENTIAL, id="two-authorizations"),
        pytest.param([], [], [CLEAR, CLEAR], Reason.AMBIGUOUS_CREDENTIAL, id="two-key-headers"),
        pytest.param([CLEAR], [], [], Reason.INVALID_CREDENTIAL, id="key-as-cookie"),
        pytest.param([CLEAR], [CLEAR], [], Reason.INVALID_CREDENTIAL, id="key-as-cookie-and-bearer"),
        pytest.param([], [], [TOKEN], Reason.INVALID_CREDENTIAL, id="session-as-key"),
        pytest.param([b""], [], [], Reason.INVALID_CREDENTIAL, id="empty-cookie"),
        pytest.param([], [b"a b"], [], Reason.INVALID_CREDENTIAL, id="malformed-bearer"),
        pytest.param([], [], [b""], Reason.INVALID_CREDENTIAL, id="empty-key"),
        pytest.param([b"junk"], [], [], Reason.INVALID_CREDENTIAL, id="junk"),
        pytest.param([b"a.b.c"], [], [], Reason.INVALID_CREDENTIAL, id="junk-of-three-parts"),
        pytest.param([b"A" * 43], [], [], Reason.INVALID_CREDENTIAL, id="unknown-opaque"),
    ],
)
def test_ambiguity(
    bench: Bench, sessions: Sequence[Any], bearers: Sequence[Any], keys: Sequence[Any], expected: str | Reason
) -> None:
    """At most one credential; the same bytes in two places are one, anything else is never resolved (spec 3, 2.4)."""
    tokens = {TOKEN: bench.issuer.token(), OTHER: bench.issuer.token(jti="2")}

    def spell(parts: Sequence[Any]) -> list[bytes]:
        return [part if isinstance(part, bytes) else tokens[part] for part in parts]

    presented = gather(spell(sessions), [b"Bearer " + part for part in spell(bearers)], spell(keys))
    for _ in range(2):
        assert expected == answer(bench.ask(presented, snapshot=policy(entry())))


def test_foreign_scheme_is_not_ours(bench: Bench) -> None:
    """`Basic` beside a session is for the upstream."""
    assert answer(bench.ask(gather([bench.issuer.token()], [b"Basic eA=="], []))) == "user:ana"


def test_kinds_that_are_not_accepted(issuer: Issuer) -> None:
    """Only the configured kinds of session are accepted."""
    bench = Bench(issuer, signed=None, accept_opaque=False)
    assert bench.ask(cookie(issuer.token())) == Reason.INVALID_CREDENTIAL
    assert bench.ask(cookie(bench.opaque())) == Reason.INVALID_CREDENTIAL
    assert answer(bench.ask(header(CLEAR), snapshot=policy(entry()))) == "service:ci"
    assert answer(bench.ask(header(CLEAR), snapshot=policy(entry(), revision=2))) == "service:ci"


def test_no_limits(issuer: Issuer) -> None:
    """A verifier without session limits is not built."""
    with pytest.raises(ValueError, match="no session limits"):
        CredentialVerifier(Bench(issuer).state, {}, signed=None, accept_opaque=True)


# ── time ──


@pytest.mark.parametrize("first", [0, None])
@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        pytest.param(59_999, "user:ana", id="last-millisecond"),
        pytest.param(60_000, "user:ana", id="within-the-leeway"),
        pytest.param(64_999, "user:ana", id="last-of-the-leeway"),
        pytest.param(65_000, Reason.SESSION_EXPIRED, id="over"),
    ],
)
def test_token_expiry(bench: Bench, first: int | None, offset: int, expected: str | Reason) -> None:
    """A cached token ends when an uncached one does (spec 3)."""
    presented = cookie(bench.issuer.token())
    if first is not None:
        bench.ask(presented, first)
    assert [expected] * 2 == [answer(bench.ask(presented, offset)) for _ in range(2)]


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        pytest.param([0, 1_799_999], "user:ana", id="last-idle-millisecond"),
        pytest.param([0, 1_800_000], Reason.SESSION_IDLE, id="at-idle-limit"),
        pytest.param([0, 180_000, 1_979_999], "user:ana", id="activity-counts"),
        pytest.param([0, 180_000, 1_980_000], Reason.SESSION_IDLE, id="idle-after-activity"),
        pytest.param([0, 179_999, 1_800_000], Reason.SESSION_IDLE, id="only-recorded-activity-counts"),
        pytest.param([0, 1_800_000, 1_800_001], Reason.SESSION_IDLE, id="being-refused-is-no-activity"),
        pytest.param([*range(0, 43_189_000, 1_700_000), 43_189_999], "user:ana", id="last-absolute-millisecond"),
        pytest.param([*range(0, 43_189_000, 1_700_000), 43_190_000], Reason.SESSION_EXPIRED, id="at-absolute-limit"),
        pytest.param([43_190_000], Reason.SESSION_EXPIRED, id="too-old-when-first-seen"),
        pytest.param([43_189_999], "user:ana", id="unseen-is-not-idle"),
        pytest.param([0, -14_000], "user:ana", id="clock-set-back"),
    ],
)
@pytest.mark.parametrize("kind", ["same-token", "fresh-tokens"])
def test_signed_timeouts(bench: Bench, kind: str, offsets: list[int], expected: str | Reason) -> None:
    """Idle counts from the last recorded activity, absolute from the oldest token, by session id (spec 3.1)."""
    found = None
    for place, offset in enumerate(offsets):
        fresh: dict[str, Any] = {"jti": place} if kind == "fresh-tokens" else {}
        token = bench.issuer.token(nbf=..., exp=NOW_S + 90_000, **fresh)
        found = answer(bench.ask(cookie(token), offset))
    assert expected == found


def test_renewed_tokens_do_not_lengthen_a_session(bench: Bench) -> None:
    """A token that the issuer made later is of the same session: the absolute limit is the session's."""
    bench.ask(cookie(bench.issuer.token()))
    late = 43_190_000
    for offset in range(1_700_000, late, 1_700_000):
        bench.ask(cookie(bench.issuer.token(iat=NOW_S + offset // 1000, exp=NOW_S + 90_000)), offset)
    renewed = cookie(bench.issuer.token(iat=NOW_S + late // 1000, exp=NOW_S + 90_000))
    assert bench.ask(renewed, late) == Reason.SESSION_EXPIRED


def test_older_token_shortens_a_session(bench: Bench) -> None:
    """A cached token ends earlier once it turns out that its session is older."""
    young = cookie(bench.issuer.token(exp=NOW_S + 90_000))
    bench.ask(young)
    bench.state.record_activity(
        SessionSeen("sess_1", "user:ana", "acme", "web", UnixMillis(NOW - 43_200_000), UnixMillis(NOW))
    )
    assert bench.ask(young) == Reason.SESSION_EXPIRED


def test_no_issue_time(bench: Bench) -> None:
    """Without `iat` a session begins when it is first seen."""
    presented = cookie(bench.issuer.token(iat=..., exp=NOW_S + 90_000))
    for offset in range(0, 43_200_000, 1_700_000):
        assert answer(bench.ask(presented, offset)) == "user:ana"
    assert bench.ask(presented, 43_200_000) == Reason.SESSION_EXPIRED


@pytest.mark.parametrize(
    ("limits", "tightened", "offset", "expected"),
    [
        pytest.param((9**9, 9**9), {}, 1_799_999, "user:bo", id="surface-limit"),
        pytest.param((9**9, 9**9), {}, 1_800_000, Reason.SESSION_IDLE, id="surface-counts-although-longer"),
        pytest.param((50, 9**9), {}, 50, Reason.SESSION_IDLE, id="own-idle"),
        pytest.param((9**9, 50), {}, 50, Reason.SESSION_EXPIRED, id="own-absolute"),
        pytest.param((9**9, 9**9), {"web": (70, None)}, 69, "user:bo", id="organization-last"),
        pytest.param((9**9, 9**9), {"web": (70, None)}, 70, Reason.SESSION_IDLE, id="organization-idle"),
        pytest.param((9**9, 9**9), {"web": (None, 70)}, 70, Reason.SESSION_EXPIRED, id="organization-absolute"),
        pytest.param((9**9, 9**9), {"web": (9**12, None)}, 1_800_000, Reason.SESSION_IDLE, id="never-loosened"),
    ],
)
def test_opaque_timeouts(
    bench: Bench,
    limits: tuple[int, int],
    tightened: dict[str, tuple[Millis | None, Millis | None]],
    offset: int,
    expected: str | Reason,
) -> None:
    """The strictest of the record's, the surface's and the organization's limits counts (spec 3.1)."""
    presented = cookie(bench.opaque(limits=SessionLimits(Millis(limits[0]), Millis(limits[1]))))
    snapshot = policy(sessions={name: Tightening(*pair) for name, pair in tightened.items()})
    assert answer(bench.ask(presented, 0, snapshot)) == "user:bo"
    assert expected == answer(bench.ask(presented, offset, snapshot))


@pytest.mark.parametrize(
    ("surface", "idle"),
    [("web", 1_800_000), pytest.param("admin", 600_000), pytest.param("kiosk", 600_000, id="unknown-is-strictest")],
)
def test_surface_limits(bench: Bench, surface: str, idle: int) -> None:
    """Each surface has its limits, one that nobody configured the strictest there are (spec 3.1)."""
    presented = cookie(bench.opaque(surface=surface))
    assert [answer(bench.ask(presented, offset)) for offset in (idle, idle - 1)] == [Reason.SESSION_IDLE, "user:bo"]


def test_tightened_while_cached(bench: Bench) -> None:
    """An organization that shortens its sessions shortens those that run."""
    presented = cookie(bench.issuer.token(exp=NOW_S + 90_000))
    bench.ask(presented)
    tight = policy(sessions={"web": Tightening(Millis(1000), None)}, revision=2)
    assert answer(bench.ask(presented, 999, tight)) == "user:ana"
    assert bench.ask(presented, 1999, tight) == Reason.SESSION_IDLE


def test_tightened_below_the_age(bench: Bench) -> None:
    """A session that is older than the new absolute limit is over."""
    presented = cookie(bench.issuer.token())
    bench.ask(presented)
    tight = policy(sessions={"web": Tightening(None, Millis(10_000))}, revision=2)
    assert bench.ask(presented, 0, tight) == Reason.SESSION_EXPIRED


def test_activity_elsewhere_keeps_a_session_alive(bench: Bench) -> None:
    """What another worker recorded counts here (spec 3.1)."""
    presented = cookie(bench.issuer.token(exp=NOW_S + 90_000))
    bench.ask(presented)
    other = bench.worker()
    other.record_activity(SessionSeen("sess_1", "user:ana", "acme", "web", NOW, UnixMillis(NOW + 1_000_000)))
    other.poll()
    bench.state.poll()
    assert answer(bench.ask(presented, 2_799_999)) == "user:ana"


# ── revocation ──


REVOCATIONS = [
    pytest.param(RevokedKind.SESSION, "sess_1", id="session"),
    pytest.param(RevokedKind.ACCOUNT, "user:ana", id="account"),
    pytest.param(RevokedKind.ORGANIZATION, "acme", id="organization"),
    pytest.param(RevokedKind.LINK, "ag_2", id="link"),
]


@pytest.mark.parametrize("by", ["this-worker", "another-worker"])
@pytest.mark.parametrize(("kind", "revoked_id"), REVOCATIONS)
def test_revoked_while_cached(bench: Bench, kind: RevokedKind, revoked_id: str, by: str) -> None:
    """A revocation is heeded with the next request, whoever made it, for every spelling of the token (spec 2.4)."""
    spellings = [cookie(bench.issuer.token(chain=[{"id": "ag_1"}, {"id": "ag_2"}], jti=number)) for number in range(2)]
    assert [answer(bench.ask(presented)) for presented in spellings] == ["user:ana"] * 2
    state = bench.state if by == "this-worker" else bench.worker()
    state.revoke(Revoked(kind, revoked_id, NOW))
    bench.state.poll()
    assert [bench.ask(presented) for presented in spellings] == [Reason.SESSION_REVOKED] * 2
    unseen = cookie(bench.issuer.token(chain=[{"id": "ag_2"}], jti=3))
    assert bench.ask(unseen) == Reason.SESSION_REVOKED


@pytest.mark.parametrize(("kind", "revoked_id"), REVOCATIONS)
def test_revoked_before_first_seen(bench: Bench, kind: RevokedKind, revoked_id: str) -> None:
    """A session that was never seen here is refused as well."""
    bench.state.revoke(Revoked(kind, revoked_id, NOW))
    assert bench.ask(cookie(bench.issuer.token(chain=[{"id": "ag_2"}]))) == Reason.SESSION_REVOKED


def test_signature_of_a_revoked_token_is_checked_once(bench: Bench) -> None:
    """A token that holds and is refused is not verified again; whatever refuses it is looked at each time."""
    presented = cookie(bench.issuer.token())
    bench.state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(NOW - 1)))
    whose = [bench.ask_whose(presented) for _ in range(3)]
    assert all(isinstance(found, RefusedCredential) for found in whose)
    assert len({id(found.credential) for found in whose if isinstance(found, RefusedCredential)}) == 1
    bench.keys.current = KeySet({})
    assert bench.ask(presented) == Reason.INVALID_CREDENTIAL


def test_refused_tokens_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds many tokens of a revoked account fills no memory with them."""
    monkeypatch.setattr(proving, "PROVED_CAPACITY", 3)
    bench.state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", NOW))
    tokens = [cookie(bench.issuer.token(jti=number)) for number in range(5)]
    assert {bench.ask(presented) for presented in tokens} == {Reason.SESSION_REVOKED}
    assert len(bench.verifier._prover._proved) == 3


def test_others_stay(bench: Bench) -> None:
    """A revocation of one leaves the others, cached or not."""
    mine, other = cookie(bench.issuer.token()), cookie(bench.issuer.token(sid="sess_2", sub="bo"))
    bench.ask(mine)
    bench.ask(other)
    bench.state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", NOW))
    assert [answer(bench.ask(presented)) for presented in (mine, other)] == [Reason.SESSION_REVOKED, "user:bo"]


def test_session_begun_after_the_revocation(bench: Bench) -> None:
    """Whoever signs in again after the account was revoked gets in; the old session does not, renewed or not."""
    bench.ask(cookie(bench.issuer.token()))
    bench.state.revoke(Revoked(RevokedKind.ACCOUNT, "user:ana", NOW))
    again = cookie(bench.issuer.token(sid="sess_2", iat=NOW_S + 1))
    renewed = cookie(bench.issuer.token(iat=NOW_S + 1))
    assert [answer(bench.ask(each, 1000)) for each in (again, renewed)] == ["user:ana", Reason.SESSION_REVOKED]


def test_opaque_revoked(bench: Bench) -> None:
    """An opaque session is revoked by its id."""
    presented = cookie(bench.opaque())
    found = bench.ask(presented)
    assert isinstance(found, VerifiedCredential)
    bench.state.revoke(Revoked(RevokedKind.SESSION, found.id, NOW))
    assert bench.ask(presented) == Reason.SESSION_REVOKED


def test_forgotten_session(bench: Bench) -> None:
    """A session whose record is gone is looked at anew: an opaque one is unknown."""
    presented = cookie(bench.opaque())
    bench.ask(presented)
    bench.state.prune(UnixMillis(NOW + 10**12))
    assert bench.ask(presented) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    ("session_id", "account"),
    [pytest.param("sess_1", "user:bo", id="account"), pytest.param(None, "user:bo", id="opaque")],
)
def test_session_id_of_somebody_else(bench: Bench, session_id: str | None, account: str) -> None:
    """A signed token that names another account's session, or an opaque one, is refused."""
    if session_id is None:
        value = bench.opaque()
        found = bench.ask(cookie(value))
        assert isinstance(found, VerifiedCredential)
        token = bench.issuer.token(sid=found.id, sub="bo")
    else:
        bench.state.record_activity(SessionSeen(session_id, account, "acme", "web", NOW, NOW))
        token = bench.issuer.token()
    assert bench.ask(cookie(token)) == Reason.INVALID_CREDENTIAL


def test_signed_record_is_no_opaque_session(bench: Bench) -> None:
    """What is remembered of a signed session does not make its id an opaque one's."""
    value = bench.opaque()
    found = bench.ask(cookie(value))
    assert isinstance(found, VerifiedCredential)
    other = Bench(bench.issuer)
    other.state.record_activity(SessionSeen(found.id, "user:bo", "acme", "web", NOW, NOW))
    assert other.ask(cookie(value)) == Reason.INVALID_CREDENTIAL


# ── keys of the issuer ──


def test_unknown_kid_asks_for_a_refresh(bench: Bench) -> None:
    """A token of a key that is not known is refused and asks once; when the key has come it is accepted at once."""
    full = bench.keys.current
    bench.keys.current = KeySet({"ec": full.by_kid["ec"]})
    presented = cookie(bench.issuer.token())
    assert [bench.ask(presented) for _ in range(2)] == [Reason.INVALID_CREDENTIAL] * 2
    assert bench.keys.asked == 1
    bench.keys.current = full
    assert answer(bench.ask(presented)) == "user:ana"


def test_key_that_left(bench: Bench) -> None:
    """A key that left the set stops verifying, also for tokens that were verified before (spec 3.1)."""
    mine, other = cookie(bench.issuer.token()), cookie(bench.issuer.token("ES256"))
    bench.ask(mine)
    bench.ask(other)
    bench.keys.current = KeySet({"ec": bench.keys.current.by_kid["ec"]})
    assert [answer(bench.ask(each)) for each in (mine, other)] == [Reason.INVALID_CREDENTIAL, "user:ana"]


def test_key_replaced_under_its_id(bench: Bench) -> None:
    """Another key under the same id is not the one that verified the token."""
    presented = cookie(bench.issuer.token())
    bench.ask(presented)
    bench.keys.current = Issuer(rsa_key=Issuer().rsa_key).keys()
    assert bench.ask(presented) == Reason.INVALID_CREDENTIAL


def test_keys_too_old(bench: Bench) -> None:
    """When the set lapses nothing signed verifies, cached or not; opaque sessions and keys do (spec 3.1)."""
    bench.keys.current = KeySet(bench.keys.current.by_kid, usable_until=UnixMillis(NOW + 1000))
    presented = cookie(bench.issuer.token())
    opaque = cookie(bench.opaque())
    assert [answer(bench.ask(presented, offset)) for offset in (0, 999)] == ["user:ana", "user:ana"]
    bench.ask(opaque)
    assert bench.ask(presented, 1000) == Reason.INVALID_CREDENTIAL
    assert answer(bench.ask(opaque, 1000)) == "user:bo"


def test_set_confirmed(bench: Bench) -> None:
    """The same keys in a newer set keep their tokens, for as long as the newer set lasts."""
    by_kid = bench.keys.current.by_kid
    presented = cookie(bench.issuer.token())
    bench.ask(presented)
    bench.keys.current = KeySet(by_kid, usable_until=UnixMillis(NOW + 2000))
    assert answer(bench.ask(presented, 1999)) == "user:ana"
    assert bench.ask(presented, 2000) == Reason.INVALID_CREDENTIAL


# ── failures ──


def test_junk_does_not_evict(issuer: Issuer) -> None:
    """However much junk comes, good credentials stay remembered: the key that verified them is not asked again."""
    bench = Bench(issuer, capacity=1)
    presented = cookie(issuer.token())
    bench.ask(presented)
    junk = issuer.token().rpartition(b".")[0]
    for number in range(FAILED_CAPACITY + 10):
        assert bench.ask(cookie(junk + b".%04d" % number)) == Reason.INVALID_CREDENTIAL
    assert len(bench.verifier._verified) == 1
    assert len(bench.verifier._prover._failed) <= FAILED_CAPACITY
    assert presented.digest in bench.verifier._verified


def test_capacity(issuer: Issuer) -> None:
    """Remembered credentials are bounded; one that was forgotten verifies again."""
    bench = Bench(issuer, capacity=2)
    tokens = [cookie(issuer.token(jti=number)) for number in range(5)]
    assert [answer(bench.ask(presented)) for presented in tokens * 2] == ["user:ana"] * 10
    assert len(bench.verifier._verified) == 2


def test_failure_is_believed_briefly(bench: Bench) -> None:
    """A failed token is not tried again for a moment; after that it is, and may have become valid."""
    presented = cookie(bench.issuer.token(nbf=NOW_S + 6))
    assert bench.ask(presented) == Reason.INVALID_CREDENTIAL
    assert bench.ask(presented, FAILED_FOR - 1) == Reason.INVALID_CREDENTIAL
    assert answer(bench.ask(presented, FAILED_FOR)) == "user:ana"


def test_failure_before_the_clock_was_set_back(bench: Bench) -> None:
    """What failed while the clock ran ahead is verified again as soon as it is set right."""
    presented = cookie(bench.issuer.token())
    assert answer(bench.ask(presented, 3_600_000)) == Reason.SESSION_EXPIRED
    assert answer(bench.ask(presented, 0)) == "user:ana"


def test_failing_state(bench: Bench) -> None:
    """While revocations cannot be known nothing is verified, cached or not; afterwards everything is again."""
    presented, key = cookie(bench.issuer.token()), header(CLEAR)
    snapshot = policy(entry())
    bench.ask(presented, snapshot=snapshot)
    bench.state.failure = "the disk is gone"
    bench.state.version += 1
    asked = [(presented, snapshot), (key, snapshot), (NOTHING, snapshot)]
    expected = [Reason.POLICY_UNAVAILABLE, Reason.POLICY_UNAVAILABLE, Reason.NO_CREDENTIAL]
    assert expected == [bench.ask(each, snapshot=using) for each, using in asked]
    bench.state.failure = None
    assert answer(bench.ask(presented, snapshot=snapshot)) == "user:ana"


# ── API keys ──


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param(entry(digest=bytes(32)), Reason.INVALID_CREDENTIAL, id="another-secret"),
        pytest.param(entry(id="0" * 16), Reason.INVALID_CREDENTIAL, id="unknown-id"),
        pytest.param(entry(state=KeyState.REVOKED), Reason.KEY_REVOKED, id="revoked-in-the-policy"),
        pytest.param(entry(expires_at=NOW), Reason.KEY_EXPIRED, id="expired"),
        pytest.param(entry(created_at=NOW - 366 * 86_400_000), Reason.KEY_EXPIRED, id="a-year-old"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_key_refused(bench: Bench, record: KeyEntry, reason: Reason, cached: bool) -> None:
    """What the policy says of a key holds from the next request on, also if the key was good before."""
    if cached:
        assert answer(bench.ask(header(CLEAR), snapshot=policy(entry()))) == "service:ci"
    assert reason == bench.ask(header(CLEAR), snapshot=policy(record, revision=2))


@pytest.mark.parametrize(
    ("record", "source", "expected"),
    [
        pytest.param(entry(digest=bytes(32)), None, Reason.INVALID_CREDENTIAL, id="another-secret"),
        pytest.param(entry(state=KeyState.REVOKED), None, (Reason.KEY_REVOKED, "service:ci"), id="revoked"),
        pytest.param(entry(expires_at=NOW), None, (Reason.KEY_EXPIRED, "service:ci"), id="expired"),
        pytest.param(
            entry(networks=(ip_network("10.0.0.0/8"),)),
            "11.1.2.3",
            (Reason.SOURCE_ADDRESS, "service:ci"),
            id="from-elsewhere",
        ),
    ],
)
def test_whose_key_was_refused(
    bench: Bench, record: KeyEntry, source: str | None, expected: Reason | tuple[Reason, str]
) -> None:
    """A refusal says whose key it was once the secret was proved, and nothing before (spec 5.5)."""
    assert expected == whose(bench.ask_whose(header(CLEAR), 0, policy(record), source))


SIGNED: dict[str, tuple[int, Callable[[Bench], object], Reason]] = {
    "expired": (65_000, lambda _: None, Reason.SESSION_EXPIRED),
    "revoked": (0, lambda one: one.state.revoke(Revoked(RevokedKind.SESSION, "sess_1", NOW)), Reason.SESSION_REVOKED),
    "organization": (
        0,
        lambda one: one.state.revoke(Revoked(RevokedKind.ORGANIZATION, "acme", NOW)),
        Reason.SESSION_REVOKED,
    ),
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("why", SIGNED)
def test_whose_session_was_refused(bench: Bench, why: str, cached: bool) -> None:
    """A refusal says whose session it was once the signature held, whether it was remembered or not (spec 5.5)."""
    offset, trouble, reason = SIGNED[why]
    presented = cookie(bench.issuer.token())
    if cached:
        assert answer(bench.ask(presented)) == "user:ana"
    trouble(bench)
    assert [whose(bench.ask_whose(presented, offset)) for _ in range(2)] == [(reason, "user:ana")] * 2


def test_whose_idle_session(bench: Bench) -> None:
    """Signed or of the store, an idle session's refusal says whose it was (spec 5.5)."""
    sessions = [cookie(bench.issuer.token(exp=NOW_S + 10_000)), cookie(bench.opaque())]
    assert [answer(bench.ask(presented)) for presented in sessions] == ["user:ana", "user:bo"]
    idle = [whose(bench.ask_whose(presented, 1_800_000)) for presented in sessions]
    assert idle == [(Reason.SESSION_IDLE, "user:ana"), (Reason.SESSION_IDLE, "user:bo")]


def test_nobody_is_named_without_a_signature(bench: Bench) -> None:
    """Whatever the payload says, a token that does not verify is nobody's."""
    token = bench.issuer.token(exp=NOW_S - 10_000)
    start, _, signature = token.rpartition(b".")
    assert whose(bench.ask_whose(cookie(start + b"." + signature[::-1]))) == Reason.INVALID_CREDENTIAL


def test_key_expires_while_cached(bench: Bench) -> None:
    """A cached key ends at its expiry."""
    snapshot = policy(entry(expires_at=NOW + 10))
    found = [answer(bench.ask(header(CLEAR), offset, snapshot)) for offset in (0, 9, 10)]
    assert found == ["service:ci", "service:ci", Reason.KEY_EXPIRED]


def test_key_changed_while_cached(bench: Bench) -> None:
    """A record with other restrictions is heeded from the next request on."""
    bench.ask(header(CLEAR), snapshot=policy(entry()))
    found = bench.ask(header(CLEAR), snapshot=policy(entry(scopes=(parse_scope("p1"),)), revision=2))
    assert isinstance(found, VerifiedCredential)
    assert (parse_scope("p1"),) == found.scopes


def test_key_unchanged_in_a_new_revision(bench: Bench) -> None:
    """An equal record in a newer policy keeps what was verified."""
    first = bench.ask(header(CLEAR), snapshot=policy(entry()))
    assert first is bench.ask(header(CLEAR), snapshot=policy(entry(), revision=2))


def test_key_revoked_while_cached(bench: Bench) -> None:
    """A revocation by event is heeded at once."""
    snapshot = policy(entry())
    bench.ask(header(CLEAR), snapshot=snapshot)
    bench.state.revoke(Revoked(RevokedKind.KEY, key_name("acme", KEY.id), NOW))
    assert bench.ask(header(CLEAR), snapshot=snapshot) == Reason.KEY_REVOKED


@pytest.mark.parametrize(
    ("source", "expected"),
    [("10.1.2.3", "service:ci"), ("11.1.2.3", Reason.SOURCE_ADDRESS), (None, Reason.SOURCE_ADDRESS)],
)
def test_key_networks(bench: Bench, source: str | None, expected: str | Reason) -> None:
    """A key that lists networks is good from these only, whoever used it from where before (spec 3.2)."""
    snapshot = policy(entry(networks=(ip_network("10.0.0.0/8"),)))
    for _ in range(2):
        assert expected == answer(bench.ask(header(CLEAR), snapshot=snapshot, source=source))
    assert answer(bench.ask(header(CLEAR), snapshot=snapshot, source="10.0.0.1")) == "service:ci"
    assert expected == answer(bench.ask(header(CLEAR), snapshot=snapshot, source=source))


# ── single use ──


def test_consume(bench: Bench) -> None:
    """A single-use key passes once; afterwards it is refused when presented, and by every worker (spec 3.2)."""
    snapshot = policy(entry(single_use=True))
    found = [bench.ask(header(CLEAR), snapshot=snapshot) for _ in range(2)]
    assert all(isinstance(each, VerifiedCredential) and each.single_use for each in found)
    answers = [bench.consume(each) for each in found if isinstance(each, VerifiedCredential)]
    assert answers == [None, Reason.KEY_CONSUMED]
    assert bench.ask(header(CLEAR), snapshot=snapshot) == Reason.KEY_CONSUMED
    assert bench.ask(bearer(CLEAR), snapshot=snapshot) == Reason.KEY_CONSUMED


def test_consume_what_is_for_many_uses(bench: Bench) -> None:
    """Other credentials are not consumed, and nothing is recorded."""
    found = bench.ask(cookie(bench.issuer.token()))
    assert isinstance(found, VerifiedCredential)
    before = len(bench.hub.events)
    assert [bench.consume(found) for _ in range(2)] == [None, None]
    assert before == len(bench.hub.events)


@pytest.mark.parametrize("trouble", ["busy", "failing"])
def test_consume_that_cannot_be_recorded(bench: Bench, trouble: str) -> None:
    """If the use cannot be recorded the request is refused with 503, and the key is not used up (spec 3.2)."""
    snapshot = policy(entry(single_use=True))
    found = bench.ask(header(CLEAR), snapshot=snapshot)
    assert isinstance(found, VerifiedCredential)
    if trouble == "busy":
        bench.hub.held = True
    else:
        bench.state.failure = "the disk is gone"
    assert bench.consume(found) == Reason.POLICY_UNAVAILABLE
    bench.hub.held, bench.state.failure = False, None
    assert bench.consume(found) is None


def test_created_record(bench: Bench) -> None:
    """An opaque session is stored by its digest: its value is in no event."""
    value = bench.opaque()
    events = [event for event in bench.hub.events if isinstance(event, SessionCreated)]
    assert len(events) == 1
    assert value.decode() not in repr(events)
