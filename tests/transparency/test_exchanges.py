"""What passes through Sidegate is what would pass without it, but for the list in docs/transparency.md."""

from pathlib import Path

import pytest
from tests.transparency.conftest import Theatre
from tests.transparency.documenting import PAGE, table
from tests.transparency.exchange import Exchange, Side
from tests.transparency.exchanges import EXCHANGES
from tests.transparency.rules import Difference, expected_client, expected_upstream, seen_client, seen_upstream
from tests.transparency.stage import Ending

LEAST = 200


def differences(theatre: Theatre, exchange: Exchange) -> set[Difference]:
    """Play *exchange* both ways and compare; return the differences that were allowed for."""
    direct, through = theatre.play(exchange)
    request = next(step.data for step in exchange.steps if step.side is Side.CLIENT and step.data)

    expected = expected_upstream(direct.upstream)
    seen = seen_upstream(through.upstream, expected)
    assert seen.heads == expected.heads
    assert seen.payloads == expected.payloads

    answer = expected_client(direct.client, exchange.method, request, closes=exchange.closes)
    got = seen_client(through.client, exchange.method)
    assert got.heads == answer.heads
    assert got.payloads == answer.payloads

    if not exchange.is_whole:
        assert through.ending is Ending.RESET, "a part would be taken for the whole"
    else:
        ends = exchange.closes or direct.ending is not Ending.OPEN
        assert through.ending is (Ending.CLOSED if ends else Ending.OPEN)
    return expected.used | answer.used


@pytest.mark.parametrize("exchange", [pytest.param(exchange, id=exchange.name) for exchange in EXCHANGES])
def test_exchange(theatre: Theatre, exchange: Exchange) -> None:
    """Both ends get, byte by byte, what they get without Sidegate, changed by the listed rules and nothing else."""
    assert Difference.IDENTITY in differences(theatre, exchange)


SHOWING = (
    "upload-trailers", "expect", "target-escapes", "target-absolute", "client-1.0-and-chunks",
    "status-204-with-a-length",
    "request-header-blanks", "request-header-overrides", "request-header-nominated", "websocket-text",
    "request-header-other-cookies",
)  # fmt: skip


def test_every_difference_is_met(theatre: Theatre) -> None:
    """Each listed difference shows in some exchange: none is listed that no test would miss."""
    by_name = {exchange.name: exchange for exchange in EXCHANGES}
    assert set[Difference]().union(*(differences(theatre, by_name[name]) for name in SHOWING)) == set(Difference)


ANSWER = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-b: 2\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(ANSWER.replace(b"body", b"bodY"), id="a-bit-of-the-body"),
        pytest.param(ANSWER.replace(b"x-b", b"X-B"), id="spelling"),
        pytest.param(ANSWER.replace(b"X-A: 1\r\n", b""), id="a-header-less"),
        pytest.param(ANSWER.replace(b"X-A: 1\r\nx-b: 2\r\n", b"x-b: 2\r\nX-A: 1\r\n"), id="order"),
        pytest.param(ANSWER.replace(b"x-b", b"Via: 1.1 x\r\nx-b"), id="a-header-more"),
        pytest.param(ANSWER.replace(b"OK", b"Ok"), id="phrase"),
        pytest.param(ANSWER + ANSWER, id="twice"),
    ],
)
def test_comparison_sees(spoilt: bytes) -> None:
    """The negative control: what nobody allowed for is seen."""
    expected = expected_client(ANSWER, b"GET", b"GET / HTTP/1.1\r\n", closes=False)
    right, seen = (seen_client(answer, b"GET") for answer in (ANSWER, spoilt))
    assert (right.heads, right.payloads) == (expected.heads, expected.payloads)
    assert (seen.heads, seen.payloads) != (expected.heads, expected.payloads)


def test_there_are_enough() -> None:
    """At least 200 exchanges, each with a name of its own."""
    names = {exchange.name for exchange in EXCHANGES}
    assert len(names) == len(EXCHANGES) >= LEAST


def test_page_lists_the_differences() -> None:
    """The table of the page is written by ``python -m tests.transparency.documenting``."""
    assert table() in Path(PAGE).read_text()
