"""How old a policy may be and still decide (spec 5.4)."""

from collections.abc import Iterable, Mapping
from typing import Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value

DEFAULT_MAX_STALENESS: Final = Millis(15 * 60_000)
"""Spec 5.4."""


@value
class Staleness:
    """Limits by authority.

    Attributes:
        default: For an authority that is not named.
        by_authority: Tighter or looser ones.
    """

    default: Millis
    by_authority: Mapping[Authority, Millis]

    @property
    def shortest(self) -> Millis:
        """Return the limit that is reached first."""
        return min((self.default, *self.by_authority.values()))

    @property
    def longest(self) -> Millis:
        """Return the limit after which nothing may be decided any more."""
        return max((self.default, *self.by_authority.values()))

    def limit_of(self, authorities: Iterable[Authority]) -> Millis:
        """Return the limit of a request that asks for *authorities*, at least one."""
        return min(self.by_authority.get(authority, self.default) for authority in authorities)
