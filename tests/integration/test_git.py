"""A real git client clones from and pushes to a real `git http-backend` through Sidegate."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.git_server import GitServer
from tests.integration.sidecar import Sidecar
from tests.integration.waiting import eventually

# The smart protocol asks for the same path twice with different rights; the query says which.
ROUTES = """\
- get: /{project}/{repository}/info/refs
  query: {service: git-upload-pack}
  primitive: Read
- get: /{project}/{repository}/info/refs
  query: {service: git-receive-pack}
  primitive: Write
- post: /{project}/{repository}/git-upload-pack
  primitive: Read
- post: /{project}/{repository}/git-receive-pack
  primitive: Write
"""

POLICY = """\
organization: acme
members:
  service:writer: {roles: [Member]}
  service:reader: {roles: [Member]}
bindings:
  - {id: writer-p1, who: service:writer, role: Designer, on: p1}
  - {id: reader-p1, who: service:reader, role: Viewer, on: p1}
"""

LARGE = 3 << 20


class Git:
    """Runs git in a folder, without any configuration of this machine."""

    def __init__(self, home: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ana",
            "GIT_AUTHOR_EMAIL": "ana@acme.example",
            "GIT_COMMITTER_NAME": "Ana",
            "GIT_COMMITTER_EMAIL": "ana@acme.example",
        }

    def __call__(self, folder: Path, *arguments: str, key: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command; the key goes along as a header."""
        header = [] if key is None else ["-c", f"http.extraHeader=X-API-Key: {key}"]
        return subprocess.run(
            ["git", *header, *arguments],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """Return a server with one repository that holds one commit."""
    root = tmp_path / "repositories"
    bare = root / "p1" / "design.git"
    bare.mkdir(parents=True)
    git = Git(tmp_path)
    assert git(bare, "init", "--bare", "-b", "main", ".").returncode == 0
    assert git(bare, "config", "http.receivepack", "true").returncode == 0
    first = tmp_path / "first"
    first.mkdir()
    (first / "plan.txt").write_text("a ring of five sites\n")
    # Large enough that neither side sends it in one piece.
    (first / "survey.bin").write_bytes(os.urandom(LARGE))
    for arguments in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "first"], ["push", str(bare), "main"]):
        done = git(first, *arguments)
        assert done.returncode == 0, done.stderr
    server = GitServer(root)
    yield server
    server.close()


@pytest.fixture
def keys(make_sidecar: MakeSidecar, server: GitServer) -> tuple[Sidecar, str, str]:
    """Return a ready sidecar in front of the server, a writer's and a reader's key."""
    sidecar = make_sidecar(upstream=server.url, routes=ROUTES, policies={"acme": POLICY})
    minted = [sidecar.mint_key("--account", f"service:{who}", "--org", "acme") for who in ("writer", "reader")]
    records = "".join(f"  - {json.dumps(record)}\n" for _, record in minted)
    (sidecar.policy / "acme.yaml").write_text(f"{POLICY}keys:\n{records}")
    return sidecar.start(), minted[0][0], minted[1][0]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return git with a home of its own."""
    return Git(tmp_path)


def _url(sidecar: Sidecar) -> str:
    return f"http://127.0.0.1:{sidecar.port}/p1/design.git"


def test_clone_and_push(keys: tuple[Sidecar, str, str], server: GitServer, git: Git, tmp_path: Path) -> None:
    """A Designer clones, commits and pushes; the repository holds the commit, and every request its record."""
    sidecar, writer, _ = keys
    cloned = git(tmp_path, "clone", _url(sidecar), "work", key=writer)
    assert cloned.returncode == 0, cloned.stderr
    work = tmp_path / "work"
    assert (work / "plan.txt").read_text() == "a ring of five sites\n"
    (work / "plan.txt").write_text("a ring of six sites\n")
    (work / "photo.bin").write_bytes(os.urandom(LARGE))
    assert git(work, "add", ".").returncode == 0
    assert git(work, "commit", "-am", "a sixth site").returncode == 0
    # A small buffer makes git send the pack in chunks.
    pushed = git(work, "-c", "http.postBuffer=65536", "push", "origin", "main", key=writer)
    assert pushed.returncode == 0, pushed.stderr
    ours = git(work, "rev-parse", "HEAD").stdout
    theirs = git(server.root / "p1" / "design.git", "rev-parse", "main").stdout
    assert ours == theirs
    asked = [(record["authority"], record["target"]) for record in sidecar.decisions() if record["outcome"] == "allow"]
    assert len(asked) == len(server.seen)
    assert {("read", "p1"), ("write", "p1")} == set(asked)
    assert {account for _, _, account in server.seen} == {"service:writer"}


def test_viewer_clones_but_does_not_push(
    keys: tuple[Sidecar, str, str], server: GitServer, git: Git, tmp_path: Path
) -> None:
    """A Viewer clones; her push is refused before anything of it reaches the repository."""
    sidecar, _, reader = keys
    assert git(tmp_path, "clone", _url(sidecar), "work", key=reader).returncode == 0
    work = tmp_path / "work"
    (work / "plan.txt").write_text("mine\n")
    assert git(work, "commit", "-am", "mine").returncode == 0
    before = git(server.root / "p1" / "design.git", "rev-parse", "main").stdout
    pushed = git(work, "push", "origin", "main", key=reader)
    assert pushed.returncode != 0
    assert "403" in pushed.stderr
    assert git(server.root / "p1" / "design.git", "rev-parse", "main").stdout == before
    assert [target for _, target, _ in server.seen if "receive-pack" in target] == []


def test_nobody_clones(keys: tuple[Sidecar, str, str], server: GitServer, git: Git, tmp_path: Path) -> None:
    """Without a key nothing reaches the server."""
    sidecar, _, _ = keys
    assert git(tmp_path, "clone", _url(sidecar), "work").returncode != 0
    assert server.seen == []


def test_service_decides(keys: tuple[Sidecar, str, str], server: GitServer) -> None:
    """The query's service decides: given twice, or one that no route names, is refused and never forwarded."""
    sidecar, writer, reader = keys
    path = "/p1/design.git/info/refs"
    twice = f"{path}?service=git-upload-pack&service=git-receive-pack"
    assert sidecar.ask("GET", twice, who=reader).status in {400, 403}
    assert sidecar.ask("GET", f"{path}?service=git-other", who=writer).verdict == (403, "unmapped_route")
    assert sidecar.ask("GET", path, who=writer).verdict == (403, "unmapped_route")
    assert sidecar.ask("GET", f"{path}?service=git-receive-pack", who=reader).verdict == (403, "not_granted")
    assert server.seen == []
    eventually(lambda: len(sidecar.decisions()) == 4, "four records")
