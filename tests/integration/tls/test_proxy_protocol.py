"""The PROXY protocol as HAProxy and curl speak it, before HTTP and before TLS."""

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.authority import Authority, Pair
from tests.integration.client import Client
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.tls.conftest import MakeSecure
from tests.integration.tls.conftest import request as request_of
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import eventually

CLIENT = "127.0.0.5"
"""Where clients come from: another address of the loopback than the load balancer's."""
OPTIONS = ("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2 proxy-v2-options crc32c")


class HaProxy:
    """A load balancer that passes bytes on, with one port for each way of saying for whom.

    Attributes:
        ports: In the order of :data:`OPTIONS`.
        secure: As *ports*, but the load balancer ends TLS.
    """

    def __init__(self, folder: Path, target: int, pair: Pair) -> None:
        both = folder / "both.pem"
        both.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
        with_both = [_free_port() for _ in range(2 * len(OPTIONS))]
        self.ports, self.secure = with_both[: len(OPTIONS)], with_both[len(OPTIONS) :]
        lines = ["defaults", "mode tcp", "timeout connect 5s", "timeout client 10s", "timeout server 10s"]
        for number, option in enumerate(OPTIONS):
            lines += [
                *(f"frontend f{number}", f"bind 127.0.0.1:{self.ports[number]}"),
                *(f"bind 127.0.0.1:{self.secure[number]} ssl crt {both}", f"default_backend b{number}"),
                *(f"backend b{number}", f"server s 127.0.0.1:{target} {option} check"),
            ]
        settings = folder / "haproxy.cfg"
        settings.write_text("\n".join(lines) + "\n")
        self._log = (folder / "haproxy.log").open("wb")
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(settings)], stdout=self._log, stderr=self._log)
        eventually(lambda: all(map(_accepts, with_both)), "HAProxy listens")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _curl(sidecar: Sidecar, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["curl", "--silent", "--show-error", "--max-time", "15", "--interface", CLIENT, *arguments, url]
    cookie = f"__session={sidecar.session('vera')}"
    return subprocess.run([*command, "--cookie", cookie], capture_output=True, text=True, check=False)


@pytest.fixture
def settings() -> dict[str, object]:
    """Return who is trusted: the load balancer, and not its clients."""
    return {"trusted_proxies": ["127.0.0.1/32"]}


@pytest.fixture
def balance(tmp_path: Path, pair: Pair) -> Iterator[Callable[[int], HaProxy]]:
    """Return a maker of load balancers in front of a port."""
    made: list[HaProxy] = []

    def make(target: int) -> HaProxy:
        made.append(HaProxy(tmp_path, target, pair))
        return made[-1]

    yield make
    for balancer in made:
        balancer.close()


def test_http(
    make_sidecar: MakeSidecar,
    upstream: LoggingUpstream,
    authority: Authority,
    balance: Callable[[int], HaProxy],
    settings: dict[str, object],
) -> None:
    """In every way that HAProxy says it, the client's address is the source; where HAProxy ended TLS and says so, the
    upstream is told https. Its own looks at the port are no failures."""
    listen = {"address": "127.0.0.1:0", "proxy_protocol": "required"}
    sidecar = make_sidecar(settings={**settings, "listen": listen}).start()
    balancer = balance(sidecar.port)
    for ports, scheme in ((balancer.ports, "http"), (balancer.secure, "https")):
        for port, option in zip(ports, OPTIONS, strict=True):
            done = _curl(sidecar, f"{scheme}://localhost:{port}{ROUTE_FILE}", "--cacert", str(authority.file))
            assert (done.returncode, done.stdout) == (0, "ok"), (option, done.stderr)
            request = upstream.next_request()
            told = scheme if option == "send-proxy-v2-ssl" else "http"
            found = request.values("X-Forwarded-For"), request.values("X-Forwarded-Proto")
            assert found == ([CLIENT], [told]), option
    assert {record["source"] for record in sidecar.decisions()} == {CLIENT}
    assert sidecar.metric("sidegate_proxy_header_failures_total", cause="malformed") == 0
    # Around the load balancer there is no way, with a header or without.
    for header in (b"", b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 8080\r\n"):
        plain = socket.create_connection(("127.0.0.1", sidecar.port), source_address=(CLIENT, 0))
        with Client(plain) as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.send(header + request_of(sidecar, ROUTE_FILE))
            assert client.is_ended()
    eventually(
        lambda: sidecar.metric("sidegate_proxy_header_failures_total", cause="untrusted") == 2, "both are counted"
    )
    assert len(upstream.requests.queue) == 0
    (event,) = [event for event in sidecar.events() if event["event"] == "proxy_header_rejected"]
    assert (event["cause"], event["peer"]) == ("untrusted", CLIENT)
    assert "`trusted_proxies`" in event["hint"]


def test_https(
    make_secure: MakeSecure,
    upstream: LoggingUpstream,
    authority: Authority,
    balance: Callable[[int], HaProxy],
    settings: dict[str, object],
) -> None:
    """The header stands before TLS, which the load balancer does not look into; curl sends one itself."""
    sidecar = make_secure(listen={"proxy_protocol": "required"}, settings=settings).start()
    balancer = balance(sidecar.port)
    trusting = ("--cacert", str(authority.file), "--http1.1")
    for port, option in zip(balancer.ports, OPTIONS, strict=True):
        done = _curl(sidecar, f"https://localhost:{port}{ROUTE_FILE}", *trusting)
        assert (done.returncode, done.stdout) == (0, "ok"), (option, done.stderr)
        request = upstream.next_request()
        assert (request.values("X-Forwarded-For"), request.values("X-Forwarded-Proto")) == ([CLIENT], ["https"]), option
    url = f"https://localhost:{sidecar.port}{ROUTE_FILE}"
    done = _curl(sidecar, url, *trusting, "--haproxy-protocol", "--interface", "127.0.0.1")
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    assert upstream.next_request().values("X-Forwarded-For") == ["127.0.0.1"]
