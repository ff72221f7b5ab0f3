"""Fills a Redis with organizations, small ones by the million or one large one, as `policy publish` would write them.

    python -m loadtests.generate_organizations --redis redis://127.0.0.1:6379 --count 1000000
    python -m loadtests.generate_organizations --redis redis://127.0.0.1:6379 --large 100000 --bindings 10

Small organizations have a member, an administrator and three bindings each. One server: their steps are pipelined.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument
from sidegate.distribution.redis_commit import seal_plan
from sidegate.distribution.redis_keys import CHANGES, keys_of, staging_of
from sidegate.distribution.redis_plan import compare, contents_of
from sidegate.distribution.redis_publish import Publisher
from sidegate.distribution.redis_scripts import COMMIT
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock

STEPS_AT_ONCE = 200


def small_organization(number: int) -> PolicyDocument:
    """Return the organization ``orgN``: a designer and an administrator on two projects."""
    return PolicyDocument(
        f"org{number}",
        members=(MemberEntry("user:ana", roles=("Member",)), MemberEntry("user:bo", roles=("Organization admin",))),
        bindings=(
            BindingEntry("b1", "user:ana", "Designer", parse_scope("p1")),
            BindingEntry("b2", "user:ana", "Viewer", parse_scope("p1@main")),
            BindingEntry("b3", "user:bo", "Admin", parse_scope("*")),
        ),
    )


def large_organization(members: int, bindings: int) -> PolicyDocument:
    """Return the organization ``large`` with so many members and so many bindings for each."""
    return PolicyDocument(
        "large",
        members=tuple(MemberEntry(f"user:u{number}", roles=("Member",)) for number in range(members)),
        bindings=tuple(_bindings(members, bindings)),
    )


def _bindings(members: int, each: int) -> Iterator[BindingEntry]:
    for number in range(members):
        for place in range(each):
            scope = parse_scope(f"p{(number * 7 + place * 13) % 5000}")
            yield BindingEntry(f"b{number}-{place}", f"user:u{number}", "Designer", scope)


def write_large(file: Path, members: int, bindings: int, first_role: str = "Designer") -> None:
    """Write the organization ``large`` as a policy file: YAML as people write it, JSON if the name ends so.

    Args:
        file: Written.
        members: How many.
        bindings: Of each member.
        first_role: That the first binding gives, so that another one is one change.
    """
    is_json = file.suffix == ".json"
    with file.open("w") as out:
        if is_json:
            out.write('{"organization": "large",\n"members": {\n')
            out.write(",\n".join(f'"user:u{number}": {{"roles": ["Member"]}}' for number in range(members)))
            out.write('\n},\n"bindings": [\n')
        else:
            out.write("organization: large\nmembers:\n")
            out.writelines(f"  user:u{number}: {{roles: [Member]}}\n" for number in range(members))
            out.write("bindings:\n")
        for number, binding in enumerate(_bindings(members, bindings)):
            role = binding.role if number else first_role
            if is_json:
                plain = {"id": binding.id, "who": binding.who, "role": role, "on": str(binding.on)}
                out.write((",\n" if number else "") + json.dumps(plain))
            else:
                out.write(f"  - {{id: {binding.id}, who: {binding.who}, role: {role}, on: {binding.on}}}\n")
        out.write("\n]}\n" if is_json else "")


async def fill(url: str, count: int, first: int = 0) -> None:
    """Publish *count* small organizations, each in a step of its own, many steps to a round trip."""
    link = open_link(url, timeout=Millis(60_000))
    clock, began = SystemClock(), time.monotonic()
    numbers = range(first, first + count)
    # What they say is the same; their records are not: a digest covers whose record it is.
    contents = contents_of(small_organization(0))
    await link.call("SCRIPT", "LOAD", COMMIT.text, doing="filling", key=CHANGES)
    for start in range(0, count, STEPS_AT_ONCE):
        batch = []
        for number in numbers[start : start + STEPS_AT_ONCE]:
            org = f"org{number}"
            commit = seal_plan(compare(replace(contents, org=org), 0, {}), clock.now(), None)
            keys = (*keys_of(org).all(), staging_of(org, "0"), CHANGES)
            batch.append(("EVALSHA", COMMIT.digest, len(keys), *keys, *commit.arguments(until=0, is_staged=False)))
        for answer in await link.call_all(batch, key=CHANGES, doing="filling"):
            assert isinstance(answer, list)
            assert answer[0] == 1, "already there; fill an empty Redis"
        done = start + len(batch)
        if done % (100 * STEPS_AT_ONCE) == 0 or done == count:
            print(f"{done:,} organizations, {done / (time.monotonic() - began):,.0f}/s", flush=True)
    await link.close()


async def fill_large(url: str, members: int, bindings: int) -> None:
    """Publish one organization with so many members, and so many bindings for each."""
    link = open_link(url, timeout=Millis(30_000))
    publisher = Publisher(link, SystemClock())
    document = large_organization(members, bindings)
    began = time.monotonic()
    published = await publisher.publish(document)
    print(f"{members:,} members, {members * bindings:,} bindings in {time.monotonic() - began:.1f} s")
    print(f"revision {published.revision}")
    await link.close()


def main() -> None:
    """Read the command line and fill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", required=True, help="address of an empty Redis")
    parser.add_argument("--count", type=int, default=0, help="small organizations")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--large", type=int, default=0, help="members of one large organization")
    parser.add_argument("--bindings", type=int, default=10, help="for each of its members")
    given = parser.parse_args()
    if given.count:
        asyncio.run(fill(given.redis, given.count, given.first))
    if given.large:
        asyncio.run(fill_large(given.redis, given.large, given.bindings))


if __name__ == "__main__":
    main()
