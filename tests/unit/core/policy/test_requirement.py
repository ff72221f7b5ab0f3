"""Conditions in the form that is evaluated."""

from ipaddress import ip_address, ip_network

import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import Conditions
from sidegate.core.policy.requirement import (
    RANK,
    UNMET_MFA,
    UNMET_SOURCE,
    UNMET_SURFACE,
    Requirement,
    reason_of,
    requirement_of,
    unmet_by,
)

TEN = ip_network("10.0.0.0/8")
TEN_ONE = ip_network("10.1.0.0/16")
NOW = UnixMillis(100_000)
MAX_AGE = Millis(60_000)


def ask(second_factor_at: int | None = None, surface: str = "web", source: str | None = None) -> Query:
    """A request with these facts."""
    used = None if second_factor_at is None else UnixMillis(second_factor_at)
    credential = VerifiedCredential(
        CredentialKind.SESSION, "s1", "user:ana", "acme", second_factor_at=used, surface=surface
    )
    address = None if source is None else ip_address(source)
    return Query(credential, Authority.READ, parse_target("acme", "p1"), address)


@pytest.mark.parametrize(
    ("conditions", "implied", "expected"),
    [
        pytest.param([], False, None, id="nothing"),
        pytest.param([Conditions()], False, None, id="nothing-written"),
        pytest.param([Conditions(mfa=False)], False, None, id="mfa-false"),
        pytest.param([Conditions(mfa=True)], False, Requirement(True, None, ()), id="mfa"),
        pytest.param([Conditions(mfa=False)], True, Requirement(True, None, ()), id="implied-mfa-outweighs-false"),
        pytest.param(
            [Conditions(mfa=True), Conditions(mfa=False)], False, Requirement(True, None, ()), id="either-asks-for-mfa"
        ),
        pytest.param(
            [Conditions(surfaces=("web", "mobile")), Conditions(surfaces=("mobile", "admin"))],
            False,
            Requirement(False, frozenset({"mobile"}), ()),
            id="surface-in-both",
        ),
        pytest.param([Conditions(surfaces=())], False, Requirement(False, frozenset(), ()), id="no-surface-will-do"),
        pytest.param(
            [Conditions(sources=(TEN,)), Conditions(sources=(TEN_ONE,))],
            False,
            Requirement(False, None, ((TEN,), (TEN_ONE,))),
            id="each-list-of-networks",
        ),
    ],
)
def test_conditions_add_up(conditions: list[Conditions], implied: bool, expected: Requirement | None) -> None:
    """A binding's own and its role's must all be met (spec 1.5)."""
    assert expected == requirement_of(*conditions, implied_mfa=implied)


@pytest.mark.parametrize(
    ("used", "unmet"),
    [
        pytest.param(None, UNMET_MFA, id="never"),
        pytest.param(NOW - 60_001, UNMET_MFA, id="too-old"),
        pytest.param(NOW - 60_000, 0, id="at-the-limit"),
        pytest.param(NOW, 0, id="now"),
        pytest.param(NOW + 1, 0, id="ahead-of-this-clock"),
    ],
)
def test_second_factor(used: int | None, unmet: int) -> None:
    """At most ``mfa_max_age_s`` old (spec 1.5)."""
    assert unmet == unmet_by(Requirement(True, None, ()), ask(used), NOW, MAX_AGE)


@pytest.mark.parametrize(
    ("surfaces", "unmet"),
    [
        pytest.param({"web"}, 0, id="named"),
        pytest.param({"mobile"}, UNMET_SURFACE, id="other"),
        pytest.param(set(), UNMET_SURFACE, id="none-will-do"),
    ],
)
def test_surface(surfaces: set[str], unmet: int) -> None:
    """The session's surface is among those named."""
    assert unmet == unmet_by(Requirement(False, frozenset(surfaces), ()), ask(), NOW, MAX_AGE)


@pytest.mark.parametrize(
    ("sources", "address", "unmet"),
    [
        pytest.param(((TEN,),), "10.255.255.255", 0, id="inside"),
        pytest.param(((TEN,),), "11.0.0.0", UNMET_SOURCE, id="just-outside"),
        pytest.param(((TEN,),), None, UNMET_SOURCE, id="unknown-is-in-none"),
        pytest.param(
            ((ip_network("0.0.0.0/0"), ip_network("::/0")),), None, UNMET_SOURCE, id="unknown-not-even-in-all"
        ),
        pytest.param(((),), "10.0.0.1", UNMET_SOURCE, id="empty-list"),
        pytest.param(((TEN,), (TEN_ONE,)), "10.1.0.1", 0, id="in-each-list"),
        pytest.param(((TEN,), (TEN_ONE,)), "10.2.0.1", UNMET_SOURCE, id="not-in-each-list"),
        pytest.param(((TEN_ONE, TEN),), "10.2.0.1", 0, id="in-one-of-a-list"),
        pytest.param(((TEN,),), "::ffff:10.0.0.1", 0, id="ipv4-mapped"),
        pytest.param(((ip_network("::ffff:0:0/96"),),), "::ffff:10.0.0.1", 0, id="mapped-network"),
        pytest.param(((TEN,),), "::10.0.0.1", UNMET_SOURCE, id="not-mapped"),
        pytest.param(((ip_network("2001:db8::/32"),),), "2001:db8::1", 0, id="ipv6"),
        pytest.param(((ip_network("2001:db8::/32"),),), "10.0.0.1", UNMET_SOURCE, id="other-version"),
    ],
)
def test_source(sources: tuple, address: str | None, unmet: int) -> None:  # type: ignore[type-arg]
    """The client's address lies in one of the listed networks (spec 1.5)."""
    assert unmet == unmet_by(Requirement(False, None, sources), ask(source=address), NOW, MAX_AGE)


def test_everything_unmet_is_told_together() -> None:
    """One bit each."""
    requirement = Requirement(True, frozenset({"mobile"}), ((TEN,),))
    assert unmet_by(requirement, ask(), NOW, MAX_AGE) == UNMET_MFA | UNMET_SURFACE | UNMET_SOURCE


@pytest.mark.parametrize(
    ("unmet", "reason"),
    [
        pytest.param(UNMET_MFA, Reason.MFA_REQUIRED, id="mfa"),
        pytest.param(UNMET_SURFACE, Reason.SURFACE, id="surface"),
        pytest.param(UNMET_SOURCE, Reason.SOURCE_ADDRESS, id="source"),
        pytest.param(UNMET_MFA | UNMET_SOURCE, Reason.MFA_REQUIRED, id="mfa-before-source"),
        pytest.param(UNMET_SURFACE | UNMET_SOURCE, Reason.SURFACE, id="surface-before-source"),
        pytest.param(7, Reason.MFA_REQUIRED, id="all"),
    ],
)
def test_the_reason_follows_the_order(unmet: int, reason: Reason) -> None:
    """mfa, surface, source (spec 1.5)."""
    assert reason is reason_of(unmet)


def test_fewest_unmet_conditions_come_first() -> None:
    """Then the order mfa, surface, source."""
    order = sorted(RANK, key=lambda unmet: RANK[unmet])
    assert order == [1, 2, 4, 3, 5, 6, 7]
