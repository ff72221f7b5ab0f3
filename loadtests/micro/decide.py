"""What one decision costs, by kind of decision and size of the organization (spec 7: at most 1.5 µs p50, flat).

Run it as ``python -m loadtests.micro.decide``; ``-o json`` for programs. It is a measurement, not a test: every figure
is the time of one call of ``decide`` (organization, compiled subject, decision), in nanoseconds, the clock's own cost
taken off.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import decide_shadow
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.principal import CredentialKind, Link, Query, VerifiedCredential
from sidegate.core.model.target import ALL_PROJECTS, Scope, parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    MemberEntry,
    PolicyDocument,
)
from sidegate.core.policy.snapshot import Snapshot

ORG = "acme"
ME = "user:u7"
NOW = UnixMillis(1_800_000_000_000)
BINDINGS_PER_ACCOUNT = 20
SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 20_000


def document_of(size: int) -> PolicyDocument:
    """An organization of *size* bindings, twenty for each account, beside the few that the cases below ask about."""
    accounts = size // BINDINGS_PER_ACCOUNT
    members = tuple(
        MemberEntry(f"user:u{place}", roles=("Member",), groups=("fiber",))
        for place in range(accounts)
        if f"user:u{place}" != ME
    )
    scopes = [
        Scope(None, f"q{place}", "main" if place % 3 == 0 else None, ("designs",) if place % 5 == 0 else ())
        for place in range(BINDINGS_PER_ACCOUNT)
    ]
    bindings = tuple(
        BindingEntry(f"g{place}", f"user:u{place // BINDINGS_PER_ACCOUNT}", "Designer", scopes[place % len(scopes)])
        for place in range(size)
    )
    return PolicyDocument(
        ORG,
        members=(*members, MemberEntry(ME, roles=("Member",), groups=("fiber",))),
        groups=(GroupEntry("fiber"),),
        bindings=(*bindings, *_asked_about()),
        denies=(DenyEntry("d1", ME, mask_of([Authority.DELETE]), ALL_PROJECTS),),
        approvals=(ApprovalRule("a1", mask_of([Authority.APPROVE]), parse_scope("*@main")),),
        candidate=Candidate(bindings=(BindingEntry("c1", "user:u8", "Viewer", parse_scope("p1")),), remove=("g161",)),
    )


def _asked_about() -> tuple[BindingEntry, ...]:
    conditional = Conditions(mfa=True, sources=(ip_network("10.0.0.0/8"),))
    return (
        BindingEntry("b1", ME, "Designer", parse_scope("p1")),
        BindingEntry("b2", ME, "Viewer", parse_scope("p2@main")),
        BindingEntry("b3", ME, "Designer", parse_scope("p2@main:designs/current")),
        BindingEntry("b4", ME, "Viewer", ALL_PROJECTS),
        BindingEntry("b6", ME, "Designer", parse_scope("p4")),
        BindingEntry("b7", ME, "Viewer", parse_scope("p4@main")),
        BindingEntry("b5", ME, "Admin", parse_scope("p3"), when=conditional),
    )


def cases() -> dict[str, Query]:
    """One request for each way through the checks."""
    me = VerifiedCredential(CredentialKind.SESSION, "s1", ME, ORG)
    links = tuple(Link(f"ag_{place}", mask_of([Authority.READ]), (parse_scope("p1"),)) for place in range(3))
    deep = "designs/current/a/b/c.json"

    def ask(authority: Authority, text: str, *, subtree: bool = False) -> Query:
        return Query(me, authority, parse_target(ORG, text, subtree=subtree))

    return {
        "granted, project binding": ask(Authority.READ, f"p1@main:{deep}"),
        "granted, path binding": ask(Authority.WRITE, f"p2@main:{deep}"),
        "granted, branch binding": ask(Authority.READ, f"p2@main:other/{deep}"),
        "granted, binding on *": ask(Authority.READ, f"p9@x:{deep}"),
        "granted, section": ask(Authority.READ, "/skills/fiber"),
        "not_granted": ask(Authority.WRITE, f"p2@main:other/{deep}"),
        "denied_by_rule": ask(Authority.DELETE, f"p1@main:{deep}"),
        "approval_required": Query(
            replace(me, second_factor_at=NOW), Authority.APPROVE, parse_target(ORG, "p3@main"), ip_address("10.0.0.9")
        ),
        "mfa_required": ask(Authority.APPROVE, f"p3@dev:{deep}"),
        "above_ceiling, read-only service": replace(
            ask(Authority.WRITE, f"p1@main:{deep}"), credential=replace(me, account="user:ceiling")
        ),
        "granted, chain of 3": replace(ask(Authority.READ, f"p1@main:{deep}"), credential=replace(me, chain=links)),
        "granted, restricted key": replace(
            ask(Authority.READ, f"p1@main:{deep}"),
            credential=replace(me, authorities=mask_of([Authority.READ]), scopes=(parse_scope("p1"),)),
        ),
        "granted, subtree": ask(Authority.READ, "p2", subtree=True),
        "subtree_narrowed": ask(Authority.WRITE, "p4", subtree=True),
        "cross_org": replace(ask(Authority.READ, "p1"), target=parse_target("other", "p1")),
    }


def measure(snapshot: Snapshot, query: Query, *, shadow: bool = False) -> list[int]:
    """Return the sorted times of single calls in nanoseconds, without the cost of reading the clock."""
    clock = time.perf_counter_ns
    overhead = sorted(-clock() + clock() for _ in range(ROUNDS))[ROUNDS // 2]
    queries = [query]
    times = []
    for _ in range(ROUNDS):
        begun = clock()
        decision = decide(snapshot, query, NOW)
        if shadow:
            decide_shadow(snapshot, queries, NOW, decision)
        times.append(clock() - begun - overhead)
    return sorted(times)


def measure_size(size: int) -> list[dict[str, object]]:
    """Compile an organization of *size* bindings and measure every case."""
    document = document_of(size)
    document = replace(
        document, members=(*document.members, MemberEntry("user:ceiling", roles=("Organization viewer",)))
    )
    begun = time.perf_counter()
    organization = compile_document(document, 1)
    compiled_s = time.perf_counter() - begun
    snapshot = Snapshot(1, [organization])
    gc.collect()
    gc.freeze()
    rows: list[dict[str, object]] = [{"bindings": size, "case": "(compile, s)", "p50_ns": round(compiled_s, 3)}]
    begun_ns = time.perf_counter_ns()
    for place in range(min(1_000, size // BINDINGS_PER_ACCOUNT)):
        organization.compile_subject(f"user:u{place}")
    each = (time.perf_counter_ns() - begun_ns) // min(1_000, size // BINDINGS_PER_ACCOUNT)
    rows.append({"bindings": size, "case": "(first use of a subject)", "p50_ns": each})
    for case, query in cases().items():
        rows.append(_row(size, case, str(decide(snapshot, query, NOW).reason), measure(snapshot, query)))
    shadowed = cases()["granted, project binding"]
    rows.append(_row(size, "granted, candidate of others", "granted", measure(snapshot, shadowed, shadow=True)))
    gc.unfreeze()
    return rows


def _row(size: int, case: str, reason: str, times: Sequence[int]) -> dict[str, object]:
    return {
        "bindings": size,
        "case": case,
        "reason": reason,
        "p50_ns": times[len(times) // 2],
        "p99_ns": times[len(times) * 99 // 100],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()
    rows = [row for size in arguments.sizes for row in measure_size(size)]
    if arguments.output == "json":
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    for row in rows:
        print(
            f"{row['bindings']:>9,} {row['case']:34} {row.get('reason', ''):22} "
            f"{row['p50_ns']:>9} {row.get('p99_ns', ''):>9}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
