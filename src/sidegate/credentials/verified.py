"""A credential that was verified, with all that must still hold for it when it comes again."""

from dataclasses import dataclass
from typing import Final

from sidegate.core.identity.jwk import KeySet, VerificationKey
from sidegate.core.identity.session import SessionLimits, activity_due
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import KeyEntry
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.table import SessionRecord

EPOCH: Final = UnixMillis(0)
"""Before every key was made and used."""
_NO_TIME: Final = Millis(0)


@dataclass(slots=True)
class Verified:
    """A cached credential with all that must still hold for it.

    Attributes:
        credential: What was proved.
        until: The first instant at which it must be looked at again.
        version: Of the shared state that it was checked against.
        snapshot: Policy that it was checked against.
        keys: Key set that it was checked against.
        started: When the session began, the key was made.
        key: The key that verified a signed session.
        session: The session's record, which is updated by others; None for an API key.
        idle: Time without activity after which the session is over.
        due: Time after which activity is recorded again; never more than *idle*.
        entry: An API key's record.
        used_at: When an API key's use was last recorded from here.
    """

    credential: VerifiedCredential
    until: UnixMillis
    version: int
    snapshot: Snapshot
    keys: KeySet
    started: UnixMillis
    key: VerificationKey | None = None
    session: SessionRecord | None = None
    idle: Millis = _NO_TIME
    due: Millis = _NO_TIME
    entry: KeyEntry | None = None
    used_at: UnixMillis = EPOCH

    def limit(self, limits: SessionLimits) -> None:
        """Apply the limits of the session that it is."""
        self.idle, self.due = limits.idle, activity_due(limits)
        self.until = min(self.until, UnixMillis(self.started + limits.absolute))
