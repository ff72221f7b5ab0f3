"""Tests of the key pair that signs checkpoints."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from structlog.testing import capture_logs

from sidegate.audit.keys import load_public_keys, load_signer
from sidegate.core.model.errors import ConfigError
from sidegate.core.trail.checkpoint import key_id_of


def _write_private(path: Path, key: Ed25519PrivateKey | X25519PrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)


def test_first_start_makes_a_pair(tmp_path: Path) -> None:
    """The private one for nobody else, the public one beside it; the second start finds them."""
    root = tmp_path / "audit"
    signer = load_signer(root)
    assert stat.S_IMODE((root / "checkpoint.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in root.iterdir()) == ["checkpoint.key", "checkpoint.pub"]
    assert list(load_public_keys(root)) == [signer.key_id]
    assert load_signer(root).key_id == signer.key_id


def test_configured_key_is_used(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """None is made then; its public key is put where verifying looks first."""
    path = tmp_path / "own.key"
    _write_private(path, key)
    signer = load_signer(tmp_path / "audit", path)
    assert signer.key_id == key_id_of(key.public_key())
    assert list(load_public_keys(tmp_path / "audit" / "checkpoint.pub")) == [signer.key_id]
    assert not (tmp_path / "audit" / "checkpoint.key").exists()


def test_public_key_of_the_key_before_stays(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """What it signed has to be checked as well."""
    root = tmp_path / "audit"
    before = load_signer(root)
    _write_private(root / "checkpoint.key", key)
    after = load_signer(root)
    assert set(load_public_keys(root)) == {before.key_id, after.key_id}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"", "is no private key", id="empty"),
        pytest.param(
            b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "is no private key", id="rubbish"
        ),
        pytest.param(None, "is not an Ed25519 key", id="another-kind"),
    ],
)
def test_other_private_keys_are_refused(content: bytes | None, told: str, tmp_path: Path) -> None:
    """With the file and how to make the right one."""
    path = tmp_path / "checkpoint.key"
    if content is None:
        _write_private(path, X25519PrivateKey.generate())
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as error:
        load_signer(tmp_path, path)
    assert str(path) in str(error.value)
    assert "openssl genpkey -algorithm ed25519" in str(error.value)


def test_configured_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is not made: its place was chosen by somebody who keeps keys."""
    with pytest.raises(ConfigError, match="cannot be used"):
        load_signer(tmp_path, tmp_path / "gone.key")


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the spool's folder should be."""
    (tmp_path / "audit").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        load_signer(tmp_path / "audit")


def test_exposed_key_is_used_and_told(tmp_path: Path) -> None:
    """Secrets are mounted readable for a group at times; it is said, once at start."""
    load_signer(tmp_path)
    (tmp_path / "checkpoint.key").chmod(0o640)
    with capture_logs() as logs:
        load_signer(tmp_path)
    assert [line["event"] for line in logs] == ["checkpoint_key_exposed"]


def test_public_key_that_cannot_be_kept_is_no_matter(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """It is there for convenience; nothing depends on it."""
    path = tmp_path / "own.key"
    _write_private(path, key)
    (tmp_path / "audit").touch()
    assert load_signer(tmp_path / "audit", path).key_id == key_id_of(key.public_key())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"", "holds no public key", id="empty"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read", id="rubbish"),
        pytest.param(None, "is not Ed25519", id="another-kind"),
    ],
)
def test_other_public_keys_are_refused(content: bytes | None, told: str, tmp_path: Path) -> None:
    """A wrong key must not look like a right one that checks nothing."""
    path = tmp_path / "k.pub"
    if content is None:
        public = X25519PrivateKey.generate().public_key()
        content = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load_public_keys(path)


def test_public_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the file that was looked for."""
    with pytest.raises(ConfigError, match=r"checkpoint\.pub` cannot be read"):
        load_public_keys(tmp_path)
