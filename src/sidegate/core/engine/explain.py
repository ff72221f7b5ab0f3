"""The answer and how it came about, check by check (spec 1.5, 6.4 `why`, 6.6 `/v1/explain`)."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, assert_never

from sidegate.core.engine.decide import decide
from sidegate.core.engine.judge import judge_node, narrowed_by, restricted_by, withheld_by
from sidegate.core.model.authority import BIT, Mask, authorities_in
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.errors import Position
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.policy.subject import Subject
from sidegate.core.policy.table import Node


class Check(StrEnum):
    """The checks of spec 1.5 in their order, with what 1.6 adds for subtrees."""

    ORGANIZATION = "organization"
    MEMBERSHIP = "membership"
    DENIES = "denies"
    SECTIONS = "sections"
    CEILING = "ceiling"
    GRANTS = "grants"
    CREDENTIAL = "credential"
    SUBTREE = "subtree"
    APPROVAL = "approval"


class Step(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"


@value
class Considered:
    """One entry that a check looked at.

    Attributes:
        key: As in ``Decision.because``.
        authorities: What it gives or withholds, in words.
        decided: It is among those that made the check pass or fail.
        position: Where it is written, if that is known.
    """

    key: str
    authorities: tuple[str, ...]
    decided: bool
    position: Position | None


@value
class ExplainedCheck:
    """One check: what it asked, what it looked at, how it ended."""

    check: Check
    step: Step
    text: str
    considered: tuple[Considered, ...] = ()


@value
class Explanation:
    """Everything about one decision.

    Attributes:
        decision: Exactly what :func:`decide.decide` answers.
        organization: The one the principal acts in.
        revision: Of the organization's policy; None when the organization is unknown.
        steps: The checks up to and including the one that decided.
        remedy: One sentence on what would change a deny; empty for an allow.
    """

    decision: Decision
    organization: str
    revision: int | None
    steps: tuple[ExplainedCheck, ...]
    remedy: str


def explain(snapshot: Snapshot, query: Query, now: UnixMillis) -> Explanation:
    """Decide *query* and tell how."""
    organization = snapshot.organizations.get(query.credential.org)
    decision = decide(snapshot, query, now)
    return Explanation(
        decision,
        query.credential.org,
        None if organization is None else organization.revision,
        tuple(_steps(organization, query, now)),
        remedy_text(decision),
    )


_WITHOUT_REMEDY: Final = {
    Reason.CROSS_ORG: "use a credential of the organization that the target belongs to",
    Reason.SURFACE: "make the request from a surface that the role or binding names",
    Reason.SOURCE_ADDRESS: "make the request from a network that the role or binding names",
    Reason.OUTSIDE_CREDENTIAL_SCOPE: "use a credential that was given this authority on this target",
    Reason.SUBTREE_NARROWED: "ask for a smaller subtree, or for its parts one by one",
}


def remedy_text(decision: Decision) -> str:
    """Say in one sentence what would change *decision*; empty for an allow."""
    if decision.outcome is Outcome.ALLOW:
        return ""
    match decision.remedy:
        case Remedy.AUTHENTICATE:
            return "sign in again, or use a credential that is still valid"
        case Remedy.STEP_UP:
            return "use a second factor in this session and repeat the request"
        case Remedy.REQUEST_APPROVAL:
            return "wait for the approval that this operation needs, then repeat the request with it"
        case Remedy.REQUEST_ELEVATION:
            return "ask for a role on this scope that gives the authority"
        case Remedy.RETRY_LATER:
            return "repeat the request later"
        case Remedy.NONE:
            return _WITHOUT_REMEDY.get(decision.reason, "nothing that the caller can do; the policy has to change")
        case _:
            assert_never(decision.remedy)


def _steps(organization: OrganizationSnapshot | None, query: Query, now: UnixMillis) -> Iterator[ExplainedCheck]:
    credential, target = query.credential, query.target
    if target.org != credential.org:
        text = f"the target belongs to `{target.org}`, {credential.account} acts in `{credential.org}`"
        yield ExplainedCheck(Check.ORGANIZATION, Step.FAILED, text)
        return
    yield ExplainedCheck(Check.ORGANIZATION, Step.PASSED, f"both are in `{credential.org}`")
    if organization is None:
        text = f"nothing is known of the organization `{credential.org}`, so it has no members"
        yield ExplainedCheck(Check.MEMBERSHIP, Step.FAILED, text)
        return
    subject = organization.compile_subject(credential.account)
    for step in _Tracer(organization, subject, query, now).steps():
        yield step
        if step.step is Step.FAILED:
            return


class _Tracer:
    """Runs the engine's own checks one after the other, and notes what each looked at."""

    def __init__(self, organization: OrganizationSnapshot, subject: Subject, query: Query, now: UnixMillis) -> None:
        self._positions = organization.document.positions
        self._subject = subject
        self._query = query
        self._now = now
        self._bit = BIT[query.authority]

    def steps(self) -> Iterator[ExplainedCheck]:
        """Yield every check; the caller stops at the first that failed."""
        yield self._membership()
        yield self._denies()
        if self._query.target.section is not None:
            yield self._sections()
        else:
            yield self._ceiling()
            yield self._grants()
        yield self._credential()
        if self._query.target.subtree:
            yield self._subtree()
        yield self._approval()

    def _membership(self) -> ExplainedCheck:
        account, refusal = self._subject.account, self._subject.refusal
        if refusal is None:
            held = ", ".join(role.role.name for role in self._subject.roles) or "no organization role"
            return ExplainedCheck(Check.MEMBERSHIP, Step.PASSED, f"{account} is an active member with {held}")
        text = f"{account} is {'not active' if refusal.reason is Reason.ACCOUNT_INACTIVE else 'not a member'}"
        return ExplainedCheck(Check.MEMBERSHIP, Step.FAILED, text)

    def _denies(self) -> ExplainedCheck:
        withheld = withheld_by(self._subject, self._query, self._bit)
        if not withheld:
            return ExplainedCheck(Check.DENIES, Step.PASSED, f"nothing withholds {self._asked()}")
        return ExplainedCheck(
            Check.DENIES,
            Step.FAILED,
            f"{self._asked()} is withheld, whatever else is granted",
            self._cited(withheld, self._bit),
        )

    def _sections(self) -> ExplainedCheck:
        section = self._query.target.section
        node = None if section is None else self._subject.sections.narrowest(section)
        if node is None:
            text = f"no organization role of {self._subject.account} says anything about {self._query.target.text}"
            return ExplainedCheck(Check.SECTIONS, Step.FAILED, text)
        return self._judged(
            Check.SECTIONS, node, "of each organization role the longest section counts", Reason.NOT_GRANTED
        )

    def _ceiling(self) -> ExplainedCheck:
        text = "what the organization roles allow at most"
        return self._judged(Check.CEILING, self._subject.ceiling, text, Reason.ABOVE_CEILING)

    def _grants(self) -> ExplainedCheck:
        target = self._query.target
        node = self._subject.grants(self._now).narrowest(target.project, target.branch, target.path)
        if node is None:
            text = f"no binding in force of {self._subject.account} covers {target.text}"
            return ExplainedCheck(Check.GRANTS, Step.FAILED, text)
        return self._judged(
            Check.GRANTS, node, f"the narrowest bindings that cover {target.text} count", Reason.NOT_GRANTED
        )

    def _credential(self) -> ExplainedCheck:
        refused = restricted_by(self._query, self._bit, self._now)
        if refused is None:
            text = "the credential and its delegation chain do not withhold it"
            return ExplainedCheck(Check.CREDENTIAL, Step.PASSED, text)
        links = len(self._query.credential.chain)
        texts = {
            Reason.DELEGATION_TOO_LONG: f"the delegation chain has {links} links",
            Reason.DELEGATION_EXPIRED: "a link of the delegation chain is over",
        }
        text = texts.get(refused.reason, f"{self._asked()} is outside what the credential or a link was given")
        return ExplainedCheck(Check.CREDENTIAL, Step.FAILED, text, self._cited(refused.because, 0))

    def _subtree(self) -> ExplainedCheck:
        narrowed = narrowed_by(self._subject, self._query, self._bit, self._now)
        if not narrowed:
            return ExplainedCheck(Check.SUBTREE, Step.PASSED, "nothing below the target is decided otherwise")
        text = f"{self._query.authority} is not allowed everywhere below {self._query.target.text}"
        return ExplainedCheck(Check.SUBTREE, Step.FAILED, text, self._cited(narrowed, 0))

    def _approval(self) -> ExplainedCheck:
        rules = self._subject.header.approvals.covering(self._query.target, self._bit)
        if not rules:
            return ExplainedCheck(Check.APPROVAL, Step.PASSED, "no approval rule covers it")
        considered = self._cited(rules, self._bit)
        if self._query.approved:
            return ExplainedCheck(Check.APPROVAL, Step.PASSED, "the request carries the approval", considered)
        return ExplainedCheck(Check.APPROVAL, Step.FAILED, "somebody else has to approve it", considered)

    def _judged(self, check: Check, node: Node, text: str, otherwise: Reason) -> ExplainedCheck:
        decision = judge_node(self._subject, node, self._query, self._bit, self._now, otherwise=otherwise)
        considered = tuple(
            Considered(
                entry.key,
                tuple(authorities_in(entry.mask)),
                entry.key in decision.because,
                self._positions.get(entry.key),
            )
            for entry in node.entries
        )
        if decision.outcome is Outcome.ALLOW:
            return ExplainedCheck(check, Step.PASSED, f"{text}: {self._query.authority} is among it", considered)
        if decision.reason is otherwise:
            text = f"{text}: {self._query.authority} is not among it"
        else:
            text = f"{text}: {self._query.authority} would be, but for a condition ({decision.reason})"
        return ExplainedCheck(check, Step.FAILED, text, considered)

    def _cited(self, keys: tuple[str, ...], bit: int) -> tuple[Considered, ...]:
        words = tuple(authorities_in(Mask(bit)))
        return tuple(Considered(key, words, decided=True, position=self._positions.get(key)) for key in keys)

    def _asked(self) -> str:
        return f"{self._query.authority} on {self._query.target.text}"
