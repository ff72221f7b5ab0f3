"""Tests of signed chain heads."""

import dataclasses

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import follow_hash
from sidegate.core.trail.checkpoint import (
    Checkpoint,
    CheckpointCause,
    CheckpointSigner,
    is_signed_by,
    key_id_of,
    read_checkpoint,
)

_CHECKPOINT = Checkpoint(UnixMillis(1_764_547_200_123), "host-w0", 42, b"ab" * 32, 7, 1000, 0, CheckpointCause.INTERVAL)


@pytest.mark.parametrize("cause", CheckpointCause)
def test_line_is_read_back_and_verifies(cause: CheckpointCause, key: Ed25519PrivateKey) -> None:
    """What was signed is what is read, and the public key alone proves it."""
    checkpoint = dataclasses.replace(_CHECKPOINT, cause=cause)
    signed = CheckpointSigner(key).sign(checkpoint)
    read = read_checkpoint(signed.line)
    assert signed == read
    assert read.checkpoint == checkpoint
    assert is_signed_by(read, key.public_key())


def test_line_has_the_members_of_the_stream(signer: CheckpointSigner) -> None:
    """{sidecar, seq, hash, time} and what is needed beside it, as one JSON line."""
    line = signer.sign(_CHECKPOINT).line
    members = orjson.loads(line)
    del members["signature"]
    assert {
        "v": 1,
        "record": "checkpoint",
        "time": "2025-12-01T00:00:00.123Z",
        "sidecar": "host-w0",
        "seq": 42,
        "hash": "ab" * 32,
        "base": 7,
        "every": 1000,
        "cut": 0,
        "cause": "interval",
        "key_id": signer.key_id,
    } == members
    assert line.endswith(b"\n")


def test_every_single_bit_counts(key: Ed25519PrivateKey) -> None:
    """A line with any bit flipped is no checkpoint any more, or one that was not signed."""
    line = CheckpointSigner(key).sign(_CHECKPOINT).line
    for place in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[place] ^= 1 << bit
            read = read_checkpoint(bytes(flipped))
            assert read is None or not is_signed_by(read, key.public_key())


def test_another_key_proves_nothing(signer: CheckpointSigner) -> None:
    """The signature is checked with the key that is asked about, not with one the line names."""
    other = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    assert not is_signed_by(signer.sign(_CHECKPOINT), other.public_key())
    assert signer.key_id != key_id_of(other.public_key())


def test_signature_is_of_nothing_else(key: Ed25519PrivateKey) -> None:
    """Domain separation: a signature over the same bytes without the domain is not one of a checkpoint."""
    signed = CheckpointSigner(key).sign(_CHECKPOINT)
    forged = dataclasses.replace(signed, signature=key.sign(signed.signed))
    assert not is_signed_by(forged, key.public_key())


def test_chain_goes_on_after_the_line(signer: CheckpointSigner) -> None:
    """A checkpoint is a link itself: the next record hangs on it, so it cannot be taken out unseen."""
    signed = signer.sign(_CHECKPOINT)
    assert signed.head_after.seq == 42
    assert follow_hash(_CHECKPOINT.hash, signed.line) == signed.head_after.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"v":1', b'"v":2', id="other-version"),
        pytest.param(b"2025-12-01", b"2025-13-01", id="no-such-month"),
        pytest.param(b"00.123Z", b"00.12300Z", id="other-spelling-of-the-time"),
        pytest.param(b"interval", b"whatever", id="unknown-cause"),
        pytest.param(b'"seq":42', b'"seq":042', id="leading-zero"),
        pytest.param(b'"seq":42', b'"seq":42,"seq":42', id="repeated-member"),
        pytest.param(b'{"v"', b' {"v"', id="white-space"),
        pytest.param(b"}\n", b"}", id="torn"),
    ],
)
def test_other_spellings_are_no_checkpoint(old: bytes, new: bytes, signer: CheckpointSigner) -> None:
    """There is one way to write a checkpoint; the signed bytes are read in no other."""
    line = signer.sign(_CHECKPOINT).line
    assert old in line
    assert read_checkpoint(line.replace(old, new, 1)) is None
