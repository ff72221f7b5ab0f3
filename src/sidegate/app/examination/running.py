"""A sidecar that runs already with this configuration: how it is (spec 6.6, 6.7)."""

from collections.abc import Iterator, Mapping
from typing import Final

from sidegate.app.examination.check import Check, Finding, Section
from sidegate.core.model.value import value
from sidegate.telemetry.scrape import Samples

READY: Final = Check(
    "sidecar-ready", Section.SIDECAR, "The sidecar takes requests.",
    "See its log; the detail names what keeps it from being ready.",
)  # fmt: skip
CURRENT: Final = Check(
    "sidecar-current", Section.SIDECAR, "Its policy is the newest.",
    "Look at `/v1/snapshot` of its admin port for why a newer one was not taken.",
)  # fmt: skip
SHIPPING: Final = Check(
    "sidecar-shipping", Section.SIDECAR, "Its records reach the sinks within five minutes.",
    "Look whether sinks can be reached; see its log for `shipping_failed`.",
)  # fmt: skip
RECORDING: Final = Check(
    "sidecar-recording", Section.SIDECAR, "It has lost no audit record.",
    "See `sidegate_audit_dropped_total` by cause; requests whose record was not written were refused.",
)  # fmt: skip
PROMPT: Final = Check(
    "sidecar-prompt", Section.SIDECAR, "Its event loop is never late by more than 5 ms.",
    "Look for throttling by a CPU limit, and for a machine that is overloaded.",
)  # fmt: skip

_LATE_S: Final = 0.005
_UNSHIPPED_S: Final = 300.0


@value
class Running:
    """What a running sidecar said.

    Attributes:
        address: Of its admin port.
        failing: The checks of its ``/readyz`` that fail, with why.
        samples: Its metrics.
    """

    address: str
    failing: Mapping[str, str]
    samples: Samples


def examine_running(running: Running | None) -> Iterator[Finding]:
    """Look at what it said; *running* is None if nobody answers at the admin port."""
    if running is None:
        checks = (READY, CURRENT, SHIPPING, RECORDING, PROMPT)
        yield from (check.skip("none is running here") for check in checks)
        return
    failing, samples = running.failing, running.samples
    why = "; ".join(f"{name}: {detail}" for name, detail in failing.items())
    yield READY.fail(why) if failing else READY.ok(f"at {running.address}")
    lag = samples.total("sidegate_snapshot_revision_lag")
    failures = samples.total("sidegate_snapshot_load_failures_total")
    told = f"{lag:.0f} revisions behind, {failures:.0f} that could not be used"
    yield CURRENT.warn(told) if lag or failures else CURRENT.ok("nothing newer is known")
    age = samples.total("sidegate_audit_oldest_unshipped_seconds")
    told = f"the oldest that waits is {age:.0f} s old"
    yield SHIPPING.warn(told) if age > _UNSHIPPED_S else SHIPPING.ok(told)
    dropped = samples.total("sidegate_audit_dropped_total")
    yield RECORDING.fail(f"{dropped:.0f} are missing") if dropped else RECORDING.ok("none is missing")
    lag_s = samples.total("sidegate_loop_lag_seconds")
    told = f"at most {lag_s * 1000:.1f} ms lately"
    yield PROMPT.warn(told) if lag_s > _LATE_S else PROMPT.ok(told)
