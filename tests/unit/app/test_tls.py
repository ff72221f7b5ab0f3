"""Contexts that follow their files: renewed whole, never by something worse, and said."""

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.authority import DAY, Authority, Pair

from sidegate.app.certificates import TlsFiles, TlsMaterial, read_material
from sidegate.app.tls import REMIND_EVERY_MS, RenewedContext, check_tls, make_client_context, make_server_context
from sidegate.config.listener_model import TlsVersion
from sidegate.config.settings import Settings, load_settings
from sidegate.core.model.errors import ConfigError
from sidegate.core.model.units import UnixMillis
from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import TlsUse
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.log import LogFormat, LogLevel, configure_log
from sidegate.telemetry.metrics import TLS_RELOAD_FAILURE_CELL, Metrics, place_of
from sidegate.telemetry.tasks import TaskSet

FAILED = TLS_RELOAD_FAILURE_CELL[TlsUse.LISTEN]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """Return what is in force at first."""
    return authority.issue("gate")


def files_of(pair: Pair, ca: Path | None = None) -> TlsFiles:
    """Return the files of a data port."""
    return TlsFiles(TlsUse.LISTEN, pair.cert, pair.key, ca, TlsVersion.TLS_1_2)


class _Clock(SystemClock):
    """The machine's clocks, some time ahead."""

    ahead = 0

    def now(self) -> UnixMillis:  # type: ignore[override]  # of this one, not of all
        return UnixMillis(SystemClock.now() + self.ahead)


class Renewal:
    """A context that follows *files*, looked at when a test says so."""

    def __init__(self, files: TlsFiles) -> None:
        self.metrics = Metrics()
        self.clock = _Clock()
        self.renewed = 0
        self.contexts = RenewedContext(files, lambda *of: make_server_context(*of, ()), self.clock, self.metrics)
        self.contexts.on_renewal = self._count

    def _count(self) -> None:
        self.renewed += 1

    async def look(self, times: int = 2) -> bool:
        """Look so often; returns whether there is another context now."""
        before = self.contexts.context
        for _ in range(times):
            await self.contexts.look()
        return self.contexts.context is not before


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return what was logged since the last call."""
    configure_log(form=LogFormat.JSON, level=LogLevel.INFO)
    yield lambda: capsys.readouterr().err
    capsys.readouterr()


async def test_unchanged(pair: Pair) -> None:
    """Files that are as they were are read once."""
    renewal = Renewal(files_of(pair))
    assert not await renewal.look(5)
    assert renewal.renewed == 0


async def test_renewed_by_renames(authority: Authority, pair: Pair, log: Callable[[], str]) -> None:
    """A new pair is in force at the second look that finds it the same, and those who hold the old one are told."""
    renewal = Renewal(files_of(pair))
    pair.replace(authority.issue("next"))
    assert not await renewal.look(1)
    assert await renewal.look(1)
    assert (renewal.renewed, renewal.metrics.cells[FAILED]) == (1, 0)
    assert '"event":"tls_renewed"' in log()
    assert not await renewal.look()


async def test_renewed_as_kubernetes_does(authority: Authority, tmp_path: Path) -> None:
    """Links that lead to a folder through one link are renewed in one step when that link is turned."""
    mounted = tmp_path / "mounted"
    for number in (1, 2):
        folder = mounted / f"..{number}"
        folder.mkdir(parents=True)
        made = authority.issue(f"of{number}")
        made.cert.rename(folder / "tls.crt")
        made.key.rename(folder / "tls.key")
    (mounted / "..data").symlink_to("..1")
    pair = Pair(mounted / "tls.crt", mounted / "tls.key")
    for path in (pair.cert, pair.key):
        path.symlink_to(Path("..data") / path.name)
    renewal = Renewal(files_of(pair))
    (mounted / "..draft").symlink_to("..2")
    (mounted / "..draft").rename(mounted / "..data")
    assert await renewal.look()
    assert renewal.metrics.cells[FAILED] == 0


async def test_half_written(authority: Authority, pair: Pair, log: Callable[[], str]) -> None:
    """While only the certificate is new the old pair stays, which is said once; with its key it is renewed."""
    renewal, new = Renewal(files_of(pair)), authority.issue("next")
    pair.cert.write_bytes(new.cert.read_bytes())
    assert not await renewal.look(5)
    assert (renewal.metrics.cells[FAILED], renewal.renewed) == (1, 0)
    (line,) = [line for line in log().splitlines() if "tls_renewal_rejected" in line]
    assert "does not belong to the first certificate" in line
    pair.key.write_bytes(new.key.read_bytes())
    assert await renewal.look()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_text(""), id="empty"),
        pytest.param(lambda path: path.write_text("x"), id="no-pem"),
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a-folder"),
    ],
)
@pytest.mark.parametrize("name", ["cert", "key", "ca"])
async def test_broken(authority: Authority, pair: Pair, name: str, spoil: Callable[[Path], object]) -> None:
    """What cannot be used changes nothing and is counted once; once it is good again it is renewed."""
    renewal = Renewal(files_of(pair, authority.file))
    path = authority.file if name == "ca" else getattr(pair, name)
    content = path.read_bytes()
    spoil(path)
    assert not await renewal.look(4)
    assert renewal.metrics.cells[FAILED] == 1
    if path.is_dir():
        path.rmdir()
    path.write_bytes(content)
    assert await renewal.look()
    assert renewal.metrics.cells[FAILED] == 1


async def test_only_who_may_read_it_changed(pair: Pair) -> None:
    """Files that were made readable are read, though nothing else of them changed."""
    renewal = Renewal(files_of(pair))
    os.utime(pair.cert, ns=(1, pair.cert.stat().st_mtime_ns))
    pair.cert.chmod(0o640)
    assert await renewal.look()


async def test_still_being_written(authority: Authority, pair: Pair) -> None:
    """Files that differ at every look are not read."""
    renewal = Renewal(files_of(pair))
    for number in range(4):
        pair.replace(authority.issue(f"next{number}"))
        assert not await renewal.look(1)
    assert await renewal.look(1)


async def test_never_by_something_worse(authority: Authority, pair: Pair, log: Callable[[], str]) -> None:
    """What has expired does not take the place of what has not; it does where nothing better is there."""
    renewal = Renewal(files_of(pair))
    pair.replace(authority.issue("old", begins=-3 * DAY, ends=-DAY))
    assert not await renewal.look()
    assert renewal.metrics.cells[FAILED] == 1
    assert "has expired on" in log()
    renewal.clock.ahead = 40 * 86_400_000
    pair.replace(authority.issue("older", begins=-3 * DAY, ends=2 * DAY))
    assert await renewal.look()


async def test_clients_of_a_renewed_authority(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    """Another authority of client certificates is renewed like everything else."""
    renewal = Renewal(files_of(pair, authority.file))
    authority.file.write_bytes(Authority(tmp_path / "other").file.read_bytes())
    assert await renewal.look()
    assert renewal.contexts.context.verify_mode is ssl.CERT_REQUIRED


async def test_expiry_is_told(authority: Authority, log: Callable[[], str]) -> None:
    """How long a certificate is good is a metric; warned of is once a day, and at once after a renewal."""
    pair = authority.issue("gate", begins=-29 * DAY, ends=DAY)
    renewal = Renewal(files_of(pair))
    place = place_of(catalogue.TLS_CERTIFICATE_REMAINING_SECONDS)
    assert 86_300 < renewal.metrics.read()[place] / 1e9 <= 86_400
    tasks = TaskSet()
    renewal.contexts.start(tasks)
    await tasks.close()
    assert log().count("certificate_expiry_noticed") == 1
    await renewal.look(3)
    assert "certificate_expiry_noticed" not in log()
    renewal.clock.ahead = REMIND_EVERY_MS
    await renewal.look(3)
    (line,) = log().splitlines()
    assert "certificate_expiry_noticed" in line
    assert "has expired on" in line
    assert renewal.metrics.read()[place] < 0


def test_nothing_to_fall_back_on(pair: Pair) -> None:
    """At the start files that cannot be used are an error."""
    pair.key.unlink()
    with pytest.raises(ConfigError, match=r"`listen.tls.key` is .*, which cannot be read"):
        Renewal(files_of(pair))


def _settings(folder: Path, text: str) -> Settings:
    (folder / "routes.yaml").write_text("- {get: /healthz, public: true}")
    (folder / "policy").mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(text)
    return load_settings(folder / "s.yaml", {})


def test_check(tmp_path: Path, authority: Authority, pair: Pair) -> None:
    """Every use of TLS is checked, and everything that is wrong is said at once."""
    (tmp_path / "x.pem").write_text("x")
    settings = _settings(
        tmp_path,
        f"listen: {{address: '127.0.0.1:1', tls: {{cert: '{pair.cert}', key: x.pem}}}}\n"
        "upstream: {url: https://h, tls: {ca: x.pem}}\n",
    )
    with pytest.raises(ConfigError) as caught:
        check_tls(settings)
    assert [problem.key for problem in caught.value.problems] == ["listen.tls.key", "upstream.tls.ca"]
    good = f"upstream: {{url: https://h, tls: {{ca: '{authority.file}'}}}}\n"
    (files,) = check_tls(_settings(tmp_path, good))
    assert files.use is TlsUse.UPSTREAM
    assert check_tls(_settings(tmp_path, "upstream: {url: http://h}\n")) == {}


def test_upstream_is_verified(authority: Authority) -> None:
    """Whatever is configured, the upstream must prove its name; by the system's authorities if none is named."""
    for ca in (None, authority.file):
        files = TlsFiles(TlsUse.UPSTREAM, None, None, ca, TlsVersion.TLS_1_3)
        context = make_client_context(files, read_material(files))
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert bool(context.get_ca_certs()) or ca is None


def test_not_taken(authority: Authority, pair: Pair) -> None:
    """What OpenSSL does not take is a problem with its reason."""
    files = files_of(Pair(pair.cert, authority.issue("other").key))
    with pytest.raises(ConfigError, match="which OpenSSL does not take: key values mismatch; look at it with"):
        make_server_context(files, TlsMaterial(None, ()), ())
    with pytest.raises(ConfigError, match=r"which OpenSSL does not take: .*; write the certificates"):
        make_server_context(files_of(pair, authority.file), TlsMaterial("x", ()), ())
