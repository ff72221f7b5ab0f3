"""All attacks through Sidegate to every real server that is installed, and generated requests too.

python -m tests.wire.real.run [--cases 1000] [SERVER ...]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from scripts.issuer import Issuer
from tests.integration.sidecar import ISSUER, Sidecar
from tests.wire.attack import ALLOW, Attack
from tests.wire.attacks import ATTACKS
from tests.wire.grammar import ANA, VERA, Grammar
from tests.wire.kinds import Kind
from tests.wire.real.comparing import Sent, compare, play
from tests.wire.real.journal import read_journal
from tests.wire.real.servers import SERVERS, is_there, serving


def generated(seed: int, count: int, tokens: dict[bytes, bytes]) -> list[tuple[Attack, bytes]]:
    """Return generated cases; each ends with a request that closes, so that all its answers have an end."""
    grammar = Grammar(seed)
    cases = []
    for number in range(count):
        data = grammar.case()
        for placeholder, token in tokens.items():
            data = data.replace(placeholder, token)
        # Half-read cases have no last answer to wait for; their connection is ended instead.
        cases.append((Attack(f"generated-{seed}-{number}", Kind.PIPELINES, data, (ALLOW,) * 99), data))
    return cases


def run(name: str, seed: int, count: int) -> tuple[int, list[str]]:
    """Play everything against one server; return how many requests it read, and all differences."""
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    vera, ana = (issuer.session(user, "acme").encode() for user in ("vera", "ana"))
    sent = Sent()
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "server"
        server.mkdir()
        with serving(name, server) as upstream:
            sidecar = Sidecar(Path(folder) / "sidecar", f"http://127.0.0.1:{upstream}", issuer)
            try:
                sidecar.start()
                for attack in ATTACKS:
                    play(sidecar.port, attack, attack.bytes_for(vera, ana), sent)
                for attack, data in generated(seed, count, {VERA: vera, ANA: ana}):
                    play(sidecar.port, attack, data, sent, is_ended=True)
                entries = read_journal(server / "journal")
                found = compare(sidecar.decisions(), entries, sent.requests)
                faults = [str(event) for event in sidecar.events() if event.get("level") in {"error", "critical"}]
                return len(entries), found + faults
            finally:
                sidecar.close()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", default=[name for name in SERVERS if is_there(name)])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failed = False
    for name in arguments.servers:
        begun = time.monotonic()
        count, found = run(name, arguments.seed, arguments.cases)
        failed = failed or bool(found)
        sys.stdout.write(f"{name}: {count} requests read, {len(found)} differences, {time.monotonic() - begun:.0f} s\n")
        sys.stdout.writelines(f"  {difference}\n" for difference in found[:20])
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
