"""The upstream: whether it is there and speaks as the data path reads it (spec 2.5)."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.config.endpoints import UnixEndpoint, is_loopback
from sidegate.config.held import Upstream
from sidegate.core.model.errors import WireError
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.wire.response import read_response_head
from sidegate.telemetry import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RESOLVES: Final = Check(
    "upstream-resolves", Section.UPSTREAM, "The name of the upstream has an address.",
    "Correct `upstream.url`, or the name service; a sidecar's upstream is usually 127.0.0.1.",
)  # fmt: skip
CONNECTS: Final = Check(
    "upstream-connects", Section.UPSTREAM, "The upstream accepts connections within `connect_timeout_ms`.",
    "Start it, or correct `upstream.url`; with https, see the certificate in the detail.",
)  # fmt: skip
ANSWERS: Final = Check(
    "upstream-answers", Section.UPSTREAM, "The upstream answers HTTP/1.1 that can be read in one way only.",
    "Whatever listens there is no HTTP/1.1 server, or answers ambiguously: every request would end in 502.",
)  # fmt: skip
KEEPS_OPEN: Final = Check(
    "upstream-keeps-open", Section.UPSTREAM, "The upstream keeps connections open.",
    "Let it keep connections alive: a connection per request costs both sides several times as much.",
)  # fmt: skip
PRIVATE: Final = Check(
    "upstream-private", Section.UPSTREAM, "Clients cannot go around the sidecar.",
    "Let the upstream listen on the loopback or a Unix socket; else close it with a NetworkPolicy, or mutual TLS.",
)  # fmt: skip

_MAX_HEAD_BYTES: Final = 65_536
_DATE: Final = re.compile(rb"\r\ndate:[ \t]*([^\r\n]{1,64})", re.IGNORECASE)
_CLOSES: Final = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)
_MILLIS: Final = 1000
_AFTER_CONNECT: Final = (ANSWERS, KEEPS_OPEN)


@value
class UpstreamExamination:
    """What was found, and the upstream's clock if it told.

    Attributes:
        findings: One per check.
        date: Of its answer, to the second.
    """

    findings: tuple[Finding, ...]
    date: UnixMillis | None


async def examine_upstream(site: Site) -> UpstreamExamination:
    """Connect to it and ask for the head of ``/``."""
    settings = site.settings.upstream
    findings = [_examine_place(settings)]
    endpoint = settings.url.endpoint
    if not isinstance(endpoint, UnixEndpoint):
        resolved = await _resolve(endpoint.host, site.timeout_s)
        findings.insert(0, resolved)
        if resolved.state is not resolved.state.OK:
            left = (CONNECTS, *_AFTER_CONNECT)
            return UpstreamExamination((*findings, *(check.skip("it has no address") for check in left)), None)
    began = clock.monotonic_ns()
    try:
        async with asyncio.timeout(site.timeout_s), _connected(settings) as (reader, writer):
            took_ms = (clock.monotonic_ns() - began) / 1_000_000
            findings.append(CONNECTS.ok(f"{settings.url} in {took_ms:.1f} ms"))
            writer.write(b"HEAD / HTTP/1.1\r\nHost: %b\r\n\r\n" % _host(settings).encode())
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, ssl.SSLError) as error:
        is_connected = findings[-1].check is CONNECTS
        why = str(error) or "no answer in time"
        findings.append((ANSWERS if is_connected else CONNECTS).fail(f"{settings.url}: {why}"))
        findings += [check.skip("there was no answer") for check in _AFTER_CONNECT[is_connected:]]
        return UpstreamExamination(tuple(findings), None)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        findings += [ANSWERS.fail(f"{settings.url}: {error}"), KEEPS_OPEN.skip("there was no answer")]
        return UpstreamExamination(tuple(findings), None)
    findings += _examine_head(head)
    return UpstreamExamination(tuple(findings), _date_of(head))


def _examine_place(settings: Upstream) -> Finding:
    endpoint = settings.url.endpoint
    if isinstance(endpoint, UnixEndpoint) or is_loopback(endpoint.host):
        return PRIVATE.ok(f"{settings.url} is on this machine")
    if settings.tls is not None and settings.tls.cert is not None:
        return PRIVATE.ok(f"{settings.url} can tell us by our certificate")
    return PRIVATE.warn(f"{settings.url} is on the network: whoever reaches it goes around every check")


async def _resolve(host: str, timeout_s: float) -> Finding:
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        return RESOLVES.fail(f"{host}: {str(error) or 'no answer in time'}")
    addresses = sorted({str(entry[4][0]) for entry in found})
    return RESOLVES.ok(f"{host} is {', '.join(addresses)}" if addresses != [host] else host)


@asynccontextmanager
async def _connected(settings: Upstream) -> "AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]":
    endpoint = settings.url.endpoint
    if isinstance(endpoint, UnixEndpoint):
        reader, writer = await asyncio.open_unix_connection(str(endpoint.path), limit=_MAX_HEAD_BYTES)
    else:
        context = _context(settings) if settings.url.scheme == "https" else None
        name = settings.tls.server_name if settings.tls is not None else None
        reader, writer = await asyncio.open_connection(
            endpoint.host,
            endpoint.port,
            limit=_MAX_HEAD_BYTES,
            ssl=context,
            server_hostname=None if context is None else str(name or endpoint.host),
        )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _context(settings: Upstream) -> ssl.SSLContext:
    tls = settings.tls
    context = ssl.create_default_context(cafile=None if tls is None or tls.ca is None else str(tls.ca))
    if tls is not None and tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _host(settings: Upstream) -> str:
    endpoint = settings.url.endpoint
    return "localhost" if isinstance(endpoint, UnixEndpoint) else str(endpoint)


def _examine_head(head: bytes) -> Iterator[Finding]:
    try:
        read_response_head(head[:-2])  # without the empty line
    except WireError as error:
        yield ANSWERS.fail(error.detail)
        yield KEEPS_OPEN.skip("the answer cannot be read")
        return
    yield ANSWERS.ok(head.partition(b"\r\n")[0].decode("ascii", "replace"))
    closes = head.startswith(b"HTTP/1.0") or _CLOSES.search(head) is not None
    yield KEEPS_OPEN.warn("it closes after each answer") if closes else KEEPS_OPEN.ok("after an answer too")


def _date_of(head: bytes) -> UnixMillis | None:
    found = _DATE.search(head)
    if found is None:
        return None
    try:
        return UnixMillis(round(parsedate_to_datetime(found[1].decode("ascii")).timestamp() * _MILLIS))
    except ValueError:
        return None
