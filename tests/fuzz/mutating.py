"""Mutations of seeds, for where no coverage-guided fuzzer is installed, and for the share of the normal tests."""

import random
from collections.abc import Iterator
from typing import Final

_SPECIAL: Final = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"=", b".", b"/", b"%", b"%2F", b"%00", b"\xff",
    b"\xc0\xaf", b'"', b"\\", b"{", b"}", b"[", b"]", b"-", b"0", b"9" * 20, b"e", b"null", b"true", b"*", b"&", b"!",
    b"#", b"|", b"~", b"_", b"\xe2\x80\xa8", b"e\xcc\x81", b"\\ud800", b"\\u0000", b"<<", b"? ", b"- ", b"\x80" * 4,
)  # fmt: skip
_MAX_BYTES: Final = 20_000


def mutate(seeds: list[bytes], seed: int) -> Iterator[bytes]:
    """Make one input after another out of *seeds*, for ever."""
    choice = random.Random(seed)
    while True:
        data = choice.choice(seeds)
        for _ in range(choice.choice((1, 1, 2, 3, 6))):
            at = choice.randrange(len(data) + 1)
            match choice.randrange(8):
                case 0:
                    data = data[:at] + bytes([choice.randrange(256)]) + data[at + 1 :]
                case 1:
                    data = data[:at] + choice.choice(_SPECIAL) + data[at:]
                case 2:
                    data = data[:at] + data[at + choice.choice((1, 1, 2, 8, 64)) :]
                case 3:
                    data = data[: at + choice.choice((1, 8, 64))] + data[at:]
                case 4:
                    other = choice.choice(seeds)
                    data = data[:at] + other[choice.randrange(len(other) + 1) :]
                case 5:
                    data = data[:at]
                case 6:
                    data = data[:at] + data[at : at + 1] * choice.choice((2, 16, 300)) + data[at + 1 :]
                case _:
                    lines = data.split(b"\n")
                    choice.shuffle(lines)
                    data = b"\n".join(lines)
        yield data[:_MAX_BYTES]
