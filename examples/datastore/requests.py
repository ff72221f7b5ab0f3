"""Reading requests: names, paths, numbers and JSON bodies."""

from typing import Any

import orjson
from aiohttp import web

from examples.datastore.names import BranchRef, parse_path, require_name, require_path
from examples.datastore.problems import malformed

MAX_VERSION_DIGITS = 12


def org_of(request: web.Request) -> str:
    """Return the organization that a request names."""
    return require_name(request.match_info["org"], "organization")


def project_of(request: web.Request) -> tuple[str, str]:
    """Return the organization and the project that a request names."""
    return org_of(request), require_name(request.match_info["project"], "project")


def branch_of(request: web.Request) -> BranchRef:
    """Return the branch that a request names."""
    org, project = project_of(request)
    return BranchRef(org, project, require_name(request.match_info["branch"], "branch"))


def tail_of(request: web.Request, segments_before: int) -> str:
    """
    Return the path at the end of a request target, as the file it names.

    The raw target is read, since the router's own decoding cannot tell `a%2Fb` from `a/b` any more.
    """
    return parse_path(request.rel_url.raw_path.split("/", segments_before + 1)[-1])


def version_of(request: web.Request) -> int | None:
    """Return the version that the query asks for."""
    text = request.query.get("version") if request.query_string else None
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_VERSION_DIGITS:
        raise malformed("`version` is not a whole number")
    return int(text)


async def read_object(request: web.Request) -> dict[str, Any]:
    """Read the body as a JSON object; no body is an empty one."""
    text = await request.read()
    if not text:
        return {}
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise malformed(f"the body is not JSON: {exc}") from None
    if not isinstance(document, dict):
        raise malformed("the body is not a JSON object")
    return document


def text_in(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """Return a text member of a body."""
    value = body.get(key, default)
    if not isinstance(value, str):
        raise malformed(f"`/{key}` is missing or not a text")
    return value


def path_in(body: dict[str, Any], key: str) -> str:
    """Return a member of a body that is a path."""
    return require_path(text_in(body, key))


def name_in(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """Return a member of a body that is a name."""
    return require_name(text_in(body, key, default), key)


def json_response(document: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
