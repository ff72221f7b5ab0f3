"""Short ways to write routes."""

import re
from typing import Any

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.routing.body import parse_pointer
from sidegate.core.routing.pattern import parse_pattern
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

_PIECE = re.compile(r"\{(\w+)\}")


def template(text: str, reading: Reading = Reading.PLAIN) -> Source:
    """Write a template such as ``/skills/{rest}``."""
    parts = _PIECE.split(text)
    pieces = tuple(Parameter(part) if place % 2 else part for place, part in enumerate(parts) if part)
    return Source(Origin.PATH, text, pieces, reading)


def from_query(name: str, reading: Reading = Reading.PLAIN) -> Source:
    """Read a query parameter."""
    return Source(Origin.QUERY, name, (), reading)


def from_header(name: str) -> Source:
    """Read a header."""
    return Source(Origin.HEADER, name)


def from_body(pointer: str, reading: Reading = Reading.PLAIN) -> Source:
    """Read a member of the JSON body."""
    return Source(Origin.BODY_JSON, pointer, parse_pointer(pointer), reading)


def ask(asked: Authority | Primitive = Authority.READ, *, subtree: bool = False, **parts: Source | str) -> AskPlan:
    """Plan an ask; a part written as text is a template."""
    sources = {name: template(part) if isinstance(part, str) else part for name, part in parts.items()}
    return plan_ask(asked, TargetPlan(subtree=subtree, **sources))


def route(line: str, *plans: AskPlan, **more: Any) -> Route:
    """Make a route from ``GET /path``; it reads section ``/`` unless told otherwise."""
    method, _, pattern = line.partition(" ")
    return make_route(method, parse_pattern(pattern), plans or (ask(section="/"),), **more)
