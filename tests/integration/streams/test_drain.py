"""SIGTERM while clients are busy, queued, or hold something open (spec 2.8)."""

import os
import signal
import socket
import threading

from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.streams.arena import Arena, Kind
from tests.integration.upstream import OK, Conversation, LoggingUpstream
from tests.integration.waiting import DEADLINE_S, eventually


def _get(sidecar: Sidecar, path: str = ROUTE_FILE) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: __session={sidecar.session('vera')}\r\n\r\n".encode()


class Busy:
    """Clients that ask again and again on one connection each, until they are told that it closes.

    Attributes:
        answered: Requests with a whole answer.
        told: Clients that were told so.
        lost: What happened to requests without an answer.
    """

    def __init__(self, sidecar: Sidecar, clients: int) -> None:
        self.answered = 0
        self.told = 0
        self.lost: list[BaseException] = []
        self._lock = threading.Lock()
        self._request = _get(sidecar)
        self._threads = [threading.Thread(target=self._run, args=(sidecar,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, sidecar: Sidecar) -> None:
        try:
            with sidecar.connect() as client:
                closes = False
                while not closes:
                    client.send(self._request)
                    answer = client.read_response()
                    assert answer.status == 200, answer
                    closes = answer.field("Connection") == "close"
                    with self._lock:
                        self.answered += 1
                        self.told += closes
        except (OSError, AssertionError) as error:
            self.lost.append(error)

    def wait(self) -> None:
        """Wait until every client has come to its end."""
        for thread in self._threads:
            thread.join(DEADLINE_S)


def test_busy_clients_lose_nothing(make_sidecar: MakeSidecar) -> None:
    """Every request of busy clients is answered; each connection ends by an answer that says so; exit 0."""
    sidecar = make_sidecar().start()
    busy = Busy(sidecar, clients=12)
    eventually(lambda: busy.answered > 500, "the clients are busy")
    sidecar.signal(signal.SIGTERM)
    busy.wait()
    assert busy.lost == []
    assert busy.told == 12
    assert sidecar.wait() == 0
    allowed = [record for record in sidecar.decisions() if record["outcome"] == "allow"]
    assert len(allowed) == busy.answered
    assert sidecar.lines()[-1]["record"] == "checkpoint"


def test_queued_clients_are_answered(make_sidecar: MakeSidecar) -> None:
    """Who connected and asked before the listener closed is answered, though not accepted yet when the signal came."""
    sidecar = make_sidecar().start()
    request = _get(sidecar)
    os.kill(sidecar.pid, signal.SIGSTOP)
    clients = [sidecar.connect() for _ in range(100)]
    for client in clients:
        client.send(request)
    sidecar.signal(signal.SIGTERM)
    os.kill(sidecar.pid, signal.SIGCONT)
    answers = [client.read_response() for client in clients]
    assert {(answer.status, answer.field("Connection")) for answer in answers} == {(200, "close")}
    for client in clients:
        client.close()
    assert sidecar.wait() == 0


def test_open_streams(make_sidecar: MakeSidecar, arena: Arena) -> None:
    """WebSockets are told 1001 at once; transfers have the drain timeout, then they are cut; each has its record."""
    sidecar = make_sidecar(upstream=arena.url, settings={"limits": {"drain_timeout_ms": 1500}}).start()
    cookie = f"Cookie: __session={sidecar.session('ana')}"
    for _ in range(3):
        arena.open(sidecar, "ana", cookie, Kind)
    arena.wait_until_established()
    sidecar.signal(signal.SIGTERM)
    sockets = [one for one in arena.streams if one.kind is Kind.WEBSOCKET]
    eventually(lambda: all(one.ended_at is not None for one in sockets), "the WebSockets have ended")
    assert [one.close_frame for one in sockets] == [(1001, "going away")] * 3
    others = [one for one in arena.streams if one.kind is not Kind.WEBSOCKET]
    assert [one.ended_at for one in others] == [None] * 9
    assert sidecar.wait() == 0
    eventually(lambda: all(one.ended_at is not None for one in others), "the transfers have ended")
    assert [(one.was_reset, one.is_whole) for one in others] == [(True, False)] * 9
    assert [(line["ended"], line["reason"]) for line in sidecar.completions()] == [("shutdown", None)] * 12
    assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0


def test_unready_while_draining(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """As soon as it is asked to stop it is not ready any more, alive, and says why; what is in flight goes on."""
    go = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        assert go.wait(DEADLINE_S)
        conversation.send(OK)

    upstream.script = script
    sidecar = make_sidecar().start()
    with sidecar.connect() as client:
        client.send(_get(sidecar))
        upstream.next_request()
        sidecar.signal(signal.SIGTERM)
        answer = eventually(
            lambda: found if (found := sidecar.ask_admin("/readyz?verbose")).status == 503 else None, "it is not ready"
        )
        assert "shutting down" in answer.text
        assert sidecar.ask_admin("/livez").status == 200
        go.set()
        assert client.read_response().status == 200
    assert sidecar.wait() == 0


def test_second_signal_cuts_streams(make_sidecar: MakeSidecar, arena: Arena) -> None:
    """Asked twice it ends at once: what is open is cut and recorded, the chain is signed."""
    sidecar = make_sidecar(upstream=arena.url).start()
    arena.open(sidecar, "ana", f"Cookie: __session={sidecar.session('ana')}", [Kind.EVENTS, Kind.UPLOAD])
    arena.wait_until_established()
    sidecar.signal(signal.SIGTERM)
    eventually(lambda: _is_closed(sidecar.port), "it does not accept any more")
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait() == 0
    assert [line["ended"] for line in sidecar.completions()] == ["shutdown"] * 2
    assert sidecar.lines()[-1]["record"] == "checkpoint"


def _is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_two_workers_drain(make_sidecar: MakeSidecar) -> None:
    """Every worker lets its clients finish; the supervisor ends with 0."""
    sidecar = make_sidecar(settings={"workers": 2}).start(workers=2)
    busy = Busy(sidecar, clients=12)
    eventually(lambda: busy.answered > 300, "the clients are busy")
    sidecar.signal(signal.SIGTERM)
    busy.wait()
    assert (busy.lost, busy.told) == ([], 12)
    assert sidecar.wait() == 0
