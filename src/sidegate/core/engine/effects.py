"""Which answers change between two policies (spec 6.4, ``policy diff --effects``)."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from sidegate.core.engine.decide import decide_subject
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Decision
from sidegate.core.model.principal import Address, CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import Scope, Target, project_target, section_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.snapshot import OrganizationSnapshot
from sidegate.core.policy.subject import Subject

_MAX_SCOPES: Final = 4096
"""Distinct scopes of one account that are looked into; an account with more is reported as not wholly compared."""

_ANY: Final = "any"


@value
class Circumstance:
    """What a request brings with it."""

    mfa: bool
    surface: str
    source: Address | None


@value
class EffectChange:
    """One question whose outcome is another.

    Attributes:
        account: Who asks.
        authority: For what.
        target: On what. A part called ``any`` (or ``any-1`` …) stands for every name that the policies do not mention.
        circumstance: The plainest in which the outcomes differ.
        before: The answer of the first policy.
        after: The answer of the second policy.
    """

    account: str
    authority: Authority
    target: Target
    circumstance: Circumstance
    before: Decision
    after: Decision


@value
class Effects:
    """What changes.

    Attributes:
        changes: By account, target and authority.
        partial: Accounts with more scopes than are looked into: some of their changes may be missing.
    """

    changes: tuple[EffectChange, ...]
    partial: tuple[str, ...]


def compare_effects(before: OrganizationSnapshot, after: OrganizationSnapshot, now: UnixMillis) -> Effects:
    """Return every (account, authority, target) whose outcome differs between two policies of one organization.

    Which entries cover a target decides its answer, so one target is tried for each combination of scopes that can
    cover one: the scopes that concern the account and all that two of them have in common. Asked is with a credential
    that withholds nothing, without a chain and for single targets, under every condition that a policy names.
    """
    changes: list[EffectChange] = []
    partial: list[str] = []
    for account in sorted({*before.records.accounts(), *after.records.accounts()}):
        scopes, is_whole = _close({*_scopes_of(before, account), *_scopes_of(after, account)})
        if not is_whole:
            partial.append(account)
        old, new = before.compile_subject(account), after.compile_subject(account)
        circumstances = _circumstances(old, new, now)
        for target in _targets(before.organization, scopes):
            for authority in Authority:
                change = _first_change(old, new, authority, target, circumstances, now)
                if change is not None:
                    changes.append(change)
    return Effects(tuple(changes), tuple(partial))


def _first_change(  # noqa: PLR0917  (one question, taken apart)
    old: Subject,
    new: Subject,
    authority: Authority,
    target: Target,
    circumstances: list[Circumstance],
    now: UnixMillis,
) -> EffectChange | None:
    for circumstance in circumstances:
        credential = VerifiedCredential(
            CredentialKind.SESSION,
            "",
            old.account,
            target.org,
            second_factor_at=now if circumstance.mfa else None,
            surface=circumstance.surface,
        )
        query = Query(credential, authority, target, circumstance.source)
        was, is_now = decide_subject(old, query, now), decide_subject(new, query, now)
        if was.outcome is not is_now.outcome:
            return EffectChange(old.account, authority, target, circumstance, was, is_now)
    return None


def _circumstances(old: Subject, new: Subject, now: UnixMillis) -> list[Circumstance]:
    """Return every combination of what conditions of either policy ask for, the plainest first."""
    has_mfa = False
    surfaces: dict[str, None] = {"web": None}
    sources: dict[Address | None, None] = {None: None}
    for subject in (old, new):
        for requirement in subject.requirements(now):
            has_mfa = has_mfa or requirement.mfa
            surfaces.update(dict.fromkeys(sorted(requirement.surfaces or ())))
            for networks in requirement.sources:
                # The first address of a network lies in every network around it, and no fewer than any other in it.
                sources.update((network.network_address, None) for network in networks)
    factors = (False, True) if has_mfa else (False,)
    return [Circumstance(mfa, surface, source) for mfa, surface, source in product(factors, surfaces, sources)]


def _scopes_of(organization: OrganizationSnapshot, account: str) -> Iterator[Scope]:
    """Yield every scope that an entry concerning *account* names."""
    document: PolicyDocument = organization.document
    record = organization.records.record_of(account)
    if record is None:
        return
    who = {account, *(f"group:{group}" for group in record.groups), *(f"role:{role}" for role in record.roles)}
    yield from (binding.on for binding in document.bindings if binding.who in who)
    yield from (deny.on for deny in document.denies if deny.who in who)
    yield from (rule.on for rule in document.approvals)
    roles = resolve_roles(document.roles)
    for name in record.roles:
        role = roles.get(name)
        if role is not None:
            yield from (scope for _, scope in role.implied)
            yield from (Scope(section, None, None, ()) for section in role.sections or {})


def _close(scopes: set[Scope]) -> tuple[list[Scope], bool]:
    """Add what scopes have in common, until nothing new comes; False if that was cut short."""
    closed = dict.fromkeys(sorted(scopes, key=str))
    pending = list(closed)
    while pending:
        one = pending.pop()
        for other in list(closed):
            common = _meet(one, other)
            if common is not None and common not in closed:
                if len(closed) >= _MAX_SCOPES:
                    return list(closed), False
                closed[common] = None
                pending.append(common)
    return list(closed), True


def _meet(one: Scope, other: Scope) -> Scope | None:
    """Return the scope of what lies in both; None when nothing does. Of two sections, one lies in the other or none."""
    if one.section is not None or other.section is not None:
        return None
    if None not in {one.project, other.project} and one.project != other.project:
        return None
    if None not in {one.branch, other.branch} and one.branch != other.branch:
        return None
    shorter, longer = sorted((one.path, other.path), key=len)
    if longer[: len(shorter)] != shorter:
        return None
    return Scope(None, one.project or other.project, one.branch or other.branch, longer)


def _targets(org: str, scopes: Iterable[Scope]) -> list[Target]:
    """Return one target of each kind for each scope, with names that nothing mentions for what it leaves open."""
    listed = list(scopes)
    project = _unused({scope.project for scope in listed})
    branch = _unused({scope.branch for scope in listed})
    segment = _unused({part for scope in listed for part in scope.path})
    targets: dict[str, Target] = {}
    for scope in listed:
        if scope.section is not None:
            found = [section_target(org, scope.section)]
        else:
            named = scope.project or project
            found = [project_target(org, named, scope.branch or branch, scope.path or (segment,))]
            if not scope.path:
                found.insert(0, project_target(org, named, scope.branch or branch))
                if scope.branch is None:
                    found.insert(0, project_target(org, named))
        targets.update((target.text, target) for target in found)
    return [targets[text] for text in sorted(targets)]


def _unused(names: set[str] | set[str | None]) -> str:
    number = 0
    name = _ANY
    while name in names:
        number += 1
        name = f"{_ANY}-{number}"
    return name
