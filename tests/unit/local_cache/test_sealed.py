"""A cache on disk says exactly what was written, about what it was written, and how old it is; or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.local_cache.sealed import FUTURE, LINE_BYTES, CacheLabel, Seal, frame, open_sealed

LABEL = CacheLabel("policy", "redis://127.0.0.1:6379")
AT = UnixMillis(1_795_326_096_808)
AGE = Millis(60_000)


def written(*entries: bytes, label: CacheLabel = LABEL, at: UnixMillis = AT) -> bytes:
    """Return a whole file."""
    seal = Seal(label)
    content = b"".join(frame(entry) for entry in entries)
    seal.add(content)
    return seal.line(at) + content


FILE = written(b"first", b"", b"second" * 50)


@pytest.mark.parametrize("entries", [(), (b"",), (b"a", b"b\n\0", b"a")], ids=["none", "empty", "several"])
def test_comes_back(entries: tuple[bytes, ...]) -> None:
    """What was written is read, in order, with the time at which it was current."""
    kept = open_sealed(LABEL, written(*entries), AT, AGE)
    assert (kept.at, kept.entries) == (AT, entries)


def test_grows() -> None:
    """Sealed piece by piece it is the same as at once, and what is behind the sealed length does not count."""
    seal = Seal(LABEL)
    seal.add(frame(b"first"))
    seal.add(frame(b"second"))
    content = frame(b"first") + frame(b"second")
    assert seal.line(AT) + content == written(b"first", b"second")
    assert open_sealed(LABEL, seal.line(AT) + content + b"torn", AT, AGE).entries == (b"first", b"second")


@pytest.mark.parametrize(
    ("now", "read_at"),
    [
        pytest.param(AT, AT, id="at-once"),
        pytest.param(AT + AGE, AT, id="at-limit"),
        pytest.param(AT - FUTURE, AT - FUTURE, id="clock-behind-counts-as-now"),
    ],
)
def test_young_enough(now: int, read_at: int) -> None:
    """Age counts from when the content was last known to be current; it is never from the future."""
    assert open_sealed(LABEL, FILE, UnixMillis(now), AGE).at == read_at


@pytest.mark.parametrize(
    ("content", "label", "now", "says"),
    [
        pytest.param(b"", LABEL, AT, "no cache", id="empty"),
        pytest.param(b"\xff" * 999, LABEL, AT, "no cache", id="garbage"),
        pytest.param(FILE[: LINE_BYTES - 1], LABEL, AT, "no cache", id="cut-in-line"),
        pytest.param(FILE[:-1], LABEL, AT, "not what was written", id="cut-at-end"),
        pytest.param(FILE[:LINE_BYTES], LABEL, AT, "not what was written", id="line-alone"),
        pytest.param(FILE.replace(b"cache 1", b"cache 2"), LABEL, AT, "format 2, known is 1", id="version"),
        pytest.param(FILE.replace(b"6808", b"6809"), LABEL, AT, "not what was written", id="younger"),
        pytest.param(FILE, CacheLabel("state", LABEL.source), AT, "another source", id="kind"),
        pytest.param(FILE, CacheLabel("policy", "redis://other:6379"), AT, "another source", id="source"),
        pytest.param(FILE, LABEL, AT + AGE + 1, "allowed are 60000", id="too-old"),
        pytest.param(FILE, LABEL, AT - FUTURE - 1, "in the future", id="future"),
    ],
)
def test_refused(content: bytes, label: CacheLabel, now: int, says: str) -> None:
    """Another version, another source, cut, changed, too old or from the future: refused, and said why."""
    with pytest.raises(IntegrityError, match=says):
        open_sealed(label, content, UnixMillis(now), AGE)


@given(place=st.integers(0, len(FILE) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_seen(place: int, bit: int) -> None:
    """No single bit of a file can change unseen."""
    damaged = bytearray(FILE)
    damaged[place] ^= 1 << bit
    with pytest.raises(IntegrityError):
        open_sealed(LABEL, bytes(damaged), AT, AGE)


@pytest.mark.parametrize("content", [b"\0", b"\0\0\0\x05abcd", b"\xff\xff\xff\xff"], ids=["short", "cut", "huge"])
def test_lengths_that_lead_outside(content: bytes) -> None:
    """An entry that would reach behind the end is refused, whoever sealed it."""
    seal = Seal(LABEL)
    seal.add(content)
    with pytest.raises(IntegrityError, match="cut off"):
        open_sealed(LABEL, seal.line(AT) + content, AT, AGE)
