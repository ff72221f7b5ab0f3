"""An HTTP endpoint that batches are posted to (spec 5.6): collectors, gateways, functions.

``POST``, ``application/x-ndjson``, the lines as spooled. ``Idempotency-Key`` is the same whenever the same batch comes
again. Any 2xx acknowledges; everything else, a redirect included, does not, and the batch comes again later.
"""

import ssl
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from sidegate import __version__
from sidegate.audit.ports import Batch
from sidegate.core.model.errors import ConfigError, Dependency, DependencyError, Problem

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, connect=5.0)
_DIGEST_CHARS: Final = 32
_RETRY_AFTER_MAX_S: Final = 30.0


def idempotency_key(batch: Batch) -> str:
    """Return what names *batch*, also when it comes again from another process."""
    digest = sha256(batch.data).hexdigest()[:_DIGEST_CHARS]
    return f"{batch.sidecar}-{batch.first_seq}-{batch.last_seq}-{digest}"


class HttpSink:
    """Posts batches.

    Args:
        url: ``https://``, or ``http://`` on the loopback. User and password in it go as Basic authentication.
        ca: Certificates of those who may sign the server's; None for the system's.
        token_file: Holds a bearer token; read again for each batch, so that it may be replaced.

    Raises:
        ConfigError: *ca* cannot be used.
    """

    def __init__(self, url: str, ca: Path | None = None, token_file: Path | None = None) -> None:
        self._url = url
        self._token_file = token_file
        try:
            self._tls = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except (OSError, ssl.SSLError) as error:
            what = f"`{ca}` cannot be used: {error}"
            raise ConfigError((Problem(None, "audit.sinks", what, "name a PEM file of certificates"),)) from error
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """``http``."""
        return "http"

    @property
    def settle_s(self) -> float:
        """A 2xx says that the endpoint has it for good."""
        return 0.0

    async def send(self, batch: Batch) -> None:
        """Post *batch*.

        Raises:
            DependencyError: Not acknowledged; with the endpoint's ``Retry-After`` if it asked for one.
        """
        doing = f"posting records of `{batch.sidecar}`"
        try:
            headers = {
                "Content-Type": "application/x-ndjson",
                "Idempotency-Key": idempotency_key(batch),
                "User-Agent": f"sidegate/{__version__}",
                **self._authorization(),
            }
            # A redirect could lead anywhere, and the records with it.
            async with self._open_session().post(
                self._url, data=batch.data, headers=headers, allow_redirects=False
            ) as answer:
                status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise DependencyError(Dependency.SINK, f"{doing}: {str(error) or type(error).__name__}") from error
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise DependencyError(
                Dependency.SINK, f"{doing}: it answered {status}; redirects are not followed, name where it leads"
            )
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise DependencyError(Dependency.SINK, f"{doing}: it answered {status}", _seconds(retry_after))

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"}

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=1),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _seconds(retry_after: str) -> float | None:
    """Read ``Retry-After`` in seconds (RFC 9110 section 10.2.3); a date is not worth its parsing here."""
    return min(float(retry_after), _RETRY_AFTER_MAX_S) if retry_after.isdecimal() else None
