"""What serving does without."""

import subprocess
import sys

ALLOWED = {
    "aiohappyeyeballs", "aiohttp", "aiosignal", "attr", "cachetools", "colorama", "cryptography", "frozenlist",
    "httptools", "idna", "multidict", "orjson", "prometheus_client", "propcache", "sidegate", "sidegate__mypyc",
    "structlog", "typing_extensions", "uvloop", "yarl",
}  # fmt: skip
"""Packages that are no part of Python. Each takes memory of every sidecar: think before one is added."""

_PROGRAM = """
import sidegate.__main__, sidegate.app.serve, sys
found = {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__spec__", None)}
print(*sorted(one for one in found - sys.stdlib_module_names if not one.startswith("_")))
"""


def test_only_what_earns_its_place() -> None:
    """Nothing that reads files or command lines, no client of a service that may not be configured."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert loaded - ALLOWED == set()
    # A list that nothing is held against would hold nothing.
    assert {"aiohttp", "sidegate", "uvloop"} <= loaded
