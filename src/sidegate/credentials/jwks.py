"""The issuer's key set, from a file or by URL, kept current in the background (spec 3.1)."""

import asyncio
import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from yarl import URL

from sidegate.core.identity.jwk import NO_KEYS, Algorithm, KeySet, SkippedKey, VerificationKey, parse_jwks
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

MAX_DOCUMENT_BYTES: Final = 256 * 1024
"""A set of 100 RSA keys of 8192 bits is 150 KiB."""
UNKNOWN_KID_SPACING: Final = Millis(10_000)
"""At most one refresh per 10 s for unknown key ids (spec 3.1)."""
FILE_LOOK_EVERY: Final = Millis(1000)
"""Opening a file to see whether it changed costs some 20 microseconds."""
FETCH_TIMEOUT_S: Final = 5.0

_NANOS_PER_MILLI: Final = 1_000_000
_JSON_TYPES: Final = frozenset({"application/json", "application/jwk-set+json"})
_OK: Final = 200
_EXTEND_SHARE: Final = 4
_DRIFT: Final = Millis(1000)
"""By how much the two clocks may part between two refreshes before the wall clock counts as set back."""

_log: Final = get_log("jwks")


@value
class RefreshRules:
    """When the set is fetched again.

    Attributes:
        interval: Between two refreshes; a key that left the set verifies no longer than this.
        retry: After a refresh that failed.
        keep: How long the last good set counts when refreshes fail, less a quarter at worst; then no key verifies.
    """

    interval: Millis = Millis(300_000)
    retry: Millis = Millis(10_000)
    keep: Millis = Millis(3_600_000)


class Fetcher(Protocol):
    """Where the document comes from.

    Attributes:
        cheap_every: It may be asked this often whatever the configured interval; None when asking has its price.
    """

    @property
    def cheap_every(self) -> Millis | None: ...

    async def fetch(self) -> bytes | None:
        """Return the document; None when it is known not to have changed.

        Raises:
            DependencyError: It cannot be had.
        """


class FileFetcher:
    """Reads the set from a file, again whenever that changes.

    Args:
        path: Of the file.
    """

    __slots__ = ("_path", "_seen", "cheap_every")

    def __init__(self, path: Path) -> None:
        self.cheap_every: Millis | None = FILE_LOOK_EVERY
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None

    async def fetch(self) -> bytes | None:
        """Return the document; None when the file is the one that was read before."""
        return self._read()

    def _read(self) -> bytes | None:
        # A small local file: reading it takes less than handing it to a thread.
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                seen = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
                if seen == self._seen:
                    return None
                document = file.read(MAX_DOCUMENT_BYTES + 1)
        except OSError as error:
            raise DependencyError(Dependency.JWKS, f"reading {self._path}: {error}") from error
        _require_size(len(document), str(self._path))
        self._seen = seen
        return document


class UrlFetcher:
    """Fetches the set over HTTP.

    Args:
        url: ``https``; ``http`` only to this machine itself: whoever can change the answer can sign as anybody.
        session: Made by :func:`open_session`; closed by whoever made it.

    Raises:
        ValueError: The URL is of another kind.
    """

    __slots__ = ("_session", "_url", "cheap_every")

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.cheap_every: Millis | None = None
        self._url = require_jwks_url(url)
        self._session = session

    async def fetch(self) -> bytes | None:
        """Return the document."""
        try:
            # A redirect would let whoever answers choose another place, perhaps one without TLS.
            async with self._session.get(self._url, allow_redirects=False) as response:
                if response.status != _OK:
                    raise DependencyError(Dependency.JWKS, f"fetching {self._url}: it answered {response.status}")
                if response.content_type not in _JSON_TYPES and not response.content_type.endswith("+json"):
                    raise DependencyError(
                        Dependency.JWKS, f"fetching {self._url}: it answered {response.content_type}, not JSON"
                    )
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise DependencyError(Dependency.JWKS, f"fetching {self._url}: it answered compressed, unasked")
                document = bytearray()
                async for chunk in response.content.iter_any():
                    document += chunk
                    _require_size(len(document), str(self._url))
                return bytes(document)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DependencyError(
                Dependency.JWKS, f"fetching {self._url}: {str(error) or 'it took too long'}"
            ) from error


def require_jwks_url(url: str) -> URL:
    """Return *url* if a key set may be fetched from it.

    Raises:
        ValueError: Not an absolute ``https`` URL, nor ``http`` to this machine.
    """
    parsed = URL(url)
    if parsed.host and not parsed.user and (parsed.scheme == "https" or (parsed.scheme == "http" and _is_here(parsed))):
        return parsed
    shown = parsed.with_user(None) if parsed.user else parsed
    raise ValueError(f"key set URL `{shown}` is not safe; use https://, or http:// on this machine")


def open_session() -> aiohttp.ClientSession:
    """Return a client session for :class:`UrlFetcher`: no cookies, no proxies, no decompression, bounded in time."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
        # The system's authorities, read now: aiohttp's own context may trust nobody (telemetry/lean_http.py).
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


class JwksSource:
    """Keeps a key set current.

    Attributes:
        current: What verifies at present; another object whenever it was read anew. Empty before the first
            :meth:`refresh`.

    Args:
        fetcher: Where the document comes from.
        algorithms: Those that may be used.
        clock: For the time that the last good set counts.
        rules: When to fetch.
        shared: The HS256 secret, where one is configured.
    """

    __slots__ = (
        "_algorithms",
        "_asked",
        "_broken",
        "_clock",
        "_document",
        "_fetcher",
        "_good_ns",
        "_healthy",
        "_last_ns",
        "_rules",
        "_wake",
        "current",
    )

    def __init__(
        self,
        fetcher: Fetcher,
        algorithms: frozenset[Algorithm],
        clock: Clock,
        rules: RefreshRules | None = None,
        shared: VerificationKey | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._algorithms = algorithms
        self._clock = clock
        self._rules = RefreshRules() if rules is None else rules
        self._asked = False
        self._wake = asyncio.Event()
        self._healthy: bool | None = None
        self._last_ns: int | None = None
        self._good_ns = clock.monotonic_ns()
        self._document: bytes | None = None
        self._broken: DependencyError | None = None
        self.current = KeySet({}, shared, UnixMillis(0))

    def request_refresh(self) -> None:
        """Say that a token names a key that is not known; heeded once 10 s have passed since the last fetch."""
        if not self._asked:
            self._asked = True
            self._wake.set()

    @property
    def age_ns(self) -> int:
        """Nanoseconds since the set was last known to be current; since this was made if it never was."""
        return self._clock.monotonic_ns() - self._good_ns

    async def run(self) -> None:
        """Fetch again and again until cancelled. To be started once as a task, after :meth:`refresh`."""
        while True:
            await self._wait(self.pause())
            await self.refresh()

    def pause(self) -> Millis:
        """Return how long to wait before the next fetch."""
        usual = self._rules.interval if self._healthy else self._rules.retry
        if self._fetcher.cheap_every is not None:
            usual = min(usual, self._fetcher.cheap_every)
        wanted = min(usual, UNKNOWN_KID_SPACING) if self._asked else usual
        if self._last_ns is None:
            return Millis(0)
        passed = (self._clock.monotonic_ns() - self._last_ns) // _NANOS_PER_MILLI
        return Millis(max(0, wanted - passed))

    async def refresh(self) -> bool:
        """Fetch once. The last good set stays when that fails, for a bounded time.

        Returns:
            Whether it worked; why not is in the log.
        """
        self._asked = False
        self._wake.clear()
        self._last_ns = self._clock.monotonic_ns()
        self._shorten()
        try:
            self._take(await self._fetcher.fetch())
        except DependencyError as error:
            self._tell_failure(str(error))
            return False
        except Exception as error:  # noqa: BLE001  (the rim: keys that are never fetched again could not be withdrawn)
            self._tell_failure(f"{type(error).__name__}: {error}; this is a bug of sidegate")
            return False
        if not self._healthy:
            _log.info("key_set_loaded", keys=len(self.current.by_kid))
        self._healthy = True
        self._good_ns = self._clock.monotonic_ns()
        return True

    def _tell_failure(self, why: str) -> None:
        if self._healthy is not False:
            _log.warning("key_set_refresh_failed", why=why, kept_keys=len(self.current.by_kid))
        self._healthy = False

    def _take(self, document: bytes | None) -> None:
        """Put the set in *document* in place; None, or the same bytes again, only make the present one last."""
        keep_until = UnixMillis(self._clock.now() + self._rules.keep)
        if document is not None and document != self._document:
            self._document = document
            self._broken = None
            try:
                found, skipped = parse_jwks(document, self._algorithms)
            except DependencyError as error:
                self._broken = error
                raise
            self.current = KeySet(found.by_kid, self.current.shared, keep_until)
            self._report(skipped)
        elif self._broken is not None:
            raise self._broken  # the same document is no better the second time
        elif keep_until - (self.current.usable_until or 0) >= self._rules.keep // _EXTEND_SHARE:
            # Not each time: every verified token is looked at again when the set is another object.
            self.current = KeySet(self.current.by_kid, self.current.shared, keep_until)

    def _shorten(self) -> None:
        """Have the set last no longer than it may where the wall clock, by which it ends, was set back."""
        until = UnixMillis(self._clock.now() + self._rules.keep - self.age_ns // _NANOS_PER_MILLI)
        ends = self.current.usable_until
        if ends is not None and ends > until + _DRIFT:
            self.current = KeySet(self.current.by_kid, self.current.shared, until)

    def _report(self, skipped: tuple[SkippedKey, ...]) -> None:
        for key in skipped:
            _log.warning("key_skipped", place=key.place, kid=key.kid, why=key.why)

    async def _wait(self, pause: Millis) -> None:
        """Wait for *pause*, or less when an unknown key is asked for meanwhile."""
        if self._asked:
            await asyncio.sleep(pause / 1000)
            return
        try:
            async with asyncio.timeout(pause / 1000):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self.pause() / 1000)


class SecretSource:
    """Stands for a key set where only a shared secret is configured.

    Args:
        shared: The HS256 secret.
    """

    __slots__ = ("current",)

    def __init__(self, shared: VerificationKey) -> None:
        self.current = KeySet(NO_KEYS.by_kid, shared)

    def request_refresh(self) -> None:
        """There is nothing to fetch."""


def _require_size(size: int, place: str) -> None:
    if size > MAX_DOCUMENT_BYTES:
        raise DependencyError(Dependency.JWKS, f"reading {place}: it is larger than {MAX_DOCUMENT_BYTES} bytes")


def _is_here(url: URL) -> bool:
    host = url.host or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
