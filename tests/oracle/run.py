"""Compare engine and oracle over as many pairs as there is time for: ``python -m tests.oracle.run --pairs 5000000``."""

import argparse
import sys
from multiprocessing import Pool

from tests.oracle.agreement import Tally, compare_many

CHUNK = 25_000


def compare_chunk(seed: int) -> Tally:
    """Compare one chunk; raises with a reproduction."""
    tally = Tally()
    compare_many(seed, CHUNK, tally)
    return tally


def main() -> int:
    """Return 0 when all agree; a difference ends the run with its reproduction and 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1_000, help="of the first chunk; each chunk takes the next")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    chunks = -(-arguments.pairs // CHUNK)
    total = Tally()
    with Pool(arguments.processes) as pool:
        try:
            for tally in pool.imap_unordered(compare_chunk, range(arguments.seed, arguments.seed + chunks)):
                total.pairs += tally.pairs
                total.diverged += tally.diverged
                total.unconcerned += tally.unconcerned
                total.enforced += tally.enforced
                total.candidate += tally.candidate
                sys.stdout.write(f"\r{total.pairs:,} pairs agree")
                sys.stdout.flush()
        except AssertionError as exc:
            sys.stdout.write(f"\n{exc}\n")
            return 1
    sys.stdout.write("\n")
    for reason, count in total.enforced.most_common():
        sys.stdout.write(f"{reason:28} {count:>10,} enforced {total.candidate[reason]:>10,} candidate\n")
    sys.stdout.write(f"{total.diverged:,} diverge, {total.unconcerned:,} not concerned by a candidate\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
