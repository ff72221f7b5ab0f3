"""The admin port of a sidecar, built from its parts (spec 6.6)."""

import socket
from collections.abc import Callable
from ipaddress import ip_address

from sidegate.app.listening import BACKLOG
from sidegate.app.process import Process
from sidegate.config.endpoints import TcpEndpoint
from sidegate.control.admin import AdminServer, admin_application
from sidegate.control.authzen import AuthZen
from sidegate.control.configuration import Configuration
from sidegate.control.explanations import Explanations, spool_finder
from sidegate.control.forward_auth import ForwardAuth
from sidegate.control.probes import Probes
from sidegate.control.readiness import audit_check, listener_check, newest_policy_check, policy_check, redis_check
from sidegate.control.recorded import RecordedDecider
from sidegate.control.snapshots import Snapshots
from sidegate.control.tap import Taps
from sidegate.core.model.errors import Problem
from sidegate.core.trail.durability import Durability
from sidegate.proxy.inquiry import Inquirer, Inquiry
from sidegate.telemetry.exposition import Exposition
from sidegate.telemetry.health import Health, workers_check
from sidegate.telemetry.shared import Readings


class Admin:
    """Serves the admin port.

    Args:
        process: Whose parts are shown.
        readings: The numbers of every process.
        inquirer: Decides requests that other proxies forward.
        is_accepting: Whether the data port takes new connections.
        writable: What keeps records from being written, on the data port or here; None for nothing.
    """

    def __init__(
        self,
        process: Process,
        readings: Readings,
        inquirer: Inquirer,
        is_accepting: Callable[[], bool],
        writable: Callable[[], Problem | None],
    ) -> None:
        settings = process.blueprint.settings
        health = Health(
            live={"workers": workers_check(readings)},
            ready={
                "listener": listener_check(is_accepting),
                "policy": policy_check(process.policies),
                "audit": audit_check(writable),
            },
            told={"newest_policy": newest_policy_check(process.policies)}
            | ({"redis": redis_check(process.redis_problems)} if process.has_redis else {}),
        )
        parts = (
            Probes(health, Exposition(readings)),
            Explanations(process.policies, spool_finder(settings.audit.spool), process.clock),
            Snapshots(process.policies, str(settings.policy.source), process.clock),
            Taps(
                settings.audit.spool if settings.audit.durability is not Durability.MEMORY else None, process.stopping
            ),
            Configuration(lambda: process.blueprint.shown),
            AuthZen(RecordedDecider(process.policies, process.trail, process.metrics, process.clock)),
            ForwardAuth(lambda *asked: inquirer.ask(Inquiry(*asked))),
        )
        self._inquirer = inquirer
        self._server = AdminServer(admin_application(parts, _names(settings.admin.address)))

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer on *listening*."""
        listening.listen(BACKLOG)
        self._inquirer.start()
        await self._server.start(listening)

    async def close(self) -> None:
        """Stop answering."""
        await self._server.close()
        self._inquirer.close()


def _names(address: object) -> tuple[str, ...]:
    """Return the name that the port is bound under, if it is one: a client may ask by it."""
    if not isinstance(address, TcpEndpoint):
        return ()
    try:
        ip_address(address.host)
    except ValueError:
        return (address.host,)
    return ()
