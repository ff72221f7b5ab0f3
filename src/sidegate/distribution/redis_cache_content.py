"""What the policy cache on disk holds: steps that lead to what was in memory, and what they come to (spec 5.4)."""

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, assert_never

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value

_HEAD: Final = struct.Struct(">BHHI")


class StepKind(IntEnum):
    """What a step does. The numbers are part of the form on disk."""

    HEADER = 1
    """Puts the header; the content is the record."""
    REVISION = 2
    """Says which revision of the organization everything of it is; the name is the number."""
    SUBJECT = 3
    """Puts an account's record."""
    KEY = 4
    """Puts an API key's record."""
    DROP_SUBJECT = 5
    DROP_KEY = 6
    DROP_RECORDS = 7
    """Drops every account and key of the organization."""
    DROP_ORGANIZATION = 8
    DOUBT = 9
    """There may be something newer since; the name is the instant, empty for no doubt."""
    PAGE = 10
    """Puts a page of the header."""
    DROP_PAGE = 11


@value
class Step:
    """One step.

    Attributes:
        kind: What it does.
        org: To which organization.
        name: Account, id of a key, or a number.
        record: As it came from Redis; empty for steps that put nothing.
    """

    kind: StepKind
    org: str
    name: str = ""
    record: bytes = b""


def write_steps(steps: Iterable[Step]) -> bytes:
    """Return *steps* as one entry of a cache file."""
    parts: list[bytes] = []
    for step in steps:
        org, name = step.org.encode(), step.name.encode()
        parts += (_HEAD.pack(step.kind, len(org), len(name), len(step.record)), org, name, step.record)
    return b"".join(parts)


def read_steps(entry: bytes) -> Iterator[Step]:
    """Read what :func:`write_steps` made.

    Raises:
        IntegrityError: It is not that.
    """
    place, end = 0, len(entry)
    try:
        while place < end:
            number, org_size, name_size, record_size = _HEAD.unpack_from(entry, place)
            org_at = place + _HEAD.size
            name_at = org_at + org_size
            record_at = name_at + name_size
            place = record_at + record_size
            if place > end:
                raise IntegrityError("a step reaches behind its entry")
            org, name = entry[org_at:name_at].decode(), entry[name_at:record_at].decode()
            yield Step(StepKind(number), org, name, entry[record_at:place])
    except (struct.error, ValueError) as error:
        raise IntegrityError(f"a step cannot be read: {error}") from error


class KeptOrganization:
    """What was in memory of one organization, as it came from Redis; nothing of it is verified yet.

    Attributes:
        revision: Of everything here; 0 when it is not said.
        header: The record; empty when it is not there.
        pages: Records of the header's pages, by name.
        subjects: Records by account.
        keys: Records by id.
        since: When it was last known to be current.
    """

    __slots__ = ("header", "keys", "pages", "revision", "since", "subjects")

    def __init__(self, since: UnixMillis) -> None:
        self.revision = 0
        self.header = b""
        self.pages: dict[str, bytes] = {}
        self.subjects: dict[str, bytes] = {}
        self.keys: dict[str, bytes] = {}
        self.since = since

    @property
    def is_usable(self) -> bool:
        """Whether anything can be decided with it."""
        return self.revision > 0 and self.header != b""


def follow_steps(entries: Iterable[bytes], at: UnixMillis) -> dict[str, KeptOrganization]:
    """Return the organizations that *entries*, of a cache that was current at *at*, lead to.

    Raises:
        IntegrityError: Some entry is no list of steps.
    """
    found: dict[str, KeptOrganization] = {}
    for entry in entries:
        for step in read_steps(entry):
            _take_step(found, step, at)
    return {org: kept for org, kept in found.items() if kept.is_usable}


def _take_step(found: dict[str, KeptOrganization], step: Step, at: UnixMillis) -> None:
    kept = found.get(step.org)
    if kept is None:
        kept = found[step.org] = KeptOrganization(at)
    match step.kind:
        case StepKind.HEADER:
            kept.header = step.record
        case StepKind.PAGE:
            kept.pages[step.name] = step.record
        case StepKind.DROP_PAGE:
            kept.pages.pop(step.name, None)
        case StepKind.REVISION:
            kept.revision = _number(step.name)
        case StepKind.SUBJECT:
            kept.subjects[step.name] = step.record
        case StepKind.KEY:
            kept.keys[step.name] = step.record
        case StepKind.DROP_SUBJECT:
            kept.subjects.pop(step.name, None)
        case StepKind.DROP_KEY:
            kept.keys.pop(step.name, None)
        case StepKind.DROP_RECORDS:
            kept.subjects.clear()
            kept.keys.clear()
        case StepKind.DROP_ORGANIZATION:
            del found[step.org]
        case StepKind.DOUBT:
            kept.since = UnixMillis(min(at, _number(step.name))) if step.name else at
        case _:
            assert_never(step.kind)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise IntegrityError("a number is none")
    return int(text)


def merge(caches: Iterable[dict[str, KeptOrganization]]) -> dict[str, KeptOrganization]:
    """Put what several processes kept together.

    Of each organization only what is of its latest revision counts: what an older cache says of an account may have
    been changed since. It is as old as the oldest that counts.
    """
    merged: dict[str, KeptOrganization] = {}
    for cache in caches:
        for org, kept in cache.items():
            known = merged.get(org)
            if known is None or kept.revision > known.revision:
                merged[org] = kept
            elif kept.revision == known.revision:
                known.pages |= kept.pages
                known.subjects |= kept.subjects
                known.keys |= kept.keys
                known.since = min(known.since, kept.since)
    return merged
