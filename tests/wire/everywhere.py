"""Every attack, cut in two at every offset: ``python -m tests.wire.everywhere`` (some minutes)."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import uvloop
from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.integration.sidecar import ISSUER, Sidecar
from tests.wire.attack import Attack
from tests.wire.attacks import ATTACKS
from tests.wire.bench import Bench
from tests.wire.test_attacks import play_everywhere

LONGEST_BYTES = 3000
"""What is longer is made so by one long line; the normal tests cut it at places chosen by chance."""


def play(number: int) -> tuple[int, int, str, list[str]]:
    """Play one attack on a data path of its own; return number, how often it was played, what failed, and faults.

    Faults are what callbacks raised; an exception that nobody handles fails the attack as a broken invariant does.
    """
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    vera, ana = (issuer.session(user, "acme").encode() for user in ("vera", "ana"))
    attack = ATTACKS[number]
    length = len(attack.bytes_for(vera, ana))
    if length > LONGEST_BYTES:
        return number, 0, "", []
    faults: list[str] = []
    try:
        uvloop.run(_play(attack, issuer, vera, ana, faults))
    except AssertionError as error:
        return number, length, repr(error), faults
    return number, length, "", faults


async def _play(attack: Attack, issuer: Issuer, vera: bytes, ana: bytes, faults: list[str]) -> None:
    with _folder() as folder:
        rig = Rig(Sidecar(folder / "rig", "http://127.0.0.1:9", issuer))
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(repr(context)))
        await rig.start()
        try:
            await play_everywhere(Bench(rig), attack, vera, ana)
        finally:
            await rig.close()


@contextmanager
def _folder() -> Iterator[Path]:
    # In memory where the machine has such a place: a record is read back after every play.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes side by side")
    arguments = parser.parse_args()
    begun = time.monotonic()
    plays = failed = whole = 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        running = [pool.submit(play, number) for number in range(len(ATTACKS))]
        for done, one in enumerate(as_completed(running), 1):
            try:
                number, count, why, faults = one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            plays += count
            whole += count > 0
            if why or faults:
                failed += 1
                sys.stdout.write(f"{ATTACKS[number].name}: {why} {faults[:3]}\n")
            if not done % 50:
                sys.stdout.write(f"{done} of {len(ATTACKS)} attacks, {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()
    sys.stdout.write(
        f"{whole} of {len(ATTACKS)} attacks at every offset (the others are longer than {LONGEST_BYTES} bytes): "
        f"{plays} plays, {failed} failed, {time.monotonic() - begun:.0f} s\n"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
