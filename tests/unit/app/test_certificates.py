"""Certificates and keys: what is wrong with them is said with the setting, the file and what to do."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key
from tests.integration.authority import DAY, Authority, Pair

from sidegate.app.certificates import MAX_PEM_BYTES, TlsFiles, expiry_warnings, listen_files, read_material
from sidegate.app.certificates import upstream_files as files_for_upstream
from sidegate.config.listener_model import Tls, TlsVersion, UpstreamTls
from sidegate.core.model.errors import ConfigError
from sidegate.telemetry.catalogue import TlsCertificate, TlsUse
from sidegate.telemetry.clock import SystemClock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs."""
    return Authority(tmp_path)


def files_of(pair: Pair, ca: Path | None = None, use: TlsUse = TlsUse.LISTEN) -> TlsFiles:
    """Return files that are used so."""
    return TlsFiles(use, pair.cert, pair.key, ca, TlsVersion.TLS_1_2)


def problems_of(files: TlsFiles) -> list[str]:
    """Return what is wrong with *files*."""
    with pytest.raises(ConfigError) as caught:
        read_material(files)
    return [str(problem) for problem in caught.value.problems]


def test_good(authority: Authority) -> None:
    """Of each file of certificates the first end counts; the authorities are handed on as they are."""
    pair = authority.issue("gate", ends=5 * DAY)
    material = read_material(files_of(pair, authority.file))
    now = SystemClock.now()
    ends = {expiry.certificate: round(expiry.remaining(now) / 86_400_000) for expiry in material.expiries}
    assert ends == {TlsCertificate.LISTEN_CERT: 5, TlsCertificate.LISTEN_CLIENT_CA: 30}
    assert material.authorities == authority.file.read_text()


def test_chain_ends_with_its_first(authority: Authority) -> None:
    """A chain is good for as long as each of its certificates."""
    pair = authority.issue("gate", ends=20 * DAY)
    pair.cert.write_bytes(pair.cert.read_bytes() + authority.issue("other", ends=2 * DAY).cert.read_bytes())
    (expiry,) = read_material(files_of(pair)).expiries
    assert round(expiry.remaining(SystemClock.now()) / 86_400_000) == 2


def _encrypt(pair: Pair) -> None:
    key = load_key(pair.key.read_bytes(), None)
    form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    pair.key.write_bytes(key.private_bytes(*form))


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        pytest.param(
            lambda pair: pair.cert.unlink(), "`listen.tls.cert` is .*pem, which cannot be read: No ", id="no-cert"
        ),
        pytest.param(
            lambda pair: pair.key.unlink(), "`listen.tls.key` is .*key, which cannot be read: No ", id="no-key"
        ),
        pytest.param(lambda pair: pair.cert.write_text(""), "cert` is .* is empty; write it whole", id="empty-cert"),
        pytest.param(lambda pair: pair.key.write_text(""), "key` is .* is empty; write it whole", id="empty-key"),
        pytest.param(lambda pair: pair.cert.write_text("x"), "cert` is .* holds no certificate in PEM", id="no-pem"),
        pytest.param(lambda pair: pair.key.write_text("x"), "key` is .* holds no private key in PEM", id="no-key-pem"),
        pytest.param(
            lambda pair: pair.cert.write_bytes(pair.cert.read_bytes()[:200]),
            "holds no certificate in PEM",
            id="half-cert",
        ),
        pytest.param(
            lambda pair: pair.key.write_bytes(pair.key.read_bytes()[:100]), "holds no private key in PEM", id="half-key"
        ),
        pytest.param(lambda pair: pair.cert.write_bytes(pair.key.read_bytes()), "no certificate", id="key-as-cert"),
        pytest.param(lambda pair: pair.key.write_bytes(pair.cert.read_bytes()), "no private key", id="cert-as-key"),
        pytest.param(_encrypt, "key` is .* is encrypted; decrypt it with `openssl pkey", id="encrypted"),
        pytest.param(
            lambda pair: pair.cert.write_bytes(b"#" * (MAX_PEM_BYTES + 1)),
            f"write at most {MAX_PEM_BYTES}",
            id="too-large",
        ),
    ],
)
def test_bad(authority: Authority, spoil: Callable[[Pair], object], shown: str) -> None:
    """Each is one problem."""
    pair = authority.issue("gate")
    spoil(pair)
    (problem,) = problems_of(files_of(pair))
    assert re.search(shown, problem), problem


def test_key_of_another(authority: Authority) -> None:
    """A key that does not belong to the certificate is named, and so is the certificate."""
    pair, other = authority.issue("gate"), authority.issue("other")
    (problem,) = problems_of(files_of(Pair(pair.cert, other.key)))
    assert problem.startswith(f"`listen.tls.key` is {other.key}, which does not belong to the first certificate in ")
    assert str(pair.cert) in problem


def test_all_at_once(authority: Authority) -> None:
    """Every file that is wrong is said, with the names that the settings for the upstream have."""
    pair = authority.issue("gate")
    for path in (pair.cert, pair.key, authority.file):
        path.write_text("x")
    problems = problems_of(files_of(pair, authority.file, TlsUse.UPSTREAM))
    names = {problem.partition("`")[2].partition("`")[0] for problem in problems}
    assert names == {"upstream.tls.cert", "upstream.tls.key", "upstream.tls.ca"}


@pytest.mark.parametrize(
    ("begins", "ends", "shown"),
    [
        pytest.param(-DAY, 90 * DAY, None, id="fresh"),
        pytest.param(-80 * DAY, 10 * DAY, None, id="more-than-a-tenth"),
        pytest.param(-82 * DAY, 8 * DAY, "expires on ", id="less-than-a-tenth"),
        pytest.param(-300 * DAY, 15 * DAY, None, id="more-than-two-weeks"),
        pytest.param(-300 * DAY, 13 * DAY, "expires on ", id="less-than-two-weeks"),
        pytest.param(-timedelta(hours=20), timedelta(hours=4), None, id="of-a-day"),
        pytest.param(-timedelta(hours=22), timedelta(hours=2), "expires on ", id="of-a-day-at-its-end"),
        pytest.param(-3 * DAY, -DAY, "has expired on ", id="expired"),
        pytest.param(DAY, 3 * DAY, "is good only from ", id="not-yet"),
    ],
)
def test_warnings(authority: Authority, begins: timedelta, ends: timedelta, shown: str | None) -> None:
    """Warned of is what has less than a tenth of its time left and less than two weeks, is over, or has not begun."""
    files = files_of(authority.issue("gate", begins=begins, ends=ends))
    warnings = [str(problem) for problem in expiry_warnings(files, read_material(files), SystemClock.now())]
    assert len(warnings) == (shown is not None)
    assert all(f"`listen.tls.cert` is {files.cert}, which {shown}" in warning for warning in warnings)


def test_files_of_settings(tmp_path: Path) -> None:
    """What the settings name is what is read; the upstream may have no file at all."""
    given = {"cert": tmp_path / "c", "key": tmp_path / "k"}
    files = listen_files(Tls(**given, client_ca=tmp_path / "a", min_version=TlsVersion.TLS_1_3))
    assert files == TlsFiles(TlsUse.LISTEN, tmp_path / "c", tmp_path / "k", tmp_path / "a", TlsVersion.TLS_1_3)
    assert files_for_upstream(None).paths == ()
    assert files_for_upstream(UpstreamTls(ca=tmp_path / "a")).paths == (tmp_path / "a",)
