"""Policy entries as JSON and back; what comes back is checked field by field, whoever wrote it."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from functools import lru_cache, partial
from ipaddress import ip_network
from typing import Any, Final, TypeVar

from sidegate.core.model.authority import ALL_AUTHORITIES, Authority, Mask
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind, parse_scope
from sidegate.core.model.value import value
from sidegate.core.policy.document import (
    NO_CONDITIONS,
    ApprovalRule,
    Approvers,
    BindingEntry,
    BindingState,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    KeyState,
    MemberEntry,
    RoleEntry,
    SessionLimits,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

Plain = Any
"""What JSON holds."""

_MAX_INT: Final = 1 << 53
_DIGEST_BYTES: Final = 32

MAX_SHARED_SCOPES: Final = 8192
"""Scopes that are the same object wherever they are written; half a megabyte."""


@value
class _Form:
    """How one kind of value stands in JSON, and how it is read back."""

    write: Callable[[Any], Plain]
    read: Callable[[Plain], Any]


def _refuse(what: str, found: object) -> IntegrityError:
    return IntegrityError(f"{what} is {type(found).__name__}; publish the organization again")


def _same(plain: T) -> T:
    return plain


def _text(plain: Plain) -> str:
    if type(plain) is not str:
        raise _refuse("a text", plain)
    return plain


def _word(plain: Plain) -> str:
    # Ten thousand accounts hold the same few roles, and each names itself in all its bindings: one object for all.
    return sys.intern(_text(plain))


def _number(plain: Plain) -> int:
    if type(plain) is not int or not -_MAX_INT < plain < _MAX_INT:
        raise _refuse("a number", plain)
    return plain


def _flag(plain: Plain) -> bool:
    if type(plain) is not bool:
        raise _refuse("a flag", plain)
    return plain


def _mask(plain: Plain) -> Mask:
    number = _number(plain)
    if not 0 <= number <= ALL_AUTHORITIES:
        raise IntegrityError(f"{number} is no set of authorities; publish the organization again")
    return Mask(number)


def _members(read: Callable[[Plain], T], plain: Plain) -> tuple[T, ...]:
    if type(plain) is not list:
        raise _refuse("a list", plain)
    return tuple([read(one) for one in plain])


_scope: Final = lru_cache(MAX_SHARED_SCOPES)(parse_scope)


def _digest(plain: Plain) -> bytes:
    digest = bytes.fromhex(_text(plain))
    if len(digest) != _DIGEST_BYTES:
        raise IntegrityError(f"a digest has {len(digest)} bytes; publish the organization again")
    return digest


def _sections(plain: Plain) -> dict[tuple[str, ...], Mask]:
    if type(plain) is not list:
        raise _refuse("sections", plain)
    return {_members(_text, section): _mask(mask) for section, mask in plain}


def _enum(kind: type[E]) -> _Form:
    return _Form(str, lambda plain: kind(_text(plain)))


def _list_of(form: _Form) -> _Form:
    return _Form(lambda items: [form.write(item) for item in items], partial(_members, form.read))


def _entry(kind: type[T]) -> _Form:
    # Looked up when it is called: the function is defined below.
    return _Form(lambda entry: dict(write_entry(entry)), lambda plain: read_entry(kind, plain))


TEXT: Final = _Form(_same, _text)
NUMBER: Final = _Form(_same, _number)
FLAG: Final = _Form(_same, _flag)
MASK: Final = _Form(int, _mask)
WORD: Final = _Form(_same, _word)
SCOPE: Final = _Form(str, lambda plain: _scope(_text(plain)))
NETWORK: Final = _Form(str, lambda plain: ip_network(_text(plain)))
TEXTS: Final = _list_of(TEXT)
WORDS: Final = _list_of(WORD)
NETWORKS: Final = _list_of(NETWORK)

_CONDITIONS: Final = _entry(Conditions)
_SECTIONS: Final = _Form(lambda one: [[list(section), int(mask)] for section, mask in one.items()], _sections)

_FORMS: Final[Mapping[type, Mapping[str, _Form]]] = {
    Conditions: {"mfa": FLAG, "surfaces": TEXTS, "sources": NETWORKS},
    RoleEntry: {
        "name": TEXT,
        "clone": TEXT,
        "authorities": MASK,
        "add": MASK,
        "remove": MASK,
        "sections": _SECTIONS,
        "ceiling": MASK,
        "requires": _CONDITIONS,
        "high_risk": FLAG,
    },
    MemberEntry: {"account": WORD, "state": _enum(AccountState), "roles": WORDS, "groups": WORDS},
    GroupEntry: {"name": TEXT, "directory": TEXT},
    BindingEntry: {
        "id": TEXT,
        "who": WORD,
        "role": WORD,
        "on": SCOPE,
        "not_before": NUMBER,
        "not_after": NUMBER,
        "state": _enum(BindingState),
        "when": _CONDITIONS,
        "purpose": TEXT,
    },
    DenyEntry: {"id": TEXT, "who": TEXT, "authorities": MASK, "on": SCOPE},
    Approvers: {"authority": _enum(Authority), "accounts": TEXTS, "groups": TEXTS},
    ApprovalRule: {
        "id": TEXT,
        "authorities": MASK,
        "on": SCOPE,
        "kind": _enum(Kind),
        "approvers": _entry(Approvers),
        "quorum": NUMBER,
        "ttl": NUMBER,
    },
    KeyEntry: {
        "id": TEXT,
        "digest": _Form(bytes.hex, _digest),
        "account": TEXT,
        "authorities": MASK,
        "scopes": _list_of(SCOPE),
        "expires_at": NUMBER,
        "single_use": FLAG,
        "networks": NETWORKS,
        "state": _enum(KeyState),
        "created_by": TEXT,
        "created_at": NUMBER,
        "rotated_at": NUMBER,
    },
    SessionLimits: {"idle": NUMBER, "absolute": NUMBER},
    Candidate: {
        "roles": _list_of(_entry(RoleEntry)),
        "members": _list_of(_entry(MemberEntry)),
        "groups": _list_of(_entry(GroupEntry)),
        "bindings": _list_of(_entry(BindingEntry)),
        "denies": _list_of(_entry(DenyEntry)),
        "approvals": _list_of(_entry(ApprovalRule)),
        "keys": _list_of(_entry(KeyEntry)),
        "remove": TEXTS,
    },
}

_NO_DEFAULT: Final = object()


def _default_of(field: Any) -> object:  # noqa: ANN401  a Field of any type
    return _NO_DEFAULT if field.default is MISSING else field.default


_DEFAULTS: Final = {kind: {one.name: _default_of(one) for one in fields(kind)} for kind in _FORMS}
_REQUIRED: Final = {
    kind: frozenset(name for name, default in defaults.items() if default is _NO_DEFAULT)
    for kind, defaults in _DEFAULTS.items()
}


def write_entry(entry: object) -> dict[str, Plain]:
    """Return a policy *entry* for JSON; what has its default is left out."""
    kind = type(entry)
    forms, plain = _FORMS[kind], {}
    for name, default in _DEFAULTS[kind].items():
        given = getattr(entry, name)
        # An explicit nothing where the default is something, e.g. approvers of no authority.
        if given != default:
            plain[name] = None if given is None else forms[name].write(given)
    return plain


def read_entry(kind: type[T], plain: Plain) -> T:
    """Read what :func:`write_entry` made of an entry of *kind*.

    Raises:
        IntegrityError: Something is of another type, unknown or missing.
        ValueError: A name, scope, word or network is none.
    """
    forms = _FORMS[kind]
    if type(plain) is not dict or not _REQUIRED[kind] <= plain.keys() <= forms.keys():
        known = sorted(plain.keys() ^ forms.keys()) if type(plain) is dict else type(plain).__name__
        raise IntegrityError(f"a {kind.__name__} has other members than expected: {known}; publish it again")
    if kind is BindingEntry and "when" not in plain:
        plain = {**plain, "when": {}}
    given: dict[str, object] = {}
    for name, one in plain.items():
        if one is None:
            if name in _REQUIRED[kind]:
                raise IntegrityError(f"`{name}` of a {kind.__name__} is missing; publish it again")
            given[name] = None
        elif one == {} and forms[name] is _CONDITIONS:
            given[name] = NO_CONDITIONS
        else:
            given[name] = forms[name].read(one)
    return kind(**given)


def write_entries(entries: Iterable[object]) -> list[Plain]:
    """Return several *entries* for JSON."""
    return [write_entry(entry) for entry in entries]


def read_entries(kind: type[T], plain: Plain) -> tuple[T, ...]:
    """Read what :func:`write_entries` made.

    Raises:
        IntegrityError: As for :func:`read_entry`.
        ValueError: As for :func:`read_entry`.
    """
    return _members(partial(read_entry, kind), plain)
