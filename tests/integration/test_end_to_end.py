"""Sidegate in front of the example DataStore, as a new user meets it: decided, forwarded or denied, and recorded."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.datastore import DataStore
from tests.integration.sidecar import ACME, FILES, ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually

MAIN_FILE = ROUTE_FILE.replace("/branches/x/", "/branches/main/")
P2_FILE = ROUTE_FILE.replace("/p1/", "/p2/")


@pytest.fixture
def datastore(tmp_path: Path) -> Iterator[DataStore]:
    """Return a running DataStore with its samples."""
    datastore = DataStore(tmp_path / "datastore")
    yield datastore
    datastore.close()


@pytest.fixture
def gate(make_sidecar: MakeSidecar, datastore: DataStore) -> Sidecar:
    """Return a sidecar that is ready, in front of the DataStore."""
    return make_sidecar(upstream=datastore.url).start()


def test_nothing_presented(gate: Sidecar) -> None:
    """Without a credential the answer is 401 and says how to authenticate; the refusal is recorded."""
    answer = gate.ask("GET", ROUTE_FILE)
    assert answer.verdict == (401, "no_credential")
    assert str(answer.field("WWW-Authenticate")).startswith("Bearer ")
    record = gate.decision(answer.json()["decision_id"])
    assert (record["outcome"], record["reason"], record["actor"]) == ("deny", "no_credential", None)


def test_viewer_reads(gate: Sidecar, datastore: DataStore) -> None:
    """A Viewer's GET returns what lies on the DataStore's disk, byte for byte."""
    answer = gate.ask("GET", ROUTE_FILE, who="vera")
    assert (answer.status, answer.body) == (200, datastore.file("x", "designs/current/route.json").read_bytes())


def test_viewer_may_not_write(gate: Sidecar, datastore: DataStore) -> None:
    """A Viewer's PUT is refused with its reason, what was asked for and a decision id; the disk is untouched."""
    file = datastore.file("x", "designs/current/route.json")
    before = file.read_bytes()
    answer = gate.ask("PUT", ROUTE_FILE, who="vera", body=b"mine now")
    problem = answer.json()
    assert answer.verdict == (403, "not_granted")
    assert (problem["authority"], problem["target"]) == ("write", "p1@x:designs/current/route.json")
    record = gate.decision(problem["decision_id"])
    assert (record["actor"]["account"], record["because"]) == ("user:vera", ["vera-p1"])
    assert file.read_bytes() == before


def test_why_names_the_line(gate: Sidecar) -> None:
    """`sidegate why ID` cites the binding that decided with its file and line."""
    problem = gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").json()
    line = next(number for number, text in enumerate(ACME.splitlines(), 1) if "id: vera-p1" in text)
    told = gate.run("why", problem["decision_id"], "--config", str(gate.config))
    assert told.returncode in {0, 1}, told.stderr
    assert "not_granted" in told.stdout
    assert "vera-p1" in told.stdout
    assert f"acme.yaml:{line}" in told.stdout


def test_designer_writes_to_the_disk(gate: Sidecar, datastore: DataStore) -> None:
    """A Designer's PUT lands on the disk of the DataStore, and her GET returns it."""
    path = f"{FILES}/notes/new.txt"
    written = gate.ask("PUT", path, who="ana", body=b"from ana")
    assert written.status == 201
    assert datastore.file("x", "notes/new.txt").read_bytes() == b"from ana"
    assert gate.ask("GET", path, who="ana").body == b"from ana"


def test_narrower_binding_refuses(gate: Sidecar, datastore: DataStore) -> None:
    """On main the narrower Viewer binding counts, not the Designer binding on the project; reading goes on."""
    answer = gate.ask("PUT", MAIN_FILE, who="ana", body=b"x")
    assert answer.verdict == (403, "not_granted")
    assert gate.decision(answer.json()["decision_id"])["because"] == ["ana-main"]
    assert gate.ask("GET", MAIN_FILE, who="ana").status == 200


def test_key_is_limited_to_its_scope(gate: Sidecar) -> None:
    """An API key with scope p1 works on p1 and is refused on p2, where its account has a grant."""
    key, record = gate.mint_key("--account", "service:ci", "--org", "acme", "--scopes", "p1")
    policy = gate.policy / "acme.yaml"
    policy.write_text(ACME + f"keys:\n  - {json.dumps(record)}\n")
    eventually(lambda: gate.ask("GET", ROUTE_FILE, who=key).status == 200, "the new key works on p1")
    refused = gate.ask("GET", P2_FILE, who=key)
    assert refused.verdict == (403, "outside_credential_scope")
    assert key not in gate.log.read_text()
    assert all(key not in json.dumps(line) for line in gate.lines())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param(ROUTE_FILE.replace("/acme/", "/globex/").replace("/p1/", "/g1/"), "cross_org", id="other-org"),
        pytest.param("/v2/anything", "unmapped_route", id="unmapped"),
        pytest.param(P2_FILE, "no_grant", id="no-grant"),
    ],
)
def test_refused(gate: Sidecar, path: str, reason: str) -> None:
    """What is not granted, another organization's, or unmapped is 403 with its reason, and recorded under its id."""
    answer = gate.ask("GET", path, who="ana")
    assert answer.verdict == (403, reason)
    assert gate.decision(answer.json()["decision_id"])["reason"] == reason


def test_public_route(gate: Sidecar) -> None:
    """A route marked public needs no credential and is recorded as such."""
    assert gate.ask("GET", "/healthz").status == 200
    assert gate.decisions()[-1]["reason"] == "public_route"


def test_edited_policy_counts(gate: Sidecar) -> None:
    """Editing the policy file changes the answer of the running sidecar."""
    assert gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").status == 403
    policy = gate.policy / "acme.yaml"
    policy.write_text(ACME.replace("who: user:vera, role: Viewer", "who: user:vera, role: Designer"))
    eventually(lambda: gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").status < 300, "vera may write")
    policy.write_text(ACME)
    eventually(lambda: gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").status == 403, "vera may not write")


def test_invalid_edit_changes_nothing(gate: Sidecar) -> None:
    """A policy file that becomes invalid changes nothing but the error shown; the next good one counts again."""
    policy = gate.policy / "acme.yaml"
    line = next(number for number, text in enumerate(ACME.splitlines(), 1) if "id: vera-p1" in text)
    policy.write_text(ACME.replace("who: user:vera, role:", "who: user:vera, roll:"))
    eventually(
        lambda: f"acme.yaml:{line}:" in gate.ask_admin("/readyz?verbose").text + gate.log.read_text(),
        "the error is shown with its line",
    )
    eventually(lambda: gate.metric("sidegate_snapshot_load_failures_total") == 1, "the failure is counted")
    assert gate.ask_admin("/readyz").status == 200
    assert gate.ask("GET", ROUTE_FILE, who="vera").status == 200
    assert gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").verdict == (403, "not_granted")
    policy.write_text(ACME.replace("who: user:vera, role: Viewer", "who: user:vera, role: Designer"))
    eventually(lambda: gate.ask("PUT", ROUTE_FILE, who="vera", body=b"x").status < 300, "the good edit counts")


def test_verify(gate: Sidecar) -> None:
    """`audit verify` passes on the spool as written, and fails after one byte of a segment is changed."""
    for _ in range(3):
        gate.ask("GET", ROUTE_FILE, who="vera")
    assert gate.stop() == 0
    verified = gate.run("audit", "verify", str(gate.spool))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    (segment,) = gate.spool.rglob("*.ndjson")
    data = bytearray(segment.read_bytes())
    place = data.index(b'"granted"') + 1
    data[place] ^= 1
    segment.write_bytes(bytes(data))
    assert gate.run("audit", "verify", str(gate.spool)).returncode == 1
