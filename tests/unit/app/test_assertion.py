"""The key of the signed assertion is read before anything listens, and what is wrong with it is said."""

import subprocess
from pathlib import Path

import pytest
from tests.unit.config.files import UPSTREAM, Folder

from sidegate.app.assertion import load_assertion_signer
from sidegate.core.model.errors import ConfigError

SETTINGS = UPSTREAM + "forwarding: {assertion: {issuer: sidegate, key: file:k.pem}}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder of configuration."""
    return Folder(tmp_path)


def test_not_asked_for(folder: Folder) -> None:
    """Nothing is read unless it is asked for."""
    assert load_assertion_signer(folder.load(UPSTREAM)) is None


def test_made_as_the_hint_says(folder: Folder) -> None:
    """The command that the errors name makes a key that can be used."""
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(folder.path / "k.pem")]
    subprocess.run(command, check=True, capture_output=True)
    signer = load_assertion_signer(folder.load(SETTINGS))
    assert signer is not None
    assert len(signer.key_id) == 16


def test_missing(folder: Folder) -> None:
    """A file that is not there is an error with its place."""
    (problem,) = folder.problems(SETTINGS)
    assert "2:49: `forwarding.assertion.key` names " in problem


@pytest.mark.parametrize(
    ("pem", "what"),
    [
        pytest.param("", "holds no private key", id="empty"),
        pytest.param("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private", id="junk"),
    ],
)
def test_unusable(folder: Folder, pem: str, what: str) -> None:
    """What is no key is named, with the command that makes one."""
    (folder.path / "k.pem").write_text(pem)
    with pytest.raises(ConfigError) as caught:
        load_assertion_signer(folder.load(SETTINGS))
    (problem,) = caught.value.problems
    assert what in problem.what
    assert "openssl genpkey" in problem.hint
