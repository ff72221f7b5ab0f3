"""Names of what lies in Redis. All keys of one organization share its hash tag, so they share a slot (spec 5.1)."""

from typing import Final

from sidegate.core.model.value import value

CHANGES: Final = "sidegate:changes"
"""The one stream of change events that every sidecar follows."""

CHANGES_KEPT: Final = 100_000
"""Events kept, roughly. A sidecar that was away for more reads everything again that it uses."""

LOG_KEPT: Final = 1000
"""Changes of one organization kept, roughly: enough for whoever is a few behind to re-read only what changed."""


@value
class OrganizationKeys:
    """The keys of one organization.

    Attributes:
        revision: Its number.
        header: The header record: the root of the header.
        subjects: Hash of subject records by account.
        keys: Hash of key records by id.
        digests: Hash of the digest of each content, by ``s:ACCOUNT``, ``k:ID``, ``p:PAGE``, ``i:NUMBER`` or ``h``:
            what a publisher compares.
        log: Stream of its changes; the ids are the revisions.
        pages: Hash of the pages of a header that is long, by name.
        ids: Hash of the pages of ids, by number: what a publisher finds entries by.
    """

    revision: str
    header: str
    subjects: str
    keys: str
    digests: str
    log: str
    pages: str
    ids: str

    def all(self) -> tuple[str, ...]:
        """Return every key, in the order in which the scripts take them."""
        return (self.revision, self.header, self.subjects, self.keys, self.digests, self.log, self.pages, self.ids)


def keys_of(org: str) -> OrganizationKeys:
    """Return the keys of *org*, which is a checked name and so holds no brace."""
    tag = f"sidegate:{{{org}}}"
    names = ("revision", "header", "subjects", "keys", "digests", "log", "pages", "ids")
    return OrganizationKeys(*(f"{tag}:{name}" for name in names))


def staging_of(org: str, token: str) -> str:
    """Return where a large publish gathers its records before they become visible."""
    return f"sidegate:{{{org}}}:staged:{token}"


def owners_of(key_id: str) -> str:
    """Return the set of organizations that may have an API key *key_id*: a hint, the key's record decides."""
    return f"sidegate:key-owners:{{{key_id}}}"
