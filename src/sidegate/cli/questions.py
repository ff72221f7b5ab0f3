"""The lines of `sidegate decide` and the cases of `sidegate policy test`: from JSON to an answer (spec 6.4)."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from sidegate.cli.exit_codes import DataError
from sidegate.cli.requests import route_request
from sidegate.control.question import QuestionError, read_question
from sidegate.core.engine.decide import decide_all
from sidegate.core.engine.shadow import ShadowFailure, decide_shadow
from sidegate.core.model.decision import Decision
from sidegate.core.model.errors import Problem, WireError
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import hot_value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.routing.body import parse_body
from sidegate.core.routing.table import RouteTable

_FROM_ROUTE: Final = ("authority", "target", "kind", "subtree")
"""Members that a line with a method and a path leaves to the route."""

_ANY_TARGET: Final = {"authority": "read", "target": "/"}
"""Stands in while the rest of such a line is read."""

_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"


@hot_value
class Asked:
    """One line, read.

    Attributes:
        id: As given, to be handed back.
        queries: The parts that have to be allowed together; empty when *settled* is the answer.
        now: The instant to decide at.
        settled: An answer that needs no policy: the route is public, or the request is refused before a decision.
    """

    id: str | int | float | None
    queries: tuple[Query, ...]
    now: UnixMillis
    settled: Decision | None = None


@hot_value
class Answer:
    """What both policies say.

    Attributes:
        decision: Of the enforced policy.
        shadow: Of the candidate, if it differs in effect.
    """

    decision: Decision
    shadow: Decision | ShadowFailure | None


def parse_line(line: bytes) -> Any:  # noqa: ANN401  (JSON)
    """Read *line* as one JSON value, in the one way in which it can be read.

    Raises:
        DataError: It is no JSON, or an object in it repeats a member: readers differ about which one counts.
    """
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"is no JSON: {error}; write one object to a line") from None
    # Every member name has two quotation marks, and without escapes no string holds one: written back, a line that
    # repeats a member has fewer. A tenth of the cost of looking at each member while parsing.
    if _BACKSLASH in line or line.count(_QUOTE) != orjson.dumps(document).count(_QUOTE):
        _refuse_repeated(line)
    return document


def _refuse_repeated(line: bytes) -> None:
    try:
        parse_body(line)
    except WireError:
        raise DataError("repeats a member, or can be read in two ways; write each member once, plainly") from None


def read_asked(document: object, now: UnixMillis, routes: RouteTable | None = None) -> Asked:
    """Read one question.

    Args:
        document: Parsed JSON: what :func:`~sidegate.control.question.read_question` takes or, with *routes*, the same
            with ``method``, ``path`` and perhaps ``headers`` and ``body`` in the place of authority and target.
        now: Decides when the question names no ``time``.
        routes: What turns a method and a path into authorities and targets.

    Raises:
        QuestionError: With everything that is wrong.
    """
    if isinstance(document, dict) and ("method" in document or "path" in document):
        return _read_request(document, now, routes)
    question = read_question(document, now)
    return Asked(question.id, (question.query,), question.now)


def _read_request(document: Mapping[str, object], now: UnixMillis, routes: RouteTable | None) -> Asked:
    if routes is None:
        raise _wrong("method", "needs the routes", "give the routes file too, or write `authority` and `target`")
    given = [name for name in _FROM_ROUTE if document.get(name) is not None]
    if given:
        raise _wrong(given[0], "stands beside `method`", "leave it out: the route says it")
    method, path = document.get("method"), document.get("path")
    if not isinstance(method, str) or not isinstance(path, str):
        raise _wrong("method", "or `path` is no text", 'write both, e.g. "method": "GET", "path": "/v1/orgs/acme"')
    headers = document.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
        raise _wrong("headers", "is no object of texts", 'write it like {"X-Project": "p1"}')
    body = document.get("body")
    rest = {name: member for name, member in document.items() if name not in _OF_REQUEST}
    question = read_question({**rest, **_ANY_TARGET}, now)
    plain = question.query
    routed = route_request(
        routes,
        method,
        path,
        plain.credential.org,
        headers=headers,
        body=None if body is None else orjson.dumps(body),
    )
    queries = tuple(
        Query(plain.credential, ask.authority, ask.target, plain.source, plain.approved) for ask in routed.asks
    )
    return Asked(question.id, queries, question.now, routed.settled)


_OF_REQUEST: Final = frozenset({"method", "path", "headers", "body", *_FROM_ROUTE})


def _wrong(member: str, what: str, hint: str) -> QuestionError:
    return QuestionError((Problem(None, member, what, hint),))


def answer(snapshot: Snapshot, asked: Asked) -> Answer:
    """Decide what was asked, under the enforced policy and its candidate."""
    if asked.settled is not None:
        return Answer(asked.settled, None)
    queries = asked.queries
    decision = decide_all(snapshot, queries, asked.now)
    return Answer(decision, decide_shadow(snapshot, queries, asked.now, decision))


def describe_answer(answered: Answer) -> dict[str, object]:
    """Return *answered* as the members of a line of spec 6.4, without the id."""
    decision = answered.decision
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "because": decision.because,
        "shadow": describe_shadow(answered.shadow),
    }


def describe_shadow(shadow: Decision | ShadowFailure | None) -> dict[str, object] | None:
    """Return the candidate's answer for JSON; None when it does not differ."""
    if shadow is None:
        return None
    if isinstance(shadow, ShadowFailure):
        return {"error": shadow.error}
    return {"outcome": shadow.outcome, "reason": shadow.reason, "because": shadow.because}
