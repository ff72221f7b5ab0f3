"""A real sidecar and its sinks: no record is lost, whatever becomes of the sink or of a worker (spec 5.6)."""

import json
import signal
from pathlib import Path
from typing import Any

from tests.integration.conftest import MakeSidecar
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually

from sidegate.audit.layout import list_sidecars
from sidegate.audit.stream import read_entries


def _ask(sidecar: Sidecar, count: int) -> set[str]:
    """Ask for something *count* times; return the ids of the decisions."""
    return {str(sidecar.ask("GET", ROUTE_FILE).json()["decision_id"]) for _ in range(count)}


def _decisions(lines: list[bytes]) -> list[dict[str, Any]]:
    return [record for line in lines if (record := json.loads(line))["record"] == "decision"]


def _in_stream(redis: RedisServer) -> list[dict[str, Any]]:
    return _decisions([line for entry in read_entries(redis.url) for line in entry.data.splitlines()])


def test_redis_that_comes_back_empty_gets_everything_again(make_sidecar: MakeSidecar, redis: RedisServer) -> None:
    """Killed in mid-flight and restarted without its data: the records of before come again, in order, once."""
    sidecar = make_sidecar(settings={"audit": {"sinks": [{"redis": redis.url}]}}).start()
    ids = _ask(sidecar, 20)
    eventually(lambda: ids <= {record["id"] for record in _in_stream(redis)}, "they are in the stream")
    redis.kill()
    ids |= _ask(sidecar, 20)
    redis.start()
    ids |= _ask(sidecar, 1)
    eventually(lambda: ids <= {record["id"] for record in _in_stream(redis)}, "all are in the stream", 40)
    seqs = [record["seq"] for record in _in_stream(redis)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert sidecar.stop() == 0


def test_signed_end_is_in_the_stream(make_sidecar: MakeSidecar, redis: RedisServer) -> None:
    """A sidecar that was asked to stop leaves nothing in its spool alone: that may go with its pod (spec 2.8, 5.7)."""
    sidecar = make_sidecar(settings={"audit": {"sinks": [{"redis": redis.url}]}}).start()
    ids = _ask(sidecar, 3)
    assert sidecar.stop() == 0
    lines = [line for entry in read_entries(redis.url) for line in entry.data.splitlines()]
    assert ids <= {record["id"] for record in _decisions(lines)}
    end = json.loads(lines[-1])
    assert (end["record"], end["cause"]) == ("checkpoint", "closed")


def test_what_a_worker_left_behind_is_shipped(make_sidecar: MakeSidecar, tmp_path: Path) -> None:
    """Two workers, killed before the sink was there; then one: it ships the records of both."""
    shipped = tmp_path / "shipped"
    shipped.touch()  # no folder can be made there
    sidecar = make_sidecar(settings={"workers": 2, "audit": {"sinks": [{"file": str(shipped)}]}}).start(workers=2)

    def chains() -> set[str]:
        _ask(sidecar, 1)
        return {record["sidecar"] for record in sidecar.decisions()}

    eventually(lambda: len(chains()) == 2, "both workers have served")
    sidecar.signal(signal.SIGTERM)
    sidecar.wait()
    ids = {record["id"] for record in sidecar.decisions()}
    shipped.unlink()
    settings = json.loads(sidecar.config.read_text())
    sidecar.config.write_text(json.dumps({**settings, "workers": 1}))
    sidecar.start()

    def arrived() -> set[str]:
        lines = [line for file in shipped.rglob("*.ndjson") for line in file.read_bytes().splitlines()]
        return {record["id"] for record in _decisions(lines)}

    eventually(lambda: ids <= arrived(), "every record has reached the sink")
    assert sidecar.stop() == 0
    assert len(list_sidecars(shipped)) == 3  # two workers and the admin process
    for folder in (sidecar.spool, shipped):
        verified = sidecar.run("audit", "verify", str(folder), "--key", str(sidecar.spool / "checkpoint.pub"))
        assert verified.returncode == 0, verified.stdout
