"""Parquet: every record once, found again by every filter, its chain checked, old days removed (spec 5.8)."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from tests.integration.audit.records import DAY, KEY, START, Chain, records_of

from sidegate.audit.export import export_parquet
from sidegate.audit.lake import list_files, organization_folder
from sidegate.audit.lake_reader import LakeReader
from sidegate.audit.lake_writer import Lake, Stored
from sidegate.audit.prune import prune
from sidegate.audit.query import open_follower, open_reader, select_entries
from sidegate.audit.verify import verify
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.errors import ConfigError, IntegrityError
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.checkpoint import key_id_of
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.record import Actor, ActorType, ShadowVerdict

KEYS = {key_id_of(KEY.public_key()): KEY.public_key()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of Parquet."""
    return tmp_path / "parquet"


def _lines(root: Path) -> list[bytes]:
    return [entry.line for entry in LakeReader(root).select(RecordFilter())]


def _findings(root: Path) -> list[str]:
    return [str(finding.text) for finding in verify(root, KEYS).findings]


# --- storing ---


def test_records_lie_by_organization_and_day(root: Path) -> None:
    """In files that any reader of Parquet takes, with columns of their own for what is searched."""
    chain = Chain()
    chain.add(3)
    chain.add(2, UnixMillis(START + DAY), org="2024")
    chain.add(1, org=None, actor=None, target=None, kind=None)
    chain.add(1, org="..")
    assert Lake(root).store(chain.lines) == Stored(records=7, repeated=0, checkpoints=1, rejected=0)
    assert {str(path.parent.relative_to(root)) for path in root.rglob("*.parquet")} == {
        "organization=acme/day=2026-11-19",
        "organization=2024/day=2026-11-20",
        "organization=-/day=2026-11-19",
    }
    found = duckdb.execute(
        "SELECT organization, org, account, chain, because, epoch_ms(time), seq, revision, typeof(time) FROM"
        " read_parquet(?, hive_partitioning = true) ORDER BY seq",
        [str(root / "**" / "*.parquet")],
    ).fetchall()
    usual: tuple[object, ...] = ("user:ana", [], ["b1"])
    at = [START, START + 1, START + 2, START + DAY, START + DAY + 1, START, START]
    orgs = [("acme", "acme")] * 3 + [("2024", "2024")] * 2 + [("-", None), ("-", "..")]
    who = [usual] * 5 + [(None, None, ["b1"]), usual]
    assert found == [
        (*org, *whose, moment, seq, 7, "TIMESTAMP WITH TIME ZONE")
        for seq, (org, whose, moment) in enumerate(zip(orgs, who, at, strict=True), 1)
    ]


def test_record_that_comes_again_is_left_out(root: Path) -> None:
    """Whole batches, parts of them, and twice in one; the files of before are not touched."""
    chain = Chain()
    chain.add(30)
    chain.close()
    lake = Lake(root)
    assert lake.store(chain.lines[:20]).repeated == 0
    files = sorted(root.rglob("*.parquet"))
    assert lake.store([*chain.lines[10:], *chain.lines[25:]]).records == 30 - len(records_of(chain.lines[:20]))
    assert lake.store(chain.lines).records == 0
    assert sorted(_lines(root)) == sorted(records_of(chain.lines))
    assert set(files) < set(root.rglob("*.parquet"))
    assert _findings(root) == []


def test_checkpoints_are_kept_once(root: Path) -> None:
    """By sidecar and day; a line torn by a loss of power is cut."""
    chain = Chain()
    chain.add(25)
    lake = Lake(root)
    lake.store(chain.lines)
    (path,) = (root / "_checkpoints" / "host-w0").glob("*.ndjson")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v":1,"rec')
    lake.store(chain.lines)
    assert path.read_bytes() == whole
    assert whole.splitlines(keepends=True) == [line for line in chain.lines if b'"checkpoint"' in line]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"x\n", id="no-json"),
        pytest.param(b'{"v":2,"record":"decision"}\n', id="version"),
        pytest.param(b'{"v":1,"record":"decision","id":"../../x","time":"2026-11-19T00:00:00.000Z"}\n', id="id"),
        pytest.param(
            b'{"v":1,"record":"decision","id":"01234567-0123-7123-8123-012345678901","time":"../x"}\n', id="time"
        ),
        pytest.param(
            b'{"v":1,"record":"decision","id":"01234567-0123-7123-8123-012345678901",'
            b'"time":"2026-11-19T00:00:00.000Z","org":7}\n',
            id="type",
        ),
    ],
)
def test_line_that_is_no_record_is_put_aside(line: bytes, root: Path) -> None:
    """Nothing is thrown away, and the others do not wait for it."""
    chain = Chain()
    chain.add(1)
    assert Lake(root).store([line, *chain.lines]) == Stored(records=1, repeated=0, checkpoints=1, rejected=1)
    assert [path.read_bytes() for path in (root / "_rejected").iterdir()] == [line]
    assert list((root / "_staging").iterdir()) == []


def test_several_add_to_one_folder(root: Path) -> None:
    """The same records at the same time, in pieces of their own: each is there once."""
    chain = Chain()
    chain.add(300)

    def add(seed: int) -> int:
        order = random.Random(seed)
        lines, added = list(chain.lines), 0
        while lines:
            size = order.randint(1, 120)
            added += Lake(root).store(lines[:size]).records
            del lines[:size]
        return added

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(4))) == 300
    assert sorted(_lines(root)) == sorted(records_of(chain.lines))


def test_process_killed_while_it_adds(tmp_path: Path, root: Path) -> None:
    """``kill -9`` at any moment, again and again: what is there is whole and once, and the next one completes it."""
    chain = Chain(every=50)
    for number in range(6):
        chain.add(200, org=f"org{number % 3}")
    chain.close()
    whole = tmp_path / "lines"
    whole.write_bytes(b"".join(chain.lines))
    program = (
        "import sys; from pathlib import Path; from sidegate.audit.lake_writer import Lake\n"
        "lines = Path(sys.argv[1]).read_bytes().splitlines(keepends=True)\n"
        "lake = Lake(Path(sys.argv[2]))\n"
        "for start in range(0, len(lines), 100):\n"
        "    lake.store(lines[start : start + 100]); print(start, flush=True)\n"
    )
    for kill_after in (1, 3, 6):
        process = subprocess.Popen([sys.executable, "-c", program, whole, root], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(kill_after):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        counted = Counter(_lines(root))
        assert set(counted.values()) <= {1}
        assert counted.keys() <= set(chain.lines)
    subprocess.run([sys.executable, "-c", program, whole, root], check=True, stdout=subprocess.DEVNULL)
    assert sorted(_lines(root)) == sorted(records_of(chain.lines))
    assert _findings(root) == []


def test_staged_files_of_the_dead_go(root: Path) -> None:
    """Those that nobody writes to any more."""
    staging = root / "_staging"
    staging.mkdir(parents=True)
    for name, age_s in (("old.tmp", 7200), ("new.tmp", 0)):
        (staging / name).touch()
        os.utime(staging / name, (time.time() - age_s,) * 2)
    Lake(root).clear_staging(UnixMillis(int((time.time() - 3600) * 1000)))
    assert [path.name for path in staging.iterdir()] == ["new.tmp"]


# --- finding ---


def _sample() -> Chain:
    chain = Chain()
    chain.add(2)
    chain.add(
        1, UnixMillis(START + 2), org="globex", actor=Actor("service:ci", ActorType.AGENT, ("agent:1", "agent:2"))
    )
    chain.add(1, UnixMillis(START + DAY), outcome=Outcome.DENY, reason=Reason.NO_GRANT, authority=Authority.WRITE)
    chain.add(
        1, UnixMillis(START + 2 * DAY), target="p2@x:designs/a", shadow=ShadowVerdict(Outcome.DENY, Reason.NO_GRANT)
    )
    return chain


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The same records as a spool, as a folder of Parquet, and as one file exported from that."""
    folder = tmp_path_factory.mktemp("sources")
    chain = _sample()
    Lake(folder / "lake").store(chain.lines)
    (folder / "spool" / "host-w0").mkdir(parents=True)
    (folder / "spool" / "host-w0" / "00000001.ndjson").write_bytes(b"".join(chain.lines))
    entries = list(LakeReader(folder / "lake").select(RecordFilter()))
    assert [entry.line for entry in entries] == records_of(chain.lines)
    assert export_parquet(entries, folder / "all.parquet") == 5
    return folder / "spool", folder / "lake", folder / "all.parquet"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(RecordFilter(), [1, 2, 3, 4, 5], id="everything"),
        pytest.param(RecordFilter(org="globex"), [3], id="organization"),
        pytest.param(RecordFilter(org="none"), [], id="no-such-organization"),
        pytest.param(RecordFilter(actor="service:ci"), [3], id="account"),
        pytest.param(RecordFilter(actor="agent:2"), [3], id="link"),
        pytest.param(RecordFilter(authority=Authority.WRITE), [4], id="authority"),
        pytest.param(RecordFilter(outcome=Outcome.DENY), [4], id="outcome"),
        pytest.param(RecordFilter(reason=Reason.NO_GRANT), [4], id="reason"),
        pytest.param(RecordFilter(target=parse_scope("p2@x:designs")), [5], id="target"),
        pytest.param(RecordFilter(is_divergent=True), [5], id="divergent"),
        pytest.param(RecordFilter(is_divergent=False, org="acme"), [1, 2, 4], id="not-divergent"),
        pytest.param(RecordFilter(since=UnixMillis(START + 1)), [2, 3, 4, 5], id="since"),
        pytest.param(RecordFilter(until=UnixMillis(START + DAY)), [1, 2, 3], id="until"),
    ],
)  # fmt: skip
def test_parquet_and_spool_answer_alike(wanted: RecordFilter, expected: list[int], sources: tuple[Path, ...]) -> None:
    """Every filter finds the same records in the same order, in a spool, in Parquet and in an export of it."""
    for source in sources:
        for newest_first in (False, True):
            found = list(select_entries(open_reader(source), wanted, newest_first=newest_first))
            assert sorted(entry.members["seq"] for entry in found) == expected
            times = [entry.time for entry in found]
            assert times == sorted(times, reverse=newest_first)


def test_what_cannot_be_followed_says_so(root: Path) -> None:
    """Records come late into Parquet."""
    Lake(root).store(_sample().lines)
    with pytest.raises(ConfigError, match="follow the spool, or the stream"):
        open_follower(root)


def test_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    """Instead of nothing found."""
    path = tmp_path / "x.parquet"
    path.write_bytes(b"x" * 100)
    with pytest.raises(IntegrityError, match="cannot be read as audit records"):
        list(open_reader(path).select(RecordFilter()))
    with pytest.raises(ConfigError, match="is not there"):
        open_reader(tmp_path / "none.parquet")


# --- checking ---


def _edit(root: Path, change: str) -> None:
    """Replace the only file of a day by what *change*, a query over it, makes of it."""
    (file,) = list_files(organization_folder(root, "acme") / "day=2026-11-19")
    made = file.path.with_suffix(".new")
    query = change.replace("{}", f"read_parquet('{file.path}')")
    duckdb.execute(f"COPY ({query}) TO '{made}' (FORMAT parquet)")
    made.replace(file.path)


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        pytest.param("SELECT * FROM {}", [], id="nothing"),
        pytest.param("SELECT * FROM {} ORDER BY seq DESC", [], id="order"),
        pytest.param("SELECT * FROM {} WHERE seq <> 7", ["record 7 is missing"], id="removed"),
        pytest.param("SELECT * FROM {} WHERE seq > 3", ["records 1 to 3 are missing"], id="front"),
        pytest.param(
            "SELECT * FROM {} UNION ALL SELECT * FROM {} WHERE seq = 5",
            ["a second record has the number 5"],
            id="twice",
        ),
        pytest.param(
            "SELECT * REPLACE (replace(line, 'user:ana', 'user:eve') AS line,"
            " replace(account, 'user:ana', 'user:eve') AS account) FROM {}",
            ["record 1 does not follow from the line before it"],
            id="changed",
        ),
        pytest.param(
            "SELECT * REPLACE (CASE WHEN seq = 4 THEN 'user:eve' ELSE account END AS account) FROM {}",
            ["the columns of record 4 do not say what its line says"],
            id="column",
        ),
        pytest.param(
            "SELECT * REPLACE (time + INTERVAL 1 SECOND AS time) FROM {} WHERE seq < 2 UNION ALL SELECT * FROM {} WHERE"
            " seq >= 2",
            ["the columns of record 1 do not say what its line says"],
            id="time",
        ),
    ],
)  # fmt: skip
def test_what_was_changed_is_found(change: str, findings: list[str], root: Path) -> None:
    """By record; also where only a column was changed that is searched, and the line was not."""
    chain = Chain()
    chain.add(25)
    chain.close()
    Lake(root).store(chain.lines)
    _edit(root, change)
    found = _findings(root)
    assert [any(text.startswith(start) for text in found) for start in findings] == [True] * len(findings)
    assert bool(found) is bool(findings)


def test_checkpoint_that_was_removed_is_found(root: Path) -> None:
    """The lines after it hang on it."""
    chain = Chain()
    chain.add(25)
    Lake(root).store(chain.lines)
    (path,) = (root / "_checkpoints" / "host-w0").glob("*.ndjson")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert _findings(root) != []


def test_chain_whose_front_was_never_here(root: Path) -> None:
    """A sink that was set up later has what the spool still held; that is no finding."""
    chain = Chain()
    chain.add(40)
    late = [line for line in chain.lines if (json.loads(line).get("base") or 99) > 1]
    assert len(late) == 40
    lines = [line.replace(b'"base":1,', b'"base":21,') for line in chain.lines[21:]]
    Lake(root).store(lines)
    assert [text for text in _findings(root) if "missing" in text] == []


# --- removing ---


def test_old_days_go_and_the_rest_is_still_checked(root: Path) -> None:
    """Checkpoints stay; what is missing from what should be there is found as before."""
    chain = Chain(every=3)
    for day in range(4):
        chain.add(20, UnixMillis(START + day * DAY), 1000)
        chain.add(20, UnixMillis(START + day * DAY + 20_000), 1000, org="globex")
    chain.close(UnixMillis(START + 4 * DAY))
    lake = Lake(root)
    lake.store(chain.lines)
    before = UnixMillis(START + 2 * DAY + 5000)
    trial = prune(root, before, is_trial=True)
    assert (trial.files, len(_lines(root))) == (4, 160)
    done = prune(root, before)
    assert (done.files, done.size, done.kept_from) == (4, trial.size, START + 2 * DAY)
    assert len(_lines(root)) == 80
    report = verify(root, KEYS)
    assert [str(finding) for finding in report.findings] == []
    assert (report.kept_from, report.chains[0].signed_seq) == (START + 2 * DAY, 160)
    assert report.chains[0].records >= 80 - 3
    assert prune(root, UnixMillis(START)).files == 0  # what was said is not taken back
    (file,) = list_files(organization_folder(root, "globex") / "day=2026-11-22")
    file.path.unlink()
    assert "records 142 to 144 are missing" in _findings(root)


def test_file_sink_is_pruned_by_whole_files(tmp_path: Path) -> None:
    """Its chain is intact before and after, the checkpoints are kept, and the last file always stays."""
    folder = tmp_path / "out" / "host-w0"
    folder.mkdir(parents=True)
    chain = Chain(every=5)
    start = 0
    for day in range(4):
        chain.add(20, UnixMillis(START + day * DAY), 1000)
        (folder / f"{day + 1:08d}.ndjson").write_bytes(b"".join(chain.lines[start:]))
        start = len(chain.lines)
    removed = (folder / "00000001.ndjson").read_bytes() + (folder / "00000002.ndjson").read_bytes()
    assert prune(folder.parent, UnixMillis(START + 2 * DAY), is_trial=True).files == 1
    assert prune(folder.parent, UnixMillis(START + 3 * DAY)).files == 2
    assert sorted(path.name for path in folder.iterdir()) == ["00000003.ndjson", "00000004.ndjson", "checkpoints.kept"]
    assert (folder / "checkpoints.kept").read_bytes().splitlines() == [
        line for line in removed.splitlines() if b'"checkpoint"' in line
    ]
    assert prune(folder.parent, UnixMillis(START + 400 * DAY)).files == 1


@pytest.mark.parametrize("mark", ["sidecar.id", "checkpoint.key", None])
def test_what_is_no_archive_is_not_pruned(mark: str | None, tmp_path: Path) -> None:
    """A spool holds what was not shipped; a folder without records is a mistake."""
    if mark is not None:
        (tmp_path / mark).touch()
    with pytest.raises(ConfigError, match="is a spool" if mark else "holds no records"):
        prune(tmp_path, UnixMillis(START))
