"""P3: a deny, lower ceiling, chain link or restricted credential more never turns deny into allow (spec 1.9)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.strategies import decided, denies, documents, generated, links, masks, queries, scopes

from sidegate.core.model.authority import Mask
from sidegate.core.model.decision import Outcome
from sidegate.core.model.principal import Link, Query
from sidegate.core.model.target import Scope
from sidegate.core.policy.document import DenyEntry, PolicyDocument


def is_stricter(before: Outcome, after: Outcome) -> bool:
    """Whether the change took something away or nothing."""
    return after is before or after is Outcome.DENY


@generated
@given(documents(), queries, denies)
def test_adding_a_deny(document: PolicyDocument, query: Query, entry: DenyEntry) -> None:
    """One more deny allows nothing."""
    changed = replace(document, denies=(*document.denies, replace(entry, id="more")))
    assert is_stricter(decided(document, query).outcome, decided(changed, query).outcome)


@generated
@given(documents(), queries, masks)
def test_lowering_a_ceiling(document: PolicyDocument, query: Query, kept: Mask) -> None:
    """A role with a lower ceiling allows nothing more."""
    custom, guest = document.roles
    lowered = replace(guest, ceiling=Mask((guest.ceiling or 0) & kept))
    changed = replace(document, roles=(custom, lowered))
    assert is_stricter(decided(document, query).outcome, decided(changed, query).outcome)


@generated
@given(documents(), queries, links, st.integers(0, 2))
def test_adding_a_link(document: PolicyDocument, query: Query, link: Link, place: int) -> None:
    """One more agent between allows nothing, wherever in the chain it stands and whatever it was handed."""
    chain = query.credential.chain
    longer = replace(query.credential, chain=(*chain[:place], link, *chain[place:]))
    changed = replace(query, credential=longer)
    assert is_stricter(decided(document, query).outcome, decided(document, changed).outcome)


@generated
@given(documents(), queries, masks)
def test_restricting_the_credentials_authorities(document: PolicyDocument, query: Query, kept: Mask) -> None:
    """A shorter list of authorities allows nothing more."""
    old = query.credential.authorities
    shorter = replace(query.credential, authorities=kept if old is None else Mask(old & kept))
    changed = replace(query, credential=shorter)
    assert is_stricter(decided(document, query).outcome, decided(document, changed).outcome)


@generated
@given(documents(), queries, st.lists(scopes, max_size=2))
def test_restricting_the_credentials_scopes(document: PolicyDocument, query: Query, listed: list[Scope]) -> None:
    """Scopes where there were none, or fewer of them, allow nothing more."""
    old = query.credential.scopes
    fewer = tuple(listed) if old is None else old[1:]
    changed = replace(query, credential=replace(query.credential, scopes=fewer))
    assert is_stricter(decided(document, query).outcome, decided(document, changed).outcome)
