"""Every attack, cut in two at every offset: ``python -m tests.wire.everywhere`` (some minutes)."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.integration.sidecar import ISSUER, Sidecar
from tests.wire.attacks import ATTACKS
from tests.wire.bench import Bench
from tests.wire.test_attacks import play_everywhere

LONGEST_BYTES = 3000
"""What is longer is made so by one long line; the normal tests cut it at places chosen by chance."""


async def run() -> None:
    """Play all of them, each on a data path of its own."""
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    vera, ana = (issuer.session(user, "acme").encode() for user in ("vera", "ana"))
    begun = time.monotonic()
    for number, attack in enumerate(ATTACKS, 1):
        if len(attack.bytes_for(vera, ana)) > LONGEST_BYTES:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rig = Rig(Sidecar(Path(folder) / "rig", "http://127.0.0.1:9", issuer))
            await rig.start()
            try:
                await play_everywhere(Bench(rig), attack, vera, ana)
            except AssertionError:
                sys.stdout.write(f"{attack.name}:\n")
                raise
            finally:
                await rig.close()
        if not number % 50:
            sys.stdout.write(f"{number} of {len(ATTACKS)} attacks, {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run())
