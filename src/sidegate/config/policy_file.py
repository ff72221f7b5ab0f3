"""Policy files: one per organization (spec 5.1, 6.3)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sidegate.config.explain import validate
from sidegate.config.files import read_file
from sidegate.config.policy_folder import MAX_POLICY_BYTES, claim_organization, policy_files
from sidegate.config.policy_model import Sections, WrittenPolicy
from sidegate.config.yaml_tree import Path as Place
from sidegate.config.yaml_tree import YamlTree, read_tree
from sidegate.core.model.errors import PolicyError, Position, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.document import CANDIDATE_PREFIX, PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems

_NOWHERE: Final[Mapping[str, Position]] = {}


@value
class LoadedPolicy:
    """A policy file that can be used.

    Attributes:
        file: Its path, as it was named.
        document: What it says, with the place of every entry.
        warnings: What looks wrong in it but fails safe, e.g. a binding to a role that nobody knows.
    """

    file: str
    document: PolicyDocument
    warnings: tuple[Problem, ...]


def load_policy_file(path: Path) -> PolicyDocument:
    """Read one policy file.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    return inspect_policy_file(path).document


def read_document(content: bytes, file: str) -> PolicyDocument:
    """Return what the *content* of a policy file called *file* says.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    return read_policy(content, file).document


def inspect_policy_file(path: Path, read: Callable[[bytes, str], LoadedPolicy] | None = None) -> LoadedPolicy:
    """Read one policy file, with what looks wrong in it.

    Args:
        path: Of the file.
        read: Reads its content, and takes its name; :func:`read_policy` by default.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    content, problem = read_file(path)
    if problem is not None:
        raise PolicyError((problem,))
    return (read or read_policy)(content, str(path))


def read_policy(content: bytes, file: str, *, max_bytes: int = MAX_POLICY_BYTES) -> LoadedPolicy:
    """Read the *content* of a policy file called *file*.

    Args:
        content: The whole file.
        file: Its name, for positions.
        max_bytes: A longer one is refused unread.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    tree = read_tree(content, file, max_bytes)
    problems = list(tree.problems)
    if tree.data is None:
        problems = problems or [
            Problem(tree.position(()), "organization", "is missing", "add it, e.g. `organization: acme`")
        ]
        raise PolicyError(tuple(problems))
    written, wrong = validate(WrittenPolicy, tree.data, tree)
    problems += wrong
    warnings: list[Problem] = []
    document = None
    if written is not None:
        document = document_of(written, _positions(written, tree))
        for finding in find_problems(document):
            place = document.positions.get(finding.key) or tree.key_position((finding.key,))
            kind = problems if finding.severity is Severity.ERROR else warnings
            kind.append(Problem(place, finding.key, finding.what, finding.hint))
    if problems or document is None:
        raise PolicyError(tuple(sorted(problems, key=in_order)))
    return LoadedPolicy(file, document, tuple(sorted(warnings, key=in_order)))


def load_policy_directory(
    folder: Path, read: Callable[[bytes, str], LoadedPolicy] | None = None
) -> tuple[LoadedPolicy, ...]:
    """Read every policy file of *folder*, in the order of their names.

    Args:
        folder: Where they are.
        read: See :func:`inspect_policy_file`.

    Raises:
        PolicyError: Carries everything that is wrong in any of them.
    """
    try:
        paths = policy_files(folder)
    except OSError as exc:
        problem = Problem(Position(str(folder), 1, 1), "policy", f"cannot be read: {exc.strerror}", "name a folder")
        raise PolicyError((problem,)) from exc
    loaded: list[LoadedPolicy] = []
    problems: list[Problem] = []
    files: dict[str, str] = {}
    for path in paths:
        try:
            policy = inspect_policy_file(path, read)
            claim_organization(files, policy.document, path)
            loaded.append(policy)
        except PolicyError as exc:
            problems += exc.problems
    if problems:
        raise PolicyError(tuple(problems))
    return tuple(loaded)


def in_order(problem: Problem) -> tuple[int, int, str]:
    """Return what problems of one file are sorted by."""
    place = problem.position
    return (0, 0, problem.key) if place is None else (place.line, place.column, problem.key)


def _positions(written: WrittenPolicy, tree: YamlTree) -> dict[str, Position]:
    positions = dict(entry_positions(written, tree, (), ""))
    if written.candidate is not None:
        positions.update(entry_positions(written.candidate, tree, ("candidate",), CANDIDATE_PREFIX))
        positions[f"{CANDIDATE_PREFIX}remove"] = tree.key_position(("candidate", "remove"))
    return positions


def document_of(written: WrittenPolicy, positions: Mapping[str, Position] = _NOWHERE) -> PolicyDocument:
    """Return what is *written*, with the place of every entry."""
    return PolicyDocument(
        organization=written.organization,
        mfa_max_age_s=written.mfa_max_age_s,
        roles=tuple(role.entry(name) for name, role in written.roles.items()),
        members=tuple(member.entry(account) for account, member in written.members.items()),
        groups=tuple(group.entry(name) for name, group in written.groups.items()),
        bindings=tuple(binding.entry() for binding in written.bindings),
        denies=tuple(deny.entry() for deny in written.denies),
        approvals=tuple(rule.entry() for rule in written.approvals),
        keys=tuple(key.entry() for key in written.keys),
        sessions={surface: limits.entry() for surface, limits in written.sessions.items()},
        candidate=None if written.candidate is None else written.candidate.entry(),
        positions=positions,
    )


def entry_positions(sections: Sections, tree: YamlTree, around: Place, prefix: str) -> Iterator[tuple[str, Position]]:
    """Yield where each entry was written, by its key. Of entries with one id the last one is named: it is the one too
    many."""
    for section, kind in (("roles", "role"), ("members", "member"), ("groups", "group")):
        for name in getattr(sections, section):
            yield f"{prefix}{kind}:{name}", tree.key_position((*around, section, name))
    for section, kind in (("bindings", ""), ("denies", ""), ("approvals", ""), ("keys", "key:")):
        for number, entry in enumerate(getattr(sections, section)):
            yield f"{prefix}{kind}{entry.id}", tree.position((*around, section, number))
