"""Change events say which organization changed, and what of it."""

import orjson
import pytest

from sidegate.core.model.errors import IntegrityError
from sidegate.distribution.redis_events import MAX_NAMED, Announced, Changed, read_event, write_event

CHANGED = Changed("acme", 7, 5, header=True, subjects=("user:ana",), keys=())


@pytest.mark.parametrize("event", [CHANGED, Announced("acme", 5000), Changed("acme", 1, 0, False, None, None)])
def test_comes_back(event: Changed | Announced) -> None:
    """What was written is read."""
    assert read_event(write_event(event)) == event


def test_too_many_names() -> None:
    """Where more changed than an event names, it says that all did."""
    names = tuple(f"user:u{number}" for number in range(MAX_NAMED + 1))
    read = read_event(write_event(Changed("acme", 7, 5, header=False, subjects=names, keys=names[:MAX_NAMED])))
    assert isinstance(read, Changed)
    assert (read.subjects, read.keys) == (None, names[:MAX_NAMED])


def test_of_others() -> None:
    """An event of a kind that is somebody else's is passed over, not refused."""
    assert read_event(b'{"v":9,"kind":"revoked"}') is None


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"org": "../x"},
        {"org": None},
        {"revision": -1},
        {"revision": "7"},
        {"revision": 1 << 60},
        {"previous": True},
        {"subjects": "user:ana"},
        {"subjects": [1]},
        {"keys": {}},
    ],
)
def test_strange(change: dict[str, object]) -> None:
    """What is of a known kind and not what is written is refused."""
    with pytest.raises(IntegrityError):
        read_event(orjson.dumps({**orjson.loads(write_event(CHANGED)), **change}))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"1"])
def test_no_events(text: bytes) -> None:
    """Garbage is refused too."""
    with pytest.raises(IntegrityError):
        read_event(text)
