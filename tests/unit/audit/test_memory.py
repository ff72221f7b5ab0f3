"""Tests of the spool without files: it behaves like one, but for what a file is for."""

import orjson

from sidegate.audit.memory import MemorySpool
from sidegate.audit.writer import TrailWriter
from sidegate.core.trail.checkpoint import CheckpointSigner
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import ManualClock


def test_memory_keeps_a_chain_too(signer: CheckpointSigner, clock: ManualClock) -> None:
    """The same lines, from the same writer."""
    store = MemorySpool("host-w0")
    writer = TrailWriter(store, signer, clock, 100)
    writer.open()
    writer.write([OpenRecord(b'{"v":1,"record":"decision"')] * 2)
    writer.release(1)
    store.remove_oldest()
    writer.sync()
    writer.close()
    lines = [orjson.loads(line) for batch in store.batches for line in batch.splitlines()]
    assert [(line["record"], line["seq"]) for line in lines] == [("checkpoint", 0), ("decision", 1), ("decision", 2)]
    assert store.total_bytes == sum(map(len, store.batches))


def test_memory_is_bounded() -> None:
    """A measurement of hours must not fill it: the last batches stay."""
    store = MemorySpool("host-w0")
    for number in range(2000):
        store.append(b"%d\n" % number)
    assert len(store.batches) == 1024
    assert store.batches[-1] == b"1999\n"
    assert store.make_room(1 << 40) == []
