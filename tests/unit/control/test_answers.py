"""Answers of the admin port."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.control import answers
from sidegate.control.answers import AdminError, json_answer, problem_answer, read_json
from sidegate.control.route import Route

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


def test_an_error_reads_as_one_sentence() -> None:
    """In a log it says what is wrong and what to do."""
    assert str(AdminError(HTTPStatus.CONFLICT, "it is taken", "wait")) == "it is taken; wait"


def test_a_problem_has_the_members_of_the_standard_and_a_hint() -> None:
    """RFC 9457; further members stand beside them."""
    answer = problem_answer(AdminError(HTTPStatus.CONFLICT, "it is taken", "wait", {"by": ["ana"]}))
    assert (answer.status, answer.content_type) == (409, "application/problem+json")
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "it is taken",
        "hint": "wait",
        "by": ["ana"],
    }


async def test_a_body_that_does_not_arrive_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 at the deadline, and the connection is of no further use to who holds it open."""
    monkeypatch.setattr(answers, "BODY_DEADLINE_S", 0.01)

    class Sink:
        async def post(self, request: web.Request) -> web.Response:
            return json_answer(await read_json(request))

        def routes(self) -> tuple[Route, ...]:
            return (Route("POST", "/post", "what was sent", self.post),)

    client = await serve(Sink())
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()
