"""What a sidecar has in memory of the organizations in Redis: headers and subjects that were used (spec 5.2)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.value import value
from sidegate.core.policy.document import Candidate, KeyEntry, PolicyDocument
from sidegate.core.policy.overlay import apply_candidate
from sidegate.core.policy.records import DocumentRecords
from sidegate.core.policy.snapshot import CandidatePolicy, OrganizationSnapshot, Snapshot
from sidegate.core.policy.subject import Subject, SubjectRecord
from sidegate.distribution.redis_held_header import HeldHeader
from sidegate.distribution.redis_records import RecordKind, StoredSubject, read_key, read_subject, unseal

BIG_BYTES: Final = 16_384
"""A record above this is read and compiled in a thread: some 100 bindings, about a millisecond."""


class NotLoadedError(DependencyError):
    """Somebody decides about an account that was not fetched; it must never pass for one that is no member."""

    def __init__(self, org: str, account: str) -> None:
        super().__init__(Dependency.REDIS, f"deciding about `{account}` of `{org}` before it was fetched")


class Held:
    """One account in memory.

    Compiled, it is decided with; what it was compiled from would be a third more memory, and is read again from the
    record when it is asked for.

    Attributes:
        account: Whose it is.
        revision: Of its record; 0 when it has none.
        subject: It compiled; None until it is used.
        used: Whether it was used since somebody last looked for what to let go.
        raw: The record, verified; empty when it has none.
    """

    __slots__ = ("_stored", "account", "raw", "revision", "subject", "used")

    def __init__(self, account: str, stored: StoredSubject, revision: int, raw: bytes) -> None:
        self.account = account
        self.revision = revision
        self.raw = raw
        self.subject: Subject | None = None
        self.used = True
        self._stored: StoredSubject | None = stored

    @property
    def stored(self) -> StoredSubject:
        """What is stored of it."""
        if self._stored is not None:
            return self._stored
        return read_subject(self.account, self.raw.partition(b"\n")[2])

    def compiled(self, subject: Subject) -> Subject:
        """Take *subject*, which is it compiled."""
        self.subject = subject
        if self.raw:
            self._stored = None
        return subject

    @property
    def is_absent(self) -> bool:
        """Whether nothing is stored of it."""
        return not self.raw

    @property
    def is_big(self) -> bool:
        """Whether compiling it would hold up the event loop."""
        return len(self.raw) > BIG_BYTES


@value
class HeldKey:
    """One API key in memory; *entry* is None when the organization has none of that id."""

    entry: KeyEntry | None
    revision: int
    raw: bytes


def open_subject(org: str, account: str, raw: bytes | None, trusted: Ed25519PublicKey | None) -> Held:
    """Verify and read a subject's record; None is what is stored of an account that nobody named.

    Raises:
        IntegrityError: It does not verify, or is not what is published.
    """
    if raw is None:
        return Held(account, _NOBODY, 0, b"")
    sealed = unseal(org, RecordKind.SUBJECT, account, raw, trusted=trusted)
    return Held(account, read_subject(account, sealed.content), sealed.revision, raw)


_NOBODY: Final = StoredSubject(None)


def open_key(org: str, key_id: str, raw: bytes | None, trusted: Ed25519PublicKey | None) -> HeldKey:
    """Verify and read an API key's record.

    Raises:
        IntegrityError: It does not verify, or is not what is published.
    """
    if raw is None:
        return HeldKey(None, 0, b"")
    sealed = unseal(org, RecordKind.KEY, key_id, raw, trusted=trusted)
    return HeldKey(read_key(key_id, sealed.content), sealed.revision, raw)


class HeldRecords(DocumentRecords):
    """The records that are in memory."""

    __slots__ = ("_held", "_org")

    def __init__(self, org: str, held: Mapping[str, Held]) -> None:
        super().__init__(PolicyDocument(org))
        self._org = org
        self._held = held

    def record_of(self, account: str) -> SubjectRecord | None:
        """Return what the policy says about *account*; None when it is no member.

        Raises:
            NotLoadedError: It was not fetched.
        """
        return self.stored(account).record(account)

    def stored(self, account: str) -> StoredSubject:
        """Return what is stored of *account*.

        Raises:
            NotLoadedError: It was not fetched.
        """
        held = self._held.get(account)
        if held is None:
            raise NotLoadedError(self._org, account)
        return held.stored

    def accounts(self) -> tuple[str, ...]:
        """List the members that are in memory, sorted."""
        return tuple(sorted(account for account, held in self._held.items() if held.stored.member is not None))


class CandidateRecords(DocumentRecords):
    """The records that are in memory with the candidate laid over them."""

    __slots__ = ("_candidate", "_enforced", "_org")

    def __init__(self, org: str, enforced: HeldRecords, candidate: Candidate) -> None:
        super().__init__(PolicyDocument(org))
        self._org = org
        self._enforced = enforced
        # What is not about accounts is in the header already.
        self._candidate = replace(candidate, roles=(), groups=(), approvals=(), keys=())

    def record_of(self, account: str) -> SubjectRecord | None:
        """Return what the candidate would say about *account*.

        Raises:
            NotLoadedError: It was not fetched.
        """
        stored, candidate = self._enforced.stored(account), self._candidate
        own = {one.id for one in stored.bindings} | {one.id for one in stored.denies}
        concerning = replace(
            candidate,
            members=tuple(member for member in candidate.members if member.account == account),
            bindings=tuple(one for one in candidate.bindings if one.who == account or one.id in own),
            denies=tuple(one for one in candidate.denies if one.who == account or one.id in own),
        )
        alone = PolicyDocument(
            self._org,
            members=() if stored.member is None else (stored.member,),
            bindings=stored.bindings,
            denies=stored.denies,
            candidate=concerning,
        )
        return DocumentRecords(apply_candidate(alone)).record_of(account)


class LoadedOrganization(OrganizationSnapshot):
    """One organization as far as it is in memory.

    Args:
        header: Read and compiled.
        revision: Of the organization.
        held: Its accounts; goes on being filled and emptied.
        keys: Its API keys; goes on being filled and emptied.

    Attributes:
        document: What the header says but for its entries, which may be very many; with the candidate, whole.
        held_header: The header as read.
    """

    __slots__ = ("_held", "held_header")

    def __init__(self, header: HeldHeader, revision: int, held: dict[str, Held], keys: Mapping[str, KeyEntry]) -> None:
        org, settings = header.organization, header.settings
        records = HeldRecords(org, held)
        candidate = None
        if header.candidate is not None and header.concern is not None and settings.candidate is not None:
            laid_over = CandidateRecords(org, records, settings.candidate)
            candidate = CandidatePolicy(header.candidate, laid_over, header.concern)
        super().__init__(
            settings,
            revision,
            header.digest,
            candidate=candidate,
            header=header.compiled,
            records=records,
            max_subjects=0,
        )
        self.keys = keys
        self.held_header = header
        self._held = held

    def subject(self, account: str) -> Subject:
        """Return *account* compiled.

        Raises:
            NotLoadedError: It was not fetched.
        """
        held = self._held.get(account)
        if held is None:
            raise NotLoadedError(self.organization, account)
        held.used = True
        subject = held.subject
        if subject is None or subject.header is not self.header:
            subject = held.compiled(self.compile_subject(account))
        return subject

    def counts(self) -> dict[str, int]:
        """How many entries of each kind are in memory; in Redis there may be more."""
        stored = [held.stored for held in self._held.values()]
        root = self.held_header.opened.root
        counts = {section: root.count_of(section) for section in super().counts()}
        counts["members"] += sum(one.member is not None for one in stored)
        counts["bindings"] += sum(len(one.bindings) for one in stored)
        counts["denies"] += sum(len(one.denies) for one in stored)
        counts["keys"] += len(self.keys)
        return counts

    @property
    def subjects_cached(self) -> int:
        """How many accounts are in memory."""
        return len(self._held)


class LoadedSnapshot(Snapshot):
    """All organizations as far as they are in memory.

    A new one is made whenever a credential that was verified with the last one has to be looked at again; what they
    hold is the same and goes on changing.
    """

    __slots__ = ()

    def __init__(
        self,
        revision: int,
        organizations: Mapping[str, OrganizationSnapshot],
        keys: dict[str, tuple[tuple[str, KeyEntry], ...]],
    ) -> None:
        super().__init__(revision)
        self.organizations = organizations
        self._keys = keys
