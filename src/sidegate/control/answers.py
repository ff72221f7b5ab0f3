"""Answers of the admin port: JSON for people and programs, problems that say what to do next (RFC 9457)."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from sidegate.core.model.errors import SidegateError, WireError
from sidegate.core.routing.body import parse_body

MAX_BODY_BYTES: Final = 256 * 1024
"""Of a request. The largest honest one, a thousand questions at once, has about 200 KiB."""

BODY_DEADLINE_S: Final = 10.0
"""For a request body in total."""

_PROBLEM_TYPE: Final = "application/problem+json"


class AdminError(SidegateError):
    """A request to the admin port that cannot be answered as asked.

    Attributes:
        status: HTTP status.
        detail: What is wrong.
        hint: What to do next.
        more: Further members of the answer.
    """

    def __init__(self, status: HTTPStatus, detail: str, hint: str, more: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{detail}; {hint}")
        self.status = status
        self.detail = detail
        self.hint = hint
        self.more = dict(more or {})


def _dump(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_answer(document: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Answer *document*, indented: people read it too."""
    return web.Response(body=_dump(document), status=status, content_type="application/json")


def text_answer(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Answer plain text."""
    return web.Response(text=text, status=status)


def problem_answer(error: AdminError) -> web.Response:
    """Answer a problem."""
    document = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status.value,
        "detail": error.detail,
        "hint": error.hint,
        **error.more,
    }
    return web.Response(body=_dump(document), status=error.status, content_type=_PROBLEM_TYPE)


async def read_json(request: web.Request) -> object:
    """Read the body of *request* as JSON, one way (spec 2.4).

    Raises:
        AdminError: 400 no JSON or a repeated member, 408 too slow, 413 too large.
    """
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            body = await request.read()
    except TimeoutError:
        raise AdminError(
            HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time", "send it at once with its length"
        ) from None
    except web.HTTPRequestEntityTooLarge:
        raise AdminError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has more than {MAX_BODY_BYTES} bytes",
            "ask fewer questions at a time",
        ) from None
    try:
        return parse_body(body)
    except WireError as error:
        raise AdminError(HTTPStatus.BAD_REQUEST, error.detail, "see the specification of this route") from None
