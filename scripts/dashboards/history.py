"""Nine minutes in the life of two sidecars, stored by a real Prometheus: what the pictures are drawn from.

python -m scripts.dashboards.history FOLDER [--pace SECONDS]
"""

import argparse
import contextlib
import http.server
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from scripts.dashboards.traffic import Background, Clients, Kind, Service
from scripts.issuer import Issuer, write_jwks
from tests.integration.authority import DAY, Authority
from tests.integration.redis.servers import RedisServer, free_ports
from tests.integration.sidecar import ACME, FILES, ISSUER, ROUTE_FILE, Sidecar
from tests.observability.prometheus import Prometheus

END: Final = 560
"""Seconds."""

BRIEF_S: Final = 260
"""Life of one session, whose client does not notice its end."""

PER_SECOND: Final = 45.0
"""Requests to each sidecar."""

MORE: Final = """\
  - {id: nell-p1, who: user:nell, role: Viewer, on: p1}
approvals:
  - {id: no-rush, authorities: [write], on: "p1@x:published", approvers: {authority: approve}}
"""
CANDIDATE: Final = """\
candidate:
  bindings: [{id: vera-p1, who: user:vera, role: Designer, on: p1}]
  remove: [nell-p1]
"""
SPAN: Final = "span.json"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Story:
    """Everything that runs, and what happens to it.

    Args:
        folder: Empty.
        running: Ends what was started.
    """

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        self._folder = folder
        self._issuer = Issuer(ISSUER)
        self._background = Background()
        self._keys = [self._write_key(name) for name in ("ours", "others")]
        self._redis, self._sink = (self._start_redis(name, running) for name in ("policy-redis", "sink-redis"))
        self._services = [Service(self._background) for _ in range(2)]
        self._authority = Authority(self._folder / "authority")
        self._pair = self._authority.issue("gate", ends=5 * DAY)
        self._context = self._authority.client()
        jwks = self._serve_keys(running)
        self.sidecars = [self._make_sidecar(number, jwks) for number in range(2)]
        for sidecar in self.sidecars:
            running.callback(sidecar.close)
        self._key, entry = self.sidecars[0].mint_key(
            "--account", "service:ci", "--org", "acme", "--authorities", "read", "--expires", "20d"
        )
        self._entry = json.dumps(entry)
        self.publish()
        for sidecar in self.sidecars:
            sidecar.start()
        kinds = self._kinds(self._key)
        self._clients = [Clients(self._background, one.port, kinds, PER_SECOND, self._context) for one in self.sidecars]
        self._guessing: Clients | None = None
        self._plain: Clients | None = None

    # What happens.

    def publish(self, *, without: str = "\0", more: str = "", key: int = 0) -> None:
        """Publish the policy."""
        text = "".join(line for line in ACME.splitlines(keepends=True) if without not in line)
        policy = self._folder / "acme.yaml"
        policy.write_text(f"{text}{MORE}keys:\n  - {self._entry}\n{more}")
        done = self.sidecars[0].run(
            "policy", "publish", str(policy), "--redis", self._redis.url, "--signing-key", str(self._keys[key])
        )
        assert done.returncode == 0, done.stderr

    def begin_guessing(self) -> None:
        """Let a client come with a credential that is none."""
        junk = Kind.make(3, f"GET {ROUTE_FILE}", "Authorization: Bearer " + "x" * 200)
        # A key that may read, and tries to write: a burst of denials is an anomaly.
        stolen = Kind.make(1, f"PUT {ROUTE_FILE}", f"X-API-Key: {self._key}", body=b"{}")
        self._guessing = Clients(self._background, self.sidecars[0].port, [junk, stolen], 20, self._context)
        self._plain = Clients(self._background, self.sidecars[0].port, [junk], 3, None)

    def end_guessing(self) -> None:
        """And go."""
        for clients in (self._guessing, self._plain):
            if clients is not None:
                clients.stop()

    def revoke(self) -> None:
        """Take one person's sessions back."""
        one = self.sidecars[0]
        done = one.run("session", "revoke", "--account", "user:nell", "--config", str(one.config))
        assert done.returncode == 0, done.stderr

    def renew(self) -> None:
        """Renew the certificate that both sidecars show."""
        self._pair.replace(self._authority.issue("next", ends=90 * DAY))

    def slow_service(self, seconds: float) -> None:
        """Let the service behind the second sidecar take its time."""
        self._services[1].delay_s = seconds

    def stop_service(self) -> None:
        """Take it away."""
        self._services[1].stop()

    def start_service(self) -> None:
        """And bring it back."""
        self.slow_service(0.002)
        self._services[1].start()

    def restart(self) -> None:
        """Start the second sidecar again, and lead its clients there."""
        self._clients[1].port = self.sidecars[1].start().port

    def events(self) -> list[tuple[int, Callable[[], object]]]:
        """Return what happens, at which second."""
        revoking = partial(self.publish, without="ana-p1", more=CANDIDATE)
        return [
            (60, partial(self.publish, more=CANDIDATE)),
            (110, revoking),
            (150, partial(self.publish, more=CANDIDATE)),
            (170, partial(self.publish, key=1)),
            (190, self._sink.kill),
            (205, partial(self.publish, more=CANDIDATE)),
            (250, self.begin_guessing),
            (285, self.end_guessing),
            (310, self._sink.start),
            (325, self.renew),
            (345, partial(self.slow_service, 0.15)),
            (380, self.stop_service),
            (395, self.start_service),
            (425, self._redis.kill),
            (475, self._redis.start),
            (500, partial(self.sidecars[1].signal, signal.SIGKILL)),
            (510, self.restart),
            (525, self.revoke),
            (END, lambda: None),
        ]

    # Within.

    def _write_key(self, name: str) -> Path:
        key = Ed25519PrivateKey.generate()
        path = self._folder / f"{name}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.with_suffix(".pub.pem").write_bytes(public)
        return path

    def _start_redis(self, name: str, running: contextlib.ExitStack) -> RedisServer:
        (self._folder / name).mkdir()
        server = RedisServer(self._folder / name, free_ports(1)[0], ["--appendonly", "yes"])
        running.callback(server.kill)
        return server.start()

    def _serve_keys(self, running: contextlib.ExitStack) -> str:
        write_jwks(self._folder / "jwks.json", self._issuer)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self._folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.callback(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}/jwks.json"

    def _make_sidecar(self, number: int, jwks: str) -> Sidecar:
        (admin,) = free_ports(1)
        public = self._keys[0].with_suffix(".pub.pem")
        settings = {
            "admin": f"127.0.0.1:{admin}",
            "listen": {
                "address": "127.0.0.1:0",
                "tls": {"cert": str(self._pair.cert), "key": str(self._pair.key)},
            },
            "policy": {"source": self._redis.url, "timeout_ms": 2000, "public_key": f"file:{public}"},
            "audit": {"sinks": [{"redis": self._sink.url}], "max_bytes": 16 << 20, "segment_bytes": 1 << 18},
            "sessions": {
                "signed": {"issuer": ISSUER, "jwks": jwks, "algorithms": [self._issuer.algorithm], "refresh_ms": 60_000}
            },
        }
        url = self._services[number].url
        return Sidecar(self._folder / f"sidecar-{number}", url, self._issuer, settings=settings)

    def _kinds(self, key: str) -> list[Kind]:
        def session(who: str) -> str:
            return f"Cookie: __session={self._issuer.session(who, 'acme')}"

        ana, vera, nell = (session(who) for who in ("ana", "vera", "nell"))
        brief = f"Cookie: __session={self._issuer.session('vera', 'acme', lasts_s=BRIEF_S)}"
        return [
            Kind.make(40, f"GET {ROUTE_FILE}", ana),
            Kind.make(20, f"GET {ROUTE_FILE}", vera),
            Kind.make(6, f"GET {ROUTE_FILE}", nell),
            Kind.make(1, f"GET {ROUTE_FILE}", brief),
            Kind.make(10, f"PUT {ROUTE_FILE}", ana, body=b'{"route": 1}'),
            Kind.make(2, f"DELETE {ROUTE_FILE}", ana),
            Kind.make(0.6, f"PUT {FILES}/published/route.json", ana, body=b"{}"),
            Kind.make(8, f"GET {ROUTE_FILE}", f"X-API-Key: {key}"),
            Kind.make(10, "GET /healthz"),
            Kind.make(1.5, f"PUT {ROUTE_FILE}", vera, body=b"{}"),
            Kind.make(0.8, "GET /v2/orgs/acme", ana),
            Kind.make(0.7, f"GET {ROUTE_FILE}"),
        ]


def main() -> int:
    """Let it all happen, and store what was scraped."""
    parser = argparse.ArgumentParser(prog="python -m scripts.dashboards.history", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to; what is there is removed")
    parser.add_argument("--pace", type=float, default=1.0, help="a second of the story takes so long")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as running:
        story = Story(folder, running)
        names = {one.admin: f"datastore-{number}" for number, one in enumerate(story.sidecars)}
        prometheus = Prometheus(folder / "prometheus", {"datastore": list(names)}, every="2s", names=names)
        running.callback(prometheus.close)
        prometheus.start()
        began, start = time.monotonic(), time.time()
        for at, happen in story.events():
            time.sleep(max(0.0, began + at * options.pace - time.monotonic()))
            sys.stdout.write(f"{time.monotonic() - began:4.0f} s\n")
            sys.stdout.flush()
            happen()
        (folder / SPAN).write_text(json.dumps({"start": start, "end": time.time()}))
        prometheus.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
