"""The Redis servers that are configured: whether they are there, and set up so that nothing is lost (spec 5)."""

import asyncio
from collections.abc import Iterator
from typing import Final, cast

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.config.endpoints import RedisSource
from sidegate.config.held import shared_redis
from sidegate.core.model.errors import ConfigError, DependencyError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.distribution.redis_trust import load_trusted_key, read_password
from sidegate.redis_link.link import Link, open_link
from sidegate.telemetry import clock

ANSWERS: Final = Check(
    "redis-answers", Section.REDIS, "Redis answers, with the password that is configured.",
    "Start it, or correct its address and password; until it answers, only what is known counts, and not for long.",
)  # fmt: skip
QUICK: Final = Check(
    "redis-quick", Section.REDIS, "Redis answers well within the 250 ms that a request waits for it.",
    "Bring it nearer, or take load off it; requests that have to ask it are refused when it is slow.",
)  # fmt: skip
VERSION: Final = Check(
    "redis-version", Section.REDIS, "Redis is version 6.2 or newer.", "Upgrade it.",
)  # fmt: skip
PRIMARY: Final = Check(
    "redis-primary", Section.REDIS, "It is a primary, which takes writes.",
    "Name the primary, or the Sentinels (`redis+sentinel://`), which know it.",
)  # fmt: skip
PERSISTS: Final = Check(
    "redis-persists", Section.REDIS, "Redis writes what it is told to disk (AOF).",
    "Set `appendonly yes`: revocations and used-up keys have to survive a restart.",
)  # fmt: skip
KEEPS: Final = Check(
    "redis-keeps", Section.REDIS, "Redis evicts nothing when its memory is full.",
    "Set `maxmemory-policy noeviction`: an evicted revocation would be a session that lives again.",
)  # fmt: skip
ROOM: Final = Check(
    "redis-room", Section.REDIS, "Redis has memory left.",
    "Raise `maxmemory`, or let sinks collect the audit stream sooner; when it is full nothing can be published.",
)  # fmt: skip
TRUST: Final = Check(
    "redis-trust", Section.REDIS, "Policy in Redis has to be signed.",
    "Configure `policy.public_key` and publish with `--signing-key`; else whoever writes to Redis makes policy.",
)  # fmt: skip

_NEEDS_ANSWER: Final = (QUICK, VERSION, PRIMARY, PERSISTS, KEEPS, ROOM)
_QUICK_MS: Final = 50.0
_OLDEST: Final = (6, 2)
_FULL: Final = 0.8
_MILLIS: Final = 1000
_NANOS_PER_MILLI: Final = 1_000_000


@value
class RedisExamination:
    """What was found, and by how much its clock is ahead of ours.

    Attributes:
        findings: One per check and server.
        ahead_ms: None if none answered.
    """

    findings: tuple[Finding, ...]
    ahead_ms: int | None


async def examine_redis(site: Site) -> RedisExamination:
    """Ask every Redis that is configured."""
    servers = dict(_servers(site))
    if not servers:
        return RedisExamination(tuple(check.skip("none is configured") for check in (ANSWERS, *_NEEDS_ANSWER)), None)
    findings: list[Finding] = []
    ahead: int | None = None
    for url, password in servers.items():
        link = open_link(url, password=password, timeout=Millis(round(site.timeout_s * _MILLIS)))
        try:
            seen, ahead_ms = await _examine(link)
        finally:
            await link.close()
        findings += seen
        ahead = ahead_ms if ahead is None else ahead
    findings.append(_examine_trust(site))
    return RedisExamination(tuple(findings), ahead)


def _servers(site: Site) -> Iterator[tuple[str, str | None]]:
    """Return address and password of each, once."""
    settings = site.settings
    if isinstance(settings.policy.source, RedisSource):
        path = settings.policy.password_file
        try:
            password = None if path is None else read_password(path)
        except ConfigError:
            password = None  # the files are checked by themselves
        yield settings.policy.source.url, password
    shared = shared_redis(settings)
    if shared is not None and shared != settings.policy.source:
        yield shared.url, None
    for sink in settings.audit.sinks:
        if sink.redis is not None:
            yield sink.redis.url, None


async def _examine(link: Link) -> tuple[list[Finding], int | None]:
    name = str(link.address)
    try:
        began = clock.monotonic_ns()
        told = cast("list[bytes]", await link.call("TIME", doing="asking for the time"))
        took_ms = (clock.monotonic_ns() - began) / _NANOS_PER_MILLI
        told_at = clock.now()
        text = cast("bytes", await link.call("INFO", doing="asking how it is"))
    except DependencyError as error:
        return [ANSWERS.fail(str(error)), *(check.skip("it does not answer") for check in _NEEDS_ANSWER)], None
    except asyncio.IncompleteReadError as error:
        return [ANSWERS.fail(f"{name}: {error}"), *(check.skip("it is no Redis") for check in _NEEDS_ANSWER)], None
    info = dict(line.split(":", 1) for line in text.decode("utf-8", "replace").splitlines() if ":" in line)
    quick = f"{name} in {took_ms:.1f} ms"
    findings = [
        ANSWERS.ok(name),
        QUICK.ok(quick) if took_ms < _QUICK_MS else QUICK.warn(quick),
        *_examine_info(info),
    ]
    ahead = UnixMillis(int(told[0]) * _MILLIS + int(told[1]) // _MILLIS) - told_at
    return findings, ahead


def _examine_info(info: dict[str, str]) -> Iterator[Finding]:
    version = info.get("redis_version", "unknown")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    yield VERSION.ok(version) if numbers >= _OLDEST else VERSION.fail(version)
    role = info.get("role", "unknown")
    yield PRIMARY.ok(role) if role == "master" else PRIMARY.fail(f"it is a {role}")
    yield PERSISTS.ok("AOF is on") if info.get("aof_enabled") == "1" else PERSISTS.warn("AOF is off")
    policy = info.get("maxmemory_policy", "unknown")
    yield KEEPS.ok(policy) if policy == "noeviction" else KEEPS.fail(policy)
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        yield ROOM.warn("there is no maxmemory: it grows until the machine ends it")
    else:
        share = f"{used / limit:.0%} of {limit / (1 << 20):,.0f} MiB"
        yield ROOM.warn(share) if used > _FULL * limit else ROOM.ok(share)


def _examine_trust(site: Site) -> Finding:
    if not isinstance(site.settings.policy.source, RedisSource):
        return TRUST.skip("the policy is not in Redis")
    key = site.settings.policy.public_key
    if key is None:
        return TRUST.warn("whoever can write to Redis makes policy")
    try:
        load_trusted_key(key.path)
    except ConfigError as error:
        return TRUST.fail(str(error))
    return TRUST.ok(str(key.path))
