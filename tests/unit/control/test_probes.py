"""`/livez`, `/readyz` and `/metrics`."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidegate.control.probes import Probes
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.telemetry.exposition import Exposition
from sidegate.telemetry.health import Health
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.shared import readings_of

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


class Wrongs:
    """What is wrong at the moment."""

    def __init__(self) -> None:
        self.worker: str | None = None
        self.policy: str | None = None
        self.redis: str | None = None


@pytest.fixture
def wrongs() -> Wrongs:
    """All is well."""
    return Wrongs()


@pytest.fixture
async def client(serve: Serve, wrongs: Wrongs, metrics: Metrics) -> Client:
    """Probes over two checks of readiness and one of life."""
    health = Health({"workers": lambda: wrongs.worker}, {"listener": lambda: None, "policy": lambda: wrongs.policy})
    return await serve(Probes(health, Exposition(readings_of(metrics))))


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_all_well_is_a_short_ok(client: Client, path: str) -> None:
    """200 and two letters."""
    response = await client.get(path)
    assert (response.status, response.content_type, await response.text()) == (200, "text/plain", "ok\n")


async def test_verbose_says_each_check(client: Client) -> None:
    """As Kubernetes' own components write it."""
    response = await client.get("/readyz?verbose")
    assert await response.text() == "[+]listener ok\n[+]policy ok\nreadyz check passed\n"


async def test_what_is_wrong_is_said_without_asking(client: Client, wrongs: Wrongs) -> None:
    """503 with the reason; recovers by itself."""
    wrongs.policy = "no policy was loaded yet; see /v1/snapshot"
    response = await client.get("/readyz")
    assert (response.status, await response.text()) == (
        503,
        "[+]listener ok\n[-]policy failed: no policy was loaded yet; see /v1/snapshot\nreadyz check failed\n",
    )
    assert (await client.get("/livez")).status == 200
    wrongs.policy = None
    assert (await client.get("/readyz")).status == 200


async def test_redis_is_told_and_does_not_decide(serve: Serve, wrongs: Wrongs, metrics: Metrics) -> None:
    """Without it every sidecar would turn unready at once (spec 6.6)."""
    health = Health({}, {"policy": lambda: wrongs.policy}, told={"redis": lambda: wrongs.redis})
    client = await serve(Probes(health, Exposition(readings_of(metrics))))
    assert await (await client.get("/readyz?verbose")).text() == "[+]policy ok\n[+]redis ok\nreadyz check passed\n"
    wrongs.redis = "redis at a is away: refused"
    assert await (await client.get("/readyz")).text() == "ok\n"
    response = await client.get("/readyz?verbose")
    assert (response.status, await response.text()) == (
        200,
        "[+]policy ok\n[-]redis failed (not required): redis at a is away: refused\nreadyz check passed\n",
    )
    response = await client.get("/readyz", headers={"Accept": "application/json"})
    assert (await response.json()) == {
        "status": "ok",
        "checks": [
            {"name": "policy", "ok": True, "detail": None},
            {"name": "redis", "ok": False, "detail": "redis at a is away: refused", "required": False},
        ],
    }


async def test_a_check_of_life_fails_livez_only(client: Client, wrongs: Wrongs) -> None:
    """What a restart mends and what it does not are told apart."""
    wrongs.worker = "no sign of life from worker process 7; restart it"
    assert [(await client.get("/livez")).status, (await client.get("/readyz")).status] == [503, 200]


async def test_programs_get_json(client: Client, wrongs: Wrongs) -> None:
    """Every check with what is wrong, whether verbose or not."""
    wrongs.policy = "none"
    response = await client.get("/readyz", headers={"Accept": "application/json"})
    assert (response.status, await response.json()) == (
        503,
        {
            "status": "failed",
            "checks": [
                {"name": "listener", "ok": True, "detail": None},
                {"name": "policy", "ok": False, "detail": "none"},
            ],
        },
    )


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        pytest.param("", "text/plain; version=0.0.4; charset=utf-8", parse_text, id="text"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            parse_openmetrics,
            id="openmetrics",
        ),
    ],
)
async def test_metrics_are_answered_in_the_preferred_form(
    client: Client, metrics: Metrics, accept: str, content_type: str, parse: Callable[[str], object]
) -> None:
    """Exact to the moment, with the numbers of the process behind them."""
    metrics.count_decision(Reason.GRANTED, Authority.READ)
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"] == content_type
    families = {family.name: family for family in parse(await response.text())}  # type: ignore[attr-defined]
    granted = [
        sample.value for sample in families["sidegate_decisions"].samples if sample.labels["reason"] == "granted"
    ]
    assert granted == [1.0]
    assert "process_resident_memory_bytes" in families
