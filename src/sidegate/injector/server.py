"""The webhook: HTTPS for the API server, and a port of its own for health and numbers."""

import asyncio
import signal
import socket
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Final

import uvloop
from aiohttp import web

from sidegate.app.certificates import TlsFiles
from sidegate.app.listening import BACKLOG, bind
from sidegate.app.tls import RenewedContext, make_server_context
from sidegate.config.choices import TlsVersion
from sidegate.config.endpoints import TcpEndpoint
from sidegate.control.admin import SERVER_OPTIONS, AdminServer, admin_application
from sidegate.control.probes import Probes
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import value
from sidegate.injector.definition import Definition
from sidegate.injector.numbers import Numbers
from sidegate.injector.review import ReviewError, ReviewOutcome, answer
from sidegate.telemetry.catalogue import TlsUse
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.health import Health
from sidegate.telemetry.log import configure_log, get_log, log_unhandled
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("injector")

PATH: Final = "/inject"
MAX_BODY_BYTES: Final = 4 << 20
"""Of a review. The API server takes 3 MiB of an object."""
BODY_DEADLINE_S: Final = 10.0
MAX_WAITING: Final = 64
"""Reviews at a time: as many bodies are held at most."""
_SHUTDOWN_S: Final = 10.0
_ABOUT_BYTES: Final = 300


@value
class Options:
    """What the injector is started with.

    Attributes:
        listen: For the API server.
        health: For the kubelet and Prometheus; no TLS.
        cert: Certificate chain, PEM.
        key: Its key, PEM.
        client_ca: Who signs the API server's certificate, PEM; None for asking for none.
        definition: What is put in.
        linger_s: How long it goes on answering after it was asked to stop, until nobody is sent here any more.
    """

    listen: TcpEndpoint
    health: TcpEndpoint
    cert: Path
    key: Path
    client_ca: Path | None
    definition: Definition
    linger_s: float


class Webhook:
    """Answers reviews.

    Args:
        definition: What is put in.
        numbers: Where they are counted.
    """

    def __init__(self, definition: Definition, numbers: Numbers) -> None:
        self._definition = definition
        self._numbers = numbers
        self._waiting = 0

    def application(self) -> web.Application:
        """Return what to serve."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_post(PATH, self.review)
        return application

    async def review(self, request: web.Request) -> web.Response:
        """Answer one. Whatever is no review gets 400; the API server then goes by its failure policy."""
        if self._waiting >= MAX_WAITING:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many reviews at a time; ask again")
        self._waiting += 1
        try:
            return await self._review(request)
        finally:
            self._waiting -= 1

    async def _review(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json" or "Content-Encoding" in request.headers:
            return self._invalid(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json, not encoded")
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await request.read()
        except TimeoutError:
            return self._invalid(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
        except web.HTTPRequestEntityTooLarge:
            hint = f"the body has more than {MAX_BODY_BYTES} bytes"
            return self._invalid(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, hint)
        began = perf_counter()
        try:
            review = answer(body, self._definition)
        except ReviewError as error:
            return self._invalid(HTTPStatus.BAD_REQUEST, str(error))
        self._numbers.count(review.outcome, perf_counter() - began)
        log = _log.warning if review.outcome is ReviewOutcome.DENIED else _log.info
        log(f"pod_{review.outcome}", about=review.about[:_ABOUT_BYTES], why=review.why or None)
        return web.Response(body=review.body, content_type="application/json")

    def _invalid(self, status: HTTPStatus, what: str) -> web.Response:
        self._numbers.count(ReviewOutcome.INVALID, 0.0)
        _log.warning("review_rejected", status=status.value, why=what)
        return _refusal(status, what)


def _refusal(status: HTTPStatus, what: str) -> web.Response:
    return web.json_response({"error": what}, status=status)


class Entrance:
    """The webhook's port. A renewed certificate is in force for every connection that is accepted from then on.

    Args:
        runner: Serves.
        listening: A bound socket.
        renewed: What TLS is spoken with.
        tasks: Where it follows its files.
    """

    def __init__(
        self, runner: web.AppRunner, listening: socket.socket, renewed: RenewedContext, tasks: TaskSet
    ) -> None:
        self._runner = runner
        self._listening = listening
        self._renewed = renewed
        self._tasks = tasks
        self._site: web.SockSite | None = None

    async def open(self) -> None:
        """Accept, and follow the files of TLS."""
        await self._runner.setup()
        await self._reopen()
        self._renewed.on_renewal = lambda: self._tasks.spawn(self._reopen(), "reopen_webhook")
        self._renewed.start(self._tasks)

    async def _reopen(self) -> None:
        """Accept with the context in force: a site keeps the one that it was made with."""
        # The copy shares its queue with what it is copied from: nobody who is connecting is lost between two sites.
        site = web.SockSite(self._runner, self._listening.dup(), ssl_context=self._renewed.context, backlog=BACKLOG)
        await site.start()
        before, self._site = self._site, site
        if before is not None:
            await before.stop()

    async def close(self) -> None:
        """Accept no more, and let what is in flight finish."""
        if self._site is not None:
            await self._site.stop()
        await self._runner.cleanup()


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError: Certificate, key or addresses cannot be used.
    """
    configure_log()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bind(options.listen, "--listen") as listening, bind(options.health, "--health") as health:
        uvloop.run(_serve(options, listening, health))
    return 0


async def _serve(options: Options, listening: socket.socket, health_socket: socket.socket) -> None:
    stopping, hurried = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_stop, stopping, hurried)
    metrics = Metrics()
    numbers = Numbers(metrics)
    tasks = TaskSet()
    runner = web.AppRunner(
        Webhook(options.definition, numbers).application(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_S,
        **SERVER_OPTIONS,
    )
    entrance = Entrance(runner, listening, _renewed(options, metrics), tasks)
    health = Health(live={}, ready={"webhook": lambda: "it is asked to stop" if stopping.is_set() else None})
    admin = AdminServer(admin_application((Probes(health, numbers),)))
    try:
        await entrance.open()
        health_socket.listen(BACKLOG)
        await admin.start(health_socket)
        _log.info("injector_opened", address=str(options.listen))
        await stopping.wait()
        # Endpoints are told of our end while we are: the API server is still sent here for a moment.
        await _wait_at_most(hurried, options.linger_s)
    finally:
        await entrance.close()
        await admin.close()
        await tasks.close()


def _ask_to_stop(stopping: asyncio.Event, hurried: asyncio.Event) -> None:
    if stopping.is_set():
        hurried.set()
    else:
        _log.info("stop_requested")
        stopping.set()


async def _wait_at_most(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _renewed(options: Options, metrics: Metrics) -> RenewedContext:
    files = TlsFiles(TlsUse.LISTEN, options.cert, options.key, options.client_ca, TlsVersion.TLS_1_2)
    make = partial(make_server_context, offered=("http/1.1",))
    try:
        return RenewedContext(files, make, SystemClock(), metrics)
    except ConfigError as error:
        raise ConfigError(tuple(_as_flags(error.problems))) from error


def _as_flags(problems: Sequence[Problem]) -> list[Problem]:
    """Name problems by our flags, in place of the settings of a sidecar."""
    return [
        Problem(one.position, one.key.replace("listen.tls.", "--").replace("_", "-"), one.what, one.hint)
        for one in problems
    ]
