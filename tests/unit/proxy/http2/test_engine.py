"""The engine of a connection: what it tells, what it keeps, and what it makes of compression."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange.http2_client import (
    END_HEADERS,
    HEADERS,
    HELLO,
    SETTINGS,
    Fields,
    Http2Reader,
    frame,
    literal,
    request,
    setting,
)

from sidegate.proxy.http2.engine import (
    KNOWN_BYTES,
    KNOWN_SECTIONS,
    REMEMBERED_BYTES,
    STREAM_WINDOW,
    Engine,
    SectionDecoder,
    SectionEncoder,
    Sections,
)

OK = ((b":status", b"200"), (b"content-type", b"text/plain"), (b"set-cookie", b"secret=1"))
_FIELDS = st.lists(st.tuples(st.sampled_from([b"a", b"cookie", b":path"]), st.binary(max_size=40)), max_size=4)


def hello(engine: Engine) -> None:
    """Let the client begin."""
    engine.receive_data(HELLO[24:])


def settings_of(data: bytes) -> dict[int, int]:
    """Return what the first frame tells."""
    reader = Http2Reader()
    reader.feed(data)
    kind, _, _, payload = reader.frames[0]
    assert kind == SETTINGS
    pairs = [payload[at : at + 6] for at in range(0, len(payload), 6)]
    return {int.from_bytes(pair[:2], "big"): int.from_bytes(pair[2:], "big") for pair in pairs}


def test_what_is_told() -> None:
    """Limits are told at the beginning: streams, sections, windows; no push, no other protocol over CONNECT."""
    told = settings_of(Engine(Sections(), 7, 1000).data_to_send())
    assert (told[3], told[6], told[4], told[5]) == (7, 1000, STREAM_WINDOW, 16_384)
    assert (told.get(2, 0), told.get(8, 0)) == (0, 0)


def test_default_window_until_told() -> None:
    """Until a client says that it knows of its window, it may go by the default (RFC 9113 section 6.9.2)."""
    engine = Engine(Sections(), 7, 1000)
    hello(engine)
    engine.receive_data(frame(HEADERS, END_HEADERS, 1, b"\x82"))
    assert engine.remote_flow_control_window(1) == 65_535
    engine.receive_data(frame(SETTINGS, 1))
    assert engine.remote_flow_control_window(1) == STREAM_WINDOW


def test_sections_are_not_shown_to_the_engine() -> None:
    """What is in a section is for others to judge: nothing in it ends the connection."""
    engine = Engine(Sections(), 7, 1000)
    hello(engine)
    fields: Fields = [(b":status", b"100"), (b"Content-Length", b"+1"), (b"content-length", b"x"), (b"", b"\r\n")]
    (event,) = engine.receive_data(frame(HEADERS, END_HEADERS, 1, literal(fields)))
    assert engine.decoder.section == tuple(fields)
    assert not event.headers


def test_nothing_secret_in_a_table() -> None:
    """The same answer is the same bytes each time, whatever was sent before: nothing of it is kept by either side."""
    sections = Sections()
    encoder, decoder = SectionEncoder(sections), hpack.Decoder()
    first, second = encoder.encode(OK), encoder.encode(OK)
    assert (first, second) == (b"\x20" + second, first[1:])
    assert [tuple(field) for field in decoder.decode(first, raw=True)] == list(OK)
    assert [tuple(field) for field in decoder.decode(second, raw=True)] == list(OK)
    assert not decoder.header_table.dynamic_entries
    encoder.header_table_size = 1 << 31
    assert encoder.encode(OK) == first
    assert encoder.encode(OK) == second
    assert encoder.header_table_size == 0


def test_one_memory_for_all_connections() -> None:
    """Another connection has to say that it keeps no table, and nothing else anew."""
    sections = Sections()
    assert SectionEncoder(sections).encode(OK) == SectionEncoder(sections).encode(OK)


@pytest.mark.parametrize("length", [REMEMBERED_BYTES - 100, REMEMBERED_BYTES + 1])
def test_long_sections(length: int) -> None:
    """A section that is too long to be remembered is encoded as well."""
    section = ((b":status", b"200"), (b"x", b"a" * length))
    sections = Sections()
    for _ in range(3):
        assert [tuple(field) for field in hpack.Decoder().decode(sections.encode(section), raw=True)] == list(section)


@given(
    st.lists(
        st.one_of(_FIELDS, st.sampled_from([b"\x20", b"\x3f\x21", b"\xbe", b"\xbf\xbe", b"\x40\x01a\x01b"])), max_size=8
    )
)
def test_memory_changes_nothing(blocks: list[Fields | bytes]) -> None:
    """Equal bytes mean the same only as long as the table is the same: ours always says what a plain decoder says."""
    encoder, ours, plain = hpack.Encoder(), SectionDecoder(4096), hpack.Decoder()
    for block in blocks:
        data = block if isinstance(block, bytes) else encoder.encode(block)
        for _ in range(2):
            try:
                expected = tuple(plain.decode(data, raw=True))
            except hpack.HPACKError:
                with pytest.raises(hpack.HPACKError):
                    ours.decode(data)
                return
            ours.decode(data)
            assert ours.section == expected


def test_memory_ends_with_the_table() -> None:
    """What equal bytes meant before an entry was added, or the table was cut, is forgotten."""
    decoder = SectionDecoder(4096)
    for added, expected in ((b"\x40\x01a\x01b", (b"a", b"b")), (b"\x40\x01c\x01d", (b"c", b"d"))):
        decoder.decode(added)
        for _ in range(2):
            decoder.decode(b"\xbe")
            assert decoder.section == (expected,)
    decoder.decode(b"\x20")
    with pytest.raises(hpack.HPACKError):
        decoder.decode(b"\xbe")


def test_memory_is_small() -> None:
    """A connection remembers a few short sections."""
    decoder = SectionDecoder(100_000)
    for number in range(5 * KNOWN_SECTIONS):
        decoder.decode(literal([(b"x", b"%d" % number)]))
    decoder.decode(literal([(b"x", b"a" * KNOWN_BYTES)]))
    assert len(decoder._known) <= KNOWN_SECTIONS
    assert all(len(block) <= KNOWN_BYTES for block in decoder._known)


def test_too_long_a_section() -> None:
    """A section that expands to more than four times what was told is not expanded."""
    decoder = SectionDecoder(4 * 1000)
    with pytest.raises(hpack.OversizedHeaderListError):
        decoder.decode(literal(request(b"/", *[(b"x", b"a" * 900)] * 5)))


def test_few_ends_are_kept() -> None:
    """A connection that serves thousands of requests does not grow with each."""
    engine = Engine(Sections(), 7, 1000)
    hello(engine)
    for stream in range(1, 2001, 2):
        engine.receive_data(frame(HEADERS, END_HEADERS | 0x1, stream, b"\x82"))
        engine.send_headers(stream, OK, end_stream=True)
        engine.data_to_send()
    assert len(engine._closed_streams) <= Engine.MAX_CLOSED_STREAMS
    assert len(engine.streams) <= 2


def test_told_size_of_the_table_is_not_ours() -> None:
    """A client that allows a table of any size for answers costs nothing."""
    engine = Engine(Sections(), 7, 1000)
    hello(engine)
    engine.receive_data(frame(SETTINGS, 0, 0, setting(1, 2**32 - 1)))
    engine.receive_data(frame(HEADERS, END_HEADERS | 0x1, 1, b"\x82"))
    for number in range(20):
        engine.encoder.encode(((b":status", b"200"), (b"etag", b"%d" % number * 100)))
    assert engine.encoder.header_table_size == 0
    assert not engine.encoder.header_table.dynamic_entries
