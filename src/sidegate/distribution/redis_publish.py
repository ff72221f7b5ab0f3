"""Writes an organization to Redis: what changed, in one step, with its event (spec 5.2, 5.3)."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.errors import SidegateError
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.patch import PolicyPatch
from sidegate.distribution.redis_amend import Edit, plan_amendment
from sidegate.distribution.redis_commit import Commit, seal_plan
from sidegate.distribution.redis_events import Announced, write_event
from sidegate.distribution.redis_excerpt import ChangedMeanwhileError, Excerpt
from sidegate.distribution.redis_keys import (
    CHANGES,
    CHANGES_KEPT,
    OrganizationKeys,
    keys_of,
    owners_of,
    staging_of,
)
from sidegate.distribution.redis_patch import PatchPlan, plan_patch
from sidegate.distribution.redis_plan import PREFIXES, Contents, Plan, compare, contents_of
from sidegate.distribution.redis_records import RecordKind
from sidegate.distribution.redis_scripts import COMMIT
from sidegate.redis_link.address import Topology
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link, pairs
from sidegate.redis_link.servers import Argument, Command, Reply
from sidegate.telemetry.clock import Clock

T = TypeVar("T")

PUBLISH_TIMEOUT: Final = Millis(10_000)
"""Of each step of a publish. Nobody waits for it but the publisher."""

STAGED_TIMEOUT: Final = Millis(120_000)
"""Of the step that makes visible what was gathered: two seconds for 100,000 accounts, on a machine that is not busy."""

COMMIT_WITHIN: Final = Millis(5000)
"""In a Cluster, how long after its announcement a change may still become visible."""

INLINE_BYTES: Final = 1 << 20
"""Above this a publish is gathered in a place of its own first: one huge command would hold up everybody else."""

_PAGE: Final = 1000
_ATTEMPTS: Final = 5


@value
class Published:
    """A publish that is visible.

    Attributes:
        plan: What was written.
        revision: What a request can ask for with ``X-Sidegate-Min-Revision``; the one that was there before when
            there was nothing to do.
    """

    plan: Plan
    revision: int


class RevisionError(SidegateError):
    """The organization is not at the revision that a change was made for."""

    def __init__(self, org: str, expected: int, found: int) -> None:
        super().__init__(
            f"`{org}` is at revision {found}, not at {expected}: somebody has published it; "
            "look at what changed, then make the change for that revision"
        )
        self.org = org
        self.found = found


class Publisher:
    """Writes policy to Redis.

    Args:
        link: With a deadline that suits a publisher, e.g. :data:`PUBLISH_TIMEOUT`.
        clock: Revisions are Unix milliseconds, or one more than the last: so they grow also over a Redis that lost all.
        signer: Signs every record; None leaves them unsigned.
        on_step: Told what is being done, for who watches.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        signer: Ed25519PrivateKey | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_step = on_step
        self._link = link
        self._clock = clock
        self._signer = signer
        self._trusted = None if signer is None else signer.public_key()
        self._excerpt: Excerpt | None = None

    async def plan(self, document: PolicyDocument) -> Plan:
        """Find out what publishing *document* would write; writes nothing.

        Raises:
            PolicyError: The document cannot be used.
            DependencyError: Redis is away, or holds something else under the names.
        """
        return await self._compare(self._contents_of(document))

    async def publish(self, document: PolicyDocument) -> Published:
        """Make Redis hold *document*.

        Raises:
            PolicyError: The document cannot be used.
            DependencyError: Redis is away, or holds something else under the names. After a time-out the publish may
                have happened; publishing again finds out.
        """
        contents = self._contents_of(document)
        for _ in range(_ATTEMPTS):
            published = await self.commit(await self._compare(contents))
            if published is not None:
                return published
        raise RedisRefusedError(f"publishing `{contents.org}`", "others publish it again and again", "CONFLICT")

    async def amend(self, org: str, accounts: Sequence[str], edit: Edit) -> Published:
        """Change what is stored of *accounts* of *org*; nothing else of it is read or written.

        Args:
            org: Published before.
            accounts: Those that *edit* wants to know of, or to change.
            edit: Called again when somebody else has published meanwhile.

        Raises:
            PolicyError: The organization is not published, or what *edit* made must not be used.
            IntegrityError: Something there is not what was published.
            DependencyError: As for :meth:`publish`.
        """
        plan = partial(plan_amendment, accounts=accounts, edit=edit)
        return (await self._change(org, plan, lambda planned: planned))[1]

    async def plan_patch(self, patch: PolicyPatch, expected: int | None = None) -> PatchPlan:
        """Find out what *patch* changes; writes nothing.

        Raises:
            PolicyError: It must not be used, or the organization is not published.
            RevisionError: See :meth:`patch`.
            IntegrityError: Something there is not what was published.
            DependencyError: As for :meth:`publish`.
        """
        return await self._plan(patch.organization, partial(_plan_patch, patch=patch, expected=expected))

    async def patch(self, patch: PolicyPatch, expected: int | None = None) -> tuple[PatchPlan, Published]:
        """Make Redis hold what *patch* says; nothing else of the organization is read or written.

        Args:
            patch: The change.
            expected: Revision that the organization has to have; None for any.

        Raises:
            PolicyError: It must not be used, or the organization is not published; carries every error.
            RevisionError: The organization has another revision.
            IntegrityError: Something there is not what was published.
            DependencyError: As for :meth:`publish`.
        """

        plan = partial(_plan_patch, patch=patch, expected=expected)
        return await self._change(patch.organization, plan, lambda planned: planned.plan)

    async def _change(
        self, org: str, plan: Callable[[Excerpt], Awaitable[T]], plan_of: Callable[[T], Plan]
    ) -> tuple[T, Published]:
        for _ in range(_ATTEMPTS):
            planned = await self._plan(org, plan)
            published = await self.commit(plan_of(planned))
            if published is not None:
                return planned, published
        raise _conflict(org)

    async def _plan(self, org: str, plan: Callable[[Excerpt], Awaitable[T]]) -> T:
        for _ in range(_ATTEMPTS):
            excerpt = Excerpt(self._link, org, self._trusted, self._excerpt)
            try:
                planned = await plan(excerpt)
            except ChangedMeanwhileError:
                continue
            self._excerpt = excerpt
            return planned
        raise _conflict(org)

    async def commit(self, plan: Plan) -> Published | None:
        """Write what *plan* says.

        Returns:
            None when somebody else has published the organization since it was compared.

        Raises:
            DependencyError: As for :meth:`publish`.
        """
        if plan.is_empty:
            return Published(plan, plan.expected)
        await self._name_owners(plan)
        commit = seal_plan(plan, self._clock.now(), self._signer)
        if self._link.address.topology is Topology.CLUSTER:
            return await self._commit_announced(commit)
        return await self._commit(commit, until=0, changes=(CHANGES,))

    async def revision_of(self, org: str) -> int:
        """Return the revision that is visible; 0 for none.

        Raises:
            DependencyError: Redis is away, or holds something else under the name.
        """
        found = await self._link.call("GET", keys_of(org).revision, doing=f"reading the revision of `{org}`")
        return _number(found)

    # Within.

    def _contents_of(self, document: PolicyDocument) -> Contents:
        self._on_step(f"laying out {document.organization}")
        return contents_of(document)

    async def _compare(self, contents: Contents) -> Plan:
        self._on_step(f"comparing {contents.org} with what is published")
        keys = keys_of(contents.org)
        revision = await self.revision_of(contents.org)
        stored = await self._digests(contents.org, keys)
        for kind in await self._incomplete(contents.org, keys, stored):
            # Whoever removes what is damaged and publishes again must not be told that all is there.
            stored = {field: digest for field, digest in stored.items() if not field.startswith(PREFIXES[kind])}
        return compare(contents, revision, stored)

    async def _incomplete(self, org: str, keys: OrganizationKeys, stored: Mapping[str, str]) -> list[RecordKind]:
        """Return the kinds of which there are not as many records as there are digests."""
        hashes = {
            RecordKind.SUBJECT: keys.subjects,
            RecordKind.KEY: keys.keys,
            RecordKind.PAGE: keys.pages,
            RecordKind.IDS: keys.ids,
        }
        counts = await self._link.call_all(
            [("HLEN", key) for key in hashes.values()], key=keys.revision, doing=f"comparing `{org}`"
        )
        expected = Counter(field[:2] for field in stored)
        return [kind for kind, count in zip(hashes, counts, strict=True) if count != expected[PREFIXES[kind]]]

    async def _digests(self, org: str, keys: OrganizationKeys) -> dict[str, str]:
        stored: dict[str, str] = {}
        cursor: Argument = 0
        while True:
            page = await self._link.call(
                *("HSCAN", keys.digests, cursor, "COUNT", _PAGE), doing=f"comparing `{org}`", within=PUBLISH_TIMEOUT
            )
            cursor, found = cast("tuple[bytes, Reply]", page)
            stored.update((field.decode(), digest.decode()) for field, digest in pairs(found).items())
            if cursor == b"0":
                return stored

    async def _name_owners(self, plan: Plan) -> None:
        """Let sidecars find the organization of new keys. Before they exist: a hint that leads nowhere does no harm."""
        doing = f"naming the owner of keys of `{plan.org}`"
        new = [key_id for key_id, content in plan.keys.items() if content is not None]
        for page in _pages(new, _PAGE // 10):
            await asyncio.gather(
                *(self._link.call("SADD", owners_of(key_id), plan.org, doing=doing) for key_id in page)
            )

    async def _commit_announced(self, commit: Commit) -> Published | None:
        """Publish where the stream of changes is on another server than the organization.

        Whoever follows the stream is told before and after. A publisher that ends in between leaves the announcement:
        followers then look until the change can no longer become visible.
        """
        org = commit.plan.org
        doing = f"announcing a change of `{org}`"
        now = cast("list[bytes]", await self._link.call("TIME", doing=doing, key=keys_of(org).revision))
        until = int(now[0]) * 1000 + int(now[1]) // 1000 + COMMIT_WITHIN
        await self._tell(write_event(Announced(org, COMMIT_WITHIN)), doing)
        published = await self._commit(commit, until=until, changes=())
        if published is not None:
            await self._tell(commit.event, doing)
        return published

    async def _tell(self, event: bytes, doing: str) -> None:
        await self._link.call("XADD", CHANGES, "MAXLEN", "~", CHANGES_KEPT, "*", "event", event, doing=doing)

    async def _commit(self, commit: Commit, *, until: int, changes: tuple[str, ...]) -> Published | None:
        plan = commit.plan
        keys, doing = keys_of(plan.org), f"publishing `{plan.org}`"
        is_large = commit.size > INLINE_BYTES
        staging = staging_of(plan.org, secrets.token_hex(8))
        if is_large:
            await self._stage(staging, commit.puts, doing)
        answer = await self._link.run_script(
            COMMIT,
            (*keys.all(), staging, *changes),
            commit.arguments(until=until, is_staged=is_large),
            doing=doing,
            within=STAGED_TIMEOUT if is_large else PUBLISH_TIMEOUT,
        )
        outcome = cast("list[Reply]", answer)[0]
        if outcome == 1:
            return Published(plan, commit.revision)
        if is_large:
            await self._link.call("UNLINK", staging, doing=doing)
        if outcome == -1:
            raise RedisRefusedError(doing, "it took too long; look whether Redis is overloaded", "LATE")
        return None

    async def _stage(self, staging: str, puts: Sequence[tuple[str, bytes]], doing: str) -> None:
        commands: list[Command] = [
            ("HSET", staging, *(part for put in page for part in put)) for page in _pages(puts, _PAGE)
        ]
        await self._link.call_all([commands[0], ("EXPIRE", staging, 3600)], key=staging, doing=doing)
        for number, command in enumerate(commands[1:], 1):
            self._on_step(f"{doing}: {number * _PAGE:,} of {len(puts):,} records written")
            await self._link.call(*command, doing=doing, within=PUBLISH_TIMEOUT)


async def _plan_patch(excerpt: Excerpt, patch: PolicyPatch, expected: int | None) -> PatchPlan:
    await excerpt.begin()
    if expected is not None and excerpt.revision != expected:
        raise RevisionError(excerpt.org, expected, excerpt.revision)
    return await plan_patch(excerpt, patch)


def _conflict(org: str) -> RedisRefusedError:
    return RedisRefusedError(f"changing `{org}`", "others publish it again and again", "CONFLICT")


def _number(reply: Reply) -> int:
    if reply is None:
        return 0
    if not isinstance(reply, bytes) or not reply.isdigit():
        raise RedisRefusedError("reading a revision", "something else is stored there; publish again", "WRONGTYPE")
    return int(reply)


def _pages(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
