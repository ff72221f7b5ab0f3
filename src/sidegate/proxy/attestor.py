"""The signed assertion as a header to the upstream (spec 6.5)."""

from typing import TYPE_CHECKING

from sidegate.core.identity.assertion import AssertionSigner
from sidegate.core.model.units import UnixMillis

if TYPE_CHECKING:
    from sidegate.proxy.prepared import Prepared


class Attestor:
    """Writes ``X-Sidegate-Assertion``, one for each request: the id of the decision is in it.

    Args:
        signer: Holds the key.
    """

    __slots__ = ("_signer",)

    def __init__(self, signer: AssertionSigner) -> None:
        self._signer = signer

    def header(self, prepared: "Prepared", revision: int, decision_id: bytes, now: UnixMillis) -> bytes:
        """Return the header line about an allowed request, with CRLF."""
        statement = prepared.statement(revision, decision_id.decode("ascii"))
        return b"X-Sidegate-Assertion: %b\r\n" % self._signer.sign(statement, now)
