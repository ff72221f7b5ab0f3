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


CHANGE = """organization: acme
put:
  bindings:
    - {id: new, who: user:ana, role: Nobody, on: p7}
remove:
  bindings: [ana-p1]
"""


def test_patch(redis: RedisServer, policy: Path, tmp_path: Path) -> None:
    """A dry run writes nothing; a change is told entry by entry, with its revision."""
    url = ("--redis", redis.url)
    first = run("policy", "publish", str(policy), "--quiet", *url).stdout.strip()
    change = tmp_path / "change.yaml"
    change.write_text(CHANGE)
    dry = run("policy", "patch", str(change), "--dry-run", *url)
    assert (dry.returncode, dry.stdout.splitlines()[0]) == (0, "acme: 2 changes")
    assert "- bindings ana-p1" in dry.stdout
    assert f"+ bindings new: user:ana is Nobody on p7  {change}:4:7" in dry.stdout
    assert f"would write 1 account; at revision {first}" in dry.stdout
    assert f"{change}:4:7: `new` gives the role `Nobody`, which nobody knows" in dry.stderr
    late = run("policy", "patch", str(change), "--expect-revision", "7", *url)
    assert (late.returncode, f"is at revision {first}, not at 7" in late.stderr) == (1, True)
    done = run("policy", "patch", str(change), "--expect-revision", first, "-o", "json", *url)
    told = json.loads(done.stdout)
    assert (done.returncode, told["published"], told["subjects"]) == (0, True, ["user:ana"])
    assert (told["previous_revision"], told["min_revision"] > int(first)) == (int(first), True)
    assert [warning["line"] for warning in told["warnings"]] == [4]
    again = run("policy", "patch", str(change), *url)
    assert (again.returncode, f"{change}:6:14: `ana-p1` is not there" in again.stderr) == (78, True)
    assert run("policy", "diff", str(policy), "--published", *url).returncode == 1


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        pytest.param(
            '{"organization": "acme", "remove": {"denies": ["d"]}}', 78, "<stdin>:1:48: `d` is not", id="gone"
        ),
        pytest.param('{"organization": "acme", "put": {"mfa_max_age_s": 7}}', 0, "", id="done"),
        pytest.param('{"organization": "other", "put": {"mfa_max_age_s": 7}}', 78, "publish it whole", id="not-there"),
        pytest.param("organization: [", 78, "<stdin>:2:1", id="no-yaml"),
        pytest.param("", 65, "standard input", id="nothing"),
    ],
)
def test_patch_from_standard_input(redis: RedisServer, policy: Path, text: str, code: int, says: str) -> None:
    """As `-`; what is wrong is told with its place there."""
    run("policy", "publish", str(policy), "--redis", redis.url)
    command = [sys.executable, "-m", "sidegate", "policy", "patch", "-", "--quiet", "--redis", redis.url]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert done.stdout.strip().isdigit() is (code == 0)
