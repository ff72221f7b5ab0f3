"""What one written route means: its plans, checked against its own pattern (spec 6.2)."""

import re
from typing import Any, Final

from sidegate.config.explain import Places, suggest
from sidegate.config.routes_model import WrittenAsk, WrittenRouteBase, WrittenSource, WrittenTarget, methods_of
from sidegate.config.yaml_tree import Path
from sidegate.core.model.authority import SUBTREE_PRIMITIVES, Authority, Primitive
from sidegate.core.model.errors import NamingError, Problem
from sidegate.core.model.target import parse_path, parse_section, require_name
from sidegate.core.routing.body import parse_pointer
from sidegate.core.routing.pattern import ASTERISK, Pattern
from sidegate.core.routing.route import (
    AskPlan,
    Origin,
    Parameter,
    Reading,
    Route,
    Source,
    TargetPlan,
    make_route,
    plan_ask,
)
from sidegate.core.wire.names import NamePolicy, Role

_BRACES: Final = re.compile(r"\{([^{}]*)\}|[{}]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PARTS: Final = ("org", "project", "branch", "path")
_NAMES: Final = NamePolicy(b"x-api-key", frozenset())


class RouteReader:
    """Turns one written route into what it means; keeps everything that is wrong with it.

    Args:
        entry: As written.
        places: Where things were written.
        path: Where the route stands in it.
    """

    def __init__(self, entry: WrittenRouteBase, places: Places, path: Path) -> None:
        self._entry = entry
        self._places = places
        self._path = path
        self._pattern = Pattern("", (), {}, None)
        self._method = ""
        self.problems: list[Problem] = []

    def _refuse(self, below: Path, what: str, hint: str) -> None:
        path = (*self._path, *below)
        self.problems.append(Problem(self._places.position(path), self._places.label(path), what, hint))

    def read(self) -> Route | None:
        """Return the route, or None with :attr:`problems`."""
        entry = self._entry
        methods = methods_of(entry)
        if len(methods) != 1:
            found = " and ".join(method.lower() for method, _ in methods) or "no method"
            self._refuse((), f"names {found}", "write one method with its pattern, e.g. `get: /v1/orgs/{org}`")
            return None
        self._method, self._pattern = methods[0]
        if self._pattern.text == ASTERISK and self._method != "OPTIONS":
            self._refuse((self._method.lower(),), "is '*'", "only `options` has the asterisk form; write a path")
        plans = () if entry.public else self._plans()
        if entry.public:
            written = {"and" if key == "also" else key for key in entry.model_fields_set}
            for key in sorted({"authority", "primitive", "target", "and"} & written):
                self._refuse((key,), "stands in a public route", "remove it, or `public`: nobody is asked for there")
        if self.problems:
            return None
        return make_route(
            self._method,
            self._pattern,
            plans,
            query=entry.query,
            allow_encoded=frozenset(entry.allow_encoded),
            route_id=entry.id or "",
            name=entry.name or "",
        )

    def _plans(self) -> tuple[AskPlan, ...]:
        asks: list[tuple[WrittenAsk, Path]] = [(self._entry, ())]
        asks += [(ask, ("and", number)) for number, ask in enumerate(self._entry.also)]
        plans = [self._plan(ask, below) for ask, below in asks]
        return tuple(plan for plan in plans if plan is not None)

    def _plan(self, ask: WrittenAsk, below: Path) -> AskPlan | None:
        asked: Authority | Primitive | None = ask.authority or ask.primitive
        if asked is None or (ask.authority and ask.primitive):
            what = "asks for nothing" if asked is None else "names an authority and a primitive"
            known = "`authority`, `primitive`" if below else "`authority`, `primitive` and `public: true`"
            self._refuse(below, what, f"write exactly one of {known}")
            return None
        below = (*below, "target")
        target = self._target(ask.target, below)
        if asked in SUBTREE_PRIMITIVES:
            if ask.target.subtree is False:
                self._refuse((*below, "subtree"), "is false", f"remove it: {asked} always reaches the whole subtree")
        elif target.path is not None and target.path.reading is Reading.GLOB and not target.subtree:
            self._refuse((*below, "path"), "is a glob of a single file", "add `subtree: true`")
        return plan_ask(asked, target)

    def _target(self, written: WrittenTarget, below: Path) -> TargetPlan:
        given = {name: getattr(written, name) for name in (*_PARTS, "section")}
        if given["section"] is not None:
            for name in ("project", "branch", "path"):
                if given[name] is not None:
                    self._refuse((*below, name), "stands beside a section", "keep one: a section has no projects")
        else:
            for name in ("project", "branch", "path"):
                self._fill(given, name)
            if given["project"] is None:
                hint = "add `target: {section: /…}`, or name the project"
                self._refuse(below, "names neither a section nor a project", hint)
            if given["path"] is not None and given["branch"] is None:
                self._refuse((*below, "path"), "has no branch", "name the branch, as {branch} or under `target`")
        self._fill(given, "org")
        sources = {
            name: None if part is None else self._source(name, part, (*below, name)) for name, part in given.items()
        }
        return TargetPlan(
            sources["org"],
            sources["section"],
            None if given["section"] is not None else sources["project"],
            None if given["section"] is not None else sources["branch"],
            None if given["section"] is not None else sources["path"],
            subtree=bool(written.subtree),
        )

    def _fill(self, given: dict[str, Any], name: str) -> None:
        """Fill a part that is not given from the path parameter of its name."""
        if given[name] is None and name in self._pattern.places:
            given[name] = f"{{{name}}}"

    def _source(self, part: str, written: WrittenSource | str, below: Path) -> Source | None:
        if isinstance(written, str):
            return self._template(part, written, below)
        if written.pattern is not None and part != "path":
            self._refuse((*below, "pattern"), "is not for names", "only `path` can be a glob")
        reading = written.pattern or Reading.PLAIN
        wanted = "pointer" if written.origin is Origin.BODY_JSON else "name"
        other = "name" if wanted == "pointer" else "pointer"
        text = getattr(written, wanted)
        if getattr(written, other) is not None:
            self._refuse((*below, other), f"does not go with `from: {written.origin}`", f"write `{wanted}`")
        if text is None:
            self._refuse(below, f"lacks `{wanted}`", f"say which, e.g. {_EXAMPLES[written.origin]}")
            return None
        match written.origin:
            case Origin.PATH:
                source = self._template(part, f"{{{text}}}", (*below, "name"))
                return None if source is None else Source(source.origin, source.name, source.pieces, reading)
            case Origin.QUERY:
                return Source(Origin.QUERY, text, (), reading)
            case Origin.HEADER:
                return self._header(text, reading, (*below, "name"))
            case Origin.BODY_JSON:
                return self._body_member(text, reading, below)

    def _header(self, name: str, reading: Reading, below: Path) -> Source | None:
        if _TOKEN.fullmatch(name) is None:
            self._refuse(below, f"is '{name}'", "write a header name, e.g. X-Path")
            return None
        if _NAMES.role_of(name.encode()) is not Role.PASS:
            # What decides has to be what the upstream sees: these are dropped or rewritten on the way (spec 2.3).
            self._refuse(below, f"is '{name}', which is not forwarded as it came", "read another header")
            return None
        return Source(Origin.HEADER, name.lower(), (), reading)

    def _body_member(self, pointer: str, reading: Reading, below: Path) -> Source | None:
        if self._method in {"GET", "HEAD"}:
            hint = "read the path, the query or a header: a body of such a request means nothing (RFC 9110, 9.3.1)"
            self._refuse((*below, "from"), f"is body.json in a {self._method.lower()} route", hint)
            return None
        try:
            return Source(Origin.BODY_JSON, pointer, parse_pointer(pointer), reading)
        except ValueError as exc:
            self._refuse((*below, "pointer"), f"is '{pointer}'", str(exc))
            return None

    def _template(self, part: str, text: str, below: Path) -> Source | None:
        pieces: list[str | Parameter] = []
        at = 0
        for found in _BRACES.finditer(text):
            name = found[1]
            if name is None:
                self._refuse(below, f"is '{text}' with a single brace", "write parameters as {name}")
                return None
            if name not in self._pattern.places:
                hint = suggest(name, self._pattern.places)
                self._refuse(below, f"names {{{name}}}, which the pattern does not have", hint)
                return None
            if self._pattern.places[name] == self._pattern.tail_place and part not in {"path", "section"}:
                self._refuse(below, f"takes the tail {{{name}*}} for a name", "use a parameter of one segment")
                return None
            pieces += [piece for piece in (text[at : found.start()], Parameter(name)) if piece]
            at = found.end()
        if text[at:]:
            pieces.append(text[at:])
        return self._checked_template(part, text, tuple(pieces), below)

    def _checked_template(
        self, part: str, text: str, pieces: tuple[str | Parameter, ...], below: Path
    ) -> Source | None:
        if part == "section" and not text.startswith("/"):
            self._refuse(below, f"is '{text}'", "start it with a slash, like /skills/{rest}")
            return None
        if not any(isinstance(piece, Parameter) for piece in pieces):
            try:
                _READERS[part](text)
            except NamingError as exc:
                self._refuse(below, f"is '{text}'", str(exc))
                return None
        return Source(Origin.PATH, text, pieces)


_EXAMPLES: Final = {
    Origin.PATH: "{from: path, name: branch}",
    Origin.QUERY: "{from: query, name: path}",
    Origin.HEADER: "{from: header, name: X-Path}",
    Origin.BODY_JSON: "{from: body.json, pointer: /path}",
}
_READERS: Final[dict[str, Any]] = {
    "org": lambda text: require_name(text, "organization"),
    "project": lambda text: require_name(text, "project"),
    "branch": lambda text: require_name(text, "branch"),
    "path": parse_path,
    "section": parse_section,
}
