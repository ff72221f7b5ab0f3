"""Reviews of the injector: whatever is sent is answered whole, or is no review."""

import base64
import copy
import json

from sidegate.injector.definition import default_definition
from sidegate.injector.edits import Change, Edit, apply
from sidegate.injector.review import answer
from sidegate.injector.shape import MalformedError, RefusedError
from sidegate.injector.undo import uninject


def review(data: bytes) -> None:
    """An answer is one JSON text for the uid that asked; a patch fits, and a second one is not needed."""
    found = json.loads(answer(data, default_definition()).body)["response"]
    asked = json.loads(data)
    assert found["uid"] == asked["request"]["uid"]
    assert isinstance(found["allowed"], bool)
    assert found["allowed"] or found["status"]["message"]
    if "patch" not in found:
        return
    thing = copy.deepcopy(asked["request"]["object"])
    edits = [
        Edit(Change(step["op"]), _place(step["path"]), step["value"])
        for step in json.loads(base64.b64decode(found["patch"]))
    ]
    apply(thing, edits)
    asked["request"]["object"] = thing
    again = json.loads(answer(json.dumps(asked).encode(), default_definition()).body)["response"]
    assert again["allowed"]
    assert "patch" not in again
    try:
        assert uninject(thing)
    except (MalformedError, RefusedError):
        # Two containers of one name, which no API server takes.
        return


def _place(pointer: str) -> tuple[str | int, ...]:
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    return tuple(int(token) if token.isdecimal() else token for token in tokens)
