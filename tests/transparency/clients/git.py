"""git against its own `git http-backend`: clone, fetch, push, a shallow clone, both versions of the protocol."""

import json
import re
from pathlib import Path

from scripts.issuer import Issuer
from tests.integration.git_server import GitServer
from tests.integration.sidecar import ISSUER, Sidecar
from tests.integration.test_git import POLICY, ROUTES, Git

_SIZE = 3 << 20


def _repository(root: Path, git: Git, home: Path) -> None:
    bare = root / "p1" / "design.git"
    bare.mkdir(parents=True)
    _run(git, bare, "init", "--bare", "-b", "main", ".")
    _run(git, bare, "config", "http.receivepack", "true")
    first = home / f"first-{root.name}"
    first.mkdir()
    for number in range(30):
        (first / f"{number}.txt").write_text(f"site {number}\n" * 100)
    (first / "survey.bin").write_bytes(bytes(number * number % 251 for number in range(_SIZE)))
    for arguments in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "first"], ["push", str(bare), "main"]):
        _run(git, first, *arguments)


def _run(git: Git, folder: Path, *arguments: str, key: str | None = None) -> str:
    done = git(folder, *arguments, key=key)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _use(git: Git, home: Path, url: str, key: str | None) -> list[str]:
    home.mkdir()
    made = []
    for version in ("0", "2"):
        work = home / f"work{version}"
        spoken = ("-c", f"protocol.version={version}")
        _run(git, home, *spoken, "clone", url, str(work), key=key)
        (work / f"more{version}.bin").write_bytes(bytes(number % 253 for number in range(_SIZE)))
        _run(git, work, "add", ".")
        _run(git, work, "commit", "-m", "more")
        _run(
            git, work, *spoken, "-c", "http.postBuffer=65536", "push", "origin", "main", "main:other" + version, key=key
        )
        _run(git, work, *spoken, "fetch", "--prune", key=key)
        made += [
            _run(git, work, "rev-parse", "HEAD^{tree}"),
            _run(git, work, *spoken, "ls-remote", "--symref", url, key=key),
        ]
    _run(git, home, "clone", "--depth", "1", url, "shallow", key=key)
    made.append(_run(git, home / "shallow", "ls-files", "-s"))
    # Ids of commits hold the time of day; those of trees and files do not.
    names = re.compile(r"[0-9a-f]{40}\t")
    return [names.sub("", line) for text in made for line in text.splitlines()]


def compare(folder: Path) -> tuple[int, list[str]]:
    """Do the same without Sidegate and with it; return the number of requests and what differs."""
    git = Git(folder)
    seen, made = [], []
    for name in ("direct", "through"):
        root = folder / name
        _repository(root, git, folder)
        server = GitServer(root)
        issuer = Issuer(ISSUER)
        sidecar = Sidecar(folder / f"sidecar-{name}", server.url, issuer, routes=ROUTES, policies={"acme": POLICY})
        try:
            url, key = server.url, None
            if name == "through":
                key, record = sidecar.mint_key("--account", "service:writer", "--org", "acme")
                (sidecar.policy / "acme.yaml").write_text(f"{POLICY}keys:\n  - {json.dumps(record)}\n")
                url = f"http://127.0.0.1:{sidecar.start().port}"
            made.append(_use(git, folder / f"home-{name}", f"{url}/p1/design.git", key))
            seen.append([(method, target) for method, target, _ in server.seen])
        finally:
            sidecar.close()
            server.close()
    found = [] if made[0] == made[1] else [f"git made {made[0]}, and {made[1]} with Sidegate"]
    if seen[0] != seen[1]:
        found.append(f"the server was asked for {seen[0]}, and {seen[1]} with Sidegate")
    return len(seen[1]), found
