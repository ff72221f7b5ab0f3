"""The header of the PROXY protocol, versions 1 and 2: who a connection was opened for (HAProxy's proxy-protocol.txt).

Read in one way or not at all, as a request head is: one space, addresses and ports in their shortest usual form, every
length exact. A verdict does not depend on how the bytes are cut, and bytes that can never become a header are refused
as soon as they are there.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import value

MAX_HEADER_BYTES: Final = 4096
"""A header of version 1 has at most 107 bytes, one of version 2 at most 232 and what is added to it (a certificate's
subject, an identifier of a cloud's endpoint): some hundred more. It could be 65,551 bytes long."""

_V1_START: Final = b"PROXY "
_V1_MAX: Final = 107
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED: Final = 16
_VERSION_2: Final = 0x20
_LOCAL: Final = 0x20
_PROXY: Final = 0x21

_UNSPECIFIED: Final = 0x00
_TCP_4: Final = 0x11
_TCP_6: Final = 0x21
_UNIX_STREAM: Final = 0x31
_ADDRESS_BYTES: Final = {_UNSPECIFIED: 0, _TCP_4: 12, _TCP_6: 36, _UNIX_STREAM: 216}

_TYPE_CRC32C: Final = 0x03
_TYPE_SSL: Final = 0x20
_SSL_FIXED: Final = 5
_CLIENT_SPOKE_TLS: Final = 0x01


@value
class ProxyHeader:
    """What the proxy in front says.

    Attributes:
        length: Bytes of the header.
        source: The client's address in its usual form; None if it is the proxy itself, or unknown.
        is_local: The proxy itself is the client, e.g. to see whether we are there.
        is_secure: The client spoke TLS to the proxy.
    """

    length: int
    source: str | None
    is_local: bool = False
    is_secure: bool = False


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header that *data* begins with.

    Args:
        data: What came so far.

    Returns:
        None if more is needed to tell.

    Raises:
        WireError: It is no header, whatever follows.
    """
    if data.startswith(_V2_START[: len(data)]):
        return _read_v2(data) if len(data) > len(_V2_START) else None
    if data.startswith(_V1_START[: len(data)]):
        return _read_v1(data) if len(data) > len(_V1_START) else None
    raise _refusal("does not begin with one")


def _refusal(what: str) -> WireError:
    return WireError(400, Reason.MALFORMED_REQUEST, f"the header of the PROXY protocol {what}")


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise _refusal(f"of version 1 is longer than {_V1_MAX} bytes")
        if b"\n" in data:
            raise _refusal("holds a line feed by itself")
        return None
    line = data[:end]
    if b"\n" in line or data[end + 1 : end + 2] not in {b"", b"\n"} or end + 2 > _V1_MAX:
        raise _refusal("does not end in CR LF")
    source = _source_of(line)
    return ProxyHeader(end + 2, source) if len(data) > end + 1 else None


def _source_of(line: bytes) -> str | None:
    """Return the client's address in a line of version 1; None if it is unknown."""
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return None  # whatever follows has to be ignored
    parts = line.split(b" ")
    if len(parts) != 6 or parts[1] not in {b"TCP4", b"TCP6"}:
        raise _refusal("names no protocol, addresses and ports")
    _, family, source, destination, *ports = parts
    addresses = [_address(text, family) for text in (source, destination)]
    for port in ports:
        # As digits of ASCII: int() reads other digits, signs and blanks too.
        if not (port.isdigit() and len(port) <= 5 and (port == b"0" or port[:1] != b"0") and int(port) <= 65_535):
            raise _refusal("holds a port that is none")
    return addresses[0]


def _address(text: bytes, family: bytes) -> str:
    try:
        written = text.decode("ascii")
        if family == b"TCP4":
            return str(IPv4Address(written))
        address = IPv6Address(written)
    except ValueError:
        raise _refusal("holds an address that is none") from None
    if address.scope_id is not None:
        raise _refusal("holds an address with a zone")
    return str(address)


def _read_v2(data: bytes) -> ProxyHeader | None:
    command = data[12]
    if command not in {_LOCAL, _PROXY}:
        raise _refusal("is of another version" if command & 0xF0 != _VERSION_2 else "holds an unknown command")
    if len(data) > 13 and data[13] not in _ADDRESS_BYTES:
        raise _refusal("holds an unknown family or protocol")
    if len(data) < _V2_FIXED:
        return None
    family = data[13]
    length = _V2_FIXED + int.from_bytes(data[14:16])
    addresses = _ADDRESS_BYTES[family]
    if length > MAX_HEADER_BYTES:
        raise _refusal(f"is longer than {MAX_HEADER_BYTES} bytes")
    if command == _PROXY and length < _V2_FIXED + addresses:
        raise _refusal("is too short for its addresses")
    if len(data) < length:
        return None
    if command == _LOCAL:
        return ProxyHeader(length, None, is_local=True)  # the rest has to be ignored
    header = data[:length]
    is_secure = _read_additions(header, _V2_FIXED + addresses)
    if family == _TCP_4:
        source: str | None = str(IPv4Address(header[16:20]))
    elif family == _TCP_6:
        source = str(IPv6Address(header[16:32]))
    else:
        source = None
    return ProxyHeader(length, source, is_secure=is_secure)


def _read_additions(header: bytes, at: int) -> bool:
    """Check what follows the addresses, and tell whether the client spoke TLS."""
    is_secure = False
    seen: set[int] = set()
    while at < len(header):
        kind, size = header[at], int.from_bytes(header[at + 1 : at + 3])
        begin, end = at + 3, at + 3 + size
        if end > len(header):
            raise _refusal("holds an addition that is cut off")
        if kind in {_TYPE_CRC32C, _TYPE_SSL}:
            if kind in seen:
                raise _refusal("holds an addition twice")
            seen.add(kind)
        if kind == _TYPE_CRC32C:
            blank = header[:begin] + b"\0\0\0\0" + header[end:]
            if size != 4 or int.from_bytes(header[begin:end]) != crc32c(blank):
                raise _refusal("does not have its checksum")
        elif kind == _TYPE_SSL:
            if size < _SSL_FIXED:
                raise _refusal("holds an addition that is too short")
            is_secure = bool(header[begin] & _CLIENT_SPOKE_TLS)
        at = end
    return is_secure


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F6_3B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of *data* (RFC 9260 appendix A)."""
    remainder = 0xFFFF_FFFF
    for byte in data:
        remainder = (remainder >> 8) ^ _TABLE[(remainder ^ byte) & 0xFF]
    return remainder ^ 0xFFFF_FFFF
