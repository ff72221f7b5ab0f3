"""Tests of which trail a command is about."""

from pathlib import Path

import pytest

from sidegate.cli.exit_codes import UsageError
from sidegate.cli.trails import find_stream, find_trail


def _write(folder: Path, audit: str) -> Path:
    """Write a configuration that can be used."""
    (folder / "policy").mkdir()
    (folder / "routes.yaml").write_text("- {get: /x, public: true}\n")
    config = folder / "sidegate.yaml"
    config.write_text(f"upstream: {{url: 'http://127.0.0.1:1'}}\naudit: {audit}\n")
    return config


def test_what_is_given_goes_first(tmp_path: Path) -> None:
    """An address as it is, a path as such."""
    assert find_trail("redis+cluster://h:1,h:2", None) == "redis+cluster://h:1,h:2"
    assert find_trail(str(tmp_path), None) == tmp_path


def test_without_it_the_configured_spool_is_meant(tmp_path: Path) -> None:
    """As for every other command."""
    config = _write(tmp_path, "{spool: here}")
    assert find_trail(None, config) == tmp_path / "here"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """Instead of an empty answer."""
    with pytest.raises(UsageError, match="none` is not there"):
        find_trail(str(tmp_path / "none"), None)


def test_stream_is_that_of_the_configured_sink(tmp_path: Path) -> None:
    """Unless another one is given."""
    config = _write(tmp_path, "{sinks: [{file: out}, {redis: 'redis://h:1'}]}")
    assert find_stream(None, config) == "redis://h:1"
    assert find_stream("rediss://other", config) == "rediss://other"
    assert find_stream("nats://other", config) == "nats://other"


@pytest.mark.parametrize(
    ("sinks", "expected"),
    [
        pytest.param("[{nats: 'nats://h:4222'}]", "nats://h:4222", id="nats"),
        pytest.param("[{nats: 'nats://h:4222'}, {redis: 'redis://h:1'}]", "redis://h:1", id="both"),
    ],
)
def test_stream_in_nats(sinks: str, expected: str, tmp_path: Path) -> None:
    """Counts where there is no Redis."""
    assert find_stream(None, _write(tmp_path, f"{{sinks: {sinks}}}")) == expected


def test_stream_that_is_nowhere_is_told(tmp_path: Path) -> None:
    """With what to write."""
    config = _write(tmp_path, "{spool: here}")
    with pytest.raises(UsageError, match="--from redis://"):
        find_stream(None, config)
    with pytest.raises(UsageError, match="no address of a stream"):
        find_stream("var/audit", config)
