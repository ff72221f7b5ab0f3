"""Four sidecars on one Redis, under load: every change is in force everywhere, in order, and stays; nothing is lost."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from scripts.issuer import Issuer
from tests.integration.datastore import DataStore
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.fleet import DENY, KEPT, SECRETS, Fleet, new_key, policy_text, rotated_key
from tests.integration.redis.replaying import Asked, Findings, Held, Replay
from tests.integration.waiting import eventually

from sidegate.audit.keys import load_public_keys
from sidegate.audit.layout import split_lines
from sidegate.audit.verify import verify, verify_stream
from sidegate.credentials.events import RevokedKind

LATEST_MS = 5000
"""Far above what is promised (50 ms, spec 5.3): the machine of a test may be busy. `loadtests.revocation` measures."""
PHASE = 40
"""Requests at each sidecar between two changes."""
ROUNDS = 20
"""Of the long run; Redis is killed in every fourth."""
REACHED = {
    "above_ceiling",
    "account_inactive",
    "approval_required",
    "cross_org",
    "denied_by_rule",
    "key_revoked",
    "mfa_required",
    "no_grant",
    "not_granted",
    "outside_credential_scope",
    "policy_unavailable",
    "session_revoked",
    "source_address",
    "subtree_narrowed",
}
"""What the load has to meet, or agreement would say little."""


@pytest.fixture
def fleet(tmp_path: Path, make_redis: MakeRedis, issuer: Issuer) -> Iterator[Fleet]:
    """Return four sidecars that are not started yet."""
    fleet = Fleet(tmp_path / "fleet", make_redis(*KEPT), issuer)
    yield fleet
    fleet.close()


def become(fleet: Fleet, held: Held, reason: str | None, method: str = "GET") -> None:
    """Wait until every sidecar answers so."""
    eventually(partial(fleet.everywhere, held, reason, method=method), f"{held.account} is answered {reason}")


def finish(fleet: Fleet) -> Findings:
    """End the load, wait until every record is in the stream, and hold all of it against what was made to happen."""
    asked = fleet.unload()
    eventually(fleet.is_shipped, "every record is in the stream", 40)
    replay = Replay(fleet.history, asked, fleet.subtrees)
    keys: dict[str, Ed25519PublicKey] = {}
    spooled: set[bytes] = set()
    for sidecar in fleet.sidecars:
        assert sidecar.stop() == 0
        replay.judge(sidecar.folder.name, sidecar.decisions())
        keys |= load_public_keys(sidecar.spool)
        assert verify(sidecar.spool, keys).findings == ()
        for segment in sidecar.spool.rglob("*.ndjson"):
            spooled |= set(split_lines(segment.read_bytes()))
    assert verify_stream(fleet.redis.url, keys).findings == ()
    assert fleet.streamed() <= spooled
    replay.judge_answers(record for sidecar in fleet.sidecars for record in sidecar.decisions())
    assert_on_disk(fleet.datastore, asked)
    return replay.findings


def assert_on_disk(datastore: DataStore, asked: dict[str, Asked]) -> None:
    """Hold that what was refused is not there, whatever anybody says; and that something is."""
    written = {file.stem for file in datastore.root.rglob("r*.txt") if "files" in file.parts}
    assert written <= {one.id for one in asked.values() if one.reason is None}
    assert len(written) > len(asked) // 100


def test_changes_under_load(fleet: Fleet) -> None:
    """A deny is published, a session revoked, a key rotated, an account suspended, and Redis killed in between: every
    answer is right by the revision that its record names, what is enforced once stays so, and no record is lost."""
    clear, record = new_key(scopes=("p1",))
    fleet.publish(policy_text(keys=[record]))
    fleet.start()
    ana, nell, bo = (fleet.person(name) for name in ("ana", "nell", "bo"))
    vera, careless = fleet.opaque("vera"), fleet.person("vera", mfa=False)
    key = fleet.key(clear, record)
    fleet.held = [ana, nell, vera, bo, careless, key]
    for held in (ana, nell, vera, bo, key):
        become(fleet, held, None)
    become(fleet, careless, "mfa_required")
    fleet.load()

    fleet.go_on(PHASE)
    fleet.publish(policy_text(denies=(SECRETS, DENY), keys=[record]))
    become(fleet, ana, "denied_by_rule", "PUT")
    fleet.revoke(RevokedKind.SESSION, vera.id, [vera])
    become(fleet, vera, "session_revoked")
    new_clear, successor, predecessor = rotated_key(fleet.document, key.id)
    fleet.revoke(RevokedKind.KEY, f"acme/{key.id}", [key])
    become(fleet, key, "key_revoked")
    keys = [predecessor, successor]
    fleet.publish(policy_text(denies=(SECRETS, DENY), keys=keys))
    new = fleet.key(new_clear, successor)
    become(fleet, new, None)
    fleet.held = [*fleet.held, new]
    fleet.go_on(PHASE)

    # Acknowledged, and in the same moment the server is gone: whoever was not told of it is told afterwards.
    fleet.revoke(RevokedKind.SESSION, bo.id, [bo])
    fleet.redis.kill()
    assert fleet.is_refused(RevokedKind.ACCOUNT, "user:ana")
    become(fleet, fleet.person("sam", is_known=False), "policy_unavailable")
    for held, reason in ((ana, None), (vera, "session_revoked"), (key, "key_revoked"), (new, None), (nell, None)):
        assert fleet.everywhere(held, reason)
    assert fleet.everywhere(ana, "denied_by_rule", method="PUT")
    fleet.go_on(PHASE)
    fleet.redis.start()
    become(fleet, fleet.person("sam", is_known=False), None)
    become(fleet, bo, "session_revoked")

    fleet.publish(policy_text(denies=(SECRETS, DENY), keys=keys, suspended="user:nell"))
    become(fleet, nell, "account_inactive")
    fleet.go_on(PHASE)
    fleet.revoke(RevokedKind.ACCOUNT, "user:nell", [nell])
    become(fleet, nell, "session_revoked")
    become(fleet, fleet.opaque("nell"), "account_inactive")
    fleet.held = [ana, careless, fleet.person("bo"), new]
    eventually(lambda: fleet.reasons() >= REACHED, "the load has met everything", 60)
    findings = finish(fleet)
    assert findings.wrong == []
    assert max(map(max, findings.late_ms.values())) < LATEST_MS


@pytest.mark.slow
def test_many_changes_and_kills(fleet: Fleet) -> None:
    """The same over and over, changes of every kind in any order, Redis killed at any moment of them."""
    chosen = Random(7)
    clear, record = new_key(scopes=("p1",))
    keys = [record]
    fleet.publish(policy_text(keys=keys))
    fleet.start()
    people = {name: fleet.person(name) for name in ("ana", "vera", "nell", "bo")}
    key = fleet.key(clear, record)
    for held in (*people.values(), key):
        become(fleet, held, None)
    fleet.held = [*people.values(), key]
    fleet.load()
    suspended = denied = False
    for number in range(ROUNDS):
        fleet.go_on(chosen.randrange(10, 100))
        if number % 4 == 3:
            fleet.redis.kill()
            fleet.go_on(chosen.randrange(10, 200))
            fleet.redis.start()
            become(fleet, fleet.person("sam", is_known=False), None)
        match chosen.randrange(4):
            case 0:
                denied = not denied
            case 1:
                suspended = not suspended
            case 2:
                name = chosen.choice(("ana", "vera", "bo"))
                fleet.revoke(RevokedKind.SESSION, people[name].id, [people[name]])
                become(fleet, people[name], "session_revoked")
                people[name] = fleet.person(name)
                become(fleet, people[name], None)
            case _:
                clear, successor, predecessor = rotated_key(fleet.document, key.id)
                fleet.revoke(RevokedKind.KEY, f"acme/{key.id}", [key])
                become(fleet, key, "key_revoked")
                keys = [*keys[:-1], predecessor, successor]
                key = fleet.key(clear, successor)
        fleet.publish(
            policy_text(
                denies=(SECRETS, DENY) if denied else (SECRETS,),
                keys=keys,
                suspended="user:nell" if suspended else None,
            )
        )
        become(fleet, key, None)
        become(fleet, people["ana"], "denied_by_rule" if denied else None, "PUT")
        become(fleet, people["nell"], "account_inactive" if suspended else None)
        fleet.held = [*people.values(), key]
    findings = finish(fleet)
    assert findings.wrong == []
    assert max(map(max, findings.late_ms.values())) < LATEST_MS
