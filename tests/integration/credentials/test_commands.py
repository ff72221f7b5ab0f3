"""`sidegate session` and `sidegate key` where sidecars share a Redis: no sidecar has to run."""

import json

from tests.integration.conftest import MakeSidecar
from tests.integration.credentials.test_shared_redis import mint_for
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import ACME, Sidecar


def configured(make_sidecar: MakeSidecar, url: str) -> Sidecar:
    """Return a sidecar that is not started, with policy and sessions in the Redis at *url*."""
    return make_sidecar(settings={"policy": {"source": url}}, policies={})


def test_keys_of_a_published_policy(make_sidecar: MakeSidecar, redis: RedisServer) -> None:
    """Keys are listed and rotated as they are published; of which organization has to be said."""
    sidecar = configured(make_sidecar, redis.url)
    _, record = mint_for("service:ci")
    (sidecar.folder / "acme.yaml").write_text(f"{ACME}keys:\n  - {json.dumps(record)}\n")
    assert sidecar.run("policy", "publish", "acme.yaml", "--redis", redis.url).returncode == 0
    config = ("--config", str(sidecar.config))
    listed = sidecar.run("key", "list", "--org", "acme", "-o", "json", *config)
    assert listed.returncode == 0, listed.stderr
    assert [(key["id"], key["state"]) for key in json.loads(listed.stdout)] == [(record["id"], "active")]
    rotated = sidecar.run("key", "rotate", record["id"], "--org", "acme", "-o", "json", *config)
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["predecessor"]["id"] == record["id"]
    refusals = [sidecar.run("key", "list", *config), sidecar.run("key", "list", "--org", "nobody", *config)]
    assert [
        (done.returncode, text in done.stderr) for done, text in zip(refusals, ("--org", "`nobody`"), strict=True)
    ] == [(2, True), (65, True)]


def test_sessions_that_nobody_knows(make_sidecar: MakeSidecar, redis: RedisServer) -> None:
    """Can be revoked all the same, and are said to be unknown; what cannot be one is refused; so is a Redis that is
    away, as nothing was revoked."""
    sidecar = configured(make_sidecar, redis.url)
    config = ("--config", str(sidecar.config))
    unknown = sidecar.run("session", "revoke", "sess_typo", *config)
    assert (unknown.returncode, "No session with this id" in unknown.stderr) == (0, True)
    wrong = sidecar.run("session", "revoke", "--account", "ana", *config)
    assert (wrong.returncode, "the id of an account" in wrong.stderr) == (2, True)
    made = sidecar.run("session", "create", "--account", "user:ana", "--org", "acme", *config)
    assert (made.returncode, "{store: redis}" in made.stderr) == (2, True)
    away = configured(make_sidecar, "redis://127.0.0.1:1")
    done = away.run("session", "revoke", "sess_1", "--config", str(away.config))
    assert (done.returncode, "redis" in done.stderr, "Traceback" in done.stderr) == (69, True, False)
