"""Reads one organization, as far as it is wanted, and verifies what comes back (spec 5.2)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.distribution.politeness import loading
from sidegate.distribution.redis_held_header import HeldHeader, OpenedRoot, missing_pages, open_root
from sidegate.distribution.redis_keys import keys_of
from sidegate.distribution.redis_loading import (
    LargeHeader,
    Opened,
    Raw,
    large_header,
    open_answer,
    read_answer,
    with_header,
)
from sidegate.distribution.redis_memory import BIG_BYTES
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.redis_scripts import READ
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link
from sidegate.redis_link.servers import Argument

BATCH: Final = 64
"""Accounts and keys that one read asks for."""

PIECE_BYTES: Final = 262_144
"""Of a large header: a fraction of a millisecond."""

PAGES_AT_ONCE: Final = 4
"""Pages of a header that one call fetches: of 100,000 bindings 160 KB."""

_FIRST_LINE_BYTES: Final = 256
_ATTEMPTS: Final = 5
_AGAIN_AND_AGAIN: Final = "it is published again and again meanwhile"


async def ask(
    link: Link, org: str, accounts: Sequence[str], key_ids: Sequence[str] = (), *, revision: int = 0, header: int = 0
) -> Raw | None:
    """Ask Redis for what of *org* is new, and for some records; None when there is no such organization.

    Args:
        link: To Redis.
        org: A checked name.
        accounts: Whose records are wanted.
        key_ids: Of the API keys that are wanted.
        revision: In hand; 0 for none.
        header: Revision of the header in hand; 0 for none.

    Raises:
        DependencyError: Redis is away, or holds something else under the names.
        IntegrityError: Something is there that nobody published.
    """
    keys, doing = keys_of(org), f"reading `{org}`"
    wanted: tuple[Argument, ...] = (revision, header, len(accounts), *accounts, *key_ids)
    for _ in range(_ATTEMPTS):
        reply = await link.run_script(READ, keys.all(), wanted, doing=doing)
        large = large_header(reply)
        if large is None:
            return read_answer(org, reply, accounts, key_ids)
        found = await _read_in_pieces(link, keys.header, large, doing)
        if found is not None:
            return read_answer(org, with_header(reply, found), accounts, key_ids)
    raise RedisRefusedError(doing, _AGAIN_AND_AGAIN, "CONFLICT")


async def ask_whole(
    link: Link,
    org: str,
    accounts: Sequence[str],
    key_ids: Sequence[str] = (),
    *,
    revision: int = 0,
    known: HeldHeader | None = None,
    trusted: Ed25519PublicKey | None = None,
) -> Raw | None:
    """Like :func:`ask`, and fetch the pages that the header has and *known*, the one in hand, has not.

    The root names the digest of each page. So it is seen when one that is fetched belongs to a later header, and
    everything is asked for again.
    """
    header = 0 if known is None else known.revision
    for _ in range(_ATTEMPTS):
        raw = await ask(link, org, accounts, key_ids, revision=revision, header=header)
        if raw is not None:
            raw = await open_root_of(org, raw, trusted)
        if raw is None or raw.root is None:
            return raw
        wanted = missing_pages(raw.root.root, known)
        if not wanted:
            return raw
        pages = await fetch_pages(link, org, wanted)
        if await _is_header(link, org, raw.root.raw):
            return replace(raw, pages=pages)
    raise RedisRefusedError(f"reading `{org}`", _AGAIN_AND_AGAIN, "CONFLICT")


async def open_root_of(org: str, raw: Raw, trusted: Ed25519PublicKey | None) -> Raw:
    """Verify and read the root that *raw* has, in a thread if it is long.

    Raises:
        IntegrityError: It cannot be used.
    """
    record = raw.header
    if record is None or raw.root is not None:
        return raw
    if len(record) <= BIG_BYTES:
        return replace(raw, root=open_root(org, record, trusted))

    def open_aside(content: bytes) -> OpenedRoot:
        with loading():
            return open_root(org, content, trusted)

    return replace(raw, root=await asyncio.to_thread(open_aside, record))


async def fetch_pages(link: Link, org: str, names: Sequence[str]) -> dict[str, bytes | None]:
    """Fetch pages of a header, a few at a time: none of the answers holds up the event loop."""
    pages: dict[str, bytes | None] = {}
    for start in range(0, len(names), PAGES_AT_ONCE):
        some = names[start : start + PAGES_AT_ONCE]
        found = await link.call("HMGET", keys_of(org).pages, *some, doing=f"reading `{org}`")
        pages.update(zip(some, cast("list[bytes | None]", found), strict=True))
        await asyncio.sleep(0)
    return pages


async def _is_header(link: Link, org: str, record: bytes) -> bool:
    """Whether *record* is still the header: its first line has revision and digest."""
    beginning = record[:_FIRST_LINE_BYTES]
    return await _range(link, keys_of(org).header, 0, len(beginning) - 1, f"reading `{org}`") == beginning


async def _read_in_pieces(link: Link, key: str, large: LargeHeader, doing: str) -> bytes | None:
    """Read what is too long for one answer, which would hold up the event loop; None when it has changed meanwhile."""
    pieces: list[bytes] = []
    for start in range(0, large.length, PIECE_BYTES):
        pieces.append(await _range(link, key, start, start + PIECE_BYTES - 1, doing))
        # What was already received would be read without a turn of the loop in between.
        await asyncio.sleep(0)
    # Its first line has revision and digest: as long as it is the same, so is the rest.
    if await _range(link, key, 0, len(large.beginning) - 1, doing) != large.beginning:
        return None
    return await asyncio.to_thread(b"".join, pieces)


async def _range(link: Link, key: str, first: int, last: int, doing: str) -> bytes:
    return cast("bytes", await link.call("GETRANGE", key, first, last, doing=doing))


async def open_raw(known: Organization, raw: Raw, trusted: Ed25519PublicKey | None) -> Opened:
    """Verify and read *raw*: in a thread, when doing so would hold up the event loop.

    Raises:
        IntegrityError: The header cannot be used: then nothing of the answer can (spec 5.2).
    """
    header = None if known.loaded is None else known.loaded.held_header
    if not raw.is_big:
        return open_answer(known.name, raw, header, trusted)

    def open_aside() -> Opened:
        with loading():
            return open_answer(known.name, raw, header, trusted)

    return await asyncio.to_thread(open_aside)


def take_some(wanted: dict[str, None]) -> tuple[str, ...]:
    """Take out as many names as one read asks for."""
    taken = tuple(name for name, _ in zip(wanted, range(BATCH), strict=False))
    for name in taken:
        del wanted[name]
    return taken
