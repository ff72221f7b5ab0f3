"""What may stop the loop within one sidecar: garbage, policy, records, the admin port, connections.

Each function sets one cause up; its docstring is what the table calls it.
"""

import contextlib
import itertools
import json
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from loadtests.pause_stage import (
    HttpServer,
    Scene,
    Stage,
    Watched,
    admin_get,
    admin_post,
    bulk_policy,
    close_all,
    open_many,
)
from loadtests.variants import read_gauge, replace_file
from loadtests.workload import ORG, PARTY, ROUTES, SCENARIOS, Workload

_LIMITS: Final = {"limits": {"connections": 12_000, "idle_timeout_ms": 600_000}}
_CONNECTIONS: Final = 10_000
_FILE_BINDINGS: Final = 10_000
_LOADED_WITHIN_S: Final = 300.0
_SMALL_SEGMENT: Final = 65_536
_EVALUATIONS: Final = 1000


def quiet(stage: Stage) -> Scene:
    """nothing but the load"""
    return Scene(Watched(stage, "quiet"), lambda: stage.pace(0.1))


# --- garbage ---


def garbage(stage: Stage) -> Scene:
    """garbage: other paths, headers, connections and scrapes, 100,000 bindings loaded"""
    peer = _with_policy(stage, "garbage", 100_000)
    numbers = itertools.count()

    def provoke() -> None:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as client:
            for _ in range(20):
                path = f"/v1/acme/p7/x/designs/{next(numbers)}.json"
                client.sendall(_get(peer.workload, path, f"traceparent: 00-{next(numbers):032x}-{1:016x}-01\r\n"))
                client.recv(65536)
        admin_get(peer, "/metrics")
        admin_get(peer, "/v1/snapshot")

    return Scene(peer, provoke)


# --- policy ---


def policy_small(stage: Stage) -> Scene:
    """policy of the load itself (1,000 bindings) changes"""
    peer = Watched(stage, "policy-small")
    text = peer.policy_file.read_text()
    return Scene(peer, _changing(stage, peer, peer.policy_file, lambda turn: f"{text}{_more(turn)}"))


def policy_folder(stage: Stage) -> Scene:
    """one file of many changes (10,000 bindings of --bindings)"""
    peer = _with_policy(stage, "policy-folder", stage.bindings)
    changing = peer.policy / "bulk0.yaml"
    return Scene(peer, _changing(stage, peer, changing, lambda turn: bulk_policy("bulk0", _FILE_BINDINGS, turn)))


def policy_large(stage: Stage) -> Scene:
    """one organization with 100,000 bindings changes"""
    peer = Watched(stage, "policy-large")
    peer.ready_within_s = _LOADED_WITHIN_S
    file = peer.policy / "large.yaml"
    file.write_text(bulk_policy("large", 100_000))
    return Scene(peer, _changing(stage, peer, file, lambda turn: bulk_policy("large", 100_000, turn)))


def policy_gone(stage: Stage) -> Scene:
    """100,000 bindings in ten files go away and come back at once"""
    peer = _with_policy(stage, "policy-gone", 100_000)
    aside = peer.folder / "aside"
    aside.mkdir()

    def provoke() -> None:
        for source, to in ((peer.policy, aside), (aside, peer.policy)):
            before = _revision(peer)
            for file in source.glob("bulk*.yaml"):
                file.rename(to / file.name)
            _until_swapped(stage, peer, before)

    return Scene(peer, provoke)


def policy_broken(stage: Stage) -> Scene:
    """a file with 20,000 mistakes comes and goes; each is told in the log"""
    peer = Watched(stage, "policy-broken")
    file = peer.policy / "broken.yaml"
    lines = "".join(f"  - {{id: b{n}, who: user:u{n}, role: Nobody{n}, on: 'p 1'}}\n" for n in range(20_000))

    def provoke() -> None:
        failures = read_gauge(peer, "sidegate_snapshot_load_failures_total")
        replace_file(file, f"organization: broken\nbindings:\n{lines}# {failures}\n")
        stage.until(lambda: read_gauge(peer, "sidegate_snapshot_load_failures_total") != failures)
        admin_get(peer, "/readyz?verbose")
        admin_get(peer, "/v1/snapshot")

    return Scene(peer, provoke)


def accounts(stage: Stage) -> Scene:
    """first requests of accounts with 2,000 bindings each, after every change of their policy"""
    workload = stage.workload("accounts")
    peer = Watched(stage, "accounts", workload=workload)
    users = [f"v{number}" for number in range(20)]
    tokens = [workload.issuer.session(user, ORG, claims={"azp": PARTY}) for user in users]
    members = "".join(f"  user:{user}: {{roles: [Member]}}\n" for user in users)
    lines = "".join(
        f"  - {{id: {user}-{n}, who: user:{user}, role: Designer, on: 'p{n}@b{n % 7}'}}\n"
        for user in users
        for n in range(2000)
    )
    text = peer.policy_file.read_text()
    text = text.replace("members:\n", f"members:\n{members}").replace("bindings:\n", f"bindings:\n{lines}")
    peer.policy_file.write_text(text)
    change = _changing(stage, peer, peer.policy_file, lambda turn: f"{text}{_more(turn)}")

    def provoke() -> None:
        change()
        for token in tokens:
            with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as client:
                client.sendall(
                    f"GET /v1/acme/p7/b0/a HTTP/1.1\r\nHost: a\r\nCookie: __session={token}\r\n\r\n".encode()
                )
                client.recv(65536)

    return Scene(peer, provoke)


# --- records ---


def rotation(stage: Stage) -> Scene:
    """segments of 64 KiB"""
    peer = Watched(stage, "rotation", {"audit": {"segment_bytes": _SMALL_SEGMENT}})
    return Scene(peer, lambda: _until_added(stage, peer.folder / "audit"), rate=4000.0)


def checkpoints(stage: Stage) -> Scene:
    """a signature for every record, with a second place for checkpoints"""
    copy = f"file:{stage.folder / 'checkpoints.copy'}"
    peer = Watched(stage, "checkpoints", {"audit": {"checkpoint": {"records": 1, "copy_to": copy}}})
    return Scene(peer, lambda: _until_added(stage, peer.folder / "audit"), rate=4000.0)


def synced(stage: Stage) -> Scene:
    """durability `host`: every batch synced, segments of 64 KiB"""
    peer = Watched(stage, "synced", {"audit": {"durability": "host", "segment_bytes": _SMALL_SEGMENT}})
    return Scene(peer, lambda: _until_added(stage, peer.folder / "audit"))


def released(stage: Stage) -> Scene:
    """a sink comes back after an outage, and many segments are removed"""
    is_away = True

    def answer(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        del method, path, body
        return (503, "text/plain", b"away") if is_away else (200, "text/plain", b"")

    sink = HttpServer(answer)
    audit = {"segment_bytes": _SMALL_SEGMENT, "sinks": [{"http": f"http://127.0.0.1:{sink.port}/"}]}
    peer = Watched(stage, "released", {"audit": audit})
    spool = peer.folder / "audit"

    def provoke() -> None:
        nonlocal is_away
        is_away = True
        stage.until(lambda: len(list(spool.rglob("*.ndjson"))) > 60)
        is_away = False
        stage.until(lambda: len(list(spool.rglob("*.ndjson"))) < 5)

    return Scene(peer, provoke, over=[sink.close], rate=4000.0)


# --- the admin port ---


def scrapes(stage: Stage) -> Scene:
    """scrapes of metrics as fast as they are answered, with 10,000 connections"""
    peer = Watched(stage, "scrapes", _LIMITS)
    held: list[socket.socket] = []

    def provoke() -> None:
        admin_get(peer, "/metrics")
        admin_get(peer, "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n")

    def ready() -> None:
        held.extend(open_many(peer.port, _CONNECTIONS, _get(peer.workload), b"\r\n\r\n"))

    return Scene(peer, provoke, ready, [lambda: close_all(held)])


def questions(stage: Stage) -> Scene:
    """explanations, and 1,000 AuthZEN evaluations at a time, about accounts of --bindings"""
    peer = _with_policy(stage, "questions", stage.bindings)
    numbers = itertools.count()

    def evaluation(number: int) -> dict[str, object]:
        return {
            "subject": {"type": "user", "id": f"u{number % 1000}"},
            "action": {"name": "read"},
            "resource": {
                "type": "project",
                "id": f"p{number % 5000}",
                "properties": {"organization": "bulk0"},
            },
        }

    def provoke() -> None:
        first = next(numbers) * _EVALUATIONS
        many = {"evaluations": [evaluation(first + number) for number in range(_EVALUATIONS)]}
        answer = admin_post(peer, "/access/v1/evaluations", json.dumps(many).encode())
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:500]
        for number in range(20):
            account = f"user:u{(first + number) % 1000}"
            path = f"/v1/explain?org=bulk0&account={account}&authority=read&target=p7"
            answer = admin_get(peer, path)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:500]
        admin_get(peer, "/v1/snapshot")

    return Scene(peer, provoke)


def large_questions(stage: Stage) -> Scene:
    """explanations of an account with 10,000 bindings, and bodies of 256 KiB"""
    workload = stage.workload("large-questions")
    peer = Watched(stage, "large-questions", workload=workload)
    lines = "".join(f"  - {{id: w{n}, who: user:w, role: Designer, on: 'p7@b{n}'}}\n" for n in range(10_000))
    (peer.policy / "wide.yaml").write_text(
        f"organization: wide\nmembers:\n  user:w: {{roles: [Member]}}\nbindings:\n{lines}"
    )
    peer.ready_within_s = _LOADED_WITHIN_S
    deep = b'{"evaluations": [' + b",".join([b"[]"] * 80_000) + b"]}"

    def provoke() -> None:
        for target in ("p7", "p7@b5000", "p8"):
            answer = admin_get(peer, f"/v1/explain?org=wide&account=user:w&authority=read&target={target}")
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:500]
        admin_post(peer, "/access/v1/evaluations", deep)
        stage.pace(0.05)

    return Scene(peer, provoke)


def taps(stage: Stage) -> Scene:
    """four watchers of decisions, one of which does not read"""
    peer = Watched(stage, "taps")
    held: list[socket.socket] = []

    def ready() -> None:
        for _ in range(4):
            watcher = socket.create_connection(("127.0.0.1", peer.admin), timeout=30)
            watcher.sendall(b"GET /v1/tap HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            held.append(watcher)

    def provoke() -> None:
        for watcher in held[1:]:
            with contextlib.suppress(TimeoutError, ConnectionError):
                watcher.settimeout(1)
                watcher.recv(1 << 20)

    return Scene(peer, provoke, ready, [lambda: close_all(held)], rate=4000.0)


# --- connections ---


def left(stage: Stage) -> Scene:
    """10,000 connections are opened, used and left at once"""
    peer = Watched(stage, "left", _LIMITS)

    def provoke() -> None:
        held = open_many(peer.port, _CONNECTIONS, _get(peer.workload), b"\r\n\r\n")
        close_all(held)
        stage.until(lambda: read_gauge(peer, "sidegate_connections") < 100)

    return Scene(peer, provoke)


def reset(stage: Stage) -> Scene:
    """10,000 connections are reset at once"""
    peer = Watched(stage, "reset", _LIMITS)

    def provoke() -> None:
        held = open_many(peer.port, _CONNECTIONS, _get(peer.workload), b"\r\n\r\n")
        for client in held:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        close_all(held)
        stage.until(lambda: read_gauge(peer, "sidegate_connections") < 100)

    return Scene(peer, provoke)


def idle_out(stage: Stage) -> Scene:
    """10,000 idle connections run into their timeout together"""
    limits = {"connections": 12_000, "idle_timeout_ms": 4000}
    peer = Watched(stage, "idle-out", {"limits": limits})

    def provoke() -> None:
        held = open_many(peer.port, _CONNECTIONS, _get(peer.workload), b"\r\n\r\n")
        stage.until(lambda: read_gauge(peer, "sidegate_connections") < 100)
        close_all(held)

    # One that is always busy: those that idle are closed, too.
    return Scene(peer, provoke, rate=500.0, connections=1)


def junk(stage: Stage) -> Scene:
    """32 connections with malformed and oversized heads"""
    peer = Watched(stage, "junk")
    wrong = [
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000,
        b"GET /" + b"a" * 40_000,
        b"\x00" * 32_768,
        b"GET /v1/" + b"%2e%2e/" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/acme/p7/x/a HTTP/1.1\r\nHost: a\r\nCookie: " + b"a=b; " * 6000 + b"\r\n\r\n",
    ]

    def provoke() -> None:
        clients = [socket.create_connection(("127.0.0.1", peer.port), timeout=30) for _ in range(32)]
        for number, client in enumerate(clients):
            with contextlib.suppress(ConnectionError):
                client.sendall(wrong[number % len(wrong)])
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.recv(65536)
        close_all(clients)

    return Scene(peer, provoke)


def json_bodies(stage: Stage) -> Scene:
    """JSON bodies of 256 KiB that decide: a string, and as many small objects as fit"""
    workload = stage.workload("json-bodies")
    route = (
        "- post: /v1/{org}/{project}/{branch}:glob\n  primitive: Glob\n"
        "  target: {path: {from: body.json, pointer: /pattern, pattern: glob}, subtree: true}\n"
    )
    (workload.folder / "routes.yaml").write_text(ROUTES + route)
    peer = Watched(stage, "json-bodies", workload=workload)
    size = 256 * 1024
    bodies = [
        b'{"pattern": "a/**", "more": "' + b"x" * size + b'"}',
        b'{"pattern": "a/**", "more": [' + b",".join([b'{"a":1}'] * (size // 8)) + b"]}",
    ]

    def provoke() -> None:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as client:
            for body in bodies:
                head = f"POST /v1/acme/p7/x:glob HTTP/1.1\r\nHost: a\r\nCookie: __session={workload.token}\r\n"
                lines = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall((head + lines).encode() + body)
                answer = client.recv(65536)
                assert answer.startswith(b"HTTP/1.1 "), answer[:200]
        stage.pace(0.02)

    return Scene(peer, provoke)


def pipelined(stage: Stage) -> Scene:
    """1,000 requests in one piece on each of eight connections"""
    peer = Watched(stage, "pipelined")
    one = _get(peer.workload)

    def provoke() -> None:
        clients = [socket.create_connection(("127.0.0.1", peer.port), timeout=30) for _ in range(8)]
        for client in clients:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.send(one * 1000)
        stage.pace(0.5)
        close_all(clients)

    return Scene(peer, provoke)


def http2(stage: Stage) -> Scene:
    """100 HTTP/2 connections with up to 32 streams each (h2load)"""
    peer = Watched(stage, "http2", listen={"protocols": ["http/1.1", "h2c"]})
    cookie = f"cookie: __session={peer.workload.token}"

    def provoke() -> None:
        url = f"http://127.0.0.1:{peer.port}{SCENARIOS['allowed'].path}"
        command = ["h2load", "-n", "4000", "-c", "100", "-m", "32", "--rps", "10", "-H", cookie, url]
        done = subprocess.run(["taskset", "-c", str(stage.other), *command], capture_output=True, text=True, check=True)
        assert "4000 succeeded" in done.stdout, done.stdout

    return Scene(peer, provoke)


# --- pieces of the above ---


def _with_policy(stage: Stage, name: str, bindings: int) -> Watched:
    peer = Watched(stage, name)
    peer.ready_within_s = _LOADED_WITHIN_S
    for number in range(max(1, bindings // _FILE_BINDINGS)):
        (peer.policy / f"bulk{number}.yaml").write_text(bulk_policy(f"bulk{number}", _FILE_BINDINGS))
    return peer


def _more(turn: int) -> str:
    return f"  - {{id: more{turn}, who: user:u1, role: Viewer, on: p{turn}}}\n"


def _changing(stage: Stage, peer: Watched, file: Path, text: Callable[[int], str]) -> Callable[[], None]:
    numbers = itertools.count(1)

    def provoke() -> None:
        before = _revision(peer)
        replace_file(file, text(next(numbers)))
        _until_swapped(stage, peer, before)

    return provoke


def _revision(peer: Watched) -> int:
    return int(json.loads(admin_get(peer, "/v1/snapshot?organization=none").partition(b"\r\n\r\n")[2])["revision"])


def _until_swapped(stage: Stage, peer: Watched, before: int) -> None:
    stage.until(lambda: _revision(peer) != before)


def _until_added(stage: Stage, spool: Path) -> None:
    before = len(list(spool.rglob("*.ndjson")))
    stage.until(lambda: len(list(spool.rglob("*.ndjson"))) > before)


def _get(workload: Workload, path: str = SCENARIOS["allowed"].path, lines: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __session={workload.token}\r\n{lines}\r\n".encode()
