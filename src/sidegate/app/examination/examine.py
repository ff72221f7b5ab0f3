"""All of it, in the order in which people read."""

from collections.abc import AsyncIterator
from typing import Final

from sidegate.app.examination import (
    certificates,
    clocks,
    files,
    key_sets,
    machine,
    neighbours,
    records,
    redis_servers,
    running,
)
from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.telemetry import clock

_MODULES: Final = (files, neighbours, redis_servers, records, clocks, certificates, key_sets, machine, running)

CHECKS: Final = tuple(
    sorted(
        (check for module in _MODULES for check in vars(module).values() if isinstance(check, Check)),
        key=lambda check: list(Section).index(check.section),
    )
)
"""Every check there is, section by section."""


async def examine(site: Site, sidecar: running.Running | None) -> AsyncIterator[Finding]:
    """Look at everything; findings come as they are made.

    Args:
        site: What is configured.
        sidecar: What the sidecar said that runs with it; None for none.
    """
    for part in (files.examine_configuration(site), files.examine_policy(site), files.examine_routes(site)):
        for finding in part:
            yield _known_to_run(finding, sidecar)
    upstream = await neighbours.examine_upstream(site)
    asked_at = clock.now()
    for finding in upstream.findings:
        yield finding
    redis = await redis_servers.examine_redis(site)
    for finding in redis.findings:
        yield finding
    for finding in await records.examine_audit(site):
        yield finding
    for part in (
        clocks.examine_clock(asked_at, redis.ahead_ms, upstream.date),
        certificates.examine_certificates(site),
    ):
        for finding in part:
            yield finding
    for finding in await key_sets.examine_jwks(site):
        yield finding
    for part in (machine.examine_limits(site), running.examine_running(sidecar)):
        for finding in part:
            yield finding


def _known_to_run(finding: Finding, sidecar: running.Running | None) -> Finding:
    """A port that cannot be bound because our own sidecar has it is as it should be."""
    if finding.check is files.DATA_PORT_FREE and sidecar is not None:
        return files.DATA_PORT_FREE.ok(f"held by the sidecar with admin port {sidecar.address}")
    return finding
