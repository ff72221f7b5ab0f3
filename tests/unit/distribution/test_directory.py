"""The watched folder: whole files or nothing, the last good state stays (spec 5.1)."""

import asyncio
import gc
import json
import os
import sys
import threading
from pathlib import Path, PosixPath
from typing import cast

import pytest

from sidegate.config.policy_file import read_document
from sidegate.core.model.errors import InvariantError, PolicyError
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.distribution.directory import MAX_PROBLEMS, PolicyDirectory, ReadPolicy
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.log import LogFormat, configure_log
from sidegate.telemetry.tasks import TaskSet

VIEWER = "bindings: [{id: b1, who: user:ana, role: Viewer, on: p1}]\n"
DESIGNER = "bindings: [{id: b1, who: user:ana, role: Designer, on: p1}]\n"
BROKEN = "bindings: [{id: b1, who: user:ana, role: Viewer, on: p1:x}]\n"


class Watched:
    """A folder, its directory and holder, and what happened."""

    def __init__(self, folder: Path, read: ReadPolicy = read_document) -> None:
        self.folder = folder
        self.clock = ManualClock(UnixMillis(1000))
        self.holder = SnapshotHolder()
        self.failures = 0
        self.directory = PolicyDirectory(
            folder, self.holder, self.clock, read, on_failure=self._count_failure, poll_interval_s=0
        )
        self._written = 0

    def _count_failure(self) -> None:
        self.failures += 1

    def write(self, name: str, text: str) -> None:
        """Write a policy file; its time differs from every time before, however coarse the file system's clock is."""
        path = self.folder / f"{name}.yaml"
        path.write_text(f"organization: {name}\n{text}")
        self._written += 1
        os.utime(path, ns=(self._written * 1_000_000, self._written * 1_000_000))

    async def settle(self) -> None:
        """Look twice: a change is taken when it was the same at the look before."""
        await self.directory.refresh()
        await self.directory.refresh()

    def roles(self) -> dict[str, list[str]]:
        """Return the bound roles in force by organization."""
        organizations = self.holder.current.organizations
        return {name: [entry.role for entry in one.document.bindings] for name, one in organizations.items()}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A folder with a usable policy of acme, loaded."""
    folder = tmp_path / "policy"
    folder.mkdir()
    made = Watched(folder)
    made.write("acme", VIEWER)
    made.directory.load()
    return made


def test_load(watched: Watched) -> None:
    """The first load puts everything in force, with its time."""
    assert watched.roles() == {"acme": ["Viewer"]}
    assert (watched.holder.current.revision, watched.holder.loaded_at, watched.holder.checked_at) == (1, 1000, 1000)
    assert watched.directory.source == f"dir:{watched.folder}"


def test_load_of_an_empty_folder(tmp_path: Path) -> None:
    """No file is no organization: everything is denied, which is no error."""
    made = Watched(tmp_path)
    made.directory.load()
    assert (made.roles(), made.holder.problems, made.holder.checked_at) == ({}, (), 1000)


def test_load_refuses_any_problem(tmp_path: Path) -> None:
    """At start there is no last good state: everything wrong in any file is said, and nothing is in force."""
    made = Watched(tmp_path)
    made.write("acme", VIEWER)
    made.write("globex", BROKEN)
    made.write("initech", BROKEN)
    with pytest.raises(PolicyError) as caught:
        made.directory.load()
    files = [Path(problem.position.file).name for problem in caught.value.problems if problem.position is not None]
    assert files == ["globex.yaml", "initech.yaml"]
    assert made.roles() == {}


def test_load_without_folder(tmp_path: Path) -> None:
    """A folder that is not there is an error at start."""
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        Watched(tmp_path / "none").directory.load()


async def test_change_is_swapped_in(watched: Watched) -> None:
    """A changed file is in force at the second look that finds it the same, as one new revision."""
    before = watched.holder.current
    watched.write("acme", DESIGNER)
    watched.clock.set(UnixMillis(2000))
    await watched.directory.refresh()
    assert watched.holder.current is before
    await watched.directory.refresh()
    assert watched.roles() == {"acme": ["Designer"]}
    assert (watched.holder.current.revision, watched.holder.loaded_at) == (2, 2000)
    assert watched.holder.current.organizations["acme"].revision == 2


async def test_nothing_changed(watched: Watched) -> None:
    """A look that finds nothing new keeps the very snapshot and says when it looked."""
    before = watched.holder.current
    watched.clock.set(UnixMillis(3000))
    await watched.settle()
    assert watched.holder.current is before
    assert (watched.holder.loaded_at, watched.holder.checked_at) == (1000, 3000)


async def test_file_being_written_is_not_taken(watched: Watched) -> None:
    """As long as a file changes between two looks it is not read: the part that is there may lack the denies."""
    for text in (DESIGNER, f"{DESIGNER}# more\n", f"{DESIGNER}# and more\n"):
        watched.write("acme", text)
        await watched.directory.refresh()
        assert watched.roles() == {"acme": ["Viewer"]}
    await watched.directory.refresh()
    assert watched.roles() == {"acme": ["Designer"]}


async def test_other_organizations_keep_what_was_compiled(watched: Watched) -> None:
    """Only the changed file is compiled: the others keep their objects and revisions."""
    watched.write("globex", VIEWER)
    await watched.settle()
    acme = watched.holder.current.organizations["acme"]
    watched.write("globex", DESIGNER)
    await watched.settle()
    assert watched.holder.current.organizations["acme"] is acme
    assert (acme.revision, watched.holder.current.organizations["globex"].revision) == (1, 3)


async def test_broken_file_changes_nothing(watched: Watched) -> None:
    """The last good revision stays in force, the error is kept with its place and told once (spec 5.1)."""
    before = watched.holder.current
    watched.write("acme", BROKEN)
    await watched.settle()
    await watched.settle()
    assert watched.holder.current is before
    assert [str(problem.position) for problem in watched.holder.problems] == [f"{watched.folder}/acme.yaml:2:54"]
    assert watched.failures == 1


async def test_broken_again_is_told_again(watched: Watched) -> None:
    """Each change that cannot be put in force counts, also when it fails in the same way."""
    watched.write("acme", BROKEN)
    await watched.settle()
    watched.write("acme", BROKEN)
    await watched.settle()
    assert watched.failures == 2


async def test_mended_file(watched: Watched) -> None:
    """Once the file is usable again its problems are gone."""
    watched.write("acme", BROKEN)
    await watched.settle()
    watched.write("acme", DESIGNER)
    await watched.settle()
    assert (watched.roles(), watched.holder.problems) == ({"acme": ["Designer"]}, ())


async def test_broken_file_does_not_hold_up_others(watched: Watched) -> None:
    """What changes in another organization is put in force all the same."""
    watched.write("acme", BROKEN)
    watched.write("globex", DESIGNER)
    await watched.settle()
    assert watched.roles() == {"acme": ["Viewer"], "globex": ["Designer"]}


async def test_new_file_that_is_broken(watched: Watched) -> None:
    """An organization that never was usable is not there."""
    watched.write("globex", BROKEN)
    await watched.settle()
    assert (watched.roles(), len(watched.holder.problems)) == ({"acme": ["Viewer"]}, 1)


async def test_removed_file_takes_its_organization(watched: Watched) -> None:
    """The organization of a removed file goes, at the second look that does not find it."""
    (watched.folder / "acme.yaml").unlink()
    await watched.directory.refresh()
    assert watched.roles() == {"acme": ["Viewer"]}
    await watched.directory.refresh()
    assert (watched.roles(), watched.holder.current.revision) == ({}, 2)


async def test_file_moved_away_for_a_moment(watched: Watched) -> None:
    """An editor that moves the old file away first does not make the organization disappear."""
    path = watched.folder / "acme.yaml"
    path.rename(watched.folder / "acme.yaml~")
    await watched.directory.refresh()
    (watched.folder / "acme.yaml~").rename(path)
    await watched.settle()
    assert (watched.roles(), watched.holder.current.revision) == ({"acme": ["Viewer"]}, 1)


async def test_removing_a_broken_file_ends_its_problems(watched: Watched) -> None:
    """Problems of a file go with it."""
    watched.write("globex", BROKEN)
    await watched.settle()
    (watched.folder / "globex.yaml").unlink()
    await watched.settle()
    assert (watched.holder.problems, watched.holder.current.revision) == ((), 1)


async def test_unreadable_folder_changes_nothing(watched: Watched) -> None:
    """What was last good stays while the folder is away; it is told once, and over when the folder is back."""
    before = watched.holder.current
    aside = watched.folder.rename(watched.folder.with_name("aside"))
    await watched.settle()
    assert watched.holder.current is before
    assert [problem.key for problem in watched.holder.problems] == ["policy.source"]
    assert watched.failures == 1
    aside.rename(watched.folder)
    await watched.settle()
    assert (watched.holder.current, watched.holder.problems) == (before, ())


async def test_unreadable_file_changes_nothing(watched: Watched) -> None:
    """A file that cannot be opened keeps what was last good of it; a link that leads nowhere is such a file."""
    before = watched.holder.current
    path = watched.folder / "acme.yaml"
    path.unlink()
    path.symlink_to(watched.folder / "nowhere")
    for _ in range(3):
        await watched.settle()
    assert watched.holder.current is before
    assert [problem.what for problem in watched.holder.problems] == ["cannot be read: No such file or directory"]
    assert watched.failures == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"roles: " + b"[" * 20_000, "is nested more than 32 deep", id="deep-list"),
        pytest.param(b"roles: " + b"{a: " * 20_000, "is nested more than 32 deep", id="deep-mapping"),
        pytest.param(None, "is no file", id="pipe"),
    ],
)
async def test_file_that_would_hold_up_everybody(watched: Watched, content: bytes | None, what: str) -> None:
    """A file that costs without end to read, or that can only be waited for, changes nothing; others are enforced."""
    path = watched.folder / "odd.yaml"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    watched.write("acme", DESIGNER)
    await watched.settle()
    assert watched.roles() == {"acme": ["Designer"]}
    assert [problem.what for problem in watched.holder.problems] == [what]
    assert watched.failures == 1


class _OddFolder(PosixPath):
    """A folder whose file `odd.yaml` cannot be read in a way that nobody thought of."""

    def read_bytes(self) -> bytes:
        if self.name == "odd.yaml":
            raise RecursionError("too deep")
        return super().read_bytes()


async def test_what_nobody_thought_of_does_not_hold_up_others(tmp_path: Path) -> None:
    """Whatever breaks while one file is read, its last good state stays, others are enforced, and it is told once."""
    made = Watched(_OddFolder(tmp_path))
    made.write("acme", VIEWER)
    made.directory.load()
    made.write("odd", VIEWER)
    made.write("acme", DESIGNER)
    for _ in range(3):
        await made.settle()
    assert made.roles() == {"acme": ["Designer"]}
    assert [problem.what for problem in made.holder.problems] == ["cannot be read: RecursionError: too deep"]
    assert made.failures == 1


async def test_oversized_file_is_not_read(watched: Watched) -> None:
    """A file above the limit is refused by its size alone."""
    path = watched.folder / "acme.yaml"
    os.truncate(path, (64 << 20) + 1)
    await watched.settle()
    assert [problem.hint for problem in watched.holder.problems] == ["write at most 67108864"]
    assert watched.roles() == {"acme": ["Viewer"]}


async def test_links_are_followed(tmp_path: Path) -> None:
    """Turning the link that all files of a ConfigMap go through is a change of them all."""
    for name, text in (("old", VIEWER), ("new", DESIGNER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "acme.yaml").write_text(f"organization: acme\n{text}")
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "..data").symlink_to(tmp_path / "old")
    (folder / "acme.yaml").symlink_to("..data/acme.yaml")
    made = Watched(folder)
    made.directory.load()
    (folder / "..next").symlink_to(tmp_path / "new")
    (folder / "..next").rename(folder / "..data")
    await made.settle()
    assert made.roles() == {"acme": ["Designer"]}


async def test_file_of_another_name(watched: Watched) -> None:
    """A file may be called as one likes; what it says is about the organization that it names."""
    (watched.folder / "other.yml").write_text(f"organization: globex\n{DESIGNER}")
    await watched.settle()
    assert watched.roles() == {"acme": ["Viewer"], "globex": ["Designer"]}


async def test_second_file_of_one_organization(watched: Watched) -> None:
    """It is refused and the first stays in force, for which of two counted would be chance; until the first goes."""
    (watched.folder / "aa.yaml").write_text(f"organization: acme\n{DESIGNER}")
    await watched.settle()
    await watched.settle()
    assert watched.roles() == {"acme": ["Viewer"]}
    told = [str(problem).removeprefix(f"{watched.folder}/") for problem in watched.holder.problems]
    assert told == ["aa.yaml:1:1: `organization` is `acme`, and so is that of acme.yaml; put both into one file"]
    assert watched.failures == 1
    (watched.folder / "acme.yaml").unlink()
    for _ in range(3):
        await watched.settle()
    assert (watched.roles(), watched.holder.problems) == ({"acme": ["Designer"]}, ())


def test_two_files_of_one_organization_at_start(watched: Watched) -> None:
    """At start nothing is in force yet, so nothing starts."""
    (watched.folder / "zz.yaml").write_text(f"organization: acme\n{DESIGNER}")
    with pytest.raises(PolicyError, match=r"zz\.yaml:1:1: `organization` is `acme`, and so is that of acme\.yaml"):
        Watched(watched.folder).directory.load()


async def test_other_files_are_not_policies(watched: Watched) -> None:
    """Hidden files, editors' leftovers and folders are nobody's policy."""
    for name in (".acme.yaml.swp", ".hidden.yaml", "acme.yaml~", "README.md"):
        (watched.folder / name).write_text("no: policy")
    (watched.folder / "folder.yaml").mkdir()
    await watched.settle()
    assert (watched.roles(), watched.holder.problems) == ({"acme": ["Viewer"]}, ())


async def test_watching(watched: Watched) -> None:
    """Once started, a change is put in force without anybody asking, until the tasks are closed."""
    swapped = asyncio.Event()
    watched.holder.on_swap(lambda _snapshot: swapped.set())
    tasks = TaskSet()
    watched.directory.start(tasks)
    watched.write("acme", DESIGNER)
    await asyncio.wait_for(swapped.wait(), 30)
    await tasks.close()
    assert watched.roles() == {"acme": ["Designer"]}


async def test_watching_goes_on(watched: Watched) -> None:
    """Whatever breaks when a policy is put in force, the next one is put in force all the same."""
    swapped: asyncio.Queue[str] = asyncio.Queue()

    def break_at_designers(_snapshot: Snapshot) -> None:
        (role,) = watched.roles()["acme"]
        swapped.put_nowait(role)
        if role == "Designer":
            raise InvariantError("a listener broke")

    watched.holder.on_swap(break_at_designers)
    failed: list[str] = []
    tasks = TaskSet(lambda name, _error: failed.append(name))
    watched.directory.start(tasks)
    for policy, role in ((DESIGNER, "Designer"), (VIEWER, "Viewer")):
        watched.write("acme", policy)
        assert await asyncio.wait_for(swapped.get(), 30) == role
    await tasks.close()
    assert (failed, watched.failures) == ([], 1)


async def test_collector_and_lock_are_as_before(watched: Watched) -> None:
    """Whatever a look does to let the event loop run, it leaves the interpreter as it was."""
    before = (gc.isenabled(), sys.getswitchinterval())
    watched.write("acme", BROKEN)
    await watched.settle()
    assert before == (gc.isenabled(), sys.getswitchinterval())


async def test_number_of_kept_subjects(tmp_path: Path) -> None:
    """How many compiled accounts are kept is the caller's to say."""
    made = Watched(tmp_path)
    made.directory = PolicyDirectory(tmp_path, made.holder, made.clock, read_document, max_subjects=1)
    made.write("acme", "members: {user:a: {}, user:b: {}}\n")
    made.directory.load()
    acme = made.holder.current.organizations["acme"]
    acme.subject("user:a")
    acme.subject("user:b")
    assert acme.subjects_cached == 1


class Trace:
    """Notes which thread frees it."""

    def __init__(self, freed_by: list[int]) -> None:
        self._freed_by = freed_by

    def __del__(self) -> None:
        self._freed_by.append(threading.get_ident())


async def test_what_was_replaced_is_freed_beside_the_loop(watched: Watched) -> None:
    """A hundred thousand bindings take 50 ms to free: the event loop does not wait for that."""
    freed_by: list[int] = []
    positions = cast("dict[str, object]", watched.holder.current.organizations["acme"].document.positions)
    positions["trace"] = Trace(freed_by)
    del positions
    in_use = watched.holder.current
    watched.write("acme", DESIGNER)
    await watched.settle()
    await watched.directory.refresh()
    assert in_use.organizations["acme"].document.bindings[0].role == "Viewer"
    assert freed_by == []
    del in_use
    # What somebody else still holds for a moment is left for another time.
    async with asyncio.timeout(20):
        while not freed_by:
            await watched.directory.refresh()
    assert (len(freed_by), threading.get_ident() in freed_by) == (1, False)


async def test_a_file_that_could_not_be_read_this_time(tmp_path: Path) -> None:
    """Nothing is known to be wrong with it: it is tried again, and said once; what was last good stays in force."""
    (tmp_path / "policy").mkdir()
    failing: list[OSError] = []

    def read(content: bytes, file: str) -> PolicyDocument:
        if failing:
            raise failing.pop()
        return read_document(content, file)

    watched = Watched(tmp_path / "policy", read)
    watched.write("acme", VIEWER)
    watched.directory.load()
    failing += [OSError("no memory"), OSError("no memory")]
    watched.write("acme", DESIGNER)
    await watched.settle()
    await watched.settle()
    assert (watched.roles(), failing) == ({"acme": ["Viewer"]}, [])
    assert ["cannot be read: no memory" in str(one) for one in watched.holder.problems] == [True]
    await watched.settle()
    assert watched.roles() == {"acme": ["Designer"]}
    assert (watched.holder.problems, watched.failures) == ((), 1)


async def test_no_more_problems_than_people_read(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a thousand mistakes says how many more there are; neither the log nor an answer holds them all."""
    lines = "".join(f"  - {{id: b{number}, who: user:ana, role: Viewer, on: p1:x}}\n" for number in range(1000))
    watched.write("acme", f"bindings:\n{lines}")
    watched.write("globex", f"bindings:\n{lines}")
    configure_log(sys.stderr, LogFormat.JSON)
    await watched.settle()
    problems = watched.holder.problems
    assert (len(problems), problems[-1].what) == (MAX_PROBLEMS + 1, "has 52 problems more")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    rejected = [line["problems"] for line in told if line["event"] == "snapshot_rejected"]
    assert [len(one) for one in rejected] == [MAX_PROBLEMS + 1] * 2
    assert "has 950 problems more; run `sidegate check`" in rejected[0][-1]


async def test_nothing_is_replaced_while_nothing_changes(tmp_path: Path) -> None:
    """A look that finds nothing new makes nothing new, in an empty folder neither."""
    made = Watched(tmp_path)
    made.directory.load()
    before = made.holder.current
    await made.settle()
    assert made.holder.current is before
