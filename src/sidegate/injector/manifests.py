"""Manifests as people keep them: YAML or JSON, several documents, comments; changed only where something is put in.

A document in which nothing changes comes out as it went in, byte for byte. In one that changes, comments, order and
quotes stay; indentation becomes that of the document's first mapping and first list.
"""

import io
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from sidegate.core.model.errors import SidegateError
from sidegate.core.model.value import value
from sidegate.injector.shape import MalformedError, Object, object_at, objects_at

MAX_BYTES: Final = 16 << 20
"""Of one file; the API server takes 3 MiB of an object."""

MAX_DEPTH: Final = 64
"""Collections in collections; an object of Kubernetes has about twenty. Reading takes longer with the square of it."""

_START: Final = re.compile(r"(?m)^---(?=\s|$)")
# A key with a collection below it: how far a mapping is moved in, and a list with its dash.
_BELOW: Final = r"(?m)^( *)(?:- +)*[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*"
_BLOCK_LIST: Final = re.compile(rf"{_BELOW}( *)-( +)\S")
_BLOCK_MAPPING: Final = re.compile(rf"{_BELOW.replace('(?:- +)*', '')}( +)[^\s#-]")

_TEMPLATES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "Pod"): (),
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
"""Where each kind has its pod, by group and kind."""

_MAX_LISTS: Final = 4
"""Lists in lists; `kubectl get` makes one."""


class UnreadableError(SidegateError):
    """The text is no YAML or JSON that can be read in one way."""


@value
class Found:
    """An object that may get the sidecar.

    Attributes:
        about: Kind and name, as kubectl writes them: ``deployment/datastore``.
        namespace: As it says, or empty.
        thing: The pod, the template of one, or the Service: part of the document.
        is_service: It is a Service.
        around: What holds the template; the thing itself if there is nothing around it.
    """

    about: str
    namespace: str
    thing: Object
    is_service: bool
    around: Object


class Document:
    """One document of a file.

    Args:
        text: With the line that begins it, if there is one.
        label: Where it comes from, for messages.

    Raises:
        UnreadableError: It is none.
    """

    def __init__(self, text: str, label: str) -> None:
        self._text = text
        self.label = label
        self.is_json = text.lstrip().startswith("{")
        self.data = _read_json(text, label) if self.is_json else _read_yaml(text, label)
        self.is_changed = False

    def found(self) -> Iterator[Found]:
        """Yield what may get the sidecar, in order.

        Raises:
            MalformedError: An object is not what its kind says.
        """
        if isinstance(self.data, dict):
            yield from _found(self.data, 0)

    def require_plain(self) -> None:
        """Refuse aliases and merge keys: one change would show in several places.

        Raises:
            UnreadableError: There are some.
        """
        if _is_shared(self.data):
            hint = "expand them first, e.g. with `kubectl create --dry-run=client --output yaml --filename …`"
            raise UnreadableError(f"{self.label}: aliases or merge keys stand in a document that has to change; {hint}")

    def adopt(self, part: Any) -> Any:  # noqa: ANN401  any part of an object
        """Return *part* as it has to be to be written into this document."""
        return part if self.is_json else _styled(part)

    def text(self) -> str:
        """Return the document as it is now."""
        if not self.is_changed:
            return self._text
        if self.is_json:
            return json.dumps(self.data, indent=_json_indent(self._text), ensure_ascii=False) + "\n"
        started = _START.match(self._text)
        head = self._text[: self._text.index("\n") + 1] if started is not None else ""
        text = _write_yaml(self.data, self._text)
        return head + (text.replace("\n", "\r\n") if "\r\n" in self._text else text)

    def plain(self) -> Any:  # noqa: ANN401  any JSON
        """Return the document as kubectl reads it: YAML 1.1, in which `0444` is a number of another base."""
        return self.data if self.is_json else pyyaml.load(self.text(), _KubectlLoader)  # noqa: S506  a safe loader


def read_documents(content: bytes, label: str) -> list[Document]:
    """Split a file into its documents.

    Raises:
        UnreadableError: One of them cannot be read.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"{label}: has more than {MAX_BYTES >> 20} MiB; hand it in in parts")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{label}: is not UTF-8 at byte {error.start}; convert it") from None
    if text.lstrip().startswith("{"):
        return [Document(text, label)]
    starts = [match.start() for match in _START.finditer(text)]
    bounds = sorted({0, *starts, len(text)})
    parts = [text[begin:end] for begin, end in pairwise(bounds)]
    return [Document(part, label if len(parts) == 1 else f"{label}, document {n}") for n, part in enumerate(parts, 1)]


def _found(data: Object, depth: int) -> Iterator[Found]:
    group, _, _ = str(data.get("apiVersion", "")).rpartition("/")
    kind = str(data.get("kind", ""))
    if kind == "List" and depth < _MAX_LISTS:
        for item in objects_at(data, "items", ""):
            yield from _found(item, depth + 1)
        return
    metadata = object_at(data, "metadata", "") or {}
    name = str(metadata.get("name") or metadata.get("generateName") or "?")
    about, namespace = f"{kind.lower()}/{name}", str(metadata.get("namespace") or "")
    if (group, kind) == ("", "Service"):
        yield Found(about, namespace, data, is_service=True, around=data)
    elif (path := _TEMPLATES.get((group, kind))) is not None:
        part = data
        for place, key in enumerate(path):
            inner = object_at(part, key, ".".join(path[:place]))
            if inner is None:
                raise MalformedError(f"{about}: {'.'.join(path[: place + 1])}", "there")
            part = inner
        yield Found(about, namespace, part, is_service=False, around=data)


def _read_json(text: str, label: str) -> Any:  # noqa: ANN401  any JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{label}: is no JSON: {error}") from None


def _round_trip(text: str) -> YAML:
    reader = YAML(typ="rt")
    reader.preserve_quotes = True
    reader.width = 1 << 16  # lines are not broken anew
    reader.brace_single_entry_mapping_in_flow_sequence = True  # `[{a: 1}]`, not `[a: 1]`
    nested, first = _BLOCK_MAPPING.search(text), _BLOCK_LIST.search(text)
    mapping = max(len(nested[2]) - len(nested[1]), 2) if nested is not None else 2
    offset = max(len(first[2]) - len(first[1]), 0) if first is not None else 0
    gap = len(first[3]) if first is not None else 1
    reader.indent(mapping=mapping, sequence=offset + 1 + gap, offset=offset)
    return reader


def _read_yaml(text: str, label: str) -> Any:  # noqa: ANN401  any YAML
    if _is_deep(text):
        raise UnreadableError(
            f"{label}: is no YAML of Kubernetes: it is nested deeper than {MAX_DEPTH}; look for a typo"
        )
    try:
        return _round_trip(text).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{label}:{mark.line + 1}:{mark.column + 1}" if mark is not None else label
        raise UnreadableError(f"{place}: is no YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{label}: is no YAML: {str(error).splitlines()[0] if str(error) else error}") from None


def _is_deep(text: str) -> bool:
    """Whether *text* is nested deeper than anything that is meant; told by libyaml, which is fast whatever it is."""
    depth = 0
    try:
        for event in pyyaml.parse(text, Loader=pyyaml.CSafeLoader):
            if isinstance(event, pyyaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, pyyaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return True
    except pyyaml.YAMLError:
        return False  # what is wrong is told by who reads it
    return False


def _write_yaml(data: Any, text: str) -> str:  # noqa: ANN401  any YAML
    output = io.StringIO()
    _round_trip(text).dump(data, output)
    return output.getvalue()


def _is_shared(data: Any) -> bool:  # noqa: ANN401  any YAML
    seen: set[int] = set()
    left = [data]
    while left:
        part = left.pop()
        if isinstance(part, dict | list):
            if id(part) in seen or getattr(part, "merge", None):
                return True
            seen.add(id(part))
            left.extend(part.values() if isinstance(part, dict) else part)
    return False


def _styled(part: Any) -> Any:  # noqa: ANN401  any part of an object
    """Return *part* for block style, with text in quotes that YAML 1.1 would read as something else."""
    if isinstance(part, dict):
        return CommentedMap((key, _styled(inner)) for key, inner in part.items())
    if isinstance(part, list):
        return CommentedSeq(_styled(inner) for inner in part)
    if isinstance(part, str) and _is_misread(part):
        return DoubleQuotedScalarString(part)
    return part


def _is_misread(text: str) -> bool:
    tag = pyyaml.SafeLoader("").resolve(pyyaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag != "tag:yaml.org,2002:str" or text in {"y", "Y", "n", "N"}


def _json_indent(text: str) -> int | None:
    found = re.search(r"\{\r?\n( +)\S", text)
    return len(found[1]) if found is not None else None


class _KubectlLoader(pyyaml.SafeLoader):
    """YAML 1.1 without dates and numbers of base sixty, which Kubernetes does not know."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in pyyaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_yaml_int(self, node: Any) -> Any:  # noqa: ANN401  as PyYAML has it
        """Keep `12:30` as text."""
        return node.value if ":" in node.value else super().construct_yaml_int(node)

    def construct_yaml_float(self, node: Any) -> Any:  # noqa: ANN401  as PyYAML has it
        """Keep `12:30.5` as text."""
        return node.value if ":" in node.value else super().construct_yaml_float(node)


_KubectlLoader.add_constructor("tag:yaml.org,2002:int", _KubectlLoader.construct_yaml_int)
_KubectlLoader.add_constructor("tag:yaml.org,2002:float", _KubectlLoader.construct_yaml_float)
