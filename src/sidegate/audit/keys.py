"""The key pair that signs and checks checkpoints (spec 5.7).

Without a configured key one is made at the first start: ``checkpoint.key`` (PKCS 8, PEM, 0600) in the spool's folder.
``checkpoint.pub`` beside it holds every public key that was used (PEM). Whoever can write that folder can put another
pair there: keep a copy of the public key elsewhere to tell tampering from outside.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sidegate.audit.layout import FILE_MODE, FOLDER_MODE, sync_folder
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.trail.checkpoint import CheckpointSigner, key_id_of
from sidegate.telemetry.log import get_log

_log: Final = get_log("audit")

KEY_NAME: Final = "checkpoint.key"
PUBLIC_NAME: Final = "checkpoint.pub"
_SETTING: Final = "audit.checkpoint.key"
_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_OTHERS: Final = 0o077


def load_signer(root: Path, configured: Path | None = None) -> CheckpointSigner:
    """Load the signing key; make one in *root* if none is configured and none is there.

    Several workers may start at once: all of them end up with the same key.

    Raises:
        ConfigError: A file is there but is no Ed25519 private key, or it cannot be read or made.
    """
    path = configured or root / KEY_NAME
    try:
        if configured is None and not path.exists():
            _make_key(root, path)
        pem = path.read_bytes()
        if path.stat().st_mode & _OTHERS:
            _log.warning(
                "checkpoint_key_exposed", file=str(path), hint="chmod 600: who reads it can sign a false trail"
            )
    except OSError as error:
        raise _problem(
            path, f"cannot be used: {error}", "make it readable for sidegate, or name another file"
        ) from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _problem(path, "is no private key", _HOW_TO_MAKE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _problem(path, "is not an Ed25519 key", _HOW_TO_MAKE)
    # For convenience only, so that nothing depends on it. Also when the key is not the one of the day before: what that
    # one signed has to be checked as well.
    with contextlib.suppress(OSError):
        _add_public(root, key.public_key())
    return CheckpointSigner(key)


_HOW_TO_MAKE: Final = "make one with `openssl genpkey -algorithm ed25519`"


def load_public_keys(path: Path) -> Mapping[str, Ed25519PublicKey]:
    """Load the public keys in *path*, by their id: a PEM file with one or more, or a spool's folder.

    Raises:
        ConfigError: There is none, or it is no Ed25519 public key.
    """
    file = path / PUBLIC_NAME if path.is_dir() else path
    try:
        pem = file.read_bytes()
    except OSError as error:
        raise _problem(file, f"cannot be read: {error}", "name the file that holds the public key") from error
    blocks = _PEM.findall(pem)
    if not blocks:
        raise _problem(file, "holds no public key", f"name the {PUBLIC_NAME} that belongs to the signing key")
    keys = {}
    for block in blocks:
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise _problem(file, "holds a public key that cannot be read", "copy it whole, BEGIN to END") from None
        if not isinstance(key, Ed25519PublicKey):
            raise _problem(file, "holds a public key that is not Ed25519", "checkpoints are signed with Ed25519 only")
        keys[key_id_of(key)] = key
    return keys


def _make_key(root: Path, path: Path) -> None:
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    draft = root / f".{KEY_NAME}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        # Unlike a rename, a link never replaces the key that another worker has just made.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            _log.info("checkpoint_key_made", file=str(path), key_id=key_id_of(key.public_key()))
    finally:
        draft.unlink()
    sync_folder(root)


def _add_public(root: Path, key: Ed25519PublicKey) -> None:
    path = root / PUBLIC_NAME
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known = path.read_bytes() if path.exists() else b""
    if pem not in known:
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        draft = root / f".{PUBLIC_NAME}.{os.getpid()}"
        draft.write_bytes(known + pem)
        draft.replace(path)


def _problem(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(None, _SETTING, f"`{path}` {what}", hint),))
