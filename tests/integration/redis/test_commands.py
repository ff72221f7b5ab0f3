"""`sidegate policy publish|show|diff` against a real Redis (spec 6.4)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import ACME

DENIES = 'denies:\n  - {id: d1, who: user:ana, authorities: [write], on: "*"}\n'


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `sidegate`."""
    command = [sys.executable, "-m", "sidegate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Return a policy file."""
    file = tmp_path / "acme.yaml"
    file.write_text(ACME)
    return file


def test_publish_show_diff(redis: RedisServer, policy: Path) -> None:
    """A dry run writes nothing and tells everything; a publish only what changed; what is there can be read back."""
    url = ("--redis", redis.url)
    dry = run("policy", "publish", str(policy), "--dry-run", *url)
    assert (dry.returncode, redis.command("DBSIZE")) == (0, ":0")
    assert "+ bindings ana-p1" in dry.stdout
    assert "would publish the header, 4 accounts" in dry.stdout
    first = json.loads(run("policy", "publish", str(policy), "-o", "json", *url).stdout)[0]
    assert (first["published"], len(first["subjects"])) == (True, 4)
    assert run("policy", "diff", str(policy), "--published", *url).returncode == 0
    again = json.loads(run("policy", "publish", str(policy), "-o", "json", *url).stdout)[0]
    assert (again["published"], again["min_revision"]) == (False, first["min_revision"])
    policy.write_text(ACME + DENIES)
    differs = run("policy", "diff", str(policy), "--published", *url)
    assert (differs.returncode, "+ denies d1" in differs.stdout) == (1, True)
    second = json.loads(run("policy", "publish", str(policy), "-o", "json", *url).stdout)[0]
    assert (second["subjects"], second["header"]) == (["user:ana"], False)
    assert second["min_revision"] > first["min_revision"]
    assert run("policy", "publish", str(policy), "--quiet", *url).stdout == f"{second['min_revision']}\n"
    shown = run("policy", "show", "--published", "--org", "acme", "-o", "json", *url)
    from_file = run("policy", "show", "--policy", str(policy), "-o", "json")
    one, other = json.loads(shown.stdout)[0], json.loads(from_file.stdout)[0]
    assert one["denies"] == other["denies"]
    assert sorted(map(str, one["members"])) == sorted(map(str, other["members"]))
    assert sorted(map(str, one["bindings"])) == sorted(map(str, other["bindings"]))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(("show", "--published", "--org", "nobody"), 65, "no policy is published", id="not-published"),
        pytest.param(("show", "--published"), 2, "--org", id="show-without-organization"),
        pytest.param(("show", "--published", "--org", "../x"), 2, "../x", id="no-name"),
    ],
)
def test_refused(redis: RedisServer, arguments: tuple[str, ...], code: int, says: str) -> None:
    """What cannot be shown is told with what to do."""
    done = run("policy", *arguments, "--redis", redis.url)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_redis_away(policy: Path) -> None:
    """A Redis that is not there is told as such, and nothing hangs."""
    done = run("policy", "publish", str(policy), "--redis", "redis://127.0.0.1:1")
    assert (done.returncode, "redis failed" in done.stderr) == (69, True), done.stderr


def test_wrong_address(policy: Path) -> None:
    """An address is read in one way or refused."""
    done = run("policy", "publish", str(policy), "--redis", "http://127.0.0.1:1")
    assert (done.returncode, "redis://" in done.stderr) == (2, True), done.stderr


def test_signed(redis: RedisServer, policy: Path, tmp_path: Path) -> None:
    """What is published with a key is signed; a file that is no key is refused."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True)
    assert run("policy", "publish", str(policy), "--redis", redis.url, "--signing-key", str(key)).returncode == 0
    header = redis.command("GET", "sidegate:{acme}:header").splitlines()[0].split()
    assert len(header[-1]) == 128
    done = run("policy", "publish", str(policy), "--redis", redis.url, "--signing-key", str(policy))
    assert (done.returncode, "no private key" in done.stderr) == (78, True), done.stderr
