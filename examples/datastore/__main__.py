"""Runs the service: ``python -m examples.datastore`` or ``python examples/datastore``."""

import argparse
import asyncio
import logging
import signal
import stat
import sys
from pathlib import Path

if not __package__:
    # Started by its folder: Python put that folder in front of the path, not the one that holds `examples`.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import uvloop
from aiohttp import web

from examples.datastore.app import build_app
from examples.datastore.seed import seed

UNIX = "unix:"
# A client that does not close its streams may not keep the service from stopping.
SHUTDOWN_S = 5.0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="datastore", description="A small versioned file service without permissions."
    )
    parser.add_argument("--listen", default="127.0.0.1:9000", help="HOST:PORT or unix:PATH (default: %(default)s)")
    parser.add_argument("--root", type=Path, default=Path("var/datastore"), help="where files are kept (%(default)s)")
    parser.add_argument("--seed", action="store_true", help="write the sample organizations that are not there yet")
    parser.add_argument("--access-log", action="store_true", help="write one line per request to standard error")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    app = build_app(options.root, sys.stderr if options.access_log else None)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await _site(runner, options.listen).start()
        print(f"datastore listening on {_address(runner)}", file=sys.stderr, flush=True)  # noqa: T201 - the interface
        await stopped.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Run the service."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = parse_arguments()
    if options.seed:
        seed(options.root)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options))


def _site(runner: web.AppRunner, listen: str) -> web.BaseSite:
    if listen.startswith(UNIX):
        return web.UnixSite(runner, str(_free_socket(Path(listen.removeprefix(UNIX)))))
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SystemExit(f"--listen is `{listen}`; write HOST:PORT or unix:PATH")
    return web.TCPSite(runner, host.strip("[]"), int(port), backlog=1024)


def _free_socket(path: Path) -> Path:
    # A socket of an earlier run keeps its name; anything else at this path is left alone and binding fails.
    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _address(runner: web.AppRunner) -> str:
    address = runner.addresses[0]
    return f"{UNIX}{address}" if isinstance(address, str) else f"http://{address[0]}:{address[1]}"


if __name__ == "__main__":
    main()
