"""What many sidecars answered, held against the slow reading of the rules (tests/oracle) and the order of changes.

Every record names the revision it was decided at. Each is decided again here, by the document of that revision and by
code that shares nothing with the engine; then the order is looked at: nothing is in force before somebody asked for it,
and nothing that one sidecar has once enforced is ever forgotten there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from tests.oracle.agreement import agree
from tests.oracle.decide import Oracle

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import UnixMillis, parse_instant
from sidegate.core.policy.document import PolicyDocument

Json = dict[str, Any]

REVOKED: Final = frozenset({"session_revoked", "key_revoked"})
AWAY: Final = "policy_unavailable"


@dataclass(frozen=True)
class Held:
    """A credential that load is made with.

    Attributes:
        id: As records name it.
        kind: Session or key.
        account: Whose.
        header: The line that presents it.
        second_factor_at: Of a session.
        is_known: It was used at every sidecar before anything happened, so that none needs Redis for it.
    """

    id: str
    kind: CredentialKind
    account: str
    header: str
    second_factor_at: UnixMillis | None = None
    is_known: bool = True


@dataclass(frozen=True)
class Window:
    """From when something was asked for until it was acknowledged; UNIX milliseconds."""

    begun: int
    ended: int


@dataclass(frozen=True)
class Asked:
    """One request and how it was answered.

    Attributes:
        id: Its ``X-Request-Id``, which the record has too.
        held: What it presented.
        status: Of the answer.
        reason: Why Sidegate refused; None for an answer of the upstream's.
    """

    id: str
    held: Held
    status: int
    reason: str | None


@dataclass
class History:
    """What was made to happen, and when.

    Attributes:
        documents: What was published, by revision.
        published: When, by revision.
        revoked: When credentials were revoked, by their ids.
    """

    documents: dict[int, PolicyDocument] = field(default_factory=dict)
    published: dict[int, Window] = field(default_factory=dict)
    revoked: dict[str, Window] = field(default_factory=dict)


@dataclass
class Findings:
    """What came of it.

    Attributes:
        wrong: Everything that is not as it has to be, one line each.
        late_ms: For each change and sidecar how long after its acknowledgement the last request came in that was still
            answered as before; 0 for none. By what changed: ``policy``, ``revocation``.
        reasons: How many records have each reason, so that load that reaches nothing cannot pass for agreement.
    """

    wrong: list[str] = field(default_factory=list)
    late_ms: dict[str, list[int]] = field(default_factory=lambda: {"policy": [], "revocation": []})
    reasons: Counter[str] = field(default_factory=Counter)


class Replay:
    """Decides records again.

    Args:
        history: What was made to happen.
        asked: What was asked, by request id.
        subtrees: Whether a route asks about a subtree, by method and pattern as records name it.
    """

    def __init__(self, history: History, asked: Mapping[str, Asked], subtrees: Mapping[str, bool]) -> None:
        self._history = history
        self._asked = asked
        self._subtrees = subtrees
        self._oracles = {revision: Oracle(document) for revision, document in history.documents.items()}
        self.findings = Findings()

    def judge(self, sidecar: str, records: Sequence[Json]) -> None:
        """Judge the decisions of one sidecar, in the order of its chain."""
        found = self.findings
        matched = [(record, self._asked[record["request_id"]]) for record in records if self._is_asked(record)]
        for record, asked in matched:
            found.reasons[record["reason"]] += 1
            found.wrong += [f"{sidecar}: {wrong}: {record}" for wrong in self._wrong(record, asked)]
        found.wrong += [f"{sidecar}: {wrong}" for wrong in self._out_of_order(matched)]
        found.late_ms["policy"] += self._late_revisions(matched)
        found.late_ms["revocation"] += self._late_revocations(matched)

    def judge_answers(self, records: Iterable[Json]) -> None:
        """Hold that every answer has its one record, and every record its answer."""
        counted = Counter(record["request_id"] for record in records if self._is_asked(record))
        for request_id in self._asked:
            if counted[request_id] != 1:
                self.findings.wrong.append(f"the answer to {request_id} has {counted[request_id]} records")

    # -- one record ---------------------------------------------------------------------------------------------------

    def _is_asked(self, record: Json) -> bool:
        return record["request_id"] in self._asked

    def _wrong(self, record: Json, asked: Asked) -> Iterator[str]:
        told = None if record["outcome"] == Outcome.ALLOW else record["reason"]
        if asked.reason != told:
            yield f"recorded as {told}, answered as {asked.reason} ({asked.status})"
        at = parse_instant(record["time"])
        if record["reason"] == AWAY:
            # Who is not known has to wait for Redis, and on a busy machine may do so in vain.
            if asked.held.is_known:
                yield "refused as if nothing were known of it"
        elif record["reason"] in REVOKED:
            window = self._history.revoked.get(asked.held.id)
            if window is None or at < window.begun:
                yield "refused as revoked, which nobody asked for"
        else:
            yield from self._wrong_decision(record, asked.held, at)

    def _wrong_decision(self, record: Json, held: Held, at: UnixMillis) -> Iterator[str]:
        revision = record["revision"]
        if revision not in self._oracles:
            yield f"decided at revision {revision}, which was never published"
            return
        if at < self._history.published[revision].begun:
            yield f"decided at revision {revision} before it was published"
        if (record["credential"] or {}).get("id") != held.id or record["actor"]["account"] != held.account:
            yield f"recorded for somebody else than {held.account}"
            return
        expected = self._oracles[revision].decide(self._query(record, held, revision), at)
        actual = Decision(
            Outcome(record["outcome"]),
            Reason(record["reason"]),
            tuple(record["because"]),
            Remedy(record["remedy"]),
        )
        if not agree(expected, actual):
            yield f"should be {expected}"

    def _query(self, record: Json, held: Held, revision: int) -> Query:
        entry = next((key for key in self._history.documents[revision].keys if key.id == held.id), None)
        credential = VerifiedCredential(
            held.kind,
            held.id,
            held.account,
            "acme",
            authorities=None if entry is None else entry.authorities,
            scopes=None if entry is None else entry.scopes,
            second_factor_at=held.second_factor_at,
            surface="web" if held.kind is CredentialKind.SESSION else "api",
            issued_at=UnixMillis(0),
        )
        subtree = self._subtrees[record["route"]]
        target = parse_target(record["org"], record["target"], subtree=subtree)
        return Query(credential, Authority(record["authority"]), target, ip_address(record["source"]))

    # -- their order --------------------------------------------------------------------------------------------------

    def _out_of_order(self, matched: Sequence[tuple[Json, Asked]]) -> Iterator[str]:
        revision, seq, refused = 0, 0, set[str]()
        for record, asked in matched:
            if record["seq"] <= seq:
                yield f"record {record['seq']} comes after {seq}"
            seq = record["seq"]
            if record["reason"] in REVOKED:
                refused.add(asked.held.id)
            elif record["reason"] != AWAY:
                if asked.held.id in refused:
                    yield f"record {seq} accepts {asked.held.id}, which was refused as revoked before"
                if record["revision"] < revision:
                    yield f"record {seq} is of revision {record['revision']}, after {revision}"
                revision = max(revision, record["revision"])

    def _late_revisions(self, matched: Sequence[tuple[Json, Asked]]) -> Iterator[int]:
        for revision, window in self._history.published.items():
            older = [
                parse_instant(record["time"]) - window.ended
                for record, _ in matched
                if record["reason"] not in REVOKED | {AWAY} and record["revision"] < revision
            ]
            yield max([0, *older])

    def _late_revocations(self, matched: Sequence[tuple[Json, Asked]]) -> Iterator[int]:
        for credential_id, window in self._history.revoked.items():
            accepted = [
                parse_instant(record["time"]) - window.ended
                for record, asked in matched
                if asked.held.id == credential_id and record["reason"] not in REVOKED | {AWAY}
            ]
            yield max([0, *accepted])
