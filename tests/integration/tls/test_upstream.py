"""TLS to the upstream: who is there is proved before anything is sent, and what is renewed is used (spec 6.1)."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.authority import DAY, Authority, Pair
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Json, Sidecar
from tests.integration.upstream import OK, Conversation, LoggingUpstream
from tests.integration.waiting import eventually


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs the certificates of both ends."""
    return Authority(tmp_path / "authority")


def start(make_sidecar: MakeSidecar, upstream: LoggingUpstream, **tls: object) -> Sidecar:
    """Start a sidecar in front of *upstream*, by its address over TLS."""
    url = upstream.url.replace("http:", "https:")
    settings = {"upstream": {"url": url, "tls": {name: str(given) for name, given in tls.items()}}}
    return make_sidecar(settings=settings).start()


def troubles(sidecar: Sidecar) -> list[Json]:
    """Return what the log says about TLS with the upstream."""
    return [event for event in sidecar.events() if event["event"] == "upstream_tls_failed"]


def hang_up(upstream: LoggingUpstream) -> None:
    """End all connections of *upstream*; each is closed by the thread that serves it."""
    for conversation in upstream.conversations:
        with contextlib.suppress(OSError):
            conversation._socket.shutdown(socket.SHUT_RDWR)


def test_verified(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority, tmp_path: Path) -> None:
    """Requests go up on a connection that is kept, and nothing of one reaches who cannot prove to be the upstream; the
    log says why, once, and when it is over."""
    good = authority.server(authority.issue("good"))
    other = Authority(tmp_path / "other")
    upstream.tls = good
    sidecar = start(make_sidecar, upstream, ca=authority.file)
    assert [sidecar.ask("GET", ROUTE_FILE, who="vera").body for _ in range(5)] == [b"ok"] * 5
    assert len(upstream.conversations) == 1
    assert sidecar.metric("sidegate_tls_certificate_remaining_seconds", certificate="upstream_ca") > 0
    for context, reason, hint in (
        (authority.server(authority.issue("a", ["other.example"])), "not valid for '127.0.0.1'", "server_name"),
        (authority.server(authority.issue("b", begins=-3 * DAY, ends=-DAY)), "has expired", "renew"),
        (authority.server(authority.issue("c", begins=DAY, ends=3 * DAY)), "is not yet valid", "clock"),
        (other.server(other.issue("d")), "certificate", "upstream.tls.ca"),
    ):
        seen = upstream.seen
        upstream.tls = context
        hang_up(upstream)
        for _ in range(2):
            assert sidecar.ask("GET", ROUTE_FILE, who="vera").verdict == (502, "upstream_unreachable")
        assert upstream.seen == seen
        trouble = troubles(sidecar)[-1]
        assert reason in trouble["reason"]
        assert hint in trouble["hint"]
    assert len(troubles(sidecar)) == 4
    upstream.tls = good
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    eventually(lambda: "upstream_tls_restored" in sidecar.log.read_text(), "it is said that it works again")


def test_name_that_is_asked_for(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority) -> None:
    """`server_name` is whom the upstream has to be, whatever its address, and what it is asked for (SNI)."""
    asked: list[object] = []
    context = authority.server(authority.issue("upstream", ["datastore.example"]))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    upstream.tls = context
    sidecar = start(make_sidecar, upstream, ca=authority.file, server_name="datastore.example")
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    assert asked == ["datastore.example"]


def test_client_certificate(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority) -> None:
    """An upstream that wants a certificate gets ours; without one requests fail, and the log says what to do."""
    mine = authority.issue("client", ["sidegate"])
    context = authority.server(authority.issue("upstream"), asks=True)
    upstream.tls = context
    sidecar = start(make_sidecar, upstream, ca=authority.file, cert=mine.cert, key=mine.key)
    bare = start(make_sidecar, upstream, ca=authority.file)
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context.maximum_version = version
        hang_up(upstream)
        assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
        # Under TLS 1.3 our handshake is done when the upstream refuses.
        for method, who in (("GET", "vera"), ("PUT", "ana")):
            assert bare.ask(method, ROUTE_FILE, who=who).verdict == (502, "upstream_unreachable")
    assert len(upstream.requests.queue) == 2
    assert {trouble["hint"] for trouble in troubles(bare)} == {
        "the upstream refuses; if it wants a certificate, set `upstream.tls.cert` and `key` to one it knows"
    }


def test_no_tls_there(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority) -> None:
    """An upstream that speaks no TLS gets nothing but a handshake; one that says nothing is waited for no longer than
    for any connection."""
    upstream.script = lambda conversation: conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    sidecar = start(make_sidecar, upstream, ca=authority.file)
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").verdict == (502, "upstream_unreachable")
    upstream.script = _silent
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").verdict == (504, "upstream_timeout")
    assert b"X-Sidegate" not in upstream.seen


def _silent(conversation: Conversation) -> None:
    while conversation.receive():
        pass


def _until_close(end: Callable[[Conversation], object]) -> Callable[[Conversation], None]:
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\nnot all")
        end(conversation)

    return script


def test_truncation(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority) -> None:
    """An answer that ends with its connection is whole only if the upstream said so in TLS: anybody on the way can end
    a connection (RFC 9112 section 9.8)."""
    upstream.tls = authority.server(authority.issue("upstream"))
    sidecar = start(make_sidecar, upstream, ca=authority.file)
    upstream.script = _until_close(lambda conversation: conversation._socket.unwrap())  # type: ignore[attr-defined]
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").body == b"not all"
    upstream.script = _until_close(lambda conversation: conversation.close())
    with pytest.raises((ConnectionResetError, AssertionError)):
        sidecar.ask("GET", ROUTE_FILE, who="vera")


def test_renewal(make_sidecar: MakeSidecar, upstream: LoggingUpstream, authority: Authority, tmp_path: Path) -> None:
    """While requests go up without a pause, authority and both certificates are replaced; none fails, and afterwards
    only connections with the new ones are used."""
    next_authority = Authority(tmp_path / "next", "next authority")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.file.read_bytes() + next_authority.file.read_bytes())
    first = authority.issue("client", ["sidegate"])
    mine = Pair(tmp_path / "client.pem", tmp_path / "client.key")
    mine.cert.write_bytes(first.cert.read_bytes())
    mine.key.write_bytes(first.key.read_bytes())
    shown: list[str] = []

    def script(conversation: Conversation) -> None:
        certificate = conversation._socket.getpeercert()  # type: ignore[attr-defined]
        while conversation.read_request() is not None:
            shown.append(dict(entry[0] for entry in certificate["issuer"])["commonName"])
            conversation.send(OK)

    upstream.script = script
    context = authority.server(authority.issue("upstream"), asks=True)
    context.load_verify_locations(next_authority.file)
    upstream.tls = context
    sidecar = start(make_sidecar, upstream, ca=both, cert=mine.cert, key=mine.key)
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(sidecar.ask("GET", ROUTE_FILE, who="vera").status)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        eventually(lambda: len(shown) > 5, "requests go up")
        mine.replace(next_authority.issue("client", ["sidegate"]))
        eventually(lambda: shown[-1] == "next authority", "the new certificate is shown")
        context = authority.server(next_authority.issue("upstream"), asks=True)
        context.load_verify_locations(next_authority.file)
        upstream.tls = context
        draft = tmp_path / "draft.pem"
        draft.write_bytes(next_authority.file.read_bytes())
        before = len(upstream.conversations)
        draft.replace(both)
        eventually(lambda: len(upstream.conversations) > before, "a connection is opened to the new certificate")
        done = len(shown)
        eventually(lambda: len(shown) > done + 5, "requests go on")
    finally:
        stop.set()
        asking.join()
    assert set(statuses) == {200}
    at = shown.index("next authority")
    assert set(shown[:at]) == {"test authority"}
    assert set(shown[at:]) == {"next authority"}
