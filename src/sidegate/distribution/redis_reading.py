"""Reads one organization, as far as it is wanted, and verifies what comes back (spec 5.2)."""

import asyncio
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.distribution.politeness import loading
from sidegate.distribution.redis_keys import keys_of
from sidegate.distribution.redis_loading import Opened, Raw, open_answer, read_answer
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.redis_scripts import READ
from sidegate.redis_link.link import Link

BATCH: Final = 64
"""Accounts and keys that one read asks for."""


async def ask(link: Link, known: Organization, accounts: Sequence[str], key_ids: Sequence[str]) -> Raw | None:
    """Ask Redis for what of *known* is new, and for some records; None when there is no such organization.

    Raises:
        DependencyError: Redis is away, or holds something else under the names.
        IntegrityError: Something is there that nobody published.
    """
    reply = await link.run_script(
        READ,
        keys_of(known.name).all(),
        (known.revision, known.header_revision, len(accounts), *accounts, *key_ids),
        doing=f"reading `{known.name}`",
    )
    return read_answer(known.name, reply, accounts, key_ids)


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
