"""Four sidecars that share one Redis for policy, sessions and records, before one DataStore, under load."""

import asyncio
import json
import os
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml
from scripts.issuer import Issuer
from tests.integration.client import Client, Response
from tests.integration.datastore import ROOT, DataStore
from tests.integration.redis.policies import Publishing
from tests.integration.redis.replaying import Asked, Held, History, Json, Window
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import Sidecar
from tests.integration.waiting import eventually

from sidegate.audit.layout import split_lines
from sidegate.audit.stream import read_entries
from sidegate.config.policy_file import read_policy
from sidegate.core.identity.api_key import RANDOM_BYTES
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import PolicyDocument
from sidegate.credentials.events import RevokedKind
from sidegate.credentials.minting import KeyRequest, mint, rotate
from sidegate.credentials.opaque import NewSession, create_session, digest_session, revoke
from sidegate.credentials.registry import RedisRegistry
from sidegate.telemetry import clock

SIDECARS: Final = 4
KEPT: Final = ("--appendonly", "yes", "--appendfsync", "everysec")
"""As docs/sessions-and-keys.md recommends."""

POLICY: Final = """\
organization: acme
roles:
  Careful: {clone: Designer, add: [delete], requires: {mfa: true}}
members:
  user:ana: {roles: [Member], groups: [fiber]}
  user:vera: {roles: [Member]}
  user:nell: {roles: [Member]}
  user:bo: {roles: [Member], groups: [fiber]}
  user:sam: {roles: [Organization viewer]}
  service:ci: {roles: [Member]}
groups:
  fiber: {}
bindings:
  - {id: fiber-p1, who: group:fiber, role: Designer, on: p1}
  - {id: ana-main, who: user:ana, role: Viewer, on: "p1@main"}
  - {id: vera-p1, who: user:vera, role: Careful, on: p1}
  - {id: nell-all, who: user:nell, role: Admin, on: "*"}
  - {id: bo-here, who: user:bo, role: Admin, on: p2, when: {source: [127.0.0.0/8]}}
  - {id: bo-there, who: user:bo, role: Admin, on: "p2@main", when: {source: [10.0.0.0/8]}}
  - {id: sam-p1, who: user:sam, role: Viewer, on: p1}
  - {id: ci-all, who: service:ci, role: Designer, on: "*"}
approvals:
  - {id: main-deletes, authorities: [delete], on: "*@main", approvers: {authority: approve}}
"""
SECRETS: Final = '{id: secrets, who: group:fiber, authorities: [read, write], on: "p1@*:secrets"}'
DENY: Final = "{id: d1, who: group:fiber, authorities: [write], on: p1}"

_LIMITS: Final = SessionLimits(Millis(1_800_000), Millis(43_200_000))
_PLACES: Final = ("designs/current/route.json", "load/new.txt", "secrets/a.txt")
_BETWEEN_S: Final = 0.001
_STRANGERS: Final = 0.05
"""Share of requests with a session that nobody has seen before."""


class Fleet:
    """The sidecars, what they share, and what was done to them.

    Args:
        folder: For everything.
        redis: Running.
        issuer: Of sessions.
    """

    def __init__(self, folder: Path, redis: RedisServer, issuer: Issuer) -> None:
        self.redis = redis
        self.issuer = issuer
        self.history = History()
        self.held: list[Held] = []
        self.datastore = DataStore(folder / "datastore")
        routes = (ROOT / "config" / "routes.yaml").read_text()
        self.subtrees = {
            f"{method.upper()} {pattern}": route.get("target", {}).get("subtree", False)
            for route in yaml.safe_load(routes)
            for method, pattern in route.items()
            if method in {"get", "put", "post", "patch", "delete"}
        }
        # The default patience of 250 ms is for services: a test machine may be busy for longer.
        settings = {
            "policy": {"source": redis.url, "timeout_ms": 2000},
            "sessions": {"redis": redis.url, "opaque": {"store": "redis"}},
            "audit": {"sinks": [{"redis": redis.url}]},
        }
        self.sidecars = [
            Sidecar(folder / f"s{number}", self.datastore.url, issuer, settings=settings, routes=routes, policies={})
            for number in range(SIDECARS)
        ]
        self.askers: list[Asker] = []

    @property
    def document(self) -> PolicyDocument:
        """What was published last."""
        return list(self.history.documents.values())[-1]

    # Their life.

    def start(self) -> None:
        """Start all, one beside the other."""
        for sidecar in self.sidecars:
            sidecar.launch()
        for sidecar in self.sidecars:
            sidecar.await_ready()

    def load(self, seed: int = 1) -> None:
        """Ask all of them from now on."""
        self.askers = [Asker(self, number, seed) for number in range(SIDECARS)]
        for asker in self.askers:
            asker.start()

    def go_on(self, requests: int) -> None:
        """Wait until every sidecar was asked so often more."""
        enough = self.asked() + requests
        eventually(lambda: self.asked() >= enough, f"{requests} more requests at every sidecar", 60)

    def unload(self) -> dict[str, Asked]:
        """Ask no more; return what was asked, by request id."""
        for asker in self.askers:
            asker.stopping.set()
        for asker in self.askers:
            asker.join()
            assert asker.failure is None, asker.failure
        return {asked.id: asked for asker in self.askers for asked in asker.asked}

    def close(self) -> None:
        """End everything but Redis."""
        for asker in self.askers:
            asker.stopping.set()
        for sidecar in self.sidecars:
            sidecar.close()
        self.datastore.close()

    # Who asks.

    def person(self, name: str, *, mfa: bool = True, is_known: bool = True) -> Held:
        """Return a new signed session."""
        session_id = f"sess_{os.urandom(8).hex()}"
        token = self.issuer.session(name, "acme", mfa=mfa, session_id=session_id)
        factor = UnixMillis(clock.now() - 60_000) if mfa else None
        return Held(session_id, CredentialKind.SESSION, f"user:{name}", f"Cookie: __session={token}", factor, is_known)

    def opaque(self, name: str) -> Held:
        """Return a new session of the store."""
        factor = clock.now()
        new = NewSession(f"user:{name}", "acme", _LIMITS, second_factor_at=factor)
        with closing(RedisRegistry(self.redis.url)) as registry:
            cookie = create_session(registry, new, os.urandom(32), clock.now())
        return Held(
            str(digest_session(cookie)),
            CredentialKind.SESSION,
            f"user:{name}",
            f"Cookie: __session={cookie.decode()}",
            factor,
        )

    def key(self, clear: str, record: Json) -> Held:
        """Return an API key."""
        return Held(record["id"], CredentialKind.API_KEY, record["account"], f"X-API-Key: {clear}")

    # What is done to them; each returns when it is acknowledged.

    def publish(self, text: str) -> int:
        """Publish a policy; returns its revision."""
        document = read_policy(text.encode(), "acme.yaml").document
        begun = clock.now()

        async def run() -> int:
            async with Publishing(self.redis.url) as publisher:
                return (await publisher.publish(document)).revision

        revision = asyncio.run(run())
        if revision not in self.history.documents:  # there may have been nothing to do
            self.history.documents[revision] = document
            self.history.published[revision] = Window(begun, clock.now())
        return revision

    def revoke(self, kind: RevokedKind, name: str, ends: Sequence[Held]) -> None:
        """Invalidate something, which ends the credentials *ends*."""
        begun = clock.now()
        with closing(RedisRegistry(self.redis.url)) as registry:
            revoke(registry, kind, name, clock.now())
        for held in ends:
            self.history.revoked[held.id] = Window(begun, clock.now())

    def is_refused(self, kind: RevokedKind, name: str) -> bool:
        """Whether nothing can be revoked at present."""
        try:
            with closing(RedisRegistry(self.redis.url, patience=Millis(1000))) as registry:
                revoke(registry, kind, name, clock.now())
        except DependencyError:
            return True
        return False

    # What they say.

    def everywhere(self, held: Held, reason: str | None, *, method: str = "GET", place: str = _PLACES[0]) -> bool:
        """Whether every sidecar answers one request of *held* for *reason*; None for forwarded."""
        path = f"/v1/orgs/acme/projects/p1/branches/x/files/{place}"
        answers = [sidecar.ask(method, path, headers=[held.header]) for sidecar in self.sidecars]
        return all(reason_of(answer) == reason for answer in answers)

    def reasons(self) -> set[str]:
        """Return why requests of the load were refused so far."""
        return {one.reason for asker in self.askers for one in tuple(asker.asked) if one.reason is not None}

    def asked(self) -> int:
        """Return how often the sidecar was asked that was asked least."""
        for asker in self.askers:
            assert asker.failure is None, asker.failure
        return min(len(asker.asked) for asker in self.askers)

    def streamed(self) -> set[bytes]:
        """Return the lines in the stream."""
        return {line for entry in read_entries(self.redis.url) for line in split_lines(entry.data)}

    def is_shipped(self) -> bool:
        """Whether the stream has every line that was spooled."""
        streamed = self.streamed()
        return all(
            set(split_lines(segment.read_bytes())) <= streamed
            for sidecar in self.sidecars
            for segment in sidecar.spool.rglob("*.ndjson")
        )


def new_key(**options: Any) -> tuple[str, Json]:
    """Mint a key of service:ci; returns it and its record."""
    minted: Any = mint(KeyRequest("acme", "service:ci", **options), os.urandom(RANDOM_BYTES), clock.now())
    return minted["key"], minted["record"]


def rotated_key(document: PolicyDocument, key_id: str) -> tuple[str, Json, Json]:
    """Rotate an exposed key: the new one, its record, and what the old one's becomes."""
    entry = next(key for key in document.keys if key.id == key_id)
    rotated: Any = rotate(entry, Millis(0), os.urandom(RANDOM_BYTES), clock.now())
    return rotated["key"], rotated["record"], rotated["predecessor"]


def policy_text(*, denies: Sequence[str] = (SECRETS,), keys: Sequence[Json] = (), suspended: str | None = None) -> str:
    """Return the policy with these denies and keys, and one account suspended."""
    text = POLICY
    if suspended is not None:
        text = text.replace(f"{suspended}: {{roles: [Member]}}", f"{suspended}: {{roles: [Member], state: suspended}}")
        assert text != POLICY
    text += "denies:\n" + "".join(f"  - {deny}\n" for deny in denies)
    return text + ("keys:\n" + "".join(f"  - {json.dumps(key)}\n" for key in keys) if keys else "")


def reason_of(answer: Response) -> str | None:
    """Return why Sidegate refused; None for an answer of the upstream's, whatever that was."""
    if answer.status < 400:
        return None
    try:
        problem = answer.json()
    except ValueError:
        return None
    return str(problem["reason"]) if isinstance(problem, dict) and "decision_id" in problem else None


class Asker(threading.Thread):
    """Asks one sidecar on one connection, over and over, with whatever the fleet holds.

    Attributes:
        asked: Every request and its answer.
        failure: Why it ended before it was asked to.
    """

    def __init__(self, fleet: Fleet, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._fleet = fleet
        self._number = number
        self._random = Random(seed * SIDECARS + number)
        self._client: Client | None = None
        self.asked: list[Asked] = []
        self.failure: BaseException | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        """Ask until stopped."""
        try:
            while not self.stopping.wait(_BETWEEN_S):
                self._ask()
        except (OSError, AssertionError) as error:
            self.failure = error
        finally:
            if self._client is not None:
                self._client.close()

    def _ask(self) -> None:
        chosen = self._random
        is_stranger = chosen.random() < _STRANGERS
        held = self._fleet.person("sam", is_known=False) if is_stranger else chosen.choice(self._fleet.held)
        request_id = f"r{self._number}-{len(self.asked)}"
        method, path, body = self._question(request_id)
        lines = [f"{method} {path} HTTP/1.1", "Host: gate.example", f"X-Request-Id: {request_id}", held.header]
        if body or method in {"PUT", "POST"}:
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        if self._client is None:
            self._client = self._fleet.sidecars[self._number].connect()
        self._client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = self._client.read_response(method)
        self.asked.append(Asked(request_id, held, answer.status, reason_of(answer)))
        if answer.field("Connection") == "close":
            self._client.close()
            self._client = None

    def _question(self, request_id: str) -> tuple[str, str, bytes]:
        chosen = self._random
        org = "globex" if chosen.random() < 0.02 else "acme"
        branch = f"/v1/orgs/{org}/projects/{chosen.choice(('p1', 'p1', 'p2'))}/branches/{chosen.choice(('x', 'main'))}"
        match chosen.randrange(7):
            case 0 | 1:
                return "GET", f"{branch}/files/{chosen.choice(_PLACES)}", b""
            case 2 | 3:
                return "PUT", f"{branch}/files/load/{request_id}.txt", b"from the load"
            case 4:
                return "DELETE", f"{branch}/files/{chosen.choice(('trash/a', 'secrets/b'))}", b""
            case 5:
                pattern = chosen.choice(("*", "designs/**", "secrets/*"))
                return "POST", f"{branch}:glob", json.dumps({"pattern": pattern}).encode()
            case _:
                return "GET", f"/v1/orgs/{org}/skills/splice.json", b""
