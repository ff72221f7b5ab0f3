"""New API keys, their successors, and the entries that a policy file keeps of them (spec 3.2, 6.4)."""

from collections.abc import Sequence
from typing import Final

from sidegate.core.identity.api_key import expiry_of, issued_at_of, mint_key
from sidegate.core.identity.names import is_safe_id
from sidegate.core.model.authority import Authority, authorities_in
from sidegate.core.model.target import parse_scope, require_name
from sidegate.core.model.units import Millis, UnixMillis, format_instant, year_after
from sidegate.core.model.value import value
from sidegate.core.policy.document import KeyEntry, KeyState

DEFAULT_ENV: Final = "live"

DEFAULT_OVERLAP: Final = Millis(24 * 60 * 60 * 1000)
"""How long a key goes on working that was rotated (spec 3.2)."""

_DEFAULT_LIFETIME: Final = Millis(365 * 24 * 60 * 60 * 1000)


@value
class KeyRequest:
    """What a new key shall be.

    Attributes:
        org: The organization whose policy file the entry is for.
        account: Who acts with it: ``service:ci``, ``user:ana``.
        authorities: Its allow-list, as written in spec 1.1; None for no restriction of its own.
        scopes: Its scopes, as written in spec 1.2; None for no restriction of its own.
        lifetime: How long it lives; None for a year. At most a year.
        single_use: Consumed by the first request that is allowed.
        env: Stands in the key for whoever finds one, e.g. ``live`` or ``test``.
        created_by: Who asked for it, for people.
    """

    org: str
    account: str
    authorities: Sequence[str] | None = None
    scopes: Sequence[str] | None = None
    lifetime: Millis | None = None
    single_use: bool = False
    env: str = DEFAULT_ENV
    created_by: str | None = None


def mint(request: KeyRequest, random_bytes: bytes, now: UnixMillis) -> dict[str, object]:
    """Make a key and its entry.

    Args:
        request: What it shall be.
        random_bytes: 64 bytes from the system's random source.
        now: Wall clock.

    Returns:
        ``{"key": "sg_...", "record": {...}}``: the clear key, to be shown once, and the entry for ``keys`` of the
        organization's policy file.

    Raises:
        ValueError: Something of *request* cannot be (:class:`NamingError` for names and scopes); what to write instead
            is in the message.
    """
    require_name(request.org, "organization")
    kind, colon, name = request.account.partition(":")
    if not (colon and kind in {"user", "service"} and is_safe_id(name)):
        raise ValueError(f"account `{request.account}` is not written like service:ci or user:ana")
    if request.lifetime is not None and not 0 < request.lifetime <= year_after(now) - now:
        raise ValueError("a key lives at least 1 ms and at most a year; ask for 365d or less, and rotate it")
    minted = mint_key(request.env, random_bytes)
    record: dict[str, object] = {
        "id": minted.id,
        "digest": f"sha256:{minted.digest.hex()}",
        "account": request.account,
    }
    if request.authorities is not None:
        record["authorities"] = [str(authority) for authority in _read_authorities(request.authorities)]
    if request.scopes is not None:
        record["scopes"] = list(dict.fromkeys(str(parse_scope(scope)) for scope in request.scopes))
    lifetime = _DEFAULT_LIFETIME if request.lifetime is None else request.lifetime
    record["expires_at"] = format_instant(UnixMillis(now + lifetime))
    if request.single_use:
        record["single_use"] = True
    if request.created_by is not None:
        record["created_by"] = request.created_by
    record["created_at"] = format_instant(now)
    return {"key": minted.clear, "record": record}


def rotate(
    entry: KeyEntry, overlap: Millis, random_bytes: bytes, now: UnixMillis, env: str = DEFAULT_ENV
) -> dict[str, object]:
    """Make a key that takes the place of another (spec 3.2).

    Args:
        entry: Of the key that is replaced. It must be good at *now*: a key that is over has no successor.
        overlap: How long the predecessor goes on working; 0 for not at all.
        random_bytes: 64 bytes from the system's random source.
        now: Wall clock.
        env: As for :class:`KeyRequest`.

    Returns:
        ``{"key": "sg_...", "record": {...}, "predecessor": {...}}``: the clear key, to be shown once, its entry, and
        the entry that the predecessor's becomes. The successor may do what the predecessor might and lives as long.

    Raises:
        ValueError: The key cannot be rotated; says what to do instead.
    """
    if overlap < 0:
        raise ValueError("an overlap cannot be negative; write 0 for a key that must stop working at once")
    over = expiry_of(entry)
    if entry.state is not KeyState.ACTIVE or (over is not None and over <= now):
        raise ValueError(f"the key {entry.id} is over; mint a new one with `sidegate key mint`")
    made = issued_at_of(entry)
    lifetime = _DEFAULT_LIFETIME if over is None or made is None else Millis(over - made)
    minted = mint_key(env, random_bytes)
    record = {
        **_written(entry),
        "id": minted.id,
        "digest": f"sha256:{minted.digest.hex()}",
        "expires_at": format_instant(UnixMillis(now + min(lifetime, _DEFAULT_LIFETIME))),
        "rotated_at": format_instant(now),
    }
    predecessor = _written(entry)
    if overlap == 0:
        predecessor["state"] = KeyState.REVOKED.value
    else:
        end = UnixMillis(now + overlap)
        predecessor["expires_at"] = format_instant(end if over is None else min(end, over))
    return {"key": minted.clear, "record": record, "predecessor": predecessor}


def _written(entry: KeyEntry) -> dict[str, object]:
    """Write *entry* as a policy file has it."""
    record: dict[str, object] = {
        "id": entry.id,
        "digest": f"sha256:{entry.digest.hex()}",
        "account": entry.account,
    }
    if entry.authorities is not None:
        record["authorities"] = [str(authority) for authority in authorities_in(entry.authorities)]
    if entry.scopes is not None:
        record["scopes"] = [str(scope) for scope in entry.scopes]
    if entry.expires_at is not None:
        record["expires_at"] = format_instant(entry.expires_at)
    if entry.single_use:
        record["single_use"] = True
    if entry.networks is not None:
        record["networks"] = [str(network) for network in entry.networks]
    if entry.state is not KeyState.ACTIVE:
        record["state"] = entry.state.value
    if entry.created_by is not None:
        record["created_by"] = entry.created_by
    if entry.created_at is not None:
        record["created_at"] = format_instant(entry.created_at)
    if entry.rotated_at is not None:
        record["rotated_at"] = format_instant(entry.rotated_at)
    return record


def _read_authorities(names: Sequence[str]) -> list[Authority]:
    unknown = [name for name in names if name not in set(Authority)]
    if unknown:
        raise ValueError(f"`{unknown[0]}` is no authority; use some of {', '.join(Authority)}")
    return [authority for authority in Authority if authority in names]
