"""A real Prometheus on a free port of the loopback, with rules, that scrapes what it is told to."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.integration.redis.servers import free_ports
from tests.integration.waiting import DEADLINE_S, eventually

Json = dict[str, Any]


class Prometheus:
    """One server.

    Args:
        folder: Empty, for its files.
        targets: Admin ports by job.
        rules: Text of a rules file.
        every: Between two scrapes, and two looks at the rules, as Prometheus writes durations.
        names: In the place of an address, by port.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, Sequence[int]],
        rules: str = "groups: []\n",
        every: str = "250ms",
        names: Mapping[int, str] = {},
    ) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)
        self._targets = sum(len(ports) for ports in targets.values())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules.yaml").write_text(rules)
        configuration = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [_target(port, names.get(port)) for port in ports]}
                for job, ports in targets.items()
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))

    def start(self) -> "Prometheus":
        """Start it and wait until it has scraped every target and looked at every rule."""
        command = shutil.which("prometheus")
        assert command is not None, "prometheus is missing; bash scripts/need-debian.sh test"
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    command,
                    f"--config.file={self._folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._has_seen_all, f"prometheus scrapes; its log is {self._folder / 'log'}")
        return self

    def _has_seen_all(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return len(self.query("up == 1")) >= self._targets and self.looks() is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of one call of its API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series that *expr* is now."""
        found = self.ask("query", query=expr)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def looks(self) -> float | None:
        """Return when the rule that was looked at longest ago was looked at; None if one never was."""
        groups = self.ask("rules")["groups"]
        times = [rule["lastEvaluation"] for group in groups for rule in group["rules"]]
        return None if any(one.startswith("0001") for one in times) else min(map(_seconds, times), default=0.0)

    def broken_rules(self) -> list[str]:
        """Return what went wrong with rules."""
        groups = self.ask("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]

    def alerts(self) -> list[Json]:
        """Return every alert that is pending or firing."""
        found: list[Json] = self.ask("alerts")["alerts"]
        return found

    def fired(self, job: str) -> set[str]:
        """Return the names of the alerts that fired for *job* at any time."""
        found = self.query(f'max_over_time(ALERTS{{alertstate="firing", job="{job}"}}[1h])')
        return {labels["alertname"] for labels, _ in found}

    def history(self, expr: str, start: float, end: float, step_s: float) -> list[tuple[dict[str, str], list[Any]]]:
        """Return every series of *expr* from *start* to *end*, seconds since 1970, as [time, text] pairs."""
        found = self.ask("query_range", query=expr, start=str(start), end=str(end), step=str(step_s))["result"]
        return [(one["metric"], one["values"]) for one in found]

    def stop(self) -> None:
        """Let it write what it has to its folder, and end."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    def close(self) -> None:
        """End it, if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _target(port: int, name: str | None) -> Json:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {} if name is None else {"instance": name}}


def _seconds(instant: str) -> float:
    whole, _, rest = instant.partition(".")
    digits = "".join(character for character in rest[:9] if character.isdigit())
    return time.mktime(time.strptime(whole[:19], "%Y-%m-%dT%H:%M:%S")) + float(f"0.{digits or 0}")
