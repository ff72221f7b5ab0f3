"""What a publish would write: the contents that should be there against the digests of those that are (spec 5.2)."""

from collections.abc import Mapping
from typing import Final

from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_records import (
    HEADER_ID,
    RecordKind,
    digest_content,
    subject_contents,
    write_header,
    write_key,
)

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
    """

    org: str
    header: bytes
    subjects: Mapping[str, bytes]
    keys: Mapping[str, bytes]


@value
class Plan:
    """What a publish would write; nothing when the organization is there as it should be.

    Attributes:
        org: Its name.
        expected: Revision that it was compared with; 0 for none.
        header: The new content; None to leave it.
        subjects: New contents by account; None for one that goes.
        keys: New contents by id; None for one that goes.
    """

    org: str
    expected: int
    header: bytes | None
    subjects: Mapping[str, bytes | None]
    keys: Mapping[str, bytes | None]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.header is None and not self.subjects and not self.keys


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
    return Contents(
        document.organization,
        write_header(document),
        subject_contents(document),
        {key.id: write_key(key) for key in document.keys},
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
        _changed(org, RecordKind.SUBJECT, "s:", contents.subjects, stored),
        _changed(org, RecordKind.KEY, "k:", contents.keys, stored),
    )


def _changed(
    org: str, kind: RecordKind, prefix: str, contents: Mapping[str, bytes], stored: Mapping[str, str]
) -> dict[str, bytes | None]:
    changed: dict[str, bytes | None] = {
        name: content
        for name, content in contents.items()
        if stored.get(prefix + name) != digest_content(org, kind, name, content)
    }
    gone = (field[2:] for field in stored if field.startswith(prefix) and field[2:] not in contents)
    changed.update((name, None) for name in gone)
    return changed
