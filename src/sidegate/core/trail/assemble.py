"""A chain put together again from records and checkpoints that were kept apart (spec 5.7, 5.8)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import genesis, read_tail
from sidegate.core.trail.checkpoint import SignedCheckpoint
from sidegate.core.trail.finding import Place

PlacedLine = tuple[bytes, Place]
PlacedCheckpoint = tuple[SignedCheckpoint, Place]

_NOTHING: Final = b""


def assemble(
    sidecar: str, records: Iterable[tuple[int, bytes, Place]], checkpoints: Iterable[PlacedCheckpoint]
) -> Iterator[PlacedLine]:
    """Put the chain of *sidecar* into its order.

    Args:
        sidecar: Whose chain.
        records: Number, line and place of each, by number.
        checkpoints: In any order. Several of the same record are put into the order in which they hang on each other.

    Returns:
        Lines in the order of the chain, as far as there is one: what does not fit stays, for who checks it.
    """
    waiting: dict[int, list[PlacedCheckpoint]] = defaultdict(list)
    for signed, place in checkpoints:
        waiting[signed.checkpoint.seq].append((signed, place))
    due = sorted(waiting, reverse=True)
    head = genesis(sidecar).hash
    for seq, line, place in records:
        while due and due[-1] < seq:
            for signed, where in _in_order(head, waiting[due.pop()]):
                yield signed.line, where
                head = signed.head_after.hash
        yield line, place
        tail = read_tail(line)
        head = _NOTHING if tail is None else tail.hash
    while due:
        for signed, where in _in_order(head, waiting[due.pop()]):
            yield signed.line, where
            head = signed.head_after.hash


def _in_order(head: bytes, group: list[PlacedCheckpoint]) -> Iterator[PlacedCheckpoint]:
    left = sorted(group, key=lambda placed: placed[0].checkpoint.time)
    while left:
        following = next((placed for placed in left if placed[0].checkpoint.hash == head), left[0])
        left.remove(following)
        head = following[0].head_after.hash
        yield following


def first_required(checkpoints: Iterable[SignedCheckpoint], kept_from: UnixMillis | None) -> int:
    """Return the first record that has to be among what was kept.

    Args:
        checkpoints: All of one sidecar.
        kept_from: What is older was removed on purpose; None if nothing was.

    Returns:
        What the oldest checkpoint says that the spool still had; or, where older records were removed, the first one
        after the first checkpoint of what was kept: all before it may be of before.
    """
    ordered = sorted(checkpoints, key=lambda signed: (signed.checkpoint.seq, signed.checkpoint.time))
    if kept_from is None:
        return ordered[0].checkpoint.base if ordered else 1
    later = next((signed for signed in ordered if signed.checkpoint.time >= kept_from), None)
    last = ordered[-1].checkpoint.seq if ordered else 0
    return (last if later is None else later.checkpoint.seq) + 1
