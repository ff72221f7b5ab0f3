"""The single checks of spec 1.5 and 1.6 over compiled parts; :mod:`decide` puts them in order."""

from typing import Final

from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.principal import MAX_LINKS, Query
from sidegate.core.model.target import Scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.header import AGENT, kinds_in_meet
from sidegate.core.policy.requirement import RANK, reason_of, unmet_by
from sidegate.core.policy.subject import Subject
from sidegate.core.policy.table import Entry, Node

CREDENTIAL: Final = "credential"
"""Cited in ``because`` when the credential's own restriction decided."""


def withheld_by(subject: Subject, query: Query, bit: int) -> tuple[str, ...]:
    """Return what withholds *bit* on the target itself (check 3): ids of denies, then links that do so themselves."""
    target = query.target
    denies = subject.denies
    ids = denies.covering(target, bit) if denies is not None and denies.mask & bit else ()
    agents: list[str] = []
    for link in query.credential.chain:
        named = subject.header.agent_denies.get(link.id)
        if named is not None:
            ids += named.covering(target, bit)
        agents.extend(AGENT + link.id for own in link.deny if own.authorities & bit and own.on.covers(target))
    return _cited(ids, agents)


def withheld_in_subtree_by(subject: Subject, query: Query, bit: int) -> tuple[str, ...]:
    """Return what withholds *bit* anywhere in the subtree of the target."""
    target = query.target
    denies = subject.denies
    ids = denies.meeting(target, bit) if denies is not None and denies.mask & bit else ()
    agents: list[str] = []
    for link in query.credential.chain:
        named = subject.header.agent_denies.get(link.id)
        if named is not None:
            ids += named.meeting(target, bit)
        agents.extend(AGENT + link.id for own in link.deny if own.authorities & bit and kinds_in_meet(own.on, target))
    return _cited(ids, agents)


def judge_node(subject: Subject, node: Node, query: Query, bit: int, now: UnixMillis, *, otherwise: Reason) -> Decision:
    """Decide what the entries of one place give (checks 4, 5 and 6).

    Returns:
        ``granted`` because of every entry that gives *bit* and whose conditions are met; a deny for the unmet condition
        of the entry that comes closest, if one would give it; else a deny for *otherwise* because of all entries.
    """
    if not (node.mask | node.conditional) & bit:
        return node.refuse(otherwise)
    giving: list[str] = []
    nearest = _NOT_NEAR
    nearest_unmet = 0
    lacking: list[str] = []
    for entry in node.entries:
        if not entry.mask & bit:
            continue
        unmet = _unmet(subject, entry, query, now)
        if unmet == 0:
            giving.append(entry.key)
            continue
        rank = RANK[unmet]
        if rank < nearest:
            nearest, nearest_unmet, lacking = rank, unmet, []
        if rank == nearest:
            lacking.append(entry.key)
    if giving:
        return Decision(Outcome.ALLOW, Reason.GRANTED, _once(giving), Remedy.NONE)
    return deny(reason_of(nearest_unmet), _once(lacking))


_NOT_NEAR: Final = len(RANK)


def _unmet(subject: Subject, entry: Entry, query: Query, now: UnixMillis) -> int:
    if entry.requirement is None:
        return 0
    return unmet_by(entry.requirement, query, now, subject.header.mfa_max_age)


def restricted_by(query: Query, bit: int, now: UnixMillis) -> Decision | None:
    """Return the deny of check 7, or None when the credential and every link let this pass."""
    credential = query.credential
    chain = credential.chain
    if len(chain) > MAX_LINKS:
        return deny(Reason.DELEGATION_TOO_LONG)
    expired = [AGENT + link.id for link in chain if link.expires_at is not None and now >= link.expires_at]
    if expired:
        return deny(Reason.DELEGATION_EXPIRED, _once(expired))
    outside = [] if _lets_pass(credential.authorities, credential.scopes, query, bit) else [CREDENTIAL]
    outside.extend(AGENT + link.id for link in chain if not _lets_pass(link.allow, link.scopes, query, bit))
    return deny(Reason.OUTSIDE_CREDENTIAL_SCOPE, _once(outside)) if outside else None


def _lets_pass(authorities: int | None, scopes: tuple[Scope, ...] | None, query: Query, bit: int) -> bool:
    """A list that is there must name the authority and cover the target; an empty one lets nothing pass.

    What covers a target covers everything below it, so a subtree needs no look of its own here.
    """
    if authorities is not None and not authorities & bit:
        return False
    if scopes is None:
        return True
    for scope in scopes:  # noqa: SIM110  (a generator for any() costs more than looking at a scope)
        if scope.covers(query.target):
            return True
    return False


def narrowed_by(subject: Subject, query: Query, bit: int, now: UnixMillis) -> tuple[str, ...]:
    """Return what decides against *bit* somewhere below the target, itself allowed (spec 1.6); empty if nothing does.

    Denies first. Of the places below where the narrowest grant does not give it, the first in the order of their
    written form speaks for all: a record that named a thousand bindings would help nobody.
    """
    withheld = withheld_in_subtree_by(subject, query, bit)
    if withheld:
        return withheld
    target = query.target
    section = target.section
    below = subject.grants(now).below(target) if section is None else subject.sections.below(section)
    if below.common & bit:
        return ()
    for node in below.nodes:
        if not node.mask & bit:
            decision = judge_node(subject, node, query, bit, now, otherwise=Reason.NOT_GRANTED)
            if decision.outcome is Outcome.DENY:
                return decision.because
    return ()


def _cited(ids: tuple[str, ...], agents: list[str]) -> tuple[str, ...]:
    if len(ids) > 1:
        ids = tuple(sorted(set(ids)))
    return (*ids, *_once(agents)) if agents else ids


def _once(keys: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys))
