"""Starts a sidecar and stays until it is asked to stop (spec 6.4, ``run``)."""

import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

import uvloop

from sidegate.app.blueprint import Blueprint, draw
from sidegate.app.descriptors import raise_limit
from sidegate.app.listening import bind
from sidegate.app.policy import Policy, open_policy
from sidegate.app.policy_reading import PolicyReading
from sidegate.app.process import Process
from sidegate.app.standing import Standing
from sidegate.app.supervisor import Role, Supervisor
from sidegate.app.worker import serve_admin, serve_alone, serve_data
from sidegate.config.endpoints import TcpEndpoint
from sidegate.config.plan import Documents, Plan
from sidegate.core.model.errors import ConfigError, PolicyError
from sidegate.telemetry.log import LogFormat, LogLevel, configure_log, get_log
from sidegate.telemetry.shared import Board

_log: Final = get_log("app")

EXIT_CONFIG: Final = 78


def run(plan: Plan) -> int:
    """Serve *plan* until SIGTERM or SIGINT. Nothing listens before all that is configured is good.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError: Keys or addresses cannot be used.
        PolicyError: No policy can be used.
    """
    settings = plan.settings
    configure_log(form=LogFormat(settings.log.format), level=LogLevel(settings.log.level))
    # The first process of a container ignores signals that nobody handles; one that comes before the loop runs ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise_limit()
    blueprint = draw(plan)
    shared = settings.workers > 1
    # Several processes read for themselves, each beginning with what all of them were given.
    policy = open_policy(settings, PolicyReading(dict(plan.documents) if shared else plan.documents))
    with bind(settings.listen.address, "listen", shared=shared) as data, bind(settings.admin.address, "admin") as admin:
        if shared:
            return _supervise(blueprint, plan.documents, data, admin)
        uvloop.run(_alone(blueprint, policy, data, admin))
        return 0


async def _alone(blueprint: Blueprint, policy: Policy, data: socket.socket, admin: socket.socket) -> None:
    await serve_alone(Process(blueprint, "w0", policy), data, admin)


def _supervise(blueprint: Blueprint, documents: Documents, data: socket.socket, admin: socket.socket) -> int:
    workers = blueprint.settings.workers
    standing = Standing(workers)

    async def serve_part(number: int, board: Board) -> None:
        # Each worker binds for itself, so that the kernel has a queue for each; *data* keeps the place meanwhile.
        own = data if data.family == socket.AF_UNIX else bind(_address(data), "listen", shared=True)
        with own:
            await serve_data(_process(blueprint, documents, f"w{number}"), own, number, board, standing)

    async def serve_rest(board: Board) -> None:
        await serve_admin(_process(blueprint, documents, "admin"), admin, board, standing)

    def fallen(number: int, board: Board, pid: int) -> None:
        standing.fall(number)
        board.fall(number)
        board.retire(pid)

    with Board(workers) as board:
        roles = [
            Role(f"w{number}", partial(_run, partial(serve_part, number, board)), partial(fallen, number, board))
            for number in range(workers)
        ]
        roles.append(Role("admin", partial(_run, partial(serve_rest, board)), lambda _: None))
        return Supervisor(roles).run()


def _process(blueprint: Blueprint, documents: Documents, part: str) -> Process:
    # Read anew: a process that takes the place of one that died must not begin with the policy of the first start.
    policy = open_policy(blueprint.settings, PolicyReading(documents), part)
    return Process(blueprint, part, policy)


def _run(serve: Callable[[], Coroutine[None, None, None]]) -> int:
    try:
        uvloop.run(serve())
    except (ConfigError, PolicyError) as error:
        for problem in error.problems:
            _log.error("start_failed", problem=str(problem))
        return EXIT_CONFIG
    return 0


def _address(data: socket.socket) -> TcpEndpoint:
    host, port = data.getsockname()[:2]
    return TcpEndpoint(host, port)
