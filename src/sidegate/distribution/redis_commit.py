"""The arguments of the script COMMIT: one publish as Redis takes it in one step (spec 5.2)."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.distribution.redis_events import Changed, write_event
from sidegate.distribution.redis_keys import CHANGES_KEPT, LOG_KEPT
from sidegate.distribution.redis_plan import HEADER_FIELD, PREFIXES, Plan
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, digest_content, seal
from sidegate.redis_link.servers import Argument

STAGED = -1
"""Number of fields that says that they were gathered elsewhere."""


@value
class Commit:
    """One publish, sealed.

    Attributes:
        plan: What is written.
        revision: Its number.
        event: What followers are told.
        header: The header record; empty to leave the one that is there.
        puts: Field and record, or digest, in the order in which they are put.
        gone: Fields that go.
    """

    plan: Plan
    revision: int
    event: bytes
    header: bytes
    puts: tuple[tuple[str, bytes], ...]
    gone: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of what is put, the header aside."""
        return sum(len(record) for _, record in self.puts)

    def arguments(self, *, until: int, is_staged: bool) -> tuple[Argument, ...]:
        """Return what the script takes besides keys.

        Args:
            until: Unix milliseconds after which it must not become visible; 0 for no limit.
            is_staged: What is put lies in the staged hash already.
        """
        fields: tuple[Argument, ...] = (
            (STAGED,) if is_staged else (len(self.puts), *(part for put in self.puts for part in put))
        )
        plan = self.plan
        return (
            *(plan.expected, self.revision, until, LOG_KEPT, CHANGES_KEPT, self.event, self.header),
            *(*fields, *self.gone),
        )


def seal_plan(plan: Plan, now: UnixMillis, signer: Ed25519PrivateKey | None) -> Commit:
    """Number and seal what *plan* says.

    Args:
        plan: Not an empty one.
        now: Revisions are Unix milliseconds, or one more than the last.
        signer: Signs every record; None leaves them unsigned.
    """
    revision = max(now, plan.expected + 1)
    org = plan.org
    puts: list[tuple[str, bytes]] = []
    gone: list[str] = []
    for kind, contents in plan.records():
        prefix = PREFIXES[kind]
        for name, content in contents.items():
            if content is None:
                gone += (prefix + name, f"d:{prefix}{name}")
                continue
            puts.append((prefix + name, seal(org, kind, name, revision, content, signer=signer)))
            puts.append((f"d:{prefix}{name}", digest_content(org, kind, name, content).encode()))
    header = b""
    if plan.header is not None:
        header = seal(org, RecordKind.HEADER, HEADER_ID, revision, plan.header, signer=signer)
        digest = digest_content(org, RecordKind.HEADER, HEADER_ID, plan.header)
        puts.append((f"d:{HEADER_FIELD}", digest.encode()))
    changed = Changed(org, revision, plan.expected, bool(header), tuple(plan.subjects), tuple(plan.keys))
    return Commit(plan, revision, write_event(changed), header, tuple(puts), tuple(gone))
