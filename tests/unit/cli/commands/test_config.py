"""`sidegate config show`: the settings in effect."""

from pathlib import Path
from typing import Any


def test_shows_file_variables_and_defaults(sidegate: Any, config: Path, monkeypatch: Any) -> None:
    """A variable goes before the file, the file before a default; all of it is there."""
    monkeypatch.setenv("SIDEGATE_LIMITS__HEADERS", "50")
    done = sidegate("config", "show", "--config", config, "-o", "json")
    assert (
        done.code,
        done.json["limits"]["headers"],
        done.json["listen"]["address"],
        done.json["workers"],
    ) == (0, 50, "127.0.0.1:0", 1)
    lines = [line.split() for line in sidegate("config", "show", "--config", config).out.splitlines()]
    assert ["limits.headers", "50"] in lines
    assert ["hide", "none"] in lines


def test_secrets_are_masked(sidegate: Any, config: Path, monkeypatch: Any) -> None:
    """No secret is printed."""
    secret = "0123456789abcdef0123456789abcdef"
    config.write_text(
        config.read_text().replace(
            "sessions: {opaque: {store: memory}}",
            "sessions: {signed: {issuer: https://i.example, algorithms: [HS256]}}",
        )
    )
    monkeypatch.setenv("SIDEGATE_SESSIONS__SIGNED__SECRET", secret)
    done = sidegate("config", "show", "--config", config)
    assert (done.code, secret in done.out) == (0, False)
    assert "sessions.signed.secret" in done.out
