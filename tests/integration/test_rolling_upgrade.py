"""A fleet of sidecars behind a real HAProxy is replaced one by one under load, and no client notices (spec 2.8)."""

import contextlib
import hashlib
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import requests
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, Sidecar
from tests.integration.waiting import DEADLINE_S, eventually
from tests.transparency.store import BIG, BODY, DATA, Store
from tests.wire.real.servers import find_command, free_port, running

pytestmark = pytest.mark.slow

FLEET = 3
AT_WORK = 40
"""Answers that each client gets between two replacements, at least."""

_TAKEN = json.dumps({"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}).encode()


def _wrong(answer: httpx.Response | requests.Response, content: bytes) -> str | None:
    """Return what is wrong with an answer that should be *content*; None if it is right."""
    if answer.is_success if isinstance(answer, httpx.Response) else answer.ok:
        return None if answer.content == content else f"{len(answer.content)} other bytes"
    return f"{answer.status_code} {answer.headers} {answer.text[:300]}"


class Load:
    """Clients of many kinds that ask until they are told to stop.

    Attributes:
        answers: How many each kind of client got.
        errors: Everything that was not the right answer.
    """

    def __init__(self, url: str, token: str) -> None:
        self.answers: Counter[str] = Counter()
        self.errors: list[str] = []
        self._url = url + FILES
        self._token = token
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        kinds: dict[str, Callable[[], Iterator[str | None]]] = {
            "httpx-kept": self._kept,
            "httpx-new": self._new,
            "requests-kept": self._requests,
            "uploads": self._uploads,
            "slow-uploads": self._slow_uploads,
            "downloads": self._downloads,
            "curl": self._curl,
        }
        self._threads = [
            threading.Thread(target=self._run, args=(name, ask)) for name, ask in kinds.items() for _ in range(2)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_more(self) -> None:
        """Wait until clients of every kind have got some more answers."""
        before = Counter(self.answers)
        least = {name: AT_WORK // 10 if name in {"curl", "slow-uploads"} else AT_WORK for name in before}

        def went_on() -> bool:
            assert self.errors == []
            return all(self.answers[name] - count >= least[name] for name, count in before.items())

        eventually(went_on, "clients of every kind are answered", 60)

    def stop(self) -> None:
        """Let every client come to the end of what it does."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def _run(self, name: str, ask: Callable[[], Iterator[str | None]]) -> None:
        try:
            for number, wrong in enumerate(ask()):
                with self._lock:
                    self.answers[name] += 1
                    if wrong is not None:
                        self.errors.append(f"{name}: answer {number} is {wrong}")
                if self._is_over.is_set() or wrong is not None:
                    return
        except (OSError, httpx.HTTPError, requests.RequestException) as error:
            self.errors.append(f"{name}: {error!r}")

    def _client(self) -> httpx.Client:
        bearer = {"Authorization": f"Bearer {self._token}"}
        return httpx.Client(headers=bearer, timeout=DEADLINE_S, trust_env=False)

    def _kept(self) -> Iterator[str | None]:
        with self._client() as client:
            while True:
                answer = client.get(f"{self._url}/data.json")
                yield _wrong(answer, DATA)

    def _new(self) -> Iterator[str | None]:
        while True:
            with self._client() as client:
                answer = client.get(f"{self._url}/data.json", headers={"Connection": "close"})
                yield _wrong(answer, DATA)

    def _requests(self) -> Iterator[str | None]:
        with requests.Session() as client:
            client.trust_env = False
            client.headers["Authorization"] = f"Bearer {self._token}"
            while True:
                answer = client.get(f"{self._url}/packed", timeout=DEADLINE_S)
                yield _wrong(answer, DATA * 50)

    def _uploads(self) -> Iterator[str | None]:
        with self._client() as client:
            while True:
                answer = client.put(f"{self._url}/put", content=BODY)
                yield _wrong(answer, _TAKEN)

    def _slow_uploads(self) -> Iterator[str | None]:
        def pieces() -> Iterator[bytes]:
            for at in range(0, len(BODY), 10_000):
                self._is_over.wait(0.01)
                yield BODY[at : at + 10_000]

        with self._client() as client:
            while True:
                answer = client.post(f"{self._url}/post", content=pieces())
                yield _wrong(answer, _TAKEN)

    def _downloads(self) -> Iterator[str | None]:
        with self._client() as client:
            while True:
                answer = client.get(f"{self._url}/big")
                yield _wrong(answer, BIG)

    def _curl(self) -> Iterator[str | None]:
        command = ["curl", "-q", "-sS", "--fail", "-m", "20", "-H", f"Authorization: Bearer {self._token}"]
        while True:
            done = subprocess.run([*command, f"{self._url}/data.json"], capture_output=True, check=False)
            yield None if done.stdout == DATA else done.stderr.decode()


@contextlib.contextmanager
def _haproxy(folder: Path, fleet: list[tuple[int, int]]) -> Iterator[int]:
    port = free_port()
    servers = "".join(
        f"  server s{number} 127.0.0.1:{data} check port {admin} inter 100ms fall 1 rise 1\n"
        for number, (data, admin) in enumerate(fleet)
    )
    settings = folder / "haproxy.cfg"
    settings.write_text(
        "global\n  maxconn 512\n"
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  timeout check 5s\n"
        "  retries 3\n  option redispatch 1\n"
        f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend fleet\n"
        f"backend fleet\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
    )
    with running([find_command("haproxy"), "-db", "-f", str(settings)], folder, port):
        yield port


@pytest.fixture
def store() -> Iterator[Store]:
    """Return an upstream for real clients."""
    store = Store()
    yield store
    store.close()
    assert store.failures == []


def test_rolling_upgrade(make_sidecar: MakeSidecar, store: Store, tmp_path: Path) -> None:
    """Each sidecar is asked to stop, drains, and starts anew, while clients with kept and with new connections read,
    upload and download through the balancer: every answer is whole and right, nobody gets an error, and every record
    chain is as it should be."""
    ports = [(free_port(), free_port()) for _ in range(FLEET)]
    fleet: list[Sidecar] = [
        make_sidecar(
            upstream=f"http://127.0.0.1:{store.port}",
            settings={"listen": f"127.0.0.1:{data}", "admin": f"127.0.0.1:{admin}"},
        ).start()
        for data, admin in ports
    ]
    with _haproxy(tmp_path, ports) as port:
        load = Load(f"http://127.0.0.1:{port}", fleet[0].session("ana"))
        try:
            for sidecar in fleet:
                load.wait_for_more()
                sidecar.signal(signal.SIGTERM)
                assert sidecar.wait() == 0
                _assert_sound(sidecar)
                load.wait_for_more()
                sidecar.start()
            load.wait_for_more()
        finally:
            load.stop()
        assert load.errors == []
    for sidecar in fleet:
        assert sidecar.stop() == 0
        _assert_sound(sidecar)
        assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0
    # What was answered was forwarded once, and each request has one record of being allowed.
    allowed = sum(record["outcome"] == "allow" for sidecar in fleet for record in sidecar.decisions())
    assert allowed == sum(load.answers.values()) == len(store.calls)


def _assert_sound(sidecar: Sidecar) -> None:
    """Nothing in the log of this run is an error."""
    lines = sidecar.log.read_text().splitlines()
    assert [line for line in lines if json.loads(line).get("level") in {"error", "critical"}] == []
