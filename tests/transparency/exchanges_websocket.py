"""WebSockets (RFC 6455): what both ends say once they have switched."""

from collections.abc import Iterable
from typing import Final

from tests.transparency.exchange import ACCEPT, FOLDER, HOST, KEY, UPSTREAM_ENDS, Exchange, Step, client, upstream

_MASK: Final = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes, *, fin: bool = True, is_masked: bool = False, bits: int = 0) -> bytes:
    """Return one frame; clients mask theirs."""
    size = len(payload)
    first = bytes([(0x80 if fin else 0) | bits | opcode])
    flag = 0x80 if is_masked else 0
    if size < 126:
        head = bytes([flag | size])
    elif size < 1 << 16:
        head = bytes([flag | 126]) + size.to_bytes(2)
    else:
        head = bytes([flag | 127]) + size.to_bytes(8)
    if not is_masked:
        return first + head + payload
    return first + head + _MASK + bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))


def up(opcode: int, payload: bytes, *, fin: bool = True) -> Step:
    """The client sends a frame."""
    return client(frame(opcode, payload, fin=fin, is_masked=True))


def down(opcode: int, payload: bytes, *, fin: bool = True, bits: int = 0) -> Step:
    """The upstream sends a frame."""
    return upstream(frame(opcode, payload, fin=fin, bits=bits))


def _switch(asked: bytes = b"", agreed: bytes = b"") -> tuple[Step, Step]:
    ask = (
        b"GET %b/live HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{cookie}"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n%b\r\n"
    ) % (FOLDER.encode(), HOST, KEY, asked)
    agree = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
    ) % (ACCEPT, agreed)
    return client(ask), upstream(agree)


def _talk(name: str, *steps: Step, asked: bytes = b"", agreed: bytes = b"") -> Exchange:
    return Exchange(f"websocket-{name}", (*_switch(asked, agreed), *steps))


def _close(code: int, why: bytes = b"") -> bytes:
    return code.to_bytes(2) + why


def _websockets() -> Iterable[Exchange]:
    for size in (0, 1, 125, 126, 127, 65535, 65536, 300_000):
        data = bytes(number % 256 for number in range(size))
        yield _talk(f"binary-{size}", up(2, data), down(2, data))
    yield _talk("text", up(1, "grüße".encode()), down(1, "€".encode()), up(1, b""), down(1, b""))
    yield _talk(
        "fragmented",
        up(1, b"a", fin=False), up(0, b"b", fin=False), up(9, b"between"), up(0, b"c"),
        down(2, b"d", fin=False), down(9, b""), down(0, b"", fin=False), down(0, b"e"),
    )  # fmt: skip
    yield _talk("ping-pong", up(9, b"p" * 125), down(10, b"p" * 125), down(9, b"q"), up(10, b"q"), down(10, b"unasked"))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 4999):
        yield _talk(f"closed-{code}-by-the-upstream", down(8, _close(code, b"why")), up(8, _close(code)), UPSTREAM_ENDS)
    yield _talk("closed-by-the-client", up(8, _close(1000, b"bye")), down(8, _close(1000)), UPSTREAM_ENDS)
    yield _talk("closed-without-a-code", up(8, b""), down(8, b""), UPSTREAM_ENDS)
    yield _talk("ended-without-a-close", up(1, b"a"), UPSTREAM_ENDS)
    yield _talk("one-byte-at-a-time", *(client(frame(1, b"hello", is_masked=True)[at : at + 1]) for at in range(11)))
    yield _talk("many-at-once", client(frame(1, b"x", is_masked=True) * 1000), upstream(frame(1, b"y") * 1000))
    ask, switch = _switch()
    at_once = upstream((switch.data or b"") + frame(1, b"at once"))
    yield Exchange("websocket-first-frame-with-the-switch", (ask, at_once, up(1, b"a")))
    yield _talk(
        "protocol", up(1, b"a"), asked=b"Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://a\r\n",
        agreed=b"Sec-WebSocket-Protocol: chat\r\n",
    )  # fmt: skip
    yield _talk(
        "compressed", down(1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", bits=0x40),
        asked=b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        agreed=b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    )  # fmt: skip
    yield _talk("odd-frames", down(3, b"reserved"), up(11, b"reserved"), down(1, b"x", bits=0x70))
    declined = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    yield Exchange("websocket-declined", (ask, upstream(declined)), closes=True)


WEBSOCKETS: Final = tuple(_websockets())
