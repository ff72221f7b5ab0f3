"""Tests of chains put together again."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.assemble import assemble, first_required
from sidegate.core.trail.chain import Linker, genesis, read_tail
from sidegate.core.trail.checkpoint import (
    Checkpoint,
    CheckpointCause,
    CheckpointSigner,
    SignedCheckpoint,
    read_checkpoint,
)
from sidegate.core.trail.finding import Place
from sidegate.core.trail.record import OpenRecord

_PLACE = Place("f", 1)


def _chain(counts: list[int], base: int = 1) -> list[bytes]:
    """Lines: a checkpoint, so many records, a checkpoint, and so on; all checkpoints of one moment."""
    signer, linker, head = CheckpointSigner(Ed25519PrivateKey.from_private_bytes(bytes(32))), Linker("h"), genesis("h")
    lines = []
    for count in [0, *counts]:
        linked, head = linker.link([OpenRecord(b'{"n":1')] * count, head)
        signed = signer.sign(
            Checkpoint(UnixMillis(head.seq * 1000), "h", head.seq, head.hash, base, 9, 0, CheckpointCause.INTERVAL)
        )
        lines += [*linked, signed.line]
        head = signed.head_after
    return lines


def _apart(lines: list[bytes]) -> tuple[list[tuple[int, bytes, Place]], list[tuple[SignedCheckpoint, Place]]]:
    records = [(tail.seq, line, _PLACE) for line in lines if (tail := read_tail(line)) is not None]
    return records, [(signed, _PLACE) for line in lines if (signed := read_checkpoint(line)) is not None]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([], id="checkpoint-only"),
        pytest.param([3, 2], id="some"),
        pytest.param([2, 0, 0, 0, 3, 0], id="several-of-one-record"),
        pytest.param([0, 0, 0], id="several-before-the-first"),
    ],
)
def test_chain_is_as_it_was(counts: list[int]) -> None:
    """Checkpoints of one record and one moment stand in the order in which they hang on each other."""
    lines = _chain(counts)
    records, checkpoints = _apart(lines)
    random.Random(1).shuffle(checkpoints)
    assert [line for line, _ in assemble("h", records, checkpoints)] == lines


def test_nothing_is_left_out_where_there_is_no_order() -> None:
    """Records are missing, a line cannot be read, a checkpoint fits nowhere: who checks it sees all of it."""
    lines = _chain([3, 0, 3])
    records, checkpoints = _apart(lines)
    del records[1], checkpoints[1]
    records.append((99, b"x\n", _PLACE))
    left = sorted([line for _, line, _ in records] + [signed.line for signed, _ in checkpoints])
    assert sorted(line for line, _ in assemble("h", records, checkpoints)) == left


@pytest.mark.parametrize(
    ("kept_from", "expected"),
    [
        pytest.param(None, 5, id="what-the-spool-held"),
        pytest.param(0, 1, id="before-everything"),
        pytest.param(1, 4, id="after-the-first"),
        pytest.param(3000, 4, id="at-a-checkpoint"),
        pytest.param(3001, 7, id="after-it"),
        pytest.param(99_000, 7, id="after-everything"),
    ],
)
def test_first_record_that_has_to_be_there(kept_from: int | None, expected: int) -> None:
    """All up to the first checkpoint of what was kept may be of before."""
    signed = [one for one, _ in _apart(_chain([3, 3], base=5))[1]]
    assert first_required(signed, None if kept_from is None else UnixMillis(kept_from)) == expected


def test_without_checkpoints_everything_has_to_be_there() -> None:
    """Nobody said otherwise."""
    assert first_required([], None) == 1
    assert first_required([], UnixMillis(1)) == 1
