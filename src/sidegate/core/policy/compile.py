"""From a policy document to the snapshot that decides (spec 1.3, 5.1)."""

from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.policy.concern import concern_of
from sidegate.core.policy.digest import digest_of
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.header import SHARE_GROUPS_ABOVE, CompiledHeader
from sidegate.core.policy.overlay import apply_candidate
from sidegate.core.policy.records import DocumentRecords
from sidegate.core.policy.snapshot import DEFAULT_MAX_SUBJECTS, CandidatePolicy, OrganizationSnapshot
from sidegate.core.policy.validate import find_problems


def compile_document(
    document: PolicyDocument,
    revision: int,
    *,
    max_subjects: int = DEFAULT_MAX_SUBJECTS,
    share_groups_above: int = SHARE_GROUPS_ABOVE,
) -> OrganizationSnapshot:
    """Compile *document* and its candidate. Accounts are compiled on first use.

    Args:
        document: As written.
        revision: The number of the snapshot that it will stand in.
        max_subjects: How many compiled accounts to keep.
        share_groups_above: How many bindings a group may have before they are laid out once for all its members.

    Raises:
        PolicyError: Something is wrong that must not be used; carries every error, with its place where known.
    """
    problems = tuple(
        Problem(document.positions.get(finding.key), finding.key, finding.what, finding.hint)
        for finding in find_problems(document)
        if finding.severity is Severity.ERROR
    )
    if problems:
        raise PolicyError(problems)
    header = CompiledHeader(document, share_groups_above=share_groups_above)
    return OrganizationSnapshot(
        document,
        revision,
        digest_of(document),
        candidate=_compile_candidate(document, header, share_groups_above),
        header=header,
        records=DocumentRecords(document),
        max_subjects=max_subjects,
    )


def _compile_candidate(
    document: PolicyDocument, enforced: CompiledHeader, share_groups_above: int
) -> CandidatePolicy | None:
    if document.candidate is None:
        return None
    promoted = apply_candidate(document)
    header = CompiledHeader(promoted, share_groups_above=share_groups_above)
    return CandidatePolicy(header, DocumentRecords(promoted), concern_of(enforced, header))
