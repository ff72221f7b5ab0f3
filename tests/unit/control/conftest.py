"""A whole admin port in this process, made of the real parts."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.audit.memory import MemorySpool
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.control.admin import SERVER_OPTIONS, Part, admin_application
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.errors import Position
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    BindingEntry,
    Candidate,
    Conditions,
    DenyEntry,
    MemberEntry,
    PolicyDocument,
)
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.checkpoint import CheckpointSigner
from sidegate.core.trail.durability import Durability
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.metrics import Metrics

NOON = UnixMillis(1_800_000_000_000)

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

ACME = PolicyDocument(
    organization="acme",
    members=(MemberEntry("user:ana", roles=("Member",)), MemberEntry("service:ci", roles=("Read-only API Access",))),
    bindings=(
        BindingEntry("b1", "user:ana", "Designer", parse_scope("p1")),
        BindingEntry("b2", "user:ana", "Viewer", parse_scope("p1@main")),
        BindingEntry(
            "b3", "user:ana", "Designer", parse_scope("p2"), when=Conditions(sources=(IPv4Network("10.0.0.0/8"),))
        ),
    ),
    denies=(DenyEntry("d1", "user:ana", mask_of([Authority.DELETE]), parse_scope("*")),),
    candidate=Candidate(bindings=(BindingEntry("b2", "user:ana", "Designer", parse_scope("p1@main")),)),
    positions={"b2": Position("policy/acme.yaml", 12, 5)},
)


@pytest.fixture
def clock() -> ManualClock:
    """Stands still at a known instant."""
    return ManualClock(NOON)


@pytest.fixture
def metrics() -> Metrics:
    """Nothing counted yet."""
    return Metrics()


@pytest.fixture
def holder() -> SnapshotHolder:
    """One organization at revision 7, loaded just now."""
    holder = SnapshotHolder()
    holder.swap(Snapshot(7, [compile_document(ACME, 7)]), NOON)
    holder.checked_at = NOON
    return holder


@pytest.fixture
async def trail(tmp_path: Path, clock: ManualClock) -> AsyncIterator[AuditTrail]:
    """An audit trail that keeps its records in memory."""
    settings = TrailSettings(tmp_path, "admin", SpoolLimits(durability=Durability.MEMORY))
    trail = AuditTrail(settings, CheckpointSigner(Ed25519PrivateKey.generate()), clock)
    trail.open()
    yield trail
    await trail.close()


@pytest.fixture
def records(trail: AuditTrail) -> Callable[[], list[dict[str, object]]]:
    """Return the decision records written so far."""
    store = trail._store
    assert isinstance(store, MemorySpool)

    def read() -> list[dict[str, object]]:
        lines = [json.loads(line) for batch in store.batches for line in bytes(batch).splitlines()]
        return [line for line in lines if line["record"] == "decision"]

    return read


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve parts; the call returns a client."""
    clients: list[Client] = []

    async def start(*parts: Part, hosts: tuple[str, ...] = ()) -> Client:
        server = TestServer(admin_application(parts, hosts))
        await server.start_server(**SERVER_OPTIONS)
        client: Client = TestClient(server)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
