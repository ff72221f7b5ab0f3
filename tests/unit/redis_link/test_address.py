"""Addresses of Redis, read in one way or refused."""

import re

import pytest

from sidegate.redis_link.address import RedisAddress, Topology, parse_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "redis://h", RedisAddress(Topology.STANDALONE, (("h", 6379),)), id="standalone-with-every-default"
        ),
        pytest.param("redis://h:1/3", RedisAddress(Topology.STANDALONE, (("h", 1),), db=3), id="db-in-path"),
        pytest.param("redis://h/?db=4", RedisAddress(Topology.STANDALONE, (("h", 6379),), db=4), id="db-as-option"),
        pytest.param("redis://[::1]:7", RedisAddress(Topology.STANDALONE, (("::1", 7),)), id="ipv6"),
        pytest.param(
            "redis://u%40x:p%2Fw@h",
            RedisAddress(Topology.STANDALONE, (("h", 6379),), username="u@x", password="p/w"),
            id="user-and-password-are-decoded",
        ),
        pytest.param(
            "redis://:p@h", RedisAddress(Topology.STANDALONE, (("h", 6379),), password="p"), id="password-alone"
        ),
        pytest.param(
            "rediss://h?ca=/ca.pem",
            RedisAddress(Topology.STANDALONE, (("h", 6379),), tls=True, ca="/ca.pem"),
            id="tls-by-scheme",
        ),
        pytest.param(
            "redis+sentinel://a,b:2/main?db=5",
            RedisAddress(Topology.SENTINEL, (("a", 26_379), ("b", 2)), master="main", db=5),
            id="sentinel",
        ),
        pytest.param(
            "redis+cluster://a:1,b:2?tls=1",
            RedisAddress(Topology.CLUSTER, (("a", 1), ("b", 2)), tls=True),
            id="cluster-with-tls",
        ),
    ],
)
def test_is_read(url: str, expected: RedisAddress) -> None:
    """Every form of address, with its defaults."""
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://h", "write redis://", id="another-scheme"),
        pytest.param("redis://", "no host:port", id="no-host"),
        pytest.param("redis://h:0", "port 0", id="port-0"),
        pytest.param("redis://h:65536", "port 65536", id="port-above-range"),
        pytest.param("redis://a,b", "names 2 servers", id="standalone-with-two"),
        pytest.param("redis://h/x", "no number", id="db-no-number"),
        pytest.param("redis://h?tsl=1", "unknown option tsl", id="unknown-option"),
        pytest.param("redis://h#f", "unknown option #", id="fragment"),
        pytest.param("redis+sentinel://h", "names no master", id="sentinel-without-master"),
        pytest.param("redis+cluster://h/1", "has a path", id="cluster-with-db"),
        pytest.param("redis+cluster://h?tls=maybe", "tls=1", id="tls-neither"),
        pytest.param("redis://h h", "no host:port", id="blank-in-host"),
    ],
)
def test_is_refused(url: str, says: str) -> None:
    """What cannot be read in one way is refused with what to write."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@h:1/3", "redis://h:1/3"),
        ("rediss://:secret@[::1]", "rediss://[::1]:6379"),
        ("redis+sentinel://:secret@a,b/main", "redis+sentinel://a:26379,b:26379/main"),
        ("redis+cluster://:secret@a,b", "redis+cluster://a:6379,b:6379"),
    ],
)
def test_password_is_not_shown(url: str, shown: str) -> None:
    """Printed in any way, an address does not show who logs in and how."""
    address = parse_address(url)
    assert str(address) == shown
    assert "secret" not in repr(address)


def test_refusal_does_not_show_password() -> None:
    """An error about an address may go into a log."""
    with pytest.raises(ValueError, match="no host:port") as caught:
        parse_address("redis://u:secret@h:x")
    assert "secret" not in str(caught.value)
