"""The log in memory; how it behaves as a log is in the conformance tests."""

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import KeyConsumed
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.ports import Durability


def test_hubs_share_nothing() -> None:
    """What is appended to one hub is in no other."""
    one, other = MemoryHub(), MemoryHub()
    log = one.open()
    with log.exclusively():
        log.append([KeyConsumed("acme/k1", UnixMillis(1))], Durability.HOST)
    log.close()
    assert ([KeyConsumed("acme/k1", UnixMillis(1))], []) == (one.open().read(), other.open().read())
