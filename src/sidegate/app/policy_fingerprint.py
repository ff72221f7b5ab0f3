"""A number that tells policies apart, for a metric."""

import hashlib
from typing import Final

_BYTES: Final = 6
"""A sample of Prometheus is a 64-bit float, which holds whole numbers of 53 bits exactly."""


def fingerprint_of(content: bytes) -> int:
    """Return the first 48 bits of the SHA-256 of *content*."""
    return int.from_bytes(hashlib.sha256(content).digest()[:_BYTES], "big")
