"""Who holds an effective permission, by what, and under which conditions (spec 6.4 `who-can`, 4.5)."""

from typing import Final

from sidegate.core.engine.decide import decide_subject
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Decision, Outcome, Reason
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import Target
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import Network
from sidegate.core.policy.requirement import RANK, UNMET_MFA, UNMET_SOURCE, UNMET_SURFACE
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.policy.subject import Subject

_NO_SURFACE: Final = ""
"""A surface that no condition names: that of a request that claims nothing."""

_FEWEST_FIRST: Final = (0, *sorted(RANK, key=RANK.__getitem__))
"""Combinations of conditions that are met, the fewest first (spec 1.5)."""


@value
class Needs:
    """What a request must bring with it for the answer to be the one given.

    Attributes:
        mfa: A second factor that is recent enough.
        surfaces: One of these surfaces; empty for any.
        sources: An address in one of these networks (each alone is enough); empty for any.
    """

    mfa: bool = False
    surfaces: tuple[str, ...] = ()
    sources: tuple[Network, ...] = ()


@value
class Holder:
    """One account that may do it.

    Attributes:
        account: ``user:ID`` or ``service:ID``.
        decision: What it gets when *needs* are met: an allow, or a deny for ``approval_required`` because somebody else
            has to agree first.
        needs: The fewest conditions under which it gets that.
    """

    account: str
    decision: Decision
    needs: Needs


def who_can(
    snapshot: Snapshot, organization: str, authority: Authority, target: Target, now: UnixMillis
) -> tuple[Holder, ...]:
    """List every account of *organization* that may exercise *authority* on *target* at *now*, in the order of names.

    Asked is what the account may do by itself: with a credential that withholds nothing and without a chain. Conditions
    are looked into one combination after the other, the fewest first, so that what is listed as needed is needed.
    """
    found = snapshot.organizations.get(organization)
    if found is None:
        return ()
    return tuple(
        holder
        for account in found.records.accounts()
        if (holder := _holder(found, account, authority, target, now=now)) is not None
    )


def _holder(
    organization: OrganizationSnapshot, account: str, authority: Authority, target: Target, *, now: UnixMillis
) -> Holder | None:
    subject = organization.compile_subject(account)
    if subject.refusal is not None:
        return None
    surfaces, networks = _conditions_of(subject, now)
    for conditions in _FEWEST_FIRST:
        met = [
            (surface, network, decision)
            for surface in (surfaces if conditions & UNMET_SURFACE else (_NO_SURFACE,))
            for network in (networks if conditions & UNMET_SOURCE else (None,))
            if _is_held(
                decision := decide_subject(
                    subject,
                    Query(
                        VerifiedCredential(
                            CredentialKind.SESSION,
                            "",
                            account,
                            organization.organization,
                            second_factor_at=now if conditions & UNMET_MFA else None,
                            surface=surface,
                        ),
                        authority,
                        target,
                        None if network is None else network.network_address,
                    ),
                    now,
                )
            )
        ]
        if met:
            needs = Needs(
                mfa=bool(conditions & UNMET_MFA),
                surfaces=tuple(dict.fromkeys(surface for surface, _, _ in met if surface)),
                sources=tuple(dict.fromkeys(network for _, network, _ in met if network is not None)),
            )
            return Holder(account, met[0][2], needs)
    return None


def _is_held(decision: Decision) -> bool:
    return decision.outcome is Outcome.ALLOW or decision.reason is Reason.APPROVAL_REQUIRED


def _conditions_of(subject: Subject, now: UnixMillis) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    """Return the surfaces and the networks that any condition of *subject* names, sorted.

    The first address of a network lies in every network around it, and whoever lies in more networks meets no fewer
    conditions. So these first addresses are all the addresses that have to be tried.
    """
    surfaces: set[str] = set()
    networks: set[Network] = set()
    for requirement in subject.requirements(now):
        surfaces.update(requirement.surfaces or ())
        for listed in requirement.sources:
            networks.update(listed)
    return tuple(sorted(surfaces)), tuple(sorted(networks, key=str))
