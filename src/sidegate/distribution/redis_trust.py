"""Keys that policy is signed with, and verified (spec 5.2)."""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from sidegate.core.model.errors import ConfigError, Problem

_HOW_PRIVATE: Final = "make one with `openssl genpkey -algorithm ed25519`"
_HOW_PUBLIC: Final = "make it with `openssl pkey -in private.pem -pubout`"


def load_trusted_key(path: Path) -> Ed25519PublicKey:
    """Load the public key that every record must be signed with.

    Raises:
        ConfigError: The file is no such key or cannot be read.
    """
    try:
        key = load_pem_public_key(_read(path, "policy.public_key"))
    except (ValueError, UnsupportedAlgorithm):
        raise _problem(path, "policy.public_key", "is no public key", _HOW_PUBLIC) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _problem(path, "policy.public_key", "is no Ed25519 key", _HOW_PUBLIC)
    return key


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Load the private key that a publisher signs with.

    Raises:
        ConfigError: The file is no such key or cannot be read.
    """
    try:
        key = load_pem_private_key(_read(path, "--signing-key"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _problem(path, "--signing-key", "is no private key", _HOW_PRIVATE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _problem(path, "--signing-key", "is no Ed25519 key", _HOW_PRIVATE)
    return key


def read_password(path: Path) -> str:
    """Read a password; the line end behind it is not part of it.

    Raises:
        ConfigError: The file cannot be read.
    """
    return _read(path, "policy.password_file").decode("utf-8", "replace").rstrip("\r\n")


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _problem(path, key, f"cannot be read: {error.strerror}", "make it readable for sidegate") from error


def _problem(path: Path, key: str, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(None, key, f"names {path}, which {what}", hint),))
