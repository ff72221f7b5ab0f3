"""Where policy comes from, as whoever decides sees it: in memory, or to be fetched first (spec 5.1, 5.2)."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final, Protocol

from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.wire.credential import Presented

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


OnSwap = Callable[[Snapshot], None]
"""Told what is decided with from now on."""

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

    def on_swap(self, listener: OnSwap) -> None:
        """Have *listener* told whenever what is decided with changes."""

    @property
    def loaded_at(self) -> UnixMillis | None:
        """When the policy in force was put there; None before the first."""

    @property
    def checked_at(self) -> UnixMillis | None:
        """When its source was last known to hold nothing newer; None before the first look."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Why something newer is not in force; empty when all is well."""

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """Return what to fetch before *account* of *org* can be decided at *revision* or later; None for nothing."""

    def missing_key(self, presented: Presented) -> Want | None:
        """Return what to fetch before an API key in *presented* can be verified; None for nothing, or for no key."""

    def missing_key_id(self, key_id: str) -> Want | None:
        """Like :meth:`missing_key`, for a key that was verified before, by its id."""

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        """Fetch *want*. Returns at once.

        Args:
            want: From :meth:`missing`.
            on_fetched: Told what came of it.
            waited_ms: How long the same request has waited before: it waits the less now.
        """

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """Whether what is known of *org* is older than it may be for one of *authorities* (spec 5.4)."""

    def unchecked_since(self, now: UnixMillis) -> UnixMillis | None:
        """Return since when the policy may be out of date; None while it is known to be current."""
