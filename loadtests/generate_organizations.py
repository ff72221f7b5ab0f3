"""Fills a Redis with organizations, small ones by the million or one large one, as `policy publish` would write them.

    python -m loadtests.generate_organizations --redis redis://127.0.0.1:6379 --count 1000000
    python -m loadtests.generate_organizations --redis redis://127.0.0.1:6379 --large 100000 --bindings 10

Small organizations have a member, an administrator and three bindings each; every one is published by itself.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator

from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry, MemberEntry, PolicyDocument
from sidegate.distribution.redis_publish import Publisher
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock

AT_ONCE = 32


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


async def _fill(url: str, count: int, first: int) -> None:
    link = open_link(url, timeout=Millis(30_000))
    publisher = Publisher(link, SystemClock())
    numbers = iter(range(first, first + count))
    done = 0
    began = time.monotonic()

    async def work() -> None:
        nonlocal done
        for number in numbers:
            await publisher.publish(small_organization(number))
            done += 1
            if done % 10_000 == 0:
                print(f"{done:,} organizations, {done / (time.monotonic() - began):,.0f}/s", flush=True)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await link.close()
    print(f"{done:,} organizations in {time.monotonic() - began:.1f} s")


async def _fill_large(url: str, members: int, bindings: int) -> None:
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
        asyncio.run(_fill(given.redis, given.count, given.first))
    if given.large:
        asyncio.run(_fill_large(given.redis, given.large, given.bindings))


if __name__ == "__main__":
    main()
