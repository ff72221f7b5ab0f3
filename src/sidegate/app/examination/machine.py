"""What the machine or container allows: descriptors, memory, processors (spec 2.8, 7)."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidegate.app.descriptors import RESERVE
from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.app.listening import BACKLOG

DESCRIPTORS: Final = Check(
    "limits-descriptors", Section.LIMITS, "There are file descriptors for all connections that are allowed.",
    "Raise the limit of open files (`ulimit -n`, LimitNOFILE), or lower `limits.connections`.",
)  # fmt: skip
MEMORY: Final = Check(
    "limits-memory", Section.LIMITS, "The memory limit leaves room for all connections that are allowed.",
    "Raise the container's memory limit, or lower `limits.connections`.",
)  # fmt: skip
PROCESSORS: Final = Check(
    "limits-processors", Section.LIMITS, "There is a processor for each worker.",
    "Lower `workers`, or give the container more CPU: workers that share one only wait for each other.",
)  # fmt: skip
QUEUE: Final = Check(
    "limits-queue", Section.LIMITS, "The kernel queues connections that come at once.",
    "Raise net.core.somaxconn.",
)  # fmt: skip

CONNECTION_BYTES: Final = 24 * 1024
"""Of an idle client connection, at most (spec 2.8)."""
IDLE_BYTES: Final = 80 * 1024 * 1024
"""Of a worker without connections, and what the system takes for it."""

_MIB: Final = 1 << 20
_CGROUP: Final = Path("/sys/fs/cgroup")
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")


def examine_limits(site: Site) -> Iterator[Finding]:
    """Compare what is configured with what is allowed."""
    settings = site.settings
    needed = settings.limits.connections + settings.upstream.max_connections + RESERVE
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    told = f"{allowed:,} allowed, {needed:,} may be needed"
    is_enough = allowed == resource.RLIM_INFINITY or allowed >= needed
    yield DESCRIPTORS.ok(told) if is_enough else DESCRIPTORS.warn(told)
    yield _examine_memory(site)
    yield _examine_processors(settings.workers)
    queue = _number(_SOMAXCONN)
    if queue is None:
        yield QUEUE.skip("the system does not tell")
    else:
        yield QUEUE.ok(f"{queue:,}") if queue >= BACKLOG else QUEUE.warn(f"{queue:,}; {BACKLOG:,} would be used")


def _examine_memory(site: Site) -> Finding:
    limit = _number(_CGROUP / "memory.max")
    if limit is None:
        return MEMORY.skip("there is no limit")
    settings = site.settings
    needed = settings.workers * (IDLE_BYTES + settings.limits.connections * CONNECTION_BYTES)
    told = f"{limit / _MIB:,.0f} MiB, {needed / _MIB:,.0f} MiB may be needed"
    return MEMORY.ok(told) if limit >= needed else MEMORY.warn(told)


def _examine_processors(workers: int) -> Finding:
    processors = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            processors = min(processors, int(quota) / int(period))
    except (OSError, ValueError):
        pass  # no cgroup of version 2: what may be used is what there is
    told = f"{workers} workers, {processors:g} processors"
    return PROCESSORS.ok(told) if workers <= processors else PROCESSORS.warn(told)


def _number(path: Path) -> int | None:
    """Return the number in *path*; None for none, and for the word `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
