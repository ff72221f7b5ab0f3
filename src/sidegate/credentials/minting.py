"""New API keys and the entries that a policy file keeps of them (spec 3.2, 6.4)."""

from collections.abc import Sequence
from typing import Final

from sidegate.core.identity.api_key import MAX_LIFETIME, mint_key
from sidegate.core.identity.names import is_safe_id
from sidegate.core.model.authority import Authority
from sidegate.core.model.target import parse_scope, require_name
from sidegate.core.model.units import Millis, UnixMillis, format_instant
from sidegate.core.model.value import value

DEFAULT_ENV: Final = "live"

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
    if request.lifetime is not None and not 0 < request.lifetime <= MAX_LIFETIME:
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


def _read_authorities(names: Sequence[str]) -> list[Authority]:
    unknown = [name for name in names if name not in set(Authority)]
    if unknown:
        raise ValueError(f"`{unknown[0]}` is no authority; use some of {', '.join(Authority)}")
    return [authority for authority in Authority if authority in names]
