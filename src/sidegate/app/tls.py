"""What TLS is spoken with, and how it follows its files (spec 6.1, ``tls``)."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from sidegate.app.certificates import TlsFiles, TlsMaterial, all_files, date_of, expiry_warnings, read_material
from sidegate.config.choices import TlsVersion
from sidegate.config.held import Settings
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import value
from sidegate.proxy.tls import reason_of
from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import TlsUse
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.metrics import TLS_RELOAD_FAILURE_CELL, Metrics
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("tls")

LOOK_EVERY_S: Final = 1.0
"""Between two looks at the files; a change is taken at the second look that finds it the same. A look costs a stat per
file."""

REMIND_EVERY_MS: Final = 86_400_000
"""Between two warnings of the same certificate."""

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). All of TLS 1.3 are so."""

_VERSION: Final = {TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2, TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3}

_NANOS_PER_MILLI: Final = 1_000_000

_Signature = tuple[tuple[int, ...] | None, ...]
"""Of each file what changes when its content, its place or who may read it does; None for one that is not there."""

MakeContext = Callable[[TlsFiles, TlsMaterial], ssl.SSLContext]


def make_server_context(files: TlsFiles, material: TlsMaterial, offered: tuple[str, ...]) -> ssl.SSLContext:
    """Make what the data port speaks TLS with.

    Args:
        files: Certificate and key.
        material: Read from them before.
        offered: Names for ALPN, preferred first.

    Raises:
        ConfigError: OpenSSL does not take them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, files)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _show(context, files)
    if material.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, files, material.authorities)
    context.set_alpn_protocols(list(offered))
    return context


def make_client_context(files: TlsFiles, material: TlsMaterial) -> ssl.SSLContext:
    """Make what TLS is spoken with to the upstream, whose name is always verified.

    Raises:
        ConfigError: OpenSSL does not take the files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, files)
    context.hostname_checks_common_name = False  # RFC 9110 section 4.3.4
    if material.authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, files, material.authorities)
    if files.cert is not None:
        _show(context, files)
    context.set_alpn_protocols(["http/1.1"])
    return context


def check_tls(settings: Settings) -> dict[TlsFiles, TlsMaterial]:
    """Return what was read of every use of TLS, if all of it can be used.

    Raises:
        ConfigError: Says of each file what is wrong with it.
    """
    problems: list[Problem] = []
    found = {}
    for files in all_files(settings):
        try:
            found[files] = material = read_material(files)
            if files.use is TlsUse.LISTEN:
                make_server_context(files, material, ())
            else:
                make_client_context(files, material)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(tuple(problems))
    return found


def _harden(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = _VERSION[files.min_version]
    context.set_ciphers(CIPHERS)
    # A client could have us do handshakes without end on one connection (CVE-2011-1473); compression tells secrets
    # (CVE-2012-4929).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # Whoever is named under `ca` is trusted, also if it is not a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _show(context: ssl.SSLContext, files: TlsFiles) -> None:
    assert files.cert is not None  # noqa: S101 - asked for only where there is one
    try:
        # Asked for a password, OpenSSL would wait for somebody to type it.
        context.load_cert_chain(files.cert, files.key, password="")
    except (ssl.SSLError, OSError) as error:
        what = f"is {files.cert}, which OpenSSL does not take: {reason_of(error)}"
        hint = "look at it with `openssl x509 -text -noout`; RSA keys need 2048 bits or more"
        raise ConfigError((Problem(None, files.setting(files.cert), what, hint),)) from error


def _trust(context: ssl.SSLContext, files: TlsFiles, authorities: str) -> None:
    try:
        context.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError) as error:
        what = f"is {files.ca}, which OpenSSL does not take: {reason_of(error)}"
        hint = "write the certificates of the authorities in PEM"
        raise ConfigError((Problem(None, files.setting(files.ca), what, hint),)) from error


@value
class _Loaded:
    """What is in force of the files."""

    context: ssl.SSLContext
    material: TlsMaterial


class RenewedContext:
    """A context that follows its files.

    Renewed files are taken together or not at all: those that cannot be used change nothing. Links are followed, so
    that a Kubernetes secret, in which one link is turned from the old files to the new, is renewed in one step.

    Args:
        files: What it follows.
        make: Makes a context of them.
        clock: For expiries.
        metrics: Where failures and expiries are told.

    Attributes:
        on_renewal: Told after each renewal.

    Raises:
        ConfigError: The files cannot be used now; there is nothing before them to fall back on.
    """

    def __init__(self, files: TlsFiles, make: MakeContext, clock: Clock, metrics: Metrics) -> None:
        self.files = files
        self._make = make
        self._clock = clock
        self._cells = metrics.cells
        self._seen = _signature_of(files)
        self._unsettled: _Signature | None = None
        self._loaded = self._load()
        self._reminded_at = 0
        self.on_renewal: Callable[[], None] = lambda: None
        for expiry in self._loaded.material.expiries:
            name = expiry.certificate
            source = partial(self._remaining_ns, name)
            metrics.watch(catalogue.TLS_CERTIFICATE_REMAINING_SECONDS, source, (str(name),))

    @property
    def context(self) -> ssl.SSLContext:
        """The context in force."""
        return self._loaded.context

    def start(self, tasks: TaskSet) -> None:
        """Follow the files from now on, until *tasks* is closed."""
        self._remind()
        tasks.spawn(self._follow(), f"follow_{self.files.use}_tls")

    async def look(self) -> None:
        """Look at the files once, in a thread; put in force what has changed and was the same at the look before."""
        found = await asyncio.to_thread(self._look)
        if isinstance(found, _Loaded):
            self._loaded = found
            self._reminded_at = 0
            ends = {str(expiry.certificate): date_of(expiry.ends) for expiry in found.material.expiries}
            _log.info("tls_renewed", use=str(self.files.use), expires=ends)
            self.on_renewal()
        elif found is not None:
            self._cells[TLS_RELOAD_FAILURE_CELL[self.files.use]] += 1
            problems = [str(problem) for problem in found.problems]
            _log.error("tls_renewal_rejected", use=str(self.files.use), problems=problems, kept="what was read before")
        self._remind()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    def _look(self) -> _Loaded | ConfigError | None:
        """Compare the files with the last look; read them if they have changed and somebody is done with them."""
        signature = _signature_of(self.files)
        if signature == self._seen:
            self._unsettled = None
            return None
        if signature != self._unsettled:
            self._unsettled = signature
            return None
        try:
            loaded = self._load()
            self._require_no_worse(loaded)
        except ConfigError as error:
            self._seen = signature
            return error
        if _signature_of(self.files) != signature:
            self._unsettled = None
            return None
        self._seen = signature
        return loaded

    def _load(self) -> _Loaded:
        material = read_material(self.files)
        return _Loaded(self._make(self.files, material), material)

    def _require_no_worse(self, loaded: _Loaded) -> None:
        """Refuse what has expired in the place of what has not.

        Raises:
            ConfigError: Says what has expired.
        """
        now = self._clock.now()
        good = {expiry.certificate for expiry in self._loaded.material.expiries if expiry.ends > now}
        worse = {expiry.certificate for expiry in loaded.material.expiries if expiry.ends <= now} & good
        if worse:
            raise ConfigError(tuple(expiry_warnings(self.files, loaded.material, now)))

    def _remind(self) -> None:
        """Warn of what expires, once a day."""
        now = self._clock.now()
        if now - self._reminded_at < REMIND_EVERY_MS:
            return
        self._reminded_at = now
        for problem in expiry_warnings(self.files, self._loaded.material, now):
            _log.warning("certificate_expiry_noticed", use=str(self.files.use), problem=str(problem))

    def _remaining_ns(self, name: catalogue.TlsCertificate) -> int | None:
        for expiry in self._loaded.material.expiries:
            if expiry.certificate is name:
                return expiry.remaining(self._clock.now()) * _NANOS_PER_MILLI
        return None


def _signature_of(files: TlsFiles) -> _Signature:
    return tuple(_file_signature(path) for path in files.paths)


def _file_signature(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    # ctime: somebody who made it readable changed nothing else.
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev)
