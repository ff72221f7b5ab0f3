"""Reading in pieces of bounded size, whatever the event loop would read at once (spec 2.5)."""

import asyncio
from typing import Final

READ_BYTES: Final = 32 * 1024
"""uvloop reads up to 256 KiB at once into a buffer of its own. A piece and what waits to be written before it
(``WRITE_HIGH_WATER``) are the 64 KiB that may be held per direction."""

SCRATCH: Final = memoryview(bytearray(READ_BYTES))
"""One for all connections: what is read is copied out before the loop reads again."""


class PieceReader(asyncio.BufferedProtocol):
    """A protocol that is given bytes as :class:`asyncio.Protocol` is, but never more than ``READ_BYTES`` at once."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        del sizehint
        return SCRATCH

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.data_received(SCRATCH[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        raise NotImplementedError
