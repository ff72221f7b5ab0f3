"""`sidegate audit query`, `tail` and `export` (spec 5.8)."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.unit.cli.samples import completion_record, decision_record, divergence

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.trail.record import Actor, ActorType

NOBODY = {
    **dict.fromkeys(("actor", "credential", "authority", "target", "kind")),
    "reason": Reason.NO_CREDENTIAL,
}
ALLOWED = {"outcome": Outcome.ALLOW, "reason": Reason.GRANTED}


@pytest.fixture
def root(spool: Callable[..., Path]) -> Path:
    """A spool with one record of each kind that filters tell apart."""
    return spool(
        [
            decision_record(1),
            decision_record(2, authority=Authority.READ, **ALLOWED),
            decision_record(3, org="globex", actor=Actor("user:gus", ActorType.USER, ())),
            decision_record(4, actor=Actor("user:ana", ActorType.AGENT, ("ag_1",)), target="p2@x", **ALLOWED),
            divergence(5, target="p3"),
            decision_record(
                6, actor=None, credential=None, authority=None, target=None, kind=None, reason=Reason.NO_CREDENTIAL
            ),
            completion_record(7, decision_record(4).id),
        ]
    )


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        pytest.param([], [1, 2, 3, 4, 5, 6], id="all"),
        pytest.param(["--org", "globex"], [3], id="org"),
        pytest.param(["--actor", "user:gus"], [3], id="account"),
        pytest.param(["--actor", "ag_1"], [4], id="link"),
        pytest.param(["--authority", "read"], [2], id="authority"),
        pytest.param(["--target", "p1@main"], [1, 2, 3], id="target"),
        pytest.param(["--target", "*"], [1, 2, 3, 4, 5], id="target-any"),
        pytest.param(["--outcome", "allow"], [2, 4], id="outcome"),
        pytest.param(["--reason", "no_credential"], [6], id="reason"),
        pytest.param(["--since", "2026-11-21T12:00:04Z"], [4, 5, 6], id="since"),
        pytest.param(["--until", "2026-11-21T12:00:03Z"], [1, 2], id="until"),
        pytest.param(["--id", decision_record(5).id], [5], id="id"),
        pytest.param(["--divergent"], [5], id="divergent"),
        pytest.param(["--limit", "2"], [5, 6], id="limit-keeps-the-newest"),
        pytest.param(["--org", "acme", "--outcome", "deny"], [1, 5, 6], id="all-have-to-hold"),
    ],
)
def test_query_filters(sidegate: Any, root: Path, options: list[str], numbers: list[int]) -> None:
    """What all filters ask for, oldest first, as one JSON list of whole records."""
    done = sidegate("audit", "query", root, *options, "-o", "json")
    assert (0, [decision_record(number).id for number in numbers]) == (done.code, [one["id"] for one in done.json])


def test_query_for_people(sidegate: Any, root: Path) -> None:
    """One line to a record: when, the answer, why, who, what on what."""
    done = sidegate("audit", "query", root, "--since", "2026-11-21T12:00:04Z", "--completions")
    lines = done.out.splitlines()
    assert lines[0].split() == ["TIME", "OUTCOME", "REASON", "ACCOUNT", "AUTHORITY", "TARGET", "ORG", "ID"]
    assert "2026-11-21T12:00:04.000Z  allow    granted            user:ana > ag_1  write      p2@x" in lines[1]
    assert "PUT /v1/orgs/acme" in lines[3]
    assert "200 client_closed" in lines[4]


def test_query_says_that_there_is_more(sidegate: Any, root: Path) -> None:
    """What the limit leaves out is not left out silently."""
    assert "there are more than 2 records" in sidegate("audit", "query", root, "--limit", "2").err
    assert sidegate("audit", "query", root, "--limit", "6").err == ""
    assert sidegate("audit", "query", root, "--id", "x").out == "no records\n"


def test_lines_that_are_no_records(sidegate: Any, root: Path) -> None:
    """A damaged line is passed over, said, and the answer is not a clean one: exit code 65."""
    segment = root / "side-w0" / "00000001.ndjson"
    segment.write_bytes(segment.read_bytes().replace(b'{"v":1', b'{"w":1', 2))
    for command in (["query"], ["tail"], ["export"]):
        done = sidegate("audit", *command, root)
        assert (done.code, "run `sidegate audit verify`" in done.err) == (65, True)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        pytest.param(["-n", "3"], [5, 6, 7], id="the-newest"),
        pytest.param(["-n", "0"], [], id="none"),
        pytest.param(["--org", "globex"], [3], id="filtered"),
        pytest.param([], [1, 2, 3, 4, 5, 6, 7], id="all"),
    ],
)
def test_tail(sidegate: Any, root: Path, options: list[str], numbers: list[int]) -> None:
    """The newest records, oldest of them first, completions included, one line of JSON each."""
    done = sidegate("audit", "tail", root, *options, "-o", "json")
    assert numbers == [int(line["time"][17:19]) for line in done.lines]


def test_tail_for_people(sidegate: Any, root: Path) -> None:
    """Aligned, without a head: it may go on."""
    out = sidegate("audit", "tail", root, "-n", "1").out
    assert out.startswith("2026-11-21T12:00:07.000Z  -  200 client_closed  -  -  -  acme  0193")


def test_tail_follows(sidegate: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--follow goes on with what is added until Ctrl-C, which ends it with exit code 130."""
    segment = root / "side-w0" / "00000001.ndjson"
    added = segment.read_bytes().splitlines(keepends=True)[1]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 1:
            raise KeyboardInterrupt
        with segment.open("ab") as file:
            file.write(added)

    monkeypatch.setattr("time.sleep", wait)
    done = sidegate("audit", "tail", root, "-n", "1", "--follow", "-o", "json")
    assert (done.code, [int(line["time"][17:19]) for line in done.lines]) == (130, [7, 1])


def test_export_keeps_every_byte(sidegate: Any, root: Path) -> None:
    """jsonl is what stands in the spool, hash and all."""
    lines = [
        line
        for line in (root / "side-w0" / "00000001.ndjson").read_bytes().splitlines(keepends=True)
        if b'"checkpoint"' not in line
    ]
    assert b"".join(lines).decode() == sidegate("audit", "export", root, "--completions").out


def test_export_to_a_file(sidegate: Any, root: Path, tmp_path: Path) -> None:
    """--out writes there and prints nothing."""
    done = sidegate("audit", "export", root, "--org", "globex", "--out", tmp_path / "out.ndjson")
    assert (done.code, done.out) == (0, "")
    assert decision_record(3).id == orjson.loads((tmp_path / "out.ndjson").read_bytes())["id"]


def test_export_csv(sidegate: Any, root: Path) -> None:
    """csv has one column per member, nested ones taken apart, lists joined."""
    done = sidegate("audit", "export", root, "--format", "csv", "--actor", "ag_1")
    (row,) = csv.DictReader(io.StringIO(done.out))
    expected = {
        "account": "user:ana", "actor_type": "agent", "chain": "ag_1", "credential_kind": "session",
        "because": "b2", "target": "p2@x", "shadow_outcome": "", "seq": "4", "status": "",
    }  # fmt: skip
    assert expected == {name: row[name] for name in expected}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_export_csv_holds_no_formula(sidegate: Any, spool: Callable[..., Path], start: str) -> None:
    """A text that a spreadsheet would run is made inert: request ids are the client's own words."""
    root = spool([decision_record(1, request_id=f"{start}1+1")])
    (row,) = csv.DictReader(io.StringIO(sidegate("audit", "export", root, "--format", "csv").out))
    assert f"'{start}1+1" == row["request_id"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--since", "yesterday"], "--since: `yesterday` is no time", id="since"),
        pytest.param(["--target", "p1:"], "--target: ", id="target"),
        pytest.param(["--outcome", "maybe"], "`maybe` is not one of", id="outcome"),
        pytest.param(["--limit", "0"], "--limit", id="limit"),
    ],
)
def test_a_filter_that_cannot_be_read(sidegate: Any, root: Path, options: list[str], said: str) -> None:
    """Exit code 2 and one line."""
    done = sidegate("audit", "query", root, *options)
    assert (done.code, said in done.err) == (2, True)
