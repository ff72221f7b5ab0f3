"""Where policy comes from, as whoever decides sees it: in memory, or to be fetched first (spec 5.1, 5.2)."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, Protocol

from sidegate.core.model.authority import Authority
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import Snapshot

NEVER: Final = UnixMillis(2**63 - 1)
"""An instant that is not reached."""


class Fetched(StrEnum):
    """What came of fetching."""

    READY = "ready"
    """It may be decided now; ask again what is missing, though: something else may have gone meanwhile."""
    UNAVAILABLE = "unavailable"
    """It could not be had in time (503 ``policy_unavailable``)."""
    BEHIND = "behind"
    """The revision that was asked for is not here in time (503 ``revision_unavailable``)."""


@value
class Want:
    """What has to be fetched before a request can be decided.

    Attributes:
        org: An organization, or empty when an API key is wanted.
        account: Its account.
        revision: Which it must have at least; 0 for any.
        key_id: An API key whose organization is not known.
    """

    org: str
    account: str = ""
    revision: int = 0
    key_id: str = ""


OnFetched = Callable[[Fetched], None]
"""Told once, on the event loop, never from within the call that asked, and never later than the patience of the
source."""


class PolicySource(Protocol):
    """The policy in force, and what of it is not in memory."""

    @property
    def current(self) -> Snapshot:
        """What is decided with. Only for accounts that :meth:`missing` finds nothing missing of."""

    @property
    def stale_after(self) -> UnixMillis:
        """Before this instant nothing is too old; from then on :meth:`is_too_old` knows."""

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """Return what to fetch before *account* of *org* can be decided at *revision* or later; None for nothing."""

    def missing_key(self, key_id: str) -> Want | None:
        """Return what to fetch before an API key called *key_id* can be verified; None for nothing."""

    def fetch(self, want: Want, on_fetched: OnFetched) -> None:
        """Fetch *want*. Returns at once."""

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """Whether what is known of *org* is older than it may be for one of *authorities* (spec 5.4)."""

    def unchecked_since(self, now: UnixMillis) -> UnixMillis | None:
        """Return since when the policy may be out of date; None while it is known to be current."""
