"""Chains of records as sidecars write them, with checkpoints, for tests that need many."""

import os
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.target import Kind
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Linker, genesis
from sidegate.core.trail.checkpoint import Checkpoint, CheckpointCause, CheckpointSigner
from sidegate.core.trail.record import (
    Actor,
    ActorType,
    CredentialReference,
    DecisionRecord,
    encode_decision_record,
)
from sidegate.core.trail.uuid7 import Uuid7

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = UnixMillis(1_795_046_400_000)
"""2026-11-19T00:00:00Z."""
DAY = 86_400_000


def decision(record_id: str, time: UnixMillis, **members: Any) -> DecisionRecord:
    """Return an allowed read; *members* are other ones."""
    usual: dict[str, Any] = {
        "org": "acme",
        "actor": Actor("user:ana", ActorType.USER, ()),
        "credential": CredentialReference(CredentialKind.SESSION, "sess_1"),
        "authority": Authority.READ,
        "primitive": None,
        "target": "p1@main",
        "kind": Kind.BRANCH,
        "outcome": Outcome.ALLOW,
        "reason": Reason.GRANTED,
        "because": ("b1",),
        "remedy": Remedy.NONE,
        "shadow": None,
        "revision": 7,
        "approval_id": None,
        "method": "GET",
        "path": "/x",
        "route": "/x",
        "source": "10.0.0.1",
        "request_id": "r1",
        "trace_id": None,
        "decision_ns": 900,
    }
    return DecisionRecord(id=record_id, time=time, **{**usual, **members})


class Chain:
    """Writes the chain of one sidecar.

    Attributes:
        lines: All of it so far.
    """

    def __init__(self, sidecar: str = "host-w0", every: int = 10) -> None:
        self.sidecar = sidecar
        self.lines: list[bytes] = []
        self._every = every
        self._head = genesis(sidecar)
        self._linker = Linker(sidecar)
        self._signer = CheckpointSigner(KEY)
        self._next_id = Uuid7(os.urandom).next
        self._sign(START, CheckpointCause.OPENED)

    def add(self, count: int, at: UnixMillis = START, every_ms: int = 1, **members: Any) -> list[bytes]:
        """Add *count* records, from the moment *at* on; return their lines, and those of checkpoints between them."""
        begun = len(self.lines)
        for number in range(count):
            time = UnixMillis(at + number * every_ms)
            record = decision(self._next_id(time).decode(), time, **members)
            linked, self._head = self._linker.link([encode_decision_record(record)], self._head)
            self.lines += linked
            if self._head.seq % self._every == 0:
                self._sign(time, CheckpointCause.INTERVAL)
        return self.lines[begun:]

    def close(self, at: UnixMillis = START) -> None:
        """Sign the end, twice: when it was rotated and when it was closed."""
        self._sign(at, CheckpointCause.ROTATED)
        self._sign(at, CheckpointCause.CLOSED)

    def _sign(self, time: UnixMillis, cause: CheckpointCause) -> None:
        head = self._head
        signed = self._signer.sign(Checkpoint(time, self.sidecar, head.seq, head.hash, 1, self._every, 0, cause))
        self.lines.append(signed.line)
        self._head = signed.head_after


def records_of(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines that are no checkpoints."""
    return [line for line in lines if b'"record":"checkpoint"' not in line]
