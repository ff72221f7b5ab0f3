"""`sidegate check --live` before real neighbours: as they should be, badly set up, and gone."""

import json
from typing import Any

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.servers import RedisServer
from tests.integration.sidecar import Sidecar
from tests.integration.upstream import LoggingUpstream


def _check(sidecar: Sidecar) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and by check its state and what was seen; the worst one where there are several."""
    done = sidecar.run("check", "--live", "--config", str(sidecar.config), "-o", "json")
    assert done.stderr == ""
    return done.returncode, {check["id"]: check for check in json.loads(done.stdout)["checks"]}


def _settle_ports(sidecar: Sidecar) -> None:
    """Write the ports that it got into its configuration: it is found by them."""
    written = json.loads(sidecar.config.read_text())
    written |= {"listen": f"127.0.0.1:{sidecar.port}", "admin": f"127.0.0.1:{sidecar.admin}"}
    sidecar.config.write_text(json.dumps(written))


def test_running_sidecar_is_found(sidecar: Sidecar) -> None:
    """And that it holds the port is as it should be; everything it leans on answers."""
    _settle_ports(sidecar)
    code, found = _check(sidecar)
    assert (code, [check for check in found.values() if check["state"] == "failed"]) == (0, [])
    assert [found[name]["state"] for name in ("data-port-free", "sidecar-ready", "upstream-answers")] == ["ok"] * 3
    assert "held by the sidecar" in found["data-port-free"]["detail"]


def test_port_of_somebody_else(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """A sidecar would not start: a matter of configuration."""
    sidecar = make_sidecar(settings={"listen": upstream.url.removeprefix("http://")})
    code, found = _check(sidecar)
    assert (code, found["data-port-free"]["state"]) == (78, "failed")


def test_upstream_that_is_gone(make_sidecar: MakeSidecar) -> None:
    """Said with what to do and where it is explained; what needs it is passed over."""
    sidecar = make_sidecar(upstream="http://127.0.0.1:9")
    code, found = _check(sidecar)
    assert (code, found["upstream-connects"]["state"], found["upstream-answers"]["state"]) == (69, "failed", "skipped")
    assert found["upstream-connects"]["hint"].startswith("Start it")
    assert found["upstream-connects"]["docs"] == "docs/reference/checks.md#upstream-connects"


def test_people_see_sections(make_sidecar: MakeSidecar) -> None:
    """One line per check, a hint below what failed, the sum at the end."""
    sidecar = make_sidecar(upstream="http://127.0.0.1:9")
    done = sidecar.run("check", "--live", "--config", str(sidecar.config))
    lines = done.stdout.splitlines()
    assert lines[0] == "configuration"
    assert "upstream" in lines
    failed = next(number for number, line in enumerate(lines) if line.startswith("  failed "))
    assert lines[failed + 1].strip().startswith("Start it")
    assert lines[-1].endswith(" skipped")
    assert "1 failed" in lines[-1]


def test_redis_as_it_should_be(make_sidecar: MakeSidecar, make_redis: MakeRedis) -> None:
    """A primary that keeps and persists everything."""
    redis = make_redis(
        *("--appendonly", "yes"), *("--maxmemory", "100mb"), *("--maxmemory-policy", "noeviction")
    )  # fmt: skip
    _, found = _check(make_sidecar(settings={"sessions": {"redis": redis.url}}))
    names = ("redis-answers", "redis-version", "redis-primary", "redis-persists", "redis-keeps", "redis-room")
    assert [found[name]["state"] for name in (*names, "clock-as-redis")] == ["ok"] * 7


def test_redis_that_forgets(make_sidecar: MakeSidecar, make_redis: MakeRedis) -> None:
    """One that may throw away a revocation is a failure; one without a limit or a file a warning."""
    redis = make_redis(*("--appendonly", "no"), *("--maxmemory-policy", "allkeys-lru"))
    code, found = _check(make_sidecar(settings={"sessions": {"redis": redis.url}}))
    assert (code, found["redis-keeps"]["state"]) == (69, "failed")
    assert [found[name]["state"] for name in ("redis-persists", "redis-room")] == ["warning", "warning"]


@pytest.mark.parametrize("how", ["away", "password"])
def test_redis_that_does_not_answer(how: str, make_sidecar: MakeSidecar, make_redis: MakeRedis) -> None:
    """Stopped, or behind a password that is not known."""
    redis: RedisServer = make_redis()
    if how == "away":
        redis.kill()
    else:
        redis.command("CONFIG", "SET", "requirepass", "secret")
    code, found = _check(make_sidecar(settings={"sessions": {"redis": redis.url}}))
    assert (code, found["redis-answers"]["state"], found["redis-keeps"]["state"]) == (69, "failed", "skipped")


def test_unusable_files_are_shown_as_ever(sidecar: Sidecar) -> None:
    """Without settings nobody can be asked."""
    sidecar.config.write_text("{}")
    done = sidecar.run("check", "--live", "--config", str(sidecar.config))
    assert done.returncode == 78
    assert "`upstream` is missing" in done.stderr
