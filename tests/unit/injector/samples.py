"""Reviews as API servers send them, and what the tests do with answers: apply them as the API server would."""

import base64
import copy
import json
from pathlib import Path
from typing import Any, Final

from sidegate.injector.definition import Definition, default_definition
from sidegate.injector.review import Review, answer

HERE: Final = Path(__file__).parent
REVIEWS: Final = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((HERE / "reviews").glob("*.json"))}
"""Of pods that controllers make, with all that the API server fills in before webhooks are asked."""

OURS: Final = "sidegate"
Pod = dict[str, Any]


def review_of(name: str) -> dict[str, Any]:
    """Return a review for changing."""
    return copy.deepcopy(REVIEWS[name])


def pod_of(name: str) -> Pod:
    """Return the pod of a review for changing."""
    pod: Pod = review_of(name)["request"]["object"]
    return pod


def ask(review: object, definition: Definition | None = None) -> Review:
    """Answer *review* as it comes over the wire."""
    return answer(json.dumps(review).encode(), definition or default_definition())


def response_of(review: Review) -> dict[str, Any]:
    """Return the response of an answer."""
    response: dict[str, Any] = json.loads(review.body)["response"]
    return response


def patched(pod: Pod, response: dict[str, Any]) -> Pod:
    """Return *pod* after the patch of *response*, by an implementation of RFC 6902 that is not ours."""
    document = copy.deepcopy(pod)
    for step in json.loads(base64.b64decode(response["patch"])):
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in step["path"].split("/")[1:]]
        parent: Any = document
        for token in tokens[:-1]:
            parent = parent[int(token)] if isinstance(parent, list) else parent[token]
        last = tokens[-1]
        if step["op"] == "add" and isinstance(parent, list):
            assert int(last) <= len(parent), step
            parent.insert(int(last), step["value"])
        elif step["op"] == "add":
            parent[last] = step["value"]
        else:
            assert step["op"] == "replace"
            if isinstance(parent, list):
                parent[int(last)] = step["value"]
            else:
                assert last in parent, step
                parent[last] = step["value"]
    return document


def injected(name: str, definition: Definition | None = None) -> Pod:
    """Return the pod of a review with its sidecar."""
    review = review_of(name)
    return patched(review["request"]["object"], response_of(ask(review, definition)))


def sidecar_of(pod: Pod) -> dict[str, Any]:
    """Return the sidecar's container, wherever it is."""
    spec = pod["spec"]
    (found,) = [one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == OURS]
    container: dict[str, Any] = found
    return container


def variables_of(pod: Pod) -> dict[str, str]:
    """Return the variables of the sidecar that have a value."""
    return {entry["name"]: entry["value"] for entry in sidecar_of(pod)["env"] if "value" in entry}


def container_named(pod: Pod, name: str) -> dict[str, Any]:
    """Return a container of the pod."""
    spec = pod["spec"]
    return next(one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == name)
