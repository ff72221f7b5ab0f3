"""The subject records of a whole document, found by account (spec 5.2)."""

from typing import Protocol

from sidegate.core.policy.document import BindingEntry, DenyEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.header import SERVICE, USER, group_by_who
from sidegate.core.policy.subject import SubjectRecord


class RecordSource(Protocol):
    """Where the record of an account comes from: a whole document, or what was fetched so far."""

    def record_of(self, account: str) -> SubjectRecord | None:
        """Return what the policy says about *account*; None when it is not a member."""
        ...


class DocumentRecords:
    """Records taken from a document that is wholly in memory."""

    __slots__ = ("_bindings", "_denies", "_members")

    def __init__(self, document: PolicyDocument) -> None:
        self._members: dict[str, MemberEntry] = {member.account: member for member in document.members}
        self._bindings: dict[str, tuple[BindingEntry, ...]] = {}
        self._denies: dict[str, tuple[DenyEntry, ...]] = {}
        for prefix in (USER, SERVICE):
            bindings = group_by_who(document.bindings, prefix)
            self._bindings.update((prefix + name, listed) for name, listed in bindings.items())
            denies = group_by_who(document.denies, prefix)
            self._denies.update((prefix + name, listed) for name, listed in denies.items())

    def record_of(self, account: str) -> SubjectRecord | None:
        """Return what the document says about *account*; None when it is not a member."""
        member = self._members.get(account)
        if member is None:
            return None
        return SubjectRecord(
            account,
            member.state,
            tuple(sorted(set(member.roles))),
            tuple(sorted(set(member.groups))),
            self._bindings.get(account, ()),
            self._denies.get(account, ()),
        )

    def accounts(self) -> tuple[str, ...]:
        """List every account that is a member, sorted."""
        return tuple(sorted(self._members))
