"""What the Dockerfile promises; that its steps work is shown by `make image-check`, which needs minutes."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.image_check import PROJECT, Image, Step, Tree, read_dockerfile, variables_of

from sidegate.cli import health
from sidegate.config.settings_model import DEFAULT_ADMIN, DEFAULT_LISTEN

TEXT = (PROJECT / "Dockerfile").read_text("utf-8")
IMAGE = read_dockerfile(TEXT)


def test_hadolint_finds_nothing() -> None:
    """No rule is switched off."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", "Dockerfile"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint ignore" not in TEXT


def test_both_bases_can_be_pinned() -> None:
    """Each stage's base is a build argument, so that a release names a digest; both are of the same Python."""
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", TEXT, re.MULTILINE))
    assert re.findall(r"^FROM (.+)$", TEXT, re.MULTILINE) == ["${BUILD_IMAGE} AS build", "${RUNTIME_IMAGE}"]
    assert {"python:3.11-bookworm", "python:3.11-slim-bookworm"} == set(bases.values())


def test_the_user_is_a_number_and_not_root() -> None:
    """A cluster with runAsNonRoot can check a number, not a name."""
    assert IMAGE.last("USER") == "65532:65532"


def test_no_shell_is_needed_to_run() -> None:
    """Command, entry point and health check are lists of arguments, none of them a shell."""
    commands = [IMAGE.command(word) for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK")]
    assert [*commands[0], *commands[1]] == ["/opt/sidegate/bin/sidegate", "run"]
    assert not {"sh", "bash", "-c"} & {part.rpartition("/")[2] for command in commands for part in command}


def test_the_health_check_is_built_in() -> None:
    """It is our own program: the image has no curl."""
    assert ["/opt/sidegate/bin/python", "-I", "-m", health.__name__] == IMAGE.command("HEALTHCHECK")


def test_the_ports_are_those_of_the_settings() -> None:
    """What is exposed is what is listened on by default (spec 6.1)."""
    assert [DEFAULT_LISTEN.rpartition(":")[2], DEFAULT_ADMIN.rpartition(":")[2]] == IMAGE.last("EXPOSE").split()


def test_what_is_written_is_a_volume() -> None:
    """The spool's folder is a volume, and belongs to the user from the start."""
    assert json.loads(IMAGE.last("VOLUME")) == ["/var/lib/sidegate"]
    (made,) = [json.loads(step.rest) for step in IMAGE.final if step.word == "RUN"]
    assert made == ["install", "-d", "-m", "0750", "-o", "65532", "-g", "65532", "/var/lib/sidegate"]


def test_the_data_path_is_compiled() -> None:
    """In the build stage, before the wheel is made; the stage that runs has neither compiler nor variable."""
    words = [step.word for step in IMAGE.build]
    assert variables_of(IMAGE.build) == {"SIDEGATE_COMPILE": "1"}
    assert words.index("ENV") < len(words) - 1 - words[::-1].index("RUN")
    assert "SIDEGATE_COMPILE" not in IMAGE.variables
    assert "/wheels" not in " ".join(step.rest for step in IMAGE.final)


def test_labels_are_those_of_the_specification() -> None:
    """The keys that OCI annotations define, version and revision filled in at build time."""
    (labels,) = [step.rest for step in IMAGE.final if step.word == "LABEL"]
    keys = re.findall(r"org\.opencontainers\.image\.([\w.]+)=", labels)
    assert keys == ["title", "description", "licenses", "base.name", "version", "revision", "created"]
    declared = {step.rest.partition("=")[0] for step in IMAGE.final if step.word == "ARG"}
    assert declared == set(re.findall(r"\$\{(\w+)\}", labels))


def test_nothing_secret_is_an_argument() -> None:
    """Build arguments and variables stay in an image's history."""
    names = [step.rest.partition("=")[0] for step in (*IMAGE.build, *IMAGE.final) if step.word in {"ARG", "ENV"}]
    assert not [name for name in names if re.search("(?i)secret|token|password|key", name)]


def copied() -> list[str]:
    """Return what the build stage copies from the context."""
    return [source for step in IMAGE.build if step.word == "COPY" for source in step.rest.split()[:-1]]


def ignored(path: str) -> bool:
    """Return whether .dockerignore keeps *path* out: the last pattern that matches it or a folder above it decides."""
    lines = [line for line in (PROJECT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    above = ["/".join(path.split("/")[: number + 1]) for number in range(path.count("/") + 1)]
    verdict = False
    for line in lines:
        pattern = line.removeprefix("!").removeprefix("**/")
        names = above if not line.startswith("**/") else [*above, *path.split("/")]
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            verdict = not line.startswith("!")
    return verdict


def test_the_context_has_what_is_copied() -> None:
    """Each file that is copied is there and not ignored."""
    sources = copied()
    assert {
        "requirements/run.txt",
        "requirements/compile.txt",
        "scripts/image-install.sh",
        "pyproject.toml",
        "README.md",
        "src",
    } <= set(sources)
    for source in sources:
        assert (PROJECT / source).exists(), f"{source} is copied and not there"
        assert not ignored(source), f"{source} is copied and ignored"


@pytest.mark.parametrize(
    "path", [".git/config", ".env", "config/sidegate.yaml", "var/audit/checkpoint.key", "tests/x.py", "key.pem"]
)
def test_the_context_has_nothing_else(path: str) -> None:
    """A key that lies in a working tree cannot get into a layer."""
    assert ignored(path)


def test_compiled_files_stay_out() -> None:
    """Bytecode of this machine's Python would lie beside that of the image's."""
    assert ignored("src/sidegate/__pycache__/x.pyc")
    assert not ignored("src/sidegate/cli/health.py")


def test_wheels_are_checked_by_hash() -> None:
    """Dependencies come from the lock, each with its hash; what is installed comes from these wheels alone."""
    script = (PROJECT / "scripts/image-install.sh").read_text("utf-8")
    wheels = re.findall(r'pip" wheel ([^\n]*)', script)
    assert ["--require-hashes" in arguments or "--no-build-isolation" in arguments for arguments in wheels] == [
        True
    ] * 3
    installs = re.findall(r'pip" (?:--python [^ ]+ )?install((?:[^\n\\]|\\\n)*)', script)
    assert ["--no-index" in arguments for arguments in installs] == [True] * 3


def test_a_dockerfile_is_read() -> None:
    """Comments go, continued lines are joined, and the stages are kept apart."""
    text = 'ARG A=1\nFROM x AS build\n# no\nRUN ["a", \\\n  "b"]\n\nFROM y\nENV A=1 \\\n    B="2 3"\nCMD ["c"]\n'
    image = read_dockerfile(text)
    assert (Step("RUN", '["a", "b"]'),) == image.build
    assert image.variables == {"A": "1", "B": "2 3"}
    assert image.command("CMD") == ["c"]


def test_paths_are_moved_below_the_folder(tmp_path: Path) -> None:
    """Absolute paths of the image are places in the tree; names are not touched."""
    tree = Tree(tmp_path)
    assert [f"{tmp_path}/opt/x", "run"] == [tree.place("/opt/x"), tree.place("run")]
    assert isinstance(IMAGE, Image)
