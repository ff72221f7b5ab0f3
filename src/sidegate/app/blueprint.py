"""What is checked before any process listens."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sidegate.app.assertion import load_assertion_signer
from sidegate.audit.identity import load_sidecar_name
from sidegate.audit.keys import load_signer
from sidegate.audit.sinks.making import check_sinks
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import TrailSettings
from sidegate.config.held import Settings
from sidegate.config.plan import Plan
from sidegate.core.identity.assertion import AssertionSigner
from sidegate.core.model.value import value
from sidegate.core.routing.table import RouteTable
from sidegate.core.trail.checkpoint import CheckpointSigner

_LEAST_SPOOL_BYTES: Final = 256 * 1024
"""What each process may use at least, however many share the cap: some hundred records."""

STATE_FOLDER: Final = "state"
"""Beside the spool: sessions, revocations and used-up keys of this machine."""

CACHE_FOLDER: Final = "cache"
"""Beside the spool, unless another one is named."""


@value
class Blueprint:
    """Everything that workers are built from.

    Attributes:
        settings: As configured.
        shown: The same for people, secrets replaced.
        routes: Compiled.
        signer: Of checkpoints.
        assertion: Of what the upstream is told; None unless it is asked for.
    """

    settings: Settings
    shown: Mapping[str, Any]
    routes: RouteTable
    signer: CheckpointSigner
    assertion: AssertionSigner | None = None


def draw(plan: Plan) -> Blueprint:
    """Read what is still missing: keys and certificates.

    Raises:
        ConfigError: Keys, certificates or sinks cannot be used.
        OSError: The spool's folder cannot be made.
    """
    settings = plan.settings
    check_sinks(settings.audit.sinks)
    if settings.listen.tls is not None or settings.upstream.url.scheme == "https":
        # Imported where there is TLS only: to know certificates costs memory.
        from sidegate.app.tls import check_tls  # noqa: PLC0415 - see above

        check_tls(settings)
    assertion = load_assertion_signer(settings)
    key = settings.audit.checkpoint.key
    signer = load_signer(settings.audit.spool, None if key is None else key.path)
    return Blueprint(settings, plan.shown, plan.routes, signer, assertion)


def state_folder(settings: Settings) -> Path:
    """Return where the embedded shared state lies."""
    return settings.audit.spool.parent / STATE_FOLDER


def cache_folder(settings: Settings) -> Path:
    """Return where what was last known from Redis is kept."""
    return settings.cache.folder or settings.audit.spool.parent / CACHE_FOLDER


def running_parts(settings: Settings) -> tuple[str, ...]:
    """Return the names of the processes that write records: ``w0``, ``w1`` … for workers, ``admin`` beside several."""
    workers = tuple(f"w{number}" for number in range(settings.workers))
    return workers if settings.workers == 1 else (*workers, "admin")


def sidecar_name(settings: Settings, part: str) -> str:
    """Return the name under which the process called *part* writes records, the same after a restart.

    Raises:
        ConfigError: The name kept in the spool cannot be read.
        OSError: None can be kept there.
    """
    return load_sidecar_name(settings.audit.spool, socket.gethostname(), part)


def trail_settings(settings: Settings, part: str) -> TrailSettings:
    """Return how the process called *part* keeps its records."""
    audit = settings.audit
    copy_to = audit.checkpoint.copy_to
    return TrailSettings(
        root=audit.spool,
        sidecar=sidecar_name(settings, part),
        limits=SpoolLimits(
            segment_bytes=audit.segment_bytes,
            # The cap is the sidecar's, not each process's.
            max_bytes=max(_LEAST_SPOOL_BYTES, audit.max_bytes // len(running_parts(settings))),
            reserve_bytes=audit.reserve_bytes,
            on_full=audit.on_full,
            durability=audit.durability,
        ),
        checkpoint_records=audit.checkpoint.records,
        checkpoint_every=audit.checkpoint.interval_ms,
        checkpoint_copy=None if copy_to is None else copy_to.path,
    )
