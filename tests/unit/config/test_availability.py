"""What this version does not do is refused, never silently ignored."""

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.config.availability import UNAVAILABLE
from sidegate.config.settings import masked

TLS = "{address: '127.0.0.1:1', tls: {cert: a, key: b}}"

ASKED: dict[tuple[str, ...], str] = {
    ("admin", "tls"): UPSTREAM + f"admin: {TLS}",
}


def test_table_is_whole() -> None:
    """Each entry of the list is tried here."""
    assert {thing.path for thing in UNAVAILABLE} == ASKED.keys()


@pytest.mark.parametrize("path", ASKED, ids=".".join)
def test_refused(folder: Folder, path: tuple[str, ...]) -> None:
    """Asking for it is an error at its place that says so."""
    (problem,) = folder.problems(ASKED[path])
    assert f"`{'.'.join(path)}` asks for " in problem
    assert "which this version does not have; " in problem
    assert "secret" not in problem


def test_sinks(folder: Folder) -> None:
    """Of the sinks only Kafka is not there."""
    (problem,) = folder.problems(UPSTREAM + "audit: {sinks: [{file: a}, {kafka: 'h:9092'}]}")
    assert "2:29: `audit.sinks[1].kafka` asks for an audit sink of kind kafka, which this version" in problem


@pytest.mark.parametrize(
    ("sink", "kind", "shown"),
    [
        pytest.param("redis: 'redis://u:secret@h'", "redis", "redis://***@h", id="redis"),
        pytest.param("http: 'https://u:secret@h/in'", "http", "https://***@h/in", id="http"),
        pytest.param(
            "http: {url: 'http://127.0.0.1:1', token_file: t}", "http", "http://127.0.0.1:1", id="http-mapping"
        ),
        pytest.param("nats: 'tls://token@h:4222'", "nats", "tls://***@h:4222", id="nats"),
    ],
)
def test_sinks_that_are_there(sink: str, kind: str, shown: str, folder: Folder) -> None:
    """Their addresses are shown without what stands before the ``@``."""
    (folder.path / "t").write_text("t")
    settings = folder.load(UPSTREAM + f"audit: {{sinks: [{{{sink}}}]}}")
    found = masked(settings)["audit"]["sinks"][0][kind]
    assert (found["url"] if isinstance(found, dict) else found) == shown


@pytest.mark.parametrize(
    ("sinks", "problem"),
    [
        pytest.param("{http: 'http://h/in'}", "write an https:// address", id="in-the-clear"),
        pytest.param("{http: 'ftp://h/in'}", "write an https:// address", id="no-http"),
        pytest.param("{nats: 'h:4222'}", "write nats://host:4222", id="no-nats"),
        pytest.param("{file: a}, {file: b}", "is a second sink of kind file; keep one of each kind", id="twice"),
    ],
)
def test_sinks_that_are_refused(sinks: str, problem: str, folder: Folder) -> None:
    """Records do not cross a network in the clear, and two sinks do not share a cursor."""
    assert [problem in found for found in folder.problems(UPSTREAM + f"audit: {{sinks: [{sinks}]}}")] == [True]


def test_what_is_there_is_not_refused(folder: Folder) -> None:
    """The embedded forms of the same settings are in force."""
    settings = folder.load(UPSTREAM + "sessions: {opaque: {store: memory}}\naudit: {sinks: [{file: a}]}")
    assert settings.sessions.opaque is not None
