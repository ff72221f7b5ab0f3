"""From a matched request to what it asks for: one (authority, target) per part of the operation (spec 6.2)."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final, assert_never

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import InvariantError, NamingError, WireError
from sidegate.core.model.target import (
    MAX_SEGMENTS,
    Target,
    parse_path,
    parse_section,
    project_target,
    require_name,
    section_target,
)
from sidegate.core.model.value import hot_value
from sidegate.core.routing.body import parse_body, read_pointer, require_json_headers
from sidegate.core.routing.glob import literal_prefix
from sidegate.core.routing.query import read_parameter
from sidegate.core.routing.route import AskPlan, Origin, Reading, Source, TargetPlan
from sidegate.core.routing.table import Match

HeaderLookup = Callable[[bytes], tuple[bytes, ...]]
"""All values of a header, by its lower-case name, as they came."""

# A segment that needs no look at its characters: ASCII, no separator, no control character, short enough.
_PLAIN_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@ -]{1,255}")


@hot_value
class Ask:
    """One part of an operation.

    Attributes:
        authority: What is to be exercised.
        target: On what.
        primitive: The DataStore primitive, if the route names one.
    """

    authority: Authority
    target: Target
    primitive: Primitive | None


def resolve(
    match: Match, principal_org: str, query: bytes, header: HeaderLookup, body: bytes | None
) -> tuple[Ask, ...]:
    """Read from a request what it asks for; empty for a public route.

    Args:
        match: The route it matched.
        principal_org: Organization of a target that names none.
        query: Raw bytes behind the ``?``.
        header: Asked only for names in ``match.route.needs_headers``.
        body: The whole body; read only if ``match.route.needs_body``.

    Raises:
        WireError: 400: something that decides is missing, occurs twice, cannot be read in one way, or is not a name
            as spec 1.2 wants it.
    """
    plans = match.route.plans
    if not plans:
        return ()
    request = _Request(match, query, header, body)
    return tuple([_ask(plan, request, principal_org) for plan in plans])


def _ask(plan: AskPlan, request: "_Request", principal_org: str) -> Ask:
    try:
        return Ask(plan.authority, _target(plan.target, request, principal_org), plan.primitive)
    except NamingError:
        # The message of a NamingError quotes the name, which is the client's: not for an answer or a log.
        raise WireError(
            400, Reason.MALFORMED_REQUEST, "a name in the request is not an organization, project, branch or path name"
        ) from None


def _target(plan: TargetPlan, request: "_Request", principal_org: str) -> Target:
    org = principal_org if plan.org is None else require_name(request.text(plan.org), "organization")
    if plan.section is not None:
        return section_target(org, request.section(plan.section), subtree=plan.subtree)
    if plan.project is None:
        raise InvariantError("a route names neither a section nor a project; its file should have been refused")
    return project_target(
        org,
        require_name(request.text(plan.project), "project"),
        None if plan.branch is None else require_name(request.text(plan.branch), "branch"),
        () if plan.path is None else request.path(plan.path),
        subtree=plan.subtree,
    )


class _Request:
    """Where sources are read from; the body is parsed once, on first use."""

    __slots__ = ("_body", "_document", "_header", "_is_parsed", "_pattern", "_query", "_segments", "_tail_place")

    def __init__(self, match: Match, query: bytes, header: HeaderLookup, body: bytes | None) -> None:
        self._pattern = match.route.pattern
        self._segments = match.segments
        self._tail_place = match.route.pattern.tail_place
        self._query = query
        self._header = header
        self._body = body
        self._document: object = None
        self._is_parsed = False

    def text(self, source: Source) -> str:
        """Return the text of *source*, in NFC."""
        if source.place is not None and source.place != self._tail_place:
            return self._segments[source.place]
        match source.origin:
            case Origin.PATH:
                return "".join(
                    [piece if isinstance(piece, str) else self._parameter(piece.name) for piece in source.pieces]
                )
            case Origin.QUERY:
                text = self._query_text(source.name)
            case Origin.HEADER:
                text = self._header_text(source.name)
            case Origin.BODY_JSON:
                text = read_pointer(self._json(), tuple([str(piece) for piece in source.pieces]))
            case _:
                assert_never(source.origin)
        # What is forwarded is what came: were it normalised for the decision only, two readings would be about.
        if not text.isascii() and not unicodedata.is_normalized("NFC", text):
            raise WireError(400, Reason.MALFORMED_REQUEST, "a name in the request is not in NFC; normalise names")
        return text

    def path(self, source: Source) -> tuple[str, ...]:
        """Return the path segments that *source* names; empty only for a glob that starts with a wildcard."""
        if source.reading is Reading.GLOB:
            return literal_prefix(self.text(source))
        if source.place is not None:
            return _checked(self._from(source.place))
        return parse_path(self.text(source))

    def section(self, source: Source) -> tuple[str, ...]:
        """Return the segments of the section that *source* names."""
        return parse_section(self.text(source))

    def _parameter(self, name: str) -> str:
        place = self._pattern.places[name]
        if place == self._tail_place:
            return "/".join(self._from(place))
        segment = self._pattern.segments[place]
        text = self._segments[place]
        return text[len(segment.prefix) : len(text) - len(segment.suffix)]

    def _from(self, place: int) -> tuple[str, ...]:
        if place != self._tail_place:
            return (self._segments[place],)
        tail = self._segments[place:]
        # A trailing slash is kept in what is forwarded; it names nothing more.
        return tail if tail[-1] else tail[:-1]

    def _query_text(self, name: str) -> str:
        text = read_parameter(self._query, name)
        if text is None:
            raise WireError(400, Reason.MALFORMED_REQUEST, "a query parameter that decides is missing")
        return text

    def _header_text(self, name: str) -> str:
        values = self._header(name.encode())
        if len(values) != 1:
            raise WireError(400, Reason.MALFORMED_REQUEST, "a header that decides is missing or occurs twice")
        try:
            return values[0].strip(b" \t").decode()
        except UnicodeDecodeError:
            raise WireError(400, Reason.MALFORMED_REQUEST, "a header that decides is not valid UTF-8") from None

    def _json(self) -> object:
        if not self._is_parsed:
            require_json_headers(self._header(b"content-type"), self._header(b"content-encoding"))
            self._document = parse_body(self._body)
            self._is_parsed = True
        return self._document


def _checked(segments: tuple[str, ...]) -> tuple[str, ...]:
    for segment in segments:
        if _PLAIN_SEGMENT.fullmatch(segment) is None or segment in {".", ".."}:
            # Long, not ASCII, or an encoded slash that the route allows: then it stands for several segments.
            return parse_path("/".join(segments))
    if len(segments) > MAX_SEGMENTS:
        raise NamingError(f"a path has {len(segments)} segments; at most {MAX_SEGMENTS} are allowed")
    return segments
