"""Where each id of one organization is, for publishers: ids are unique in the whole of it (spec 6.3).

Who changes one entry has to know whether its id is in use, and where; looking through a million entries takes minutes.
So the ids lie in pages, each in the one that it leads to, with the account whose entry it is, or the section of the
header. Sidecars do not read them.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from sidegate.core.model.errors import IntegrityError
from sidegate.core.policy.document import PolicyDocument
from sidegate.distribution.redis_header import INLINE, page_of, pages_for
from sidegate.distribution.redis_records import is_account

IN_HEADER: Final = frozenset(("bindings", "denies", "approvals"))
"""Sections of the header whose entries have ids."""


def write_ids(document: PolicyDocument) -> dict[str, bytes]:
    """Return the pages of *document*, also those without ids: their number is how many there are."""
    listed = [
        (entry.id, entry.who if is_account(entry.who) else section)
        for section, entries in (("bindings", document.bindings), ("denies", document.denies))
        for entry in entries
    ]
    listed += [(rule.id, "approvals") for rule in document.approvals]
    pages: list[dict[str, str]] = [{} for _ in range(pages_for(len(listed)) if len(listed) > INLINE else 1)]
    for entry_id, where in listed:
        pages[page_of(entry_id, len(pages))][entry_id] = where
    return {str(number): write_id_page(page) for number, page in enumerate(pages)}


def write_id_page(page: Mapping[str, str]) -> bytes:
    """Return the content of one page."""
    return orjson.dumps(page, option=orjson.OPT_SORT_KEYS)


def read_id_page(org: str, content: bytes) -> dict[str, str]:
    """Read one page: an account, or a section of the header, by id.

    Raises:
        IntegrityError: It is not what :func:`write_id_page` makes.
    """
    try:
        plain = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise IntegrityError(f"the ids of `{org}` are no JSON; publish it whole again") from error
    if type(plain) is not dict or not all(type(one) is str for one in plain.values()):
        raise IntegrityError(f"the ids of `{org}` cannot be read; publish it whole again")
    if not all(where in IN_HEADER or is_account(where) for where in plain.values()):
        raise IntegrityError(f"the ids of `{org}` name what there is not; publish it whole again")
    return plain
