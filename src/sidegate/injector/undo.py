"""What an injection changed, kept in an annotation of the pod; and taking it back."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value
from sidegate.injector.annotations import INJECTED, SIDECAR_LABEL
from sidegate.injector.definition import CONTAINER_NAME
from sidegate.injector.edits import Edit, Place
from sidegate.injector.shape import (
    CONTAINER_LISTS,
    MalformedError,
    Object,
    RefusedError,
    object_at,
    objects_at,
    refusal,
    texts_at,
)

VERSION: Final = 1
_MAX_BYTES: Final = 65_536
_VOLUMES: Final = "volumes"

PULL_SECRETS: Final = "imagePullSecrets"

# Lists and mappings that are made when they are missing, and go when they are empty again.
_MADE: Final = (
    ("spec", "initContainers"),
    ("spec", "containers"),
    ("spec", _VOLUMES),
    ("spec", PULL_SECRETS),
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("metadata",),
)
_NULL: Final = "null"
_ABSENT: Final = "absent"


@value
class Before:
    """How an object was before anything was done to it.

    Attributes:
        missing: Lists and mappings that are not there, by their place: ``absent``, or ``null``.
        added: Annotations that were added since, for the injection, and go with it.
    """

    missing: Mapping[str, str]
    added: tuple[str, ...]


def before(pod: Object) -> Before:
    """Return how *pod* is, with no annotations added.

    Raises:
        MalformedError: It is no pod.
    """
    for key in ("metadata", "spec"):
        object_at(pod, key, "")
    return Before({"/".join(place): state for place in _MADE if (state := _state(pod, place)) is not None}, ())


def encode_record(pod: Object, edits: Iterable[Edit], was: Before) -> str:
    """Return what :func:`uninject` needs to take *edits* back, as compact JSON.

    Args:
        pod: Before the edits.
        edits: Of which those are kept that set a number, a text or a truth value: what is put into lists has names.
        was: How it was.
    """
    changed = []
    put: dict[str, list[str]] = {PULL_SECRETS: [], _VOLUMES: []}
    for edit in edits:
        names = put.get(str(edit.place[1])) if edit.place[0] == "spec" else None
        if names is not None:
            listed = edit.given if isinstance(edit.given, list) else [edit.given]
            names += [one["name"] for one in listed]
        elif not isinstance(edit.given, dict | list):
            step: dict[str, Any] = {"at": _by_name(pod, edit.place), "new": edit.given}
            parent = _value_at(pod, edit.place[:-1])
            if edit.place[-1] in parent:
                step["old"] = parent[edit.place[-1]]
            changed.append(step)
    label = (object_at(object_at(pod, "metadata", "") or {}, "labels", "metadata") or {}).get(SIDECAR_LABEL)
    record = {
        "v": VERSION,
        "changed": changed,
        "put": put,
        "made": dict(was.missing),
        "label": label,
        "annotations": sorted(was.added),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def _state(pod: Object, place: tuple[str, ...]) -> str | None:
    """Return whether nothing or null stands at *place*; None when something does."""
    parent = _value_at(pod, place[:-1])
    if not isinstance(parent, dict) or place[-1] not in parent:
        return _ABSENT
    return _NULL if parent[place[-1]] is None else None


def _value_at(pod: Any, place: Place) -> Any:  # noqa: ANN401  any part of a pod
    for step in place:
        if pod is None:
            return None
        pod = pod.get(step) if isinstance(pod, dict) else pod[step]
    return pod


def _by_name(pod: Object, place: Place) -> list[Any]:
    """Write *place* so that it is found again when containers were put in before: by the container's name."""
    steps: list[Any] = list(place)
    if len(place) > _IN_CONTAINER and place[1] in CONTAINER_LISTS:
        steps[2] = {"name": _value_at(pod, place[:3]).get("name")}
    return steps


_IN_CONTAINER: Final = 3


def uninject(pod: Object) -> bool:
    """Take the sidecar out of *pod*, in place; everything else is as it was before, or as somebody has made it since.

    Returns:
        Whether there was one that an injection had put in.

    Raises:
        RefusedError: What the injection changed was changed again; nothing was done.
        MalformedError: It is no pod, or what the injection wrote down is not what it writes.
    """
    metadata = object_at(pod, "metadata", "") or {}
    annotations = texts_at(metadata, "annotations", "metadata")
    if INJECTED not in annotations:
        return False
    record = _read_record(annotations[INJECTED])
    found = [_find(pod, step) for step in record["changed"]]
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise RefusedError(problems)
    for parent, key, step in (one for one in found if not isinstance(one, Problem)):
        if "old" in step:
            parent[key] = step["old"]
        else:
            del parent[key]
    spec = object_at(pod, "spec", "") or {}
    for section in CONTAINER_LISTS:
        _drop(objects_at(spec, section, "spec"), (CONTAINER_NAME,))
    for section, names in record["put"].items():
        _drop(objects_at(spec, section, "spec"), names)
    labels = object_at(metadata, "labels", "metadata")
    if labels is not None:
        labels.pop(SIDECAR_LABEL, None)
        if record["label"] is not None:
            labels[SIDECAR_LABEL] = record["label"]
    for name in (INJECTED, *record["annotations"]):
        annotations.pop(name, None)
    _forget_made(pod, record["made"])
    return True


def _drop(listed: list[Object], names: Collection[str]) -> None:
    for number in range(len(listed) - 1, -1, -1):
        if listed[number].get("name") in names:
            del listed[number]


def _forget_made(pod: Object, made: dict[str, str]) -> None:
    for written, state in made.items():
        *around, last = written.split("/")
        parent = _value_at(pod, tuple(around))
        if isinstance(parent, dict) and last in parent and not parent[last]:
            if state == _NULL:
                parent[last] = None
            else:
                del parent[last]


def _find(pod: Object, step: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]] | Problem:
    """Return the parent and key that *step* is about, or why it cannot be taken back."""
    parent: Any = pod
    *around, last = step["at"]
    for key in around:
        parent = _below(parent, key)
    there = _below(parent, last)
    if there is None or there != step["new"]:
        written = ".".join(one["name"] if isinstance(one, dict) else str(one) for one in step["at"])
        what = f"is {json.dumps(there, default=str)} and not {json.dumps(step['new'])}, as the injection left it"
        return refusal(written, what, "change it back, or take the sidecar out by hand")
    return parent, last, step


def _below(parent: Any, key: Any) -> Any:  # noqa: ANN401  any part of a pod
    if isinstance(key, dict) and isinstance(parent, list):
        return next((one for one in parent if isinstance(one, dict) and one.get("name") == key["name"]), None)
    if isinstance(parent, dict) and isinstance(key, str):
        return parent.get(key)
    if isinstance(parent, list) and isinstance(key, int) and 0 <= key < len(parent):
        return parent[key]
    return None


def _read_record(text: str) -> dict[str, Any]:
    wants = "what an injection of this version wrote"
    where = f"metadata.annotations.{INJECTED}"
    try:
        record = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        raise MalformedError(where, wants) from None
    if not (isinstance(record, dict) and _is_record(record)):
        raise MalformedError(where, wants)
    return record


def _is_record(record: dict[str, Any]) -> bool:
    return (
        record.get("v") == VERSION
        and isinstance(record.get("changed"), list)
        and all(_is_step(step) for step in record["changed"])
        and isinstance(record.get("put"), dict)
        and set(record["put"]) == {PULL_SECRETS, _VOLUMES}
        and all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in record["put"].values())
        and isinstance(record.get("made"), dict)
        and set(record["made"]) <= {"/".join(place) for place in _MADE}
        and (record.get("label") is None or isinstance(record["label"], str))
        and isinstance(record.get("annotations"), list)
        and all(isinstance(name, str) and name.startswith("sidegate.dev/") for name in record["annotations"])
    )


def _is_step(step: Any) -> bool:  # noqa: ANN401  whatever the annotation holds
    return (
        isinstance(step, dict)
        and isinstance(step.get("at"), list)
        and len(step["at"]) > 1
        and all(isinstance(key, int | str) or (isinstance(key, dict) and list(key) == ["name"]) for key in step["at"])
        and isinstance(step.get("new"), bool | int | str)
        and isinstance(step.get("old", 0), bool | int | str | None)
    )
