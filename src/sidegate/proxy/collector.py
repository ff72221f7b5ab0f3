"""A request body that is read before the decision, because the decision reads it (spec 6.2)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.proxy.body import BodyReader

if TYPE_CHECKING:
    from sidegate.proxy.client import ClientConnection


class Collector:
    """Holds a body until it is whole.

    Args:
        client: Whose bytes these are; what follows the body is held back there.
        body: Finds its end.
        limit: Bytes that are held at most.
        on_whole: Told the body, once.
        on_refused: Told instead why it is refused.
    """

    __slots__ = ("_body", "_client", "_limit", "_on_refused", "_on_whole", "_pieces", "_size")

    def __init__(
        self,
        client: "ClientConnection",
        body: BodyReader,
        limit: int,
        on_whole: Callable[[bytes], None],
        on_refused: Callable[[WireError], None],
    ) -> None:
        self._client = client
        self._body = body
        self._limit = limit
        self._on_whole = on_whole
        self._on_refused = on_refused
        self._pieces: list[bytes] = []
        self._size = 0

    def client_data(self, data: bytes) -> None:
        """Take bytes of the body."""
        try:
            payload, rest = self._body.feed(data)
        except WireError as error:
            self._client.body = None
            self._on_refused(error)
            return
        self._size += len(payload)
        self._pieces.append(payload)
        if self._size > self._limit:
            self._client.body = None
            detail = f"the decision reads the body, and it is longer than {self._limit} bytes"
            self._on_refused(WireError(413, Reason.BODY_TOO_LARGE, detail))
        elif self._body.done:
            self._client.body = None
            if rest:
                self._client.hold(rest)
            self._on_whole(b"".join(self._pieces))
