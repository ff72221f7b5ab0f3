"""Signed chain heads (spec 5.7)."""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sidegate.core.model.units import UnixMillis, format_instant, parse_instant
from sidegate.core.model.value import value
from sidegate.core.trail.chain import Head, follow_hash

_DOMAIN: Final = b"sidegate audit checkpoint v1\0"
"""Comes before what is signed, so that the signature cannot be taken for one of anything else made with the key."""

_LINE: Final = re.compile(
    rb'(\{"v":1,"record":"checkpoint","time":"([0-9TZ:.-]{20,32})","sidecar":"([A-Za-z0-9._-]{1,128})",'
    rb'"seq":(0|[1-9][0-9]{0,17}),"hash":"([0-9a-f]{64})","base":([1-9][0-9]{0,17}),"every":([1-9][0-9]{0,8}),'
    rb'"cut":(0|[1-9][0-9]{0,17}),"cause":"([a-z]{1,16})","key_id":"([0-9a-f]{16})"),"signature":"([0-9a-f]{128})"\}\n'
)


class CheckpointCause(StrEnum):
    """Why a checkpoint was made."""

    OPENED = "opened"
    INTERVAL = "interval"
    ROTATED = "rotated"
    RELEASED = "released"
    RECOVERED = "recovered"
    CLOSED = "closed"


@value
class Checkpoint:
    """A chain head, to be signed.

    Attributes:
        time: When it was made.
        sidecar: Whose chain.
        seq: The last record it covers; 0 for none yet.
        hash: Of the line before it, 64 hex digits as ASCII.
        base: The first record that the spool still has to hold: all before it were released. Signed, so that
            an unsigned loss from the front shows.
        every: About so many records at most come before the next checkpoint: a longer run shows that some are missing.
        cut: Bytes of a torn last line that were cut when the spool was opened.
        cause: Why it was made.
    """

    time: UnixMillis
    sidecar: str
    seq: int
    hash: bytes
    base: int
    every: int
    cut: int
    cause: CheckpointCause


@value
class SignedCheckpoint:
    """A checkpoint as it stands in a line.

    Attributes:
        checkpoint: What was signed.
        key_id: Which key: the first 16 hex digits of the SHA-256 of the raw public key.
        signature: Ed25519, 64 bytes.
        signed: The bytes the signature is over, without the domain.
        line: The whole line with its line feed.
    """

    checkpoint: Checkpoint
    key_id: str
    signature: bytes
    signed: bytes
    line: bytes

    @property
    def head_after(self) -> Head:
        """Where the chain stands after this line."""
        return Head(self.checkpoint.seq, follow_hash(self.checkpoint.hash, self.line))


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the short name of *key* that checkpoints carry."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


class CheckpointSigner:
    """Signs chain heads with one key."""

    __slots__ = ("_key", "key_id")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id_of(key.public_key())

    def sign(self, checkpoint: Checkpoint) -> SignedCheckpoint:
        """Sign *checkpoint* and write its line. About 25 µs."""
        signed = (
            b'{"v":1,"record":"checkpoint","time":"%b","sidecar":"%b","seq":%d,"hash":"%b","base":%d,"every":%d,"cut":%d,'
            b'"cause":"%b","key_id":"%b"'
            % (
                format_instant(checkpoint.time).encode(),
                checkpoint.sidecar.encode(),
                checkpoint.seq,
                checkpoint.hash,
                checkpoint.base,
                checkpoint.every,
                checkpoint.cut,
                checkpoint.cause.value.encode(),
                self.key_id.encode(),
            )
        )
        signature = self._key.sign(_DOMAIN + signed)
        line = b'%b,"signature":"%b"}\n' % (signed, signature.hex().encode())
        return SignedCheckpoint(checkpoint, self.key_id, signature, signed, line)


def read_checkpoint(line: bytes) -> SignedCheckpoint | None:
    """Read a checkpoint's *line*, line feed included; None if it is not one to the byte. Checks no signature."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    signed, time, sidecar, seq, digest, base, every, cut, cause, key_id, signature = found.groups()
    try:
        checkpoint = Checkpoint(
            parse_instant(time.decode()),
            sidecar.decode(),
            int(seq),
            digest,
            int(base),
            int(every),
            int(cut),
            CheckpointCause(cause.decode()),
        )
    except ValueError:
        return None
    if format_instant(checkpoint.time).encode() != time:
        return None
    return SignedCheckpoint(checkpoint, key_id.decode(), bytes.fromhex(signature.decode()), signed, line)


def is_signed_by(signed: SignedCheckpoint, key: Ed25519PublicKey) -> bool:
    """Whether *key*'s owner signed this checkpoint."""
    try:
        key.verify(signed.signature, _DOMAIN + signed.signed)
    except InvalidSignature:
        return False
    return True
