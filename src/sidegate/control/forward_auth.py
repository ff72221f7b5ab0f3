"""Other proxies ask whether they may forward a request (spec 6.6).

nginx, Traefik and Caddy ask ``/forward_auth``, Envoy asks ``/ext_authz/*`` (``ext_authz`` over HTTP). 200 is a yes; its
``X-Sidegate-*`` headers are what an upstream behind Sidegate would have been told, for the proxy to pass on. Everything
else is a no, with the answer that a client of the data port would have got. The decision is recorded first.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web

from sidegate.control.answers import BODY_DEADLINE_S, MAX_BODY_BYTES, AdminError
from sidegate.control.route import Route

FORWARD_AUTH: Final = "/forward_auth"
EXT_AUTHZ: Final = "/ext_authz"

_METHODS: Final = ("X-Forwarded-Method", "X-Original-Method")
_TARGETS: Final = ("X-Forwarded-Uri", "X-Original-Uri", "X-Original-Url")
_HOST: Final = "X-Forwarded-Host"
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class Asked(Protocol):
    """What is answered."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Header fields."""

    @property
    def body(self) -> bytes:
        """A problem document; empty for a yes."""


Ask = Callable[
    [bytes, bytes, bytes, tuple[tuple[bytes, bytes], ...], bytes, str | None],
    Awaitable[Asked | None],
]
"""Decides: method, target, host, header fields, body, address of whoever asks. None if it could not."""


def _refuse(detail: str, hint: str) -> AdminError:
    return AdminError(HTTPStatus.BAD_REQUEST, detail, hint)


class ForwardAuth:
    """Answers for requests that are forwarded elsewhere.

    Args:
        ask: Has one decided and recorded.
    """

    __slots__ = ("_ask",)

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        asked = "whether a request may be forwarded, recorded"
        return (
            Route("*", FORWARD_AUTH, f"{asked} (nginx, Traefik, Caddy)", self.forward_auth, is_relayed=True),
            Route("*", EXT_AUTHZ + "/{target:.*}", f"{asked} (Envoy ext_authz)", self.ext_authz, is_relayed=True),
        )

    async def forward_auth(self, request: web.Request) -> web.Response:
        """Decide the request that the ``X-Forwarded-*`` or ``X-Original-*`` headers describe."""
        method = _described(request, _METHODS, "method")
        target = _origin_form(_described(request, _TARGETS, "target"))
        hosts = request.headers.getall(_HOST, []) or request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise _refuse("the request's host is not given once", f"let your proxy send one {_HOST}, or pass Host on")
        return await self._answer(request, method, target, hosts[0].encode("latin-1", "surrogateescape"))

    async def ext_authz(self, request: web.Request) -> web.Response:
        """Decide the request itself, whose target stands behind the prefix."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise _refuse("the request's host is not given once", "pass the Host of the request on")
        target = request.raw_path.removeprefix(EXT_AUTHZ)
        host = hosts[0].encode("latin-1", "surrogateescape")
        return await self._answer(request, request.method, target, host)

    async def _answer(self, request: web.Request, method: str, target: str, host: bytes) -> web.Response:
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await request.read()
        except TimeoutError:
            hint = "send it at once with its length"
            raise AdminError(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time", hint) from None
        except web.HTTPRequestEntityTooLarge:
            what = f"the body has more than {MAX_BODY_BYTES} bytes"
            hint = "send none for routes that do not read it"
            raise AdminError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what, hint) from None
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        verdict = await self._ask(
            method.encode("latin-1", "surrogateescape"),
            target.encode("utf-8", "surrogateescape"),
            host,
            tuple(request.raw_headers),
            body,
            peer[0] if isinstance(peer, tuple) else None,
        )
        if verdict is None:
            raise AdminError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the request could not be decided", "see the log of this process"
            )
        response = web.Response(body=verdict.body, status=verdict.status)
        response.headers.popall("Content-Type", None)
        for name, content in verdict.fields:
            response.headers.add(name, content)
        return response


def _described(request: web.Request, names: tuple[str, ...], what: str) -> str:
    """Return what one or several headers say alike.

    Raises:
        AdminError: 400: none is there, so that a method or target would have to be guessed; or they say different
            things, as they do when a client sends one that the proxy does not replace.
    """
    said = {content for name in names for content in request.headers.getall(name, [])}
    if names is _TARGETS:
        said = {_origin_form(content) for content in said}
    if len(said) != 1:
        problem = "is not described" if not said else "is described in two ways"
        raise _refuse(
            f"the request's {what} {problem}", f"let your proxy set one of {', '.join(names)}, and drop the others"
        )
    (found,) = said
    return found


def _origin_form(target: str) -> str:
    """Return the origin form of a target; ``X-Original-Url`` is an absolute one."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest.startswith("/") else f"/{rest}"
