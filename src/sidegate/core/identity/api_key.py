"""API keys: their form, their check and how they are minted (spec 3.2)."""

import re
from hashlib import sha256
from hmac import compare_digest
from ipaddress import IPv6Address
from typing import Final
from zlib import crc32

from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import Address
from sidegate.core.model.units import Millis, UnixMillis, year_after
from sidegate.core.model.value import hot_value, value
from sidegate.core.policy.document import KeyEntry, KeyState

KEY_PREFIX: Final = b"sg_"
ID_CHARS: Final = 16
SECRET_CHARS: Final = 43
"""62 ** 43 is 2 ** 256.03: room for every 256-bit number."""
CHECK_CHARS: Final = 6
"""62 ** 6 is 2 ** 35.7: room for every CRC-32."""
RANDOM_BYTES: Final = 64
"""32 for the secret, 32 for the id."""

WARN_BEFORE: Final = Millis(30 * 24 * 60 * 60 * 1000)
"""How long before a key expires whoever uses it is told (spec 3.2)."""

_SECRET_BYTES: Final = 32
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ENV: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_FORM: Final = re.compile(rb"sg_[A-Za-z0-9]{1,16}_([A-Za-z0-9]{16})_[A-Za-z0-9]{43}([A-Za-z0-9]{6})")


@hot_value
class KeyParts:
    """What a key says of itself.

    Attributes:
        id: Under which its record is found; not secret.
        digest: SHA-256 of the whole key, 32 bytes.
    """

    id: str
    digest: bytes


@value
class MintedKey:
    """A new key.

    Attributes:
        clear: The key itself; to be shown once and kept nowhere.
        id: Its id.
        digest: What is stored of it: SHA-256, 32 bytes.
    """

    clear: str
    id: str
    digest: bytes


def parse_key(presented: bytes) -> KeyParts | Reason:
    """Read an API key and check it for typing errors; nothing is looked up.

    Returns:
        Its id and digest, or ``invalid_credential`` for another form or a wrong check.
    """
    form = _FORM.fullmatch(presented)
    if form is None or _check_of(presented[:-CHECK_CHARS]) != form[2]:
        return Reason.INVALID_CREDENTIAL
    return KeyParts(form[1].decode(), sha256(presented).digest())


def judge_key(entry: KeyEntry, parts: KeyParts, now: UnixMillis) -> Reason | None:
    """Decide whether *parts* are of the key recorded as *entry* and whether it may still be used.

    The digest comes first, compared in constant time: only who holds the key learns what became of it.

    Returns:
        ``invalid_credential``, ``key_revoked``, ``key_expired`` or None.
    """
    if not compare_digest(entry.digest, parts.digest):
        return Reason.INVALID_CREDENTIAL
    if entry.state is not KeyState.ACTIVE:
        return Reason.KEY_REVOKED
    over = expiry_of(entry)
    return Reason.KEY_EXPIRED if over is not None and over <= now else None


def expiry_of(entry: KeyEntry) -> UnixMillis | None:
    """Return the first instant at which a key is over, one year after it was made at the latest (spec 3.2).

    Returns:
        None only for a key that has neither an expiry nor a date of its making.
    """
    made = issued_at_of(entry)
    limit = None if made is None else year_after(made)
    if entry.expires_at is None or limit is None:
        return limit if entry.expires_at is None else entry.expires_at
    return min(entry.expires_at, limit)


def issued_at_of(entry: KeyEntry) -> UnixMillis | None:
    """Return when the key was made: rotation makes a new one; None when the record does not say."""
    return entry.rotated_at if entry.rotated_at is not None else entry.created_at


def is_source_allowed(entry: KeyEntry, source: Address | None) -> bool:
    """Whether the key may be used from *source*; an unknown address is in no network (spec 1.5)."""
    if entry.networks is None:
        return True
    if source is None:
        return False
    # A socket that takes both families shows IPv4 clients as ::ffff:a.b.c.d.
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    seen = source if mapped is None else mapped
    return any(seen in network for network in entry.networks)


def mint_key(env: str, random_bytes: bytes) -> MintedKey:
    """Make a key.

    Args:
        env: Where it is for, e.g. ``live``: 1 to 16 letters and digits.
        random_bytes: 64 bytes from the system's random source. The secret is 256 of the bits, one to one; the id is
            256 bits modulo 62 ** 16, which favours no id by more than 2 ** -160.

    Raises:
        ValueError: *env* or the number of bytes is wrong.
    """
    if _ENV.fullmatch(env) is None:
        raise ValueError(f"environment `{env}` cannot stand in a key; use 1 to 16 of A-Z a-z 0-9, e.g. live")
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} random bytes, not {len(random_bytes)}")
    secret = _base62(int.from_bytes(random_bytes[:_SECRET_BYTES], "big"), SECRET_CHARS)
    key_id = _base62(int.from_bytes(random_bytes[_SECRET_BYTES:], "big"), ID_CHARS)
    body = f"sg_{env}_{key_id}_{secret}".encode()
    clear = body + _check_of(body)
    return MintedKey(clear.decode(), key_id, sha256(clear).digest())


def _check_of(body: bytes) -> bytes:
    return _base62(crc32(body), CHECK_CHARS).encode()


def _base62(number: int, width: int) -> str:
    """Write the last *width* base62 digits of *number*, zero-padded."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
