"""Frames are cut out, and those that carry nothing are counted (RFC 9113 section 4, 10.5)."""

import pytest

from sidegate.core.wire.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    IDLE_FRAMES,
    IDLE_FRAMES_PER_SECOND,
    MAX_CONTINUATIONS,
    MAX_FRAME_BYTES,
    MAX_SETTINGS,
    PADDED,
    PREFACE,
    Allowance,
    Code,
    FrameGate,
    Http2Fault,
    Kind,
    frame,
    goaway,
)

SETTINGS = frame(Kind.SETTINGS, 0, 0, b"")
HELLO = PREFACE + SETTINGS
PING = frame(Kind.PING, 0, 0, bytes(8))


def taken(gate: FrameGate, data: bytes = b"", now: float = 0.0) -> list[bytes]:
    """Feed *data* and return the frames that pass."""
    gate.feed(data)
    found = []
    while (whole := gate.next(now)) is not None:
        found.append(whole)
    return found


def opened() -> FrameGate:
    """Return a gate behind the beginning of a connection."""
    gate = FrameGate(1000, 0.0)
    assert taken(gate, HELLO) == [SETTINGS]
    return gate


def fault_of(gate: FrameGate, data: bytes) -> Code:
    """Return what *data* ends the connection with."""
    with pytest.raises(Http2Fault) as caught:
        taken(gate, data)
    assert caught.value.detail.isascii()
    return caught.value.code


def test_cut_anywhere() -> None:
    """The same frames pass wherever the bytes are cut."""
    data = HELLO + PING + frame(Kind.HEADERS, END_HEADERS, 1, b"abc") + frame(Kind.RST_STREAM, 0, 1, bytes(4))
    whole = taken(FrameGate(1000, 0.0), data)
    assert len(whole) == 4
    for place in range(len(data)):
        gate = FrameGate(1000, 0.0)
        assert taken(gate, data[:place]) + taken(gate, data[place:]) == whole
    gate = FrameGate(1000, 0.0)
    assert [one for at in range(len(data)) for one in taken(gate, data[at : at + 1])] == whole


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="http-1"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSN", id="one-byte"),
        pytest.param(SETTINGS, id="none"),
        pytest.param(PREFACE + PING, id="no-settings"),
        pytest.param(PREFACE + frame(Kind.SETTINGS, ACK, 0, b""), id="acknowledgement-first"),
        pytest.param(PREFACE + frame(Kind.HEADERS, END_HEADERS, 1, b""), id="headers-first"),
    ],
)
def test_bad_beginning(data: bytes) -> None:
    """A connection begins with the preface and settings (RFC 9113 section 3.4)."""
    assert fault_of(FrameGate(1000, 0.0), data) is Code.PROTOCOL_ERROR


def test_too_long() -> None:
    """A frame that is too long is refused by its head, before any of it is held (RFC 9113 section 4.2)."""
    data = (MAX_FRAME_BYTES + 1).to_bytes(3, "big") + bytes([Kind.DATA, 0, 0, 0, 0, 1])
    assert fault_of(opened(), data) is Code.FRAME_SIZE_ERROR
    assert taken(opened(), frame(Kind.PING, 0, 0, bytes(MAX_FRAME_BYTES)))


def test_payload_passes_as_it_comes() -> None:
    """A DATA frame is not held until it is whole; only its last piece ends the stream, and nothing is lost."""
    gate = opened()
    data = frame(Kind.DATA, END_STREAM, 1, b"abcdef")
    pieces = [one for at in range(len(data)) for one in taken(gate, data[at : at + 1])]
    assert b"".join(one[9:] for one in pieces) == b"abcdef"
    assert [one[4] for one in pieces] == [0] * (len(pieces) - 1) + [END_STREAM]
    assert all(len(one) - 9 == int.from_bytes(one[:3], "big") and one[5:9] == b"\0\0\0\1" for one in pieces)
    assert taken(gate, PING) == [PING]


def test_padded_payload_is_held() -> None:
    """The padding is told at the beginning, so that such a frame passes whole."""
    gate = opened()
    data = frame(Kind.DATA, PADDED, 1, b"\x02ab\0\0")
    assert taken(gate, data[:-1]) == []
    assert taken(gate, data[-1:]) == [data]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PING, id="ping"),
        pytest.param(frame(Kind.PING, ACK, 0, bytes(8)), id="pong"),
        pytest.param(SETTINGS, id="settings"),
        pytest.param(frame(Kind.SETTINGS, ACK, 0, b""), id="acknowledgement"),
        pytest.param(frame(Kind.PRIORITY, 0, 1, bytes(5)), id="priority"),
        pytest.param(frame(Kind.WINDOW_UPDATE, 0, 0, bytes(4)), id="window-update"),
        pytest.param(frame(Kind.RST_STREAM, 0, 1, bytes(4)), id="reset"),
        pytest.param(frame(Kind.DATA, 0, 1, b""), id="empty-data"),
        pytest.param(frame(Kind.DATA, 0, 1, b"x"), id="one-byte-of-data"),
        pytest.param(frame(Kind.DATA, PADDED, 1, b"\x20" + bytes(0x20)), id="padding"),
        pytest.param(b"\0\0\0\x2a\0\0\0\0\0", id="unknown"),
        pytest.param(goaway(0, Code.NO_ERROR), id="goaway"),
    ],
)
def test_flood(data: bytes) -> None:
    """Frames that carry nothing end the connection once there are too many (CVE-2019-9511 to 9518)."""
    gate = opened()
    taken(gate, data * (IDLE_FRAMES - 1))
    assert fault_of(gate, data) is Code.ENHANCE_YOUR_CALM


def test_time_allows_more() -> None:
    """So many per second are no flood."""
    gate = opened()
    taken(gate, PING * (IDLE_FRAMES - 1))
    assert len(taken(gate, PING * IDLE_FRAMES_PER_SECOND, now=1.0)) == IDLE_FRAMES_PER_SECOND
    with pytest.raises(Http2Fault):
        taken(gate, PING, now=1.0)


def test_what_carries_something_allows_more() -> None:
    """A transfer may be answered by as many window updates as it takes."""
    gate = opened()
    for _ in range(IDLE_FRAMES):
        taken(gate, frame(Kind.DATA, 0, 1, bytes(100)) + PING * 4)
    for _ in range(IDLE_FRAMES):
        gate.earn(2)
        taken(gate, PING * 2)


def test_too_many_continuations() -> None:
    """A field section in many frames ends the connection (CVE-2024-27316)."""
    gate = opened()
    taken(gate, frame(Kind.HEADERS, 0, 1, b"a") + frame(Kind.CONTINUATION, 0, 1, b"") * MAX_CONTINUATIONS)
    assert gate.in_section
    assert fault_of(gate, frame(Kind.CONTINUATION, 0, 1, b"")) is Code.ENHANCE_YOUR_CALM


def test_too_long_a_section() -> None:
    """So does one that is too long, before it is decoded."""
    gate = opened()
    taken(gate, frame(Kind.HEADERS, 0, 1, bytes(600)))
    assert fault_of(gate, frame(Kind.CONTINUATION, END_HEADERS, 1, bytes(401))) is Code.ENHANCE_YOUR_CALM
    assert taken(opened(), frame(Kind.HEADERS, END_HEADERS, 1, bytes(1000)))
    assert fault_of(opened(), frame(Kind.HEADERS, END_HEADERS, 1, bytes(1001))) is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PING, id="ping"),
        pytest.param(frame(Kind.HEADERS, END_HEADERS, 3, b""), id="headers"),
        pytest.param(frame(Kind.CONTINUATION, END_HEADERS, 3, b""), id="of-another-stream"),
    ],
)
def test_section_is_not_interrupted(data: bytes) -> None:
    """Nothing comes between the frames of a field section (RFC 9113 section 4.3)."""
    gate = opened()
    taken(gate, frame(Kind.HEADERS, 0, 1, b""))
    assert fault_of(gate, data) is Code.PROTOCOL_ERROR


def test_in_section() -> None:
    """A field section is waited for from the first byte that shows it until its last."""
    gate = opened()
    data = frame(Kind.HEADERS, 0, 1, b"a") + frame(Kind.CONTINUATION, END_HEADERS, 1, b"b")
    seen = []
    for at in range(len(data)):
        taken(gate, data[at : at + 1])
        seen.append(gate.in_section)
    assert seen == [False] * 3 + [True] * (len(data) - 4) + [False]
    taken(gate, frame(Kind.DATA, 0, 1, b"xxx\x01xxx")[:-3])
    assert not gate.in_section


def test_unknown_settings_do_not_pass() -> None:
    """What nobody knows is not kept either (RFC 9113 section 6.5.2); what is known passes in its order."""
    one = (4).to_bytes(2, "big") + (1000).to_bytes(4, "big")
    other = (0x7777).to_bytes(2, "big") + bytes(4)
    assert taken(opened(), frame(Kind.SETTINGS, 0, 0, other + one + other)) == [frame(Kind.SETTINGS, 0, 0, one)]
    assert fault_of(opened(), frame(Kind.SETTINGS, 0, 0, other * (MAX_SETTINGS + 1))) is Code.ENHANCE_YOUR_CALM
    odd = frame(Kind.SETTINGS, 0, 0, one + b"x")
    assert taken(opened(), odd) == [odd], "for the engine to refuse"


def test_goaway_does_not_pass() -> None:
    """A client that will leave is remembered; what it asked for before is still answered."""
    gate = opened()
    assert taken(gate, goaway(0, Code.NO_ERROR, "bye") + PING) == [PING]
    assert gate.leaving
    assert fault_of(opened(), frame(Kind.GOAWAY, 0, 1, bytes(8))) is Code.PROTOCOL_ERROR
    assert fault_of(opened(), frame(Kind.GOAWAY, 0, 0, bytes(7))) is Code.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("spent", "now", "more", "good"),
    [
        pytest.param(3, 0.0, 1, False, id="all-at-once"),
        pytest.param(2, 0.0, 1, True, id="the-last"),
        pytest.param(3, 1.0, 2, True, id="a-second-later"),
        pytest.param(3, 1.0, 3, False, id="a-second-later-too-many"),
        pytest.param(3, 100.0, 4, False, id="never-more-than-the-most"),
    ],
)
def test_allowance(spent: int, now: float, more: int, good: bool) -> None:
    """So much at once, and so much per second."""
    allowance = Allowance(3, 2, 0.0)
    assert allowance.spend(spent, 0.0)
    assert allowance.spend(more, now) is good


def test_allowance_earned() -> None:
    """What is earned can be spent, up to the most."""
    allowance = Allowance(3, 0, 0.0)
    allowance.earn(10)
    assert allowance.spend(3, 0.0)
    allowance.earn(1)
    assert allowance.spend(1, 0.0)
    assert not allowance.spend(1, 0.0)
