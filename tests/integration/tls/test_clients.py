"""Real clients over TLS, real files that are renewed, real signals (spec 2.8, 6.1)."""

import asyncio
import hashlib
import json
import shutil
import signal
import ssl
import subprocess
from pathlib import Path

import aiohttp
import httpx
import pytest
import websockets
from tests.integration.authority import DAY, Authority, Pair
from tests.integration.client import DEADLINE_S
from tests.integration.sidecar import FILES, ROUTE_FILE, Sidecar
from tests.integration.tls.conftest import MakeSecure, connect, request, serial_of
from tests.integration.upstream import Conversation, LoggingUpstream
from tests.integration.waiting import eventually

MIB = 1 << 20
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _curl(sidecar: Sidecar, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["curl", "--silent", "--show-error", "--max-time", "15", "--http1.1", *arguments]
    cookie = f"__session={sidecar.session('vera')}"
    return subprocess.run([*command, "--cookie", cookie], capture_output=True, text=True, check=False)


def test_real_clients(make_secure: MakeSecure, authority: Authority, upstream: LoggingUpstream) -> None:
    """curl, httpx and aiohttp are answered, and the upstream is told https; what is no TLS is told nothing."""
    sidecar = make_secure().start()
    url = f"https://localhost:{sidecar.port}{ROUTE_FILE}"
    done = _curl(sidecar, "--cacert", str(authority.file), url)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    headers = {"Cookie": f"__session={sidecar.session('vera')}"}
    with httpx.Client(verify=authority.client(), headers=headers) as client:
        assert [client.get(url).text for _ in range(3)] == ["ok"] * 3

    async def ask() -> str:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(url, ssl=authority.client()) as answer,
        ):
            return await answer.text()

    assert asyncio.run(ask()) == "ok"
    assert {tuple(upstream.next_request().values("X-Forwarded-Proto")) for _ in range(5)} == {("https",)}
    assert _curl(sidecar, url).returncode == 60  # nobody that curl knows signed it
    plain = _curl(sidecar, url.replace("https:", "http:"))
    assert (plain.returncode, plain.stdout) == (52, "")  # an empty reply
    assert sidecar.metric("sidegate_tls_handshake_failures_total", cause="rejected") == 1
    assert sidecar.metric("sidegate_tls_handshake_failures_total", cause="not_tls") == 1
    assert 29 < sidecar.metric("sidegate_tls_certificate_remaining_seconds", certificate="listen_cert") / 86_400 < 31
    # The admin port is as it was, and so is what asks it.
    assert sidecar.run("health", "--ready", "--address", f"127.0.0.1:{sidecar.admin}").returncode == 0
    assert sidecar.run("check", "--config", str(sidecar.config)).returncode == 0


def _s_client(sidecar: Sidecar, authority: Authority, *arguments: str, said: bytes = b"") -> "subprocess.Popen[bytes]":
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{sidecar.port}", "-CAfile", str(authority.file)]
    running = subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert running.stdin is not None
    running.stdin.write(said)
    running.stdin.flush()
    return running


def test_openssl(make_secure: MakeSecure, authority: Authority) -> None:
    """No TLS 1.1, no renegotiation, no compression; TLS 1.2 with forward secrecy."""
    sidecar = make_secure().start()
    for old in ("-tls1", "-tls1_1"):
        refused = _s_client(sidecar, authority, old, "-cipher", "ALL:@SECLEVEL=0")
        said = refused.communicate(timeout=DEADLINE_S)[0].decode()
        assert "alert protocol version" in said
        assert refused.returncode == 1
    spoken = _s_client(sidecar, authority, "-tls1_2", "-brief")
    said = spoken.communicate(timeout=DEADLINE_S)[0].decode()
    assert "Protocol version: TLSv1.2" in said
    assert "Ciphersuite: ECDHE-ECDSA-" in said
    # `R` on a line of its own asks to renegotiate; the refusal is fatal to this client.
    again = _s_client(sidecar, authority, "-tls1_2", said=b"R\n")
    said = again.communicate(timeout=DEADLINE_S)[0].decode()
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
    assert "Compression: NONE" in said


def test_client_certificates(make_secure: MakeSecure, authority: Authority, tmp_path: Path) -> None:
    """With `client_ca` curl is served only with a certificate of it; another authority is renewed in place."""
    ca = tmp_path / "client-ca.pem"
    shutil.copy(authority.file, ca)
    sidecar = make_secure(tls={"client_ca": str(ca)}).start()
    url = f"https://localhost:{sidecar.port}{ROUTE_FILE}"
    mine = authority.issue("client", ["client"])
    shown = ("--cacert", str(authority.file), "--cert", str(mine.cert), "--key", str(mine.key))
    done = _curl(sidecar, *shown, url)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    assert _curl(sidecar, "--cacert", str(authority.file), url).returncode == 56  # cut after its handshake
    assert sidecar.metric("sidegate_tls_handshake_failures_total", cause="client_certificate") == 1
    draft = tmp_path / "draft.pem"
    draft.write_bytes(Authority(tmp_path / "other", "another authority").file.read_bytes())
    draft.replace(ca)
    eventually(lambda: _curl(sidecar, *shown, url).returncode == 56, "the old authority's clients are refused")


def test_renewal(make_secure: MakeSecure, authority: Authority, pair: Pair) -> None:
    """Workers take a renewed pair without a restart and without losing a connection; a broken one changes nothing."""
    sidecar = make_secure(settings={"workers": 2}).start(workers=2)
    context = authority.client()
    with connect(sidecar, context) as held:
        first = serial_of(held)
        pair.replace(authority.issue("next"))

        def renewed() -> bool:
            with connect(sidecar, context) as client:
                client.send(request(sidecar, ROUTE_FILE))
                assert client.read_response().status == 200
                return serial_of(client) != first

        # Either worker may be asked.
        eventually(lambda: all(renewed() for _ in range(6)), "both workers show the new certificate")
        pair.key.write_text("half a key")
        eventually(
            lambda: sidecar.metric("sidegate_tls_reload_failures_total", use="listen") == 2, "both workers refuse it"
        )
        assert all(renewed() for _ in range(4))
        held.send(request(sidecar, ROUTE_FILE))
        assert held.read_response().status == 200
    events = [event for event in sidecar.events() if event["part"] == "tls"]
    assert sorted(event["event"] for event in events) == ["tls_renewal_rejected"] * 2 + ["tls_renewed"] * 2
    (problem,) = events[-1]["problems"]
    assert problem.startswith(f"`listen.tls.key` is {pair.key}, which holds no private key in PEM")
    assert sidecar.stop() == 0


def test_expired_is_said(make_secure: MakeSecure, authority: Authority, pair: Pair) -> None:
    """A certificate that has expired is warned of in the log and by `check`, and told by the metric."""
    pair.replace(authority.issue("old", begins=-3 * DAY, ends=-DAY))
    sidecar = make_secure().start()
    (event,) = [event for event in sidecar.events() if event["event"] == "certificate_expiry_noticed"]
    assert "has expired on" in event["problem"]
    assert sidecar.metric("sidegate_tls_certificate_remaining_seconds", certificate="listen_cert") < 0
    found = json.loads(sidecar.run("check", "--config", str(sidecar.config), "-o", "json").stdout)
    assert found["ok"]
    assert [warning["key"] for warning in found["warnings"]] == ["listen.tls.cert"]


def test_does_not_start(make_secure: MakeSecure, pair: Pair) -> None:
    """Files that cannot be used are said, and nothing listens."""
    sidecar = make_secure()
    pair.key.unlink()
    sidecar.launch()
    assert sidecar.wait() == 78
    said = sidecar.log.read_text()
    assert "`listen.tls.key`" in said
    assert "Traceback" not in said
    assert "listener_opened" not in said


def test_streams(make_secure: MakeSecure, authority: Authority, upstream: LoggingUpstream) -> None:
    """Large bodies and events go through TLS on both sides as they are; a signal ends what lasts in order."""
    block = bytes(range(256)) * 256
    big = 16 * MIB
    digest = hashlib.sha256(block * (big // len(block))).hexdigest()

    def script(conversation: Conversation) -> None:
        head = conversation.read_head()
        assert head is not None
        if head.startswith(b"PUT "):
            took = hashlib.sha256(conversation.read_exactly(big)).hexdigest().encode()
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + took)
        elif b"/events" in head:
            conversation.send(EVENTS + b"e\r\ndata: first\n\n\n\r\n")
            conversation.receive()  # until somebody ends it
        else:
            conversation.send(b"HTTP/1.1 200 OK\r\n\r\n")  # until the end of the connection
            for _ in range(big // len(block)):
                conversation.send(block)
            conversation._socket.unwrap()  # type: ignore[attr-defined]  # or nobody knows that it is whole

    upstream.script = script
    upstream.tls = authority.server(authority.issue("upstream"))
    sidecar = make_secure(
        upstream=upstream.url.replace("http:", "https:"),
        settings={"limits": {"drain_timeout_ms": 200}, "upstream": {"tls": {"ca": str(authority.file)}}},
    ).start()
    context = authority.client()
    with connect(sidecar, context) as client:
        client.send(request(sidecar, f"{FILES}/big", f"Content-Length: {big}", who="ana", method="PUT"))
        # Not by another thread: one connection of OpenSSL is not for two at once, and the answer is small.
        client.send(block * (big // len(block)))
        assert client.read_response().body.decode() == digest
    with connect(sidecar, context) as client:
        client.send(request(sidecar, f"{FILES}/big"))
        whole = client.read_response()  # the end of the connection is its end, and was told as such
        assert hashlib.sha256(whole.body).hexdigest() == digest
    with connect(sidecar, context) as client:
        client.send(request(sidecar, f"{FILES}/events"))
        client.read_until(b"data: first")
        sidecar.signal(signal.SIGTERM)
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            client.read_to_end()
    assert sidecar.wait() == 0


def test_websocket(make_secure: MakeSecure, authority: Authority, upstream: LoggingUpstream) -> None:
    """A WebSocket over TLS on both sides, with real ends, is told when the sidecar ends."""
    del upstream

    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def talk() -> int:
        mine = authority.server(authority.issue("upstream"))
        async with websockets.serve(echo, "127.0.0.1", 0, ssl=mine) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            settings = {"upstream": {"tls": {"ca": str(authority.file)}}}
            made = make_secure(upstream=f"https://127.0.0.1:{port}", settings=settings)
            sidecar = await asyncio.to_thread(made.start)
            headers = {"Cookie": f"__session={sidecar.session('vera')}"}
            url = f"wss://localhost:{sidecar.port}/v1/orgs/acme/live"
            async with websockets.connect(url, ssl=authority.client(), additional_headers=headers) as client:
                for message in ("text", b"bytes" * 50_000):
                    await client.send(message)
                    assert await client.recv() == message
                sidecar.signal(signal.SIGTERM)
                await client.wait_closed()
                assert client.close_code == 1001
            return await asyncio.to_thread(sidecar.wait)

    assert asyncio.run(talk()) == 0
