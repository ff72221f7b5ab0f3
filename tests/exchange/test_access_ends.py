"""Access that ends mid-stream, on the data path without sockets: who is ended, when, how and what is recorded
(spec 2.7)."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.exchange.conftest import MakeRig
from tests.exchange.rig import MemoryTransport, Rig
from tests.integration.sidecar import ACME, ROUTES

from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.proxy.streams import TURNS

LIVE = b"GET /v1/orgs/acme/live HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /v1/orgs/acme/projects/p1/branches/x/files/a HTTP/1.1\r\nHost: h\r\n"
PUT = b"PUT" + GET[3:]
GLOB = b"POST /v1/orgs/acme/projects/p1/branches/x:glob HTTP/1.1\r\nHost: h\r\n"
KEY = base64.b64encode(b"0123456789abcdef")
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    % ACCEPT
)
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
REVOKED_FRAME = b"\x88\x11\x03\xf0session_revoked"

Opened = tuple[MemoryTransport, MemoryTransport]


@pytest.fixture
def session(issuer: Issuer) -> Callable[..., bytes]:
    """Return a maker of Cookie lines for sessions of their own."""

    def make(user: str = "ana", sid: str | None = None, **more: Any) -> bytes:
        return f"Cookie: __session={issuer.session(user, 'acme', session_id=sid, **more)}\r\n".encode()

    return make


async def open_request(rig: Rig, request: bytes, answer: bytes) -> Opened:
    """Send a request, let the upstream answer, and return both connections."""
    before = len(rig.pool.opened)
    client = await rig.say(request)
    assert len(rig.pool.opened) == before + 1, client.sent
    upstream = rig.pool.opened[-1]
    if answer:
        upstream.feed(answer)
        await rig.settle()
    return client, upstream


async def open_socket(rig: Rig, cookie: bytes, first: bytes = b"") -> Opened:
    """Open a WebSocket."""
    client, upstream = await open_request(rig, LIVE + cookie + UPGRADE, SWITCH + first)
    assert client.sent.startswith(b"HTTP/1.1 101 ")
    client.sent.clear()
    return client, upstream


def revoke(rig: Rig, kind: RevokedKind, revoked_id: str, at: int | None = None) -> None:
    """Revoke as an administrator does."""
    rig.state.revoke(Revoked(kind, revoked_id, UnixMillis(at or rig.gateway.clock.now())))


def endings(rig: Rig) -> list[tuple[str, str | None]]:
    """Return how everything ended that has ended."""
    return [(line["ended"], line["reason"]) for line in rig.completions()]


async def test_websocket_is_closed_between_frames(rig: Rig, session: Callable[..., bytes]) -> None:
    """At a boundary the client gets 1008 with the reason at once, then the end; the upstream is cut; one record."""
    client, upstream = await open_socket(rig, session(sid="s1"), b"\x81\x02hi")
    upstream.feed(b"\x01\x03abc")
    await rig.feed(client, b"\x81\x85maskhello")
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert client.sent == b"\x01\x03abc" + REVOKED_FRAME
    assert (client.ended, client.aborted, upstream.aborted) == (True, False, True)
    (line,) = rig.completions()
    assert (line["ended"], line["reason"], line["status"]) == ("access_ended", "session_revoked", 101)
    assert (line["bytes_in"], line["bytes_out"]) == (11, 9)
    await rig.feed(client, b"\x88\x80mask")
    await rig.wait(1.3)
    assert client.closed
    assert len(rig.completions()) == 1


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        pytest.param(b"\x82", b"\x05hello", id="one-byte-of-a-header"),
        pytest.param(b"\x82\x05hel", b"lo", id="in-the-payload"),
        pytest.param(b"\x82\x7e\x01", b"\x00" + b"x" * 256, id="in-the-length"),
    ],
)
async def test_websocket_within_a_frame(rig: Rig, session: Callable[..., bytes], begun: bytes, rest: bytes) -> None:
    """Within a frame its rest is still passed on, nothing after it, and then the client gets 1008."""
    client, upstream = await open_socket(rig, session(sid="s1"))
    upstream.feed(begun)
    await rig.settle()
    sent_up = len(upstream.sent)
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    await rig.feed(client, b"\x81\x85maskhello")
    assert client.sent == begun
    for at in range(len(rest)):
        upstream.feed(rest[at : at + 1] if at < len(rest) - 1 else rest[at:] + b"\x81\x06secret")
    await rig.settle()
    assert client.sent == begun + rest + REVOKED_FRAME
    assert len(upstream.sent) == sent_up
    assert upstream.aborted
    assert endings(rig) == [("access_ended", "session_revoked")]


@pytest.mark.parametrize(
    "begun",
    [pytest.param(b"\x82\x05hel", id="never-ends"), pytest.param(b"\x82\xff\xff" + b"\xff" * 7, id="no-frame-at-all")],
)
async def test_frame_that_does_not_end(rig: Rig, session: Callable[..., bytes], begun: bytes) -> None:
    """A frame that does not end in time is cut: the client must not take what it has for a message."""
    client, upstream = await open_socket(rig, session(sid="s1"), begun)
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    await rig.wait(1)
    assert (client.aborted, upstream.aborted) == (True, True)
    assert client.sent == b""
    assert endings(rig) == [("access_ended", "session_revoked")]


async def test_upstream_leaves_within_the_last_frame(rig: Rig, session: Callable[..., bytes]) -> None:
    """When the upstream goes before the frame ends, the cause on record stays the one that came first."""
    client, upstream = await open_socket(rig, session(sid="s1"), b"\x82\x05hel")
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    upstream.drop(None)
    await rig.settle()
    assert client.aborted
    assert endings(rig) == [("access_ended", "session_revoked")]


async def test_client_leaves_within_the_last_frame(rig: Rig, session: Callable[..., bytes]) -> None:
    """When the client goes before the frame ends, too; the upstream is cut."""
    client, upstream = await open_socket(rig, session(sid="s1"), b"\x82\x05hel")
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    client.drop(None)
    await rig.settle()
    assert upstream.aborted
    assert endings(rig) == [("access_ended", "session_revoked")]


async def test_no_second_close_frame(rig: Rig, session: Callable[..., bytes]) -> None:
    """After the upstream's own close frame nothing more is sent (RFC 6455 section 5.5.1)."""
    client, _ = await open_socket(rig, session(sid="s1"), b"\x88\x02\x03\xe8")
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert (bytes(client.sent), client.ended) == (b"", True)
    assert endings(rig) == [("access_ended", "session_revoked")]


async def test_client_that_does_not_read_its_close_frame(rig: Rig, session: Callable[..., bytes]) -> None:
    """A client that takes nothing is cut within a second or so; what is still held for it is dropped."""
    client, upstream = await open_socket(rig, session(sid="s1"))
    client.stall()
    upstream.feed(b"\x82\x7f" + (60_000).to_bytes(8) + b"x" * 60_000)
    await rig.settle()
    assert not upstream.is_reading()
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert upstream.aborted
    await rig.wait(1.3)
    assert client.closed


@pytest.mark.parametrize("answer", [pytest.param(EVENTS, id="event-stream"), pytest.param(BIG, id="download")])
async def test_transfer_is_cut(rig: Rig, session: Callable[..., bytes], answer: bytes) -> None:
    """An event stream and a long download are cut: neither chunked framing nor length are completed."""
    client, upstream = await open_request(rig, GET + session(sid="s1") + b"\r\n", answer + b"5\r\nhello\r\n")
    await rig.wait(1.5)
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert (client.aborted, upstream.aborted) == (True, True)
    assert not client.sent.endswith(b"0\r\n\r\n")
    (line,) = rig.completions()
    assert (line["ended"], line["reason"], line["status"]) == ("access_ended", "session_revoked", 200)


async def test_upload_is_cut(rig: Rig, session: Callable[..., bytes]) -> None:
    """A long upload is cut on both sides, so that the upstream never takes it for whole."""
    client, upstream = await open_request(
        rig, PUT + session(sid="s1") + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""
    )
    await rig.wait(1.5)
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert (client.aborted, upstream.aborted, bytes(client.sent)) == (True, True, b"")
    assert not upstream.sent.endswith(b"0\r\n\r\n")
    assert [(one["ended"], one["status"], one["bytes_in"]) for one in rig.completions()] == [("access_ended", None, 5)]


async def test_short_transfers_are_left_alone(rig: Rig, session: Callable[..., bytes]) -> None:
    """A transfer is subscribed once it has lasted for a second; what was revoked before that counts then."""
    client, upstream = await open_request(rig, GET + session(sid="s1") + b"\r\n", BIG + b"x")
    assert len(rig.gateway.streams) == 0
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.wait(0.7)
    upstream.feed(b"x")
    await rig.settle()
    assert (client.aborted, bytes(client.sent[-2:])) == (False, b"xx")
    await rig.wait(0.6)
    assert client.aborted
    assert endings(rig) == [("access_ended", "session_revoked")]


async def test_ended_streams_are_forgotten(rig: Rig, session: Callable[..., bytes]) -> None:
    """However a stream ends, nothing of it is kept."""
    cookie = session(sid="s1")
    completed, first = await open_request(rig, GET + cookie + b"\r\n", EVENTS)
    left, _ = await open_socket(rig, cookie)
    _, lost = await open_request(rig, GET + cookie + b"\r\n", EVENTS)
    _, closed = await open_socket(rig, cookie)
    upload, _ = await open_request(rig, PUT + cookie + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"")
    await rig.wait(1.3)
    assert len(rig.gateway.streams) == 5
    first.feed(b"0\r\n\r\n")
    left.drop(None)
    lost.drop(None)
    closed.drop(None)
    await rig.feed(upload, b"broken chunk\r\n")
    await rig.settle()
    assert completed.sent.endswith(b"0\r\n\r\n")
    assert len(rig.gateway.streams) == 0
    assert sorted(ending for ending, _ in endings(rig)) == [
        "client_closed",
        "client_closed",
        "completed",
        "upstream_closed",
        "upstream_closed",
    ]
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.wait(2)
    assert len(rig.completions()) == 5


async def test_public_streams_have_no_principal(make_rig: MakeRig) -> None:
    """A stream on a public route is nobody's, and nothing ends it."""
    rig = await make_rig()
    client, _ = await open_request(rig, b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", EVENTS)
    revoke(rig, RevokedKind.ORGANIZATION, "acme")
    await rig.wait(3)
    assert not client.aborted
    assert len(rig.gateway.streams) == 0


# Causes.


def _rewrite(old: str, new: str) -> Callable[[Rig], None]:
    def rewrite(rig: Rig) -> None:
        assert old in ACME
        rig.publish("acme", ACME.replace(old, new))

    return rewrite


def _revoke(kind: RevokedKind, revoked_id: str) -> Callable[[Rig], None]:
    return lambda rig: revoke(rig, kind, revoked_id)


FILE_CAUSES = [
    pytest.param(_revoke(RevokedKind.SESSION, "s1"), "session_revoked", id="logout"),
    pytest.param(_revoke(RevokedKind.ACCOUNT, "user:ana"), "session_revoked", id="account-revoked"),
    pytest.param(_rewrite("user:ana: {roles: [Member]}", "user:ana: {state: suspended}"), "account_inactive", id="off"),
    pytest.param(_rewrite("  user:ana: {roles: [Member]}\n", ""), "not_a_member", id="left"),
    pytest.param(
        _rewrite("user:ana, role: Designer, on: p1}", "user:ana, role: Designer, on: p2}"), "no_grant", id="ungranted"
    ),
    pytest.param(_rewrite("user:ana: {roles: [Member]}", "user:ana: {roles: []}"), "above_ceiling", id="role-removed"),
    pytest.param(
        _rewrite("bindings:", 'denies:\n  - {id: d, who: user:ana, authorities: [read], on: "p1@x"}\nbindings:'),
        "denied_by_rule",
        id="denied",
    ),
    pytest.param(
        _rewrite("bindings:", 'approvals:\n  - {id: a, authorities: [read], on: "p1@x"}\nbindings:'),
        "approval_required",
        id="approval-needed",
    ),
]


@pytest.mark.parametrize(("cause", "reason"), FILE_CAUSES)
async def test_cause(rig: Rig, session: Callable[..., bytes], cause: Callable[[Rig], None], reason: str) -> None:
    """Each cause ends exactly the streams of the principal, with its reason; others go on."""
    mine, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    other, upstream = await open_request(rig, GET.replace(b"/x/", b"/y/") + session("vera", sid="s2") + b"\r\n", EVENTS)
    cause(rig)
    await rig.settle()
    assert (mine.aborted, other.aborted) == (True, False)
    assert endings(rig) == [("access_ended", reason)]
    upstream.feed(b"5\r\nhello\r\n0\r\n\r\n")
    await rig.settle()
    assert endings(rig)[1:] == [("completed", None)]


@pytest.mark.parametrize(("cause", "reason"), FILE_CAUSES)
async def test_cause_while_a_body_comes(
    rig: Rig, session: Callable[..., bytes], cause: Callable[[Rig], None], reason: str
) -> None:
    """What ends while the body that decides is on its way counts: nothing is forwarded, one record says why."""
    body = b'{"pattern": "a/*"}'
    client = await rig.say(GLOB + session(sid="s1") + b"Content-Length: %d\r\n\r\n" % len(body))
    cause(rig)
    await rig.feed(client, body)
    assert rig.pool.opened == []
    (record,) = rig.decisions()
    assert (record["outcome"], record["reason"]) == ("deny", reason)


async def test_time_passes_while_a_body_comes(rig: Rig, session: Callable[..., bytes]) -> None:
    """A binding that ends while the body that a decision reads is on its way gives nothing any more."""
    now = rig.clock.now()
    ends = f"role: Designer, on: p1, not_after: {format_instant(UnixMillis(now + 5000))}}}"
    rig.publish("acme", ACME.replace("role: Designer, on: p1}", ends, 1))
    body = b'{"pattern": "a/*"}'
    cookie = session(sid="s1")
    for until, reason in ((4999, "granted"), (5000, "no_grant")):
        client = await rig.say(GLOB + cookie + b"Content-Length: %d\r\n\r\n" % len(body))
        rig.clock.set(UnixMillis(now + until))
        await rig.feed(client, body)
        assert rig.decisions()[-1]["reason"] == reason
        rig.clock.set(now)


async def test_organization_revoked(rig: Rig, issuer: Issuer, session: Callable[..., bytes]) -> None:
    """Revoking an organization ends the streams of all in it, and of nobody else."""
    mine = [(await open_request(rig, GET + session(who) + b"\r\n", EVENTS))[0] for who in ("ana", "vera")]
    cookie = f"Cookie: __session={issuer.session('gus', 'globex')}\r\n\r\n".encode()
    other, _ = await open_request(rig, GET.replace(b"acme/projects/p1", b"globex/projects/g1") + cookie, EVENTS)
    revoke(rig, RevokedKind.ORGANIZATION, "acme")
    await rig.settle()
    assert ([one.aborted for one in mine], other.aborted) == ([True, True], False)


async def test_link_revoked(rig: Rig, session: Callable[..., bytes]) -> None:
    """Revoking a link ends the streams of the agent and of all below it, not those of the person."""
    agent, _ = await open_request(rig, GET + session(sid="s1", claims={"chain": [{"id": "ag_1"}]}) + b"\r\n", EVENTS)
    below, _ = await open_request(
        rig, GET + session(sid="s1", claims={"chain": [{"id": "ag_1"}, {"id": "ag_2"}]}) + b"\r\n", EVENTS
    )
    person, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    revoke(rig, RevokedKind.LINK, "ag_1")
    await rig.settle()
    assert (agent.aborted, below.aborted, person.aborted) == (True, True, False)


async def test_account_revoked_until(rig: Rig, session: Callable[..., bytes]) -> None:
    """Revoking an account ends what was issued until then, not a session that began later."""
    now = rig.gateway.clock.now()
    old, _ = await open_request(rig, GET + session(sid="s1", now=now / 1000 - 100) + b"\r\n", EVENTS)
    new, _ = await open_request(rig, GET + session(sid="s2", now=now / 1000) + b"\r\n", EVENTS)
    revoke(rig, RevokedKind.ACCOUNT, "user:ana", now - 50_000)
    await rig.settle()
    assert (old.aborted, new.aborted) == (True, False)


async def test_another_organizations_policy(rig: Rig, session: Callable[..., bytes]) -> None:
    """A swap that leaves an organization as it was looks at none of its streams."""
    client, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    current = rig.policies.current
    kept = [one for name, one in current.organizations.items() if name == "acme"]
    new = compile_document(PolicyDocument("initech"), current.revision + 1)
    rig.policies.swap(Snapshot(current.revision + 1, [*kept, new]), rig.gateway.clock.now())
    await rig.settle()
    assert not client.aborted
    rig.policies.swap(Snapshot(current.revision + 2, [new]), rig.gateway.clock.now())
    await rig.settle()
    assert endings(rig) == [("access_ended", "not_a_member")]


# Time.


async def test_binding_expires(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """A binding's end ends what it allowed, within one round of looks; nobody has to do anything for it."""
    rig = await make_rig()
    until = UnixMillis(rig.gateway.clock.now() + 5000)
    bound = f"role: Designer, on: p1, not_after: {format_instant(until)}}}"
    rig.publish("acme", ACME.replace("who: user:ana, role: Designer, on: p1}", "who: user:ana, " + bound))
    client, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    rig.clock.set(UnixMillis(until - 1))
    await rig.wait(0.25 * TURNS)
    assert not client.aborted
    rig.clock.set(until)
    await rig.wait(0.25 * TURNS)
    assert endings(rig) == [("access_ended", "no_grant")]


LIMITS = {"sessions": {"surfaces": {"web": {"idle_ms": 60_000, "absolute_ms": 300_000}}}}


async def test_idle_and_active(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """What the client sends keeps its session alive; what it is sent does not; then the idle limit ends it."""
    rig = await make_rig(settings=LIMITS)
    client, upstream = await open_socket(rig, session(sid="s1"))
    silent, _ = await open_request(rig, GET + session("vera", sid="s2") + b"\r\n", EVENTS)
    start = rig.gateway.clock.now()
    for second in range(0, 90, 30):
        rig.clock.set(UnixMillis(start + second * 1000))
        await rig.feed(client, b"\x81\x80mask")
        upstream.feed(b"\x81\x00")
        await rig.wait(0.25 * TURNS)
        assert not client.ended
    assert silent.aborted
    rig.clock.set(UnixMillis(start + 119_000))
    upstream.feed(b"\x81\x00")
    await rig.wait(0.25 * TURNS)
    assert not client.ended
    rig.clock.set(UnixMillis(start + 120_000))
    await rig.wait(0.25 * TURNS)
    assert client.sent.endswith(b"\x88\x0e\x03\xf0session_idle")
    assert endings(rig) == [("access_ended", "session_idle")] * 2


async def test_absolute_limit(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """The absolute limit ends a stream whatever is sent."""
    rig = await make_rig(settings=LIMITS)
    start = rig.gateway.clock.now()
    client, _ = await open_socket(rig, session(sid="s1", now=start // 1000))
    for second in range(0, 300, 30):
        rig.clock.set(UnixMillis(start // 1000 * 1000 + second * 1000))
        await rig.feed(client, b"\x81\x80mask")
        await rig.wait(0.25 * TURNS)
        assert not client.ended
    rig.clock.set(UnixMillis(start // 1000 * 1000 + 300_000))
    await rig.feed(client, b"\x81\x80mask")
    await rig.wait(0.25 * TURNS)
    assert client.sent.endswith(b"session_expired")


async def test_token_expiry_ends_nothing(rig: Rig, session: Callable[..., bytes]) -> None:
    """A stream outlives the token that opened it: the session counts, not the token's spelling."""
    start = rig.gateway.clock.now()
    client, _ = await open_socket(rig, session(sid="s1", lasts_s=60))
    rig.clock.set(UnixMillis(start + 120_000))
    await rig.wait(0.25 * TURNS)
    assert not client.ended


async def test_second_factor_ages(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """A grant that needs a recent second factor ends when it is not recent any more."""
    policy = ACME.replace("organization: acme\n", "organization: acme\nmfa_max_age_s: 600\n").replace(
        "role: Designer, on: p1}", "role: Designer, on: p1, when: {mfa: true}}"
    )
    rig = await make_rig(policies={"acme": policy})
    start = rig.gateway.clock.now()
    client, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    rig.clock.set(UnixMillis(start + 500_000))
    await rig.wait(0.25 * TURNS)
    assert not client.aborted
    rig.clock.set(UnixMillis(start + 601_000))
    await rig.wait(0.25 * TURNS)
    assert endings(rig) == [("access_ended", "mfa_required")]


# Trust in what is asked.


async def test_state_fails(rig: Rig, session: Callable[..., bytes]) -> None:
    """While the state cannot be relied on, nothing goes on: a revocation may be what is missing."""
    client, _ = await open_request(rig, GET + session(sid="s1") + b"\r\n", EVENTS)
    rig.state.failure = "the disk is gone"
    await rig.wait(0.25 * TURNS)
    assert client.aborted
    assert endings(rig) == [("access_ended", "policy_unavailable")]


async def test_hidden_reason(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """A reason that answers hide is not told in a close frame either; the record has it."""
    rig = await make_rig(settings={"hide": ["not_a_member"]}, routes=ROUTES)
    client, _ = await open_socket(rig, session(sid="s1"))
    rig.publish("acme", ACME.replace("  user:ana: {roles: [Member]}\n", ""))
    await rig.settle()
    assert client.sent == b"\x88\x0e\x03\xf0access_ended"
    assert endings(rig) == [("access_ended", "not_a_member")]


async def test_many_streams_are_spread(make_rig: MakeRig, session: Callable[..., bytes]) -> None:
    """Looks at many streams are spread over turns of the loop; all of them come to their end."""
    rig = await make_rig(settings={"upstream": {"max_connections": 1000}})
    cookie = session(sid="s1")
    clients = [(await open_request(rig, GET + cookie + b"\r\n", EVENTS))[0] for _ in range(40)]
    revoke(rig, RevokedKind.SESSION, "s1")
    await rig.settle()
    assert [client.aborted for client in clients] == [True] * 40
    assert len(rig.completions()) == 40


# Tunnels that are not ended by us.


async def test_tunnel_back_pressure(rig: Rig, session: Callable[..., bytes]) -> None:
    """A side that does not read stops the other; no more than a buffer is held, both ways."""
    client, upstream = await open_socket(rig, session())
    client.stall()
    upstream.stall()
    for _ in range(10):
        upstream.feed(b"\x82\x7e\xff\xff" + b"x" * 65535)
        client.feed(b"x" * 40_000)
    await rig.settle()
    assert (client.is_reading(), upstream.is_reading()) == (False, False)
    assert client.unsent < 3 * 65536
    assert upstream.unsent < 3 * 65536
    client.take()
    upstream.take()
    await rig.settle()
    assert (len(client.sent), upstream.sent.count(b"x") >= 400_000) == (10 * 65539, True)


async def test_tunnel_into_a_full_buffer(rig: Rig, session: Callable[..., bytes]) -> None:
    """A tunnel that opens while an answer before it is not taken yet waits for that."""
    client = rig.connect()
    client.feed(LIVE + session() + UPGRADE)
    rig.gateway.connections.copy().pop().pause_writing()
    await rig.settle()
    rig.upstream.feed(SWITCH)
    await rig.settle()
    assert not rig.upstream.is_reading()
    rig.gateway.connections.copy().pop().resume_writing()
    rig.upstream.feed(b"\x81\x00")
    await rig.settle()
    assert client.sent.endswith(b"\x81\x00")


async def test_upstream_cuts_a_tunnel(rig: Rig, session: Callable[..., bytes]) -> None:
    """An upstream that cuts its side has the client's cut; one that ends it in order has it ended in order."""
    cut, first = await open_socket(rig, session())
    ended, second = await open_socket(rig, session())
    first.drop(ConnectionResetError())
    second.drop(None)
    await rig.settle()
    assert (cut.aborted, ended.aborted, ended.ended) == (True, False, True)
    await rig.wait(3)
    assert ended.closed
    assert endings(rig) == [("upstream_closed", None)] * 2


async def test_last_words_reach_the_upstream(rig: Rig, session: Callable[..., bytes]) -> None:
    """What the client sent before it left is still taken by the upstream, if it takes it in time."""
    client, upstream = await open_socket(rig, session())
    _, stuck = await open_socket(rig, session())
    upstream.stall()
    await rig.feed(client, b"\x88\x80mask")
    client.drop(None)
    await rig.settle()
    assert (upstream.aborted, upstream.closed) == (False, False)
    upstream.take()
    await rig.settle()
    assert (upstream.sent.endswith(b"\x88\x80mask"), upstream.closed, stuck.closed) == (True, True, False)
