"""Upstream connections over TLS: who is there is verified before anything is sent (spec 6.1, ``upstream``)."""

import asyncio
import ssl
from typing import Final, cast

from sidegate.proxy.tls import ContextSource, TlsLink, code_of, reason_of
from sidegate.proxy.upstream import Holder, UpstreamAddress, UpstreamConnection, UpstreamPool
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("tls")

# Codes of X509_verify_cert (x509_vfy.h).
_OUT_OF_TIME: Final = frozenset({9, 10})
_OTHER_NAME: Final = frozenset({62, 64})


def hint_of(error: ssl.SSLError) -> str:
    """Return what to do about a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "set `upstream.tls.server_name` to a name that stands in the upstream's certificate"
        if error.verify_code in _OUT_OF_TIME:
            return "renew the upstream's certificate, or check the clock of this machine"
        return "name who signed the upstream's certificate in `upstream.tls.ca`"
    if "ALERT" in code_of(error):
        return "the upstream refuses; if it wants a certificate, set `upstream.tls.cert` and `key` to one it knows"
    return "look at what answers there with `openssl s_client -connect HOST:PORT`"


class SecureConnection(UpstreamConnection):
    """An upstream connection over TLS.

    Attributes:
        context: What it was opened with.
    """

    __slots__ = ("context",)

    def __init__(self, pool: "SecurePool", context: ssl.SSLContext) -> None:
        super().__init__(pool)
        self.context = context

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come that was not read yet, from the socket or from what was decrypted of it."""
        return cast("TlsLink", self.transport).is_silent and super().is_silent

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if isinstance(exc, ssl.SSLError):
            # Under TLS 1.3 an upstream refuses our certificate when our handshake is long done.
            cast("SecurePool", self._pool).note_trouble(exc)
        super().connection_lost(exc)


class UpstreamLink(TlsLink):
    """TLS with the upstream.

    Attributes:
        handshake: Done when who is there was verified; else carries why not.
    """

    __slots__ = ("_connection", "handshake")

    def __init__(self, context: ssl.SSLContext, server_name: str, connection: UpstreamConnection) -> None:
        super().__init__()
        self._begin(context, server_side=False, server_name=server_name)
        self._connection = connection
        self.handshake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._shake_hands()

    def _opened(self) -> None:
        self._give_to(self._connection)
        self._connection.connection_made(self)
        if not self.handshake.done():
            self.handshake.set_result(None)

    def _refused(self, error: Exception | None) -> None:
        if not self.handshake.done():
            self.handshake.set_exception(error or ConnectionResetError("the upstream ended the TLS handshake"))


class SecurePool(UpstreamPool):
    """A pool of connections over TLS.

    What is renewed holds for every request that begins after it: connections that were opened with what was in force
    before it serve the request that they are serving, and no other.

    Args:
        contexts: Whose current one is used.
        server_name: Name or address that must stand in the upstream's certificate.
    """

    def __init__(
        self,
        address: UpstreamAddress,
        contexts: ContextSource,
        server_name: str,
        *,
        limit: int,
        connect_timeout_s: float,
        tasks: TaskSet,
    ) -> None:
        super().__init__(address, limit=limit, connect_timeout_s=connect_timeout_s, tasks=tasks)
        self._contexts = contexts
        self._server_name = server_name
        self._trouble: str | None = None

    def renew(self) -> None:
        """Use no connection again that was opened before."""
        for upstream in [*self._idle, *(one for kept in self._kept.values() for one in kept)]:
            upstream.discard()

    def release(self, upstream: UpstreamConnection, now: float, *, holder: Holder | None = None) -> None:
        """See :class:`UpstreamPool`."""
        if self._trouble is not None:
            self._trouble = None
            _log.info("upstream_tls_restored", upstream=str(self.address))
        if cast("SecureConnection", upstream).context is not self._contexts.context:
            upstream.discard()
        else:
            super().release(upstream, now, holder=holder)

    def note_trouble(self, error: ssl.SSLError) -> None:
        """Say why the upstream cannot be used; the same only once until it can."""
        reason = reason_of(error)
        if reason != self._trouble:
            self._trouble = reason
            _log.warning(
                "upstream_tls_failed",
                upstream=str(self.address),
                server_name=self._server_name,
                reason=reason,
                hint=hint_of(error),
            )

    async def _open(self) -> UpstreamConnection:
        context = self._contexts.context
        connection = SecureConnection(self, context)
        link = UpstreamLink(context, self._server_name, connection)
        await asyncio.get_running_loop().create_connection(lambda: link, self.address.host, self.address.port)
        try:
            await link.handshake
        except ssl.SSLError as error:
            self.note_trouble(error)
            raise
        except asyncio.CancelledError:
            link.abort()
            raise
        return connection
