"""Which files of a folder are policy, and whose (spec 5.1). What stands in them `sidegate.config.policy_file` reads."""

from pathlib import Path
from typing import Final

from sidegate.core.model.errors import PolicyError, Position, Problem
from sidegate.core.policy.document import PolicyDocument

SUFFIX: Final = ".yaml"
MAX_POLICY_BYTES: Final = 64 << 20
"""Some 700,000 bindings; larger organizations belong into a store that is read by need (spec 5.2)."""


def claim_organization(files: dict[str, str], document: PolicyDocument, path: Path) -> None:
    """Note in *files* that the file at *path* is the one of its organization.

    Args:
        files: Name of the file by organization; completed here.
        document: What the file says.
        path: Of the file.

    Raises:
        PolicyError: Another file is about the same organization. Which of two counted would be chance.
    """
    organization = document.organization
    first = files.setdefault(organization, path.name)
    if first != path.name:
        position = Position(str(path), 1, 1)
        what = f"is `{organization}`, and so is that of {first}"
        raise PolicyError((Problem(position, "organization", what, "put both into one file"),))


def policy_files(folder: Path) -> list[Path]:
    """List the policy files of *folder*: ``*.yaml`` and ``*.yml``, but for hidden ones.

    Raises:
        OSError: The folder cannot be read.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in {SUFFIX, ".yml"} and not path.name.startswith(".") and not path.is_dir()
    )
