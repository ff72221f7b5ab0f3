"""Operations over many files: search, compute, promote, merge, branches, projects, shares, settings."""

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from examples.datastore import grep
from examples.datastore.disk import Disk, version_key
from examples.datastore.feed import Feed
from examples.datastore.files import FileStore
from examples.datastore.names import BranchRef
from examples.datastore.patterns import match_segment, parse_pattern

Client = TestClient[web.Request, web.Application]

PROJECT = "/v1/orgs/acme/projects/p1"
MAIN = f"{PROJECT}/branches/main"
CURRENT = ["designs/current/load.json", "designs/current/route.json"]


async def _post(client: Client, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    answer = await client.post(path, json=body)
    return answer.status, await answer.json()


async def _put(client: Client, path: str, text: str, branch: str = "main") -> None:
    answer = await client.put(f"{PROJECT}/branches/{branch}/files/{path}", data=text.encode())
    assert answer.status in {200, 201}


async def _text(client: Client, path: str, branch: str = "main") -> str | None:
    answer = await client.get(f"{PROJECT}/branches/{branch}/files/{path}")
    return await answer.text() if answer.status == 200 else None


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        pytest.param("designs/current/*.json", CURRENT, id="star"),
        pytest.param("designs/**", [*CURRENT, "designs/draft/idea.json"], id="tree"),
        pytest.param("**/idea.json", ["designs/draft/idea.json"], id="anywhere"),
        pytest.param("designs/current/r?ute.json", CURRENT[1:], id="question-mark"),
        pytest.param("designs/current/load.json", CURRENT[:1], id="literal"),
        pytest.param("designs", [], id="a-directory-is-no-file"),
        pytest.param("designs/*", [], id="star-stays-in-its-segment"),
        pytest.param("designs/cur", [], id="whole-segments"),
        pytest.param("designs/[c]urrent/*", [], id="brackets-are-literal"),
        pytest.param("{designs,secrets}/**", [], id="braces-are-literal"),
    ],
)
async def test_glob(client: Client, pattern: str, paths: list[str]) -> None:
    """A pattern lists the files it matches, in order; only `*`, `?` and `**` are special."""
    expected = {"pattern": pattern, "paths": paths, "truncated": False}
    assert (200, expected) == await _post(client, f"{MAIN}:glob", {"pattern": pattern})


@pytest.mark.parametrize("pattern", ["../**", "/etc/*", "designs/../secrets/*", "", "a//b", 7, None])
async def test_glob_refused(client: Client, pattern: object) -> None:
    """A pattern obeys the rules of a path."""
    assert (await _post(client, f"{MAIN}:glob", {"pattern": pattern}))[0] == 400


def test_pattern_prefix() -> None:
    """Everything that a pattern matches lies at or below its literal segments in front."""
    assert tuple(parse_pattern(text).prefix for text in ("a/b/c*/d", "**/a", "a/b")) == ("a/b", "", "a/b")


def test_pattern_costs_no_exponential_time() -> None:
    """A pattern of many stars against a name it nearly matches ends at once."""
    assert not match_segment("*a" * 60 + "b", "a" * 255)
    assert not parse_pattern("**/a/" * 20 + "b").matches("/".join(["a"] * 64))


async def test_grep_text(client: Client) -> None:
    """A text is found literally, with path and line, in what the path names and below."""
    await _put(client, "notes/a.txt", "one\ntwo.\nthree")
    await _put(client, "other.txt", "two.")
    status, answer = await _post(client, f"{MAIN}:grep", {"pattern": "two.", "path": "notes"})
    assert (status, answer["matches"]) == (200, [{"path": "notes/a.txt", "line": 2, "text": "two."}])
    _, everywhere = await _post(client, f"{MAIN}:grep", {"pattern": "two."})
    assert [match["path"] for match in everywhere["matches"]] == ["notes/a.txt", "other.txt"]
    _, matched = await _post(client, f"{MAIN}:grep", {"pattern": "two.", "path": "n*/*.txt"})
    assert [match["path"] for match in matched["matches"]] == ["notes/a.txt"]


async def test_grep_regex(client: Client) -> None:
    """A regular expression is one only when asked for."""
    await _put(client, "notes/a.txt", "cost 12\ncost x\n")
    body = {"pattern": r"cost \d+", "path": "notes/**"}
    assert (await _post(client, f"{MAIN}:grep", body))[1]["matches"] == []
    _, answer = await _post(client, f"{MAIN}:grep", {**body, "mode": "regex"})
    assert answer["matches"] == [{"path": "notes/a.txt", "line": 1, "text": "cost 12"}]
    assert (await _post(client, f"{MAIN}:grep", {"pattern": "(", "mode": "regex"}))[0] == 400
    assert (await _post(client, f"{MAIN}:grep", {"pattern": "a", "mode": "fuzzy"}))[0] == 400
    assert (await _post(client, f"{MAIN}:grep", {"pattern": ""}))[0] == 400


async def test_grep_that_never_ends(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression of exponential cost is stopped, and holds up no other request."""
    monkeypatch.setattr(grep, "SEARCH_S", 0.3)
    await _put(client, "a.txt", "a" * 64 + "b")
    assert (await _post(client, f"{MAIN}:grep", {"pattern": "(a+)+$", "path": "a.txt", "mode": "regex"}))[0] == 422


async def test_grep_is_bounded(client: Client) -> None:
    """At most 1000 lines come back, the answer says so, and what is not text is left out."""
    await _put(client, "many.txt", "x\n" * 1001)
    await _put(client, "binary.bin", "x\0x")
    _, answer = await _post(client, f"{MAIN}:grep", {"pattern": "x", "path": "many.txt"})
    assert (len(answer["matches"]), answer["truncated"]) == (1000, True)
    _, answer = await _post(client, f"{MAIN}:grep", {"pattern": "x", "path": "binary.bin"})
    assert (answer["matches"], answer["truncated"]) == ([], False)


async def test_run_sha256(client: Client) -> None:
    """The digest of a file is its SHA-256; that of a tree covers paths and contents."""
    await _put(client, "d/a.txt", "hello")
    digest = hashlib.sha256(b"hello").hexdigest()
    tree = hashlib.sha256(f"{digest}  d/a.txt\n".encode()).hexdigest()
    expected = {"path": "d", "program": "sha256", "files": 1, "result": {"files": {"d/a.txt": digest}, "tree": tree}}
    assert (200, expected) == await _post(client, f"{MAIN}:run", {"program": "sha256", "path": "d"})


async def test_run_wordcount(client: Client) -> None:
    """Words are counted as by wc, also where one lies across two blocks."""
    text = "ab " * 90_000 + "\nlast"
    await _put(client, "d/a.txt", text)
    _, answer = await _post(client, f"{MAIN}:run", {"program": "wordcount", "path": "d/a.txt"})
    assert {"lines": 1, "words": 90_001, "bytes": len(text)} == answer["result"]


async def test_run_jsonsum(client: Client) -> None:
    """The sum is exactly rounded, so order does not show; truth values are no numbers; other files are left out."""
    await _put(client, "d/a.json", '{"x": [1e16, 1, true], "y": "5"}')
    await _put(client, "d/b.json", "[-1e16, 0.5]")
    await _put(client, "d/c.txt", "7")
    _, answer = await _post(client, f"{MAIN}:run", {"program": "jsonsum", "path": "d"})
    assert answer["result"] == {"numbers": 4, "sum": 1.5}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"program": "rm", "path": "designs"}, 422, id="unknown-program"),
        pytest.param({"program": "sha256", "path": "nope"}, 404, id="nothing-there"),
        pytest.param({"program": "sha256", "path": "*"}, 404, id="a-star-is-a-character"),
        pytest.param({"program": "sha256", "path": "../p2"}, 400, id="escape"),
        pytest.param({"program": "jsonsum", "path": "broken.json"}, 422, id="not-json"),
        pytest.param({"path": "designs"}, 400, id="no-program"),
    ],
)
async def test_run_refused(client: Client, body: dict[str, Any], status: int) -> None:
    """What cannot be run is refused with a reason."""
    await _put(client, "broken.json", "{")
    assert status == (await _post(client, f"{MAIN}:run", body))[0]


async def test_solve_shortest_path(client: Client) -> None:
    """The cheapest way is found; with one-way edges there may be none."""
    body = {"family": "shortest-path", "path": "designs/current/route.json"}
    expected = {"feasible": True, "cost": 8, "path": ["depot", "school", "mill", "harbour"]}
    assert expected == (await _post(client, f"{MAIN}:solve", body))[1]["result"]
    await _put(
        client, "n.json", '{"edges":[{"from":"a","to":"b","cost":1}],"start":"b","goal":"a","direction":"one-way"}'
    )
    assert (await _post(client, f"{MAIN}:solve", {**body, "path": "n.json"}))[1]["result"] == {"feasible": False}


async def test_solve_knapsack(client: Client) -> None:
    """The most valuable load is chosen, each item at most once."""
    body = {"family": "knapsack", "path": "designs/current/load.json"}
    expected = {"feasible": True, "value": 220, "weight": 50, "chosen": ["ducts", "splicer"]}
    assert expected == (await _post(client, f"{MAIN}:solve", body))[1]["result"]


@pytest.mark.parametrize(
    ("family", "path", "status"),
    [
        pytest.param("magic", "designs/current/load.json", 422, id="unknown-family"),
        pytest.param("knapsack", "designs/current/route.json", 422, id="design-of-another-family"),
        pytest.param("knapsack", "huge.json", 422, id="too-large"),
        pytest.param("knapsack", "nope.json", 404, id="no-design"),
    ],
)
async def test_solve_refused(client: Client, family: str, path: str, status: int) -> None:
    """What cannot be solved is refused with a reason."""
    await _put(client, "huge.json", '{"capacity": 999999999, "items": [{"name": "a", "weight": 1, "value": 1}]}')
    assert status == (await _post(client, f"{MAIN}:solve", {"family": family, "path": path}))[0]


async def test_branch_holds_what_was_there(client: Client) -> None:
    """A new branch has the files of its source at that moment; afterwards each changes alone."""
    await _put(client, "a.txt", "one")
    status, answer = await _post(client, f"{PROJECT}/branches/new", {"from": "main"})
    assert (status, answer) == (201, {"branch": "new", "from": "main", "files": 5})
    await _put(client, "a.txt", "two")
    await _put(client, "b.txt", "new", branch="new")
    assert (await _text(client, "a.txt"), await _text(client, "a.txt", "new")) == ("two", "one")
    assert await _text(client, "b.txt") is None
    assert (await _post(client, f"{PROJECT}/branches/new", {"from": "main"}))[0] == 409
    assert (await _post(client, f"{PROJECT}/branches/other", {"from": "nope"}))[0] == 404
    branches = await (await client.get(f"{PROJECT}/branches")).json()
    assert branches == {"branches": ["main", "new", "x"]}


async def test_delete_branch(client: Client, root: Path) -> None:
    """A branch goes with its versions; one made later under its name begins anew."""
    await _put(client, "a.txt", "one", branch="x")
    await _put(client, "a.txt", "two", branch="x")
    assert (await client.delete(f"{PROJECT}/branches/x")).status == 204
    assert not (root / "acme/p1/branches/x").exists()
    assert (await client.delete(f"{PROJECT}/branches/x")).status == 404
    assert (await _post(client, f"{PROJECT}/branches/x", {}))[0] == 201
    assert (await client.get(f"{PROJECT}/branches/x/files/a.txt?version=1")).status == 404
    answer = await client.put(f"{PROJECT}/branches/x/files/a.txt", data=b"again")
    assert (answer.status, answer.headers["X-DataStore-Version"]) == (201, "1")


async def test_merge(client: Client) -> None:
    """The source's content counts, as new versions; what only the branch holds stays; twice is as once."""
    await _put(client, "only-main.txt", "kept")
    await _put(client, "same.txt", "same")
    await _put(client, "same.txt", "same", branch="x")
    await _put(client, "both.txt", "mine")
    await _put(client, "both.txt", "theirs", branch="x")
    await _put(client, "only-x.txt", "new", branch="x")
    expected = {"branch": "main", "source": "x", "changed": ["both.txt", "only-x.txt"]}
    assert (200, expected) == await _post(client, f"{MAIN}:merge", {"source": "x"})
    assert tuple([await _text(client, name) for name in ("both.txt", "only-x.txt", "only-main.txt")]) == (
        "theirs",
        "new",
        "kept",
    )
    assert await (await client.get(f"{MAIN}/files/both.txt?version=1")).text() == "mine"
    assert (await _post(client, f"{MAIN}:merge", {"source": "x"}))[1]["changed"] == []
    await _put(client, "both.txt", "later", branch="x")
    assert await _text(client, "both.txt") == "theirs"
    assert (await _post(client, f"{MAIN}:merge", {"source": "main"}))[0] == 409
    assert (await _post(client, f"{MAIN}:merge", {"source": "nope"}))[0] == 404
    assert (await _post(client, f"{MAIN}:merge", {"source": "../x"}))[0] == 400


async def test_promote(client: Client, root: Path) -> None:
    """A promotion keeps what the branch holds; later writes do not reach into it; numbers count up."""
    await _put(client, "a.txt", "one")
    assert await _post(client, f"{MAIN}:promote", {}) == (201, {"number": 1, "branch": "main", "files": 5})
    await _put(client, "a.txt", "two")
    assert (root / "acme/p1/baselines/1/files/a.txt").read_text() == "one"
    answer = await client.post(f"{PROJECT}/branches/x:promote")
    assert answer.status == 201
    project = await (await client.get(PROJECT)).json()
    assert project["baseline"] == {"number": 2, "branch": "x", "files": 4}
    assert (await client.post(f"{PROJECT}/branches/nope:promote")).status == 404


def _list_tree(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*")]


async def test_share(client: Client, root: Path) -> None:
    """A share is a copy that needs nothing but its link; the disk does not hold the link."""
    await _put(client, "designs/a.txt", "one")
    status, share = await _post(client, f"{PROJECT}:share", {"branch": "main", "path": "designs"})
    assert (status, share["files"], share["path"]) == (201, 4, "designs")
    await _put(client, "designs/a.txt", "two")
    assert await (await client.get(f"{share['link']}designs/a.txt")).text() == "one"
    assert (await client.get(f"{share['link']}secrets/keys.json")).status == 404
    assert (await client.get(f"/v1/shared/{'A' * 43}/designs/a.txt")).status == 404
    assert (await client.get("/v1/shared/@tmp/designs/a.txt")).status == 404
    token = share["link"].split("/")[3]
    assert token not in " ".join(_list_tree(root))
    assert (await _post(client, f"{PROJECT}:share", {"path": "nope"}))[0] == 404


async def test_projects(client: Client) -> None:
    """A project is made once, with a branch `main`; its details are replaced as a whole."""
    projects = "/v1/orgs/acme/projects"
    body = {"name": "p3", "title": "Third", "secret": 1}
    assert await _post(client, projects, body) == (201, {"name": "p3", "title": "Third"})
    assert (await _post(client, projects, {"name": "p3"}))[0] == 409
    assert (await _post(client, projects, {"name": "../p3"}))[0] == 400
    assert await (await client.get(projects)).json() == {"projects": ["p1", "p2", "p3"]}
    updated = await client.put(f"{projects}/p3", json={"description": "x"})
    assert await updated.json() == {"name": "p3", "description": "x"}
    expected = {"name": "p3", "description": "x", "branches": ["main"], "baseline": None}
    assert expected == await (await client.get(f"{projects}/p3")).json()
    assert (await client.put(f"{projects}/p4", json={})).status == 404
    assert (await client.get("/v1/orgs/nope/projects")).status == 404
    assert (await _post(client, "/v1/orgs/initech/projects", {"name": "a"}))[0] == 201


async def test_settings(client: Client) -> None:
    """Settings are one JSON object per organization."""
    settings = "/v1/orgs/acme/settings"
    assert await (await client.get(settings)).json() == {"units": "metric", "language": "en"}
    assert (await client.put(settings, json={"units": "imperial"})).status == 200
    assert await (await client.get(settings)).json() == {"units": "imperial"}
    assert (await client.put(settings, data=b"[1]")).status == 400
    assert (await client.get("/v1/orgs/nope/settings")).status == 404
    assert (await (await client.get("/v1/orgs/globex/settings")).json())["units"] == "metric"


async def test_problems(client: Client) -> None:
    """Every error is a problem document, also those of the router and of the body's size."""
    for method, path, body, status in (
        ("GET", "/nope", b"", 404),
        ("POST", f"{MAIN}:nope", b"{}", 404),
        ("DELETE", "/healthz", b"", 405),
        ("POST", f"{MAIN}:glob", b"{", 400),
        ("POST", f"{MAIN}:glob", b" " * 2_000_000, 413),
        ("GET", f"{MAIN}/files/a.txt?version=x", b"", 400),
    ):
        answer = await client.request(method, path, data=io.BytesIO(body))
        document = await answer.json()
        assert (status, "application/problem+json") == (answer.status, answer.content_type)
        assert {"type", "title", "status", "detail"} == set(document)
        assert status == document["status"]


def test_version_keys_are_distinct() -> None:
    """No two paths share a place for their versions, however long or oddly spelled."""
    long = "x" * 250
    digest = version_key(f"{long}/a")
    paths = ["a/b", "a%2Fb", "a%b", "a%25b", "~a", "%7Ea", f"{long}/a", f"{long}/b", digest]
    assert len(paths) == len({version_key(path) for path in paths})
    assert all(len(version_key(path).encode()) <= 255 for path in [*paths, "\u00e9" * 127])


def test_threads_lose_no_version(root: Path) -> None:
    """Commits from several threads, as merges make them, each get a number of their own."""
    store, ref = FileStore(Disk(root)), BranchRef("acme", "p1", "main")
    versions: list[int] = []

    def write() -> None:
        for _ in range(20):
            with store.disk.staged() as staged:
                staged.write_bytes(b"x")
                versions.append(store.commit(ref, "a.txt", staged).version)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, 81)) == sorted(versions)


def test_feed_forgets_the_oldest() -> None:
    """A position is known as long as everything after it is kept, and only to the run that gave it out."""
    feed = Feed(kept=2)
    for number in range(3):
        feed.record("e", {"n": number})
    second, third = feed.since(1) or []
    assert feed.since(0) is None
    assert tuple(feed.position_of(f"{third.id.split('.')[0]}.{n}") for n in (2, 3, 1)) == (2, 3, 1)
    assert [third] == feed.since(feed.position_of(second.id) or 0)
    for unknown in ("0", "", "x.1", f"{third.id}0", f"{third.id.split('.')[0]}.0", f"{third.id.split('.')[0]}.-1"):
        assert feed.position_of(unknown) is None
