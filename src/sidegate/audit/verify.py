"""Checks a trail by its chain and signatures (spec 5.7): a spool, what a file sink made of it, Parquet, the stream.

In Parquet and in the stream the order of lines is not kept, so it is not checked there; and what is missing from the
front is a finding only where something says that it should be there (:func:`verify_lake`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.audit.lake import is_lake, read_retention
from sidegate.audit.lake_reader import LakeReader, ParquetRow
from sidegate.audit.layout import is_held, list_segments, list_sidecars, read_lines
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.trail.assemble import assemble, first_required
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
        kept_from: What is older was removed on purpose, and nothing can be said of it; None if nothing was.
    """

    chains: tuple[ChainReport, ...]
    is_signature_checked: bool
    kept_from: UnixMillis | None = None

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
        root: A spool's folder, the folder of one sidecar in it, the folder of a file sink, or a folder of Parquet.
        keys: Public keys by id (:func:`load_public_keys`); None to check no signatures, and to say so.
        copy: The second place that checkpoints were copied to.

    Raises:
        ConfigError: *root* holds no segments at all: nothing was checked, which must not look like success.
        OSError: Something cannot be read.
    """
    if is_lake(root):
        return verify_lake(root, keys, copy)
    copies = [] if copy is None else _read_copies(copy)
    folders = list_sidecars(root) if root.is_dir() else []
    if not folders:
        raise ConfigError((Problem(None, "audit.spool", f"`{root}` holds no segments", "name the folder they are in"),))
    reports = [_verify_folder(folder, keys, copies) for folder in folders]
    reports += _missing_chains({report.sidecar for report in reports}, copies, keys)
    return TrailReport(tuple(reports), keys is not None)


def verify_lake(root: Path, keys: Mapping[str, Ed25519PublicKey] | None, copy: Path | None = None) -> TrailReport:
    """Check every chain in the folder of Parquet *root*.

    Each has to be whole from the first record that its oldest checkpoint says its spool held; where old records were
    pruned, from the first checkpoint after that on. The columns that are searched have to say what the lines say.

    Raises:
        IntegrityError: Files cannot be read as audit records.
        OSError: Something cannot be read.
    """
    reader = LakeReader(root)
    copies = [] if copy is None else _read_copies(copy)
    kept_from = read_retention(root)
    reports = []
    for sidecar in reader.sidecars():
        checkpoints = reader.checkpoints(sidecar)
        base = first_required((signed for signed, _ in checkpoints), kept_from)
        walk = ChainWalk(sidecar, keys, base)
        rows = _faithful(walk, reader.chain(sidecar, base))
        kept = [placed for placed in checkpoints if placed[0].checkpoint.seq >= base - 1]
        for line, place in assemble(sidecar, rows, kept):
            walk.feed(line, place)
        reports.append(walk.finish(copies))
    reports += _missing_chains({report.sidecar for report in reports}, copies, keys)
    return TrailReport(tuple(reports), keys is not None, kept_from)


def _faithful(walk: ChainWalk, rows: Iterator[ParquetRow]) -> Iterator[tuple[int, bytes, Place]]:
    for row in rows:
        if not row.is_faithful:
            walk.note_change(row.seq, row.place, f"the columns of record {row.seq} do not say what its line says")
        yield row.seq, row.line, row.place


def verify_stream(url: str, keys: Mapping[str, Ed25519PublicKey] | None, copy: Path | None = None) -> TrailReport:
    """Check what is in the audit stream of the Redis at *url*. It is trimmed from the front: nothing is missing there.

    Raises:
        ConfigError: *url* is no address of a Redis, or there is nothing in the stream.
        DependencyError: Redis does not answer.
    """
    from sidegate.audit.stream import read_chains  # noqa: PLC0415  20 ms that only who asks the stream pays

    copies = [] if copy is None else _read_copies(copy)
    reports = []
    for sidecar, lines in sorted(read_chains(url).items()):
        walk = ChainWalk(sidecar, keys, _NO_BASE)
        for line, place in lines:
            walk.feed(line, place)
        reports.append(walk.finish(copies))
    if not reports:
        problem = Problem(None, "audit", "the audit stream of that Redis is empty", "name the Redis of `audit.sinks`")
        raise ConfigError((problem,))
    return TrailReport(tuple(reports), keys is not None)


_NO_BASE: Final = 1 << 62


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


__all__ = ["ChainReport", "Finding", "FindingKind", "Place", "TrailReport", "verify", "verify_lake", "verify_stream"]
