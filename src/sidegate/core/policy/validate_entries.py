"""What is wrong with members, bindings, denies, approval rules and keys of a policy document (spec 1.5, 4.1, 6.3)."""

from collections.abc import Iterator, Mapping
from typing import Final

from sidegate.core.model.authority import NO_AUTHORITY
from sidegate.core.model.target import Kind, Scope
from sidegate.core.model.units import format_instant, year_after
from sidegate.core.policy.builtin import FOR_SERVICE_ACCOUNTS, Role, RoleKind
from sidegate.core.policy.document import ApprovalRule, BindingEntry, DenyEntry, KeyEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.findings import Finding, Speller, error, warning
from sidegate.core.policy.header import AGENT, GROUP, ROLE, SERVICE, USER

_DIGEST_BYTES: Final = 32
_ACCOUNT_FORMS: Final = "write `user:ID` or `service:ID`"


class EntryJudge:
    """Holds the names that entries may refer to; one instance per document."""

    def __init__(self, document: PolicyDocument, roles: Mapping[str, Role]) -> None:
        self._roles = roles
        self._speller = Speller()
        self._project_roles = {name for name, role in roles.items() if role.kind is RoleKind.PROJECT}
        self._organization_roles = roles.keys() - self._project_roles
        self._accounts = {member.account for member in document.members}
        self._declared_groups = {group.name for group in document.groups}
        # A group that a member is in exists, declared or not: a deny on it applies.
        self._groups = self._declared_groups.union(*(member.groups for member in document.members))

    def findings(self, document: PolicyDocument) -> Iterator[Finding]:
        """Yield the problems of every entry."""
        for member in document.members:
            yield from self._of_member(member)
        for binding in document.bindings:
            yield from self._of_binding(binding)
        for entry in document.denies:
            yield from self._of_deny(entry)
        for rule in document.approvals:
            yield from self._of_approval(rule)
        for api_key in document.keys:
            yield from self._of_key(api_key)

    def _of_member(self, member: MemberEntry) -> Iterator[Finding]:
        key = f"member:{member.account}"
        if not _is_account(member.account):
            yield error(key, f"is `{member.account}`, which is no account", _ACCOUNT_FORMS)
        for name in member.roles:
            role = self._roles.get(name)
            if role is None:
                hint = self._speller.suggest(
                    name, self._organization_roles, "name a built-in role or one under `roles`"
                )
                yield warning(key, f"holds the role `{name}`, which nobody knows: it gives nothing", hint)
            elif role.kind is RoleKind.PROJECT:
                yield warning(
                    key,
                    f"holds the project role `{name}`: through membership it gives nothing",
                    "bind it on a project scope under `bindings`",
                )
            elif name in FOR_SERVICE_ACCOUNTS and not member.account.startswith(SERVICE):
                yield warning(key, f"holds `{name}`, which is meant for service accounts", "use a `service:ID` account")
        for name in member.groups:
            if name not in self._declared_groups:
                hint = self._speller.suggest(name, self._declared_groups, f"declare it: `groups: {{{name}: {{}}}}`")
                yield warning(key, f"is in the group `{name}`, which is not declared", hint)

    def _of_binding(self, binding: BindingEntry) -> Iterator[Finding]:
        key = binding.id
        if binding.who.startswith(GROUP):
            name = binding.who.removeprefix(GROUP)
            if name not in self._groups:
                hint = self._speller.suggest(name, self._groups, f"declare it: `groups: {{{name}: {{}}}}`")
                yield warning(key, f"is for the group `{name}`, which nobody knows: it grants nothing", hint)
        else:
            yield from self._of_account(key, binding.who, "write `user:ID`, `service:ID` or `group:NAME`")
        role = self._roles.get(binding.role)
        if role is None:
            hint = self._speller.suggest(binding.role, self._project_roles, "name a built-in role or one under `roles`")
            yield warning(key, f"gives the role `{binding.role}`, which nobody knows: it grants nothing", hint)
        elif role.kind is RoleKind.ORGANIZATION:
            yield warning(
                key,
                f"gives the organization role `{binding.role}`: bound on a scope it grants nothing",
                "list it under the account's `roles`, or bind a project role",
            )
        if binding.on.section is not None:
            yield warning(
                key,
                f"is on the section `{binding.on}`: a binding covers projects only",
                "write a project scope such as `*`, `p1` or `p1@main`, or use an organization role for sections",
            )
        if binding.not_before is not None and binding.not_after is not None and binding.not_after <= binding.not_before:
            yield warning(key, "ends before it begins: it is never in force", "put `not_after` after `not_before`")

    def _of_deny(self, entry: DenyEntry) -> Iterator[Finding]:
        key = entry.id
        if entry.authorities == NO_AUTHORITY:
            yield error(key, "withholds no authority", "list what it withholds under `authorities`")
        if entry.who.startswith(ROLE):
            yield from self._of_denied_role(key, entry.who.removeprefix(ROLE))
        elif entry.who.startswith(GROUP):
            name = entry.who.removeprefix(GROUP)
            if name not in self._groups:
                hint = self._speller.suggest(name, self._groups, f"declare it: `groups: {{{name}: {{}}}}`")
                yield error(key, f"is for the group `{name}`, which nobody knows: it would never apply", hint)
        elif entry.who.startswith(AGENT):
            if entry.who == AGENT:
                yield error(key, "names no link", "write `agent:ID` with the id of a link")
        else:
            forms = "write `user:ID`, `service:ID`, `group:NAME`, `role:NAME` or `agent:ID`"
            yield from self._of_account(key, entry.who, forms)

    def _of_denied_role(self, key: str, name: str) -> Iterator[Finding]:
        role = self._roles.get(name)
        if role is None:
            hint = self._speller.suggest(name, self._organization_roles, "name an organization role")
            yield error(key, f"is for the role `{name}`, which nobody knows: it would never apply", hint)
        elif role.kind is RoleKind.PROJECT:
            yield error(
                key,
                f"is for the project role `{name}`: a deny binds holders of organization roles only",
                "name an organization role, a group or an account",
            )

    def _of_approval(self, rule: ApprovalRule) -> Iterator[Finding]:
        key = rule.id
        if rule.authorities == NO_AUTHORITY:
            yield error(key, "covers no authority", "list what needs approval under `authorities`")
        if rule.kind is not None and not can_cover(rule.on, rule.kind):
            yield error(
                key,
                f"is for targets of kind {rule.kind} on `{rule.on}`, which covers none: it would never apply",
                "leave `kind` out, or choose a scope that covers such targets",
            )
        if rule.quorum < 1:
            yield error(key, f"has the quorum {rule.quorum}", "write 1 or more")
        if rule.ttl <= 0:
            yield error(key, "is over before it begins", "give a time to live above 0")
        named = rule.approvers
        if named.authority is None and not named.accounts and not named.groups:
            yield warning(key, "has no approvers: nobody can approve", "write `approvers: {authority: approve}`")
        for account in named.accounts:
            yield from self._of_account(key, account, _ACCOUNT_FORMS)
        for group in named.groups:
            if group not in self._groups:
                hint = self._speller.suggest(group, self._groups, f"declare it: `groups: {{{group}: {{}}}}`")
                yield warning(key, f"names the group `{group}` as approver, which nobody knows", hint)

    def _of_key(self, api_key: KeyEntry) -> Iterator[Finding]:
        key = f"key:{api_key.id}"
        if len(api_key.digest) != _DIGEST_BYTES:
            yield error(key, "has a digest that is no SHA-256", "write `sha256:` and 64 hexadecimal digits")
        yield from self._of_account(key, api_key.account, _ACCOUNT_FORMS)
        made = api_key.rotated_at if api_key.rotated_at is not None else api_key.created_at
        if made is None and api_key.expires_at is None:
            hint = "write `expires_at`, at most a year after it was made"
            yield warning(key, "says neither when it ends nor when it was made: it never expires", hint)
        elif made is not None and api_key.expires_at is not None and api_key.expires_at > year_after(made):
            over = format_instant(year_after(made))
            yield warning(key, f"lives for more than a year: it ends at {over}", "write that instant")

    def _of_account(self, key: str, account: str, forms: str) -> Iterator[Finding]:
        if not _is_account(account):
            yield error(key, f"names `{account}`", forms)
        elif account not in self._accounts:
            hint = self._speller.suggest(account, self._accounts, f"add it: `members: {{{account}: {{}}}}`")
            yield warning(key, f"names `{account}`, who is no member", hint)


def can_cover(scope: Scope, kind: Kind) -> bool:
    """Whether *scope* covers any target of *kind* (spec 1.2)."""
    if scope.section is not None or kind is Kind.SECTION:
        return scope.section is not None and kind is Kind.SECTION
    if kind is Kind.PROJECT:
        return scope.branch is None and not scope.path
    return kind is Kind.PATH or not scope.path


def _is_account(text: str) -> bool:
    return any(text.startswith(prefix) and text != prefix for prefix in (USER, SERVICE))
