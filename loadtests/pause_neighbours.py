"""What may stop the loop from beside a sidecar: the issuer, Redis, certificates, streams that all end at once.

Each function sets one cause up; its docstring is what the table calls it.
"""

import asyncio
import itertools
import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from loadtests.pause_stage import HttpServer, Scene, Stage, Watched, close_all, open_many
from loadtests.processes import Child, accepts, free_port, hurry
from loadtests.variants import read_gauge, replace_file
from loadtests.workload import ISSUER, ORG, PARTY, SCENARIOS, Workload
from scripts.issuer import Issuer
from tests.integration.authority import Authority
from tests.integration.redis.servers import FaultProxy, RedisServer, free_ports

from sidegate.core.identity.encoding import encode_base64url
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.redis_store import RedisStore
from sidegate.distribution.redis_publish import Publisher
from sidegate.distribution.redis_records import StoredSubject
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock

_KEYS: Final = 99
_ACCOUNTS: Final = 10_000
_STREAMS: Final = 5000
_PATIENCE: Final = Millis(60_000)
_SLOW_S: Final = 2.0


# --- the issuer ---


def keys_of_file(stage: Stage) -> Scene:
    """100 keys of the issuer in a file, other ones every second"""
    workload = stage.workload("keys-file")
    file = workload.folder / "many.json"
    file.write_text(_key_set(workload))
    peer = Watched(stage, "keys-file", _sessions("file:../many.json"), workload=workload)

    def provoke() -> None:
        replace_file(file, _key_set(workload))
        stage.pace(1.1)

    return Scene(peer, provoke)


def keys_by_url(stage: Stage) -> Scene:
    """an issuer with 100 keys that is good, slow, failing, and broken in turn, every second"""
    workload = stage.workload("keys-url")
    asked = itertools.count()
    document = _key_set(workload).encode()

    def answer(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        nonlocal document
        del method, path, body
        match next(asked) % 5:
            case 1:
                time.sleep(_SLOW_S)
            case 2:
                return 500, "text/plain", b"away"
            case 3:
                return 200, "application/json", document[:-100]
            case 4:
                document = _key_set(workload).encode()
            case _:
                pass
        return 200, "application/json", document

    issuer = HttpServer(answer)
    sessions = _sessions(f"http://127.0.0.1:{issuer.port}/keys", refresh_ms=1000)
    peer = Watched(stage, "keys-url", sessions, workload=workload)
    # Nobody asks more often than every second, and after a failure than every ten.
    unknown = Issuer(ISSUER, kid="unknown").session("u7", ORG, claims={"azp": PARTY})

    def provoke() -> None:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as client:
            client.sendall(f"GET /v1/acme/p7/x/a HTTP/1.1\r\nHost: a\r\nCookie: __session={unknown}\r\n\r\n".encode())
            client.recv(65536)
        stage.pace(0.5)

    return Scene(peer, provoke, over=[issuer.close])


def _sessions(jwks: str, **more: object) -> dict[str, Any]:
    signed = {"issuer": ISSUER, "jwks": jwks, "algorithms": ["RS256", "ES256"], "authorized_parties": [PARTY], **more}
    return {"sessions": {"signed": signed}}


def _key_set(workload: Workload) -> str:
    """Return the workload's key and 99 others, half RSA, half EC, that nobody has."""
    keys: list[Mapping[str, object]] = [workload.issuer.jwk()]
    for number in range(_KEYS):
        own = {"kid": f"other-{number}", "use": "sig"}
        if number % 2:
            modulus = secrets.randbits(2048) | 1 | 1 << 2047
            keys.append(
                {
                    **own,
                    "kty": "RSA",
                    "alg": "RS256",
                    "e": "AQAB",
                    "n": encode_base64url(modulus.to_bytes(256)).decode(),
                }
            )
        else:
            public = ec.generate_private_key(ec.SECP256R1()).public_key()
            keys.append({**ECAlgorithm.to_jwk(public, as_dict=True), **own, "alg": "ES256"})
    return json.dumps({"keys": keys})


# --- Redis ---


class _Shared:
    """A Redis with an organization of 10,000 accounts, a sidecar on it that has served all of them."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.workload = stage.workload(name)
        self.redis = RedisServer(
            self.workload.folder / "redis", free_ports(1)[0], ["--appendonly", "yes", "--appendfsync", "everysec"]
        ).start()
        self.network = FaultProxy(self.redis.port)
        asyncio.run(self.publish())
        policy = {"source": self.network.url, "max_subjects": 2 * _ACCOUNTS}
        # Signed with a secret: ten thousand signatures of RSA would take half a minute to make.
        secret = self.workload.folder / "secret"
        secret.write_text("s" * 48)
        signed = {
            "issuer": ISSUER,
            "algorithms": ["HS256", "RS256"],
            "secret_file": "../secret",
            "jwks": "file:../jwks.json",
            "authorized_parties": [PARTY],
        }
        self.peer = Watched(stage, name, {"policy": policy, "sessions": {"signed": signed}}, workload=self.workload)
        self.over: list[Callable[[], None]] = [self.network.close, self.redis.kill]

    def serve_all(self) -> None:
        """Ask once as everybody, so that everything about them is held."""
        with socket.create_connection(("127.0.0.1", self.peer.port), timeout=30) as client:
            for number in range(_ACCOUNTS):
                client.sendall(self._request(number))
                answer = client.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise ConnectionError(f"account {number} is answered {answer!r}")

    def _request(self, number: int) -> bytes:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": f"u{number}", "sid": f"sess{number}", "iat": now, "nbf": now}
        token = jwt.encode(
            {**claims, "exp": now + 3600, "fva": [1, 1], "o": {"id": ORG}, "azp": PARTY}, "s" * 48, "HS256"
        )
        return f"GET {SCENARIOS['allowed'].path} HTTP/1.1\r\nHost: a\r\nCookie: __session={token}\r\n\r\n".encode()

    async def publish(self) -> None:
        """Have everybody in Redis."""
        members = tuple(MemberEntry(f"user:u{number}", roles=("Member",)) for number in range(_ACCOUNTS))
        bindings = tuple(
            BindingEntry(f"b{number}", f"user:u{number}", "Designer", parse_scope("p7")) for number in range(_ACCOUNTS)
        )
        link = open_link(self.redis.url, timeout=_PATIENCE)
        await Publisher(link, SystemClock()).publish(PolicyDocument(ORG, members=members, bindings=bindings))
        await link.close()

    async def amend_all(self, project: str) -> None:
        """Change a binding of everybody at once."""
        scope = parse_scope(project)

        def edit(stored: Mapping[str, StoredSubject]) -> Mapping[str, StoredSubject]:
            return {
                account: replace(
                    one, bindings=(*one.bindings[:1], BindingEntry(f"m{account}", account, "Viewer", scope))
                )
                for account, one in stored.items()
            }

        link = open_link(self.redis.url, timeout=_PATIENCE)
        # u7 sends the steady load.
        names = [f"user:u{number}" for number in range(_ACCOUNTS) if number != 7]
        await Publisher(link, SystemClock()).amend(ORG, names, edit)
        await link.close()

    async def amend_one_by_one(self, project: str) -> None:
        """Publish a thousand changes of single accounts, one after the other."""
        scope = parse_scope(project)
        link = open_link(self.redis.url, timeout=_PATIENCE)
        publisher = Publisher(link, SystemClock())
        for number in range(8, 1008):
            account = f"user:u{number}"
            entry = BindingEntry(f"m{account}", account, "Viewer", scope)

            def edit(
                stored: Mapping[str, StoredSubject], account: str = account, entry: BindingEntry = entry
            ) -> Mapping[str, StoredSubject]:
                one = stored[account]
                return {account: replace(one, bindings=(*one.bindings[:1], entry))}

            await publisher.amend(ORG, [account], edit)
        await link.close()

    async def revoke_all(self) -> None:
        """Revoke everybody's sessions, as fast as Redis takes it."""
        link = open_link(self.redis.url, timeout=_PATIENCE)
        store = RedisStore(link)
        await link.look()
        now = SystemClock().now()
        numbers = [number for number in range(_ACCOUNTS) if number != 7]
        for start in range(0, len(numbers), 500):
            await asyncio.gather(
                *(
                    store.revoke(Revoked(RevokedKind.SESSION, f"sess{number}", now))
                    for number in numbers[start : start + 500]
                )
            )
        await link.close()


def redis_changes(stage: Stage) -> Scene:
    """10,000 accounts in memory change in one publication"""
    shared = _Shared(stage, "redis-changes")
    numbers = itertools.count()

    def provoke() -> None:
        asyncio.run(shared.amend_all(f"q{next(numbers)}"))
        shared.serve_all()

    return Scene(shared.peer, provoke, shared.serve_all, shared.over)


def redis_publications(stage: Stage) -> Scene:
    """1,000 publications of one account each"""
    shared = _Shared(stage, "redis-publications")
    numbers = itertools.count()
    return Scene(
        shared.peer,
        lambda: asyncio.run(shared.amend_one_by_one(f"q{next(numbers)}")),
        shared.serve_all,
        shared.over,
    )


def redis_revocations(stage: Stage) -> Scene:
    """10,000 sessions are revoked at once"""
    shared = _Shared(stage, "redis-revocations")

    def provoke() -> None:
        asyncio.run(shared.revoke_all())
        stage.pace(1.0)

    return Scene(shared.peer, provoke, shared.serve_all, shared.over)


def redis_outage(stage: Stage) -> Scene:
    """Redis goes away and comes back, with 10,000 accounts held and changes meanwhile"""
    shared = _Shared(stage, "redis-outage")
    numbers = itertools.count()

    def provoke() -> None:
        shared.network.sever()
        asyncio.run(shared.amend_all(f"q{next(numbers)}"))
        asyncio.run(shared.revoke_all())
        stage.pace(0.5)
        shared.network.heal()
        stage.until(lambda: read_gauge(shared.peer, "sidegate_redis_up") == 1)
        stage.pace(1.0)

    return Scene(shared.peer, provoke, shared.serve_all, shared.over, also=503, rate=20.0)


def redis_emptied(stage: Stage) -> Scene:
    """Redis loses its data, with 10,000 revocations remembered, which are written again"""
    shared = _Shared(stage, "redis-emptied")

    def ready() -> None:
        shared.serve_all()
        asyncio.run(shared.revoke_all())

    def provoke() -> None:
        shared.redis.command("FLUSHALL")
        asyncio.run(shared.publish())
        stage.pace(4.0)

    return Scene(shared.peer, provoke, ready, shared.over, also=503, rate=20.0)


# --- TLS ---


def certificates(stage: Stage) -> Scene:
    """the certificate of the data port is renewed, TLS handshakes all the while"""
    authority = Authority(stage.folder / "authority")
    pair = authority.issue("gate")
    listen = {"tls": {"cert": str(pair.cert), "key": str(pair.key)}}
    peer = Watched(stage, "certificates", listen=listen)
    numbers = itertools.count()
    context = authority.client()
    context.set_alpn_protocols(["http/1.1"])

    def provoke() -> None:
        pair.replace(authority.issue(f"next{next(numbers)}"))
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as plain:
                context.wrap_socket(plain, server_hostname="localhost").close()
            stage.pace(0.1)

    return Scene(peer, provoke, tls=True)


# --- streams ---


def streams_swept(stage: Stage) -> Scene:
    """5,000 event streams are looked at again, as their organization's policy changes"""
    peer, held, over = _streaming(stage, "streams-swept")
    text = peer.policy_file.read_text()
    numbers = itertools.count()

    def provoke() -> None:
        more = f"  - {{id: more, who: user:u1, role: Viewer, on: p{next(numbers)}}}\n"
        replace_file(peer.policy_file, text + more)
        stage.pace(1.0)

    return Scene(peer, provoke, lambda: held.extend(_open_streams(peer, 7)), over)


def streams_ended(stage: Stage) -> Scene:
    """5,000 event streams end at once, as their account loses its access"""
    peer, held, over = _streaming(stage, "streams-ended")
    text = peer.policy_file.read_text()
    without = "".join(line for line in text.splitlines(keepends=True) if "who: user:u8," not in line)

    def provoke() -> None:
        replace_file(peer.policy_file, text)
        stage.pace(1.0)
        held.extend(_open_streams(peer, 8))
        replace_file(peer.policy_file, without)
        stage.until(lambda: read_gauge(peer, "sidegate_connections") < 200)
        close_all(held)

    return Scene(peer, provoke, over=over)


def _streaming(stage: Stage, name: str) -> tuple[Watched, list[socket.socket], list[Callable[[], None]]]:
    port = free_port()
    command = ["-m", "loadtests.upstream", "--port", str(port)]
    upstream = Child(f"{name}-upstream", [stage.python, *command], stage.other, stage.folder / f"{name}.log")
    upstream.wait_until(lambda: accepts(port))
    if stage.realtime:
        hurry(upstream.pid)
    limits = {"connections": 12_000, "in_flight": 12_000, "idle_timeout_ms": 600_000}
    settings = {"limits": limits, "upstream": {"max_connections": 12_000}}
    held: list[socket.socket] = []
    over = [lambda: close_all(held), upstream.stop]
    return Watched(stage, name, settings, upstream=port), held, over


def _open_streams(peer: Watched, user: int) -> list[socket.socket]:
    token = peer.workload.issuer.session(f"u{user}", ORG, claims={"azp": PARTY})
    request = f"GET /v1/acme/p{user}/x/-/events HTTP/1.1\r\nHost: a\r\nCookie: __session={token}\r\n\r\n".encode()
    return open_many(peer.port, _STREAMS, request, b"data: ")
