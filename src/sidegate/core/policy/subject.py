"""One account in one organization, in the form in which it is decided (spec 1.3 to 1.5, 7)."""

from collections.abc import Iterator
from typing import Final

from sidegate.core.model.decision import Decision, Reason, deny
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.binding import compile_binding, is_in_force, is_timed
from sidegate.core.policy.document import BindingEntry, DenyEntry
from sidegate.core.policy.header import SERVICE, CompiledHeader, DenyTable
from sidegate.core.policy.requirement import Requirement
from sidegate.core.policy.table import Entry, Grants, LayeredTable, ScopeTable

ACCOUNT_INACTIVE: Final = deny(Reason.ACCOUNT_INACTIVE)
NOT_A_MEMBER: Final = deny(Reason.NOT_A_MEMBER)


@value
class SubjectRecord:
    """What a policy says about one account alone, its membership included (spec 5.2). Lists are in the order of ids."""

    account: str
    state: AccountState = AccountState.ACTIVE
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()


class Subject:
    """A compiled account. Immutable in meaning: what it builds later depends on its parts and *now* alone.

    Attributes:
        account: ``user:ID`` or ``service:ID``.
        organization: Where it is a member.
        header: The rest of the policy it was compiled with.
        refusal: The deny of check 2, if the account gets no further.
        roles: The organization roles it holds, in the order of names.
        denies: All that withhold something from it, links of a chain aside; None when nothing does.
        sections: What its organization roles give on sections; one entry per role and section.
        ceiling: What its organization roles allow at most.
        standing: The grants, when none of them begins or ends at some time; else None, see :meth:`grants`.
        shadow: The same account under the candidate; None when the candidate does not concern it.
    """

    __slots__ = (
        "_bindings",
        "_grants",
        "_large",
        "_required",
        "_valid_from",
        "_valid_until",
        "account",
        "ceiling",
        "denies",
        "header",
        "organization",
        "refusal",
        "roles",
        "sections",
        "shadow",
        "standing",
    )

    def __init__(self, header: CompiledHeader, record: SubjectRecord | None, account: str) -> None:
        self.account = account
        self.organization = header.organization
        self.header = header
        self.shadow: ShadowSubject | None = None
        self.refusal = _refusal(record)
        if record is None:
            record = SubjectRecord(account)
        is_service = account.startswith(SERVICE)
        holding = header.holding_of(tuple(sorted(set(record.roles))), is_service=is_service)
        self.roles = holding.roles
        self.sections = holding.sections
        self.ceiling = holding.ceiling
        denies = tuple(_denies_of(header, record))
        self.denies = DenyTable(denies) if denies else None
        groups = sorted(set(record.groups))
        self._large = tuple(header.large_groups[group] for group in groups if group in header.large_groups)
        self._bindings: tuple[BindingEntry, ...] = (
            *record.bindings,
            *(binding for group in groups for binding in _laid_out_here(header, group)),
        )
        self._grants: Grants | None = None
        self._valid_from: UnixMillis | None = None
        self._valid_until: UnixMillis | None = None
        self._required: tuple[Requirement, ...] = ()
        self.standing = None if any(map(is_timed, self._bindings)) else self._lay_out(UnixMillis(0))
        if self.standing is not None:
            # Laid out for good: what they were made of is a fifth of the memory of an account.
            self._bindings = ()

    def grants(self, now: UnixMillis) -> Grants:
        """Return the bindings in force at *now*, implied ones included, by scope.

        They are compiled again when *now* has left the interval in which nothing begins or ends.
        """
        if self.standing is not None:
            return self.standing
        if (
            self._grants is None
            or (self._valid_from is not None and now < self._valid_from)
            or (self._valid_until is not None and now >= self._valid_until)
        ):
            self._grants = self._compile_grants(now)
        return self._grants

    def requirements(self, now: UnixMillis) -> Iterator[Requirement]:
        """Yield what its organization roles and the bindings in force at *now* require, for listing conditions."""
        self.grants(now)
        for entry in self.ceiling.entries:
            if entry.requirement is not None:
                yield entry.requirement
        yield from self._required
        for group in self._large:
            yield from group.requirements

    def _compile_grants(self, now: UnixMillis) -> Grants:
        instants = [
            instant
            for binding in self._bindings
            for instant in (binding.not_before, binding.not_after)
            if instant is not None
        ]
        self._valid_from = max((instant for instant in instants if instant <= now), default=None)
        self._valid_until = min((instant for instant in instants if instant > now), default=None)
        return self._lay_out(now)

    def _lay_out(self, now: UnixMillis) -> Grants:
        entries = tuple(self._grant_entries(now))
        self._required = tuple(
            dict.fromkeys(entry.requirement for _, entry in entries if entry.requirement is not None)
        )
        own = ScopeTable(entries)
        if not self._large:
            return own
        is_service = self.account.startswith(SERVICE)
        return LayeredTable((own, *(group.of_services if is_service else group.of_users for group in self._large)))

    def _grant_entries(self, now: UnixMillis) -> Iterator[tuple[Scope, Entry]]:
        is_service = self.account.startswith(SERVICE)
        for binding in self._bindings:
            if binding.on.section is None and is_in_force(binding, now):
                yield binding.on, compile_binding(self.header.roles, binding, is_service=is_service)
        for held in self.roles:
            for name, scope in held.role.implied:
                # An implied binding has the conditions of the organization role that it comes with (spec 1.5).
                authorities = self.header.roles[name].role.authorities
                yield scope, Entry(f"role:{held.role.name}", authorities, held.required_of(is_service=is_service))


class ShadowSubject:
    """The candidate's form of an account, compiled on first use."""

    __slots__ = ("_account", "_header", "_record", "_subject")

    def __init__(self, header: CompiledHeader, record: SubjectRecord | None, account: str) -> None:
        self._header = header
        self._record = record
        self._account = account
        self._subject: Subject | None = None

    def subject(self) -> Subject:
        """Return the account as the candidate has it."""
        if self._subject is None:
            self._subject = Subject(self._header, self._record, self._account)
        return self._subject


def _laid_out_here(header: CompiledHeader, group: str) -> tuple[BindingEntry, ...]:
    """Return the bindings of *group* that are laid out for each member: of a large one, those bounded in time."""
    large = header.large_groups.get(group)
    return header.group_bindings.get(group, ()) if large is None else large.timed


def _refusal(record: SubjectRecord | None) -> Decision | None:
    if record is None:
        return NOT_A_MEMBER
    return None if record.state is AccountState.ACTIVE else ACCOUNT_INACTIVE


def _denies_of(header: CompiledHeader, record: SubjectRecord) -> Iterator[DenyEntry]:
    yield from record.denies
    for group in sorted(set(record.groups)):
        yield from header.group_denies.get(group, ())
    # By the name as held: a deny on a role holds whether or not the role is known or its conditions are met.
    for role in sorted(set(record.roles)):
        yield from header.role_denies.get(role, ())
