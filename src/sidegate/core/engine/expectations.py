"""What a policy is expected to answer, held against what it answers (spec 6.4, ``policy test``)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.errors import Position, SidegateError
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument

E = TypeVar("E", bound=StrEnum)

_MEMBERS: Final = ("outcome", "reason", "because", "remedy")


class ExpectationError(SidegateError, ValueError):
    """An expectation is not written as one. Where it stood is the caller's to add."""


@value
class Expectation:
    """What a test expects; None for what it does not care about.

    Attributes:
        outcome: allow or deny.
        reason: Why.
        because: Ids of the entries that have to be cited, no others, in any order.
        remedy: What would change a deny.
    """

    outcome: Outcome | None = None
    reason: Reason | None = None
    because: frozenset[str] | None = None
    remedy: Remedy | None = None


def read_expectation(written: object) -> Expectation:
    """Read ``expect``: ``allow``, ``deny``, a reason, or a mapping of ``outcome``, ``reason``, ``because``, ``remedy``.

    Raises:
        ExpectationError: It is none of that, or expects nothing; the message says what to write.
    """
    if isinstance(written, str):
        if written in set(Outcome):
            return Expectation(outcome=Outcome(written))
        return Expectation(reason=_member(Reason, "expect", written))
    if not isinstance(written, Mapping):
        raise ExpectationError("`expect` is neither text nor a mapping; write allow, deny, a reason, or {outcome: …}")
    unknown = [str(name) for name in written if name not in _MEMBERS]
    if unknown:
        raise ExpectationError(f"`expect.{unknown[0]}` is not known; there are: {', '.join(_MEMBERS)}")
    expected = Expectation(
        outcome=_optional(Outcome, written, "outcome"),
        reason=_optional(Reason, written, "reason"),
        because=_keys(written.get("because")),
        remedy=_optional(Remedy, written, "remedy"),
    )
    if expected == Expectation():
        raise ExpectationError("`expect` expects nothing; write allow, deny, a reason, or {outcome: …}")
    return expected


def _optional(closed_set: type[E], written: Mapping[object, object], name: str) -> E | None:
    given = written.get(name)
    return None if given is None else _member(closed_set, f"expect.{name}", given)


def _member(closed_set: type[E], name: str, given: object) -> E:
    if isinstance(given, str) and given in set(closed_set):
        return closed_set(given)
    raise ExpectationError(f"`{name}` is `{given}`; write one of {', '.join(closed_set)}")


def _keys(given: object) -> frozenset[str] | None:
    if given is None:
        return None
    if not isinstance(given, list | tuple) or not all(isinstance(key, str) for key in given):
        raise ExpectationError("`expect.because` is no list of ids; write it like [b1, d2]")
    return frozenset(given)


def find_mismatches(expected: Expectation, decision: Decision) -> tuple[str, ...]:
    """Say in what *decision* is not what was *expected*; empty when it is."""
    found = []
    for name, wanted, got in (
        ("outcome", expected.outcome, decision.outcome),
        ("reason", expected.reason, decision.reason),
        ("remedy", expected.remedy, decision.remedy),
    ):
        if wanted is not None and wanted is not got:
            found.append(f"{name} is {got}, expected {wanted}")
    if expected.because is not None and expected.because != frozenset(decision.because):
        found.append(f"because is {_listed(decision.because)}, expected {_listed(sorted(expected.because))}")
    return tuple(found)


def _listed(keys: Iterable[str]) -> str:
    return f"[{', '.join(keys)}]"


@value
class Coverage:
    """Which entries of a policy some test relied on.

    Attributes:
        organization: Whose policy.
        covered: Keys of bindings, denies, approval rules and custom roles that some decision cited.
        uncovered: The others, with their places.
    """

    organization: str
    covered: tuple[str, ...]
    uncovered: tuple[tuple[str, Position | None], ...]

    @property
    def percent(self) -> int:
        """Whole percent of the entries that are covered; 100 when there are none."""
        total = len(self.covered) + len(self.uncovered)
        return 100 if not total else len(self.covered) * 100 // total


def measure_coverage(document: PolicyDocument, cited: Iterable[str]) -> Coverage:
    """Return which entries of *document* are among those *cited*.

    A custom role counts as covered when it is cited itself, or when a cited binding gives it.
    """
    seen = set(cited)
    seen.update(f"role:{binding.role}" for binding in document.bindings if binding.id in seen)
    keys = [
        *(binding.id for binding in document.bindings),
        *(deny.id for deny in document.denies),
        *(rule.id for rule in document.approvals),
        *(f"role:{role.name}" for role in document.roles),
    ]
    return Coverage(
        document.organization,
        tuple(key for key in keys if key in seen),
        tuple((key, document.positions.get(key)) for key in keys if key not in seen),
    )
