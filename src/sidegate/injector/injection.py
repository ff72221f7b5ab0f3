"""Puts the sidecar into a pod, as edits; and takes it out again."""

import copy
from collections.abc import Iterator
from typing import Final

from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value
from sidegate.injector.annotations import (
    DISABLED,
    ENABLED,
    INJECT,
    INJECTED,
    SIDECAR_LABEL,
    Wishes,
    read_wishes,
)
from sidegate.injector.definition import CONTAINER_NAME, Definition
from sidegate.injector.edits import Change, Edit, Place
from sidegate.injector.ports import (
    Passage,
    declared_ports,
    find_collisions,
    find_passage,
    keep_probes,
    move_ports,
    names_sidecar,
)
from sidegate.injector.shape import (
    Object,
    RefusedError,
    number_at,
    object_at,
    objects_at,
    refusal,
    text_at,
    texts_at,
)
from sidegate.injector.sidecar import build_sidecar
from sidegate.injector.undo import PULL_SECRETS, Before, before, encode_record

DEFAULT_GRACE_S: Final = 30
"""What Kubernetes gives a pod that does not say."""


@value
class Injection:
    """What is to be done to a pod.

    Attributes:
        edits: In their order; none if nothing is.
        notes: What whoever applies it should know.
        passage: Of a pod: its ports.
    """

    edits: tuple[Edit, ...]
    notes: tuple[str, ...]
    passage: Passage | None = None


@value
class Untouched:
    """Why nothing is to be done."""

    why: str


def inject(pod: Object, definition: Definition, was: Before | None = None) -> Injection | Untouched:
    """Return what puts the sidecar into *pod*, which is not changed.

    Args:
        pod: A pod, or the template of one.
        definition: The sidecar.
        was: How it was before annotations were added to it; as it is, if None.

    Raises:
        RefusedError: It asks for a sidecar and cannot have it; with everything that is in the way.
        MalformedError: It is no pod.
    """
    annotations = texts_at(object_at(pod, "metadata", "") or {}, "annotations", "metadata")
    spec = object_at(pod, "spec", "") or {}
    asked = annotations.get(INJECT)
    if asked is None or asked == DISABLED:
        return Untouched(f"`{INJECT}` is {'missing' if asked is None else DISABLED}")
    if asked != ENABLED:
        raise RefusedError([refusal(INJECT, f"is '{asked}'", f"write `{ENABLED}` or `{DISABLED}`")])
    if names_sidecar(spec):
        if INJECTED not in annotations:
            raise RefusedError([_STRANGER])
        return Untouched("it has the sidecar already")
    if INJECTED in annotations:
        raise RefusedError([_LOST])
    wishes, problems = read_wishes(annotations)
    ports = declared_ports(spec)
    if wishes is None:
        raise RefusedError([*problems, *_unsuitable(spec, native=True)])
    passage = find_passage(ports, wishes, definition)
    native = definition.native if wishes.native is None else wishes.native
    problems = list(_unsuitable(spec, native=native))
    if isinstance(passage, Problem):
        raise RefusedError([passage, *problems])
    moved = list(move_ports(ports, passage))
    probes = list(keep_probes(spec, passage, wishes))
    container, volumes = build_sidecar(definition, wishes, passage, native=native)
    problems += find_collisions(ports, passage)
    problems += [one for one in probes if isinstance(one, Problem)]
    problems += _names_in_use(spec, volumes)
    if problems:
        raise RefusedError(problems)
    edits = [*moved, *(one for one in probes if isinstance(one, Edit))]
    edits += _into_spec(spec, container, volumes, definition, native=native)
    edits += _pull_secret(spec, wishes.pull_secret)
    edits += _into_metadata(pod, wishes, encode_record(pod, edits, was or before(pod)))
    return Injection(tuple(edits), tuple(_notes(passage, moved)), passage)


_STRANGER: Final = refusal(
    INJECT,
    f"asks for a sidecar, but a container is called `{CONTAINER_NAME}` already",
    "remove this annotation if that is a sidecar from the chart, else rename it",
)
_LOST: Final = refusal(
    INJECTED,
    f"says that a sidecar is there, but no container is called `{CONTAINER_NAME}`",
    "remove this annotation, so that it is put in again",
)


def _unsuitable(spec: Object, *, native: bool) -> Iterator[Problem]:
    """Yield what keeps a pod from having a sidecar at all."""
    if spec.get("hostNetwork") is True:
        what = "is true: the sidecar's ports would be open on the node"
        yield refusal("spec.hostNetwork", what, "put Sidegate in front of this service with the chart, mode standalone")
    if (object_at(spec, "os", "spec") or {}).get("name") == "windows":
        yield refusal(
            "spec.os.name", "is windows, for which there is no image", "put Sidegate in front of this service"
        )
    restart = text_at(spec, "restartPolicy", "spec") or "Always"
    if not native and restart != "Always":
        what = f"is {restart}: the pod would never end beside an ordinary container that does not"
        yield refusal(
            "spec.restartPolicy", what, "make it a native sidecar (Kubernetes 1.29), or leave the job without"
        )
    if not objects_at(spec, "containers", "spec"):
        yield refusal("spec.containers", "is empty", "give it the service's own container")


def _names_in_use(spec: Object, volumes: list[Object]) -> Iterator[Problem]:
    own = {volume.get("name") for volume in objects_at(spec, "volumes", "spec")}
    for name in (volume["name"] for volume in volumes if volume["name"] in own):
        yield refusal("spec.volumes", f"has one called `{name}`, which is the sidecar's", "rename it")


def _into_spec(
    spec: Object, container: Object, volumes: list[Object], definition: Definition, *, native: bool
) -> Iterator[Edit]:
    # Variables that Kubernetes makes for Services called sidegate… would be taken for settings, and refused.
    if spec.get("enableServiceLinks") is not False:
        yield _put(spec, ("spec", "enableServiceLinks"), False)  # noqa: FBT003
    # A native sidecar is asked to end when the service has: the pod has to have time for both. Beside an ordinary one
    # they end together, and what they share is the same.
    grace = number_at(spec, "terminationGracePeriodSeconds", "spec")
    needed = (DEFAULT_GRACE_S if grace is None else grace) + definition.grace_seconds
    yield _put(spec, ("spec", "terminationGracePeriodSeconds"), needed)
    yield from _append(spec, "initContainers" if native else "containers", [container])
    yield from _append(spec, "volumes", volumes)


def _pull_secret(spec: Object, name: str | None) -> Iterator[Edit]:
    there = [one.get("name") for one in objects_at(spec, PULL_SECRETS, "spec")]
    if name is not None and name not in there:
        yield from _append(spec, PULL_SECRETS, [{"name": name}])


def _append(spec: Object, key: str, new: list[Object]) -> Iterator[Edit]:
    there = objects_at(spec, key, "spec")
    if spec.get(key) is None:
        yield _put(spec, ("spec", key), new)
    else:
        for number, one in enumerate(new, len(there)):
            yield Edit(Change.ADD, ("spec", key, number), one)


def _into_metadata(pod: Object, wishes: Wishes, record: str) -> Iterator[Edit]:
    metadata = object_at(pod, "metadata", "") or {}
    labels = object_at(metadata, "labels", "metadata")
    if labels is None:
        yield _put(metadata, ("metadata", "labels"), {SIDECAR_LABEL: wishes.config})
    else:
        yield _put(labels, ("metadata", "labels", SIDECAR_LABEL), wishes.config)
    # Annotations there are: one of them asked for this.
    yield Edit(Change.ADD, ("metadata", "annotations", INJECTED), record)


def _put(parent: Object, place: Place, given: object) -> Edit:
    """Return the edit that sets the last key of *place* in *parent*: what stands there may be null."""
    change = Change.REPLACE if place[-1] in parent else Change.ADD
    return Edit(change, place, copy.deepcopy(given))


def _notes(passage: Passage, moved: list[Edit]) -> Iterator[str]:
    if passage.takes_over:
        yield f"the service has to listen on 127.0.0.1:{passage.upstream} only: the sidecar has that port of the pod"
        return
    if not moved:
        yield f"Services that lead to {passage.upstream} by number go around the sidecar: lead them to {passage.port}"
    yield f"port {passage.upstream} can be reached past the sidecar unless a NetworkPolicy closes it"
