"""Sidegate in the configurations whose cost is compared: audit, shadow, Redis, workers."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadtests.peers import Sidegate
from loadtests.processes import BenchError, ask
from loadtests.workload import ORG, Workload, policy_text
from tests.integration.redis.servers import RedisServer, free_ports

# A candidate whose difference concerns somebody else, and one that concerns whoever sends the load.
_OF_OTHERS = "candidate:\n  bindings:\n    - {id: c1, who: user:u8, role: Viewer, on: p900}\n"
_OF_ALL = "candidate:\n  bindings:\n    - {id: c1, who: user:u7, role: Viewer, on: p7@main}\n  remove: [b7]\n"


class Variant(Sidegate):
    """Sidegate with some settings of its own.

    Args:
        workload: As for every peer.
        upstream: Likewise.
        core: Likewise.
        name: Of its folder, and in tables.
        settings: Laid over the usual ones, section by section.
        candidate: Appended to the organization's policy.
    """

    def __init__(
        self,
        workload: Workload,
        upstream: int,
        core: int,
        name: str,
        settings: dict[str, Any] | None = None,
        *,
        candidate: str = "",
    ) -> None:
        self.name = name
        super().__init__(workload, upstream, core)
        self._own = settings or {}
        self.durability = self._own.get("audit", {}).get("durability", "process")
        self.policy = self.folder / "policy"
        self.policy.mkdir()
        self.policy_file = self.policy / f"{ORG}.yaml"
        self.policy_file.write_text(policy_text() + candidate)

    def settings(self) -> dict[str, Any]:
        """Return what is configured."""
        found = super().settings()
        found["policy"] = {"source": "dir:policy/"}
        for section, given in self._own.items():
            found[section] = {**found.get(section, {}), **given} if isinstance(given, dict) else given
        return found


class OnRedis(Variant):
    """Policy, sessions and revocations in a Redis of its own."""

    def start(self) -> None:
        folder = self.folder / "redis"
        folder.mkdir()
        self._redis = RedisServer(folder, free_ports(1)[0])
        self._redis.start()
        command = [sys.executable, "-m", "sidegate", "policy", "publish", str(self.policy), "--redis", self._redis.url]
        done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise BenchError(f"the policy could not be published:\n{done.stdout}{done.stderr}")
        self._own = {"policy": {"source": self._redis.url}}
        super().start()

    def stop(self) -> None:
        super().stop()
        self._redis.kill()


def audit_levels(workload: Workload, upstream: int, core: int) -> dict[str, Sidegate]:
    """Return Sidegate at every level of durability; the first is what the others are compared with."""
    given: dict[str, dict[str, Any]] = {
        "memory": {"durability": "memory"},
        "process": {"durability": "process"},
        "process-completions": {"durability": "process", "completions": "all"},
        "host": {"durability": "host"},
    }
    return {name: Variant(workload, upstream, core, f"audit-{name}", {"audit": audit}) for name, audit in given.items()}


def shadows(workload: Workload, upstream: int, core: int) -> dict[str, Sidegate]:
    """Return Sidegate without a candidate, with one of others, and with one that decides otherwise for everybody."""
    given = {"off": "", "nobody": _OF_OTHERS, "all": _OF_ALL}
    return {
        name: Variant(workload, upstream, core, f"shadow-{name}", candidate=candidate)
        for name, candidate in given.items()
    }


def sources(workload: Workload, upstream: int, core: int) -> dict[str, Sidegate]:
    """Return Sidegate with embedded state, and with policy and sessions in Redis where there is one."""
    found: dict[str, Sidegate] = {"embedded": Variant(workload, upstream, core, "source-embedded")}
    if shutil.which("redis-server") is not None:
        found["redis"] = OnRedis(workload, upstream, core, "source-redis")
    return found


def read_gauge(peer: Sidegate, name: str) -> float:
    """Read one number of a running sidecar from its admin port.

    Raises:
        BenchError: It has none of that name.
    """
    text = ask(peer.admin, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").decode()
    values = [
        float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
    ]
    if not values:
        raise BenchError(f"there is no {name} in the metrics")
    return max(values)


def replace_file(path: Path, text: str) -> None:
    """Replace *path* in one step, as whoever edits policy does."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
