"""Files that hold a candidate policy: what `sidegate shadow set` publishes (spec 4.4, 6.3)."""

from dataclasses import replace
from typing import Final

from pydantic import Field

from sidegate.config.explain import Written, validate
from sidegate.config.forms import OrganizationName
from sidegate.config.policy_file import entry_positions, in_order
from sidegate.config.policy_model import WrittenCandidate
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.policy.document import CANDIDATE_PREFIX, PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.patch import PolicyPatch, Put
from sidegate.core.policy.validate import find_problems

MAX_CANDIDATE_BYTES: Final = 4 << 20
"""As much as a change of a policy may have."""

_READ: Final = ("organization", "candidate")


class WrittenTrial(Written):
    """A candidate and whose it is."""

    organization: OrganizationName = Field(description="Name of the organization.", examples=["acme"])
    candidate: WrittenCandidate = Field(description="What is tried in the shadow.")


def read_candidate(content: bytes, file: str) -> PolicyPatch:
    """Read the ``organization`` and the ``candidate`` of a file; of a policy file the rest is not looked at.

    Returns:
        The change that puts the candidate in the place of whatever was tried before.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    tree = read_tree(content, file, MAX_CANDIDATE_BYTES)
    problems = list(tree.problems)
    data = tree.data
    if isinstance(data, dict):
        data = {name: data[name] for name in _READ if name in data}
    if data is None and not problems:
        hint = "write `organization: acme` and, below it, `candidate:` as in a policy file"
        problems.append(Problem(tree.position(()), "candidate", "is missing", hint))
    if data is None:
        raise PolicyError(tuple(problems))
    written, wrong = validate(WrittenTrial, data, tree)
    problems += wrong
    if problems or written is None:
        raise PolicyError(tuple(sorted(problems, key=in_order)))
    around = ("candidate",)
    positions = dict(entry_positions(written.candidate, tree, around, CANDIDATE_PREFIX))
    positions[f"{CANDIDATE_PREFIX}remove"] = tree.key_position((*around, "remove"))
    return PolicyPatch(written.organization, Put(candidate=written.candidate.entry()), positions=positions)


def with_candidate(document: PolicyDocument, trial: PolicyPatch) -> PolicyDocument:
    """Return *document* with the candidate of *trial* in the place of its own.

    Raises:
        PolicyError: The candidate does not fit to it.
    """
    tried = replace(document, candidate=trial.put.candidate, positions={**document.positions, **trial.positions})
    errors = [finding for finding in find_problems(tried) if finding.severity is Severity.ERROR]
    if errors:
        raise PolicyError(tuple(Problem(tried.positions.get(one.key), one.key, one.what, one.hint) for one in errors))
    return tried
