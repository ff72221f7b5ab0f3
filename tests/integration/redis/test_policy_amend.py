"""Some accounts of a published organization are changed, and no others are read or written."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.redis.policies import Following, Publishing, acme
from tests.integration.redis.servers import RedisServer

from sidegate.core.model.errors import IntegrityError, PolicyError
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, MemberEntry
from sidegate.distribution.redis_amend import Edit
from sidegate.distribution.redis_excerpt import NOBODY
from sidegate.distribution.redis_read import fetch_document
from sidegate.distribution.redis_records import StoredSubject

Subjects = Mapping[str, StoredSubject]


def give(account: str, binding: str, project: str = "p1", role: str = "Admin") -> Edit:
    """Return an edit that binds *account*."""

    def edit(stored: Subjects) -> Subjects:
        subject = stored[account]
        given = BindingEntry(binding, account, role, parse_scope(project))
        return {account: replace(subject, bindings=(*subject.bindings, given))}

    return edit


def take(account: str) -> Edit:
    """Return an edit that takes every binding from *account*."""
    return lambda stored: {account: replace(stored[account], bindings=())}


async def test_is_seen_like_a_publish(redis: RedisServer) -> None:
    """Followers hear of it, a revision is told, and what is published afterwards is what was amended."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        whole = await publisher.publish(acme())
        await one.becomes("granted", "user:u1")
        before = redis.command("HGET", "sidegate:{acme}:subjects", "user:u0")
        amended = await publisher.amend("acme", ["user:u1"], take("user:u1"))
        assert amended.revision > whole.revision
        assert (amended.plan.header, set(amended.plan.subjects)) == (None, {"user:u1"})
        await one.becomes("no_grant", "user:u1")
        assert redis.command("HGET", "sidegate:{acme}:subjects", "user:u0") == before
        published = await fetch_document(one.link, "acme")
        assert published is not None
        assert [binding.id for binding in published.document.bindings] == ["b0", "b2"]
        again = await publisher.publish(published.document)
        assert (again.plan.is_empty, again.revision) == (True, amended.revision)


async def test_nothing_to_do(redis: RedisServer) -> None:
    """An edit that changes nothing writes nothing."""
    async with Publishing(redis.url) as publisher:
        whole = await publisher.publish(acme())
        amended = await publisher.amend("acme", ["user:u0"], lambda stored: stored)
        assert (amended.plan.is_empty, amended.revision) == (True, whole.revision)


async def test_new_and_gone(redis: RedisServer) -> None:
    """An account can come, and go without a trace."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        await publisher.publish(acme())
        new = MemberEntry("user:new", roles=("Member",))
        await publisher.amend("acme", ["user:new"], lambda _: {"user:new": StoredSubject(new)})
        await publisher.amend("acme", ["user:new"], give("user:new", "n1"))
        await one.becomes("granted", "user:new")
        await publisher.amend("acme", ["user:new"], lambda _: {"user:new": NOBODY})
        await one.becomes("not_a_member", "user:new")
        assert redis.command("HEXISTS", "sidegate:{acme}:subjects", "user:new") == ":0"
        assert redis.command("HEXISTS", "sidegate:{acme}:digests", "s:user:new") == ":0"


async def test_at_the_same_time(redis: RedisServer) -> None:
    """Of those who amend at once each sees what the others did: no change is lost."""
    async with Publishing(redis.url) as one, Publishing(redis.url) as other:
        await one.publish(acme())
        await asyncio.gather(
            one.amend("acme", ["user:u0"], give("user:u0", "n1", "p2")),
            other.amend("acme", ["user:u0"], give("user:u0", "n2", "p3")),
        )
        published = await fetch_document(one._link, "acme")
        assert published is not None
        assert {"n1", "n2"} <= {binding.id for binding in published.document.bindings}


@pytest.mark.parametrize(
    ("org", "edit", "error", "says"),
    [
        pytest.param("globex", take("user:u0"), PolicyError, "not published", id="not-published"),
        pytest.param("acme", give("user:u0", "b0"), PolicyError, "b0", id="id-twice"),
        pytest.param("acme", give("user:u0", "b1"), PolicyError, "is an id of `user:u1` already", id="id-of-another"),
        pytest.param("acme", lambda _: {"user:u9": NOBODY}, ValueError, "was not named", id="not-named"),
        pytest.param(
            "acme",
            lambda stored: {"user:u0": replace(stored["user:u0"], member=MemberEntry("user:u1"))},
            IntegrityError,
            "somebody else",
            id="somebody-else",
        ),
    ],
)
async def test_refused(redis: RedisServer, org: str, edit: Edit, error: type[Exception], says: str) -> None:
    """What must not be used is told, and nothing is written."""
    async with Publishing(redis.url) as publisher:
        whole = await publisher.publish(acme())
        with pytest.raises(error, match=says):
            await publisher.amend(org, ["user:u0"], edit)
        assert await publisher.revision_of("acme") == whole.revision


async def test_signed(redis: RedisServer) -> None:
    """Whoever signs amends only what was signed with the same key."""
    async with Publishing(redis.url, Ed25519PrivateKey.generate()) as publisher, Publishing(redis.url) as unsigned:
        await publisher.publish(acme())
        await publisher.amend("acme", ["user:u0"], take("user:u0"))
        await unsigned.amend("acme", ["user:u1"], take("user:u1"))
        with pytest.raises(IntegrityError, match="not signed"):
            await publisher.amend("acme", ["user:u1"], take("user:u1"))


async def test_ids_move(redis: RedisServer) -> None:
    """From one account to another in one step; whose it was before may give it to nobody else afterwards."""

    def swap(stored: Subjects) -> Subjects:
        one, other = (stored[account].bindings[0] for account in ("user:u0", "user:u1"))
        return {
            "user:u0": replace(stored["user:u0"], bindings=(replace(other, who="user:u0"),)),
            "user:u1": replace(stored["user:u1"], bindings=(replace(one, who="user:u1"),)),
        }

    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        await publisher.publish(acme())
        await publisher.amend("acme", ["user:u0", "user:u1"], swap)
        with pytest.raises(PolicyError, match="is an id of `user:u0` already"):
            await publisher.amend("acme", ["user:u2"], give("user:u2", "b1"))
        await publisher.amend("acme", ["user:u0"], take("user:u0"))
        await publisher.amend("acme", ["user:u2"], give("user:u2", "b1", "p9"))
        published = await fetch_document(one.link, "acme")
        assert published is not None
        assert {one.id: one.who for one in published.document.bindings} == {
            "b0": "user:u1",
            "b1": "user:u2",
            "b2": "user:u2",
        }
        again = await publisher.publish(published.document)
        assert again.plan.is_empty
