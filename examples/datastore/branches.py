"""Projects, branches, baselines and published copies: everything that handles a whole tree at once."""

import errno
import filecmp
import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from examples.datastore.disk import SHARES, Disk, branch_place, dump_json, files_place, version_key, walk_files
from examples.datastore.files import FileStore
from examples.datastore.names import BranchRef
from examples.datastore.problems import conflict, missing

MAIN = "main"
# 256 bits: the link is all that a reader of a published copy needs, so it must not be guessable.
SHARE_TOKEN_BYTES = 32
_SHARE_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class Share(NamedTuple):
    """A published copy: what tells it apart, and the secret in its link."""

    id: str
    token: str
    files: int


class Branches:
    """Makes, copies, joins and removes trees of files."""

    def __init__(self, disk: Disk, files: FileStore) -> None:
        self._disk = disk
        self._files = files

    def create_project(self, org: str, project: str, details: dict[str, object]) -> dict[str, object]:
        """Make a project with an empty branch ``main``."""
        document = {"name": project, **details}
        parent = self._disk.path(org)
        parent.mkdir(exist_ok=True)
        with self._disk.staged() as staged:
            _lay_out_branch(staged / "branches" / MAIN, ())
            dump_json(staged / "project.json", document)
            _install(staged, parent / project, "a project of this name exists")
        return document

    def list_projects(self, org: str) -> list[str]:
        """Name the projects of an organization."""
        parent = self._disk.path(org)
        if not parent.is_dir():
            raise missing("there is no such organization")
        return sorted(entry.name for entry in parent.iterdir() if (entry / "branches").is_dir())

    def describe_project(self, org: str, project: str) -> dict[str, object]:
        """Return a project's own details, its branches and its baseline."""
        branches = self.list_branches(org, project)
        details = self._disk.read_json(f"{org}/{project}/project.json") or {"name": project}
        baseline = self._disk.read_json(f"{org}/{project}/baseline.json")
        return {**details, "branches": branches, "baseline": baseline}

    def update_project(self, org: str, project: str, details: dict[str, object]) -> dict[str, object]:
        """Replace a project's details."""
        self.list_branches(org, project)
        document = {"name": project, **details}
        self._disk.write_json(f"{org}/{project}/project.json", document)
        return document

    def list_branches(self, org: str, project: str) -> list[str]:
        """Name the branches of a project."""
        parent = self._disk.path(f"{org}/{project}/branches")
        if not parent.is_dir():
            raise missing("there is no such project")
        return sorted(entry.name for entry in parent.iterdir() if (entry / "files").is_dir())

    def create_branch(self, ref: BranchRef, source: str | None) -> int:
        """Make a branch, empty or with the files that *source* holds now; return how many."""
        self.list_branches(ref.org, ref.project)
        tree = () if source is None else self._tree(ref._replace(branch=source))
        with self._disk.staged() as staged:
            count = _lay_out_branch(staged, tree)
            _install(staged, self._disk.path(branch_place(ref)), "a branch of this name exists")
        return count

    def promote(self, ref: BranchRef) -> dict[str, object]:
        """Keep the files that a branch holds now as the next baseline of its project."""
        place = f"{ref.org}/{ref.project}/baselines"
        tree = self._tree(ref)
        with self._disk.staged() as staged:
            count = _link_tree(staged / "files", tree)
            parent = self._disk.path(place)
            parent.mkdir(exist_ok=True)
            number = _install_next(staged, parent)
        baseline: dict[str, object] = {"number": number, "branch": ref.branch, "files": count}
        self._disk.write_json(f"{ref.org}/{ref.project}/baseline.json", baseline)
        return baseline

    def merge(self, ref: BranchRef, source: str) -> list[str]:
        """
        Bring the files of *source* into a branch; return the paths that changed.

        Where both hold a path, the source's content counts; what only the branch holds stays.
        """
        if source == ref.branch:
            raise conflict("a branch cannot be merged into itself")
        self._require_branch(ref)
        base = self._disk.path(files_place(ref))
        changed = []
        for path, location in self._tree(ref._replace(branch=source)):
            if _is_same(Path(location), base / path):
                continue
            with self._disk.staged() as staged:
                staged.hardlink_to(location)
                self._files.commit(ref, path, staged)
            changed.append(path)
        return changed

    def share(self, ref: BranchRef, below: str) -> Share:
        """Publish a copy of what a branch holds at and below a path; later changes do not enter it."""
        tree = list(self._tree(ref, below))
        if not tree:
            raise missing("there is nothing to publish at this path")
        token = secrets.token_urlsafe(SHARE_TOKEN_BYTES)
        digest = _share_digest(token)
        parent = self._disk.path(SHARES)
        parent.mkdir(exist_ok=True)
        with self._disk.staged() as staged:
            count = _link_tree(staged / "files", tree)
            origin = {"organization": ref.org, "project": ref.project, "branch": ref.branch, "path": below}
            dump_json(staged / "share.json", {**origin, "files": count})
            _install(staged, parent / digest, "the share exists")
        return Share(digest[:16], token, count)

    def shared_place(self, token: str) -> str:
        """Return where the files of a published copy lie."""
        if _SHARE_TOKEN.fullmatch(token) is None:
            raise missing("there is no such published copy")
        return f"{SHARES}/{_share_digest(token)}/files"

    def _require_branch(self, ref: BranchRef) -> None:
        if not self._disk.is_directory(files_place(ref)):
            raise missing("there is no such branch")

    def _tree(self, ref: BranchRef, below: str = "") -> Iterable[tuple[str, str]]:
        self._require_branch(ref)
        self._disk.require_plain(f"{files_place(ref)}/{below}" if below else files_place(ref))
        return walk_files(self._disk.path(files_place(ref)), below)


def _share_digest(token: str) -> str:
    # The disk keeps only the digest: who can list it still has no link.
    return sha256(token.encode()).hexdigest()


def _lay_out_branch(staged: Path, tree: Iterable[tuple[str, str]]) -> int:
    versions = staged / "versions"
    versions.mkdir(parents=True)
    count = _link_tree(staged / "files", tree)
    for path, location in walk_files(staged / "files"):
        first = versions / version_key(path) / "1"
        first.parent.mkdir()
        first.hardlink_to(location)
    return count


def _link_tree(destination: Path, tree: Iterable[tuple[str, str]]) -> int:
    # A written file is never modified in place, so a second name for it is as good as a copy.
    destination.mkdir(parents=True)
    count = 0
    for path, location in tree:
        place = destination / path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(location)
        except FileNotFoundError:
            continue  # deleted since it was listed
        count += 1
    return count


def _install(staged: Path, place: Path, taken: str) -> None:
    try:
        staged.rename(place)
    except OSError as exc:
        if exc.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise conflict(taken) from None
        raise


def _install_next(staged: Path, parent: Path) -> int:
    numbers = [int(entry.name) for entry in parent.iterdir()]
    number = max(numbers, default=0) + 1
    while True:
        try:
            staged.rename(parent / str(number))
        except OSError as exc:
            if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            number += 1  # another promotion was first
        else:
            return number


def _is_same(source: Path, destination: Path) -> bool:
    try:
        return source.samefile(destination) or filecmp.cmp(source, destination, shallow=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
