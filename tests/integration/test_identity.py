"""Credentials of every kind, verified by a running sidecar (spec 3)."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ACME, ISSUER, ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import eventually

USES = 24


@pytest.fixture(
    params=[
        pytest.param("RS256", id="rs256"),
        pytest.param("ES256", id="es256"),
        pytest.param("EdDSA", id="eddsa"),
    ]
)
def by_algorithm(request: pytest.FixtureRequest, tmp_path: Path, upstream: LoggingUpstream) -> Sidecar:
    """Return a sidecar, not started, that accepts sessions of one algorithm."""
    return Sidecar(tmp_path / "by-algorithm", upstream.url, Issuer(ISSUER, algorithm=request.param))


def _status(sidecar: Sidecar, token: str) -> tuple[int, str | None]:
    answer = sidecar.ask("GET", ROUTE_FILE, headers=[f"Authorization: Bearer {token}"])
    return answer.status, None if answer.status == 200 else answer.reason


def test_sessions(by_algorithm: Sidecar) -> None:
    """A good session passes as cookie and as bearer token, in the claims of both versions; every bad one is 401."""
    sidecar = by_algorithm
    try:
        sidecar.start()
        issuer = sidecar.issuer
        good = issuer.session("vera", "acme")
        invalid = (401, "invalid_credential")
        signed, _, signature = good.rpartition(".")
        version_1 = {"o": None, "org_id": "acme"}
        same: dict[str, Any] = {"algorithm": issuer.algorithm, "key": issuer.key}
        rows = {
            "good": (good, (200, None)),
            "version 1 of the claims": (issuer.session("vera", "acme", claims=version_1), (200, None)),
            "expired": (issuer.session("vera", "acme", now=time.time() - 7200), (401, "session_expired")),
            "not yet": (issuer.session("vera", "acme", now=time.time() + 3600), invalid),
            "another issuer": (Issuer("https://evil.example", **same).session("vera", "acme"), invalid),
            "another key": (Issuer(ISSUER, algorithm=issuer.algorithm).session("vera", "acme"), invalid),
            "unknown kid": (Issuer(ISSUER, kid="k9", **same).session("vera", "acme"), invalid),
            "no session id": (issuer.session("vera", "acme", claims={"sid": None}), invalid),
            "no organization": (issuer.session("vera", "acme", claims={"o": None}), invalid),
            "forged": (f"{signed}.{'A' * 8}{signature[8:]}", invalid),
            "cut": (good[:-10], invalid),
            "unsigned": (f"eyJhbGciOiJub25lIn0.{good.split('.')[1]}.", invalid),
            "not a token": ("junk", invalid),
        }
        assert {name: _status(sidecar, token) for name, (token, _) in rows.items()} == {
            name: expected for name, (_, expected) in rows.items()
        }
        assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    finally:
        sidecar.close()


@pytest.mark.parametrize("workers", [pytest.param(1, id="alone"), pytest.param(2, id="two-workers")])
def test_single_use_key(make_sidecar: MakeSidecar, workers: int) -> None:
    """Of many simultaneous uses of a single-use key exactly one passes; a denied use does not use it up."""
    sidecar = make_sidecar(settings={"workers": workers})
    key, record = sidecar.mint_key("--account", "service:ci", "--org", "acme", "--scopes", "p1", "--single-use")
    (sidecar.policy / "acme.yaml").write_text(ACME + f"keys:\n  - {json.dumps(record)}\n")
    sidecar.start(workers)
    assert sidecar.ask("GET", ROUTE_FILE.replace("/p1/", "/p2/"), who=key).reason == "outside_credential_scope"
    start = threading.Barrier(USES)
    answers: list[tuple[int, str | None]] = []

    def use() -> None:
        start.wait()
        answer = sidecar.ask("GET", ROUTE_FILE, who=key)
        answers.append((answer.status, None if answer.status == 200 else answer.reason))

    threads = [threading.Thread(target=use) for _ in range(USES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == [(200, None)] + [(401, "key_consumed")] * (USES - 1)
    # And it stays used up after a restart.
    assert sidecar.stop() == 0
    sidecar.start(workers)
    assert sidecar.ask("GET", ROUTE_FILE, who=key).verdict == (401, "key_consumed")


def test_opaque_session(make_sidecar: MakeSidecar) -> None:
    """An opaque session made on the command line works at once, is not the account's for ever, and can be revoked."""
    sidecar = make_sidecar(settings={"sessions": {"opaque": {"store": "memory"}}}).start()
    made = sidecar.run(
        "session", "create", "--account", "user:vera", "--org", "acme", "--quiet", "--config", str(sidecar.config)
    )
    assert made.returncode == 0, made.stderr
    cookie = [f"Cookie: __session={made.stdout.strip()}"]
    eventually(lambda: sidecar.ask("GET", ROUTE_FILE, headers=cookie).status == 200, "the session works")
    assert sidecar.ask("PUT", ROUTE_FILE, headers=cookie, body=b"x").verdict == (403, "not_granted")
    session = sidecar.decisions()[-1]["credential"]["id"]
    revoked = sidecar.run("session", "revoke", session, "--config", str(sidecar.config))
    assert revoked.returncode == 0, revoked.stderr
    eventually(
        lambda: sidecar.ask("GET", ROUTE_FILE, headers=cookie).status == 401 or None, "the session works no longer"
    )
    assert sidecar.ask("GET", ROUTE_FILE, headers=cookie).reason == "session_revoked"


def test_half_closed_connection(sidecar: Sidecar) -> None:
    """A client that sends its request, ends its side and reads to the end gets its answer and the end."""
    with sidecar.connect() as client:
        token = sidecar.session("vera")
        client.send(f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={token}\r\n\r\n".encode())
        client.end_sending()
        assert client.read_to_end().endswith(b"\r\n\r\nok")
