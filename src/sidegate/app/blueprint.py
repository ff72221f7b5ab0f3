"""What is read and checked before any process listens: all problems of all files at once."""

import re
import socket
from pathlib import Path
from typing import Final

from sidegate.audit.keys import load_signer
from sidegate.audit.spool import Durability, OnFull, SpoolLimits
from sidegate.audit.trail import TrailSettings
from sidegate.config.routes_file import load_routes
from sidegate.config.settings import Settings
from sidegate.core.model.value import value
from sidegate.core.routing.table import RouteTable
from sidegate.core.trail.checkpoint import CheckpointSigner

_UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_HOST: Final = 63

STATE_FOLDER: Final = "state"
"""Beside the spool: sessions, revocations and used-up keys of this machine."""


@value
class Blueprint:
    """Everything that workers are built from.

    Attributes:
        settings: As configured.
        routes: Compiled.
        signer: Of checkpoints.
    """

    settings: Settings
    routes: RouteTable
    signer: CheckpointSigner


def draw(settings: Settings) -> Blueprint:
    """Read what *settings* name, but for the policy.

    Raises:
        ConfigError: Routes or keys cannot be used.
    """
    routes = load_routes(settings.routes).table
    key = settings.audit.checkpoint.key
    return Blueprint(settings, routes, load_signer(settings.audit.spool, None if key is None else key.path))


def state_folder(settings: Settings) -> Path:
    """Return where the embedded shared state lies."""
    return settings.audit.spool.parent / STATE_FOLDER


def sidecar_name(part: str) -> str:
    """Return the name under which a process of this machine writes records, the same after a restart.

    Args:
        part: ``w0``, ``w1`` … for workers, ``admin`` for the admin process.
    """
    host = _UNNAMEABLE.sub("-", socket.gethostname())[:_MAX_HOST].strip(".-") or "host"
    return f"{host}-{part}"


def trail_settings(settings: Settings, part: str) -> TrailSettings:
    """Return how the process called *part* keeps its records."""
    audit = settings.audit
    copy_to = audit.checkpoint.copy_to
    return TrailSettings(
        root=audit.spool,
        sidecar=sidecar_name(part),
        limits=SpoolLimits(
            segment_bytes=audit.segment_bytes,
            max_bytes=audit.max_bytes,
            reserve_bytes=audit.reserve_bytes,
            on_full=OnFull(audit.on_full.value),
            durability=Durability(audit.durability.value),
        ),
        checkpoint_records=audit.checkpoint.records,
        checkpoint_every=audit.checkpoint.interval_ms,
        checkpoint_copy=None if copy_to is None else copy_to.path,
    )
