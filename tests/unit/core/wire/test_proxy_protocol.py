"""The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt), read in one way or not at all."""

from ipaddress import ip_address

import pytest

from sidegate.core.model.errors import WireError
from sidegate.core.wire.proxy_protocol import MAX_HEADER_BYTES, ProxyHeader, crc32c, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + b"\xc3\x50\x1f\x90"
V6 = ip_address("2001:db8::7").packed + ip_address("fd00::1").packed + b"\xc3\x50\x1f\x90"


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes([command, family]) + (len(body) if length is None else length).to_bytes(2) + body


def tlv(kind: int, content: bytes, length: int | None = None) -> bytes:
    """Return one addition."""
    return bytes([kind]) + (len(content) if length is None else length).to_bytes(2) + content


def summed(command: int, family: int, before: bytes, behind: bytes = b"") -> bytes:
    """Return a header of version 2 with its checksum."""
    blank = v2(command, family, before + tlv(3, bytes(4)) + behind)
    at = len(SIGNATURE) + 4 + len(before) + 3
    return blank[:at] + crc32c(blank).to_bytes(4) + blank[at + 4 :]


SSL = tlv(0x20, b"\x01\x00\x00\x00\x00" + tlv(0x21, b"TLSv1.3"))

GOOD = {
    "tcp4": (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080\r\n", "192.0.2.7", False, False),
    "tcp4-limits": (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", False, False),
    "tcp4-port-zero": (b"PROXY TCP4 192.0.2.7 10.0.0.1 0 0\r\n", "192.0.2.7", False, False),
    "tcp6": (b"PROXY TCP6 2001:DB8::7 fd00::1 50000 8080\r\n", "2001:db8::7", False, False),
    "tcp6-longest": (
        b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
        "ffff:" * 7 + "ffff", False, False,
    ),
    "unknown": (b"PROXY UNKNOWN\r\n", None, False, False),
    "unknown-longest": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, False, False),
    "unknown-says-nothing": (b"PROXY UNKNOWN 192.0.2.7 10.0.0.1 1 2\r\n", None, False, False),
    "v2-tcp4": (v2(0x21, 0x11, V4), "192.0.2.7", False, False),
    "v2-tcp6": (v2(0x21, 0x21, V6), "2001:db8::7", False, False),
    "v2-unix": (v2(0x21, 0x31, bytes(216)), None, False, False),
    "v2-unspecified": (v2(0x21, 0x00, b""), None, False, False),
    "v2-local": (v2(0x20, 0x00, b""), None, True, False),
    "v2-local-with-an-address": (v2(0x20, 0x11, V4), None, True, False),
    "v2-local-with-anything": (v2(0x20, 0x11, b"?"), None, True, False),
    "v2-additions": (v2(0x21, 0x11, V4 + tlv(4, b"noop") + tlv(0xEA, b"") + tlv(5, b"id")), "192.0.2.7", False, False),
    "v2-tls-in-front": (v2(0x21, 0x11, V4 + SSL), "192.0.2.7", False, True),
    "v2-no-tls-in-front": (v2(0x21, 0x11, V4 + tlv(0x20, bytes(5))), "192.0.2.7", False, False),
    "v2-unspecified-with-additions": (v2(0x21, 0x00, SSL), None, False, True),
    "v2-checksum": (summed(0x21, 0x11, V4), "192.0.2.7", False, False),
    "v2-checksum-among-additions": (summed(0x21, 0x21, V6 + tlv(4, b"x"), SSL), "2001:db8::7", False, True),
    "v2-longest": (v2(0x21, 0x11, V4 + tlv(4, bytes(MAX_HEADER_BYTES - 16 - 12 - 3))), "192.0.2.7", False, False),
}  # fmt: skip

BAD = {
    "http": b"GET / HTTP/1.1\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01",
    "lower-case": b"proxy TCP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "blank-before": b" PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "line-before": b"\r\nPROXY TCP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "two-blanks": b"PROXY  TCP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "tab": b"PROXY\tTCP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "tab-within": b"PROXY TCP4\t192.0.2.7 10.0.0.1 50000 8080\r\n",
    "blank-behind": b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080 \r\n",
    "nothing": b"PROXY \r\n",
    "no-addresses": b"PROXY TCP4\r\n",
    "one-port": b"PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n",
    "three-ports": b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080 1\r\n",
    "udp": b"PROXY UDP4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "unknown-and-more": b"PROXY UNKNOWNS\r\n",
    "family-lower-case": b"PROXY tcp4 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "wrong-family-4": b"PROXY TCP4 2001:db8::7 fd00::1 50000 8080\r\n",
    "wrong-family-6": b"PROXY TCP6 192.0.2.7 10.0.0.1 50000 8080\r\n",
    "mixed-families": b"PROXY TCP4 192.0.2.7 fd00::1 50000 8080\r\n",
    "octal": b"PROXY TCP4 192.0.02.7 10.0.0.1 50000 8080\r\n",
    "hexadecimal": b"PROXY TCP4 0xc0000207 10.0.0.1 50000 8080\r\n",
    "short-address": b"PROXY TCP4 192.7 10.0.0.1 50000 8080\r\n",
    "name": b"PROXY TCP4 localhost 10.0.0.1 50000 8080\r\n",
    "other-digits": "PROXY TCP4 192.0.2.\u0667 10.0.0.1 50000 8080\r\n".encode(),
    "zone": b"PROXY TCP6 fe80::1%lo fd00::1 50000 8080\r\n",
    "brackets": b"PROXY TCP6 [2001:db8::7] fd00::1 50000 8080\r\n",
    "port-too-large": b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 8080\r\n",
    "port-leading-zero": b"PROXY TCP4 192.0.2.7 10.0.0.1 050 8080\r\n",
    "port-zeros": b"PROXY TCP4 192.0.2.7 10.0.0.1 00 8080\r\n",
    "port-signed": b"PROXY TCP4 192.0.2.7 10.0.0.1 +80 8080\r\n",
    "port-underscore": b"PROXY TCP4 192.0.2.7 10.0.0.1 8_0 8080\r\n",
    "port-long": b"PROXY TCP4 192.0.2.7 10.0.0.1 500000 8080\r\n",
    "port-empty": b"PROXY TCP4 192.0.2.7 10.0.0.1  8080\r\n",
    "nul": b"PROXY TCP4 192.0.2.7\x00 10.0.0.1 50000 8080\r\n",
    "bare-lf": b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080\n",
    "bare-lf-in-unknown": b"PROXY UNKNOWN a\nb\r\n",
    "bare-cr": b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8080\rX",
    "bare-cr-in-unknown": b"PROXY UNKNOWN a\rb\r\n",
    "too-long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "endless": b"PROXY UNKNOWN " + b"x" * 93,
    "v2-signature-broken": SIGNATURE[:-1] + b"\r\x21\x11\x00\x0c" + V4,
    "v2-version-1": v2(0x11, 0x11, V4),
    "v2-version-3": v2(0x31, 0x11, V4),
    "v2-command": v2(0x22, 0x11, V4),
    "v2-datagrams": v2(0x21, 0x12, V4),
    "v2-unix-datagrams": v2(0x21, 0x32, bytes(216)),
    "v2-family": v2(0x21, 0x41, V4),
    "v2-no-family": v2(0x21, 0x01, V4),
    "v2-no-protocol": v2(0x21, 0x10, V4),
    "v2-local-family": v2(0x20, 0x55, b""),
    "v2-too-short-4": v2(0x21, 0x11, V4[:-1]),
    "v2-too-short-6": v2(0x21, 0x21, V4),
    "v2-too-short-unix": v2(0x21, 0x31, bytes(215)),
    "v2-too-long": v2(0x21, 0x11, V4, MAX_HEADER_BYTES - 15),
    "v2-local-too-long": v2(0x20, 0x00, b"", 0xFFFF),
    "v2-half-an-addition": v2(0x21, 0x11, V4 + b"\x04"),
    "v2-addition-without-length": v2(0x21, 0x11, V4 + b"\x04\x00"),
    "v2-addition-cut-off": v2(0x21, 0x11, V4 + tlv(4, b"ab", 3)),
    "v2-addition-too-long": v2(0x21, 0x11, V4 + tlv(4, b"", 0xFFFF)),
    "v2-checksum-wrong": v2(0x21, 0x11, V4 + tlv(3, b"\x00\x00\x00\x01")),
    "v2-checksum-short": v2(0x21, 0x11, V4 + tlv(3, b"\x00\x00\x00")),
    "v2-checksum-twice": summed(0x21, 0x11, V4, tlv(3, bytes(4))),
    "v2-checksum-of-another-address": summed(0x21, 0x11, V4).replace(V4[:4], bytes([192, 0, 2, 8])),
    "v2-tls-short": v2(0x21, 0x11, V4 + tlv(0x20, b"\x01\x00\x00\x00")),
    "v2-tls-twice": v2(0x21, 0x11, V4 + SSL + SSL),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    """It is read whole, whatever follows it, and nothing is said before it is whole."""
    header, source, is_local, is_secure = GOOD[name]
    expected = ProxyHeader(len(header), source, is_local=is_local, is_secure=is_secure)
    assert read_proxy_header(header) == expected
    assert read_proxy_header(header + b"GET / HTTP/1.1\r\nPROXY UNKNOWN\r\n") == expected
    for cut in range(len(header)):
        assert read_proxy_header(header[:cut]) is None, cut


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    """It is refused; of its beginnings none is taken for a header, and once one is refused all that follow are."""
    data = BAD[name]
    refused = False
    for cut in range(len(data) + 1):
        try:
            found = read_proxy_header(data[:cut])
        except WireError:
            refused = True
        else:
            assert found is None
            assert not refused, cut
    assert refused
    with pytest.raises(WireError, match="the header of the PROXY protocol "):
        read_proxy_header(data + b"\r\n" * 10)


def test_every_byte_of_a_summed_header_counts() -> None:
    """A header with a checksum is refused when any byte of address, checksum or additions is another one."""
    header = summed(0x21, 0x11, V4, tlv(4, b"x"))
    for at in (*range(16, 28), *range(31, len(header))):
        with pytest.raises(WireError):
            read_proxy_header(header[:at] + bytes([header[at] ^ 1]) + header[at + 1 :])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"123456789", 0xE3069283, id="check-value"),
        pytest.param(bytes(32), 0x8A9136AA, id="rfc3720-zeros"),
        pytest.param(b"\xff" * 32, 0x62A8AB43, id="rfc3720-ones"),
        pytest.param(bytes(range(32)), 0x46DD794E, id="rfc3720-ascending"),
    ],
)
def test_crc32c(data: bytes, expected: int) -> None:
    """The checksums that RFC 3720 appendix B.4 gives."""
    assert expected == crc32c(data)
