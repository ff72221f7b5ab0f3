"""Why TLS failed, in words and as a cause; the connection itself is in ``tests/exchange/test_tls.py``."""

import ssl

import pytest

from sidegate.proxy.tls import reason_of
from sidegate.proxy.tls_clients import failure_of
from sidegate.proxy.tls_upstream import hint_of
from sidegate.telemetry.catalogue import TlsFailure


def _error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def _unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(None, TlsFailure.GONE, id="left"),
        pytest.param(ConnectionResetError(), TlsFailure.GONE, id="reset"),
        pytest.param(_error("HTTP_REQUEST"), TlsFailure.NOT_TLS, id="http"),
        pytest.param(_error("UNSUPPORTED_PROTOCOL"), TlsFailure.VERSION, id="version"),
        pytest.param(_error("NO_SHARED_CIPHER"), TlsFailure.VERSION, id="cipher"),
        pytest.param(_unverified(18, "self-signed certificate"), TlsFailure.CLIENT_CERTIFICATE, id="certificate"),
        pytest.param(_error("PEER_DID_NOT_RETURN_A_CERTIFICATE"), TlsFailure.CLIENT_CERTIFICATE, id="none"),
        pytest.param(_error("TLSV1_ALERT_UNKNOWN_CA"), TlsFailure.REJECTED, id="rejected"),
        pytest.param(_error("SOMETHING_ELSE"), TlsFailure.PROTOCOL, id="other"),
    ],
)
def test_cause(error: Exception | None, cause: TlsFailure) -> None:
    """Each kind of failure has a cause, from a closed set."""
    assert cause is failure_of(error)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(_unverified(10, "certificate has expired"), "certificate has expired", id="verification"),
        pytest.param(_error("KEY_VALUES_MISMATCH"), "key values mismatch", id="openssl"),
        pytest.param(ssl.SSLError(0, "cut off"), "cut off", id="without-a-reason"),
        pytest.param(PermissionError(13, "Permission denied"), "Permission denied", id="system"),
        pytest.param(ValueError("empty"), "empty", id="value"),
        pytest.param(ValueError(), "ValueError", id="silent"),
    ],
)
def test_reason(error: Exception, reason: str) -> None:
    """Said is what OpenSSL or the system says, in lower case without its codes."""
    assert reason == reason_of(error)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        pytest.param(_unverified(62, "hostname mismatch"), "upstream.tls.server_name", id="name"),
        pytest.param(_unverified(64, "IP address mismatch"), "upstream.tls.server_name", id="address"),
        pytest.param(_unverified(10, "certificate has expired"), "renew the upstream's certificate", id="expired"),
        pytest.param(_unverified(9, "not yet valid"), "renew the upstream's certificate", id="not-yet"),
        pytest.param(_unverified(20, "unable to get local issuer"), "upstream.tls.ca", id="authority"),
        pytest.param(_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "set `upstream.tls.cert` and `key`", id="ours"),
        pytest.param(_error("WRONG_VERSION_NUMBER"), "openssl s_client", id="no-tls"),
    ],
)
def test_hint(error: ssl.SSLError, hint: str) -> None:
    """What to do next depends on what is wrong."""
    assert hint in hint_of(error)
