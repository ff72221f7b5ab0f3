"""The key of the signed assertion to the upstream (spec 6.5)."""

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sidegate.config.held import Settings
from sidegate.core.identity.assertion import AssertionSigner
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.telemetry.log import get_log

_log: Final = get_log("app")

_SETTING: Final = "forwarding.assertion.key"
_OTHERS: Final = 0o077
_HOW_TO_MAKE: Final = "make one with `openssl genpkey -algorithm ed25519`"


def load_assertion_signer(settings: Settings) -> AssertionSigner | None:
    """Load the key and say who it speaks as, and to whom; None if no assertion is asked for.

    Raises:
        ConfigError: The file cannot be read or holds no key that can be used.
    """
    asked = settings.forwarding.assertion
    if asked is None:
        return None
    path = asked.key.path
    try:
        pem = path.read_bytes()
        if path.stat().st_mode & _OTHERS:
            _log.warning("assertion_key_exposed", file=str(path), hint="chmod 600: who reads it can speak for anybody")
    except OSError as error:
        what = f"is {path}, which cannot be read: {error.strerror}"
        raise _problem(what, "name a file that the user of this process can read") from error
    try:
        return AssertionSigner(load_pem_private_key(pem, password=None), asked.issuer, str(settings.upstream.url))
    except UnsupportedAlgorithm:
        raise _problem(f"is {path}, which holds no private key that is known", _HOW_TO_MAKE) from None
    except (ValueError, TypeError) as error:
        what = str(error) if str(error).startswith("is neither") else "holds no private key, or one with a password"
        raise _problem(f"is {path}, which {what}", _HOW_TO_MAKE) from None


def _problem(what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(None, _SETTING, what, hint),))
