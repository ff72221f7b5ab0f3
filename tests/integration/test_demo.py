"""`make run`: what it prints to try does what it says."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.demo import SHARED_STEPS, STEPS
from tests.integration.waiting import DEADLINE_S, eventually

ROOT = Path(__file__).resolve().parents[2]


def _free_places() -> dict[str, str]:
    # Held all at once, so that they differ.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return dict(zip(("LISTEN", "ADMIN", "DATASTORE", "REDIS_LISTEN"), addresses, strict=True))


def _launch(folder: Path, output: Path, places: dict[str, str]) -> "subprocess.Popen[bytes]":
    with output.open("wb") as written:
        return subprocess.Popen(
            [sys.executable, "scripts/demo.py"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, **places, "DEMO": str(folder), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


@pytest.fixture
def demo(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return the folder of a demo that is ready; afterwards Ctrl-C must end it with 0. Parameters are variables."""
    output = tmp_path / "output"
    process = _launch(tmp_path / "demo", output, {**_free_places(), **getattr(request, "param", {})})

    def is_ready() -> bool:
        assert process.poll() is None, output.read_text()
        return "Ctrl-C ends both services" in output.read_text()

    try:
        eventually(is_ready, "the demo says what to try", within_s=60)
        yield tmp_path / "demo"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def _shell(folder: Path, command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f". {folder}/env; {command}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_every_step(demo: Path) -> None:
    """Each command that is printed shows what its title promises, in the order printed."""
    shown = {step.title: _shell(demo, step.command) for step in STEPS}
    assert {step.title: shown[step.title] for step in STEPS if step.shows not in shown[step.title]} == {}
    assert (demo / "env").stat().st_mode & 0o077 == 0
    assert (demo / "issuer.pem").stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("demo", [{"REDIS": "1"}], indirect=True)
def test_every_step_with_redis(demo: Path) -> None:
    """The same, and what sidecars share: sessions, keys, and the audit stream."""
    steps = [step for step in STEPS if " why " not in step.command]
    shown = {step.title: _shell(demo, step.command) for step in (*steps, *SHARED_STEPS)}
    assert {title: text for title, text in shown.items() if _shows(title) not in text} == {}


def _shows(title: str) -> str:
    return next(step.shows for step in (*STEPS, *SHARED_STEPS) if step.title == title)


def test_policy_can_be_edited(demo: Path) -> None:
    """The copy of the policy is the one in force."""
    put = 'curl -s -o /dev/null -w "%{http_code}" -H "$VERA" -T README.md $P1/x/files/notes/vera.md'
    assert _shell(demo, put) == "403"
    policy = demo / "policy" / "acme.yaml"
    policy.write_text(policy.read_text().replace("who: user:vera, role: Viewer", "who: user:vera, role: Designer"))
    eventually(lambda: _shell(demo, put) == "201", "vera may write")


def test_busy_port(tmp_path: Path) -> None:
    """A port that is taken is named, with the way to choose another."""
    places = _free_places()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places["LISTEN"] = f"127.0.0.1:{taken.getsockname()[1]}"
        process = _launch(tmp_path / "demo", tmp_path / "output", places)
        assert process.wait(DEADLINE_S + 20) == 69
    said = (tmp_path / "output").read_text()
    assert places["LISTEN"] in said
    assert "make run LISTEN=" in said
    assert "Traceback" not in said
