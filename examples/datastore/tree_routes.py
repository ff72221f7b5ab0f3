"""HTTP for whole trees: search, compute, promote, merge, branches, projects, shares, settings."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice

from aiohttp import web

from examples.datastore.branches import MAIN, Branches
from examples.datastore.disk import SETTINGS, Disk, files_place
from examples.datastore.feed import Feeds
from examples.datastore.file_routes import BRANCH
from examples.datastore.files import FileStore
from examples.datastore.grep import Grep
from examples.datastore.names import BranchRef, require_path
from examples.datastore.patterns import Pattern, find_files, find_files_below, parse_pattern
from examples.datastore.problems import missing
from examples.datastore.programs import load_document, run_program
from examples.datastore.requests import (
    branch_of,
    json_response,
    name_in,
    org_of,
    path_in,
    project_of,
    read_object,
    text_in,
)
from examples.datastore.solvers import solve_design

PROJECTS = "/v1/orgs/{org}/projects"
PROJECT = "/v1/orgs/{org}/projects/{project:[^/:]+}"
SETTINGS_ROUTE = "/v1/orgs/{org}/settings"

EVERYTHING = "**"
MAX_PATHS = 10_000


class TreeRoutes:
    """Serves the operations that handle more than one file."""

    def __init__(self, disk: Disk, files: FileStore, branches: Branches, feeds: Feeds) -> None:
        self._disk = disk
        self._files = files
        self._branches = branches
        self._feeds = feeds
        self._grep = Grep()

    def routes(self) -> Iterable[web.RouteDef]:
        """List the routes."""
        return [
            web.post(f"{BRANCH}:glob", self.glob),
            web.post(f"{BRANCH}:grep", self.grep),
            web.post(f"{BRANCH}:run", self.run),
            web.post(f"{BRANCH}:solve", self.solve),
            web.post(f"{BRANCH}:promote", self.promote),
            web.post(f"{BRANCH}:merge", self.merge),
            web.post(BRANCH, self.create_branch),
            web.delete(BRANCH, self.delete_branch),
            web.get(f"{PROJECT}/branches", self.list_branches),
            web.post(f"{PROJECT}:share", self.share),
            web.get(PROJECTS, self.list_projects),
            web.post(PROJECTS, self.create_project),
            web.get(PROJECT, self.describe_project),
            web.put(PROJECT, self.update_project),
            web.get(SETTINGS_ROUTE, self.read_settings),
            web.put(SETTINGS_ROUTE, self.write_settings),
        ]

    async def glob(self, request: web.Request) -> web.StreamResponse:
        """List the files that a pattern matches."""
        ref, body = branch_of(request), await read_object(request)
        text = text_in(body, "pattern")
        pattern = parse_pattern(text)
        found = find_files(self._disk.path(self._require_tree(ref, pattern)), pattern)
        paths = await asyncio.to_thread(lambda: [path for path, _ in islice(found, MAX_PATHS + 1)])
        return json_response(
            {"pattern": text, "paths": paths[:MAX_PATHS], "truncated": len(paths) > MAX_PATHS},
        )

    async def grep(self, request: web.Request) -> web.StreamResponse:
        """List the lines that hold a text or match a regular expression."""
        ref, body = branch_of(request), await read_object(request)
        files = self._files_below(ref, parse_pattern(text_in(body, "path", EVERYTHING)))
        return json_response(await self._grep.search(files, text_in(body, "pattern"), text_in(body, "mode", "text")))

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Run a program over the files at and below a path."""
        ref, body = branch_of(request), await read_object(request)
        path = path_in(body, "path")
        # Not read as a pattern: here a star is a character of a name.
        files = self._files_below(ref, Pattern(path.split("/"), path))
        answer = await asyncio.to_thread(run_program, text_in(body, "program"), files)
        if not answer["files"]:
            raise missing("there is nothing at this path")
        return json_response({"path": path, **answer})

    async def solve(self, request: web.Request) -> web.StreamResponse:
        """Solve a design."""
        ref, body = branch_of(request), await read_object(request)
        path, family = path_in(body, "path"), text_in(body, "family")
        opened = self._files.open(ref, path)
        result = await asyncio.to_thread(lambda: solve_design(family, load_document(opened.handle, path)))
        return json_response({"family": family, "path": path, "result": result})

    async def promote(self, request: web.Request) -> web.StreamResponse:
        """Keep what the branch holds as the project's next baseline."""
        ref = branch_of(request)
        baseline = await asyncio.to_thread(self._branches.promote, ref)
        self._feeds.record(ref.org, ref.project, "branch.promoted", baseline)
        return json_response(baseline, HTTPStatus.CREATED)

    async def merge(self, request: web.Request) -> web.StreamResponse:
        """Bring the files of another branch into this one."""
        ref, body = branch_of(request), await read_object(request)
        source = name_in(body, "source")
        changed = await asyncio.to_thread(self._branches.merge, ref, source)
        answer: dict[str, object] = {"branch": ref.branch, "source": source, "changed": changed}
        self._feeds.record(ref.org, ref.project, "branch.merged", answer)
        return json_response(answer)

    async def create_branch(self, request: web.Request) -> web.StreamResponse:
        """Make a branch, from another one or empty."""
        ref, body = branch_of(request), await read_object(request)
        source = name_in(body, "from") if "from" in body else None
        count = await asyncio.to_thread(self._branches.create_branch, ref, source)
        answer: dict[str, object] = {"branch": ref.branch, "from": source, "files": count}
        self._feeds.record(ref.org, ref.project, "branch.created", answer)
        return json_response(answer, HTTPStatus.CREATED)

    async def delete_branch(self, request: web.Request) -> web.StreamResponse:
        """Remove a branch with all its files."""
        ref = branch_of(request)
        await asyncio.to_thread(self._files.remove_branch, ref)
        self._feeds.record(ref.org, ref.project, "branch.deleted", {"branch": ref.branch})
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def list_branches(self, request: web.Request) -> web.StreamResponse:
        """Name the branches of a project."""
        return json_response({"branches": self._branches.list_branches(*project_of(request))})

    async def share(self, request: web.Request) -> web.StreamResponse:
        """Publish a copy to whoever has the link."""
        (org, project), body = project_of(request), await read_object(request)
        ref = BranchRef(org, project, name_in(body, "branch", MAIN))
        below = require_path(text_in(body, "path")) if "path" in body else ""
        share = await asyncio.to_thread(self._branches.share, ref, below)
        published: dict[str, object] = {"share": share.id, "branch": ref.branch, "path": below, "files": share.files}
        # The feed names the share and leaves out the link: reading changes is less than handing out the files.
        self._feeds.record(org, project, "project.shared", published)
        return json_response({**published, "link": f"/v1/shared/{share.token}/"}, HTTPStatus.CREATED)

    async def list_projects(self, request: web.Request) -> web.StreamResponse:
        """Name the projects of an organization."""
        return json_response({"projects": self._branches.list_projects(org_of(request))})

    async def create_project(self, request: web.Request) -> web.StreamResponse:
        """Make a project with an empty branch ``main``."""
        org, body = org_of(request), await read_object(request)
        project = name_in(body, "name")
        document = self._branches.create_project(org, project, _details_in(body))
        return json_response(document, HTTPStatus.CREATED)

    async def describe_project(self, request: web.Request) -> web.StreamResponse:
        """Return a project's details, branches and baseline."""
        return json_response(self._branches.describe_project(*project_of(request)))

    async def update_project(self, request: web.Request) -> web.StreamResponse:
        """Replace a project's details."""
        (org, project), body = project_of(request), await read_object(request)
        document = self._branches.update_project(org, project, _details_in(body))
        self._feeds.record(org, project, "project.updated", document)
        return json_response(document)

    async def read_settings(self, request: web.Request) -> web.StreamResponse:
        """Return an organization's settings."""
        org = org_of(request)
        self._branches.list_projects(org)
        return json_response(self._disk.read_json(f"{org}/{SETTINGS}") or {})

    async def write_settings(self, request: web.Request) -> web.StreamResponse:
        """Replace an organization's settings."""
        org, settings = org_of(request), await read_object(request)
        self._branches.list_projects(org)
        self._disk.write_json(f"{org}/{SETTINGS}", settings)
        return json_response(settings)

    def _require_tree(self, ref: BranchRef, pattern: Pattern) -> str:
        place = files_place(ref)
        if not self._disk.is_directory(place):
            raise missing("there is no such branch")
        if pattern.prefix:
            self._disk.require_plain(f"{place}/{pattern.prefix}")
        return place

    def _files_below(self, ref: BranchRef, pattern: Pattern) -> Iterable[tuple[str, str]]:
        return find_files_below(self._disk.path(self._require_tree(ref, pattern)), pattern)


def _details_in(body: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in body.items() if key in {"title", "description", "labels"}}
