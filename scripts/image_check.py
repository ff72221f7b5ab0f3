"""Does what the Dockerfile says without a container engine, starts the result, and measures it: ``make image-check``.

The steps are read from the Dockerfile itself: what it copies, what it runs in the build stage, its variables, its user,
its command and its health check. Each absolute path of the image stands below a folder of its own. Everything there
belongs to somebody else than the user that runs it, but for what the image declares as a volume; nothing else may have
changed afterwards.

    python3 scripts/image_check.py [--keep]
"""

import argparse
import contextlib
import gzip
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, NoReturn

PROJECT: Final = Path(__file__).resolve().parents[1]
MAX_INSTALLED_MB: Final = 80
"""Of the layer that we add, not compressed."""
MAX_PULLED_MB: Final = 120
"""Of the whole image as it is pulled: our layer, compressed, and the base."""
BASE_PULLED_MB: Final = 50
"""Of python:3.11-slim-bookworm, compressed, as its registry states it: 45 MB for amd64, rounded up. It is not measured
here, where no registry is asked."""

READY_WITHIN_S: Final = 30.0
STOPPED_WITHIN_S: Final = 30.0
_MB: Final = 1_000_000

_POLICY: Final = "organization: acme\nmembers:\n  user:ana: {roles: [Member]}\n"
_ROUTES: Final = "- get: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}\n  primitive: Read\n"
_SETTINGS: Final = """\
listen: 127.0.0.1:{data}
admin: 127.0.0.1:{admin}
upstream: {{url: "http://127.0.0.1:9"}}
routes: routes.yaml
policy: {{source: "dir:policy/"}}
audit: {{spool: {spool}}}
log: {{format: json}}
"""


class Step(NamedTuple):
    """One instruction: its word and the rest of its logical line."""

    word: str
    rest: str


class Image(NamedTuple):
    """What the Dockerfile says, by stage."""

    build: tuple[Step, ...]
    final: tuple[Step, ...]

    def last(self, word: str) -> str:
        """Return what follows the last *word* of the final stage."""
        return next(step.rest for step in reversed(self.final) if step.word == word)

    def command(self, word: str) -> list[str]:
        """Return an instruction in its exec form as a list; the shell form is refused, as no shell is needed to run."""
        text = self.last(word)
        listed: list[str] = json.loads(text[text.index("[") :])
        return listed

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the final stage."""
        return variables_of(self.final)


def variables_of(steps: Iterable[Step]) -> dict[str, str]:
    """Return what the ENV instructions among *steps* set."""
    pairs = (pair.partition("=") for step in steps if step.word == "ENV" for pair in shlex.split(step.rest))
    return {name: text for name, _, text in pairs}


def read_dockerfile(text: str) -> Image:
    """Split a Dockerfile of two stages into its instructions."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    logical = re.sub(r"\\\n\s*", "", "\n".join(lines))
    stages: list[list[Step]] = []
    for line in filter(None, map(str.strip, logical.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        elif stages:
            stages[-1].append(Step(word, rest.strip()))
    build, final = stages
    return Image(tuple(build), tuple(final))


class Tree:
    """The image's file system, below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, path: str) -> str:
        """Return where an absolute *path* of the image is."""
        return f"{self.root}{path}" if path.startswith("/") else path

    def state(self) -> dict[str, tuple[int, int, int]]:
        """Return what tells whether a file or folder was touched."""
        return {
            str(path): (status.st_mtime_ns, status.st_size, status.st_mode)
            for path, status in ((path, path.lstat()) for path in self.root.rglob("*"))
        }


def fail(message: str) -> NoReturn:
    """End with a message and exit code 1."""
    sys.exit(f"image-check: {message}")


def build(image: Image, tree: Tree, python: str) -> None:
    """Copy what the build stage copies, and run what it runs, with *python* as the base image's."""
    folder = tree.root / "build"
    folder.mkdir()
    variables: dict[str, str] = {}
    for step in image.build:
        if step.word == "COPY":
            *sources, target = step.rest.split()
            for name in sources:
                _copy(name, folder / target, is_folder=target.endswith("/") or len(sources) > 1)
        elif step.word == "RUN":
            arguments = [tree.place(argument) for argument in json.loads(step.rest)]
            environment = {**os.environ, **variables, "PYTHON": python}
            subprocess.run(arguments, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
        elif step.word == "ENV":
            variables.update(variables_of([step]))
        elif step.word != "WORKDIR":
            fail(f"the build stage has {step.word}, which is not known here; teach it to scripts/image_check.py")


def _copy(name: str, target: Path, *, is_folder: bool) -> None:
    source = PROJECT / name
    if not source.exists():
        fail(f"the Dockerfile copies {name}, which is not there")
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        return
    place = target / source.name if is_folder else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def configure(tree: Tree, spool: Path) -> tuple[int, int]:
    """Write a small configuration where the image expects one; return the ports of data and administration."""
    folder = tree.root / "etc/sidegate"
    (folder / "policy").mkdir(parents=True)
    (folder / "policy/acme.yaml").write_text(_POLICY)
    (folder / "routes.yaml").write_text(_ROUTES)
    data, admin = _free_ports(2)
    (folder / "sidegate.yaml").write_text(_SETTINGS.format(data=data, admin=admin, spool=spool))
    return data, admin


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def as_user(image: Image) -> dict[str, Any]:
    """Return how to start a process as the image's user; as ourselves where that takes more rights than we have."""
    user, _, group = image.last("USER").partition(":")
    if not (user.isdigit() and group.isdigit() and int(user)):
        fail(f"USER is {image.last('USER')}; write two numbers, the first not 0, so that a cluster can check it")
    if os.geteuid() != 0:
        print("image-check: not started as root: runs as you, with the tree made read-only", file=sys.stderr)
        return {}
    return {"user": int(user), "group": int(group), "extra_groups": []}


def find_python(user: Mapping[str, Any]) -> str:
    """Return an interpreter that *user* may run and that can make environments: not one in somebody's home."""
    program = "import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))"
    candidates = (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3")
    for candidate in candidates:
        with contextlib.suppress(OSError):
            if subprocess.run([candidate, "-c", program], cwd="/", check=False, **user).returncode == 0:
                return candidate
    fail(
        f"none of {', '.join(candidates)} is a Python 3.11 with venv that the image's user may run; "
        "install python3 and python3-venv, or call this with one that everybody may run"
    )


def protect(tree: Tree, writable: Path, user: Mapping[str, Any]) -> None:
    """Leave nothing to write but *writable*."""
    writable.mkdir(parents=True, exist_ok=True)
    for path in (tree.root, *tree.root.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222 | 0o444 | (0o111 if path.is_dir() else 0))
    writable.chmod(0o750)
    if user:
        os.chown(writable, user["user"], user["group"])


def wait_until_ready(probe: list[str], started: float, process: subprocess.Popen[bytes], user: Any) -> float:  # noqa: ANN401
    """Run the image's own health check for readiness until it passes; return the seconds it took."""
    while time.monotonic() - started < READY_WITHIN_S:
        if process.poll() is not None:
            fail(f"it ended with code {process.returncode} before it was ready; its log is above")
        if subprocess.run(probe, capture_output=True, check=False, **user).returncode == 0:
            return time.monotonic() - started
    fail(f"it was not ready after {READY_WITHIN_S:.0f} s; its log is above")


def ask(port: int, path: str) -> tuple[int, str]:
    """Return status and reason of a request without a credential."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    return response.status, problem["reason"]


def compiled_modules(tree: Tree) -> list[Path]:
    """Return the modules of Sidegate that are there in compiled form."""
    return sorted((tree.root / "opt/sidegate").glob("lib/python*/site-packages/sidegate/**/*.so"))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in megabytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / _MB


def sizes(folder: Path) -> tuple[float, float]:
    """Return the size of a layer with *folder* in it, plain and as it is pulled, in megabytes."""

    class Counter:
        count = 0

        def write(self, part: bytes) -> int:
            self.count += len(part)
            return len(part)

    plain, packed = Counter(), Counter()
    for counter, wrap in ((plain, False), (packed, True)):
        output: Any = gzip.GzipFile(fileobj=_as_file(counter), mode="wb") if wrap else counter
        with tarfile.open(fileobj=output, mode="w|") as archive:
            archive.add(folder, arcname=folder.name)
        if wrap:
            output.close()
    return plain.count / _MB, packed.count / _MB


def _as_file(counter: Any) -> BinaryIO:  # noqa: ANN401  anything that takes bytes
    return counter  # type: ignore[no-any-return]


def run(image: Image, tree: Tree, user: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Start what was built; yield what was found, by name."""
    writable = Path(tree.place(json.loads(image.last("VOLUME"))[0]))
    spool = writable / "audit"
    data, _ = configure(tree, spool)
    protect(tree, writable, user)
    variables = {name: ":".join(map(tree.place, text.split(":"))) for name, text in image.variables.items()}
    variables["PATH"] = variables["PATH"].replace(tree.place("/usr/"), "/usr/").replace(tree.place("/bin"), "/bin")
    command = [tree.place(part) for part in (*image.command("ENTRYPOINT"), *image.command("CMD"))]
    probe = [tree.place(part) for part in image.command("HEALTHCHECK")]
    ready = [*probe, "--ready"]
    before = tree.state()
    options: dict[str, Any] = {"env": variables, "cwd": writable, **user}
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield "start to ready", f"{wait_until_ready(ready, started, process, options):.2f} s"
        if subprocess.run(probe, check=False, stdout=subprocess.DEVNULL, **options).returncode != 0:
            fail("the health check of the image does not pass")
        yield "resident memory, idle", f"{resident_mb(process.pid):.0f} MB"
        answer = ask(data, "/v1/orgs/acme/projects/p/branches/main/files/a")
        if answer != (401, "no_credential"):
            fail(f"a request without a credential was answered with {answer}")
        yield "answers", "no credential, no way through"
        process.send_signal(signal.SIGTERM)
        if (code := process.wait(STOPPED_WITHIN_S)) != 0:
            fail(f"SIGTERM ended it with code {code}, not 0")
        yield "SIGTERM", "ended in order, code 0"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if subprocess.run(probe, capture_output=True, check=False, **options).returncode == 0:
        fail("the health check passes though nothing runs")
    after = tree.state()
    inside = str(writable)
    touched = sorted({path for path, _ in before.items() ^ after.items() if not path.startswith(inside)})
    if touched:
        fail(f"it wrote outside its volume: {', '.join(touched[:5])}")
    yield "written outside the volume", "nothing"
    if not any(spool.rglob("*.ndjson")):
        fail("there are no records in the spool")


def main() -> None:
    """Build, measure, run."""
    parser = argparse.ArgumentParser(description="Check the Dockerfile's steps without a container engine.")
    parser.add_argument("--keep", action="store_true", help="leave what was built, and say where")
    options = parser.parse_args()
    image = read_dockerfile((PROJECT / "Dockerfile").read_text("utf-8"))
    root = Path(tempfile.mkdtemp(prefix="sidegate-image-"))
    try:
        root.chmod(0o755)
        tree = Tree(root)
        user = as_user(image)
        build(image, tree, find_python(user))
        plain, packed = sizes(root / "opt/sidegate")
        found = {
            "added to the base": f"{plain:.0f} MB, {packed:.0f} MB to pull",
            "to pull in all": f"{packed + BASE_PULLED_MB:.0f} MB, {BASE_PULLED_MB} MB of them the base as stated",
            "compiled modules": str(len(compiled_modules(tree))),
            **dict(run(image, tree, user)),
        }
        width = max(map(len, found))
        for name, text in found.items():
            print(f"{name:<{width}}  {text}")
        if plain > MAX_INSTALLED_MB:
            fail(f"the layer has {plain:.0f} MB, more than {MAX_INSTALLED_MB}; see what grew with --keep and du")
        if packed + BASE_PULLED_MB > MAX_PULLED_MB:
            fail(f"{packed + BASE_PULLED_MB:.0f} MB have to be pulled, more than {MAX_PULLED_MB}")
        if not compiled_modules(tree):
            fail("nothing is compiled; the build stage has to set SIDEGATE_COMPILE=1")
    finally:
        if options.keep:
            print(f"image-check: kept {root}", file=sys.stderr)
        else:
            for folder in (path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()):
                folder.chmod(0o755)
            root.chmod(0o755)
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
