"""Asks again what a recorded decision was about, to tell how it came about (spec 6.6). Pure.

A record holds what was decided and why, not everything that the credential proved: the second factor, the surface and
the restrictions of a credential are not in it. So the question is put again under each plain assumption, and only one
that leads to the very decision that was recorded is explained. Otherwise there is no honest explanation.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import product
from typing import Final

from sidegate.core.engine.explain import Explanation, explain
from sidegate.core.model.authority import SUBTREE_PRIMITIVES
from sidegate.core.model.errors import NamingError
from sidegate.core.model.principal import Address, CredentialKind, Link, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.trail.record import DecisionRecord

_SURFACES: Final = ("web", "mobile", "admin")


@value
class Assumption:
    """What the record does not say.

    Attributes:
        surface: Of the session.
        second_factor: One was used just before.
        subtree: The operation reached everything below the target.
    """

    surface: str
    second_factor: bool
    subtree: bool


@value
class Reconstruction:
    """An explanation that ends in the recorded decision, and under what assumption it does."""

    explanation: Explanation
    assumption: Assumption


def _address(source: str | None) -> Address | None:
    try:
        return None if source is None else ip_address(source)
    except ValueError:
        return None  # a Unix socket has no address


def questions(record: DecisionRecord, organization: OrganizationSnapshot) -> Iterator[tuple[Assumption, Query]]:
    """Yield what may have been asked, the likeliest first.

    Args:
        record: As read from the trail.
        organization: That of its target; it knows to what its API keys are limited.
    """
    if record.actor is None or record.org is None or record.target is None or record.authority is None:
        return
    kind = CredentialKind.SESSION if record.credential is None else record.credential.kind
    key = None
    if record.credential is not None and kind is CredentialKind.API_KEY:
        key = organization.keys.get(record.credential.id)
    of_primitive = record.primitive in SUBTREE_PRIMITIVES
    for subtree, second_factor, surface in product((of_primitive, not of_primitive), (False, True), _SURFACES):
        try:
            target = parse_target(record.org, record.target, subtree=subtree)
        except NamingError:
            return
        credential = VerifiedCredential(
            kind=kind,
            id="" if record.credential is None else record.credential.id,
            account=record.actor.account,
            org=organization.organization,
            authorities=None if key is None else key.authorities,
            scopes=None if key is None else key.scopes,
            chain=tuple(Link(link) for link in record.actor.chain),
            second_factor_at=record.time if second_factor else None,
            surface=surface,
        )
        yield (
            Assumption(surface, second_factor, subtree),
            Query(credential, record.authority, target, _address(record.source), record.approval_id is not None),
        )


def reconstruct(snapshot: Snapshot, record: DecisionRecord) -> Reconstruction | None:
    """Return how the recorded decision comes about under *snapshot*; None when it does not, or not provably.

    Args:
        snapshot: In force now. Its policy must be of the recorded revision.
        record: As read from the trail.
    """
    organization = None if record.org is None else snapshot.organizations.get(record.org)
    if organization is None or organization.revision != record.revision:
        return None
    recorded = (record.outcome, record.reason, record.because)
    for assumption, query in questions(record, organization):
        explanation = explain(snapshot, query, UnixMillis(record.time))
        decision = explanation.decision
        if (decision.outcome, decision.reason, decision.because) == recorded:
            return Reconstruction(explanation, assumption)
    return None
