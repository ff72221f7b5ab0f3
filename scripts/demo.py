"""`make run`: Sidegate in front of the example DataStore, with people, an API key and requests to try.

Everything it makes lies in var/demo/. The policy there is a copy of config/policy/ that is made once, so that it can be
edited while the demo runs; delete var/demo/ to begin anew. Ctrl-C ends both services in order.

    make run
    make run LISTEN=127.0.0.1:8081 ADMIN=127.0.0.1:9091 DATASTORE=127.0.0.1:9001
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.issuer import Issuer, make_key, write_jwks  # noqa: E402 - the path is set up above

ISSUER = "https://clerk.example"
PARTY = "https://app.example"
TOKENS_LAST_S = 12 * 3600
READY_S = 30.0
STOP_S = 35.0

UNAVAILABLE = 69
MAX_PORT = 65535


class DemoError(Exception):
    """The demo cannot run; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Where something listens.

    Attributes:
        variable: What changes it, as in ``make run LISTEN=…``.
    """

    variable: str
    host: str
    port: int

    @classmethod
    def from_environment(cls, variable: str, default: str) -> "Place":
        """Read ``host:port``."""
        text = os.environ.get(variable) or default
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or int(port) > MAX_PORT:
            raise DemoError(f"{variable} is `{text}`; write host:port, e.g. {default}")
        return cls(variable, host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def require_free(self) -> None:
        """Raise if something listens here already."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                other = f"{self.host}:{self.port + 1}"
                raise DemoError(
                    f"{self} is not free ({error.strerror}); end what listens there, or choose another:"
                    f" make run {self.variable}={other}"
                ) from None

    def is_taken(self) -> bool:
        """Whether something answers here."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Step:
    """One thing to try.

    Attributes:
        title: What it shows.
        command: For a shell that has read the demo's variables.
        shows: What its output must hold, for whoever tests the demo.
    """

    title: str
    command: str
    shows: str


STEPS = (
    Step("nobody: 401", "curl -i $P1/main/files/designs/current/route.json", "no_credential"),
    Step("vera is a Viewer of p1: 200", 'curl -i -H "$VERA" $P1/main/files/designs/current/route.json', "HTTP/1.1 200"),
    Step(
        "and may not write: 403",
        'curl -i -H "$VERA" -T README.md $P1/x/files/notes/readme.md',
        '"reason":"not_granted"',
    ),
    Step("dan designs on branch x: 201", 'curl -i -H "$DAN" -T README.md $P1/x/files/notes/readme.md', "HTTP/1.1 20"),
    Step("and there it is", "head -3 $DEMO/datastore/acme/p1/branches/x/files/notes/readme.md", "idegate"),
    Step(
        "but not on main, where a narrower binding counts: 403",
        'curl -i -H "$DAN" -T README.md $P1/main/files/notes/readme.md',
        '"reason":"not_granted"',
    ),
    Step(
        "why? (the newest refusal)",
        '$SIDEGATE why -c $CONFIG "$($SIDEGATE audit tail -n1 --outcome deny -c $CONFIG -o json'
        ' | sed \'s/.*"id":"\\([0-9a-f-]*\\)".*/\\1/\')"',
        "dan-p1-main",
    ),
    Step("an API key of scope p1: 200", 'curl -i -H "$CI" $P1/main/files/designs/current/load.json', "HTTP/1.1 200"),
    Step(
        "and nothing else: 403",
        'curl -i -H "$CI" $URL/v1/orgs/acme/projects/p2/branches/main/files/designs/current/load.json',
        '"reason":"outside_credential_scope"',
    ),
    Step(
        "another organization's project: 403",
        'curl -i -H "$VERA" $URL/v1/orgs/globex/projects/g1/branches/main/files/designs/current/load.json',
        '"reason":"cross_org"',
    ),
    Step("the trail is whole", "$SIDEGATE audit verify -c $CONFIG", ""),
    Step("what was decided, as numbers", "curl -s $ADMIN_URL/metrics | grep ^sidegate_decisions", "sidegate_decisions"),
)


SHARED_STEPS = (
    Step("who is signed in", "$SIDEGATE session list -c $CONFIG", "user:vera"),
    Step("sign finn out, on every sidecar", "$SIDEGATE session revoke --account user:finn -c $CONFIG", "user:finn"),
    Step(
        "and he is: 401",
        'curl -i -H "$FINN" $P1/main/files/designs/current/route.json',
        '"reason":"session_revoked"',
    ),
    Step("which keys there are, and when they were used", "$SIDEGATE key list --org acme -c $CONFIG", "service:ci"),
    Step("the records as they arrive in Redis", "$SIDEGATE audit tail $REDIS_URL", "session_revoked"),
)
"""What can be tried besides where sidecars share a Redis."""


class Demo:
    """The files of the demo and its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listen = Place.from_environment("LISTEN", "127.0.0.1:8080")
        self.admin = Place.from_environment("ADMIN", "127.0.0.1:9090")
        self.datastore = Place.from_environment("DATASTORE", "127.0.0.1:9000")
        # REDIS=1 puts policy, sessions and revocations into a Redis of the demo's own.
        wanted = os.environ.get("REDIS", "")
        self.redis = Place.from_environment("REDIS_LISTEN", "127.0.0.1:6390") if wanted not in {"", "0"} else None
        self.config = folder / "sidegate.yaml"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    # Files.

    def prepare(self) -> None:
        """Make what is not there yet, and what must be new: tokens that have not expired, places to listen."""
        self.folder.mkdir(parents=True, exist_ok=True)
        issuer = self._issuer()
        write_jwks(self.folder / "jwks.json", issuer)
        shutil.copyfile(ROOT / "config" / "routes.yaml", self.folder / "routes.yaml")
        self.config.write_text(self._settings())
        policy = self.folder / "policy"
        key_file = self.folder / "ci.key"
        if not policy.is_dir() or not key_file.is_file():
            shutil.rmtree(policy, ignore_errors=True)
            shutil.copytree(ROOT / "config" / "policy", policy)
            self._add_key(policy / "acme.yaml", key_file)
        self._write_secret(self.folder / "env", self._variables(issuer, key_file.read_text().strip()))

    def _issuer(self) -> Issuer:
        path = self.folder / "issuer.pem"
        if not path.is_file():
            self._write_secret(path, Issuer(ISSUER, key=make_key("RS256")).private_pem().decode())
        key = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, RSAPrivateKey):
            raise DemoError(f"{path} holds no RSA key; delete it to have a new one made")
        return Issuer(ISSUER, kid="demo-1", key=key)

    def _settings(self) -> str:
        """Return the commented configuration with the demo's places in it."""
        text = (ROOT / "config" / "sidegate.yaml").read_text()
        source = f"redis://{self.redis}" if self.redis is not None else "dir:policy/"
        sinks = f'\n  sinks: [{{redis: "{source}"}}]' if self.redis is not None else ""
        for pattern, line in (
            (r"^policy: .*$", f'policy: {{source: "{source}"}}'),
            (r"^listen: .*$", f"listen: {self.listen}"),
            (r"^admin: .*$", f"admin: {self.admin}"),
            (r"^  url: .*$", f"  url: http://{self.datastore}"),
            (r"^  spool: .*$", "  spool: audit" + sinks),
        ):
            text, count = re.subn(pattern, line, text, count=1, flags=re.MULTILINE)
            if not count:
                raise DemoError(f"config/sidegate.yaml has no line like `{line}` any more; scripts/demo.py sets it")
        return text

    def _add_key(self, policy: Path, key_file: Path) -> None:
        arguments = ["--account", "service:ci", "--org", "acme", "--authorities", "read,write", "--scopes", "p1"]
        command = [sys.executable, "-m", "sidegate", "key", "mint", *arguments, "-o", "json"]
        minted = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
        text, count = re.subn(
            r"^keys: \[\]$", f"keys:\n  - {json.dumps(minted['record'])}", policy.read_text(), flags=re.MULTILINE
        )
        if count != 1:
            raise DemoError(f"{policy.name} of config/policy has no line `keys: []`; scripts/demo.py fills it")
        policy.write_text(text)
        self._write_secret(key_file, minted["key"] + "\n")

    def _variables(self, issuer: Issuer, key: str) -> str:
        variables = {
            "URL": f"http://{self.listen}",
            "ADMIN_URL": f"http://{self.admin}",
            "P1": f"http://{self.listen}/v1/orgs/acme/projects/p1/branches",
            "DEMO": str(self.folder),
            "CONFIG": str(self.config),
            "SIDEGATE": f"{sys.executable} -m sidegate",
            "CI": f"X-API-Key: {key}",
        }
        if self.redis is not None:
            variables["REDIS_URL"] = f"redis://{self.redis}"
        for org in ("acme", "globex"):
            members = yaml.safe_load((self.folder / "policy" / f"{org}.yaml").read_text()).get("members", {})
            for account in members:
                kind, _, user = account.partition(":")
                if kind == "user":
                    token = issuer.session(user, org, lasts_s=TOKENS_LAST_S, claims={"azp": PARTY})
                    variables[user.upper()] = f"Cookie: __session={token}"
        return "".join(f"{name}={shlex.quote(text)}\n" for name, text in variables.items())

    @staticmethod
    def _write_secret(path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)

    # Processes.

    def start(self) -> None:
        """Start the DataStore and Sidegate and wait until both answer."""
        for place in (self.listen, self.admin, self.datastore, self.redis):
            if place is not None:
                place.require_free()
        if self.redis is not None:
            self._start_redis(self.redis)
        root = str(self.folder / "datastore")
        self._spawn("datastore", "-m", "examples.datastore", "--listen", str(self.datastore), "--root", root, "--seed")
        self._spawn("sidegate", "-m", "sidegate", "run", "--config", str(self.config))
        self._wait_for(lambda: _answers(f"http://{self.datastore}/healthz") and _answers(f"http://{self.admin}/readyz"))

    def _start_redis(self, place: Place) -> None:
        """Start a Redis that keeps what it is told, and publish the policy there."""
        server = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
        if server is None:
            raise DemoError("there is no redis-server; install it: apt-get install redis-server")
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        options = (
            "--bind",
            place.host,
            "--port",
            str(place.port),
            "--dir",
            str(data),
            "--appendonly",
            "yes",
            "--save",
            "",
        )
        self._spawn("redis", *options, program=server)
        self._wait_for(place.is_taken)
        arguments = ["policy", "publish", str(self.folder / "policy"), "--redis", f"redis://{place}"]
        command = [sys.executable, "-m", "sidegate", *arguments]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise DemoError(f"the policy could not be published: {done.stderr}")

    def _wait_for(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        while not is_ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise DemoError(f"not ready within {READY_S:.0f} s; see {self.folder}/*.log")
            time.sleep(0.05)

    def _spawn(self, name: str, *arguments: str, program: str = sys.executable) -> None:
        environment = {key: text for key, text in os.environ.items() if not key.startswith("SIDEGATE_")}
        with (self.folder / f"{name}.log").open("wb") as log:
            # In sessions of their own: Ctrl-C is for this program, which then ends them in order.
            self._children[name] = subprocess.Popen(
                [program, *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require_running(self) -> None:
        """Raise if one of the two has ended."""
        for name, child in self._children.items():
            if child.poll() is not None:
                end = (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]
                raise DemoError(f"{name} ended with {child.returncode}:\n{end}")

    def follow(self) -> None:
        """Show decisions as they are recorded, until one of the services ends or Ctrl-C."""
        command = [sys.executable, "-m", "sidegate", "audit", "tail", "-n", "0", "--follow", "-c", str(self.config)]
        tail = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            while tail.poll() is None:
                self.require_running()
                time.sleep(0.2)
            raise DemoError(f"`sidegate audit tail` ended with {tail.returncode}")
        finally:
            if tail.poll() is None:
                tail.terminate()
                tail.wait(STOP_S)

    def stop(self) -> None:
        """End both, Sidegate first: its requests in flight still need the DataStore."""
        for name in ("sidegate", "datastore", "redis"):
            child = self._children.get(name)
            if child is None or child.poll() is not None:
                continue
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{name} did not end within {STOP_S:.0f} s and is killed", file=sys.stderr)
                child.kill()
                child.wait()

    def introduce(self) -> None:
        """Say what can be tried."""
        folder = self.folder.relative_to(ROOT) if self.folder.is_relative_to(ROOT) else self.folder
        print(f"Sidegate listens on http://{self.listen}, its admin port on http://{self.admin}.")
        print(f"Behind it the example DataStore keeps its files in {folder}/datastore.\n")
        print("In another terminal, in this folder:\n")
        print(f"  . {folder}/env\n")
        for step in STEPS:
            # Records name entries; where they are written is known to the files that were published.
            command = (
                step.command if self.redis is None else step.command.replace(" why ", " why --policy $DEMO/policy ")
            )
            print(f"  # {step.title}\n  {command}\n")
        edit = f"Edit {folder}/policy/acme.yaml (give vera the role Designer)"
        if self.redis is None:
            print(f"{edit} and ask again: it counts within a second.")
        else:
            print(f"Policy, sessions, used-up keys and the audit stream are in Redis at {self.redis}.\n")
            for step in SHARED_STEPS:
                print(f"  # {step.title}\n  {step.command}\n")
            print(f"{edit}, publish it, and ask again: it counts at once.\n")
            print("  $SIDEGATE policy publish $DEMO/policy -c $CONFIG\n")
        print("Decisions appear below. Ctrl-C ends both services.\n", flush=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def main() -> int:
    """Run until Ctrl-C."""
    # Both end it in order, also where a shell that started it in the background has Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        demo = Demo(Path(os.environ.get("DEMO") or ROOT / "var" / "demo").resolve())
        demo.prepare()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return UNAVAILABLE
    try:
        demo.start()
        demo.introduce()
        demo.follow()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        print("\nending …", flush=True)
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
