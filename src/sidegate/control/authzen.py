"""OpenID AuthZEN 1.0: other enforcement points ask here, and get what the data port would have decided (spec 6.6).

How the words map: ``subject`` is the account (``type`` user or service), ``action.name`` an authority or a primitive,
``resource`` the target (``type`` its kind, ``id`` its written form, ``properties.organization`` where it belongs),
``context`` what the credential proved (``surface``, ``mfa_age_s``, ``source``, ``credential``, ``chain``). An
organization in ``subject.properties`` is the one that the account acts in; where only one of the two is said, it is
both. ``org`` means the same everywhere. The time is always now, and nobody can bring along an approval.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidegate.control.answers import AdminError, json_answer, read_json
from sidegate.control.question import Question, QuestionError, read_question
from sidegate.control.recorded import RecordedDecider, RecordedDecision
from sidegate.control.route import Route
from sidegate.core.model.authority import AUTHORITY_OF, SUBTREE_PRIMITIVES, Primitive
from sidegate.core.model.decision import Outcome
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import UnixMillis

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
METADATA: Final = "/.well-known/authzen-configuration"

MAX_EVALUATIONS: Final = 1000
"""In one request. They are decided and recorded one after the other, a turn of the loop each: nobody is held up."""

_PARTS: Final = ("subject", "action", "resource", "context")
_CONTEXT: Final = ("surface", "mfa_age_s", "source", "credential", "chain")
_ORGANIZATION: Final = ("organization", "org")
_RESOURCE: Final = (*_ORGANIZATION, "subtree")

_ASKED_AS: Final = {
    "org": "resource.properties.organization",
    "account": "subject",
    "authority": "action.name",
    "target": "resource.id",
    "kind": "resource.type",
    "subtree": "resource.properties.subtree",
}
"""What a member of a question is called here."""


class Semantic(StrEnum):
    """When a request with several evaluations is answered early (AuthZEN 1.0 section 7.1.2)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


def _refuse(key: str, what: str, hint: str) -> QuestionError:
    return QuestionError((Problem(None, key, what, hint),))


def _object(given: object, key: str) -> Mapping[str, object]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _refuse(key, "is no object", "write {...}")
    return given


def _require_spelling(given: Mapping[str, object], known: tuple[str, ...], key: str) -> None:
    """Refuse a member that is nearly one of *known*: a restriction must not be lost to a slip of the pen.

    Whatever else is there is left alone: AuthZEN lets callers send properties that a decision point has no use for.
    """
    for name in given:
        near = get_close_matches(name, known, n=1, cutoff=0.8)
        if name not in known and near:
            raise _refuse(f"{key}.{name}", "is not known", f"did you mean `{near[0]}`?")


def _organization(given: Mapping[str, object], key: str) -> object:
    """Return the organization that *given* names; None if it names none."""
    first, second = (given.get(name) for name in _ORGANIZATION)
    if first is not None and second is not None and first != second:
        raise _refuse(f"{key}.org", "is not `organization`, which means the same", "write one of them")
    return second if first is None else first


def _translate(document: Mapping[str, object]) -> dict[str, object]:
    """Return the evaluation as a question of spec 6.4."""
    subject, action, resource, context = (_object(document.get(part), part) for part in _PARTS)
    properties = _object(resource.get("properties"), "resource.properties")
    described = _object(subject.get("properties"), "subject.properties")
    _require_spelling(properties, _RESOURCE, "resource.properties")
    _require_spelling(described, _ORGANIZATION, "subject.properties")
    _require_spelling(context, _CONTEXT, "context")
    kind, account = subject.get("type"), subject.get("id")
    if not (isinstance(kind, str) and isinstance(account, str)):
        raise _refuse("subject", "lacks `type` or `id`", "write both as strings, e.g. user and ana")
    name = action.get("name")
    subtree = properties.get("subtree")
    if isinstance(name, str) and name in set(Primitive):
        primitive = Primitive(name)
        name = AUTHORITY_OF[primitive].value
        if primitive in SUBTREE_PRIMITIVES:
            subtree = True
    acting = _organization(described, "subject.properties")
    belongs = _organization(properties, "resource.properties")
    own = {} if acting is None else {"org": acting}
    credential = {"id": "authzen", **own, **_object(context.get("credential"), "context.credential")}
    return {
        "org": acting if belongs is None else belongs,
        "account": f"{kind}:{account}",
        "authority": name,
        "target": resource.get("id"),
        "kind": resource.get("type"),
        "subtree": subtree,
        "credential": credential,
        **{member: context.get(member) for member in _CONTEXT if member != "credential"},
    }


def read_evaluation(document: object, now: UnixMillis) -> Question:
    """Read one evaluation.

    Raises:
        QuestionError: With everything that is wrong, under the names of AuthZEN.
    """
    if not isinstance(document, dict):
        raise _refuse("evaluation", "is no object", "write one JSON object with subject, action and resource")
    try:
        return read_question(_translate(document), now)
    except QuestionError as error:
        raise QuestionError(tuple(_renamed(problem) for problem in error.problems)) from None


def _renamed(problem: Problem) -> Problem:
    first = problem.key.partition(".")[0].partition("[")[0]
    if first in _ASKED_AS:
        key = _ASKED_AS[first]
    elif first in _CONTEXT:
        key = f"context.{problem.key}"
    else:
        key = problem.key
    return Problem(None, key, problem.what, problem.hint)


def _bad_request(error: QuestionError) -> AdminError:
    return AdminError(
        HTTPStatus.BAD_REQUEST,
        "the question cannot be read",
        "correct what `errors` lists",
        {"errors": [problem.describe() for problem in error.problems]},
    )


def _describe(answer: RecordedDecision) -> dict[str, object]:
    decision = answer.decision
    return {
        "decision": decision.outcome is Outcome.ALLOW,
        "context": {
            "reason": decision.reason.value,
            "remedy": decision.remedy.value,
            "because": list(decision.because),
            "decision_id": answer.decision_id,
        },
    }


def _describe_error(error: QuestionError) -> dict[str, object]:
    """One evaluation of several that cannot be read: denied, the others are answered (section 7.2.1)."""
    message = "; ".join(str(problem) for problem in error.problems)
    return {"decision": False, "context": {"error": {"status": HTTPStatus.BAD_REQUEST.value, "message": message}}}


def _semantic_of(document: Mapping[str, object]) -> Semantic:
    given = _object(document.get("options"), "options").get("evaluations_semantic", Semantic.EXECUTE_ALL)
    if not isinstance(given, str) or given not in set(Semantic):
        raise _refuse("options.evaluations_semantic", "is not known", f"write one of {', '.join(Semantic)}")
    return Semantic(given)


_ENDS_WITH: Final[dict[Semantic, bool | None]] = {
    Semantic.EXECUTE_ALL: None,
    Semantic.DENY_ON_FIRST_DENY: False,
    Semantic.PERMIT_ON_FIRST_PERMIT: True,
}


class AuthZen:
    """Answers evaluations.

    Args:
        decider: Decides and records.
    """

    __slots__ = ("_decider",)

    def __init__(self, decider: RecordedDecider) -> None:
        self._decider = decider

    async def evaluation(self, request: web.Request) -> web.Response:
        """Answer one evaluation."""
        return _echo(request, json_answer(await self._one(request, await read_json(request), EVALUATION)))

    async def evaluations(self, request: web.Request) -> web.Response:
        """Answer several evaluations with common defaults; without a list it is one evaluation."""
        document = await read_json(request)
        listed = document.get("evaluations") if isinstance(document, dict) else None
        if not isinstance(document, dict) or listed is None or listed == []:
            return _echo(request, json_answer(await self._one(request, document, EVALUATIONS)))
        try:
            semantic = _semantic_of(document)
        except QuestionError as error:
            raise _bad_request(error) from None
        if not isinstance(listed, list) or len(listed) > MAX_EVALUATIONS:
            raise _bad_request(
                _refuse("evaluations", "is no list that fits", f"send at most {MAX_EVALUATIONS} at a time")
            )
        defaults = {part: document[part] for part in _PARTS if part in document}
        answers: list[dict[str, object]] = []
        for evaluation in listed:
            # A part that is given replaces the default as a whole: nothing is merged below the first level.
            merged = {**defaults, **evaluation} if isinstance(evaluation, dict) else evaluation
            answers.append(await self._one_of_many(request, merged))
            if answers[-1]["decision"] is _ENDS_WITH[semantic]:
                break
        return _echo(request, json_answer({"evaluations": answers}))

    async def _one(self, request: web.Request, document: object, route: str) -> dict[str, object]:
        try:
            return _describe(await self._decide(request, document, route))
        except QuestionError as error:
            raise _bad_request(error) from None

    async def _one_of_many(self, request: web.Request, document: object) -> dict[str, object]:
        try:
            return _describe(await self._decide(request, document, EVALUATIONS))
        except QuestionError as error:
            return _describe_error(error)

    async def _decide(self, request: web.Request, document: object, route: str) -> RecordedDecision:
        now = self._decider.now()
        question = read_evaluation(document, now)
        return await self._decider.decide(question.query, now, route=route, request_id=_request_id(request))

    async def metadata(self, request: web.Request) -> web.Response:
        """Say where the routes are (section 9). The guard has checked the Host that they are named after."""
        base = f"{request.scheme}://{request.host}"
        return json_answer(
            {
                "policy_decision_point": base,
                "access_evaluation_endpoint": base + EVALUATION,
                "access_evaluations_endpoint": base + EVALUATIONS,
            }
        )

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (
            Route("POST", EVALUATION, "one decision, recorded (OpenID AuthZEN 1.0)", self.evaluation),
            Route("POST", EVALUATIONS, "several decisions, recorded (OpenID AuthZEN 1.0)", self.evaluations),
            Route("GET", METADATA, "where the AuthZEN routes are", self.metadata),
        )


_REQUEST_ID: Final = "X-Request-ID"
_MAX_REQUEST_ID: Final = 128


def _request_id(request: web.Request) -> str | None:
    """Return what the caller calls this request; None for what is too long or not plain enough to be repeated."""
    given = request.headers.get(_REQUEST_ID)
    plain = given is not None and len(given) <= _MAX_REQUEST_ID and given.isascii() and given.isprintable()
    return given if plain else None


def _echo(request: web.Request, response: web.Response) -> web.Response:
    """Hand the request id back (section 10.1.3)."""
    given = _request_id(request)
    if given is not None:
        response.headers[_REQUEST_ID] = given
    return response
