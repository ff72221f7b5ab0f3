"""Puts the same request to the engine and to the oracle and says where they differ."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.oracle.decide import Oracle, with_candidate
from tests.oracle.generate import Generator

from sidegate.core.engine.decide import decide, decide_subject
from sidegate.core.engine.shadow import decide_shadow
from sidegate.core.model.decision import Decision, Reason
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.concern import concern_of
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.header import SHARE_GROUPS_ABOVE, CompiledHeader
from sidegate.core.policy.header_change import HeaderChange, HeaderEntries, differences
from sidegate.core.policy.overlay import apply_candidate
from sidegate.core.policy.snapshot import DEFAULT_MAX_SUBJECTS, OrganizationSnapshot, Snapshot

QUERIES_PER_POLICY = 100


@dataclass
class Tally:
    """What was compared, so that a generator that reaches nothing cannot pass for agreement."""

    pairs: int = 0
    enforced: Counter[Reason] = field(default_factory=Counter)
    candidate: Counter[Reason] = field(default_factory=Counter)
    diverged: int = 0
    unconcerned: int = 0


def compare_many(seed: int, pairs: int, tally: Tally) -> None:
    """Compare *pairs* generated (policy, request) pairs.

    Raises:
        AssertionError: Engine and oracle differ; the message is a reproduction that holds only what matters.
    """
    generator = Generator(seed)
    done = 0
    while done < pairs:
        document = generator.document()
        # Half the time every group counts as a large one, whose bindings lie in a layer of their own.
        share_above = generator.one((0, SHARE_GROUPS_ABOVE))
        snapshot = _snapshot(document, share_above)
        if generator.one((True, False)):
            # What is decided with after a change is not compiled anew, but from what there was before.
            snapshot = _revised(generator.document(), document, share_above)
        oracle = Oracle(document)
        candidate = None if document.candidate is None else Oracle(with_candidate(document))
        for _ in range(min(QUERIES_PER_POLICY, pairs - done)):
            query, now = generator.query(), generator.now()
            tally.pairs += 1
            expected = oracle.decide(query, now)
            tally.enforced[expected.reason] += 1
            actual = decide(snapshot, query, now)
            if not agree(expected, actual):
                raise AssertionError(reproduction(document, query, now, share_above))
            if candidate is not None:
                compare_candidate(snapshot, candidate, query, now, enforced=actual, tally=tally)
        done += QUERIES_PER_POLICY


def compare_candidate(
    snapshot: Snapshot, oracle: Oracle, query: Query, now: UnixMillis, *, enforced: Decision, tally: Tally
) -> None:
    """Compare what the candidate answers, whether or not it concerns the account, and what is told of it."""
    organization = snapshot.organizations.get(query.credential.org)
    if organization is None:
        assert decide_shadow(snapshot, [query], now, enforced) is None
        return
    expected = oracle.decide(query, now)
    tally.candidate[expected.reason] += 1
    actual = candidate_decision(organization, query, now)
    if actual is None:
        tally.unconcerned += 1
        actual = enforced
    told = decide_shadow(snapshot, [query], now, enforced)
    differs = expected.outcome is not enforced.outcome
    tally.diverged += differs
    if not agree(expected, actual) or (told != actual if differs else told is not None):
        raise AssertionError("candidate: " + reproduction(with_candidate(organization.document), query, now, 0))


def candidate_decision(organization: OrganizationSnapshot, query: Query, now: UnixMillis) -> Decision | None:
    """The candidate's whole answer; None when the engine holds that the candidate does not concern the account."""
    shadow = organization.subject(query.credential.account).shadow
    return None if shadow is None else decide_subject(shadow.subject(), query, now)


def agree(expected: Decision, actual: Decision) -> bool:
    """Equal, but that for a narrowed subtree the oracle cites all that narrows it and the engine some of it."""
    if expected.reason is Reason.SUBTREE_NARROWED and actual.reason is Reason.SUBTREE_NARROWED:
        cited = set(actual.because)
        return (
            expected.outcome is actual.outcome
            and bool(cited or not expected.because)
            and cited <= set(expected.because)
        )
    return expected == actual


def reproduction(document: PolicyDocument, query: Query, now: UnixMillis, share_above: int) -> str:
    """Shrink *document* to the entries without which the two would agree, and print both answers."""
    document = replace(document, candidate=None)
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _one_entry_less(document):
            if _differ(smaller, query, now, share_above):
                document, shrunk = smaller, True
                break
    for simpler in _simpler(query):
        if _differ(document, simpler, now, share_above):
            query = simpler
    lines = ["engine and oracle differ"]
    lines += [f"  {listed}: {entry}" for listed in _LISTS for entry in getattr(document, listed)]
    lines += [
        f"  query: {query}",
        f"  now: {now}",
        f"  oracle: {Oracle(document).decide(query, now)}",
        f"  engine: {decide(_snapshot(document, share_above), query, now)}",
    ]
    return "\n".join(lines)


_LISTS = ("roles", "members", "bindings", "denies", "approvals")


def _one_entry_less(document: PolicyDocument) -> Iterator[PolicyDocument]:
    for listed in _LISTS:
        entries = getattr(document, listed)
        for place in range(len(entries)):
            yield replace(document, **{listed: entries[:place] + entries[place + 1 :]})


def _simpler(query: Query) -> Iterator[Query]:
    plain = replace(query.credential, authorities=None, scopes=None)
    yield replace(query, credential=plain)
    for size in range(len(query.credential.chain)):
        yield replace(query, credential=replace(plain, chain=plain.chain[:size]))


def _snapshot(document: PolicyDocument, share_above: int) -> Snapshot:
    return Snapshot(1, [compile_document(document, 1, share_groups_above=share_above)])


def _revised(before: PolicyDocument, document: PolicyDocument, share_above: int) -> Snapshot:
    """Return the snapshot of *document* with headers that were compiled from *before* and then changed."""
    organization = compile_document(document, 1, share_groups_above=share_above)
    old = CompiledHeader(before, share_groups_above=share_above)
    change = change_between(before, document)
    header, candidate = old.revised(change), organization.candidate
    if candidate is not None and document.candidate is not None:
        beside = CompiledHeader(
            apply_candidate(replace(before, candidate=document.candidate)), share_groups_above=share_above
        )
        roles = apply_candidate(document).roles
        laid_over = beside.revised(change.beside(document.candidate, roles))
        candidate = replace(candidate, header=laid_over, concern=concern_of(header, laid_over))
    return Snapshot(
        1,
        [
            OrganizationSnapshot(
                document,
                1,
                organization.digest,
                candidate=candidate,
                header=header,
                records=organization.records,
                max_subjects=DEFAULT_MAX_SUBJECTS,
            )
        ],
    )


def change_between(before: PolicyDocument, after: PolicyDocument) -> HeaderChange:
    """Return what leads from the header of *before* to that of *after*."""
    bindings = differences(before.bindings, after.bindings, lambda one: one.id)
    denies = differences(before.denies, after.denies, lambda one: one.id)
    approvals = differences(before.approvals, after.approvals, lambda one: one.id)
    gone, come = (HeaderEntries(bindings[place], denies[place], approvals[place]) for place in (0, 1))
    return HeaderChange(after.mfa_max_age_s, after.roles, gone, come)


def _differ(document: PolicyDocument, query: Query, now: UnixMillis, share_above: int) -> bool:
    try:
        snapshot = _snapshot(document, share_above)
    except Exception:  # noqa: BLE001  (a document that is no longer valid is no reproduction)
        return False
    return not agree(Oracle(document).decide(query, now), decide(snapshot, query, now))
