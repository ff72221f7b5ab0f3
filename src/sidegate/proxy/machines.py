"""The watch over API keys and service accounts on the data path (spec 3.4)."""

from typing import Final

from sidegate.audit.ports import NOBODY
from sidegate.audit.trail import AuditTrail
from sidegate.core.anomaly.watch import AnomalyKind, AnomalyRules, AnomalyWatch, Observation
from sidegate.core.model.decision import Decision, Outcome, Reason, deny
from sidegate.core.model.principal import Address, CredentialKind, VerifiedCredential
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import AnomalyRecord, encode_anomaly
from sidegate.telemetry.log import get_log
from sidegate.telemetry.metrics import ANOMALY_CELL

_log: Final = get_log("anomaly")

_BECAUSE: Final = {kind: (f"anomaly:{kind}",) for kind in AnomalyKind}


def machine_of(credential: VerifiedCredential) -> str | None:
    """Return which machine identity acts by *credential*: an API key, a service account's session; None for a person.

    A key of a service account is watched as the key: it is what can be rotated.
    """
    if credential.kind is CredentialKind.API_KEY:
        return f"{credential.org}/key:{credential.id}"
    return f"{credential.org}/{credential.account}" if credential.account.startswith("service:") else None


class MachineWatch:
    """Watches, counts, writes audit records; refuses only where it is configured to.

    Args:
        rules: From when on something is unusual.
        trail: Where anomalies are recorded.
        cells: Of the process, for the metric.
        denies: Requests that are part of an anomaly are refused (``on_anomaly: deny``).
    """

    __slots__ = ("_cells", "_denies", "_trail", "_watch")

    def __init__(self, rules: AnomalyRules, trail: AuditTrail, cells: list[int], *, denies: bool) -> None:
        self._watch = AnomalyWatch(rules, learns_networks=not denies)
        self._trail = trail
        self._cells = cells
        self._denies = denies

    def observe(self, machine: str, source: Address | None, now: UnixMillis, decision: Decision) -> Observation:
        """Take in a request of *machine* that was decided by policy."""
        return self._watch.observe(machine, source, now, is_denied=decision.outcome is Outcome.DENY)

    def judge(self, observed: Observation, decision: Decision) -> Decision:
        """Return what becomes of *decision*: itself, or a deny where anomalies are to be refused."""
        if not (self._denies and observed.standing) or decision.outcome is Outcome.DENY:
            return decision
        return deny(Reason.DENIED_BY_RULE, _BECAUSE[observed.standing[0]])

    def report(
        self,
        observed: Observation,
        credential: VerifiedCredential,
        source: Address | None,
        decision_id: bytes,
        now: UnixMillis,
    ) -> None:
        """Record what became unusual with the request that *decision_id* names."""
        for kind in observed.raised:
            self._cells[ANOMALY_CELL[kind]] += 1
            record = AnomalyRecord(
                id=self._trail.next_id(now).decode("ascii"),
                time=now,
                decision_id=decision_id.decode("ascii"),
                credential=credential,
                kind=kind.value,
                source=None if source is None else str(source),
            )
            self._trail.submit(encode_anomaly(record), NOBODY)
            _log.warning("anomaly_observed", kind=kind.value, credential=credential.kind.value, id=credential.id)
