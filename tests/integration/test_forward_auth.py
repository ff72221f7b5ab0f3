"""Other proxies ask the admin port, and get what the data port would have answered (spec 6.6)."""

from collections.abc import Iterator

import pytest
from tests.integration.client import Response, ask
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, Sidecar

FILE = f"{FILES}/a.json"
MAIN = FILE.replace("/branches/x/", "/branches/main/")
GLOB = FILES.removesuffix("/files") + ":glob"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Return a sidecar that all tests of this module ask; nothing of it is in front of an upstream."""
    from scripts.issuer import Issuer  # noqa: PLC0415 - as the fixtures of a folder do

    sidecar = Sidecar(tmp_path_factory.mktemp("forward"), "http://127.0.0.1:9", Issuer("https://issuer.example"))
    sidecar.start()
    yield sidecar
    assert sidecar.stop() == 0
    sidecar.close()


def say(sidecar: Sidecar, line: str, *fields: str, who: str | None = None, body: bytes = b"") -> Response:
    """Send a request to the admin port, as a proxy in front would."""
    lines = [f"{line} HTTP/1.1", *fields]
    if not any(field.lower().startswith("host:") for field in fields):
        lines.append("Host: files.example")
    if who is not None:
        lines.append(f"Cookie: theme=dark; __session={sidecar.session(who)}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n"
    return ask(sidecar.admin, head.encode() + body, line.split(" ", maxsplit=1)[0])


def described(method: str, target: str) -> tuple[str, ...]:
    """Return what Traefik and Caddy send."""
    return f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {target}", "X-Forwarded-Host: files.example"


def test_allowed(running: Sidecar) -> None:
    """200, with what an upstream would have been told, and one record of the request that was asked about."""
    answer = say(running, "GET /forward_auth", *described("PUT", f"{FILE}?v=1"), who="ana")
    assert (answer.status, answer.body) == (200, b"")
    told = {name: text for name, text in answer.fields if name.startswith("X-Sidegate-")}
    record = running.decision(told["X-Sidegate-Decision"])
    assert told == {
        "X-Sidegate-Account": "user:ana",
        "X-Sidegate-Organization": "acme",
        "X-Sidegate-Authority": "write",
        "X-Sidegate-Target": "p1@x:a.json",
        "X-Sidegate-Revision": str(record["revision"]),
        "X-Sidegate-Decision": record["id"],
    }
    assert (record["outcome"], record["method"], record["path"]) == ("allow", "PUT", FILE)
    assert record["source"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "target", "who", "verdict"),
    [
        pytest.param("PUT", MAIN, "ana", (403, "not_granted"), id="policy"),
        pytest.param("GET", FILE, None, (401, "no_credential"), id="no-credential"),
        pytest.param("GET", "/nothing", "ana", (403, "unmapped_route"), id="no-route"),
        pytest.param("GET", f"{FILES}/../a", "ana", (400, "ambiguous_path"), id="dots"),
        pytest.param("GET", f"{FILES}/a%2fb", "ana", (400, "ambiguous_path"), id="encoded-slash"),
        pytest.param("TRACE", FILE, "ana", (405, "method_not_allowed"), id="trace"),
        pytest.param("get", FILE, "ana", (400, "malformed_request"), id="lower-case"),
        pytest.param("GET", f"{FILE} HTTP/1.1 x", "ana", (400, "malformed_request"), id="blanks"),
        pytest.param("POST", GLOB, "ana", (400, "malformed_request"), id="body-that-is-not-there"),
    ],
)
def test_refused(running: Sidecar, method: str, target: str, who: str | None, verdict: tuple[int, str]) -> None:
    """As on the data port: status, problem document, challenge, and a record."""
    answer = say(running, "GET /forward_auth", *described(method, target), who=who)
    assert answer.verdict == verdict
    assert (answer.field("WWW-Authenticate") is not None) is (verdict[0] == 401)
    assert running.decision(answer.json()["decision_id"])["reason"] == verdict[1]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(("X-Original-Method: GET", f"X-Original-URI: {FILE}"), id="nginx"),
        pytest.param(("X-Original-Method: GET", f"X-Original-URL: https://files.example{FILE}"), id="ingress-nginx"),
        pytest.param((*described("GET", FILE), "X-Original-Method: GET", f"X-Original-URI: {FILE}"), id="all-alike"),
    ],
)
def test_ways_to_describe_it(running: Sidecar, fields: tuple[str, ...]) -> None:
    """What nginx is configured to send is understood too."""
    assert say(running, "GET /forward_auth", *fields, who="vera").status == 200


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((), id="nothing"),
        pytest.param((f"X-Forwarded-Uri: {FILE}",), id="no-method"),
        pytest.param(("X-Forwarded-Method: GET",), id="no-target"),
        pytest.param((*described("GET", FILE), "X-Original-Method: DELETE"), id="two-methods"),
        pytest.param((*described("GET", FILE), f"X-Original-URI: {MAIN}"), id="two-targets"),
        pytest.param((*described("GET", FILE), "X-Forwarded-Method: PUT"), id="one-name-twice"),
        pytest.param((*described("GET", FILE), "X-Forwarded-Host: evil.example"), id="two-hosts"),
    ],
)
def test_never_guessed(running: Sidecar, fields: tuple[str, ...]) -> None:
    """A method or target that is missing, or that a client may have put in beside the proxy's, is refused."""
    answer = say(running, "GET /forward_auth", *fields, who="ana")
    assert answer.status == 400
    assert "X-Sidegate-Account" not in dict(answer.fields)


def test_ext_authz(running: Sidecar) -> None:
    """Envoy sends the request itself behind a prefix, with its method, Host and body."""
    assert say(running, f"PUT /ext_authz{FILE}?v=1", who="ana").status == 200
    assert say(running, f"PUT /ext_authz{MAIN}", who="ana").verdict == (403, "not_granted")
    assert say(running, f"HEAD /ext_authz{FILE}", who="vera").status == 200
    assert say(running, f"GET /ext_authz{FILES}/%2e%2e/a", who="ana").verdict == (400, "ambiguous_path")
    assert say(running, "GET /ext_authz/healthz").status == 200
    body = b'{"pattern": "designs/*"}'
    fields = ("Content-Type: application/json", "Origin: https://files.example", "Sec-Fetch-Site: cross-site")
    answer = say(running, f"POST /ext_authz{GLOB}", *fields, who="ana", body=body)
    assert dict(answer.fields)["X-Sidegate-Target"] == "p1@x:designs"
    twice = say(running, f"POST /ext_authz{GLOB}", who="ana", body=b'{"pattern": "a", "pattern": "b"}')
    assert twice.verdict == (400, "malformed_request")


def test_nothing_of_the_client_gets_through(running: Sidecar) -> None:
    """Identity headers that a client sent are not among those of the answer, in whatever spelling."""
    forged = ("X-Sidegate-Account: user:root", "x_sidegate_account: user:root", "X-Sidegate-Extra: 1")
    answer = say(running, f"GET /ext_authz{FILE}", *forged, who="vera")
    accounts = [text for name, text in answer.fields if "account" in name.lower()]
    assert (accounts, dict(answer.fields).get("X-Sidegate-Extra")) == (["user:vera"], None)


def test_other_routes_keep_their_guard(running: Sidecar) -> None:
    """Only requests that are passed on come under another name."""
    assert say(running, "GET /v1/config").status == 421
    assert say(running, "GET /forward_auth_").status == 421


def test_with_several_workers(make_sidecar: MakeSidecar) -> None:
    """The process of the admin port proves credentials itself, and a key is used up once wherever it is used."""
    sidecar = make_sidecar(settings={"workers": 2})
    key, record = sidecar.mint_key(
        *("--account", "service:ci", "--org", "acme", "--authorities", "read", "--scopes", "p1", "--single-use")
    )
    policy = sidecar.policy / "acme.yaml"
    policy.write_text(f"{policy.read_text()}keys:\n  - {record}\n".replace("'", '"').replace("True", "true"))
    sidecar.start(workers=2)
    fields = f"X-API-Key: {key}"
    assert say(sidecar, f"GET /ext_authz{FILE}", fields).status == 200
    assert say(sidecar, f"GET /ext_authz{FILE}", fields).verdict == (401, "key_consumed")
    assert sidecar.ask("GET", FILE, who=key).verdict == (401, "key_consumed")
    assert sidecar.stop() == 0
