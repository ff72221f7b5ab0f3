"""The eight authorities and the primitives that ask for them."""

import pytest

from sidegate.core.model.authority import (
    ALL_AUTHORITIES,
    AUTHORITY_OF,
    BIT,
    NO_AUTHORITY,
    SUBTREE_PRIMITIVES,
    Authority,
    Mask,
    Primitive,
    authorities_in,
    mask_of,
)


def test_each_authority_has_its_own_bit() -> None:
    """Eight flags, none shared, together the whole mask (spec 1.1)."""
    assert len(set(BIT.values())) == 8
    assert mask_of(Authority) == ALL_AUTHORITIES
    assert mask_of([]) == NO_AUTHORITY


@pytest.mark.parametrize("mask", range(256))
def test_masks_and_authorities_are_one_to_one(mask: int) -> None:
    """A mask is nothing but the set of its authorities, in the order of spec 1.1."""
    authorities = authorities_in(Mask(mask))
    assert mask == mask_of(authorities)
    assert sorted(authorities, key=list(Authority).index) == list(authorities)


@pytest.mark.parametrize(
    ("authority", "primitives"),
    [
        pytest.param(Authority.READ, {Primitive.READ, Primitive.GLOB, Primitive.GREP}, id="read"),
        pytest.param(Authority.WRITE, {Primitive.WRITE, Primitive.EDIT}, id="write"),
        pytest.param(Authority.DELETE, {Primitive.DELETE}, id="delete"),
        pytest.param(Authority.RUN, {Primitive.RUN}, id="run"),
        pytest.param(Authority.SOLVE, {Primitive.SOLVE}, id="solve"),
        pytest.param(Authority.APPROVE, set(), id="approve-has-none"),
        pytest.param(Authority.SHARE, set(), id="share-has-none"),
        pytest.param(Authority.CONFIGURE, set(), id="configure-has-none"),
    ],
)
def test_primitives_ask_for_their_authority(authority: Authority, primitives: set[Primitive]) -> None:
    """The table of spec 1.1."""
    assert primitives == {primitive for primitive, asked in AUTHORITY_OF.items() if asked is authority}


def test_glob_and_grep_reach_subtrees() -> None:
    """Their target is always a whole subtree (spec 1.6)."""
    assert {Primitive.GLOB, Primitive.GREP} == SUBTREE_PRIMITIVES
