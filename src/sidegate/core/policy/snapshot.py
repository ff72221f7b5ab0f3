"""What is decided with: immutable, one per revision (spec 1.5, 5.1, 5.2)."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import Final

from sidegate.core.model.value import value
from sidegate.core.policy.concern import Concern
from sidegate.core.policy.document import KeyEntry, PolicyDocument, SessionLimits
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.records import DocumentRecords
from sidegate.core.policy.subject import ShadowSubject, Subject

DEFAULT_MAX_SUBJECTS: Final = 10_000
"""Compiled subjects kept per organization: the working set that spec 7 gives 100 MiB."""


@value
class CandidatePolicy:
    """The enforced policy with the candidate laid over it."""

    header: CompiledHeader
    records: DocumentRecords
    concern: Concern


class OrganizationSnapshot:
    """One organization's policy at one revision.

    Attributes:
        organization: Its name.
        revision: Of the snapshot that it first stood in.
        digest: SHA-256 (hex) over what the document means, whatever the order of its entries.
        document: As it was compiled.
        header: The enforced policy but for its accounts.
        records: The accounts.
        candidate: What is evaluated beside it, if anything.
        keys: API keys by id.
        sessions: Tighter session limits by surface.
    """

    __slots__ = (
        "_max_subjects",
        "_subjects",
        "candidate",
        "digest",
        "document",
        "header",
        "keys",
        "organization",
        "records",
        "revision",
        "sessions",
    )

    def __init__(
        self,
        document: PolicyDocument,
        revision: int,
        digest: str,
        *,
        candidate: CandidatePolicy | None,
        header: CompiledHeader,
        records: DocumentRecords,
        max_subjects: int,
    ) -> None:
        self.organization = document.organization
        self.revision = revision
        self.digest = digest
        self.document = document
        self.header = header
        self.records = records
        self.candidate = candidate
        self.keys: Mapping[str, KeyEntry] = {key.id: key for key in document.keys}
        self.sessions: Mapping[str, SessionLimits] = document.sessions
        self._max_subjects = max_subjects
        self._subjects: OrderedDict[str, Subject] = OrderedDict()

    def subject(self, account: str) -> Subject:
        """Return *account* compiled; at most ``max_subjects`` are kept, the least recently used go first.

        An account that is no member is answered but not kept: whoever invents names must not evict those in use.
        """
        subject = self._subjects.get(account)
        if subject is not None:
            self._subjects.move_to_end(account)
            return subject
        subject = self.compile_subject(account)
        if self.records.record_of(account) is not None:
            self._subjects[account] = subject
            if len(self._subjects) > self._max_subjects:
                self._subjects.popitem(last=False)
        return subject

    def compile_subject(self, account: str) -> Subject:
        """Compile *account* anew and keep nothing; for whoever looks at many of them once."""
        record = self.records.record_of(account)
        subject = Subject(self.header, record, account)
        candidate = self.candidate
        if candidate is not None:
            other = candidate.records.record_of(account)
            if candidate.concern.reaches(record, other, self.header):
                subject.shadow = ShadowSubject(candidate.header, other, account)
        return subject

    def counts(self) -> dict[str, int]:
        """How many entries of each kind are in memory."""
        document = self.document
        return {
            "roles": len(document.roles),
            "members": len(document.members),
            "groups": len(document.groups),
            "bindings": len(document.bindings),
            "denies": len(document.denies),
            "approvals": len(document.approvals),
            "keys": len(document.keys),
        }

    @property
    def subjects_cached(self) -> int:
        """How many compiled subjects are kept."""
        return len(self._subjects)


class Snapshot:
    """Everything that is decided with at one time.

    Attributes:
        revision: Grows by every change.
        organizations: By name.
    """

    __slots__ = ("_keys", "organizations", "revision")

    def __init__(self, revision: int, organizations: Iterable[OrganizationSnapshot] = ()) -> None:
        self.revision = revision
        self.organizations: Mapping[str, OrganizationSnapshot] = {
            organization.organization: organization for organization in organizations
        }
        self._keys: dict[str, tuple[tuple[str, KeyEntry], ...]] = {}
        for name, organization in self.organizations.items():
            for key in organization.keys.values():
                self._keys[key.id] = (*self._keys.get(key.id, ()), (name, key))

    def subject(self, org: str, account: str) -> Subject | None:
        """Return *account* of *org* compiled; None for an organization that is not here: it has no members."""
        organization = self.organizations.get(org)
        return None if organization is None else organization.subject(account)

    def find_key(self, key_id: str, digest: bytes | None = None) -> tuple[str, KeyEntry] | None:
        """Return the organization and record of the API key *key_id*.

        An id is public and organizations do not trust each other, so the same id may stand in two of them. Give the
        *digest* (SHA-256 of the whole presented key) to get the one it belongs to; it is compared in constant time.
        None when there is no key, or without a digest no single one.
        """
        found = self._keys.get(key_id, ())
        if digest is not None:
            found = tuple((name, key) for name, key in found if compare_digest(key.digest, digest))
        return found[0] if len(found) == 1 else None
