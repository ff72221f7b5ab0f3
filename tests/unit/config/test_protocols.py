"""Which HTTP the data port speaks (spec 2, ``listen.protocols``)."""

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.config.listener_model import HttpProtocol
from sidegate.config.settings import masked


@pytest.mark.parametrize(
    ("written", "protocols"),
    [
        pytest.param("", {HttpProtocol.HTTP_1, HttpProtocol.H2}, id="default"),
        pytest.param(", protocols: [http/1.1]", {HttpProtocol.HTTP_1}, id="http-1-only"),
        pytest.param(", protocols: [http/1.1, h2c]", {HttpProtocol.HTTP_1, HttpProtocol.H2C}, id="without-tls"),
    ],
)
def test_protocols(folder: Folder, written: str, protocols: set[HttpProtocol]) -> None:
    """HTTP/2 is offered to who speaks TLS; without TLS it has to be wished for."""
    settings = folder.load(UPSTREAM + f"listen: {{address: '127.0.0.1:1'{written}}}")
    assert settings.listen.protocols == protocols
    assert masked(settings)["listen"]["protocols"] == sorted(str(protocol) for protocol in protocols)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        pytest.param("protocols: [h2]", "leaves out http/1.1, which is always spoken; add it", id="no-http-1"),
        pytest.param("protocols: []", "leaves out http/1.1, which is always spoken; add it", id="none"),
        pytest.param("protocols: [http/1.1, h3]", "h3", id="unknown"),
        pytest.param(
            "protocols: [http/1.1, h2c], tls: {cert: a, key: b}",
            "names h2c, but clients speak TLS here; write h2",
            id="tls",
        ),
    ],
)
def test_refused(folder: Folder, written: str, problem: str) -> None:
    """What cannot be is an error at its place that says what to write."""
    (found,) = folder.problems(UPSTREAM + f"listen: {{address: '127.0.0.1:1', {written}}}")
    assert "`listen.protocols" in found
    assert problem in found


@pytest.mark.parametrize(("value", "good"), [(1, True), (1000, True), (0, False), (1001, False)])
def test_streams(folder: Folder, value: int, good: bool) -> None:
    """How many requests a connection may carry at a time."""
    text = UPSTREAM + f"limits: {{streams: {value}}}"
    if good:
        assert folder.load(text).limits.streams == value
    else:
        assert "`limits.streams`" in folder.problems(text)[0]
