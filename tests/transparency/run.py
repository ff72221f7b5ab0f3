"""Real clients with Sidegate and without: ``python -m tests.transparency.run [CLIENT ...]``."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.transparency.comparing import compare_socket_client, ground

Compare = Callable[[Path], tuple[int, list[str]]]


def _at_the_store(module: str) -> Compare:
    def compare(folder: Path) -> tuple[int, list[str]]:
        with ground(folder) as made:
            return made.compare(import_module(f"tests.transparency.clients.{module}").use)

    return compare


def _s3(folder: Path) -> tuple[int, list[str]]:
    module = import_module("tests.transparency.clients.s3")
    objects = module.Objects()

    def use(url: str, token: str) -> object:
        objects.__init__()
        return module.use(url, token)

    with ground(folder, lambda call: bytes(objects.serve(call))) as made:
        return made.compare(use)


def _websockets(folder: Path) -> tuple[int, list[str]]:
    module = import_module("tests.transparency.clients.with_websockets")
    return module.CONNECTIONS, compare_socket_client(folder, module.echoing, module.use)


def _by_itself(module: str) -> Compare:
    def compare(folder: Path) -> tuple[int, list[str]]:
        found: tuple[int, list[str]] = import_module(f"tests.transparency.clients.{module}").compare(folder)
        return found

    return compare


CLIENTS: Final[dict[str, Compare]] = {
    "curl": _at_the_store("curl"),
    "requests": _at_the_store("with_requests"),
    "httpx": _at_the_store("with_httpx"),
    "aiohttp": _at_the_store("with_aiohttp"),
    "node-fetch": _at_the_store("node"),
    "boto3": _s3,
    "git": _by_itself("git"),
    "websockets": _websockets,
    "litmus": _by_itself("webdav"),
    "chromium": _by_itself("browser"),
}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", default=list(CLIENTS), metavar="CLIENT", help=", ".join(CLIENTS))
    failed = False
    for name in parser.parse_args().clients:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            count, found = CLIENTS[name](Path(folder))
        notes = [one for one in found if one.startswith("note: ")]
        differences = [one for one in found if one not in notes]
        failed = failed or bool(differences)
        took = time.monotonic() - begun
        sys.stdout.write(f"{name}: {count} requests or tests, {len(differences)} differences, {took:.0f} s\n")
        sys.stdout.writelines(f"  {one[:2000]}\n" for one in found[:20])
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
