"""How soon changes of every kind are enforced by four sidecars at work (spec 5.3), and whether every answer was right.

``python -m loadtests.changes [ROUNDS]`` starts a redis-server with its file, the example DataStore and four sidecars
with policy, sessions and records in that Redis, all under requests. In each round a deny is published or withdrawn, an
account suspended or let in again, a session revoked and a key rotated. For each change and sidecar it is told how long
after its acknowledgement the last request came in that was still answered as before; 0 when there was none.

At the end every record is decided again by the slow reading of the rules, at the revision that it names.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from loadtests.revocation import percentile
from scripts.issuer import Issuer
from tests.integration.redis.fleet import DENY, KEPT, SECRETS, Fleet, new_key, policy_text, rotated_key
from tests.integration.redis.replaying import Findings, Held, Replay
from tests.integration.redis.servers import RedisServer, free_ports
from tests.integration.sidecar import ISSUER
from tests.integration.waiting import eventually

from sidegate.credentials.events import RevokedKind

ROUNDS: Final = 25
_PHASE: Final = 25
"""Requests at each sidecar after a change."""


def measure(rounds: int) -> dict[str, object]:
    """Run everything once."""
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder) / "redis", free_ports(1)[0], KEPT).start()
        fleet = Fleet(Path(folder) / "fleet", redis, Issuer(ISSUER))
        try:
            asked, findings = _run(fleet, rounds)
        finally:
            fleet.close()
            redis.kill()
    loads.append(os.getloadavg()[0])
    assert findings.wrong == [], findings.wrong[:5]
    late = {
        kind: {
            "changes": len(times),
            "p50": percentile(times, 0.5),
            "p99": percentile(times, 0.99),
            "max": max(times),
            "within_50_ms": sum(time <= 50 for time in times) / len(times),
        }
        for kind, times in findings.late_ms.items()
    }
    return {"rounds": rounds, "load": loads, "answers": asked, "wrong": len(findings.wrong), "late_ms": late}


def _run(fleet: Fleet, rounds: int) -> tuple[int, Findings]:
    clear, record = new_key(scopes=("p1",))
    keys = [record]
    fleet.publish(policy_text(keys=keys))
    fleet.start()
    people = {name: fleet.person(name) for name in ("ana", "vera", "nell", "bo")}
    key = fleet.key(clear, record)
    for held in (*people.values(), key):
        _become(fleet, held)
    fleet.held = [*people.values(), key]
    fleet.load()
    for number in range(rounds):
        is_odd = number % 2 == 1
        fleet.go_on(_PHASE)
        fleet.revoke(RevokedKind.SESSION, people["vera"].id, [people["vera"]])
        fleet.go_on(_PHASE)
        people["vera"] = fleet.person("vera")
        clear, successor, predecessor = rotated_key(fleet.document, key.id)
        fleet.revoke(RevokedKind.KEY, f"acme/{key.id}", [key])
        fleet.go_on(_PHASE)
        # One of each round's keys is enough; those of before are revoked by their ids as well.
        keys = [predecessor, successor]
        key = fleet.key(clear, successor)
        fleet.publish(
            policy_text(
                denies=(SECRETS,) if is_odd else (SECRETS, DENY), keys=keys, suspended=None if is_odd else "user:nell"
            )
        )
        fleet.go_on(_PHASE)
        for held in (people["vera"], key):
            _become(fleet, held)
        fleet.held = [*people.values(), key]
    asked = fleet.unload()
    replay = Replay(fleet.history, asked, fleet.subtrees)
    for sidecar in fleet.sidecars:
        assert sidecar.stop() == 0
        replay.judge(sidecar.folder.name, sidecar.decisions())
    replay.judge_answers(record for sidecar in fleet.sidecars for record in sidecar.decisions())
    return len(asked), replay.findings


def _become(fleet: Fleet, held: Held) -> None:
    eventually(lambda: fleet.everywhere(held, None), f"{held.account} is let in everywhere")


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS), indent=2))
