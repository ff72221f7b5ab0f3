"""What `sidegate key` does with keys that are in a policy already (spec 3.2)."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sidegate.app.shared_state import open_registry
from sidegate.cli.exit_codes import UsageError
from sidegate.cli.local import LoadedPolicies, load_policies, policy_folder, read_settings
from sidegate.config.endpoints import RedisSource
from sidegate.core.identity.api_key import RANDOM_BYTES, expiry_of, issued_at_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis, format_instant
from sidegate.core.policy.document import KeyEntry, KeyState
from sidegate.credentials.events import RevokedKind, key_name
from sidegate.credentials.minting import DEFAULT_OVERLAP, rotate
from sidegate.credentials.opaque import revoke
from sidegate.credentials.ports import Registry
from sidegate.telemetry import clock

_EPOCH: Final = UnixMillis(0)
_AT_ONCE: Final = Millis(0)


class KeyAdministration:
    """Keys of the configured policy, and what sidecars know of them.

    Args:
        config: The configuration file; None for the usual one.
        policy: Policy files; None for the configured ones, or what is published.

    Raises:
        ConfigError: The configuration cannot be used.
    """

    def __init__(self, config: Path | None, policy: Path | None) -> None:
        self._config = config
        self._settings = read_settings(config)
        self._policy = policy

    def rotate(self, org: str, key_id: str, overlap: Millis | None, *, is_exposed: bool, env: str) -> dict[str, Any]:
        """Make a successor; revoke the predecessor at once if it is exposed. See :func:`rotate` for the answer.

        Raises:
            UsageError: There is no such key, or it cannot be rotated.
            PolicyError: The policy cannot be used.
            DependencyError: It could not be revoked.
        """
        entry = self._keys(org).get(key_id)
        if entry is None:
            raise UsageError(f"the policy of {org} has no key {key_id}; `sidegate key list --org {org}` shows them")
        kept = _AT_ONCE if is_exposed else DEFAULT_OVERLAP if overlap is None else overlap
        try:
            rotated = rotate(entry, kept, os.urandom(RANDOM_BYTES), clock.now(), env)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if is_exposed:
            self.revoke(org, key_id)
        return rotated

    def revoke(self, org: str, key_id: str) -> None:
        """Refuse a key from now on, whether the policy has it or not.

        Raises:
            UsageError: It cannot be the id of a key.
            DependencyError: It could not be recorded.
        """
        with closing(open_registry(self._settings)) as registry:
            try:
                revoke(registry, RevokedKind.KEY, key_name(org, key_id), clock.now())
            except ValueError as error:
                raise UsageError(str(error)) from None

    def list_keys(self, org: str | None) -> list[dict[str, Any]]:
        """Return every key of *org*, or of all organizations, as JSON has it.

        Raises:
            UsageError: There is no policy for *org*, or none is named and the policy is in Redis.
            PolicyError: The policy cannot be used.
            DependencyError: What became of the keys cannot be told.
        """
        found = self._all_keys() if org is None else {org: self._keys(org)}
        now = clock.now()
        listed: list[dict[str, Any]] = []
        with closing(open_registry(self._settings)) as registry:
            for name, keys in sorted(found.items()):
                used = registry.key_uses(name) if keys else {}
                listed += [_describe(registry, name, entry, used.get(entry.id), now) for entry in keys.values()]
        return listed

    @property
    def _is_published(self) -> bool:
        return self._policy is None and isinstance(self._settings.policy.source, RedisSource)

    def _keys(self, org: str) -> Mapping[str, KeyEntry]:
        if not self._is_published:
            return self._load().organization(org).keys
        # Only here: the client library is worth a tenth of a second.
        from sidegate.cli.published import read_published  # noqa: PLC0415

        return {key.id: key for key in read_published(None, self._config, org).document.keys}

    def _all_keys(self) -> dict[str, Mapping[str, KeyEntry]]:
        if self._is_published:
            raise UsageError(f"the policy is in {self._settings.policy.source}; name an organization with --org")
        return {name: one.keys for name, one in self._load().snapshot.organizations.items()}

    def _load(self) -> LoadedPolicies:
        return load_policies(self._policy if self._policy is not None else policy_folder(self._settings))


def _describe(
    registry: Registry, org: str, entry: KeyEntry, used: UnixMillis | None, now: UnixMillis
) -> dict[str, object]:
    made, over = issued_at_of(entry), expiry_of(entry)
    credential = VerifiedCredential(
        CredentialKind.API_KEY, entry.id, entry.account, org, single_use=entry.single_use, issued_at=made or _EPOCH
    )
    refusal = registry.refusal_of(credential, credential.issued_at)
    if entry.state is not KeyState.ACTIVE or refusal is Reason.KEY_REVOKED:
        state = "revoked"
    elif refusal is Reason.KEY_CONSUMED:
        state = "consumed"
    else:
        state = "expired" if over is not None and over <= now else "active"
    return {
        "id": entry.id,
        "org": org,
        "account": entry.account,
        "state": state,
        "single_use": entry.single_use,
        "created_at": None if entry.created_at is None else format_instant(entry.created_at),
        "rotated_at": None if entry.rotated_at is None else format_instant(entry.rotated_at),
        "expires_at": None if over is None else format_instant(over),
        "last_used": None if used is None else format_instant(used),
    }
