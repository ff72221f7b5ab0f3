"""The data plane of one worker, built from settings."""

import asyncio
from typing import Final

from sidegate.app.descriptors import connection_cap
from sidegate.app.identity import Identity
from sidegate.app.process import Process
from sidegate.config.choices import Completions, CredentialsForwarding, OnAnomaly, ProblemDetail
from sidegate.config.endpoints import UnixEndpoint, UpstreamUrl
from sidegate.config.held import Settings
from sidegate.core.anomaly.watch import AnomalyRules
from sidegate.core.identity.session import SessionLimits
from sidegate.core.routing.table import RouteTable
from sidegate.core.wire.block import HeaderRules
from sidegate.core.wire.names import NamePolicy
from sidegate.credentials.reverification import Reverifier
from sidegate.proxy.attestor import Attestor
from sidegate.proxy.forwarding import Peers
from sidegate.proxy.gateway import Gateway, Limits
from sidegate.proxy.inquiry import Inquirer, TellingPool
from sidegate.proxy.machines import MachineWatch
from sidegate.proxy.reading import MIN_REVISION, Readings
from sidegate.proxy.refusals import Refusals
from sidegate.proxy.upstream import UpstreamAddress, UpstreamPool

_MILLIS_PER_SECOND: Final = 1000


def build_gateway(process: Process, identity: Identity) -> Gateway:
    """Put the parts of the data plane together, on the running loop."""
    machines = _machines(process)
    completions = process.blueprint.settings.audit.completions is Completions.ALL
    return _gateway(process, identity, _pool(process), machines, records_completions=completions)


def build_inquirer(process: Process, identity: Identity, machines: MachineWatch | None = None) -> Inquirer:
    """Build what decides requests that another proxy forwards.

    Args:
        process: Its parts.
        identity: Proves who asks.
        machines: Those that the data port of the same process watches; None where there is none.
    """
    pool = TellingPool(limit=process.blueprint.settings.limits.in_flight, tasks=process.tasks)
    return Inquirer(_gateway(process, identity, pool, machines or _machines(process), records_completions=False))


def _gateway(
    process: Process, identity: Identity, pool: UpstreamPool, machines: MachineWatch, *, records_completions: bool
) -> Gateway:
    settings, routes = process.blueprint.settings, process.blueprint.routes
    assertion = process.blueprint.assertion
    surfaces = {
        surface: SessionLimits(absolute=limits.absolute_ms, idle=limits.idle_ms)
        for surface, limits in settings.sessions.surfaces.items()
    }
    return Gateway(
        loop=asyncio.get_running_loop(),
        clock=process.clock,
        limits=_limits(settings),
        readings=Readings(_header_rules(settings, routes), routes, settings.limits.target_bytes),
        policies=process.policies,
        verifier=identity.verifier,
        reverifier=Reverifier(identity.state, surfaces),
        trail=process.trail,
        pool=pool,
        refusals=Refusals(
            process.clock, hidden=settings.hide, minimal=settings.problem_detail is ProblemDetail.MINIMAL
        ),
        metrics=process.metrics,
        machines=machines,
        peers=Peers(settings.trusted_proxies),
        attestor=None if assertion is None else Attestor(assertion),
        records_completions=records_completions,
    )


def _machines(process: Process) -> MachineWatch:
    anomalies = process.blueprint.settings.anomalies
    return MachineWatch(
        AnomalyRules(
            rate_multiple=anomalies.rate_multiple,
            min_requests=anomalies.min_requests,
            denials=anomalies.denials,
            window=anomalies.window_ms,
        ),
        process.trail,
        process.metrics.cells,
        denies=anomalies.on_anomaly is OnAnomaly.DENY,
    )


def _pool(process: Process) -> UpstreamPool:
    upstream = process.blueprint.settings.upstream
    address, timeout_s = _address(upstream.url), upstream.connect_timeout_ms / _MILLIS_PER_SECOND
    limit, tasks = upstream.max_connections, process.tasks
    if upstream.url.scheme != "https":
        return UpstreamPool(address, limit=limit, connect_timeout_s=timeout_s, tasks=tasks)
    # Imported where there is TLS only: to know certificates costs memory.
    from sidegate.app.certificates import upstream_files  # noqa: PLC0415 - see above
    from sidegate.app.tls import RenewedContext, make_client_context  # noqa: PLC0415 - see above
    from sidegate.proxy.tls_upstream import SecurePool  # noqa: PLC0415 - see above

    contexts = RenewedContext(upstream_files(upstream.tls), make_client_context, process.clock, process.metrics)
    server_name = (upstream.tls.server_name if upstream.tls is not None else None) or address.host
    pool = SecurePool(address, contexts, server_name, limit=limit, connect_timeout_s=timeout_s, tasks=tasks)
    contexts.on_renewal = pool.renew
    contexts.start(tasks)
    return pool


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        head_bytes=limits.head_bytes,
        target_bytes=limits.target_bytes,
        head_timeout_s=limits.head_timeout_ms / _MILLIS_PER_SECOND,
        idle_timeout_s=limits.idle_timeout_ms / _MILLIS_PER_SECOND,
        response_timeout_s=settings.upstream.response_timeout_ms / _MILLIS_PER_SECOND,
        min_body_rate=limits.min_body_rate,
        connections=connection_cap(limits.connections, settings.upstream.max_connections),
        in_flight=limits.in_flight,
        max_body_bytes=limits.max_body_bytes,
        body_json_bytes=limits.body_json_bytes,
    )


def _header_rules(settings: Settings, routes: RouteTable) -> HeaderRules:
    decisive = frozenset((MIN_REVISION, *(name for route in routes.routes for name in route.needs_headers)))
    return HeaderRules(
        names=NamePolicy(settings.api_keys.header.encode("ascii"), decisive),
        cookie=settings.sessions.cookie.encode("ascii"),
        keep_credentials=settings.forwarding.credentials is CredentialsForwarding.PASS,
        max_fields=settings.limits.headers,
    )


def _address(url: UpstreamUrl) -> UpstreamAddress:
    if isinstance(url.endpoint, UnixEndpoint):
        return UpstreamAddress("", 0, str(url.endpoint.path))
    return UpstreamAddress(url.endpoint.host, url.endpoint.port, None)
