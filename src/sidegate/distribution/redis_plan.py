"""What a publish would write: the contents that should be there against the digests of those that are (spec 5.2)."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_header import write_header
from sidegate.distribution.redis_ids import write_ids
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, digest_content, subject_contents, write_key

HEADER_FIELD: Final = "h"
"""Where the digest of the header stands among the others."""


@value
class Contents:
    """The contents of one organization's records.

    Attributes:
        org: Its name.
        header: Of the header.
        subjects: By account.
        keys: By id.
        pages: Of the header, by name.
        ids: Pages of ids, by number.
    """

    org: str
    header: bytes
    subjects: Mapping[str, bytes]
    keys: Mapping[str, bytes]
    pages: Mapping[str, bytes] = field(default_factory=dict)
    ids: Mapping[str, bytes] = field(default_factory=dict)


@value
class Plan:
    """What a publish would write; nothing when the organization is there as it should be.

    Attributes:
        org: Its name.
        expected: Revision that it was compared with; 0 for none.
        header: The new content; None to leave it.
        subjects: New contents by account; None for one that goes.
        keys: New contents by id; None for one that goes.
        pages: New contents of the header's pages by name; None for one that goes.
        ids: New contents of pages of ids by number; None for one that goes.
    """

    org: str
    expected: int
    header: bytes | None
    subjects: Mapping[str, bytes | None]
    keys: Mapping[str, bytes | None]
    pages: Mapping[str, bytes | None] = field(default_factory=dict)
    ids: Mapping[str, bytes | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.header is None and not (self.subjects or self.keys or self.pages or self.ids)

    def records(self) -> tuple[tuple[RecordKind, Mapping[str, bytes | None]], ...]:
        """Return contents by name, by kind of record; the header aside."""
        return (
            (RecordKind.SUBJECT, self.subjects),
            (RecordKind.KEY, self.keys),
            (RecordKind.PAGE, self.pages),
            (RecordKind.IDS, self.ids),
        )


PREFIXES: Final = {RecordKind.SUBJECT: "s:", RecordKind.KEY: "k:", RecordKind.PAGE: "p:", RecordKind.IDS: "i:"}
"""What stands before a name where records of several kinds are together."""


def contents_of(document: PolicyDocument) -> Contents:
    """Return what is stored of *document*.

    Raises:
        PolicyError: Something is wrong that must not be used; carries every error.
    """
    problems = tuple(
        Problem(document.positions.get(finding.key), finding.key, finding.what, finding.hint)
        for finding in find_problems(document)
        if finding.severity is Severity.ERROR
    )
    if problems:
        raise PolicyError(problems)
    ids = write_ids(document)
    header = write_header(document, len(ids))
    return Contents(
        document.organization,
        header.root,
        subject_contents(document),
        {key.id: write_key(key) for key in document.keys},
        header.pages,
        ids,
    )


def compare(contents: Contents, revision: int, stored: Mapping[str, str]) -> Plan:
    """Find out what has to be written.

    Args:
        contents: What should be there.
        revision: Of what is there.
        stored: Digests of what is there, by field (:class:`OrganizationKeys`).
    """
    org = contents.org
    return Plan(
        org,
        revision,
        None
        if stored.get(HEADER_FIELD) == digest_content(org, RecordKind.HEADER, HEADER_ID, contents.header)
        else contents.header,
        _changed(org, RecordKind.SUBJECT, contents.subjects, stored),
        _changed(org, RecordKind.KEY, contents.keys, stored),
        _changed(org, RecordKind.PAGE, contents.pages, stored),
        _changed(org, RecordKind.IDS, contents.ids, stored),
    )


def _changed(
    org: str, kind: RecordKind, contents: Mapping[str, bytes], stored: Mapping[str, str]
) -> dict[str, bytes | None]:
    prefix = PREFIXES[kind]
    changed: dict[str, bytes | None] = {
        name: content
        for name, content in contents.items()
        if stored.get(prefix + name) != digest_content(org, kind, name, content)
    }
    gone = (field[2:] for field in stored if field.startswith(prefix) and field[2:] not in contents)
    changed.update((name, None) for name in gone)
    return changed
