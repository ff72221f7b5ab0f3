"""The eight authorities and the eight primitives that ask for them (spec 1.1)."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NewType

Mask = NewType("Mask", int)
"""A set of authorities, one bit each."""


class Authority(StrEnum):
    """What may be exercised on a target. The set is fixed."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    RUN = "run"
    SOLVE = "solve"
    APPROVE = "approve"
    SHARE = "share"
    CONFIGURE = "configure"


class Primitive(StrEnum):
    """What a DataStore service can be asked to do."""

    READ = "Read"
    GLOB = "Glob"
    GREP = "Grep"
    WRITE = "Write"
    EDIT = "Edit"
    DELETE = "Delete"
    RUN = "Run"
    SOLVE = "Solve"


NO_AUTHORITY: Final = Mask(0)
ALL_AUTHORITIES: Final = Mask(0xFF)

BIT: Final[dict[Authority, Mask]] = {authority: Mask(1 << place) for place, authority in enumerate(Authority)}

AUTHORITY_OF: Final[dict[Primitive, Authority]] = {
    Primitive.READ: Authority.READ,
    Primitive.GLOB: Authority.READ,
    Primitive.GREP: Authority.READ,
    Primitive.WRITE: Authority.WRITE,
    Primitive.EDIT: Authority.WRITE,
    Primitive.DELETE: Authority.DELETE,
    Primitive.RUN: Authority.RUN,
    Primitive.SOLVE: Authority.SOLVE,
}

SUBTREE_PRIMITIVES: Final = frozenset({Primitive.GLOB, Primitive.GREP})
"""Primitives whose target is always a whole subtree (spec 1.6)."""


def mask_of(authorities: Iterable[Authority]) -> Mask:
    """Fold *authorities* into a mask."""
    mask = 0
    for authority in authorities:
        mask |= BIT[authority]
    return Mask(mask)


def authorities_in(mask: Mask) -> tuple[Authority, ...]:
    """List the authorities in *mask*, in the order of spec 1.1."""
    return tuple(authority for authority, bit in BIT.items() if mask & bit)
