"""The engine of one connection: frames and their states by ``h2``, field compression by ``hpack``, held more tightly.

``h2`` judges field sections itself, and ends the whole connection for one it does not like. It is not shown any:
:mod:`sidegate.core.wire.http2_request` judges them, and a bad one ends its own stream (RFC 9113 section 8.1.1).
"""

from collections.abc import Iterable
from typing import Any, Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hpack import Decoder, Encoder, HeaderTuple

from sidegate.core.wire.http2_frames import PREFACE
from sidegate.core.wire.memo import MakingMemo

STREAM_WINDOW: Final = 32 * 1024
"""Bytes that a stream may send beyond what its upstream has taken; as many again may wait to be written there."""
CONNECTION_WINDOW: Final = 1024 * 1024
"""The same for all streams of a connection."""
_DEFAULT_WINDOW: Final = 65_535

REMEMBERED_SECTIONS: Final = 512
REMEMBERED_FIELDS: Final = 64
REMEMBERED_BYTES: Final = 4096
_UNLIMITED: Final = 2**31 - 1

KNOWN_SECTIONS: Final = 8
KNOWN_BYTES: Final = 512
"""Encoded sections that a connection remembers, and how long they may be: some KiB, as a connection may cost 24."""

# A size update of the table, which may stand at the beginning of a section only (RFC 7541 section 4.2).
_UPDATE: Final = 0x20
_UPDATE_MASK: Final = 0xE0

_UPDATE_TO_NOTHING: Final = b"\x20"
"""A dynamic table of size 0 from here on (RFC 7541 section 6.3)."""

Section = tuple[tuple[bytes, bytes], ...]


class SectionDecoder(Decoder):
    """Decodes field sections and keeps them to itself.

    A client that asks for the same again sends the same bytes, which mean the same as long as the table is the same.

    Attributes:
        section: What was decoded last.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._known: dict[bytes, Section] = {}
        self.section: Section = ()

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:  # noqa: FBT001, FBT002  as in hpack
        """Decode, and show ``h2`` an empty section."""
        del raw
        known = self._known.get(data)
        if known is not None:
            self.section = known
            return ()
        entries = self.header_table.dynamic_entries
        newest = entries[0] if entries else None
        self.section = section = tuple(super().decode(data, raw=True))
        if (data[:1] and data[0] & _UPDATE_MASK == _UPDATE) or (entries[0] if entries else None) is not newest:
            self._known.clear()
        elif len(data) <= KNOWN_BYTES:
            if len(self._known) >= KNOWN_SECTIONS:
                self._known.clear()
            self._known[bytes(data)] = section
        return ()


class Sections:
    """Encoded field sections of answers, remembered for all connections of a worker.

    No answer enters a dynamic table: what a section encodes to depends on nothing else, a client cannot make us keep a
    table of its size, and nothing secret is compressed with what somebody else chose (RFC 7541 section 7.1).
    """

    __slots__ = ("_encoder", "_known")

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._encoder.header_table_size = 0
        self._encoder.encode([])
        self._known: MakingMemo[Section, bytes] = MakingMemo(REMEMBERED_SECTIONS, self._encode)

    def encode(self, section: Section) -> bytes:
        """Encode *section*."""
        if len(section) <= REMEMBERED_FIELDS and sum([len(field) for _, field in section]) <= REMEMBERED_BYTES:
            return self._known.get(section)
        return self._encode(section)

    def _encode(self, section: Section) -> bytes:
        return self._encoder.encode(section)


class SectionEncoder(Encoder):
    """Encodes for one connection without a dynamic table, whatever size the client allows."""

    def __init__(self, sections: Sections) -> None:
        super().__init__()
        self._sections = sections
        self._says_so = True

    @property
    def header_table_size(self) -> int:
        """Always nothing."""
        return 0

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        del value
        # Every change of what is allowed has to be answered in the next section (RFC 7541 section 4.2).
        self._says_so = True

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:  # noqa: FBT001, FBT002  as in hpack
        """Encode a section."""
        del huffman
        encoded = self._sections.encode(tuple(headers))
        if self._says_so:
            self._says_so = False
            return _UPDATE_TO_NOTHING + encoded
        return encoded


class Engine(H2Connection):
    """One connection.

    Args:
        sections: Of the worker.
        streams: How many the client may have open at a time, as it is told.
        max_head_bytes: Of a field section; as it is told. Four times as much ends the connection.
    """

    # The default keeps 65,536 ends, some MiB a connection. Who comes back to an older one ends the connection.
    MAX_CLOSED_STREAMS = 128

    decoder: SectionDecoder

    def __init__(self, sections: Sections, streams: int, max_head_bytes: int) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.decoder = SectionDecoder(4 * max_head_bytes)
        self.encoder = SectionEncoder(sections)
        told = {
            SettingCodes.MAX_CONCURRENT_STREAMS: streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: max_head_bytes,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        }
        self.local_settings = Settings(client=False, initial_values=told)
        self.initiate_connection()
        self.increment_flow_control_window(CONNECTION_WINDOW - _DEFAULT_WINDOW)
        # What is told holds once the client says that it knows; until then it may go by the defaults. Too many streams
        # are refused one by one, where h2 would end the connection.
        self.local_settings = Settings(client=False)
        self.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = _UNLIMITED
        self.local_settings.acknowledge()
        self.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = STREAM_WINDOW
        self.receive_data(PREFACE)
