"""Small policies and requests for the tests of the engine."""

from dataclasses import replace
from ipaddress import ip_address

from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.principal import CredentialKind, Link, Query, VerifiedCredential
from sidegate.core.model.target import Scope, parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, Conditions, DenyEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.policy.subject import Subject

NOW = UnixMillis(1_000_000_000)
ANA = "user:ana"


def mask(text: str) -> Mask:
    """The authorities that *text* lists."""
    return mask_of(Authority(word) for word in text.split())


def scopes(*texts: str) -> tuple[Scope, ...]:
    """Each written scope."""
    return tuple(parse_scope(text) for text in texts)


def bind(binding_id: str, role: str, on: str, *, who: str = ANA, when: Conditions | None = None) -> BindingEntry:
    """A binding that is always in force."""
    return BindingEntry(binding_id, who, role, parse_scope(on), when=when or Conditions())


def withhold(deny_id: str, authorities: str, on: str, *, who: str = ANA) -> DenyEntry:
    """A deny."""
    return DenyEntry(deny_id, who, mask(authorities), parse_scope(on))


def policy(*bindings: BindingEntry, roles: tuple[str, ...] = ("Member",), **more: object) -> PolicyDocument:
    """A policy with ana as a member of group fiber; *more* are fields of the document."""
    document = PolicyDocument("acme", members=(MemberEntry(ANA, roles=roles, groups=("fiber",)),), bindings=bindings)
    return replace(document, **more)  # type: ignore[arg-type]


def snapshot_of(*documents: PolicyDocument) -> Snapshot:
    """All of them compiled."""
    return Snapshot(1, [compile_document(document, 1) for document in documents])


def subject_of(document: PolicyDocument, account: str = ANA) -> Subject:
    """The account compiled."""
    return compile_document(document, 1).subject(account)


def ask(
    authority: str,
    target: str,
    *,
    account: str = ANA,
    subtree: bool = False,
    chain: tuple[Link, ...] = (),
    source: str | None = None,
    approved: bool = False,
    **credential: object,
) -> Query:
    """One request; *credential* are fields of the credential."""
    verified = VerifiedCredential(CredentialKind.SESSION, "s1", account, "acme", chain=chain)
    return Query(
        replace(verified, **credential),  # type: ignore[arg-type]
        Authority(authority),
        parse_target("acme", target, subtree=subtree),
        None if source is None else ip_address(source),
        approved,
    )
