"""The written form of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import IntegrityError
from sidegate.credentials.events import (
    Event,
    KeyConsumed,
    Revoked,
    RevokedKind,
    SessionCreated,
    SessionSeen,
    decode_event,
    encode_event,
    key_name,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
TIME = st.integers(0, 2**53)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(SessionCreated, TEXT, TEXT, TEXT, TEXT, st.builds(SessionLimits, TIME, TIME), st.none() | TIME, TIME),
    st.builds(SessionSeen, TEXT, TEXT, TEXT, TEXT, TIME, TIME),
    st.builds(Revoked, st.sampled_from(RevokedKind), TEXT, TIME),
    st.builds(KeyConsumed, TEXT, TIME),
)


@given(EVENTS)
def test_round_trip(event: Event) -> None:
    """What is written is read back, in one line whatever the texts hold."""
    line = encode_event(event)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert event == decode_event(line[:-1])


@given(EVENTS, st.data())
def test_changed_byte(event: Event, data: st.DataObject) -> None:
    """One changed bit anywhere is found."""
    line = bytearray(encode_event(event)[:-1])
    place = data.draw(st.integers(0, len(line) * 8 - 1))
    line[place // 8] ^= 1 << place % 8
    with pytest.raises(IntegrityError):
        decode_event(bytes(line))


def test_written_form() -> None:
    """The form does not change: journals outlive versions."""
    line = encode_event(Revoked(RevokedKind.SESSION, "s1", 7))  # type: ignore[arg-type]
    assert line == b'e54d8031 {"e":"revoked","kind":"session","id":"s1","at":7}\n'


def test_key_name() -> None:
    """Keys of two organizations never share a name: neither holds a slash."""
    assert key_name("acme", "k1") == "acme/k1"
