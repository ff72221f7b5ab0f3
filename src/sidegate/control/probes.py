"""`/livez`, `/readyz` and `/metrics` (spec 6.6)."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from sidegate.control.answers import json_answer, text_answer
from sidegate.control.negotiation import JSON, TEXT, choose
from sidegate.control.route import Route
from sidegate.telemetry.exposition import (
    OPENMETRICS,
    Exposition,
    process_families,
)
from sidegate.telemetry.exposition import TEXT as METRICS_TEXT
from sidegate.telemetry.health import CheckResult, Health

_OPENMETRICS_TYPE = OPENMETRICS.partition(";")[0]


def _answer(request: web.Request, name: str, results: Sequence[CheckResult]) -> web.Response:
    """Answer like a Kubernetes component: `ok`, or line by line when asked to, or when something is wrong."""
    failed = any(result.wrong is not None and result.is_required for result in results)
    status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
    if choose(request.headers.get("Accept", ""), (TEXT, JSON)) == JSON:
        return json_answer(
            {
                "status": "failed" if failed else "ok",
                "checks": [
                    {"name": result.name, "ok": result.wrong is None, "detail": result.wrong}
                    | ({} if result.is_required else {"required": False})
                    for result in results
                ],
            },
            status,
        )
    if not failed and "verbose" not in request.query:
        return text_answer("ok\n", status)
    lines = [_line(result) for result in results]
    lines.append(f"{name} check {'failed' if failed else 'passed'}")
    return text_answer("\n".join(lines) + "\n", status)


def _line(result: CheckResult) -> str:
    if result.wrong is None:
        return f"[+]{result.name} ok"
    return f"[-]{result.name} failed{'' if result.is_required else ' (not required)'}: {result.wrong}"


class Probes:
    """What watches this process from outside.

    Args:
        health: The checks.
        exposition: The numbers.
    """

    __slots__ = ("_exposition", "_health")

    def __init__(self, health: Health, exposition: Exposition) -> None:
        self._health = health
        self._exposition = exposition

    async def livez(self, request: web.Request) -> web.Response:
        """Answering at all says that the loop turns; the checks say whether the rest lives."""
        return _answer(request, "livez", self._health.live())

    async def readyz(self, request: web.Request) -> web.Response:
        """200 when requests may be sent here, 503 with the reasons otherwise."""
        return _answer(request, "readyz", self._health.ready())

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text, or OpenMetrics for a client that prefers it."""
        accept = request.headers.get("Accept", "")
        preferred = choose(accept, (TEXT, _OPENMETRICS_TYPE))
        content_type = METRICS_TEXT if preferred == TEXT else OPENMETRICS
        # /proc of a process with ten thousand connections takes milliseconds to list: not on the loop.
        processes = await asyncio.to_thread(process_families, self._exposition.pids())
        body = self._exposition.encode(content_type, processes)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (
            Route("GET", "/livez", "whether this process lives; ?verbose for each check", self.livez),
            Route("GET", "/readyz", "whether requests may be sent here; ?verbose for each check", self.readyz),
            Route("GET", "/metrics", "numbers for Prometheus, as text or OpenMetrics", self.metrics),
        )
