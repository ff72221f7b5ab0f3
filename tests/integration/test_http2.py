"""Real clients that speak HTTP/2 to a real sidecar, over TLS and without (RFC 9113, RFC 7301)."""

import hashlib
import json
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from scripts.issuer import Issuer
from tests.integration.authority import Authority
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, Sidecar
from tests.integration.upstream import Conversation, LoggingUpstream
from tests.integration.waiting import eventually

BIG = bytes(range(256)) * 8192


def answer_with_what_came(conversation: Conversation) -> None:
    """Answer with the digest of the request's body, or with two MiB for a path that ends in ``big``."""
    while (request := conversation.read_request()) is not None:
        path = request.line.split(b" ")[1]
        body = BIG if path.endswith(b"big") else hashlib.sha256(request.body).hexdigest().encode()
        if request.line.startswith(b"HEAD"):
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        elif path.endswith(b"chunked"):
            conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            conversation.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the sidecar's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def echo() -> Iterator[LoggingUpstream]:
    """Return an upstream that answers with what it got."""
    upstream = LoggingUpstream(answer_with_what_came)
    yield upstream
    upstream.close()
    assert upstream.failures == []


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, echo: LoggingUpstream, authority: Authority
) -> Iterator[Sidecar]:
    """Return a sidecar that speaks TLS, with nothing said about HTTP/2."""
    pair = authority.issue("gate")
    listen = {"address": "127.0.0.1:0", "tls": {"cert": str(pair.cert), "key": str(pair.key)}}
    sidecar = Sidecar(tmp_path_factory.mktemp("secure"), echo.url, issuer, settings={"listen": listen})
    yield sidecar.start()
    sidecar.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, echo: LoggingUpstream) -> Iterator[Sidecar]:
    """Return a sidecar that takes HTTP/2 without TLS."""
    listen = {"address": "127.0.0.1:0", "protocols": ["http/1.1", "h2c"]}
    sidecar = Sidecar(tmp_path_factory.mktemp("plain"), echo.url, issuer, settings={"listen": listen})
    yield sidecar.start()
    sidecar.close()


def run(*command: str, stdin: bytes = b"") -> str:
    """Run a client and return what it printed."""
    assert shutil.which(command[0]), f"{command[0]} is not installed; `make test` installs it"
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def cookie(sidecar: Sidecar, who: str) -> str:
    """Return the value of a Cookie header."""
    return f"__session={sidecar.session(who)}"


def test_curl_over_tls(secure: Sidecar, authority: Authority, tmp_path: Path) -> None:
    """curl is offered HTTP/2 and takes it: downloads, uploads, refusals; HTTP/1.1 for who wants that."""
    base = f"https://localhost:{secure.port}{FILES}"
    curl = ("curl", "--silent", "--cacert", str(authority.file), "-H", f"Cookie: {cookie(secure, 'ana')}")
    told = ("-w", " %{http_version} %{http_code}")
    body = tmp_path / "body"
    body.write_bytes(BIG)
    assert run(*curl, *told, "-T", str(body), f"{base}/a") == f"{hashlib.sha256(BIG).hexdigest()} 2 200"
    assert run(*curl, *told, "--http1.1", f"{base}/chunked").endswith(" 1.1 200")
    assert run(*curl, *told, f"{base}/chunked").endswith(" 2 200")
    assert len(run(*curl, "-o", str(tmp_path / "big"), f"{base}/big")) == 0
    assert (tmp_path / "big").read_bytes() == BIG
    assert " 2 403" in run(
        *curl, *told, f"https://localhost:{secure.port}/v1/orgs/globex/projects/g1/branches/x/files/a"
    )


@pytest.mark.parametrize(
    ("flag", "version"), [("--http2-prior-knowledge", "2"), ("--http2", "1.1"), ("--http1.1", "1.1")]
)
def test_curl_without_tls(plain: Sidecar, flag: str, version: str) -> None:
    """HTTP/2 without TLS is for who begins with it; an upgrade to it is not made (spec 2.3)."""
    url = f"http://127.0.0.1:{plain.port}{FILES}/a"
    printed = run(
        "curl", "--silent", flag, "-w", " %{http_version} %{http_code}", "-H", f"Cookie: {cookie(plain, 'ana')}", url
    )
    assert printed == f"{hashlib.sha256(b'').hexdigest()} {version} 200"


def test_off_unless_wished_for(make_sidecar: MakeSidecar) -> None:
    """Without TLS nobody speaks HTTP/2 unless the settings say so: its preface is a request of an unknown version."""
    sidecar = make_sidecar().start()
    with sidecar.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        assert client.read_response().status == 505
    with sidecar.log.open() as log:
        assert "http2" not in log.read()


def test_many_at_once(secure: Sidecar, authority: Authority) -> None:
    """httpx asks for two hundred things on one connection, some refused; each gets its own answer and record."""
    before = len(secure.decisions())
    context = ssl.create_default_context(cafile=str(authority.file))
    with httpx.Client(http2=True, verify=context, base_url=f"https://localhost:{secure.port}") as client:
        cookies = {who: {"cookie": cookie(secure, who)} for who in ("ana", "vera")}
        for number in range(100):
            assert client.get(f"{FILES}/{number}", headers=cookies["vera"]).status_code == 200
            put = client.put(f"{FILES}/{number}", headers=cookies["vera"], content=b"x")
            assert (put.status_code, put.json()["reason"], put.http_version) == (403, "not_granted", "HTTP/2")
        done = client.put(f"{FILES}/a", headers=cookies["ana"], content=BIG)
        assert done.text == hashlib.sha256(BIG).hexdigest()
        assert client.head(f"{FILES}/big", headers=cookies["ana"]).headers["content-length"] == str(len(BIG))
    outcomes = [record["outcome"] for record in secure.decisions()[before:]]
    assert (outcomes.count("allow"), outcomes.count("deny")) == (102, 100)


NODE = """
const http2 = require('node:http2'), fs = require('node:fs');
const [origin, ca, cookie, path] = process.argv.slice(1);
const session = http2.connect(origin, { ca: fs.readFileSync(ca) });
const ask = (headers, body) => new Promise((resolve, reject) => {
  const stream = session.request({ cookie, ...headers });
  let status = 0, length = 0;
  stream.on('response', (fields) => { status = fields[':status']; });
  stream.on('data', (piece) => { length += piece.length; });
  stream.on('end', () => resolve([status, length]));
  stream.on('error', reject);
  stream.end(body);
});
Promise.all([
  ask({ ':path': path + '/big' }),
  ask({ ':path': path + '/a', ':method': 'PUT' }, Buffer.alloc(1000000)),
  ask({ ':path': path + '/b', ':method': 'PUT', 'content-length': 5 }, 'hello'),
  ask({ ':path': path + '/../a' }),
  ask({ ':path': '/nowhere' }),
]).then((answers) => { console.log(JSON.stringify(answers)); session.close(); });
"""


@pytest.mark.slow
def test_node(secure: Sidecar, authority: Authority) -> None:
    """Node's client, several streams at once: large both ways, refused ones among them."""
    origin = f"https://localhost:{secure.port}"
    printed = run("node", "-e", NODE, origin, str(authority.file), cookie(secure, "ana"), FILES)
    answers = json.loads(printed)
    assert [status for status, _ in answers] == [200, 200, 200, 400, 403]
    assert [length for _, length in answers[:3]] == [len(BIG), 64, 64]


def test_nghttp(plain: Sidecar) -> None:
    """nghttp2's client, with its priorities and its padding; nothing that it calls an error."""
    base = f"http://127.0.0.1:{plain.port}{FILES}"
    paths = [f"{base}/{name}" for name in ("a", "big", "chunked")]
    printed = run("nghttp", "--null-out", "--stat", "--padding=64", "-H", f"cookie: {cookie(plain, 'ana')}", *paths)
    assert printed.count(" 200 ") == 3


def test_h2load(plain: Sidecar) -> None:
    """A thousand requests on two connections, fifty at a time."""
    url = f"http://127.0.0.1:{plain.port}{FILES}/a"
    printed = run("h2load", "-n", "1000", "-c", "2", "-m", "50", "-H", f"cookie: {cookie(plain, 'ana')}", url)
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in printed
    eventually(lambda: plain.metric("sidegate_connections") == 0, "no connection is left")
    assert plain.metric("sidegate_requests_in_flight") == 0


def test_grpc_is_refused(secure: Sidecar, authority: Authority) -> None:
    """A client of gRPC is told in its own terms that this is not possible, and what to do."""
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(f"localhost:{secure.port}", credentials) as channel:
        call = channel.unary_unary("/package.Service/Method")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"hello", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "gRPC-Web" in caught.value.details()


def test_drain_without_loss(make_sidecar: MakeSidecar, echo: LoggingUpstream) -> None:
    """SIGTERM under load: what a client was not told to ask elsewhere is answered (spec 2.8)."""
    sidecar = make_sidecar(
        upstream=echo.url, settings={"listen": {"address": "127.0.0.1:0", "protocols": ["http/1.1", "h2c"]}}
    )
    sidecar.start()
    command = [sys.executable, "-c", DRAINED, str(sidecar.port), FILES, cookie(sidecar, "ana")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "begun\n"
        sidecar.signal(signal.SIGTERM)
        assert client.stdout.readline() == "told\n"
        rest = client.stdout.read()
    assert rest.startswith("answered "), rest
    asked, answered = (int(word) for word in rest.split()[1:])
    assert asked == answered >= 50
    assert sidecar.wait() == 0
    assert sidecar.events()[-1]["event"] != "connections_cut"


# Asks for more and more until it is told to go, then reads what it was promised.
DRAINED = """
import socket, sys
import h2.connection, h2.events
port, files, cookie = int(sys.argv[1]), sys.argv[2], sys.argv[3]
connection = h2.connection.H2Connection()
connection.initiate_connection()
end = socket.create_connection(("127.0.0.1", port), timeout=30)
number, answered, asked, last = 1, set(), 0, None

def ask():
    global number, asked
    connection.send_headers(number, [(":method", "GET"), (":scheme", "http"), (":authority", "h"),
                                     (":path", f"{files}/{number}"), ("cookie", cookie)], end_stream=True)
    number += 2
    asked += 1

def take(data):
    global last
    # The engine would not send behind a GOAWAY frame.
    held = bytearray(data)
    for event in connection.receive_data(data):
        if isinstance(event, h2.events.StreamEnded):
            answered.add(event.stream_id)
            if last is None:
                ask()
            if len(answered) == 50:
                print("begun", flush=True)

buffer = b""
for _ in range(10):
    ask()
end.sendall(connection.data_to_send())
while True:
    try:
        data = end.recv(65536)
    except ConnectionResetError:
        data = b""
    if not data:
        break
    buffer += data
    whole = b""
    while len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
        one, buffer = buffer[:size], buffer[size:]
        if one[3] == 7:
            if last is None:
                print("told", flush=True)
            last = int.from_bytes(one[9:13], "big")
        else:
            whole += one
    take(whole)
    end.sendall(connection.data_to_send())
print("answered", asked, len(answered))
"""
