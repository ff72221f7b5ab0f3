"""Fuzzes every target for some minutes: ``python -m tests.fuzz.run --minutes 10 [TARGET ...]``.

Guided by coverage if atheris is installed, by mutation of the corpus otherwise. What breaks a target is written to
``tests/corpus/<target>/``, where the normal tests play it from then on.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.fuzz.corpus import CORPUS, seeds_of
from tests.fuzz.mutating import mutate

_GUIDED: Final = """
import sys, atheris
with atheris.instrument_imports(include=["sidegate"]):
    from tests.fuzz.targets import TARGETS
target = TARGETS[sys.argv.pop(1)]
atheris.Setup(sys.argv, target.run)
atheris.Fuzz()
"""


def fuzz_guided(name: str, seconds: int) -> bool:
    """Fuzz by coverage in a process of its own; returns whether it held."""
    with tempfile.TemporaryDirectory() as found:
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        seeded = Path(found) / "seeds"
        seeded.mkdir()
        for number, seed in enumerate(seeds_of(name)):
            (seeded / str(number)).write_bytes(seed)
        limits = (
            f"-max_total_time={seconds}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-verbosity=0",
            "-print_final_stats=1",
        )
        done = subprocess.run(
            [sys.executable, "-c", _GUIDED, name, found, str(seeded), f"-artifact_prefix={folder}/", *limits],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    runs = [line for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    sys.stdout.write(f"{name}: {'held' if done.returncode == 0 else 'BROKEN'} {' '.join(runs)}\n")
    if done.returncode:
        sys.stdout.write(done.stdout[-4000:])
    return done.returncode == 0


def fuzz_blindly(name: str, seconds: int, seed: int) -> bool:
    """Fuzz by mutation; returns whether it held."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - so that the guided way imports it instrumented

    end = time.monotonic() + seconds
    runs = 0
    for data in mutate(seeds_of(name), seed):
        runs += 1
        try:
            TARGETS[name].run(data)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            folder = CORPUS / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"crash-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            sys.stdout.write(f"{name}: BROKEN after {runs} runs by {data!r}: {error!r}\n")
            return False
        if not runs % 64 and time.monotonic() > end:
            break
    sys.stdout.write(f"{name}: held {runs} runs\n")
    return True


def main() -> int:
    """Run from the command line."""
    from tests.fuzz.corpus import TARGET_NAMES  # noqa: PLC0415 - beside its only use

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=TARGET_NAMES)
    parser.add_argument("--minutes", type=float, default=1.0, help="of each target")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seconds = max(1, int(arguments.minutes * 60))
    seed = time.time_ns() if arguments.seed is None else arguments.seed
    is_guided = importlib.util.find_spec("atheris") is not None and arguments.seed is None
    held = [
        fuzz_guided(name, seconds) if is_guided else fuzz_blindly(name, seconds, seed) for name in arguments.targets
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
