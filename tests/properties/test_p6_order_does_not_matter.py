"""P6: the order of entries in a policy never matters (spec 1.9)."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.strategies import NOW, candidates, documents, generated, queries

from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import decide_shadow
from sidegate.core.model.principal import Query
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import Candidate, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot

T = TypeVar("T")
Part = TypeVar("Part", PolicyDocument, Candidate)


def reordered(part: Part, random: Random) -> Part:
    """The same entries, roles of a member included, in another order."""

    def shuffled(entries: Sequence[T]) -> tuple[T, ...]:
        return tuple(random.sample(entries, len(entries)))

    return replace(
        part,
        roles=shuffled(part.roles),
        members=tuple(replace(member, roles=shuffled(member.roles)) for member in shuffled(part.members)),
        bindings=shuffled(part.bindings),
        denies=shuffled(part.denies),
        approvals=shuffled(part.approvals),
    )


@generated
@given(documents(), candidates(), queries, st.randoms(use_true_random=False))
def test_shuffled_entries_decide_alike(
    document: PolicyDocument, candidate: Candidate, query: Query, random: Random
) -> None:
    """Same decision with the same citations, same shadow, same digest."""
    one = compile_document(replace(document, candidate=candidate), 1)
    other = compile_document(replace(reordered(document, random), candidate=reordered(candidate, random)), 1)
    before, after = (decide(Snapshot(1, [each]), query, NOW) for each in (one, other))
    assert before == after
    assert decide_shadow(Snapshot(1, [one]), [query], NOW, before) == decide_shadow(
        Snapshot(1, [other]), [query], NOW, after
    )
    assert one.digest == other.digest
