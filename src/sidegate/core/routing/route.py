"""What a route is: a method and a path pattern, and which (authority, target) a request that matches asks for."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from sidegate.core.model.authority import AUTHORITY_OF, SUBTREE_PRIMITIVES, Authority, Primitive
from sidegate.core.model.value import value
from sidegate.core.routing.pattern import Pattern, Shape

METHODS: Final = (
    *("GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD"),
    # The rest of llhttp's table: WebDAV, its access control, versioning, search and calendar extensions (RFC 4918,
    # 5842, 3744, 3253, 5323, 4791) and device discovery. CONNECT and TRACE are never forwarded (spec 2.1); QUERY would
    # share its key with the query parameters that a route requires (spec 6.2).
    *("COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL"),
    *("REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "SEARCH", "MKCALENDAR", "LINK", "UNLINK", "PURGE"),
    *("M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"),
)
"""Methods that a route may name."""


class Encoded(StrEnum):
    """Characters that a route may let a decoded segment hold, for an upstream known to agree (spec 2.2).

    The members are the names that ``core.wire.path`` gives them.
    """

    PERCENT = "percent"
    SEMICOLON = "semicolon"
    SLASH = "slash"


class Origin(StrEnum):
    """Where in a request a part of the target comes from (spec 6.2)."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    BODY_JSON = "body.json"


class Reading(StrEnum):
    """How the text found is read."""

    PLAIN = "plain"
    GLOB = "glob"


@value
class Parameter:
    """A ``{name}`` in a template."""

    name: str


@value
class Source:
    """Where the text of one part of a target comes from.

    Attributes:
        origin: Which part of the request.
        name: Template as written, query parameter, header name in lower case, or JSON pointer.
        pieces: For a template its literal texts and parameters in order; for a JSON pointer its reference tokens.
        reading: A glob stands for its longest prefix of literal segments (spec 1.6).
        place: Where the segment (or the tail) stands of which this is the whole text, or None. Set by
            :func:`make_route`, so that the usual template costs one look-up.
    """

    origin: Origin
    name: str
    pieces: tuple[str | Parameter, ...] = ()
    reading: Reading = Reading.PLAIN
    place: int | None = None


@value
class TargetPlan:
    """How to build a target. Either *section* or *project* is given; *path* only with *branch*.

    Attributes:
        org: None for the principal's organization.
        section: Text that starts with ``/``.
        project: A name.
        branch: A name.
        path: Segments, or a glob.
        subtree: The operation reaches everything below (spec 1.6).
    """

    org: Source | None = None
    section: Source | None = None
    project: Source | None = None
    branch: Source | None = None
    path: Source | None = None
    subtree: bool = False

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source that is read."""
        parts = (self.org, self.section, self.project, self.branch, self.path)
        return tuple(part for part in parts if part is not None)


@value
class AskPlan:
    """One (authority, target) that a route asks for.

    Attributes:
        authority: What is exercised.
        primitive: The primitive that the route names, if it names one; the authority is then the primitive's.
        target: On what.
    """

    authority: Authority
    primitive: Primitive | None
    target: TargetPlan


def plan_ask(asked: Authority | Primitive, target: TargetPlan) -> AskPlan:
    """Plan one ask; Glob and Grep always reach a whole subtree (spec 1.6)."""
    if isinstance(asked, Authority):
        return AskPlan(asked, None, target)
    if asked in SUBTREE_PRIMITIVES:
        target = replace(target, subtree=True)
    return AskPlan(AUTHORITY_OF[asked], asked, target)


@value
class Route:
    """One line of the route table. Build it with :func:`make_route`.

    Attributes:
        id: What the audit record and metrics of the operator call it, e.g. ``GET /v1/orgs/{org}``.
        name: A title for people; may be empty.
        method: Upper case.
        pattern: Path pattern.
        query: Query parameters that must have these values, sorted by name.
        public: Forwarded without a credential; there is then nothing to ask.
        plans: What it asks for, in order; empty exactly when public.
        allow_encoded: What decoded segments may hold besides the usual.
        needs_body: A plan reads the JSON body.
        needs_headers: Lower-case names of the headers that are read; each may occur at most once.
        needs_query: A plan or the route itself reads the query.
        needs_org: Some target's organization is the principal's.
        path_only: What it asks for follows from method and path alone (and, with *needs_org*, the principal's
            organization), so it may be remembered by the request line.
        line_only: The same, with the query: nothing but the request line is read.
    """

    id: str
    name: str
    method: str
    pattern: Pattern
    query: tuple[tuple[str, str], ...]
    public: bool
    plans: tuple[AskPlan, ...]
    allow_encoded: frozenset[Encoded]
    needs_body: bool
    needs_headers: frozenset[bytes]
    needs_query: bool
    needs_org: bool
    path_only: bool
    line_only: bool

    @property
    def rank(self) -> tuple[tuple[Shape, ...], int]:
        """Of two routes that match one request, the one of the greater rank is meant (spec 6.2)."""
        return (self.pattern.rank, len(self.query))


def _place_sources(plan: AskPlan, pattern: Pattern) -> AskPlan:
    def place(source: Source | None) -> Source | None:
        if source is not None and source.reading is Reading.PLAIN and len(source.pieces) == 1:
            piece = source.pieces[0]
            if isinstance(piece, Parameter) and pattern.segments[pattern.places[piece.name]].is_whole:
                return replace(source, place=pattern.places[piece.name])
        return source

    target = plan.target
    placed = TargetPlan(
        place(target.org),
        place(target.section),
        place(target.project),
        place(target.branch),
        place(target.path),
        target.subtree,
    )
    return replace(plan, target=placed)


BODY_HEADERS: Final = frozenset({b"content-type", b"content-encoding"})
"""Headers that say how a body is to be read: a route that reads JSON must not take another reading for it."""


def make_route(
    method: str,
    pattern: Pattern,
    plans: tuple[AskPlan, ...],
    *,
    query: dict[str, str] | None = None,
    allow_encoded: frozenset[Encoded] = frozenset(),
    route_id: str = "",
    name: str = "",
) -> Route:
    """Build a route; it is public exactly when there are no *plans*. The id defaults to method, pattern and query."""
    required = tuple(sorted((query or {}).items()))
    plans = tuple(_place_sources(plan, pattern) for plan in plans)
    default_id = f"{method} {pattern.text}" + ("?" if required else "") + "&".join(f"{k}={v}" for k, v in required)
    sources = tuple(source for plan in plans for source in plan.target.sources)
    origins = {source.origin for source in sources}
    needs_body = Origin.BODY_JSON in origins
    headers = frozenset(source.name.encode() for source in sources if source.origin is Origin.HEADER)
    line_only = not needs_body and not headers
    needs_query = bool(required) or Origin.QUERY in origins
    return Route(
        id=route_id or default_id,
        name=name,
        method=method,
        pattern=pattern,
        query=required,
        public=not plans,
        plans=plans,
        allow_encoded=allow_encoded,
        needs_body=needs_body,
        needs_headers=headers | BODY_HEADERS if needs_body else headers,
        needs_query=needs_query,
        needs_org=any(plan.target.org is None for plan in plans),
        path_only=line_only and not needs_query,
        line_only=line_only,
    )
