"""A small change comes to the same as publishing everything anew, and is refused for the same reasons."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.redis.policies import Following, Publishing
from tests.integration.redis.servers import RedisServer

from sidegate.core.model.authority import Mask
from sidegate.core.model.errors import IntegrityError, PolicyError, Position
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)
from sidegate.core.policy.patch import REMOVE_PREFIX, PolicyPatch, Put, Removal
from sidegate.distribution.redis_publish import RevisionError
from sidegate.distribution.redis_read import fetch_document

NAME_OF: dict[str, Callable[[Any], str]] = {
    "roles": attrgetter("name"),
    "members": attrgetter("account"),
    "groups": attrgetter("name"),
    "bindings": attrgetter("id"),
    "denies": attrgetter("id"),
    "approvals": attrgetter("id"),
    "keys": attrgetter("id"),
}


def binding(place: int, who: str = "group:all", role: str = "Viewer") -> BindingEntry:
    """Return a binding."""
    return BindingEntry(f"b{place}", who, role, parse_scope(f"p{place % 7}"))


DOCUMENT = PolicyDocument(
    "acme",
    roles=(RoleEntry("Lead", "Designer"),),
    members=tuple(MemberEntry(f"user:u{number}", roles=("Member",), groups=("all",)) for number in range(4)),
    groups=(GroupEntry("all"), GroupEntry("few")),
    bindings=(*(binding(number, f"user:u{number}", "Admin") for number in range(4)), binding(4, role="Lead")),
    denies=(
        DenyEntry("d1", "user:u1", Mask(4), parse_scope("*")),
        DenyEntry("d2", "group:few", Mask(4), parse_scope("*")),
    ),
    approvals=(ApprovalRule("a1", Mask(2), parse_scope("p9")),),
    keys=(KeyEntry("A" * 16, b"\x01" * 32, "user:u1"),),
    sessions={"web": SessionLimits()},
)


def applied(document: PolicyDocument, patch: PolicyPatch) -> PolicyDocument:
    """Return *document* as it is after *patch*: the same in a few lines, for a document that is wholly in memory."""
    given: dict[str, Any] = {}
    for section, name_of in NAME_OF.items():
        entries = {name_of(one): one for one in getattr(document, section)}
        for name in getattr(patch.remove, section):
            del entries[name]
        entries |= {name_of(one): one for one in getattr(patch.put, section)}
        given[section] = tuple(sorted(entries.values(), key=name_of))
    sessions = {**document.sessions, **patch.put.sessions}
    age = patch.put.mfa_max_age_s
    return replace(
        document,
        **given,
        mfa_max_age_s=document.mfa_max_age_s if age is None else age,
        sessions={surface: one for surface, one in sessions.items() if surface not in patch.remove.sessions},
        candidate=patch.put.candidate or (None if patch.remove.candidate else document.candidate),
    )


def ordered(document: PolicyDocument) -> PolicyDocument:
    """Return *document* with its entries in the order of their names."""
    return applied(document, PolicyPatch("acme"))


async def require_published(following: Following, document: PolicyDocument) -> None:
    """Require that *document* is what is published."""
    found = await fetch_document(following.link, "acme")
    assert found is not None
    assert ordered(found.document) == ordered(document)


def some_patch(chance: random.Random, document: PolicyDocument, turn: int) -> PolicyPatch:
    """Return a change of *document*: sometimes of one entry, sometimes of very many."""
    many = chance.choice((1, 1, 2, 90))
    ids = [one.id for one in document.bindings]
    gone = chance.sample(ids, min(len(ids), chance.choice((0, 1, 2, many))))
    kept = [one for one in document.bindings if one.id not in gone]
    new = [
        binding(1000 + 100 * turn + number, chance.choice(("group:all", "group:few", f"user:u{number % 4}")))
        for number in range(many)
    ]
    others = [replace(one, role="Designer") for one in chance.sample(kept, min(len(kept), 2))]
    moved = [replace(document.bindings[0], who="user:u3")] if gone and document.bindings[0].id == gone[0] else []
    groups = [GroupEntry(f"g{turn}-{number}") for number in range(chance.choice((0, 1, 70)))]
    declared = [one.name for one in document.groups if one.name.startswith("g")]
    return PolicyPatch(
        "acme",
        Put(
            bindings=(*new, *others, *moved),
            groups=tuple(groups),
            denies=(DenyEntry("d1", "user:u1", Mask(chance.randrange(1, 9)), parse_scope("*")),),
            approvals=(ApprovalRule(f"a{turn}", Mask(2), parse_scope("p9")),),
            members=(MemberEntry(f"user:u{turn}", roles=("Member",)),) if turn > 3 else (),
            keys=(KeyEntry(f"{turn:016}", b"\x02" * 32, "user:u1"),),
            mfa_max_age_s=turn,
        ),
        Removal(
            bindings=tuple(gone),
            groups=tuple(chance.sample(declared, chance.choice((0, len(declared) // 2, len(declared))))),
            keys=(f"{turn - 1:016}",) if turn > 1 else (),
        ),
    )


async def test_comes_to_the_same(redis: RedisServer) -> None:
    """Whatever is put and goes, in pages or not: the whole document, published afterwards, has nothing to say."""
    chance = random.Random(3)
    document = DOCUMENT
    async with Publishing(redis.url) as publisher, Publishing(redis.url) as other, Following(redis.url) as one:
        await publisher.publish(document)
        for turn in range(1, 16):
            patch = some_patch(chance, document, turn)
            planned, published = await publisher.patch(patch)
            document = applied(document, patch)
            await require_published(one, document)
            assert planned.plan.expected < published.revision
            # Sections may be divided otherwise by now; of accounts, keys and ids nothing is another.
            plan = await other.plan(document)
            assert (plan.subjects, plan.keys) == ({}, {})
            if not plan.pages:
                assert plan.header is None or plan.ids
            again = await publisher.patch(PolicyPatch("acme", patch.put))
            assert again[0].plan.is_empty
            assert again[1].revision == published.revision


async def test_followers_hear(redis: RedisServer) -> None:
    """A binding of a group, a role and a rule are in force everywhere, in a header with and without pages."""
    many = tuple(binding(number, "group:few") for number in range(100, 300))
    for document in (DOCUMENT, replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many))):
        redis.command("FLUSHALL")
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(document)
            await one.becomes("no_grant", "user:u2")
            given = BindingEntry("new", "group:all", "Admin", parse_scope("p1"))
            planned, published = await publisher.patch(PolicyPatch("acme", Put(bindings=(given,))))
            await one.becomes("granted", "user:u2", revision=published.revision)
            assert len(planned.plan.pages) == (0 if document is DOCUMENT else 1)
            lead = replace(given, role="Lead")
            _, published = await publisher.patch(PolicyPatch("acme", Put(bindings=(lead,))))
            await one.becomes("not_granted", "user:u2", revision=published.revision)
            role = RoleEntry("Lead", "Admin")
            _, published = await publisher.patch(PolicyPatch("acme", Put(roles=(role,))))
            await one.becomes("granted", "user:u2", revision=published.revision)
            rule = ApprovalRule("a2", Mask(4), parse_scope("p1"))
            _, published = await publisher.patch(PolicyPatch("acme", Put(approvals=(rule,))))
            await one.becomes("approval_required", "user:u2", revision=published.revision)
            gone = Removal(bindings=("new",), approvals=("a2",), roles=("Lead",))
            _, published = await publisher.patch(PolicyPatch("acme", remove=gone))
            await one.becomes("no_grant", "user:u2", revision=published.revision)


CANDIDATE = Candidate(bindings=(binding(4),), members=(MemberEntry("user:new"),), remove=("b1", "role:Lead"))


async def test_candidate(redis: RedisServer) -> None:
    """It is put as a whole, judged against what is there, and goes as a whole."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        await publisher.publish(DOCUMENT)
        for patch in (
            PolicyPatch("acme", Put(candidate=CANDIDATE)),
            PolicyPatch("acme", Put(candidate=replace(CANDIDATE, bindings=(), remove=("key:" + "A" * 16,)))),
            PolicyPatch("acme", Put(candidate=CANDIDATE)),
        ):
            await publisher.patch(patch)
            await require_published(one, applied(DOCUMENT, patch))
        for wrong, says in (
            (Put(candidate=replace(CANDIDATE, remove=("nothing",))), "nothing is called"),
            (Put(candidate=Candidate(bindings=(replace(binding(1), id="d1"),))), "stands more than once"),
        ):
            with pytest.raises(PolicyError, match=says):
                await publisher.patch(PolicyPatch("acme", wrong))
        with pytest.raises(PolicyError, match="`b1`, which nothing is called"):
            await publisher.patch(PolicyPatch("acme", remove=Removal(bindings=("b1",))))
        await publisher.patch(PolicyPatch("acme", remove=Removal(candidate=True)))
        await require_published(one, DOCUMENT)


HERE = Position("change.yaml", 3, 7)


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        pytest.param(
            PolicyPatch("acme", Put(bindings=(binding(0, "user:u2"),)), positions={"b0": HERE}),
            ["change.yaml:3:7: `b0` is a binding of `user:u0` already"],
            id="id-of-another-account",
        ),
        pytest.param(
            PolicyPatch("acme", Put(denies=(DenyEntry("b4", "user:u2", Mask(1), parse_scope("*")),))),
            ["`b4` is a binding of `group:all` already"],
            id="id-of-another-kind",
        ),
        pytest.param(
            PolicyPatch("acme", Put(approvals=(ApprovalRule("d2", Mask(2), parse_scope("p9")),))),
            ["`d2` is a deny of `group:few` already"],
            id="rule-with-the-id-of-a-deny",
        ),
        pytest.param(
            PolicyPatch(
                "acme",
                remove=Removal(
                    roles=("Designer",),
                    members=("user:u9",),
                    groups=("none",),
                    bindings=("none", "d1"),
                    denies=("b0",),
                    approvals=("d2",),
                    keys=("B" * 16,),
                    sessions=("mobile",),
                    candidate=True,
                ),
                positions={f"{REMOVE_PREFIX}none": HERE},
            ),
            [
                "change.yaml:3:7: `none` is not there: no binding",
                "`d1` is a deny; list it under `denies`",
                "`b0` is a binding; list it under `bindings`",
                "`d2` is a deny; list it under `denies`",
                "`role:Designer` is not there",
                "`group:none` is not there",
                "`member:user:u9` is not there",
                f"`key:{'B' * 16}` is not there",
                "`sessions.mobile` is not there",
                "`candidate` is not there",
            ],
            id="nothing-of-it-is-there",
        ),
        pytest.param(
            PolicyPatch("acme", remove=Removal(groups=("few",)), positions={f"{REMOVE_PREFIX}group:few": HERE}),
            ["`d2` is for the group `few`, which nobody knows"],
            id="a-deny-loses-its-group",
        ),
        pytest.param(
            PolicyPatch("acme", Put(denies=(DenyEntry("d3", "role:Nobody", Mask(1), parse_scope("*")),))),
            ["`d3` is for the role `Nobody`, which nobody knows"],
            id="a-deny-for-nobody",
        ),
        pytest.param(
            PolicyPatch("acme", Put(roles=(RoleEntry("Lead", "Nothing"), RoleEntry("Viewer")))),
            ["`role:Lead` clones `Nothing`", "`role:Viewer` is built in"],
            id="roles",
        ),
        pytest.param(PolicyPatch("globex"), ["`globex` is not published"], id="not-published"),
    ],
)
async def test_refused(redis: RedisServer, patch: PolicyPatch, says: list[str]) -> None:
    """With everything that is wrong, and its place; nothing is written."""
    async with Publishing(redis.url) as publisher, Following(redis.url) as one:
        before = await publisher.publish(DOCUMENT)
        with pytest.raises(PolicyError) as caught:
            await publisher.patch(patch)
        told = [str(problem) for problem in caught.value.problems]
        assert len(told) == len(says), told
        for line, expected in zip(told, says, strict=True):
            assert line.startswith(expected)
        assert await publisher.revision_of("acme") == before.revision
        await require_published(one, DOCUMENT)


async def test_what_looks_wrong_is_told(redis: RedisServer) -> None:
    """And done: names that nobody knows grant nothing (spec 1.5). What looked wrong before is not told again."""
    async with Publishing(redis.url) as publisher:
        await publisher.publish(replace(DOCUMENT, bindings=(*DOCUMENT.bindings, binding(9, role="Nobody"))))
        put = Put(bindings=(binding(8, "user:stranger", "Somebody"),))
        planned, _ = await publisher.patch(PolicyPatch("acme", put, positions={"b8": HERE}))
        assert [str(one.position) for one in planned.warnings] == ["change.yaml:3:7"] * 2
        assert {one.what.partition(",")[0] for one in planned.warnings} == {
            "names `user:stranger`",
            "gives the role `Somebody`",
        }


async def test_expected_revision(redis: RedisServer) -> None:
    """Who looked at a revision changes that one and no other."""
    patch = PolicyPatch("acme", Put(mfa_max_age_s=7))
    async with Publishing(redis.url) as publisher:
        first = await publisher.publish(DOCUMENT)
        planned = await publisher.plan_patch(patch, first.revision)
        assert (planned.plan.header is None, await publisher.revision_of("acme")) == (False, first.revision)
        _, second = await publisher.patch(patch, first.revision)
        for call in (publisher.patch, publisher.plan_patch):
            with pytest.raises(RevisionError, match=f"at revision {second.revision}, not at {first.revision}"):
                await call(PolicyPatch("acme", Put(mfa_max_age_s=8)), first.revision)


async def test_at_the_same_time(redis: RedisServer) -> None:
    """Of those who change at once each sees what the others did: no change is lost, and no id is given twice."""
    many = tuple(binding(number, "group:few") for number in range(100, 300))
    async with Publishing(redis.url) as one, Publishing(redis.url) as other, Following(redis.url) as following:
        await one.publish(replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many)))
        for turn in range(5):
            news = [replace(binding(turn), id=f"n{turn}-{place}") for place in range(2)]
            await asyncio.gather(
                one.patch(PolicyPatch("acme", Put(bindings=(news[0],)))),
                other.patch(PolicyPatch("acme", Put(bindings=(news[1],)))),
            )
        found = await fetch_document(following.link, "acme")
        assert found is not None
        assert {f"n{turn}-{place}" for turn in range(5) for place in range(2)} <= {
            entry.id for entry in found.document.bindings
        }
        answers = await asyncio.gather(
            one.patch(PolicyPatch("acme", Put(bindings=(replace(binding(1), id="x"),)))),
            other.patch(PolicyPatch("acme", Put(bindings=(replace(binding(1, "user:u3"), id="x"),)))),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, PolicyError) for answer in answers) == 1


async def test_signed(redis: RedisServer) -> None:
    """Whoever signs changes only what was signed with the same key."""
    many = tuple(binding(number, "group:few") for number in range(100, 300))
    signer = Ed25519PrivateKey.generate()
    async with (
        Publishing(redis.url, signer) as publisher,
        Publishing(redis.url) as unsigned,
        Following(redis.url, trusted=signer.public_key()) as one,
    ):
        await publisher.publish(replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many)))
        given = BindingEntry("new", "group:all", "Admin", parse_scope("p1"))
        _, published = await publisher.patch(PolicyPatch("acme", Put(bindings=(given,))))
        await one.becomes("granted", "user:u2", revision=published.revision)
        await unsigned.patch(PolicyPatch("acme", Put(mfa_max_age_s=7)))
        with pytest.raises(IntegrityError, match="not signed"):
            await publisher.patch(PolicyPatch("acme", Put(mfa_max_age_s=8)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(("DEL", "sidegate:{acme}:ids"), "are not all there", id="no-ids"),
        pytest.param(("DEL", "sidegate:{acme}:pages"), "is missing", id="no-pages"),
        pytest.param(("HSET", "sidegate:{acme}:ids", *(x for n in range(16) for x in (str(n), "x"))), "no record",
                     id="garbage"),
    ],
)  # fmt: skip
async def test_what_is_not_as_published(redis: RedisServer, spoil: tuple[str, ...], says: str) -> None:
    """It is told; publishing the whole document again mends what is gone: garbage is to be removed before."""
    many = tuple(binding(number, "group:few") for number in range(100, 300))
    document = replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many))
    patch = PolicyPatch("acme", Put(bindings=(replace(many[7], role="Admin"),)))
    async with Publishing(redis.url) as publisher, Publishing(redis.url) as other:
        await other.publish(document)
        redis.command(*spoil)
        with pytest.raises(IntegrityError, match=says):
            await publisher.patch(patch)
        if spoil[0] != "DEL":
            redis.command("DEL", spoil[1])
        await other.publish(document)
        await publisher.patch(patch)
