"""The webhook's work on manifests: what is put in, what is taken out, and what there is to say about it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sidegate.core.model.value import value
from sidegate.injector.annotations import ENABLED, INJECT, PREFIX, SIDECAR_LABEL
from sidegate.injector.definition import Definition
from sidegate.injector.edits import Edit, apply
from sidegate.injector.injection import Injection, Untouched, inject
from sidegate.injector.manifests import Document, Found
from sidegate.injector.ports import Passage
from sidegate.injector.services import redirect
from sidegate.injector.shape import MalformedError, Object, RefusedError, object_at, objects_at, texts_at
from sidegate.injector.undo import Before, before, uninject


@value
class Told:
    """What became of one object.

    Attributes:
        about: Kind and name.
        text: What there is to say.
        is_done: The sidecar is in it, or out of it, now or before.
    """

    about: str
    text: str
    is_done: bool


class OfflineRefusedError(RefusedError):
    """Some objects cannot get the sidecar; of each is told why, below its name."""

    def __init__(self, refused: Sequence[tuple[str, RefusedError | MalformedError]]) -> None:
        super().__init__(
            problem for _, error in refused if isinstance(error, RefusedError) for problem in error.problems
        )
        self.refused = tuple(refused)


@value
class _Injected:
    """A pod with a sidecar, for the Services that lead to it."""

    about: str
    namespace: str
    labels: Mapping[str, str]
    passage: Passage


def inject_documents(
    documents: Sequence[Document], definition: Definition, annotations: Mapping[str, str]
) -> list[Told]:
    """Put the sidecar into what asks for it, in place.

    Args:
        documents: All of them are seen before Services are: a Service may come before its pods.
        definition: The sidecar.
        annotations: Put on every pod template that has none of that name; with ``sidegate.dev/inject`` among them,
            Services that lead to those pods by number are led to the sidecar as well.

    Raises:
        OfflineRefusedError: Something asks and cannot have it; nothing is to be used then.
        MalformedError: An object is not what its kind says.
        UnreadableError: Aliases stand in a document that has to change.
    """
    told: list[Told] = []
    refused: list[tuple[str, RefusedError | MalformedError]] = []
    injected: list[_Injected] = []
    for document, found in _all(documents):
        if found.is_service:
            continue
        try:
            told.append(_inject_pod(document, found, definition, annotations, injected))
        except (RefusedError, MalformedError) as error:
            refused.append((found.about, error))
    for document, found in _all(documents):
        if not found.is_service:
            continue
        try:
            told += _redirect_service(document, found, definition, injected, is_asked=INJECT in annotations)
        except (RefusedError, MalformedError) as error:
            refused.append((found.about, error))
    if refused:
        raise OfflineRefusedError(refused)
    return told


def uninject_documents(documents: Sequence[Document]) -> list[Told]:
    """Take the sidecar out of whatever an injection put it into, in place.

    Raises:
        OfflineRefusedError: What the injection changed was changed again.
        MalformedError: An object is not what its kind says.
        UnreadableError: Aliases stand in a document that has to change.
    """
    told: list[Told] = []
    refused: list[tuple[str, RefusedError | MalformedError]] = []
    for document, found in _all(documents):
        try:
            is_done = uninject(found.thing)
        except (RefusedError, MalformedError) as error:
            refused.append((found.about, error))
            continue
        if is_done:
            document.require_plain()
            document.is_changed = True
        told.append(Told(found.about, "restored" if is_done else "no injection put a sidecar in", is_done))
    if refused:
        raise OfflineRefusedError(refused)
    return told


def _all(documents: Sequence[Document]) -> Iterator[tuple[Document, Found]]:
    for document in documents:
        for found in document.found():
            yield document, found


def _inject_pod(
    document: Document,
    found: Found,
    definition: Definition,
    annotations: Mapping[str, str],
    injected: list[_Injected],
) -> Told:
    was, added = _annotate(found.thing, annotations)
    result = inject(found.thing, definition, was)
    if isinstance(result, Untouched):
        _take_back(found.thing, was, added)
        return Told(found.about, _misplaced(found) or result.why, is_done=result.why == ALREADY)
    _apply(document, found.thing, result.edits)
    metadata = object_at(found.thing, "metadata", "") or {}
    labels = {k: v for k, v in texts_at(metadata, "labels", "metadata").items() if k != SIDECAR_LABEL}
    if result.passage is not None:
        injected.append(_Injected(found.about, found.namespace, labels, result.passage))
    notes = [note for note in result.notes if not note.startswith("Services ")]
    return Told(found.about, "; ".join(["injected", *notes]), is_done=True)


def _misplaced(found: Found) -> str | None:
    """Return what to say when the annotation is on the workload, where no pod gets it."""
    if found.around is found.thing:
        return None
    own = texts_at(object_at(found.around, "metadata", "") or {}, "annotations", "metadata")
    of_pods = texts_at(object_at(found.thing, "metadata", "") or {}, "annotations", "metadata")
    if INJECT not in own or INJECT in of_pods:
        return None
    return f"`{INJECT}` is on the workload itself; move it to the pod template's metadata"


ALREADY: Final = "it has the sidecar already"


def _redirect_service(
    document: Document, found: Found, definition: Definition, injected: Sequence[_Injected], *, is_asked: bool
) -> Iterator[Told]:
    led = _numbers_past_the_sidecar(found, injected)
    annotations: dict[str, str] = {}
    if led is not None and is_asked:
        annotations = {
            INJECT: ENABLED,
            f"{PREFIX}upstream-port": str(led.passage.upstream),
            f"{PREFIX}port": str(led.passage.port),
        }
    was, added = _annotate(found.thing, annotations)
    result = redirect(found.thing, definition, was)
    if isinstance(result, Injection):
        _apply(document, found.thing, result.edits)
        yield Told(found.about, "leads to the sidecar", is_done=True)
        return
    _take_back(found.thing, was, added)
    if led is not None:
        passage = led.passage
        yield Told(
            found.about,
            f"leads to {passage.upstream} of {led.about} by number, past the sidecar: lead it to {passage.port}, or "
            f"annotate it `{INJECT}: {ENABLED}`",
            is_done=False,
        )


def _numbers_past_the_sidecar(found: Found, injected: Sequence[_Injected]) -> _Injected | None:
    """Return the pods that the Service selects and leads past their sidecar, by the number of the port."""
    spec = object_at(found.thing, "spec", "") or {}
    selector = texts_at(spec, "selector", "spec")
    targets = {port.get("targetPort", port.get("port")) for port in objects_at(spec, "ports", "spec")}
    for pod in injected:
        selects = bool(selector) and selector.items() <= pod.labels.items() and found.namespace == pod.namespace
        if selects and pod.passage.upstream in targets and not pod.passage.takes_over:
            return pod
    return None


def _annotate(thing: Object, annotations: Mapping[str, str]) -> tuple[Before, tuple[str, ...]]:
    """Put *annotations* on *thing* where it has none of the name; return how it was, and which were put."""
    was = before(thing)
    there = texts_at(object_at(thing, "metadata", "") or {}, "annotations", "metadata")
    added = {name: text for name, text in annotations.items() if name not in there}
    if added:
        if thing.get("metadata") is None:
            thing["metadata"] = {}
        if thing["metadata"].get("annotations") is None:
            thing["metadata"]["annotations"] = {}
        thing["metadata"]["annotations"].update(added)
    return Before(was.missing, tuple(added)), tuple(added)


def _take_back(thing: Object, was: Before, added: Sequence[str]) -> None:
    if not added:
        return
    for name in added:
        del thing["metadata"]["annotations"][name]
    for place in ("metadata/annotations", "metadata"):
        if place in was.missing:
            parent = thing["metadata"] if "/" in place else thing
            key = place.rpartition("/")[2]
            if was.missing[place] == "null":
                parent[key] = None
            else:
                del parent[key]


def _apply(document: Document, thing: Object, edits: Sequence[Edit]) -> None:
    document.require_plain()
    apply(thing, (Edit(edit.change, edit.place, document.adopt(edit.given)) for edit in edits))
    document.is_changed = True
