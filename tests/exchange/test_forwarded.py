"""What reaches the upstream, byte for byte, and what is recorded of it: the same thing (spec 2, W-A; 2.3)."""

import re
from collections.abc import Iterable
from pathlib import Path

import jwt
import pytest
from scripts.issuer import Issuer
from tests.exchange.conftest import MakeRig
from tests.exchange.rig import CLIENT_ADDRESS, Rig, bytewise

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ID = re.compile(rb"X-Sidegate-Decision: ([0-9a-f-]{36})\r\n")
REVISION = re.compile(rb"X-Sidegate-Revision: [0-9]+\r\n")


def added(account: str = "vera", authority: str = "read", target: str = "p1@x:a.json", host: str = "h") -> bytes:
    """Return the headers that are added to a request of *account*, decision and revision masked."""
    return (
        f"X-Forwarded-For: {CLIENT_ADDRESS}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: {host}\r\n"
        f"X-Sidegate-Account: user:{account}\r\nX-Sidegate-Organization: acme\r\nX-Sidegate-Authority: {authority}\r\n"
        f"X-Sidegate-Target: {target}\r\nX-Sidegate-Revision: R\r\nX-Sidegate-Decision: ID\r\n"
    ).encode()


def masked(sent: bytes) -> bytes:
    """Mask what differs from run to run."""
    return REVISION.sub(b"X-Sidegate-Revision: R\r\n", ID.sub(b"X-Sidegate-Decision: ID\r\n", sent))


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param(b"", b"", id="nothing-more"),
        pytest.param(b"x-Odd:   spaced \t\r\nAccept: */*\r\n", b"x-Odd: spaced\r\nAccept: */*\r\n", id="in-order"),
        pytest.param(b"A: 1\r\nB: 2\r\nA: 3\r\n", b"A: 1\r\nB: 2\r\nA: 3\r\n", id="repeats"),
        pytest.param(b"X: \xe9\xff\r\n", b"X: \xe9\xff\r\n", id="high-bytes"),
        pytest.param(b"X:\r\n", b"X: \r\n", id="empty-value"),
        pytest.param(b"Connection: keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\n", b"", id="hop-by-hop"),
        pytest.param(b"Connection: X-Secret, close\r\nX-Secret: 1\r\n", b"", id="nominated"),
        pytest.param(b"Proxy-Authorization: Basic a\r\nProxy-Connection: x\r\n", b"", id="proxy"),
        pytest.param(b"X-Sidegate-Account: user:root\r\n", b"", id="identity"),
        pytest.param(b"x_sidegate_account: user:root\r\nX.SideGate-Target: p9\r\n", b"", id="identity-spellings"),
        pytest.param(b"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 1\r\n", b"", id="forwarding"),
        pytest.param(b"X-Original-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\n", b"", id="overrides"),
        pytest.param(b"X-Middleware-Subrequest: x\r\nX-Envoy-Original-Path: /y\r\n", b"", id="more-overrides"),
        pytest.param(b"Content_Length: 5\r\nTransfer.Encoding: chunked\r\n", b"", id="aliases"),
        pytest.param(b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AA\r\n", b"", id="h2c"),
        pytest.param(
            b"Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            id="h2c-with-a-websocket-key",
        ),
        pytest.param(b"Cookie: a=1\r\n", b"Cookie: a=1\r\n", id="another-cookie-line"),
        pytest.param(
            b"traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n",
            b"traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n",
            id="traceparent",
        ),
        pytest.param(b"X-Sidegate-Approval: ap_1\r\n", b"", id="approval"),
    ],
)
async def test_headers(rig: Rig, vera: bytes, lines: bytes, kept: bytes) -> None:
    """Order and spelling as they came, without what may not pass; identity and forwarding headers once each."""
    request = b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + lines + b"\r\n"
    expected = b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + kept + added() + b"\r\n"
    cuttings: list[Iterable[int]] = [(), bytewise(request)]
    for cuts in cuttings:
        before = len(rig.forwarded)
        client = await rig.say(request, cuts)
        sent = rig.forwarded[before:]
        assert masked(sent) == expected
        rig.upstream.feed(OK)
        await rig.settle()
        assert client.sent.startswith(b"HTTP/1.1 200 OK\r\n")
        (decision,) = ID.findall(sent)
        record = rig.files.decision(decision.decode())
        assert (record["outcome"], record["method"], record["path"]) == ("allow", "GET", PATH.decode())


@pytest.mark.parametrize(
    ("target", "line", "path", "scope"),
    [
        pytest.param(PATH, PATH, PATH, "p1@x:a.json", id="plain"),
        pytest.param(PATH + b"?a=%2e%zz&&=?/;", PATH + b"?a=%2e%zz&&=?/;", PATH, "p1@x:a.json", id="query-untouched"),
        pytest.param(PATH + b"?", PATH + b"?", PATH, "p1@x:a.json", id="empty-query"),
        pytest.param(PATH.replace(b"a.json", b"%61.json"), PATH, PATH, "p1@x:a.json", id="needless-escape"),
        pytest.param(
            PATH.replace(b"a.json", b"d%c3%a9j%c3%a0"),
            PATH.replace(b"a.json", b"d%C3%A9j%C3%A0"),
            PATH.replace(b"a.json", b"d%C3%A9j%C3%A0"),
            "p1@x:d%C3%A9j%C3%A0",
            id="hex-case",
        ),
        pytest.param(b"http://h" + PATH, PATH, PATH, "p1@x:a.json", id="absolute-form"),
        pytest.param(b"http://H" + PATH + b"?q", PATH + b"?q", PATH, "p1@x:a.json", id="absolute-form-host-case"),
    ],
)
async def test_target(rig: Rig, vera: bytes, target: bytes, line: bytes, path: bytes, *, scope: str) -> None:
    """What is decided, recorded and forwarded is one canonical path; the query passes byte for byte, unrecorded."""
    await rig.say(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"\r\n")
    expected = b"GET " + line + b" HTTP/1.1\r\nHost: h\r\n" + added(target=scope) + b"\r\n"
    assert masked(rig.forwarded) == expected
    record = rig.decisions()[-1]
    assert record["path"] == path.decode()
    assert "?" not in record["path"]


@pytest.mark.parametrize(
    ("framing", "body", "kept", "forwarded"),
    [
        pytest.param(b"Content-Length: 5\r\n", b"hello", b"Content-Length: 5\r\n", b"hello", id="length"),
        pytest.param(b"Content-Length: 0\r\n", b"", b"Content-Length: 0\r\n", b"", id="empty"),
        pytest.param(b"", b"", b"", b"", id="none"),
        pytest.param(
            b"transfer-encoding: Chunked\r\n",
            b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            id="chunked-without-extensions-and-trailers",
        ),
    ],
)
async def test_bodies(rig: Rig, ana: bytes, framing: bytes, body: bytes, kept: bytes, *, forwarded: bytes) -> None:
    """A body is framed anew; what follows it is the next request, however the bytes were cut."""
    head = b"PUT " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + ana + framing + b"\r\n"
    expected = b"PUT " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + kept + added("ana", "write") + b"\r\n"
    cuttings: list[Iterable[int]] = [(), (len(head),), (len(head) + 1,), range(len(head), len(head + body))]
    for cuts in cuttings:
        before = len(rig.forwarded)
        client = await rig.say(head + body + head + body, cuts)
        sent = masked(rig.forwarded[before:])
        if len(sent) == len(expected + forwarded):
            assert sent == expected + forwarded
        else:
            # Cut within the payload, it is framed piece by piece.
            assert sent.startswith(expected)
            assert b"".join(re.findall(rb"1\r\n(.)\r\n", sent.removeprefix(expected))) == b"hello"
        rig.upstream.feed(OK)
        await rig.settle()
        rig.upstream.feed(OK)
        await rig.settle()
        assert client.sent == OK * 2
    assert len(rig.decisions()) == 2 * len(cuttings)
    assert len(rig.pool.opened) == 1


async def test_credentials_passed_on(make_rig: MakeRig, vera: bytes) -> None:
    """`forwarding: {credentials: pass}` forwards the credential as it came."""
    rig = await make_rig(settings={"forwarding": {"credentials": "pass"}})
    await rig.say(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"\r\n")
    assert vera in rig.forwarded


ASSERTION = re.compile(rb"\r\nX-Sidegate-Assertion: ([^\r]+)\r\n")


async def test_assertion(make_rig: MakeRig, issuer: Issuer, vera: bytes, tmp_path: Path) -> None:
    """A configured assertion is signed for each request of somebody, says what the identity headers say, and takes the
    place of whatever the client sent under that name; a public route has none."""
    (tmp_path / "k.pem").write_bytes(issuer.private_pem())
    forwarding = {"assertion": {"issuer": "sidegate", "key": f"file:{tmp_path / 'k.pem'}"}}
    rig = await make_rig(settings={"forwarding": forwarding})
    forged = b"X-Sidegate-Assertion: forged\r\nx_sidegate_assertion: forged\r\n"
    await rig.say(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + forged + b"\r\n")
    (token,) = ASSERTION.findall(rig.forwarded)
    claims = jwt.decode(token, issuer.key.public_key(), ["EdDSA"], audience="http://127.0.0.1:9", issuer="sidegate")
    (record,) = rig.decisions()
    assert claims["exp"] - claims["iat"] == 60
    assert (claims["sub"], claims["organization"]) == ("user:vera", "acme")
    assert (claims["authority"], claims["target"]) == ("read", "p1@x:a.json")
    assert (claims["decision"], claims["revision"]) == (record["id"], record["revision"])
    assert (claims["method"], claims["path"]) == (record["method"], record["path"])
    await rig.say(b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + forged + b"\r\n")
    assert b"ssertion" not in rig.forwarded.rpartition(b"GET /healthz")[2]


async def test_trusted_proxy(make_rig: MakeRig, vera: bytes) -> None:
    """From a trusted proxy the client's address is taken on, recorded and handed up; its protocol and host too."""
    rig = await make_rig(settings={"trusted_proxies": ["192.0.2.0/24"]})
    lines = b"X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n"
    await rig.say(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + lines + b"\r\n")
    assert b"X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n" in rig.forwarded
    assert b"X-Forwarded-Host: www.example\r\n" in rig.forwarded
    assert b"6.6.6.6" not in rig.forwarded
    assert rig.decisions()[-1]["source"] == "203.0.113.9"


async def test_unix_socket_client(rig: Rig, vera: bytes) -> None:
    """A client over a Unix socket has no address; none is made up."""
    client = rig.connect(peer=None)
    await rig.feed(client, b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"\r\n")
    assert b"X-Forwarded-For" not in rig.forwarded
    assert rig.decisions()[-1]["source"] is None


async def test_public_route(rig: Rig) -> None:
    """On a public route no identity is made up; the decision still goes along."""
    await rig.say(b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Sidegate-Account: user:root\r\n\r\n")
    assert rig.forwarded.count(b"X-Sidegate-") == 1
    assert ID.search(rig.forwarded) is not None


async def test_record_identifies(rig: Rig, vera: bytes) -> None:
    """The record holds the request's own ids, its source and what was asked."""
    trace = "0123456789abcdef0123456789abcdef"
    lines = f"X-Request-Id: r-1\r\ntraceparent: 00-{trace}-0123456789abcdef-01\r\n".encode()
    await rig.say(b"GET " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + vera + lines + b"\r\n")
    record = rig.decisions()[-1]
    assert (record["request_id"], record["trace_id"], record["source"]) == ("r-1", trace, CLIENT_ADDRESS)
    assert (record["authority"], record["primitive"], record["target"]) == ("read", "Read", "p1@x:a.json")
    assert record["actor"] == {"account": "user:vera", "type": "user", "chain": []}


GLOB = b"/v1/orgs/acme/projects/p1/branches/x:glob"


@pytest.mark.parametrize(
    ("body", "status", "target"),
    [
        pytest.param(b'{"pattern": "designs/*.json"}', 200, "p1@x:designs", id="prefix-of-literals"),
        pytest.param(b'{"pattern": "**"}', 200, "p1@x", id="whole-branch"),
        pytest.param(b'{"pattern": "a", "pattern": "b"}', 400, None, id="repeated-member"),
        pytest.param(b'{"pattern": 1}', 400, None, id="not-text"),
        pytest.param(b'{"other": "a"}', 400, None, id="missing"),
        pytest.param(b"{", 400, None, id="not-json"),
        pytest.param(b"", 400, None, id="empty"),
    ],
)
async def test_body_decides(rig: Rig, vera: bytes, body: bytes, status: int, target: str | None) -> None:
    """A body that the decision reads is read whole first, then forwarded as it came; unreadable, it is refused."""
    head = b"POST " + GLOB + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"Content-Length: %d\r\n\r\n" % len(body)
    for cuts in ((), (len(head),), range(len(head) - 2, len(head + body))):
        before = len(rig.forwarded)
        client = await rig.say(head + body, cuts)
        if status == 200:
            assert rig.forwarded[before:].endswith(b"\r\n\r\n" + body)
            rig.upstream.feed(OK)
            await rig.settle()
        else:
            assert rig.forwarded[before:] == b""
        assert client.sent.startswith(b"HTTP/1.1 %d " % status)
        assert rig.decisions()[-1]["target"] == target
        assert client.ended == (status != 200)


async def test_chunked_body_decides(rig: Rig, vera: bytes) -> None:
    """A chunked body that the decision reads goes up in chunks, with the same payload."""
    head = b"POST " + GLOB + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"Transfer-Encoding: chunked\r\n\r\n"
    await rig.say(head + b'8\r\n{"patter\r\n7\r\nn":"a"}\r\n0\r\n\r\n', [len(head) + 5])
    _, _, body = rig.forwarded.partition(b"\r\n\r\n")
    assert body == b'f\r\n{"pattern":"a"}\r\n0\r\n\r\n'


async def test_body_that_decides_is_limited(make_rig: MakeRig, vera: bytes) -> None:
    """A body that the decision reads is held up to a limit; beyond it 413, nothing upstream."""
    rig = await make_rig(settings={"limits": {"body_json_bytes": 256}})
    head = b"POST " + GLOB + b" HTTP/1.1\r\nHost: h\r\n" + vera
    for request in (
        head + b"Content-Length: 300\r\n\r\n" + b" " * 300,
        head + b"Transfer-Encoding: chunked\r\n\r\n12c\r\n" + b" " * 300,
    ):
        client = await rig.say(request)
        assert client.sent.startswith(b"HTTP/1.1 413 ")
        assert client.ended
    assert rig.pool.opened == []


async def test_body_that_decides_must_come(rig: Rig, vera: bytes) -> None:
    """A body that the decision reads and that does not come in time is 408; who asks first is told to go on."""
    head = b"POST " + GLOB + b" HTTP/1.1\r\nHost: h\r\n" + vera + b"Content-Length: 15\r\nExpect: 100-continue\r\n\r\n"
    client = await rig.say(head)
    assert client.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    await rig.feed(client, b'{"pattern"')
    await rig.wait(30)
    assert b"HTTP/1.1 408 " in client.sent
    assert rig.pool.opened == []
    assert [record["reason"] for record in rig.decisions()] == ["request_timeout"]


async def test_body_that_the_client_spoilt(rig: Rig, ana: bytes) -> None:
    """The record of how it ended blames the client, not a limit, and says why."""
    head = b"PUT " + PATH + b" HTTP/1.1\r\nHost: h\r\n" + ana + b"Transfer-Encoding: chunked\r\n\r\n"
    client = await rig.say(head + b"2\r\nokx\r\n")
    assert client.sent.startswith(b"HTTP/1.1 400 ")
    assert [(one["ended"], one["reason"]) for one in rig.completions()] == [("client_closed", "ambiguous_framing")]
