"""`sidegate run`: nothing listens when anything is wrong."""

from pathlib import Path
from typing import Any


def test_everything_that_is_wrong_is_said(sidegate: Any, config: Path) -> None:
    """Problems of all files at once, exit code 78, before anything listens."""
    (config.parent / "routes.yaml").write_text("- gte: /x\n")
    (config.parent / "policy" / "acme.yaml").write_text("organization: acme\nbinding: []\n")
    done = sidegate("run", "--config", "sidegate.yaml")
    assert (done.code, done.out) == (78, "")
    assert "routes.yaml:1:" in done.err
    assert "policy/acme.yaml:2:1: `binding` is not known; did you mean `bindings`?" in done.err
    assert not (config.parent / "var" / "audit").exists()


def test_settings_that_cannot_be_used(sidegate: Any, config: Path, monkeypatch: Any) -> None:
    """A variable that sets something unknown is an error like a key of the file, and is named."""
    monkeypatch.setenv("SIDEGATE_LIMITS__HEADRS", "5")
    done = sidegate("run", "--config", config)
    assert (done.code, "did you mean `SIDEGATE_LIMITS__HEADERS`?" in done.err) == (78, True)


def test_a_file_that_is_not_there(sidegate: Any) -> None:
    """The configuration that was named has to be there."""
    done = sidegate("run", "--config", "nowhere.yaml")
    assert (done.code, "nowhere.yaml" in done.err) == (78, True)
