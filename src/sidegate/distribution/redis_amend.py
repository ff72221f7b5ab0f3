"""Changes some accounts of an organization that is published, and reads no others (spec 5.2).

Comparing a whole document takes seconds for a million bindings. Whoever knows what changes, changes only that.
"""

from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError, PolicyError, Problem
from sidegate.core.policy.document import MemberEntry, PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_plan import Plan
from sidegate.distribution.redis_reading import ask
from sidegate.distribution.redis_records import (
    HEADER_ID,
    RecordKind,
    Sealed,
    StoredSubject,
    read_header,
    read_subject,
    unseal,
    write_subject,
)
from sidegate.redis_link.link import Link

Edit = Callable[[Mapping[str, StoredSubject]], Mapping[str, StoredSubject]]
"""Given what is stored of each account that was named, returns what is to be stored of those that change. An account of
which nothing is left is removed."""

NOBODY = StoredSubject(None)


class Amender:
    """Plans changes of single accounts; keeps the last header that it read.

    Args:
        link: To Redis.
        trusted: When given, whose signature every record must have that is read.
    """

    def __init__(self, link: Link, trusted: Ed25519PublicKey | None) -> None:
        self._link = link
        self._trusted = trusted
        self._org = ""
        self._revision = 0
        self._header = PolicyDocument("")

    async def plan(self, org: str, accounts: Sequence[str], edit: Edit) -> Plan:
        """Find out what *edit* changes; writes nothing.

        Ids have to be unique in the whole organization; among those of *accounts* and of the header that is checked.

        Raises:
            PolicyError: The organization is not published, or what *edit* made must not be used.
            IntegrityError: Something there is not what was published.
            DependencyError: Redis is away, or holds something else under the names.
        """
        known = self._revision if self._org == org else 0
        raw = await ask(self._link, org, accounts, header=known)
        if raw is None:
            raise PolicyError((Problem(None, org, "is not published", "publish it whole first"),))
        if raw.header is not None:
            self._take_header(org, raw.header)
        stored = {
            account: NOBODY if record is None else read_subject(account, self._unseal(org, account, record).content)
            for account, record in raw.subjects.items()
        }
        changed = edit(stored)
        if not changed.keys() <= stored.keys():
            raise ValueError(f"{', '.join(changed.keys() - stored.keys())} was not named; name every account")
        self._require_usable({**stored, **changed})
        contents: dict[str, bytes | None] = {}
        for account, subject in changed.items():
            if subject != stored[account]:
                contents[account] = None if subject == NOBODY else write_subject(subject)
        return Plan(org, raw.revision, None, contents, {})

    def _take_header(self, org: str, record: bytes) -> None:
        sealed = unseal(org, RecordKind.HEADER, HEADER_ID, record, trusted=self._trusted)
        self._header = read_header(org, sealed.content)
        self._org, self._revision = org, sealed.revision

    def _unseal(self, org: str, account: str, record: bytes) -> Sealed:
        return unseal(org, RecordKind.SUBJECT, account, record, trusted=self._trusted)

    def _require_usable(self, subjects: Mapping[str, StoredSubject]) -> None:
        header = self._header
        for account, subject in subjects.items():
            # What is stored under a name speaks of nobody else; read_subject() refuses it when it is read.
            named = {one.who for one in subject.bindings} | {one.who for one in subject.denies}
            if not named <= {account} or (subject.member is not None and subject.member.account != account):
                raise IntegrityError(f"what is to be stored of `{account}` speaks of somebody else; store it there")
        document = PolicyDocument(
            header.organization,
            mfa_max_age_s=header.mfa_max_age_s,
            roles=header.roles,
            members=tuple(_members(subjects)),
            groups=header.groups,
            bindings=tuple(one for subject in subjects.values() for one in subject.bindings),
            denies=tuple(one for subject in subjects.values() for one in subject.denies),
        )
        problems = tuple(
            Problem(None, finding.key, finding.what, finding.hint)
            for finding in find_problems(document)
            if finding.severity is Severity.ERROR
        )
        if problems:
            raise PolicyError(problems)


def _members(subjects: Mapping[str, StoredSubject]) -> list[MemberEntry]:
    return [subject.member for subject in subjects.values() if subject.member is not None]
