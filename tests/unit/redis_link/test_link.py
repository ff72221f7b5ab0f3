"""What the link makes of answers, and what it says before it has looked."""

import hashlib

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from sidegate.redis_link.link import Link, _why, make_script, open_link, pairs, stream_entries


def test_script() -> None:
    """Named as EVALSHA wants it."""
    script = make_script("return 1")
    assert (script.text, script.digest) == ("return 1", hashlib.sha1(b"return 1").hexdigest())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(None, [], id="nothing"),
        pytest.param([], [], id="empty"),
        pytest.param([[b"1-0", [b"a", b"b", b"c", b"d"]]], [(b"1-0", {b"a": b"b", b"c": b"d"})], id="fields"),
        pytest.param([[b"1-0", None]], [(b"1-0", {})], id="deleted"),
    ],
)
def test_entries(reply: list[list[object]] | None, expected: list[object]) -> None:
    """An entry that was deleted has no fields."""
    assert stream_entries(reply) == expected  # type: ignore[arg-type]


def test_pairs() -> None:
    """Field and value by turns; an odd number is no answer of Redis."""
    assert pairs([b"a", b"1", b"b", b"2"]) == {b"a": b"1", b"b": b"2"}
    assert pairs(None) == {}
    with pytest.raises(ValueError, match="shorter"):
        pairs([b"a"])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(TimeoutError(), "no answer in time; look whether", id="timeout"),
        pytest.param(AuthenticationError("WRONGPASS"), "set the password that it wants", id="password"),
        pytest.param(BusyLoadingError("LOADING"), "it will answer once that is done", id="loading"),
        pytest.param(RedisConnectionError("refused."), "refused", id="connection"),
        pytest.param(RedisConnectionError(), "ConnectionError", id="without-words"),
    ],
)
def test_why(error: Exception, says: str) -> None:
    """In words for an operator, with what to do where there is something."""
    assert says in _why(error)
    assert not _why(error).endswith(".")  # it stands in a sentence


async def test_before_the_first_look() -> None:
    """It is not up, says so, and shows no password."""
    link: Link = open_link("redis://user:s3cret@127.0.0.1:1/2")
    assert (link.up, link.gauge()) == (False, 0)
    assert link.problem == "redis at redis://127.0.0.1:1/2 is away: not looked yet"
    await link.close()


def test_no_address() -> None:
    """Nothing is opened."""
    with pytest.raises(ValueError, match="no address of a Redis"):
        open_link("http://127.0.0.1")
