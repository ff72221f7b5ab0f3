"""TLS on one connection, between its socket and who speaks HTTP on it (RFC 8446, RFC 5246, spec 2).

Not the event loop's own TLS. That one cannot be told what was read before the handshake (a header of the PROXY
protocol), keeps 256 KiB per connection to read into, cannot end its sending side, and is not seen before its handshake
is done, so that nobody could count or end who takes for ever over it.
"""

import asyncio
import contextlib
import ssl
from typing import Final, Protocol, cast

from sidegate.proxy.pieces import READ_BYTES, PieceReader

PARTING_S: Final = 2.0
"""How long the other side may take to read the alert that says why its connection ends."""

LINGER_BYTES: Final = 256 * 1024
"""How much is thrown away that still comes after we have ended our side."""

_CIPHER_SHARE: Final = 256
"""A record of 16 KiB grows by at most 29 bytes (TLS 1.2 with AES-GCM), a piece of two records by less than a 256th."""

# One for all connections: what is decrypted is copied out before anything else is.
_PLAIN: Final = memoryview(bytearray(READ_BYTES))


class ContextSource(Protocol):
    """Knows what new connections are made with; another one after a renewal."""

    @property
    def context(self) -> ssl.SSLContext:
        """The context in force."""


class Speaker(Protocol):
    """What speaks over a link, as it would over a socket; a :class:`PieceReader`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. At most ``READ_BYTES``."""

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""


def code_of(error: Exception) -> str:
    """Return OpenSSL's name for why it refused; empty if it was not OpenSSL that did."""
    # Only errors of OpenSSL's own queue have one.
    return getattr(error, "reason", None) or "" if isinstance(error, ssl.SSLError) else ""


def reason_of(error: Exception) -> str:
    """Return in words why OpenSSL refused."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    code = code_of(error).lower().replace("_", " ")
    return code or (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class TlsLink(PieceReader, asyncio.Transport):
    """The protocol of a socket, and the transport of who speaks on it once the handshake is done.

    What is written is encrypted at once and waits in the socket's transport only; what comes is decrypted when somebody
    wants to read it. So the socket's own back-pressure is that of the link.

    Attributes:
        transport: Of the socket.
        tls: What was negotiated; not there before :meth:`_begin`.
        is_open: The handshake is done.
    """

    __slots__ = (
        "_discarded",
        "_ending",
        "_error",
        "_fault",
        "_heard_end",
        "_incoming",
        "_outgoing",
        "_paused",
        "_said_end",
        "_speaker",
        "is_open",
        "tls",
        "transport",
    )

    transport: asyncio.Transport
    tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    def __init__(self) -> None:
        super().__init__()
        self._speaker: Speaker | None = None
        self._error: Exception | None = None
        self._fault: ssl.SSLError | None = None
        self._paused = False
        self._ending = False
        self._said_end = False
        self._heard_end = False
        self._discarded = 0
        self.is_open = False

    def _begin(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        """Begin the handshake, before anything is given to :meth:`data_received` of this class.

        Args:
            context: Whose certificate is shown, and who is trusted.
            server_side: The other side speaks first.
            server_name: Who the other side must prove to be: a name or an address.
        """
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )

    # What a link of a kind does.

    def _opened(self) -> None:
        """The handshake is done: call :meth:`_give_to`."""
        raise NotImplementedError

    def _refused(self, error: Exception | None) -> None:
        """The connection is gone without a handshake: *error* says why; None if the other side just left."""
        raise NotImplementedError

    def _give_to(self, speaker: Speaker) -> None:
        """Let *speaker* have the connection from now on; its ``connection_made`` is still to be called."""
        self._speaker = speaker
        self.is_open = True

    # From the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._said_end or self._heard_end:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.abort()
        elif not self._ending:
            self._incoming.write(data)
            if self.is_open:
                self._read()
            else:
                self._shake_hands()

    def eof_received(self) -> bool:
        """See asyncio.Protocol."""
        if self.is_open and not self._ending:
            self._read()
            if not self._heard_end:
                self._hear_end(is_whole=False)
        else:
            self.transport.close()
        return True

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._speaker is not None:
            self._speaker.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._speaker is not None:
            self._speaker.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._ending = True
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.connection_lost(self._error or exc)
        elif not self.is_open:
            self._refused(self._error or exc)

    # For who speaks. See asyncio.Transport.

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come that is still to be decrypted."""
        return not self._incoming.pending and not self.tls.pending()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what is known of the socket."""
        return self.transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether the connection is closing or closed."""
        return self._ending or self.transport.is_closing()

    def is_reading(self) -> bool:
        """Whether more would be read."""
        return not self._paused and not self.is_closing()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._paused = True
        if not self.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on; not from within this call."""
        if self._paused and not self.is_closing():
            self._paused = False
            self.transport.resume_reading()
            # What came before the pause is here, and nothing may come any more that would have it read.
            asyncio.get_running_loop().call_soon(self._read)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits for what is written; in cipher it takes a little more."""
        self.transport.set_write_buffer_limits(None if high is None else high + high // _CIPHER_SHARE, low)

    def get_write_buffer_size(self) -> int:
        """Return how many encrypted bytes wait to be sent."""
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._ending or self._said_end:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self.tls.write(rest) :]
        except ssl.SSLError as error:
            self._break(error)
        else:
            self._flush()

    def can_write_eof(self) -> bool:
        """It can: ``close_notify`` ends one direction (RFC 8446 section 6.1)."""
        return True

    def write_eof(self) -> None:
        """End our side. What still comes is thrown away undecrypted."""
        if not self._ending and not self._said_end:
            self._say_end()
            self.transport.write_eof()

    def close(self) -> None:
        """End the connection once all is sent."""
        if not self._ending:
            if not self._said_end:
                self._say_end()
            self._ending = True
            self.transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._ending = True
        self.transport.abort()

    # Within.

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()
        self._opened()
        # What was sent right behind the handshake came with it.
        self._read()

    def _read(self) -> None:
        while not (self._paused or self._ending or self._said_end or self._heard_end):
            data = self._decrypt()
            if data and self._speaker is not None:
                self._speaker.data_received(data)
            elif not data:
                return

    def _decrypt(self) -> bytes:
        """Return what can be decrypted of what came, up to a piece. Hears the end, and breaks at what is no TLS."""
        size = 0
        while size < READ_BYTES and self._fault is None:
            try:
                count = cast("int", self.tls.read(READ_BYTES - size, _PLAIN[size:]))  # with a buffer, as documented
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fault = error
                break
            if not count:
                # Where something came before it the next call says so again.
                if not size:
                    self._hear_end(is_whole=True)
                break
            size += count
            if self.is_silent:
                # To read once more only to be told so would cost an exception, half of what the reading costs.
                break
        if self._fault is not None and not size:
            # Not before what came in front of it was read: a verdict does not depend on the cuts.
            self._break(self._fault)
            return b""
        self._flush()  # the answer to a key update
        return _PLAIN[:size].tobytes()

    def _hear_end(self, *, is_whole: bool) -> None:
        """The other side ended: by saying so, or only by ending the connection, as anybody on the way can."""
        self._heard_end = True
        speaker = self._speaker
        if not is_whole and not self.tls.server_side:
            # What ends with the connection was perhaps not whole (RFC 9112 section 9.8).
            self._error = ConnectionAbortedError("the connection ended without close_notify")
            self.abort()
        elif speaker is None or not speaker.eof_received():
            self.close()

    def _say_end(self) -> None:
        self._said_end = True
        # It wants to read the other side's end, which is not waited for.
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        """End a connection on which no TLS is spoken, after the alert that says so."""
        if self._ending:
            return
        self._ending = True
        self._error = error
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())
        self.transport.close()
        asyncio.get_running_loop().call_later(PARTING_S, self.transport.abort)
