"""Real clients notice nothing: curl, requests, httpx, aiohttp and websockets (`make transparency`: more)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.transparency.clients import curl, with_aiohttp, with_httpx, with_requests, with_websockets
from tests.transparency.comparing import Client, Ground, compare_socket_client, ground


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return an upstream and a sidecar in front of it."""
    with ground(tmp_path_factory.mktemp("clients")) as made:
        yield made


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl.use, id="curl"),
        pytest.param(with_aiohttp.use, id="aiohttp"),
        pytest.param(with_httpx.use, id="httpx"),
        pytest.param(with_requests.use, id="requests"),
    ],
)
def test_client(field: Ground, client: Client) -> None:
    """It gets the same answers with Sidegate as without, and the upstream the same requests."""
    count, found = field.compare(client)
    assert not found, "\n".join(found)
    assert count > 15


def test_websockets(tmp_path: Path) -> None:
    """Messages, fragments, pings, compression, subprotocol and close codes are the same with Sidegate as without."""
    assert compare_socket_client(tmp_path, with_websockets.echoing, with_websockets.use) == []
