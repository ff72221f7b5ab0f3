"""Headers with pages: each page is the one that the header names, or nothing of the header is used (spec 5.2)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.integration.redis.policies import Following, Publishing, acme
from tests.integration.redis.servers import RedisServer

from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, GroupEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.patch import PolicyPatch, Put
from sidegate.distribution.redis_header import page_of

PAGES = "sidegate:{acme}:pages"
HEADER = "sidegate:{acme}:header"
COUNT = 300
GIVEN = BindingEntry("given", "group:all", "Admin", parse_scope("p1"))
TAKEN = replace(GIVEN, role="Viewer")


def document(*more: BindingEntry) -> PolicyDocument:
    """Return a document with so many bindings of a group that they are in pages."""
    many = tuple(
        BindingEntry(f"g{number}", "group:all", "Viewer", parse_scope(f"q{number}")) for number in range(COUNT)
    )
    member = MemberEntry("user:in", roles=("Member",), groups=("all",))
    plain = acme()
    return replace(
        plain,
        members=(*plain.members, member),
        groups=(GroupEntry("all"),),
        bindings=(*plain.bindings, *many, *more),
    )


PAGE = f"bindings.{page_of(GIVEN.id, 16)}"


def put_garbage(redis: RedisServer, _: bytes) -> None:
    """Put what nobody published in the place of the page."""
    redis.command("HSET", PAGES, PAGE, "garbage")


def put_back(redis: RedisServer, old: bytes) -> None:
    """Put the page of an earlier revision back."""
    redis.command("HSET", PAGES, PAGE, old.decode())


def remove(redis: RedisServer, _: bytes) -> None:
    """Remove the page."""
    redis.command("HDEL", PAGES, PAGE)


async def test_only_what_changed_is_read(redis: RedisServer) -> None:
    """All other pages may be gone: who has them does not ask for them."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        await publisher.publish(document(GIVEN))
        await one.becomes("granted", "user:in")
        planned, published = await publisher.patch(PolicyPatch("acme", Put(bindings=(TAKEN,))))
        assert list(planned.plan.pages) == [PAGE]
        await one.becomes("not_granted", "user:in", revision=published.revision)
        names = {f"bindings.{number}" for number in range(16)} - {PAGE}
        redis.command("HDEL", PAGES, *names)
        before = redis.command("HGET", PAGES, PAGE)
        commit = await publisher.patch(PolicyPatch("acme", Put(bindings=(GIVEN,))))
        await one.becomes("granted", "user:in", revision=commit[1].revision)
        assert redis.command("HGET", PAGES, PAGE) != before
        assert one.failures == 0


@pytest.mark.parametrize("spoil", [put_garbage, put_back, remove])
async def test_another_page(redis: RedisServer, spoil: Callable[[RedisServer, bytes], None]) -> None:
    """Damaged, missing or from an earlier revision: known accounts stay as they are, others get nothing; and mended."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as known:
        await publisher.publish(document(GIVEN))
        old = redis.command("HGET", PAGES, PAGE).partition("\n")[2] if spoil is put_back else ""
        second = await publisher.publish(document(TAKEN))
        await known.becomes("not_granted", "user:in", revision=second.revision)
        spoil(redis, old.encode())
        async with Following(redis.url) as late:
            await late.becomes("unavailable", "user:in")
            assert [problem.key for problem in late.policies.problems] in ([], ["acme"])
            await known.becomes("not_granted", "user:in")
            redis.command("DEL", PAGES)
            await publisher.publish(document(TAKEN))
            await late.becomes("not_granted", "user:in")


async def test_an_earlier_form(redis: RedisServer) -> None:
    """A header of format 1 is refused with what to do, and publishing the file again is all there is to do."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        await publisher.publish(document(GIVEN))
        redis.command("SETRANGE", HEADER, "0", "sidegate-record 1")
        redis.command("HSET", "sidegate:{acme}:digests", "h", "that of the earlier form")
        await one.becomes("unavailable", "user:in")
        async with Following(redis.url) as other:
            await other.becomes("unavailable", "user:in")
            await publisher.publish(document(GIVEN))
            await other.becomes("granted", "user:in")
            assert other.failures >= 1
        await one.becomes("granted", "user:in")
