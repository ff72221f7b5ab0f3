"""Leads a Service to the sidecar, where it names the service's port by its number.

A Service that names its target by the port's name needs nothing: the name is led to the sidecar in the pod.
"""

from collections.abc import Iterator
from typing import Final

from sidegate.core.model.errors import Problem
from sidegate.injector.annotations import (
    DISABLED,
    ENABLED,
    INJECT,
    INJECTED,
    PREFIX,
    read_redirection,
)
from sidegate.injector.definition import Definition
from sidegate.injector.edits import Change, Edit, Place
from sidegate.injector.injection import Injection, Untouched
from sidegate.injector.shape import (
    MalformedError,
    Object,
    RefusedError,
    number_at,
    object_at,
    objects_at,
    refusal,
    text_at,
    texts_at,
)
from sidegate.injector.undo import Before, before, encode_record

_UPSTREAM: Final = f"{PREFIX}upstream-port"


def redirect(service: Object, definition: Definition, was: Before | None = None) -> Injection | Untouched:
    """Return what leads *service* to the sidecar; it is not changed.

    Args:
        service: A Service.
        definition: Where the sidecar listens, if the annotations do not say.
        was: How it was before annotations were added to it; as it is, if None.

    Raises:
        RefusedError: It asks for it, and it cannot be told which of its ports is meant.
        MalformedError: It is no Service.
    """
    metadata = object_at(service, "metadata", "") or {}
    annotations = texts_at(metadata, "annotations", "metadata")
    asked = annotations.get(INJECT)
    if asked is None or asked == DISABLED:
        return Untouched(f"`{INJECT}` is {'missing' if asked is None else DISABLED}")
    if asked != ENABLED:
        raise RefusedError([refusal(INJECT, f"is '{asked}'", f"write `{ENABLED}` or `{DISABLED}`")])
    upstream, port, problems = read_redirection(annotations)
    if problems:
        raise RefusedError(problems)
    port = port or definition.ports.data
    targets = dict(_targets(object_at(service, "spec", "") or {}))
    if not targets:
        return Untouched("its targets are names, which lead to the sidecar in the pods")
    meant = _meant(set(targets.values()), upstream, port)
    if isinstance(meant, Problem):
        raise RefusedError([meant])
    edits = [_lead(service, place, port) for place, number in targets.items() if number == meant and meant != port]
    if not edits:
        return Untouched("it leads to the sidecar already")
    record = encode_record(service, edits, was or before(service))
    change = Change.REPLACE if INJECTED in annotations else Change.ADD
    return Injection((*edits, Edit(change, ("metadata", "annotations", INJECTED), record)), ())


def _targets(spec: Object) -> Iterator[tuple[Place, int]]:
    """Yield every target of TCP that is a number: without one it is the Service's own port."""
    for index, port in enumerate(objects_at(spec, "ports", "spec")):
        where = f"spec.ports[{index}]"
        if (text_at(port, "protocol", where) or "TCP") != "TCP" or isinstance(port.get("targetPort"), str):
            continue
        number = number_at(port, "targetPort", where) or number_at(port, "port", where)
        if number is None:
            raise MalformedError(f"{where}.port", "a number")
        yield ("spec", "ports", index), number


def _meant(numbers: set[int], upstream: int | None, port: int) -> int | Problem:
    """Return the target that is the service's own port; that of the sidecar if it leads there already."""
    listed = ", ".join(map(str, sorted(numbers)))
    if upstream is None:
        others = numbers - {port}
        if len(others) > 1:
            return refusal(_UPSTREAM, f"is missing, and there are several targets ({listed})", "name the one it is")
        return others.pop() if others else port
    if upstream in numbers:
        return upstream
    if port in numbers:
        return port
    return refusal(_UPSTREAM, f"is {upstream}, to which no port leads ({listed})", "write one of them")


def _lead(service: Object, place: Place, port: int) -> Edit:
    parent = service
    for step in place:
        parent = parent[step]  # type: ignore[index]
    change = Change.REPLACE if "targetPort" in parent else Change.ADD
    return Edit(change, (*place, "targetPort"), port)
