"""What every request to the admin port passes."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.control.answers import MAX_BODY_BYTES, json_answer, read_json
from sidegate.control.guard import host_of, is_address
from sidegate.control.route import Route

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


class Echo:
    """Answers what it was sent, or breaks."""

    async def get(self, _request: web.Request) -> web.Response:
        return json_answer({"answer": 1})

    async def post(self, request: web.Request) -> web.Response:
        return json_answer(await read_json(request))

    async def broken(self, _request: web.Request) -> web.Response:
        raise ValueError("secret detail")

    async def teapot(self, _request: web.Request) -> web.Response:
        raise web.HTTPGone

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/get", "a number", self.get),
            Route("POST", "/post", "what was sent", self.post),
            Route("GET", "/broken", "a bug", self.broken),
            Route("GET", "/gone", "gone", self.teapot),
        )


@pytest.fixture
async def client(serve: Serve) -> Client:
    """An admin port with one name of its own."""
    return await serve(Echo(), hosts=("Sidegate.Internal",))


@pytest.mark.parametrize(
    ("header", "host"),
    [
        pytest.param("localhost", "localhost", id="name"),
        pytest.param("LocalHost:9090", "localhost", id="case-and-port"),
        pytest.param("127.0.0.1:9090", "127.0.0.1", id="v4"),
        pytest.param("[::1]:9090", "::1", id="v6"),
        pytest.param("[::1]", "::1", id="v6-without-port"),
        pytest.param("localhost:", "localhost", id="empty-port"),
        pytest.param("", None, id="empty"),
        pytest.param(":9090", None, id="port-only"),
        pytest.param("[::1", None, id="open-bracket"),
        pytest.param("[::1]x", None, id="behind-bracket"),
        pytest.param("localhost:9x", None, id="port-no-number"),
        pytest.param("localhost:٣", None, id="port-not-ascii"),
        pytest.param("::1", None, id="v6-without-brackets"),
        pytest.param("a:1:2", None, id="two-ports"),
    ],
)
def test_a_host_header_is_a_host_and_perhaps_a_port(header: str, host: str | None) -> None:
    """Anything else is not read as something."""
    assert host == host_of(header)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("10.0.0.256", False), ("evil.example", False), ("2130706433", False)],
)
def test_only_an_address_in_full_is_an_address(host: str, expected: bool) -> None:
    """A browser resolves anything else by name."""
    assert expected == is_address(host)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("127.0.0.1:9090", 200, id="loopback"),
        pytest.param("10.1.2.3:9090", 200, id="pod-address"),
        pytest.param("[::1]:9090", 200, id="v6"),
        pytest.param("localhost", 200, id="localhost"),
        pytest.param("sidegate.internal:9090", 200, id="configured"),
        pytest.param("evil.example", 421, id="rebound-name"),
        pytest.param("localhost.evil.example", 421, id="looks-like-localhost"),
        pytest.param("127.0.0.1.nip.io", 421, id="looks-like-an-address"),
        pytest.param("", 421, id="empty"),
    ],
)
async def test_a_name_that_others_may_point_here_is_refused(client: Client, host: str, status: int) -> None:
    """DNS rebinding: a page's own name that resolves to this host reaches no handler."""
    response = await client.get("/get", headers={"Host": host})
    assert status == response.status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="program"),
        pytest.param({"Sec-Fetch-Site": "none"}, 200, id="typed-into-the-address-bar"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 200, id="own-page"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="other-port"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="other-site"),
        pytest.param({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200, id="own-origin"),
        pytest.param({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403, id="other-origin"),
        pytest.param({"Host": "localhost:1", "Origin": "https://localhost:1"}, 403, id="other-scheme"),
        pytest.param({"Origin": "null"}, 403, id="opaque-origin"),
    ],
)
async def test_a_web_page_of_another_origin_is_refused(client: Client, headers: dict[str, str], status: int) -> None:
    """The port answers programs and people, not pages."""
    response = await client.get("/get", headers=headers)
    assert status == response.status


async def test_there_is_no_cors(client: Client) -> None:
    """A preflight gets no permission, and no answer carries an allow header."""
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = await client.options("/post", headers=headers)
    plain = await client.options("/post")
    assert (preflight.status, plain.status) == (403, 405)
    for response in (preflight, plain, await client.get("/get")):
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/get", "/nothing", "/broken", "/"])
async def test_every_answer_carries_the_protective_headers(client: Client, path: str) -> None:
    """Also those for errors: nothing is cached, sniffed, framed or said about the software."""
    response = await client.get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Server"] == "sidegate"


@pytest.mark.parametrize(
    ("method", "path", "status", "hint"),
    [
        pytest.param("GET", "/nothing", 404, "these there are", id="no-such-route"),
        pytest.param("DELETE", "/get", 405, "use GET, HEAD", id="other-method"),
        pytest.param("GET", "/post", 405, "use POST", id="get-of-a-post"),
        pytest.param("GET", "/gone", 410, "see `GET /`", id="other-error-of-the-server"),
    ],
)
async def test_errors_are_problems_that_say_what_to_do(
    client: Client, method: str, path: str, status: int, hint: str
) -> None:
    """RFC 9457, with a hint."""
    response = await client.request(method, path)
    body = json.loads(await response.read())
    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert hint in body["hint"]


async def test_an_unknown_route_lists_those_there_are(client: Client) -> None:
    """With their methods, in order."""
    body = await (await client.get("/v1/snapshots")).json(content_type=None)
    assert body["routes"] == ["GET /", "GET /broken", "GET /get", "GET /gone", "POST /post"]


async def test_a_wrong_method_names_the_right_ones(client: Client) -> None:
    """RFC 9110 section 15.5.6: Allow."""
    response = await client.put("/get")
    assert response.headers["Allow"] == "GET, HEAD"


async def test_a_bug_is_answered_without_its_details(client: Client) -> None:
    """500, a hint to the log, and nothing of the exception."""
    response = await client.get("/broken")
    assert response.status == 500
    assert "secret detail" not in await response.text()
    assert (await client.get("/get")).status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param({"Content-Type": "application/json"}, b'{"a": [1]}', 200, id="json"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, b"[]", 200, id="charset"),
        pytest.param({"Content-Type": "text/plain"}, b"{}", 415, id="what-a-page-may-send"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415, id="form"),
        pytest.param({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"{}", 415, id="compressed"),
        pytest.param({"Content-Type": "application/json"}, b'{"a": 1, "a": 2}', 400, id="repeated-member"),
        pytest.param({"Content-Type": "application/json"}, b"{", 400, id="no-json"),
        pytest.param({"Content-Type": "application/json"}, b"", 400, id="empty"),
        pytest.param({"Content-Type": "application/json"}, b"[" * 100_000, 400, id="deep"),
        pytest.param({"Content-Type": "application/json"}, b" " * (MAX_BODY_BYTES - 2) + b"[]", 200, id="at-limit"),
        pytest.param({"Content-Type": "application/json"}, b" " * MAX_BODY_BYTES + b"[]", 413, id="over-limit"),
    ],
)
async def test_a_body_is_plain_json_read_one_way(
    client: Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Anything else is refused, and the connection serves the next request."""
    response = await client.post("/post", headers=headers, data=body)
    await response.read()
    assert status == response.status
    assert (await client.get("/get")).status == 200
