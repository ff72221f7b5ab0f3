"""`/v1/explain` and `/v1/decisions/{id}`: what is or was decided, and how it comes about (spec 6.6)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from sidegate.audit.query import select_entries
from sidegate.audit.reader import TrailReader
from sidegate.control.answers import AdminError, json_answer, read_json
from sidegate.control.loading import load_subject
from sidegate.control.question import Question, QuestionError, read_question
from sidegate.control.reconstruction import Reconstruction, reconstruct
from sidegate.control.route import Route
from sidegate.core.engine.explain import Considered, ExplainedCheck, Explanation, explain
from sidegate.core.engine.shadow import ShadowFailure, decide_shadow
from sidegate.core.model.decision import Decision
from sidegate.core.model.errors import ConfigError, IntegrityError, Position
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.read import decision_of
from sidegate.core.trail.record import DecisionRecord
from sidegate.core.trail.uuid7 import millis_of
from sidegate.distribution.ports import PolicySource
from sidegate.telemetry.clock import Clock

FindDecision = Callable[[str], DecisionRecord | None]
"""Returns the record of a decision id; None if there is none. Called in a thread: it reads files."""

_CLOCK_SKEW: Final = 60_000
"""Milliseconds that a record may be older than its id says: the wall clock may have been set between the two."""

_FLAGS: Final = {"true": True, "false": False}


def spool_finder(spool: Path) -> FindDecision:
    """Return what looks decisions up in the spool *spool*, newest first and no further back than the id's own time."""

    def find(decision_id: str) -> DecisionRecord | None:
        made_at = millis_of(decision_id)
        if made_at is None:
            return None
        wanted = RecordFilter(id=decision_id, since=UnixMillis(max(0, made_at - _CLOCK_SKEW)))
        try:
            reader = TrailReader(spool)
        except ConfigError:
            return None  # nothing was spooled yet, or it is all in memory
        entry = next(select_entries(reader, wanted, newest_first=True), None)
        return None if entry is None else decision_of(entry.members)

    return find


def _describe_position(position: Position | None) -> str | None:
    return None if position is None else str(position)


def _describe_considered(considered: Considered) -> dict[str, object]:
    return {
        "entry": considered.key,
        "authorities": list(considered.authorities),
        "decided": considered.decided,
        "position": _describe_position(considered.position),
    }


def _describe_step(step: ExplainedCheck) -> dict[str, object]:
    return {
        "check": step.check.value,
        "result": step.step.value,
        "text": step.text,
        "considered": [_describe_considered(considered) for considered in step.considered],
    }


def _describe_decision(decision: Decision) -> dict[str, object]:
    return {
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "because": list(decision.because),
        "remedy": decision.remedy.value,
    }


def describe_explanation(explanation: Explanation) -> dict[str, object]:
    """Return *explanation* for JSON: the decision, each check in order, and what would change a deny."""
    return {
        **_describe_decision(explanation.decision),
        "organization": explanation.organization,
        "revision": explanation.revision,
        "steps": [_describe_step(step) for step in explanation.steps],
        "hint": explanation.remedy,
    }


def _describe_shadow(shadow: Decision | ShadowFailure | None) -> dict[str, object] | None:
    match shadow:
        case None:
            return None
        case ShadowFailure():
            return {"error": shadow.error}
        case _:
            return _describe_decision(shadow)


def describe_record(record: DecisionRecord) -> dict[str, object]:
    """Return *record* for JSON, as it is in the trail."""
    members: dict[str, object] = {field.name: getattr(record, field.name) for field in fields(record)}
    members["time"] = format_instant(record.time)
    if record.actor is not None:
        members["actor"] = {
            "account": record.actor.account,
            "type": record.actor.type.value,
            "chain": list(record.actor.chain),
        }
    if record.credential is not None:
        members["credential"] = {"kind": record.credential.kind.value, "id": record.credential.id}
    if record.shadow is not None:
        members["shadow"] = {"outcome": record.shadow.outcome.value, "reason": record.shadow.reason.value}
    return members


def cite(snapshot: Snapshot, org: str | None, keys: Sequence[str]) -> list[dict[str, object]]:
    """Return where the entries of *keys* are written in the policy in force."""
    organization = None if org is None else snapshot.organizations.get(org)
    positions: Mapping[str, Position] = {} if organization is None else organization.document.positions
    return [{"entry": key, "position": _describe_position(positions.get(key))} for key in keys]


def _from_query(request: web.Request) -> dict[str, object]:
    """Read a question that is written as a query, e.g. ``?org=acme&account=user:ana&authority=write&target=p1``."""
    question: dict[str, object] = {}
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise AdminError(HTTPStatus.BAD_REQUEST, f"`{name[:64]}` stands in the query twice", "write it once")
        written = request.query[name]
        if name in {"subtree", "approved"}:
            question[name] = _FLAGS.get(written, written)
        elif name == "mfa_age_s" and written.isascii() and written.isdigit() and len(written) <= len(str(1 << 40)):
            question[name] = int(written)
        else:
            question[name] = written
    return question


class Explanations:
    """Tells how decisions come about. Nothing here acts, so nothing is recorded.

    Args:
        holder: The policy in force.
        find: Looks decisions up in the trail.
        clock: Decides when a question names no time.
    """

    __slots__ = ("_clock", "_find", "_holder", "_reading")

    def __init__(self, holder: PolicySource, find: FindDecision, clock: Clock) -> None:
        self._holder = holder
        self._find = find
        self._clock = clock
        self._reading = asyncio.Lock()  # one look-up at a time: each may read much of the spool

    async def explain_query(self, request: web.Request) -> web.Response:
        """Answer a question, or a decision id, written as a query."""
        return await self._answer(_from_query(request))

    async def explain_body(self, request: web.Request) -> web.Response:
        """Answer a question, or a decision id, written as JSON."""
        return await self._answer(await read_json(request))

    async def _answer(self, document: object) -> web.Response:
        if isinstance(document, dict) and "decision_id" in document:
            if len(document) > 1:
                raise AdminError(
                    HTTPStatus.BAD_REQUEST, "`decision_id` stands beside a question", "send one of the two"
                )
            return json_answer(await self._explain_recorded(document["decision_id"]))
        try:
            question = read_question(document, self._clock.now())
        except QuestionError as error:
            raise AdminError(
                HTTPStatus.BAD_REQUEST,
                "the question cannot be read",
                "correct what `errors` lists, or send a `decision_id`",
                {"errors": [problem.describe() for problem in error.problems]},
            ) from None
        credential = question.query.credential
        await load_subject(self._holder, credential.org, credential.account)
        return json_answer(self._explain_question(question))

    def _explain_question(self, question: Question) -> dict[str, object]:
        snapshot = self._holder.current
        explanation = explain(snapshot, question.query, question.now)
        shadow = decide_shadow(snapshot, (question.query,), question.now, explanation.decision)
        return {
            "id": question.id,
            "account": question.query.credential.account,
            "authority": question.query.authority.value,
            "target": question.query.target.text,
            "kind": question.query.target.kind.value,
            "time": format_instant(question.now),
            **describe_explanation(explanation),
            "shadow": _describe_shadow(shadow),
        }

    async def _explain_recorded(self, decision_id: object) -> dict[str, object]:
        record = await self._record(decision_id)
        if record.org is not None and record.actor is not None:
            await load_subject(self._holder, record.org, record.actor.account)
        snapshot = self._holder.current
        found = reconstruct(snapshot, record)
        return {
            "decision_id": record.id,
            **_describe_decision(Decision(record.outcome, record.reason, record.because, record.remedy)),
            "record": describe_record(record),
            "cited": cite(snapshot, record.org, record.because),
            **_describe_reconstruction(found, snapshot, record),
        }

    async def _record(self, decision_id: object) -> DecisionRecord:
        if not isinstance(decision_id, str) or millis_of(decision_id) is None:
            raise AdminError(
                HTTPStatus.BAD_REQUEST,
                "this is no decision id",
                "copy it from `decision_id` of an answer; it is a UUID in lower case",
            )
        async with self._reading:
            try:
                record = await asyncio.to_thread(self._find, decision_id)
            except IntegrityError as error:
                raise AdminError(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    f"the record cannot be read: {error}",
                    "see `sidegate audit verify`",
                ) from None
        if record is None:
            raise AdminError(
                HTTPStatus.NOT_FOUND,
                "there is no such decision in the spool of this process",
                "it may have been shipped already; ask `sidegate audit query` where the records went",
            )
        return record

    async def decision(self, request: web.Request) -> web.Response:
        """Answer one record as it is in the trail."""
        return json_answer(describe_record(await self._record(request.match_info["id"])))

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (
            Route("GET", "/v1/explain", "how a decision comes about; ?decision_id= or a question", self.explain_query),
            Route("POST", "/v1/explain", "the same, the question as JSON like a line of `decide`", self.explain_body),
            Route("GET", "/v1/decisions/{id}", "the audit record of a decision", self.decision),
        )


def _describe_reconstruction(
    found: Reconstruction | None, snapshot: Snapshot, record: DecisionRecord
) -> dict[str, object]:
    organization = None if record.org is None else snapshot.organizations.get(record.org)
    revision = None if organization is None else organization.revision
    if found is None:
        if record.actor is None or record.target is None:
            note = "the request was refused before it was put to the policy"
        elif revision != record.revision:
            note = "the policy has changed since; ask again with a question to see what holds now"
        else:
            note = "the record does not hold all that the credential proved; ask again with a question"
        return {"revision_in_force": revision, "steps": None, "assumed": None, "note": note}
    assumption = found.assumption
    return {
        "revision_in_force": revision,
        "steps": [_describe_step(step) for step in found.explanation.steps],
        "hint": found.explanation.remedy,
        "assumed": {
            "surface": assumption.surface,
            "second_factor": assumption.second_factor,
            "subtree": assumption.subtree,
        },
        "note": "put again under the policy in force, with the same result",
    }
