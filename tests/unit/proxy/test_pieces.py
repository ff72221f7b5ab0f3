"""Reading in pieces of bounded size."""

from sidegate.proxy.pieces import READ_BYTES, PieceReader
from sidegate.proxy.upstream import WRITE_HIGH_WATER

HELD_BYTES = 64 * 1024
"""Per direction, by spec 2.5."""


class Taker(PieceReader):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.taken.append(data)


def deliver(taker: Taker, data: bytes) -> None:
    """Do as an event loop that reads *data*."""
    buffer = taker.get_buffer(256 * 1024)
    buffer[: len(data)] = data
    taker.buffer_updated(len(data))


def test_no_piece_is_larger_than_may_be_read() -> None:
    """Whatever the loop suggests; with what waits to be written it is no more than may be held."""
    assert len(Taker().get_buffer(256 * 1024)) == READ_BYTES
    assert READ_BYTES + WRITE_HIGH_WATER <= HELD_BYTES


def test_pieces_are_copies() -> None:
    """All connections read into the same bytes: what one was given stays as it was."""
    one, other = Taker(), Taker()
    deliver(one, b"one")
    deliver(other, b"others")
    deliver(one, b"x")
    assert (one.taken, other.taken) == ([b"one", b"x"], [b"others"])
