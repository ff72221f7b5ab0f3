"""API keys: form, check, minting, and what their record allows (spec 3.2)."""

import re
from hashlib import sha256
from ipaddress import ip_address, ip_network
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.identity.api_key import (
    RANDOM_BYTES,
    KeyParts,
    expiry_of,
    is_source_allowed,
    issued_at_of,
    judge_key,
    mint_key,
    parse_key,
)
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import UnixMillis, year_after
from sidegate.core.policy.document import KeyEntry, KeyState

RANDOM = bytes(range(RANDOM_BYTES))
KEY = mint_key("live", RANDOM)
CLEAR = KEY.clear.encode()
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def entry(**changes: object) -> KeyEntry:
    """Return the key's record, with *changes*."""
    return KeyEntry(**({"id": KEY.id, "digest": KEY.digest, "account": "service:ci"} | changes))  # type: ignore[arg-type]


def number_of(text: str) -> int:
    """Read base62 the slow way."""
    number = 0
    for char in text:
        number = number * 62 + ALPHABET.index(char)
    return number


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_mint_and_parse(random_bytes: bytes) -> None:
    """A minted key parses to its id and digest; its parts have the spec's lengths and its check the CRC's value."""
    minted = mint_key("test", random_bytes)
    form = re.fullmatch(r"sg_test_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", minted.clear)
    assert form is not None
    assert number_of(form[2]) == int.from_bytes(random_bytes[:32], "big")
    assert number_of(form[1]) == int.from_bytes(random_bytes[32:], "big") % 62**16
    assert number_of(form[3]) == crc32(minted.clear[:-6].encode())
    assert KeyParts(form[1], sha256(minted.clear.encode()).digest()) == parse_key(minted.clear.encode())
    assert (form[1], sha256(minted.clear.encode()).digest()) == (minted.id, minted.digest)


def test_known_key() -> None:
    """The form does not change: keys in use were made by earlier versions."""
    zero = mint_key("live", bytes(RANDOM_BYTES))
    assert zero.clear == "sg_live_" + "0" * 16 + "_" + "0" * 43 + _base62(crc32(zero.clear[:-6].encode()))


def _base62(number: int) -> str:
    text = ""
    for _ in range(6):
        text = ALPHABET[number % 62] + text
        number //= 62
    return text


@given(st.integers(0, len(CLEAR) - 1), st.sampled_from(ALPHABET))
def test_typing_error(place: int, char: str) -> None:
    """One wrong character anywhere is found without a look-up."""
    wrong = KEY.clear[:place] + char + KEY.clear[place + 1 :]
    assert wrong == KEY.clear or parse_key(wrong.encode()) == Reason.INVALID_CREDENTIAL


@given(st.integers(0, len(CLEAR) - 2))
def test_swapped_neighbours(place: int) -> None:
    """Two neighbours in the wrong order are found."""
    wrong = KEY.clear[:place] + KEY.clear[place + 1] + KEY.clear[place] + KEY.clear[place + 2 :]
    assert wrong == KEY.clear or parse_key(wrong.encode()) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "presented",
    [
        pytest.param(b"", id="empty"),
        pytest.param(CLEAR + b"\n", id="newline"),
        pytest.param(b" " + CLEAR, id="space"),
        pytest.param(CLEAR + b"0", id="longer"),
        pytest.param(CLEAR[:-1], id="shorter"),
        pytest.param(CLEAR.upper(), id="upper-case"),
        pytest.param(CLEAR.replace(b"sg_", b"SG_", 1), id="prefix-in-upper-case"),
        pytest.param(CLEAR.replace(b"_live_", b"__", 1), id="no-environment"),
        pytest.param(CLEAR.replace(b"_live_", b"_li-ve_", 1), id="odd-environment"),
        pytest.param(CLEAR.replace(b"_live_", b"_" + b"l" * 17 + b"_", 1), id="long-environment"),
        pytest.param(CLEAR + b"_x", id="fifth-part"),
        pytest.param("sg_live_\u0661".encode() + CLEAR[9:], id="digit-of-another-script"),
    ],
)
def test_not_a_key(presented: bytes) -> None:
    """Any other form is no key, whatever its check would be."""
    assert parse_key(presented) == Reason.INVALID_CREDENTIAL


@given(st.binary(max_size=120))
def test_junk(presented: bytes) -> None:
    """Whatever the bytes, the answer is a reason."""
    assert parse_key(presented) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("env", ["", "li_ve", "a" * 17, "é", "a b", "live\n"])
def test_environment_refused(env: str) -> None:
    """An environment that cannot be read back is not minted."""
    with pytest.raises(ValueError, match="cannot stand in a key"):
        mint_key(env, RANDOM)


@pytest.mark.parametrize("count", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_too_little_randomness(count: int) -> None:
    """A key is made of 64 random bytes and nothing else."""
    with pytest.raises(ValueError, match="needs 64 random bytes"):
        mint_key("live", bytes(count))


PARTS = KeyParts(KEY.id, KEY.digest)


YEAR = year_after(UnixMillis(0))


@pytest.mark.parametrize(
    ("record", "parts", "now", "reason"),
    [
        pytest.param(entry(), PARTS, 0, None, id="good"),
        pytest.param(entry(expires_at=100), PARTS, 99, None, id="last-millisecond"),
        pytest.param(entry(expires_at=100), PARTS, 100, Reason.KEY_EXPIRED, id="at-expiry"),
        pytest.param(entry(created_at=0), PARTS, YEAR - 1, None, id="last-millisecond-of-the-year"),
        pytest.param(entry(created_at=0), PARTS, YEAR, Reason.KEY_EXPIRED, id="a-year-old"),
        pytest.param(entry(created_at=0, expires_at=YEAR * 9), PARTS, YEAR, Reason.KEY_EXPIRED, id="year-at-most"),
        pytest.param(entry(created_at=0, rotated_at=5), PARTS, YEAR, None, id="rotated-later"),
        pytest.param(entry(state=KeyState.REVOKED), PARTS, 0, Reason.KEY_REVOKED, id="revoked"),
        pytest.param(
            entry(state=KeyState.REVOKED, expires_at=1), PARTS, 2, Reason.KEY_REVOKED, id="revoked-before-expired"
        ),
        pytest.param(entry(digest=bytes(32)), PARTS, 0, Reason.INVALID_CREDENTIAL, id="another-secret"),
        pytest.param(
            entry(digest=bytes(32), state=KeyState.REVOKED, expires_at=1),
            PARTS,
            2,
            Reason.INVALID_CREDENTIAL,
            id="only-the-holder-learns-its-state",
        ),
    ],
)
def test_judge_key(record: KeyEntry, parts: KeyParts, now: int, reason: Reason | None) -> None:
    """Digest, then state, then expiry; one year after its making at the latest (spec 3.2)."""
    assert reason == judge_key(record, parts, UnixMillis(now))


@pytest.mark.parametrize(
    ("record", "issued", "expires"),
    [
        pytest.param(entry(), None, None, id="neither"),
        pytest.param(entry(expires_at=7), None, 7, id="only-expiry"),
        pytest.param(entry(created_at=7), 7, 7 + YEAR, id="only-creation"),
        pytest.param(entry(created_at=YEAR), YEAR, YEAR + 365 * 86_400_000, id="365-days"),
        pytest.param(entry(created_at=YEAR + 1, expires_at=2 * YEAR + 2), YEAR + 1, 2 * YEAR + 1, id="no-day-more"),
        pytest.param(entry(created_at=7, expires_at=9), 7, 9, id="expiry-within-the-year"),
    ],
)
def test_dates(record: KeyEntry, issued: int | None, expires: int | None) -> None:
    """The earlier of the expiry and a year counts."""
    assert (issued, expires) == (issued_at_of(record), expiry_of(record))


NETWORKS = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("networks", "source", "allowed"),
    [
        pytest.param(None, None, True, id="unbound"),
        pytest.param(NETWORKS, "10.255.255.255", True, id="inside"),
        pytest.param(NETWORKS, "11.0.0.0", False, id="outside"),
        pytest.param(NETWORKS, "2001:db8::1", True, id="inside-ipv6"),
        pytest.param(NETWORKS, "2001:db9::1", False, id="outside-ipv6"),
        pytest.param(NETWORKS, "::ffff:10.0.0.1", True, id="ipv4-on-an-ipv6-socket"),
        pytest.param(NETWORKS, "::ffff:11.0.0.1", False, id="foreign-ipv4-on-an-ipv6-socket"),
        pytest.param(NETWORKS, None, False, id="unknown-address"),
        pytest.param((), "10.0.0.1", False, id="no-network"),
    ],
)
def test_source(networks: object, source: str | None, allowed: bool) -> None:
    """A key that lists networks is good from these only; an unknown address is in none."""
    address = None if source is None else ip_address(source)
    assert allowed == is_source_allowed(entry(networks=networks), address)
