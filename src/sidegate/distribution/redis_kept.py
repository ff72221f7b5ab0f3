"""The policy that an earlier process kept on disk, as an answer of Redis (spec 5.4)."""

from collections.abc import Mapping, Sequence
from typing import Final

from sidegate.core.model.units import UnixMillis
from sidegate.distribution.ports import Want
from sidegate.distribution.redis_cache_content import KeptOrganization
from sidegate.distribution.redis_loading import Raw
from sidegate.distribution.redis_organization import Organization
from sidegate.redis_link.errors import RedisAwayError
from sidegate.telemetry.log import get_log

_log: Final = get_log("distribution")

_AWAY: Final = "it is away, and not kept on disk either"


class KeptPolicy:
    """What was in memory of an earlier process. Records are verified when they are used, like those from Redis.

    Args:
        organizations: By name.
        at: When any of it was last known to be current.

    Attributes:
        at: See there.
    """

    def __init__(self, organizations: Mapping[str, KeptOrganization], at: UnixMillis) -> None:
        self.at = at
        self._organizations = dict(organizations)
        self._floors = {org: kept.revision for org, kept in organizations.items()}
        self._owners: dict[str, tuple[str, ...]] = {}
        for org, kept in organizations.items():
            for key_id in kept.keys:
                self._owners[key_id] = (*self._owners.get(key_id, ()), org)
        self._is_used = False

    @property
    def is_usable(self) -> bool:
        """Whether there is anything."""
        return bool(self._organizations)

    def has(self, want: Want) -> bool:
        """Whether *want* was kept."""
        if not want.org:
            return want.key_id in self._owners
        kept = self._organizations.get(want.org)
        return (
            kept is not None
            and kept.revision >= want.revision
            and (not want.account or want.account in kept.subjects)
            and (not want.key_id or want.key_id in kept.keys)
        )

    def owners_of(self, key_id: str) -> tuple[str, ...]:
        """Return the organizations that had a key called *key_id*."""
        return self._owners.get(key_id, ())

    def floor_of(self, org: str) -> int:
        """Return the revision of *org* that was known; 0 for none. An older one is refused, wherever it comes from."""
        return self._floors.get(org, 0)

    def since(self, org: str) -> UnixMillis:
        """Return when *org* was last known to be current."""
        return self._organizations[org].since

    def answer(self, known: Organization, accounts: Sequence[str], key_ids: Sequence[str]) -> Raw:
        """Answer like Redis. What was not kept is not in the answer: nobody knows whether there is any.

        Raises:
            RedisAwayError: Nothing was kept of the organization, or it was of another revision than what is in memory.
        """
        kept = self._organizations.get(known.name)
        if kept is None or (known.loaded is not None and known.revision != kept.revision):
            raise RedisAwayError(f"reading `{known.name}`", _AWAY)
        return Raw(
            kept.revision,
            kept.header if known.loaded is None else None,
            None,
            {account: kept.subjects[account] for account in accounts if account in kept.subjects},
            {key_id: kept.keys[key_id] for key_id in key_ids if key_id in kept.keys},
            pages=kept.pages if known.loaded is None else {},
        )

    def note_used(self, now: UnixMillis) -> None:
        """Say once that this is what is decided with, and how old it is."""
        if not self._is_used:
            self._is_used = True
            accounts = sum(len(kept.subjects) for kept in self._organizations.values())
            organizations = len(self._organizations)
            _log.warning("policy_cache_used", organizations=organizations, accounts=accounts, age_ms=now - self.at)

    def let_go(self) -> None:
        """Drop the records: they are in memory, or in nobody's use. Which revisions were known is not forgotten."""
        self._organizations.clear()
        self._owners.clear()
