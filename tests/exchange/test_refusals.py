"""Requests that cannot be read in one way: one answer, one record, nothing upstream, nothing read after (spec 2)."""

import gc
import json
from collections.abc import Iterable

import pytest
from tests.exchange.conftest import MakeRig
from tests.exchange.rig import MemoryTransport, Rig, bytewise

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.proxy.exchange import Exchange

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
GET = b"GET " + PATH + b" HTTP/1.1\r\n"
HOST = b"Host: gate.example\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"


def read_answer(client: MemoryTransport) -> tuple[int, str, dict[str, str], bytes]:
    """Read the one answer that *client* got: status, reason, fields, whatever follows it."""
    head, _, rest = bytes(client.sent).partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    fields = dict(field.split(": ", 1) for field in lines)
    length = int(fields["Content-Length"])
    problem = json.loads(rest[:length])
    assert problem["status"] == int(line.split()[1])
    return problem["status"], problem["reason"], fields, rest[length:]


MALFORMED = (400, "malformed_request")
FRAMING = (400, "ambiguous_framing")
PATHS = (400, "ambiguous_path")
LONG = PATH + b"x" * 8200

# {head} is the request line, Host and a good cookie; every row is one class of spec 2.1 to 2.3.
ROWS = [
    pytest.param(b"GET " + PATH + b"\r\n" + HOST + b"{c}\r\n", MALFORMED, id="no-version"),
    pytest.param(b"GET  " + PATH + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="two-spaces"),
    pytest.param(b"GET " + PATH + b" HTTP/1.1 \r\n" + HOST + b"{c}\r\n", MALFORMED, id="blank-after-version"),
    pytest.param(b"GET " + PATH + b" HTTP/2.0\r\n" + HOST + b"{c}\r\n", (505, "version_not_supported"), id="2.0"),
    pytest.param(b"GET " + PATH + b" HTTP/0.9\r\n" + HOST + b"{c}\r\n", (505, "version_not_supported"), id="0.9"),
    pytest.param(b"get " + PATH + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="lower-case-method"),
    pytest.param(b"FETCH " + PATH + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="unknown-method"),
    pytest.param(b"CONNECT gate:80 HTTP/1.1\r\n" + HOST + b"{c}\r\n", (405, "method_not_allowed"), id="connect"),
    pytest.param(b"TRACE " + PATH + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", (405, "method_not_allowed"), id="trace"),
    pytest.param(b"GET * HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="asterisk-of-get"),
    pytest.param(b"GET http://other" + PATH + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="other-host"),
    pytest.param(b"GET v1/orgs HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="no-slash"),
    pytest.param(b"GET " + PATH + b"#x HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="fragment"),
    pytest.param(b"GET " + PATH + b"\x01 HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="control-in-target"),
    pytest.param(b"GET " + PATH + b"\xe9 HTTP/1.1\r\n" + HOST + b"{c}\r\n", MALFORMED, id="high-byte-in-target"),
    pytest.param(b"GET " + LONG + b" HTTP/1.1\r\n" + HOST + b"{c}\r\n", (414, "target_too_long"), id="414"),
    pytest.param(GET + b"{c}\r\n", MALFORMED, id="no-host"),
    pytest.param(GET + HOST + HOST + b"{c}\r\n", MALFORMED, id="two-hosts"),
    pytest.param(GET + b"Host: a b\r\n{c}\r\n", MALFORMED, id="host-with-blank"),
    pytest.param(GET + HOST + b"{c}X : y\r\n\r\n", MALFORMED, id="blank-before-colon"),
    pytest.param(GET + HOST + b"{c}X: y\r\n z\r\n\r\n", MALFORMED, id="folded"),
    pytest.param(GET + HOST + b"{c}X: y\n\r\n", MALFORMED, id="bare-lf"),
    pytest.param(GET + HOST + b"{c}X: y\rZ: w\r\n\r\n", MALFORMED, id="bare-cr"),
    # Two things wrong at once: what is said may not depend on which of them arrived first.
    pytest.param(b"GET " + PATH + b" HTTP/2.0\r\n" + HOST + b"X: y\nz\r\n\r\n", MALFORMED, id="2.0-and-bare-lf"),
    pytest.param(b"TRACE " + PATH + b" HTTP/1.1\r\n" + HOST + b"X: y\nz\r\n\r\n", MALFORMED, id="trace-and-bare-lf"),
    pytest.param(b"GET " + LONG + b" HTTP/1.1\r\n" + HOST + b"X: y\rz\r\n\r\n", MALFORMED, id="414-and-bare-cr"),
    pytest.param(GET + HOST + b"X: y\r\n" * 101 + b"X: y\nz\r\n\r\n", MALFORMED, id="101-headers-and-bare-lf"),
    pytest.param(GET + HOST + b"Content-Length: +1\r\nX: y\nz\r\n\r\n", MALFORMED, id="signed-length-and-bare-lf"),
    pytest.param(GET + HOST + b"{c}X: \x00\r\n\r\n", MALFORMED, id="nul"),
    pytest.param(GET + HOST + b"{c}: y\r\n\r\n", MALFORMED, id="no-name"),
    pytest.param(GET + HOST + b"{c}X(): y\r\n\r\n", MALFORMED, id="name-not-a-token"),
    pytest.param(GET + HOST + b"{c}X: \x1f\r\n\r\n", MALFORMED, id="control-in-value"),
    pytest.param(b"\r\n" + GET + HOST + b"{c}\r\n", MALFORMED, id="empty-line-first"),
    pytest.param(GET.replace(b"\r\n", b"\n") + HOST + b"{c}\r\n", MALFORMED, id="bare-lf-after-the-line"),
    pytest.param(GET + HOST + b"{c}" + b"X: y\r\n" * 99 + b"\r\n", (431, "head_too_large"), id="101-headers"),
    pytest.param(GET + HOST + b"{c}X: " + b"y" * 33000 + b"\r\n\r\n", (431, "head_too_large"), id="long-head"),
    pytest.param(GET + HOST + b"{c}Expect: the-worst\r\n\r\n", (417, "expectation_failed"), id="expectation"),
    pytest.param(
        GET + HOST + b"{c}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMING, id="length-and-coding"
    ),
    pytest.param(GET + HOST + b"{c}Content-Length: 1\r\nContent-Length: 1\r\n\r\n", FRAMING, id="two-lengths"),
    pytest.param(GET + HOST + b"{c}Content-Length: 1,1\r\n\r\n", FRAMING, id="length-list"),
    pytest.param(GET + HOST + b"{c}Content-Length: +1\r\n\r\n", FRAMING, id="signed-length"),
    pytest.param(GET + HOST + b"{c}Content-Length: 01\r\n\r\n", FRAMING, id="leading-zero"),
    pytest.param(GET + HOST + b"{c}Transfer-Encoding: gzip, chunked\r\n\r\n", FRAMING, id="coding-list"),
    pytest.param(GET + HOST + b"{c}Transfer-Encoding: identity\r\n\r\n", FRAMING, id="identity"),
    pytest.param(
        b"POST " + PATH + b" HTTP/1.0\r\n" + HOST + b"{c}Transfer-Encoding: chunked\r\n\r\n",
        FRAMING,
        id="chunked-on-1.0",
    ),
    pytest.param(GET + HOST + b"{c}Connection: close, Host\r\n\r\n", MALFORMED, id="connection-names-host"),
    pytest.param(GET + HOST + b"{c}Connection: X-Sidegate-Account\r\n\r\n", MALFORMED, id="connection-names-identity"),
    pytest.param(GET.replace(b"/a.json", b"//a.json") + HOST + b"{c}\r\n", PATHS, id="empty-segment"),
    pytest.param(GET.replace(b"/a.json", b"/../a.json") + HOST + b"{c}\r\n", PATHS, id="dot-dot"),
    pytest.param(GET.replace(b"/a.json", b"/%2e%2e/a.json") + HOST + b"{c}\r\n", PATHS, id="encoded-dot-dot"),
    pytest.param(GET.replace(b"/a.json", b"/a%2Fb") + HOST + b"{c}\r\n", PATHS, id="encoded-slash"),
    pytest.param(GET.replace(b"/a.json", b"/a%5Cb") + HOST + b"{c}\r\n", PATHS, id="encoded-backslash"),
    pytest.param(GET.replace(b"/a.json", b"/a%252e") + HOST + b"{c}\r\n", PATHS, id="encoded-percent"),
    pytest.param(GET.replace(b"/a.json", b"/a;b") + HOST + b"{c}\r\n", PATHS, id="semicolon"),
    pytest.param(GET.replace(b"/a.json", b"/a%00") + HOST + b"{c}\r\n", PATHS, id="encoded-nul"),
    pytest.param(GET.replace(b"/a.json", b"/a%zz") + HOST + b"{c}\r\n", PATHS, id="broken-escape"),
    pytest.param(GET.replace(b"/a.json", b"/a%ff") + HOST + b"{c}\r\n", PATHS, id="not-utf-8"),
    pytest.param(GET.replace(b"/a.json", b"/e%CC%81") + HOST + b"{c}\r\n", PATHS, id="not-nfc"),
    pytest.param(GET + HOST + b"{c}{c}\r\n", (401, "ambiguous_credential"), id="two-sessions"),
    pytest.param(GET + HOST + b"{c}Authorization: Bearer x\r\n\r\n", (401, "ambiguous_credential"), id="bearer-too"),
    pytest.param(
        GET + HOST + b"Authorization: Basic a\r\nAuthorization: Basic a\r\n\r\n",
        (401, "ambiguous_credential"),
        id="two-authorizations",
    ),
    pytest.param(
        GET + HOST + b"{c}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n",
        MALFORMED,
        id="old-websocket",
    ),
    pytest.param(
        b"POST" + GET[3:] + HOST + b"{c}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        MALFORMED,
        id="websocket-by-post",
    ),
    pytest.param(
        GET + HOST + b"{c}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 1\r\n\r\n",
        MALFORMED,
        id="websocket-with-body",
    ),
]


@pytest.mark.parametrize(("raw", "verdict"), ROWS)
async def test_refused(rig: Rig, vera: bytes, raw: bytes, verdict: tuple[int, str]) -> None:
    """Status and reason do not depend on the cuts; nothing after it is read; nothing goes upstream; one record each."""
    request = raw.replace(b"{c}", vera)
    cuttings: list[Iterable[int]] = [(), bytewise(request), (len(request) - 1,), (1,), (len(request) // 2,)]
    for number, cuts in enumerate(cuttings, 1):
        client = await rig.say(request + SECOND, cuts)
        status, reason, fields, rest = read_answer(client)
        assert ((status, reason), rest) == (verdict, b"")
        assert fields["Connection"] == "close"
        assert client.ended
        records = rig.decisions()
        assert len(records) == number
        assert (records[-1]["outcome"], records[-1]["reason"]) == ("deny", reason)
        # What still comes is thrown away, and the connection is over after a while at the latest.
        await rig.feed(client, SECOND)
        assert len(rig.decisions()) == number
        await rig.wait(3)
        assert client.closed
    assert rig.pool.opened == []


@pytest.mark.parametrize(
    ("body", "chunked"),
    [
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n" + SECOND, True, id="chunked"),
        pytest.param(b"hello" + SECOND, False, id="length"),
    ],
)
async def test_unread_body_is_no_request(rig: Rig, vera: bytes, body: bytes, chunked: bool) -> None:
    """The body of a refused request is never taken for the next request: the connection closes."""
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: 5\r\n"
    client = await rig.say(b"PUT" + GET[3:] + HOST + vera + framing + b"\r\n" + body)
    status, reason, fields, rest = read_answer(client)
    assert (status, reason, fields["Connection"], rest) == (403, "not_granted", "close", b"")
    assert len(rig.decisions()) == 1


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        pytest.param(GET + HOST + b"\r\n", 401, "no_credential", id="no-credential"),
        pytest.param(GET.replace(b"/p1/", b"/p9/") + HOST + b"{c}\r\n", 403, "no_grant", id="no-grant"),
        pytest.param(GET.replace(b"/acme/", b"/globex/") + HOST + b"{c}\r\n", 403, "cross_org", id="cross-org"),
        pytest.param(b"GET /nowhere HTTP/1.1\r\n" + HOST + b"{c}\r\n", 403, "unmapped_route", id="unmapped"),
        pytest.param(GET + HOST + b"Cookie: __session=a.b.c\r\n\r\n", 401, "invalid_credential", id="junk-token"),
    ],
)
async def test_connection_outlives_a_refusal(rig: Rig, vera: bytes, request_: bytes, status: int, reason: str) -> None:
    """A request that was read whole and is refused by policy leaves the connection open for the next."""
    request = request_.replace(b"{c}", vera)
    client = await rig.say(request + request)
    head, _, _ = bytes(client.sent).partition(b"\r\n\r\n")
    assert b"Connection: close" not in head
    assert bytes(client.sent).count(b"HTTP/1.1 %d " % status) == 2
    assert [record["reason"] for record in rig.decisions()] == [reason, reason]
    assert not client.ended


async def test_hidden(make_rig: MakeRig, vera: bytes) -> None:
    """Hidden reasons are answered as 404 that looks the same for both; the record keeps the truth."""
    rig = await make_rig(settings={"hide": ["cross_org", "no_grant"]})
    answers = []
    for place in (b"/orgs/globex/projects/g1/", b"/orgs/acme/projects/p9/"):
        client = await rig.say(GET.replace(b"/orgs/acme/projects/p1/", place) + HOST + vera + b"\r\n")
        decision = rig.decisions()[-1]["id"].encode()
        answers.append(bytes(client.sent).replace(decision, b"ID"))
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 404 ")
    assert [record["reason"] for record in rig.decisions()] == ["cross_org", "no_grant"]


async def test_minimal_detail(make_rig: MakeRig, vera: bytes) -> None:
    """`problem_detail: minimal` leaves authority and target out of answers."""
    rig = await make_rig(settings={"problem_detail": "minimal"})
    client = await rig.say(GET.replace(b"/p1/", b"/p9/") + HOST + vera + b"\r\n")
    problem = json.loads(bytes(client.sent).partition(b"\r\n\r\n")[2])
    assert (problem["reason"], "target" in problem, "authority" in problem) == ("no_grant", False, False)


async def test_head_has_no_body(rig: Rig, vera: bytes) -> None:
    """The refusal of a HEAD says the length of its body and sends none, so that the next answer is found."""
    head = b"HEAD" + GET.replace(b"/p1/", b"/p9/")[3:] + HOST + vera + b"\r\n"
    client = await rig.say(head + head)
    answers = bytes(client.sent).split(b"\r\n\r\n")
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 403", b"HTTP/1.1 403", b""]


async def test_body_too_large(make_rig: MakeRig, ana: bytes) -> None:
    """A body beyond the limit is 413: at once where its length is said, else as soon as it is exceeded."""
    rig = await make_rig(settings={"limits": {"max_body_bytes": 10}})
    put = b"PUT" + GET[3:] + HOST + ana
    said = await rig.say(put + b"Content-Length: 11\r\n\r\n")
    assert read_answer(said)[:2] == (413, "body_too_large")
    assert rig.pool.opened == []
    grown = await rig.say(put + b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n")
    assert rig.upstream.sent.endswith(b"6\r\nabcdef\r\n")
    await rig.feed(grown, b"6\r\nghijkl\r\n")
    assert read_answer(grown)[:2] == (413, "body_too_large")
    assert rig.upstream.aborted
    assert b"ghijkl" not in rig.forwarded


async def test_too_many_connections(make_rig: MakeRig, vera: bytes) -> None:
    """A connection beyond the limit is told 503 and closed; one that ends makes room."""
    rig = await make_rig(settings={"limits": {"connections": 2}})
    clients = [rig.connect() for _ in range(3)]
    await rig.settle()
    assert read_answer(clients[2])[:2] == (503, "overloaded")
    assert clients[2].closed
    clients[0].drop(None)
    await rig.settle()
    client = await rig.say(GET + HOST + b"\r\n")
    assert client.sent.startswith(b"HTTP/1.1 401 ")


async def test_too_many_in_flight(make_rig: MakeRig, vera: bytes) -> None:
    """A request beyond the limit is 503 `overloaded` with Retry-After; it is recorded; a finished one makes room."""
    rig = await make_rig(settings={"limits": {"in_flight": 1}})
    request = GET + HOST + vera + b"\r\n"
    first = await rig.say(request)
    second = await rig.say(request)
    assert read_answer(second)[:2] == (503, "overloaded")
    assert [record["reason"] for record in rig.decisions()] == ["granted", "overloaded"]
    rig.upstream.feed(b"HTTP/1.1 204 No\r\n\r\n")
    await rig.settle()
    assert first.sent.startswith(b"HTTP/1.1 204 ")
    await rig.say(request)
    assert rig.decisions()[-1]["reason"] == "granted"


async def test_record_says_whose_credential_was_refused(rig: Rig, vera: bytes) -> None:
    """Once its signature held, a refused session's record says account, session and organization (spec 5.5); of a token
    that does not verify it says nothing."""
    request = GET + HOST + vera + b"\r\n"
    rig.state.revoke(Revoked(RevokedKind.ACCOUNT, "user:vera", UnixMillis(rig.clock.now() + 1000)))
    forged = request.replace(b"\r\n\r\n", b"AAAA\r\n\r\n")
    for _ in range(2):
        assert read_answer(await rig.say(request))[:2] == (401, "session_revoked")
        assert read_answer(await rig.say(forged))[:2] == (401, "invalid_credential")
    for record in rig.decisions()[::2]:
        assert record["reason"] == "session_revoked"
        assert record["actor"] == {"account": "user:vera", "type": "user", "chain": []}
        assert record["credential"]["kind"] == "session"
        assert record["credential"]["id"]
        assert record["org"] == "acme"
        assert record["path"] == PATH.decode()
    for record in rig.decisions()[1::2]:
        assert (record["actor"], record["credential"], record["org"]) == (None, None, None)


async def test_deadline_passes_again_while_recorded(rig: Rig, vera: bytes) -> None:
    """However long the record of a refusal takes to be written, there is one record and one answer."""
    client = await rig.say(GET + HOST)
    # All ticks of a minute before the loop turns: nothing is written meanwhile.
    rig.time.advance(60)
    await rig.settle()
    assert read_answer(client)[:2] == (408, "request_timeout")
    assert [record["reason"] for record in rig.decisions()] == ["request_timeout"]


async def test_refusals_hold_nothing(rig: Rig, vera: bytes) -> None:
    """Refusing the same request again and again keeps nothing of the requests before."""
    request = GET.replace(b"/a.json", b"/a%2Fb") + HOST + vera + b"\r\n"
    for _ in range(20):
        await rig.say(request)
        await rig.wait(3)
    gc.collect()
    assert sum(isinstance(found, Exchange) for found in gc.get_objects()) <= 1
