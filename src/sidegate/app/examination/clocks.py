"""The clock: sessions, keys and conditions end by it, and sidecars have to agree on when (spec 1.4, 3)."""

import ctypes
from collections.abc import Iterator
from typing import Final

from sidegate.app.examination.check import Check, Finding, Section
from sidegate.core.model.units import UnixMillis

SYNCHRONIZED: Final = Check(
    "clock-synchronized", Section.CLOCK, "The kernel keeps the clock synchronized.",
    "Run a time service (chrony, systemd-timesyncd) on this host.",
)  # fmt: skip
AS_REDIS: Final = Check(
    "clock-as-redis", Section.CLOCK, "The clock agrees with that of Redis.",
    "Synchronize both: what one sidecar revokes at an instant, others would still allow, or refuse too early.",
)  # fmt: skip
AS_UPSTREAM: Final = Check(
    "clock-as-upstream", Section.CLOCK, "The clock agrees with that of the upstream.",
    "Synchronize both: assertions last a minute only, and records of both sides are compared by time.",
)  # fmt: skip

NEAR: Final = 2_000
"""Milliseconds: an answer's Date has whole seconds, and it was made before it came."""
FAR: Final = 5_000
"""The leeway of session tokens (spec 3.1): further apart, tokens are refused that are good."""

_UNSYNCHRONIZED: Final = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES: Final = 512
"""More than any struct timex has; all nought asks and changes nothing."""


def examine_clock(now: UnixMillis, redis_ahead: int | None, upstream: UnixMillis | None) -> Iterator[Finding]:
    """Compare clocks.

    Args:
        now: Ours.
        redis_ahead: Milliseconds that the one of Redis is ahead; None if there is none.
        upstream: What the upstream said at *now*; None if it said nothing.
    """
    yield _examine_kernel()
    if redis_ahead is None:
        yield AS_REDIS.skip("no Redis told its time")
    else:
        yield _compare(AS_REDIS, redis_ahead)
    if upstream is None:
        yield AS_UPSTREAM.skip("the upstream did not tell its time")
    else:
        yield _compare(AS_UPSTREAM, upstream - now)


def _compare(check: Check, ahead: int) -> Finding:
    told = f"{abs(ahead) / 1000:.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    if abs(ahead) <= NEAR:
        return check.ok("the same")
    return check.warn(told) if abs(ahead) <= FAR else check.fail(told)


def _examine_kernel() -> Finding:
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return SYNCHRONIZED.skip("the system does not tell")
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        return SYNCHRONIZED.skip("the system does not tell")
    if state == _UNSYNCHRONIZED:
        return SYNCHRONIZED.warn("it says that it is not; inside a virtual machine the host may do it")
    return SYNCHRONIZED.ok("it says so")
