"""Looking at certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.app.examination.conftest import NOW, MakeSite, details, states

from sidegate.app.examination.certificates import examine_certificates
from sidegate.app.examination.check import Site, State

_START = datetime.fromtimestamp(NOW / 1000, UTC)


def _make_pair(folder: Path, days: int, password: bytes | None = None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_START - timedelta(days=101))
        .not_valid_after(_START + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )


@pytest.fixture
def site(make_site: MakeSite, tmp_path: Path) -> Site:
    """TLS on the data port with a CA of client certificates; what the files hold is each test's to say."""
    _make_pair(tmp_path, 90)
    listen = {"address": "127.0.0.1:0", "tls": {"cert": "tls.crt", "key": "tls.key", "client_ca": "tls.crt"}}
    return make_site(settings={"listen": listen})


@pytest.mark.parametrize(
    ("days", "last"),
    [
        pytest.param(90, State.OK, id="long"),
        pytest.param(5, State.WARNING, id="nearly"),
        pytest.param(-1, State.FAILED, id="over"),
        pytest.param(-100, State.FAILED, id="long-over"),
    ],
)
def test_how_long_it_lasts(days: int, last: State, site: Site, tmp_path: Path) -> None:
    """As long as a running sidecar would not warn of it."""
    _make_pair(tmp_path, days)
    assert states(examine_certificates(site)) == {"certificates-usable": State.OK, "certificates-last": last}


def test_key_of_another_certificate(site: Site, tmp_path: Path) -> None:
    """A pair that was replaced by half."""
    _make_pair(tmp_path, 90)
    key = (tmp_path / "tls.key").read_bytes()
    _make_pair(tmp_path, 90)
    (tmp_path / "tls.key").write_bytes(key)
    assert states(examine_certificates(site))["certificates-usable"] is State.FAILED


def test_encrypted_key(site: Site, tmp_path: Path) -> None:
    """Nobody is asked for its password."""
    _make_pair(tmp_path, 90, b"secret")
    assert states(examine_certificates(site))["certificates-usable"] is State.FAILED


def test_files_that_are_none(site: Site, tmp_path: Path) -> None:
    """Not there any more, or not what they should be: with the file's name."""
    (tmp_path / "tls.key").unlink()
    assert states(examine_certificates(site))["certificates-usable"] is State.FAILED
    (tmp_path / "tls.crt").write_text("x")
    assert states(examine_certificates(site))["certificates-usable"] is State.FAILED
    assert any(str(tmp_path / "tls.crt") in detail for detail in details(examine_certificates(site)))


def test_nothing_configured(make_site: MakeSite) -> None:
    """Nothing to look at."""
    assert set(states(examine_certificates(make_site())).values()) == {State.SKIPPED}
