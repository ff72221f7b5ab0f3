"""What this version does not do is refused, never silently ignored."""

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.config.availability import UNAVAILABLE

TLS = "{address: '127.0.0.1:1', tls: {cert: a, key: b}}"

ASKED = {
    ("listen", "tls"): UPSTREAM + f"listen: {TLS}",
    ("admin", "tls"): UPSTREAM + f"admin: {TLS}",
    ("upstream", "url"): "upstream: {url: https://h}",
    ("policy", "source"): UPSTREAM + "policy: {source: redis+sentinel://user:secret@h/0}",
    ("sessions", "opaque", "store"): UPSTREAM + "sessions: {opaque: {store: redis}}",
    ("forwarding", "assertion"): UPSTREAM + "forwarding: {assertion: {issuer: sidegate, key: file:k}}",
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


@pytest.mark.parametrize("kind", ["redis", "http", "nats", "kafka"])
def test_sinks(folder: Folder, kind: str) -> None:
    """Of the sinks only files are there."""
    (problem,) = folder.problems(UPSTREAM + f"audit: {{sinks: [{{file: a}}, {{{kind}: 'redis://h'}}]}}")
    assert f"2:29: `audit.sinks[1].{kind}` asks for an audit sink of kind {kind}, which this version" in problem


def test_what_is_there_is_not_refused(folder: Folder) -> None:
    """The embedded forms of the same settings are in force."""
    settings = folder.load(UPSTREAM + "sessions: {opaque: {store: memory}}\naudit: {sinks: [{file: a}]}")
    assert settings.sessions.opaque is not None
