"""The delegation chain of a token: our own ``chain`` claim, never ``act`` (spec 1.7, 3.3)."""

from typing import Final, cast

from sidegate.core.identity.names import is_safe_id
from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.errors import NamingError
from sidegate.core.model.principal import Link, LinkDeny
from sidegate.core.model.target import Scope, parse_scope
from sidegate.core.model.units import UnixMillis, parse_instant

MAX_SECONDS: Final = 253_402_300_799
"""9999-12-31T23:59:59Z: the last instant that has a written form."""

_LINK_MEMBERS: Final = frozenset({"id", "allow", "scopes", "deny", "expires_at"})
_DENY_MEMBERS: Final = frozenset({"authorities", "on"})


class _ChainError(ValueError):
    """Internal: the chain is not one; what exactly is of no use to whoever presents it."""


def read_chain(claim: object) -> tuple[Link, ...] | None:
    """Read the links of a ``chain`` claim, outermost first.

    Each is an object with ``id`` and optionally ``allow`` (authorities), ``scopes`` (written forms of spec 1.2),
    ``deny`` (objects with ``authorities`` and ``on``) and ``expires_at`` (RFC 3339 text, or whole seconds as in the
    token's own ``exp``); null stands for absent. More than 8 links are for the engine to refuse.

    Returns:
        The links, none for null; None when anything in it is not understood: a restriction that cannot be read must
        not be passed over.
    """
    if claim is None:
        return ()
    if not isinstance(claim, list):
        return None
    try:
        return tuple(_read_link(link) for link in claim)
    except (_ChainError, NamingError):
        return None


def _read_link(link: object) -> Link:
    members = _require_members(link, _LINK_MEMBERS)
    link_id = members.get("id")
    if not is_safe_id(link_id):
        raise _ChainError("id")
    allow, scopes, deny = members.get("allow"), members.get("scopes"), members.get("deny")
    return Link(
        id=cast("str", link_id),
        allow=None if allow is None else _read_authorities(allow),
        scopes=None if scopes is None else tuple(_read_scope(scope) for scope in _require_list(scopes)),
        deny=() if deny is None else tuple(_read_deny(entry) for entry in _require_list(deny)),
        expires_at=_read_instant(members.get("expires_at")),
    )


def _read_deny(entry: object) -> LinkDeny:
    members = _require_members(entry, _DENY_MEMBERS)
    return LinkDeny(_read_authorities(members.get("authorities")), _read_scope(members.get("on")))


def _read_authorities(names: object) -> Mask:
    listed = _require_list(names)
    found = [authority for authority in Authority if authority in listed]
    # As many as there are distinct names: one that is unknown, of another type or repeated makes it unequal.
    if len(found) != len(listed):
        raise _ChainError("authorities")
    return mask_of(found)


def _read_scope(text: object) -> Scope:
    if not isinstance(text, str):
        raise _ChainError("scope")
    return parse_scope(text)


def _read_instant(instant: object) -> UnixMillis | None:
    if instant is None:
        return None
    if type(instant) is int and 0 <= instant <= MAX_SECONDS:
        return UnixMillis(instant * 1000)
    if isinstance(instant, str):
        try:
            return parse_instant(instant)
        except (ValueError, OverflowError):
            raise _ChainError("expires_at") from None
    raise _ChainError("expires_at")


def _require_list(found: object) -> list[object]:
    if not isinstance(found, list):
        raise _ChainError("list")
    return found


def _require_members(found: object, known: frozenset[str]) -> dict[str, object]:
    if not isinstance(found, dict) or not known.issuperset(found):
        raise _ChainError("members")
    return found
