"""Writes an organization to Redis: what changed, in one step, with its event (spec 5.2, 5.3)."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_events import Announced, Changed, write_event
from sidegate.distribution.redis_keys import (
    CHANGES,
    CHANGES_KEPT,
    LOG_KEPT,
    OrganizationKeys,
    keys_of,
    owners_of,
    staging_of,
)
from sidegate.distribution.redis_records import (
    HEADER_ID,
    RecordKind,
    digest_content,
    seal,
    subject_contents,
    write_header,
    write_key,
)
from sidegate.distribution.redis_scripts import COMMIT
from sidegate.redis_link.address import Topology
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link, pairs
from sidegate.redis_link.servers import Argument, Command, Reply
from sidegate.telemetry.clock import Clock

T = TypeVar("T")

PUBLISH_TIMEOUT: Final = Millis(10_000)
"""Of each step of a publish. Nobody waits for it but the publisher."""

COMMIT_WITHIN: Final = Millis(5000)
"""In a Cluster, how long after its announcement a change may still become visible."""

INLINE_BYTES: Final = 1 << 20
"""Above this a publish is gathered in a place of its own first: one huge command would hold up everybody else."""

_PAGE: Final = 1000
_ATTEMPTS: Final = 5
_HEADER: Final = "h"


@value
class Contents:
    """The contents of one organization's records.

    Attributes:
        org: Its name.
        header: Of the header.
        subjects: By account.
        keys: By id.
    """

    org: str
    header: bytes
    subjects: Mapping[str, bytes]
    keys: Mapping[str, bytes]


@value
class Plan:
    """What a publish would write; nothing when the organization is there as it should be.

    Attributes:
        org: Its name.
        expected: Revision that it was compared with; 0 for none.
        header: The new content; None to leave it.
        subjects: New contents by account; None for one that goes.
        keys: New contents by id; None for one that goes.
    """

    org: str
    expected: int
    header: bytes | None
    subjects: Mapping[str, bytes | None]
    keys: Mapping[str, bytes | None]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.header is None and not self.subjects and not self.keys


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


def contents_of(document: PolicyDocument) -> Contents:
    """Return what is stored of *document*.

    Raises:
        PolicyError: Something is wrong that must not be used; carries every error.
    """
    problems = tuple(
        Problem(document.positions.get(finding.key), finding.key, finding.what, finding.hint)
        for finding in find_problems(document)
        if finding.severity is Severity.ERROR
    )
    if problems:
        raise PolicyError(problems)
    return Contents(
        document.organization,
        write_header(document),
        subject_contents(document),
        {key.id: write_key(key) for key in document.keys},
    )


def compare(contents: Contents, revision: int, stored: Mapping[str, str]) -> Plan:
    """Find out what has to be written.

    Args:
        contents: What should be there.
        revision: Of what is there.
        stored: Digests of what is there, by field (:class:`OrganizationKeys`).
    """
    org = contents.org
    return Plan(
        org,
        revision,
        None
        if stored.get(_HEADER) == digest_content(org, RecordKind.HEADER, HEADER_ID, contents.header)
        else contents.header,
        _changed(org, RecordKind.SUBJECT, "s:", contents.subjects, stored),
        _changed(org, RecordKind.KEY, "k:", contents.keys, stored),
    )


def _changed(
    org: str, kind: RecordKind, prefix: str, contents: Mapping[str, bytes], stored: Mapping[str, str]
) -> dict[str, bytes | None]:
    changed: dict[str, bytes | None] = {
        name: content
        for name, content in contents.items()
        if stored.get(prefix + name) != digest_content(org, kind, name, content)
    }
    gone = (field[2:] for field in stored if field.startswith(prefix) and field[2:] not in contents)
    changed.update((name, None) for name in gone)
    return changed


class Publisher:
    """Writes policy to Redis.

    Args:
        link: With a deadline that suits a publisher, e.g. :data:`PUBLISH_TIMEOUT`.
        clock: Revisions are Unix milliseconds, or one more than the last: so they grow also over a Redis that lost all.
        signer: Signs every record; None leaves them unsigned.
    """

    def __init__(self, link: Link, clock: Clock, signer: Ed25519PrivateKey | None = None) -> None:
        self._link = link
        self._clock = clock
        self._signer = signer

    async def plan(self, document: PolicyDocument) -> Plan:
        """Find out what publishing *document* would write; writes nothing.

        Raises:
            PolicyError: The document cannot be used.
            DependencyError: Redis is away, or holds something else under the names.
        """
        return await self._compare(contents_of(document))

    async def publish(self, document: PolicyDocument) -> Published:
        """Make Redis hold *document*.

        Raises:
            PolicyError: The document cannot be used.
            DependencyError: Redis is away, or holds something else under the names. After a time-out the publish may
                have happened; publishing again finds out.
        """
        contents = contents_of(document)
        for _ in range(_ATTEMPTS):
            published = await self.commit(await self._compare(contents))
            if published is not None:
                return published
        raise RedisRefusedError(f"publishing `{contents.org}`", "others publish it again and again", "CONFLICT")

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
        revision = max(self._clock.now(), plan.expected + 1)
        event = write_event(
            Changed(
                plan.org,
                revision,
                plan.expected,
                plan.header is not None,
                tuple(plan.subjects),
                tuple(plan.keys),
            )
        )
        if self._link.address.topology is Topology.CLUSTER:
            return await self._commit_announced(plan, revision, event)
        return await self._commit(plan, revision, event, until=0, changes=(CHANGES,))

    async def revision_of(self, org: str) -> int:
        """Return the revision that is visible; 0 for none.

        Raises:
            DependencyError: Redis is away, or holds something else under the name.
        """
        found = await self._link.call("GET", keys_of(org).revision, doing=f"reading the revision of `{org}`")
        return _number(found)

    # Within.

    async def _compare(self, contents: Contents) -> Plan:
        keys = keys_of(contents.org)
        revision = await self.revision_of(contents.org)
        stored = await self._digests(contents.org, keys)
        return compare(contents, revision, stored)

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

    async def _commit_announced(self, plan: Plan, revision: int, event: bytes) -> Published | None:
        """Publish where the stream of changes is on another server than the organization.

        Whoever follows the stream is told before and after. A publisher that ends in between leaves the announcement:
        followers then look until the change can no longer become visible.
        """
        keys, doing = keys_of(plan.org), f"announcing a change of `{plan.org}`"
        now = cast("list[bytes]", await self._link.call("TIME", doing=doing, key=keys.revision))
        until = int(now[0]) * 1000 + int(now[1]) // 1000 + COMMIT_WITHIN
        await self._tell(write_event(Announced(plan.org, COMMIT_WITHIN)), doing)
        published = await self._commit(plan, revision, event, until=until, changes=())
        if published is not None:
            await self._tell(event, doing)
        return published

    async def _tell(self, event: bytes, doing: str) -> None:
        await self._link.call("XADD", CHANGES, "MAXLEN", "~", CHANGES_KEPT, "*", "event", event, doing=doing)

    async def _commit(
        self, plan: Plan, revision: int, event: bytes, *, until: int, changes: tuple[str, ...]
    ) -> Published | None:
        keys, doing = keys_of(plan.org), f"publishing `{plan.org}`"
        puts, gone = self._fields(plan, revision)
        is_large = sum(len(record) for _, record in puts) > INLINE_BYTES
        staging = staging_of(plan.org, secrets.token_hex(8))
        if is_large:
            await self._stage(staging, puts, doing)
            fields: Sequence[Argument] = (-1,)
        else:
            fields = (len(puts), *(part for put in puts for part in put))
        header = (
            b""
            if plan.header is None
            else seal(plan.org, RecordKind.HEADER, HEADER_ID, revision, plan.header, signer=self._signer)
        )
        answer = await self._link.run_script(
            COMMIT,
            (*keys.all(), staging, *changes),
            (plan.expected, revision, until, LOG_KEPT, CHANGES_KEPT, event, header, *fields, *gone),
            doing=doing,
            within=PUBLISH_TIMEOUT,
        )
        outcome = cast("list[Reply]", answer)[0]
        if outcome == 1:
            return Published(plan, revision)
        if is_large:
            await self._link.call("UNLINK", staging, doing=doing)
        if outcome == -1:
            raise RedisRefusedError(doing, "it took too long; look whether Redis is overloaded", "LATE")
        return None

    def _fields(self, plan: Plan, revision: int) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Return what is put, field and record, and the fields that go."""
        puts: list[tuple[str, bytes]] = []
        gone: list[str] = []
        for kind, prefix, contents in (
            (RecordKind.SUBJECT, "s:", plan.subjects),
            (RecordKind.KEY, "k:", plan.keys),
        ):
            for name, content in contents.items():
                if content is None:
                    gone += (prefix + name, f"d:{prefix}{name}")
                    continue
                puts.append((prefix + name, seal(plan.org, kind, name, revision, content, signer=self._signer)))
                puts.append((f"d:{prefix}{name}", digest_content(plan.org, kind, name, content).encode()))
        if plan.header is not None:
            digest = digest_content(plan.org, RecordKind.HEADER, HEADER_ID, plan.header)
            puts.append((f"d:{_HEADER}", digest.encode()))
        return puts, gone

    async def _stage(self, staging: str, puts: list[tuple[str, bytes]], doing: str) -> None:
        commands: list[Command] = [
            ("HSET", staging, *(part for put in page for part in put)) for page in _pages(puts, _PAGE)
        ]
        await self._link.call_all([commands[0], ("EXPIRE", staging, 3600)], key=staging, doing=doing)
        for command in commands[1:]:
            await self._link.call(*command, doing=doing, within=PUBLISH_TIMEOUT)


def _number(reply: Reply) -> int:
    if reply is None:
        return 0
    if not isinstance(reply, bytes) or not reply.isdigit():
        raise RedisRefusedError("reading a revision", "something else is stored there; publish again", "WRONGTYPE")
    return int(reply)


def _pages(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
