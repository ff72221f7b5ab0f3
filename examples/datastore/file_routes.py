"""HTTP for single files: Read, Write, Edit and Delete."""

import asyncio
import os
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from examples.datastore.branches import Branches
from examples.datastore.disk import SKILLS
from examples.datastore.feed import Feeds
from examples.datastore.files import Expectation, FileStore, Written
from examples.datastore.names import BranchRef
from examples.datastore.problems import RefusedError, conflict, malformed
from examples.datastore.requests import (
    branch_of,
    json_response,
    org_of,
    path_in,
    read_object,
    tail_of,
    text_in,
    version_of,
)
from examples.datastore.transfer import VERSION_HEADER, expectation_of, receive, send_file

# `(?s:.+)`: a decoded line break must reach the path's own check (400), not end as an unknown route.
TAIL = "{path:(?s:.+)}"
BRANCH = "/v1/orgs/{org}/projects/{project}/branches/{branch:[^/:]+}"

# How many segments stand before the tail, in each kind of route that has one.
BRANCH_SEGMENTS = 8
SKILL_SEGMENTS = 4
SHARED_SEGMENTS = 3

# An edit is the one write that needs the whole file in memory.
MAX_EDIT_BYTES = 8 * 1024 * 1024


class FileRoutes:
    """Serves the files of branches, skills and published copies."""

    def __init__(self, files: FileStore, branches: Branches, feeds: Feeds) -> None:
        self._files = files
        self._branches = branches
        self._feeds = feeds

    def routes(self) -> Iterable[web.RouteDef]:
        """List the routes; the router tries them in this order, so the hottest is first."""
        return [
            web.get(f"{BRANCH}/files/{TAIL}", self.read),
            web.put(f"{BRANCH}/files/{TAIL}", self.write),
            web.patch(f"{BRANCH}/files/{TAIL}", self.edit),
            web.delete(f"{BRANCH}/files/{TAIL}", self.delete),
            web.get(f"{BRANCH}/history/{TAIL}", self.list_versions),
            web.delete(f"{BRANCH}/trees/{TAIL}", self.delete_tree),
            web.post(f"{BRANCH}:move", self.move),
            web.get("/v1/orgs/{org}/skills/{rest:(?s:.+)}", self.read_skill),
            web.get(f"/v1/shared/{{token}}/{TAIL}", self.read_shared),
        ]

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Read a file, whole or in part, now or at an older version."""
        path = tail_of(request, BRANCH_SEGMENTS)
        return await send_file(request, path, self._files.open(branch_of(request), path, version_of(request)))

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Create or replace a file."""
        ref, path = branch_of(request), tail_of(request, BRANCH_SEGMENTS)
        with self._files.disk.staged() as staged:
            with staged.open("xb") as file:
                await receive(file, request)
            written = self._files.commit(ref, path, staged, expectation_of(request))
        return self._answer(ref, path, written)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """Replace text in a file."""
        ref, path = branch_of(request), tail_of(request, BRANCH_SEGMENTS)
        body = await read_object(request)
        find, replace, count = text_in(body, "find"), text_in(body, "replace"), text_in(body, "occurrences", "one")
        expected = expectation_of(request)
        before, etag = self._load_text(ref, path)
        expected.require(etag)
        after = _replace(before, find.encode(), replace.encode(), count)
        with self._files.disk.staged() as staged:
            _store(staged, after)
            # Nothing has waited since the file was read; a merge in a worker thread may still have been quicker.
            written = self._files.commit(ref, path, staged, Expectation(match=etag))
        return self._answer(ref, path, written)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Remove one file."""
        ref, path = branch_of(request), tail_of(request, BRANCH_SEGMENTS)
        self._files.remove(ref, path, expectation_of(request))
        self._record(ref, "file.deleted", path=path)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def delete_tree(self, request: web.Request) -> web.StreamResponse:
        """Remove everything at and below a path."""
        ref, path = branch_of(request), tail_of(request, BRANCH_SEGMENTS)
        await asyncio.to_thread(self._files.remove_tree, ref, path)
        self._record(ref, "tree.deleted", path=path)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def move(self, request: web.Request) -> web.StreamResponse:
        """Give a file another path."""
        ref, body = branch_of(request), await read_object(request)
        source, destination = path_in(body, "source"), path_in(body, "destination")
        written = self._files.move(ref, source, destination)
        self._record(ref, "file.moved", source=source, destination=destination, version=written.version)
        return json_response({"source": source, "destination": destination, **written._asdict()})

    async def list_versions(self, request: web.Request) -> web.StreamResponse:
        """List the versions of a file."""
        path = tail_of(request, BRANCH_SEGMENTS)
        return json_response({"path": path, "versions": self._files.versions(branch_of(request), path)})

    async def read_skill(self, request: web.Request) -> web.StreamResponse:
        """Read a document of the organization's skills."""
        path = tail_of(request, SKILL_SEGMENTS)
        return await send_file(request, path, self._files.open_plain(f"{org_of(request)}/{SKILLS}/{path}"))

    async def read_shared(self, request: web.Request) -> web.StreamResponse:
        """Read a file of a published copy; the link is all that is needed."""
        path = tail_of(request, SHARED_SEGMENTS)
        place = self._branches.shared_place(request.match_info["token"])
        return await send_file(request, path, self._files.open_plain(f"{place}/{path}"))

    def _load_text(self, ref: BranchRef, path: str) -> tuple[bytes, str]:
        opened = self._files.open(ref, path)
        with os.fdopen(opened.handle, "rb") as file:
            if opened.size > MAX_EDIT_BYTES:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an edit takes at most {MAX_EDIT_BYTES} bytes")
            return file.read(), opened.etag

    def _answer(self, ref: BranchRef, path: str, written: Written) -> web.Response:
        self._record(ref, "file.written", path=path, version=written.version, size=written.size)
        status = HTTPStatus.CREATED if written.created else HTTPStatus.OK
        response = json_response({"path": path, **written._asdict()}, status)
        response.headers["ETag"] = written.etag
        response.headers[VERSION_HEADER] = str(written.version)
        return response

    def _record(self, ref: BranchRef, event: str, **details: object) -> None:
        self._feeds.record(ref.org, ref.project, event, {"branch": ref.branch, **details})


def _replace(text: bytes, find: bytes, replace: bytes, occurrences: str) -> bytes:
    if not find or occurrences not in {"one", "all"}:
        raise malformed("`/find` is empty, or `/occurrences` is neither `one` nor `all`")
    count = text.count(find)
    if count == 0:
        raise conflict("the text to find is not in the file")
    if count > 1 and occurrences == "one":
        raise conflict(
            f"the text to find is in the file {count} times; name more of it, or set `/occurrences` to `all`"
        )
    return text.replace(find, replace)


def _store(place: Path, content: bytes) -> None:
    place.write_bytes(content)
