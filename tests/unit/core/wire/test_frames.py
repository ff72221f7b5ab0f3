"""Boundaries of WebSocket frames, against the parser of the `websockets` library (RFC 6455 section 5.2)."""

from collections.abc import Generator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from sidegate.core.wire.frames import MAX_CLOSE_REASON_BYTES, POLICY_VIOLATION, FrameTracker, close_frame

OPCODES = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)
SIZES = st.one_of(st.integers(0, 130), st.sampled_from([125, 126, 127, 128, 65534, 65535, 65536, 65537, 70000]))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return one frame as either side may send it."""
    opcode = draw(st.sampled_from(OPCODES))
    control = opcode in {Opcode.PING, Opcode.PONG}
    size = draw(st.integers(0, 125) if control else SIZES)
    payload = draw(st.binary(min_size=4, max_size=4)) * (size // 4 + 1)
    mask = draw(st.booleans())
    written = Frame(opcode, payload[:size], fin=control or draw(st.booleans())).serialize(mask=mask)
    return written if draw(st.booleans()) or size > 125 or mask or control else _in_long_form(written)


def _in_long_form(frame: bytes) -> bytes:
    """Write a short length in eight bytes: not allowed, but read by most."""
    return frame[:1] + b"\x7f" + (len(frame) - 2).to_bytes(8) + frame[2:]


streams = st.lists(frames(), max_size=6)


@st.composite
def cuttings(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Return frames, and the same bytes cut anywhere."""
    stream = draw(streams)
    data = b"".join(stream)
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=20)))
    return stream, [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def boundaries_by_websockets(data: bytes) -> set[int]:
    """Return where frames end, as the library reads them."""
    reader = StreamReader()
    reader.feed_data(data)
    found = {0}
    while True:
        # Masked or not is for the caller to say.
        before = len(reader.buffer)
        if before < 2:
            return found
        parsing: Generator[None, None, Frame] = Frame.parse(
            reader.read_exact, mask=bool(reader.buffer[1] & 0x80), max_size=None
        )
        try:
            next(parsing)
        except StopIteration:
            found.add(len(data) - len(reader.buffer))
        else:
            return found


def by_pieces(tracker: FrameTracker, pieces: list[bytes]) -> Iterator[int]:
    """Feed *pieces* and yield the offsets at which no frame is open."""
    offset = 0
    for piece in pieces:
        tracker.feed(piece)
        offset += len(piece)
        if tracker.at_boundary:
            yield offset


@given(cuttings())
def test_boundaries_however_cut(cut: tuple[list[bytes], list[bytes]]) -> None:
    """Of the places where the bytes were cut, exactly those between two frames are boundaries."""
    stream, pieces = cut
    data = b"".join(stream)
    ends = {len(b"".join(stream[:count])) for count in range(len(stream) + 1)}
    offsets = [len(b"".join(pieces[:count])) for count in range(1, len(pieces) + 1)]
    found = set(by_pieces(FrameTracker(), pieces))
    assert {offset for offset in offsets if offset in ends} == found
    assert boundaries_by_websockets(data) & set(offsets) <= found | {0}


@given(st.lists(frames(), min_size=1, max_size=3))
def test_every_offset(stream: list[bytes]) -> None:
    """Byte by byte, the boundaries are those that the library finds."""
    data = b"".join(frame for frame in stream if len(frame) < 1000)
    found = set(by_pieces(FrameTracker(), [data[at : at + 1] for at in range(len(data))]))
    assert boundaries_by_websockets(data) == found | {0}


@given(cuttings(), st.binary(max_size=40))
def test_feed_to_boundary(cut: tuple[list[bytes], list[bytes]], more: bytes) -> None:
    """What is taken of the next bytes ends with the frame that has begun, whatever follows it."""
    stream, pieces = cut
    head = pieces[0]
    rest = b"".join(pieces[1:])
    tracker = FrameTracker()
    tracker.feed(head)
    ends = [len(b"".join(stream[:count])) for count in range(len(stream) + 1)]
    boundary = next(end for end in ends if end >= len(head))
    taken = 0
    for piece in (rest[: len(rest) // 2], rest[len(rest) // 2 :] + more):
        step = tracker.feed_to_boundary(piece)
        taken += step
        if step < len(piece):
            break
    assert boundary == len(head) + taken
    assert tracker.at_boundary
    assert tracker.feed_to_boundary(more) == 0


@given(st.binary(max_size=300), st.sets(st.integers(0, 300)))
def test_cuts_never_matter(data: bytes, places: set[int]) -> None:
    """Whatever the bytes are, the verdict does not depend on how they were cut."""
    whole, cut = FrameTracker(), FrameTracker()
    whole.feed(data)
    ordered = sorted(place for place in places if place <= len(data))
    for start, end in zip([0, *ordered], [*ordered, len(data)], strict=True):
        cut.feed(data[start:end])
    assert (whole.at_boundary, whole.is_closed, whole.is_lost) == (cut.at_boundary, cut.is_closed, cut.is_lost)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 10, 11, 14])
def test_impossible_length(size: int) -> None:
    """A length whose highest bit is set is no length: from there on no boundary is claimed."""
    tracker = FrameTracker()
    data = b"\x82\xff\x80" + b"\x00" * 7 + b"mask" + b"\x81\x00" * 10
    for at in range(0, len(data), size):
        tracker.feed(data[at : at + size])
    assert (tracker.is_lost, tracker.at_boundary) == (True, False)
    assert tracker.feed_to_boundary(b"\x81\x00") == 2
    tracker.feed(b"\x88\x00")
    assert tracker.is_closed is False


@pytest.mark.parametrize(
    ("data", "closed"),
    [
        pytest.param(b"\x81\x02\x88\x00", False, id="payload-that-looks-so"),
        pytest.param(b"\x81\x02hi\x88\x00", True, id="after-a-message"),
        pytest.param(b"\x81\x02hi\x88", True, id="begun"),
        pytest.param(b"\x01\x02hi\x88\x02\x03\xe8", True, id="within-a-fragmented-message"),
        pytest.param(b"\x89\x00\x8a\x00\x82\x00", False, id="other-frames"),
    ],
)
def test_close_frame_seen(data: bytes, closed: bool) -> None:
    """A close frame is noticed with its first byte, and not in a payload."""
    bytewise, whole = FrameTracker(), FrameTracker()
    whole.feed(data)
    for at in range(len(data)):
        bytewise.feed(data[at : at + 1])
    assert (whole.is_closed, bytewise.is_closed) == (closed, closed)


def test_reserved_bits() -> None:
    """Compressed frames have their boundaries where others have them (RFC 7692 sets RSV1)."""
    tracker = FrameTracker()
    assert list(by_pieces(tracker, [b"\xc1", b"\x03a", b"b", b"c", b"\xe1\x00"])) == [5, 7]


def test_huge_frame() -> None:
    """The longest frame there can be is followed without being held."""
    tracker = FrameTracker()
    tracker.feed(b"\x82\x7f" + ((1 << 63) - 1).to_bytes(8))
    tracker.feed(b"x" * 100_000)
    assert (tracker.is_lost, tracker.at_boundary) == (False, False)


@pytest.mark.parametrize("reason", ["", "session_revoked", "é" * 61 + "x"])
def test_close_frame(reason: str) -> None:
    """A close frame is read by the library as code and reason, and takes nothing of what follows."""
    reader = StreamReader()
    reader.feed_data(close_frame(POLICY_VIOLATION, reason))
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    frame = done.value.value
    assert (frame.opcode, Close.parse(frame.data)) == (Opcode.CLOSE, Close(POLICY_VIOLATION, reason))
    assert reader.buffer == b""
    tracker = FrameTracker()
    tracker.feed(close_frame(POLICY_VIOLATION, reason))
    assert (tracker.at_boundary, tracker.is_closed) == (True, True)


def test_close_reason_is_bounded() -> None:
    """A reason that does not fit is an error, not a broken frame."""
    with pytest.raises(ValueError, match="123 bytes, not 124"):
        close_frame(POLICY_VIOLATION, "x" * (MAX_CLOSE_REASON_BYTES + 1))
