"""Checks a spool, or what a file sink made of it, against its chain and its signatures (spec 5.7)."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.audit.layout import is_held, list_segments, list_sidecars, read_lines
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import value
from sidegate.core.trail.checkpoint import SignedCheckpoint, read_checkpoint
from sidegate.core.trail.finding import ChainReport, Finding, FindingKind, Place
from sidegate.core.trail.walk import ChainWalk


@value
class TrailReport:
    """What a folder holds, and what is wrong with it.

    Attributes:
        chains: One report per sidecar.
        is_signature_checked: False when no public key was given: then only the chain itself was checked, which
            whoever can write the folder can compute anew.
    """

    chains: tuple[ChainReport, ...]
    is_signature_checked: bool

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong, by sidecar, in the order of the lines."""
        return tuple(finding for chain in self.chains for finding in chain.findings)

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong. Says less when no signature was checked."""
        return not self.findings


def verify(root: Path, keys: Mapping[str, Ed25519PublicKey] | None, copy: Path | None = None) -> TrailReport:
    """Check every chain in *root*.

    May run beside the sidecars that write there: what they are writing at the moment is not counted as torn.

    Args:
        root: A spool's folder, the folder of one sidecar in it, or the folder of a file sink.
        keys: Public keys by id (:func:`load_public_keys`); None to check no signatures, and to say so.
        copy: The second place that checkpoints were copied to.

    Raises:
        ConfigError: *root* holds no segments at all: nothing was checked, which must not look like success.
        OSError: Something cannot be read.
    """
    copies = [] if copy is None else _read_copies(copy)
    folders = list_sidecars(root) if root.is_dir() else []
    if not folders:
        raise ConfigError((Problem(None, "audit.spool", f"`{root}` holds no segments", "name the folder they are in"),))
    reports = [_verify_folder(folder, keys, copies) for folder in folders]
    reports += _missing_chains({report.sidecar for report in reports}, copies, keys)
    return TrailReport(tuple(reports), keys is not None)


def _verify_folder(
    folder: Path, keys: Mapping[str, Ed25519PublicKey] | None, copies: list[SignedCheckpoint]
) -> ChainReport:
    walk = ChainWalk(folder.name, keys)
    # Asked before reading: a writer that ends meanwhile leaves no torn line, one that starts cuts it.
    is_live = is_held(folder)
    files = list_segments(folder)
    for file in files:
        is_last = file is files[-1]
        try:
            for number, line in enumerate(read_lines(file.path), 1):
                if is_live and is_last and not line.endswith(b"\n"):
                    continue
                walk.feed(line, Place(str(file.path), number))
        except FileNotFoundError:
            if not is_live:
                raise
            # Released meanwhile; the base that allows it is signed in a line that is read later.
    return walk.finish(copies)


def _read_copies(copy: Path) -> list[SignedCheckpoint]:
    return [signed for line in read_lines(copy) if (signed := read_checkpoint(line)) is not None]


def _missing_chains(
    present: set[str], copies: list[SignedCheckpoint], keys: Mapping[str, Ed25519PublicKey] | None
) -> list[ChainReport]:
    """Report the chains that the second place knows and *root* does not hold at all."""
    gone = {signed.checkpoint.sidecar for signed in copies} - present
    return [ChainWalk(sidecar, keys).finish(copies) for sidecar in sorted(gone)]


__all__ = ["ChainReport", "Finding", "FindingKind", "Place", "TrailReport", "verify"]
