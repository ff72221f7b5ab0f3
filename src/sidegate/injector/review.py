"""An AdmissionReview in, an AdmissionReview out (admission.k8s.io/v1): pure, whatever is sent."""

import base64
import re
from enum import StrEnum
from typing import Any, Final

import orjson

from sidegate.core.model.errors import SidegateError, WireError
from sidegate.core.model.value import value
from sidegate.core.routing.body import parse_body
from sidegate.injector.definition import Definition
from sidegate.injector.edits import json_patch
from sidegate.injector.injection import Injection, Untouched, inject
from sidegate.injector.services import redirect
from sidegate.injector.shape import MalformedError, Object, RefusedError, object_at, text_at

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

_UID: Final = re.compile(r"[-A-Za-z0-9]{1,64}")
_UNPROCESSABLE: Final = 422
_MAX_WARNING: Final = 250
"""Longer ones are cut off by the API server (admission.k8s.io/v1, AdmissionResponse.warnings)."""


class ReviewOutcome(StrEnum):
    """What became of a review; also the label of its metric."""

    INJECTED = "injected"
    UNTOUCHED = "untouched"
    DENIED = "denied"
    INVALID = "invalid"  # no AdmissionReview: answered with 400


class ReviewError(SidegateError):
    """What was sent is no review that can be answered."""


@value
class Review:
    """An answered review.

    Attributes:
        body: The AdmissionReview to send back.
        outcome: What became of it.
        about: Kind, namespace and name, for the log.
        why: Of a denial or when nothing was done; empty otherwise.
    """

    body: bytes
    outcome: ReviewOutcome
    about: str
    why: str


def answer(body: bytes, definition: Definition) -> Review:
    """Answer one review.

    Args:
        body: As the API server sent it.
        definition: The sidecar.

    Raises:
        ReviewError: It cannot even be told which request to answer; the API server then goes by its failure policy.
    """
    request = _request_of(body)
    uid = request["uid"]
    try:
        found = _judge(request, definition)
    except (RefusedError, MalformedError) as error:
        message = _message(error)
        response = {"uid": uid, "allowed": False, "status": {"code": _UNPROCESSABLE, "message": message}}
        return Review(_written(response), ReviewOutcome.DENIED, _about(request), str(error))
    response = {"uid": uid, "allowed": True}
    if isinstance(found, Untouched):
        return Review(_written(response), ReviewOutcome.UNTOUCHED, _about(request), found.why)
    response |= {
        "patchType": "JSONPatch",
        "patch": base64.b64encode(orjson.dumps(json_patch(found.edits))).decode(),
    }
    if found.notes:
        response["warnings"] = [f"sidegate: {note}"[:_MAX_WARNING] for note in found.notes]
    return Review(_written(response), ReviewOutcome.INJECTED, _about(request), "")


def _request_of(body: bytes) -> Object:
    try:
        review = parse_body(body)
    except WireError as error:
        raise ReviewError("the body is not one JSON text in UTF-8 without repeated members") from error
    if not isinstance(review, dict) or review.get("kind") != KIND or review.get("apiVersion") != API_VERSION:
        raise ReviewError(f"the body is no {KIND} of {API_VERSION}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise ReviewError("the review has no request with a uid")
    if _UID.fullmatch(request["uid"]) is None:
        raise ReviewError("the uid of the request is none")
    return request


def _judge(request: Object, definition: Definition) -> Injection | Untouched:
    kind = object_at(request, "kind", "request") or {}
    group, name = text_at(kind, "group", "request.kind"), text_at(kind, "kind", "request.kind")
    operation = text_at(request, "operation", "request")
    if group or request.get("subResource"):
        return Untouched("it is neither a pod nor a Service itself")
    thing = object_at(request, "object", "request")
    if thing is None:
        return Untouched("there is no object")
    # A pod's containers are what they are once it is there.
    if name == "Pod" and operation == "CREATE":
        return inject(thing, definition)
    if name == "Service" and operation in {"CREATE", "UPDATE"}:
        return redirect(thing, definition)
    return Untouched(f"nothing is done at {operation} of {name}")


def _message(error: RefusedError | MalformedError) -> str:
    problems = [str(problem) for problem in error.problems] if isinstance(error, RefusedError) else [str(error)]
    return "\n  - ".join(["the sidecar cannot be put in:", *problems])


def _about(request: Object) -> str:
    thing = request.get("object")
    metadata = thing.get("metadata") if isinstance(thing, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = request.get("kind")
    parts: list[Any] = [
        kind.get("kind") if isinstance(kind, dict) else None,
        request.get("namespace"),
        metadata.get("name") or metadata.get("generateName"),
    ]
    return "/".join(part[:_MAX_NAME] if isinstance(part, str) else "-" for part in parts)


_MAX_NAME: Final = 253


def _written(response: Object) -> bytes:
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response})
