"""What 10,000 compiled subjects hold: by how much a process grows when every user of an organization has asked once.

python -m loadtests.micro.subjects
"""

import gc
import json
from os import sysconf
from pathlib import Path

from loadtests.engines import ORG

from sidegate.core.model.target import Scope
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot

SUBJECTS = 10_000
BINDINGS = 20


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * sysconf("SC_PAGE_SIZE") / (1 << 20)


def main() -> None:
    """Measure and print as JSON."""
    accounts = [f"user:u{number}" for number in range(SUBJECTS)]
    document = PolicyDocument(
        ORG,
        members=tuple(MemberEntry(account, roles=("Member",)) for account in accounts),
        bindings=tuple(
            BindingEntry(f"b{number}-{place}", account, "Designer", Scope(None, f"q{number + place}", None, ()))
            for number, account in enumerate(accounts)
            for place in range(BINDINGS)
        ),
    )
    snapshot = Snapshot(1, [compile_document(document, 1)])
    gc.collect()
    before = _rss_mib()
    held = [snapshot.subject(ORG, account) for account in accounts]
    gc.collect()
    print(json.dumps({"subjects": len(held), "bindings": BINDINGS, "mib": round(_rss_mib() - before, 1)}))


if __name__ == "__main__":
    main()
