"""The webhook as it runs: a real process, TLS, curl; renewed certificates, hostile clients, an end in good order."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.authority import Authority, Pair
from tests.integration.waiting import eventually

from sidegate.injector.server import MAX_WAITING

REVIEW = Path(__file__).parents[1] / "unit/injector/reviews/deployment.json"
HOST = "gate.prod.svc"
CURL = ("curl", "--silent", "--show-error", "--max-time", "20")


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Injector:
    """A running injector.

    Args:
        authority: Signs its certificate.
        pair: Which it is.
        log: Where its log goes.
        arguments: Further ones.
    """

    def __init__(self, authority: Authority, pair: Pair, log: Path, *arguments: str) -> None:
        self.authority = authority
        self.pair = pair
        self.log = log
        self.port, self.health = free_port(), free_port()
        command = [
            sys.executable, "-m", "sidegate", "injector", f"--listen=127.0.0.1:{self.port}",
            f"--health=127.0.0.1:{self.health}", f"--cert={pair.cert}", f"--key={pair.key}", *arguments,
        ]  # fmt: skip
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=output)
        eventually(self.is_ready, "the injector is ready")

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        assert self.process.poll() is None, self.log.read_text()
        return self.ask_health("/readyz")[0] == 200

    def ask_health(self, path: str) -> tuple[int, str]:
        """Return status and body of the health port; 0 if nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def curl(self, *arguments: str, body: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Ask as an API server does: by the name of the Service, trusting one authority."""
        address = f"https://{HOST}:{self.port}/inject"
        resolve = f"{HOST}:{self.port}:127.0.0.1"
        return subprocess.run(
            [*CURL, "--cacert", str(self.authority.file), "--resolve", resolve, *arguments, address],
            input=body, capture_output=True, check=False,
        )  # fmt: skip

    def review(self, document: object, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Post a review; return status and answer."""
        done = self.curl(
            "--header", "Content-Type: application/json", "--data-binary", "@-", "--write-out", "\n%{http_code}",
            *arguments, body=json.dumps(document).encode(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        answer, _, status = done.stdout.rpartition(b"\n")
        return int(status), json.loads(answer)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def serial(self) -> int:
        """Return the serial number of the certificate that it shows."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as wrapped,
        ):
            shown = wrapped.getpeercert()
            assert shown is not None
            return int(str(shown["serialNumber"]), 16)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def injector(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injector]:
    """Return an injector that several tests ask."""
    running = Injector(
        authority, authority.issue("injector", (HOST,)), tmp_path_factory.mktemp("log") / "log", "--linger=10ms"
    )
    yield running
    running.process.kill()
    running.process.wait()


def test_a_review_is_answered_over_tls(injector: Injector) -> None:
    """An API server gets the patch, in the version and with the uid that it asked with."""
    review = json.loads(REVIEW.read_text())
    status, answer = injector.review(review)
    assert (status, answer["kind"], answer["apiVersion"]) == (200, "AdmissionReview", "admission.k8s.io/v1")
    response = answer["response"]
    assert (response["uid"], response["allowed"]) == (review["request"]["uid"], True)
    patch = json.loads(base64.b64decode(response["patch"]))
    assert {"op": "replace", "path": "/spec/enableServiceLinks", "value": False} in patch


def test_a_denial_says_what_to_do(injector: Injector) -> None:
    """What kubectl shows to whoever applied it."""
    review = json.loads(REVIEW.read_text())
    review["request"]["object"]["metadata"]["annotations"]["sidegate.dev/port"] = "http"
    status, answer = injector.review(review)
    assert (status, answer["response"]["allowed"]) == (200, False)
    assert "write a whole number from 1024 to 65535" in answer["response"]["status"]["message"]


@pytest.mark.parametrize(
    ("arguments", "body", "expected"),
    [
        pytest.param((), b"{}", "415", id="no-type"),
        pytest.param(("--header", "Content-Type: application/json"), b"{}", "400", id="no-review"),
        pytest.param(("--header", "Content-Type: application/json"), b"[" * 300_000, "400", id="deep"),
        pytest.param(("--header", "Content-Type: application/json"), b" " * (5 << 20), "413", id="large"),
        pytest.param(
            ("--header", "Content-Type: application/json", "--header", "Content-Encoding: gzip"),
            b"{}",
            "415",
            id="gzip",
        ),
        pytest.param(("--header", "Content-Type: application/json", "--request", "PUT"), b"{}", "405", id="put"),
    ],
)
def test_hostile_requests_are_refused(
    injector: Injector, arguments: tuple[str, ...], body: bytes, expected: str
) -> None:
    """With a status that the API server takes for a failure; the injector goes on answering."""
    done = injector.curl(
        *arguments, "--data-binary", "@-", "--output", "/dev/null", "--write-out", "%{http_code}", body=body
    )
    assert done.stdout.decode() == expected
    assert injector.review(json.loads(REVIEW.read_text()))[0] == 200


def test_who_sends_slowly_holds_few(injector: Injector) -> None:
    """So many bodies are waited for and no more: the next one is told to come again, and served once they are gone."""
    context = ssl.create_default_context(cafile=str(injector.authority.file))
    head = f"POST /inject HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    review = json.loads(REVIEW.read_text())
    with contextlib.ExitStack() as held:
        for _ in range(MAX_WAITING):
            plain = held.enter_context(socket.create_connection(("127.0.0.1", injector.port), timeout=10))
            held.enter_context(context.wrap_socket(plain, server_hostname=HOST)).sendall(head.encode())
        eventually(lambda: injector.review(review)[0] == 503, "no more are waited for")
    eventually(lambda: injector.review(review)[0] == 200, "it answers again")


def test_numbers_are_for_prometheus(injector: Injector) -> None:
    """On the port of health, which speaks no TLS; what was asked so far is in them."""
    before = injector.ask_health("/metrics")[1]
    injector.review(json.loads(REVIEW.read_text()))
    after = injector.ask_health("/metrics")[1]
    name = 'sidegate_injector_reviews_total{outcome="injected"} '
    counts = [float(text.partition(name)[2].partition("\n")[0]) for text in (before, after)]
    assert counts[1] == counts[0] + 1
    assert "sidegate_tls_certificate_remaining_seconds" in after
    assert injector.ask_health("/livez") == (200, "ok\n")
    assert injector.ask_health("/inject")[0] == 404


def test_only_tls_is_spoken(injector: Injector) -> None:
    """And old versions of it are not."""
    plain = subprocess.run([*CURL, f"http://127.0.0.1:{injector.port}/inject"], capture_output=True, check=False)
    assert plain.returncode != 0
    assert injector.curl("--tlsv1.0", "--tls-max", "1.1").returncode != 0


def test_a_renewed_certificate_is_followed(authority: Authority, tmp_path: Path) -> None:
    """New connections see it without a restart; a pair that does not fit changes nothing."""
    first, second = authority.issue("first", (HOST,)), authority.issue("second", (HOST,))
    running = Injector(authority, first, tmp_path / "log", "--linger=10ms")
    try:
        before = running.serial()
        first.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
        eventually(lambda: "tls_renewal_rejected" in running.log.read_text(), "the broken key is refused")
        assert running.serial() == before
        first.replace(second)
        eventually(lambda: running.serial() != before, "the renewed certificate is shown")
        assert running.review(json.loads(REVIEW.read_text()))[0] == 200
        assert running.stop() == 0
    finally:
        running.process.kill()
        running.process.wait()


def test_the_api_server_may_have_to_prove_itself(authority: Authority, tmp_path: Path) -> None:
    """With `--client-ca` nobody asks without a certificate that it signed."""
    clients = Authority(tmp_path / "clients", "clients")
    api_server = clients.issue("api-server", ("api-server",))
    running = Injector(
        authority, authority.issue("strict", (HOST,)), tmp_path / "log", f"--client-ca={clients.file}", "--linger=10ms"
    )
    review = json.loads(REVIEW.read_text())
    try:
        assert running.curl("--data-binary", "{}").returncode != 0
        proof = ("--cert", str(api_server.cert), "--key", str(api_server.key))
        assert running.review(review, *proof)[0] == 200
    finally:
        running.process.kill()
        running.process.wait()


def test_it_is_asked_until_nobody_is_sent_here(authority: Authority, tmp_path: Path) -> None:
    """Asked to stop it turns unready and goes on answering; asked again it ends at once, in order."""
    running = Injector(authority, authority.issue("ending", (HOST,)), tmp_path / "log", "--linger=1h")
    try:
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: running.ask_health("/readyz")[0] == 503, "it is not ready any more")
        assert running.review(json.loads(REVIEW.read_text()))[0] == 200
        assert running.stop() == 0
    finally:
        running.process.kill()
        running.process.wait()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["--cert=none.pem", "--key=none.pem"], 78, "`--cert` is none.pem", id="no-certificate"),
        pytest.param(["--cert=a", "--key=b", "--listen=nowhere"], 2, "--listen: write host:port", id="no-address"),
        pytest.param(["--cert=a", "--key=b", "--sidecar=none.json"], 78, "none.json` cannot be read", id="no-sidecar"),
        pytest.param(["--cert=a", "--key=b", "--linger=soon"], 2, "--linger: `soon` is no duration", id="no-duration"),
    ],
)
def test_it_does_not_start_by_half(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    """What is wrong is said by the flag, and nothing listens."""
    listen = [f"--listen=127.0.0.1:{free_port()}"] if not any(a.startswith("--listen") for a in arguments) else []
    done = subprocess.run(
        [sys.executable, "-m", "sidegate", "injector", *listen, f"--health=127.0.0.1:{free_port()}", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert message in done.stderr
