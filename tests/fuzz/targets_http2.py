"""What is fuzzed of HTTP/2: the bytes of a connection, and field sections on their way to HTTP/1.1."""

from dataclasses import dataclass, field
from typing import Final

import hpack
from h2.events import RequestReceived
from h2.exceptions import H2Error
from tests.wire.strict import read_head

from sidegate.core.model.errors import WireError
from sidegate.core.wire.block import HeaderReader, HeaderRules
from sidegate.core.wire.head import read_request_line
from sidegate.core.wire.http2_frames import FRAME_HEAD, FrameGate, Http2Fault, Kind
from sidegate.core.wire.http2_request import EITHER, read_request
from sidegate.core.wire.names import NamePolicy
from sidegate.proxy.http2.engine import Engine, SectionDecoder, Sections

_READER: Final = HeaderReader(HeaderRules(NamePolicy(b"X-API-Key", frozenset()), b"__session", False, 100))
_MAX_HEAD: Final = 32_768
_SECTIONS: Final = Sections()


def section(data: bytes) -> None:
    """A section, as lines of name, tab and value, is refused, or is one head that says the same and no more."""
    fields = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b"\t")
        # So that line ends and tabs can stand in both.
        fields.append(
            tuple(part.replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\t", b"\t") for part in (name, value))
        )
    for ended in (True, False):
        request = read_request([(name, value) for name, value in fields], EITHER, ended=ended)
        start, written, rest = read_head(request.head)
        assert rest == b""
        pseudo = {name: value for name, value in fields if name.startswith(b":")}
        assert start == b"%b %b HTTP/1.1" % (pseudo[b":method"], pseudo[b":path"])
        plain = [
            (name, value) for name, value in fields if not name.startswith(b":") and name not in {b"host", b"cookie"}
        ]
        ours = {b"Host", b"Connection", b"Transfer-Encoding"}
        assert [field for field in written if field[0] not in ours | {b"cookie"}] == plain
        cookies = [value for name, value in fields if name == b"cookie"]
        assert [value for name, value in written if name == b"cookie"] == ([b"; ".join(cookies)] if cookies else [])
        assert [name for name, _ in written].count(b"Host") == 1
        line, _, block = request.head.partition(b"\r\n")
        try:
            read_request_line(line, 8192)
            read, _ = _READER.read(block[:-2])
        except WireError:
            continue
        assert read.close
        assert read.upgrade is None
        assert read.chunked is request.chunked
        assert read.length == request.length


@dataclass
class Passed:
    """What became of the bytes of a connection.

    Attributes:
        frames: That passed, but for DATA frames, which pass in pieces.
        payload: By stream.
        is_over: Something ended the connection.
    """

    frames: list[bytes] = field(default_factory=list)
    payload: dict[bytes, bytes] = field(default_factory=dict)
    is_over: bool = False

    def note(self, one: bytes) -> None:
        """Note a frame that was taken."""
        if one[3] == Kind.DATA:
            self.payload[one[5:9]] = self.payload.get(one[5:9], b"") + one[FRAME_HEAD:]
        else:
            self.frames.append(one)


def connection(data: bytes) -> None:
    """Bytes of a client end the connection in one of two documented ways, or are served, however they are cut."""
    whole = _play(data, len(data) or 1)
    for size in (1, 7):
        pieces = _play(data, size)
        assert (pieces.frames, pieces.is_over) == (whole.frames, whole.is_over)
        for stream, payload in whole.payload.items():
            assert pieces.payload.get(stream, b"").startswith(payload)
        if not whole.is_over:
            assert pieces.payload == whole.payload


def _play(data: bytes, size: int) -> Passed:
    gate = FrameGate(2 * _MAX_HEAD, 0.0)
    engine = Engine(_SECTIONS, 100, _MAX_HEAD)
    passed = Passed()
    try:
        for at in range(0, len(data), size):
            gate.feed(data[at : at + size])
            while (one := gate.next(0.0)) is not None:
                assert len(one) - FRAME_HEAD == int.from_bytes(one[:3], "big")
                for event in engine.receive_data(one):
                    if isinstance(event, RequestReceived):
                        _serve(engine, event)
                engine.data_to_send()
                passed.note(one)
    except (Http2Fault, H2Error):
        passed.is_over = True
    return passed


def _serve(engine: Engine, event: RequestReceived) -> None:
    try:
        request = read_request(engine.decoder.section, EITHER, ended=event.stream_ended is not None)
    except WireError:
        engine.send_headers(event.stream_id, ((b":status", b"400"),), end_stream=True)
        return
    engine.send_headers(event.stream_id, ((b":status", b"200"), (b"x-length", b"%d" % request.length)))
    room = engine.local_flow_control_window(event.stream_id)
    if room > 0:
        engine.send_data(event.stream_id, bytes(min(room, 100)), end_stream=event.stream_id % 4 == 1)


def compression(data: bytes) -> None:
    """What is remembered of sections changes nothing: they mean what they mean to a decoder without a memory."""
    ours, plain = SectionDecoder(4096), hpack.Decoder(4096)
    for piece in data.split(b"|"):
        for block in (piece, piece):
            try:
                expected = tuple(plain.decode(block, raw=True))
            except hpack.HPACKError:
                try:
                    ours.decode(block)
                except hpack.HPACKError:
                    return
                raise AssertionError("a section was read that cannot be") from None
            ours.decode(block)
            assert ours.section == expected
