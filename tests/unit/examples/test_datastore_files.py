"""Single files: what is written is on the disk, versioned, and read whole, in part or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from examples.datastore.disk import Disk
from examples.datastore.files import FileStore
from examples.datastore.names import BranchRef
from yarl import URL

Client = TestClient[web.Request, web.Application]

MAIN = "/v1/orgs/acme/projects/p1/branches/main"
NOTE = f"{MAIN}/files/notes/today.txt"
ROUTE = f"{MAIN}/files/designs/current/route.json"
BIG = bytes(range(256)) * 2048  # 512 KiB: streamed in blocks, unlike what is small


async def _put(client: Client, path: str, body: bytes, **headers: str) -> tuple[int, str, str]:
    answer = await client.put(
        path, data=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return answer.status, answer.headers.get("ETag", ""), answer.headers.get("X-DataStore-Version", "")


async def _get(client: Client, path: str | URL, **headers: str) -> tuple[int, bytes]:
    answer = await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status, await answer.read()


async def test_write_lands_on_disk(client: Client, root: Path) -> None:
    """A PUT is a plain file under its own name, and nothing is left of the way it took."""
    assert (await _put(client, NOTE, b"hello\n"))[::2] == (201, "1")
    assert (root / "acme/p1/branches/main/files/notes/today.txt").read_bytes() == b"hello\n"
    assert list((root / "@tmp").iterdir()) == []


async def test_write_makes_versions(client: Client) -> None:
    """Each write makes the next version; the older ones stay readable; the number survives a delete."""
    assert (await _put(client, NOTE, b"one"))[::2] == (201, "1")
    assert (await _put(client, NOTE, b"two"))[::2] == (200, "2")
    assert await _get(client, NOTE) == (200, b"two")
    assert await _get(client, f"{NOTE}?version=1") == (200, b"one")
    assert (await _get(client, f"{NOTE}?version=3"))[0] == 404
    assert (await client.delete(NOTE)).status == 204
    assert await _get(client, f"{NOTE}?version=2") == (200, b"two")
    assert (await _put(client, NOTE, b"three"))[::2] == (201, "3")
    history = await (await client.get(NOTE.replace("/files/", "/history/"))).json()
    assert [(entry["version"], entry["size"]) for entry in history["versions"]] == [(1, 3), (2, 3), (3, 5)]


async def test_versions_survive_restart(client: Client, root: Path) -> None:
    """The next number comes from the disk, not from what the process remembers."""
    await _put(client, NOTE, b"one")
    await _put(client, NOTE, b"two")
    store = FileStore(Disk(root))
    opened = store.open(BranchRef("acme", "p1", "main"), "notes/today.txt")
    os.close(opened.handle)
    assert opened.version == 2


async def test_file_becomes_directory(client: Client) -> None:
    """A path may be a file first and a directory later; the versions of both are kept apart."""
    assert (await _put(client, f"{MAIN}/files/a", b"file"))[0] == 201
    assert (await _put(client, f"{MAIN}/files/a/1", b"below"))[0] == 409
    assert (await client.delete(f"{MAIN}/files/a")).status == 204
    assert (await _put(client, f"{MAIN}/files/a/1", b"below"))[0] == 201
    assert await _get(client, f"{MAIN}/files/a?version=1") == (200, b"file")
    assert (await _put(client, f"{MAIN}/files/a", b"file"))[0] == 409
    assert (await client.delete(f"{MAIN}/files/a")).status == 409


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, len(BIG)])
async def test_bodies_of_all_sizes(client: Client, size: int) -> None:
    """What was written is what is read, with its exact length, small or streamed."""
    assert (await _put(client, NOTE, BIG[:size]))[0] == 201
    answer = await client.get(NOTE)
    assert (str(size), BIG[:size]) == (answer.headers["Content-Length"], await answer.read())
    head = await client.head(NOTE)
    assert (200, str(size), b"") == (head.status, head.headers["Content-Length"], await head.read())


async def test_chunked_write(client: Client) -> None:
    """A body of unknown length is taken as it comes."""

    async def blocks() -> AsyncIterator[bytes]:
        for at in range(0, len(BIG), 50_000):
            yield BIG[at : at + 50_000]

    assert (await client.put(NOTE, data=blocks())).status == 201
    assert await _get(client, NOTE) == (200, BIG)


async def test_broken_write_leaves_nothing(client: Client, root: Path) -> None:
    """A body that ends early makes no version, and its beginning is removed."""
    await _put(client, NOTE, b"whole")
    server = client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"PUT {NOTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
    await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert await _get(client, NOTE) == (200, b"whole")
    assert (await _get(client, f"{NOTE}?version=2"))[0] == 404
    assert list((root / "@tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        pytest.param("bytes=0-0", 206, 0, 1, id="first-byte"),
        pytest.param("bytes=10-19", 206, 10, 20, id="middle"),
        pytest.param("bytes=99-", 206, 99, 100, id="from-last"),
        pytest.param("bytes=90-500", 206, 90, 100, id="end-is-cut"),
        pytest.param("bytes=-10", 206, 90, 100, id="suffix"),
        pytest.param("bytes=-500", 206, 0, 100, id="suffix-longer-than-file"),
        pytest.param("bytes=0-1,5-6", 200, 0, 100, id="several-are-ignored"),
        pytest.param("bytes=9-3", 200, 0, 100, id="backwards-is-ignored"),
        pytest.param("bytes=-", 200, 0, 100, id="empty-is-ignored"),
        pytest.param("lines=1-2", 200, 0, 100, id="other-unit-is-ignored"),
    ],
)
async def test_ranges(client: Client, header: str, status: int, start: int, end: int) -> None:
    """One range is served as RFC 9110 says; what is no single byte range is ignored."""
    await _put(client, NOTE, BIG[:100])
    answer = await client.get(NOTE, headers={"Range": header})
    assert (status, BIG[start:end]) == (answer.status, await answer.read())
    if status == 206:
        assert f"bytes {start}-{end - 1}/100" == answer.headers["Content-Range"]


async def test_range_of_streamed_file(client: Client) -> None:
    """A long range of a large file is streamed from its start to its end."""
    await _put(client, NOTE, BIG)
    assert (206, BIG[1000:301_001]) == await _get(client, NOTE, Range="bytes=1000-301000")


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
async def test_range_outside(client: Client, header: str) -> None:
    """A range that holds no byte of the file is 416 and tells the size."""
    await _put(client, NOTE, BIG[:100])
    answer = await client.get(NOTE, headers={"Range": header})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */100")


async def test_if_range(client: Client) -> None:
    """A range holds only for the state it was asked of; otherwise the whole file is sent."""
    _, etag, _ = await _put(client, NOTE, BIG[:100])
    assert (await _get(client, NOTE, Range="bytes=0-9", If_Range=etag))[0] == 206
    await _put(client, NOTE, BIG[:50])
    assert (200, BIG[:50]) == await _get(client, NOTE, Range="bytes=0-9", If_Range=etag)


async def test_conditional_reads(client: Client) -> None:
    """A known state is 304 without a body; another than asked for is 412."""
    _, etag, _ = await _put(client, NOTE, b"one")
    assert await _get(client, NOTE, If_None_Match=f'"x", W/{etag}') == (304, b"")
    assert await _get(client, NOTE, If_None_Match="*") == (304, b"")
    assert await _get(client, NOTE, If_None_Match='"x"') == (200, b"one")
    assert await _get(client, NOTE, If_Match=etag) == (200, b"one")
    assert (await _get(client, NOTE, If_Match='"x"'))[0] == 412


async def test_conditional_writes(client: Client) -> None:
    """A write with a precondition changes the file only in the state it names."""
    assert (await _put(client, NOTE, b"no", If_Match="*"))[0] == 412
    _, first, _ = await _put(client, NOTE, b"one", If_None_Match="*")
    assert (await _put(client, NOTE, b"no", If_None_Match="*"))[0] == 412
    status, second, _ = await _put(client, NOTE, b"two", If_Match=first)
    assert status == 200
    assert second != first
    assert (await _put(client, NOTE, b"no", If_Match=first))[0] == 412
    assert (await client.delete(NOTE, headers={"If-Match": first})).status == 412
    assert await _get(client, NOTE) == (200, b"two")
    assert (await client.delete(NOTE, headers={"If-Match": second})).status == 204


async def test_write_of_part_is_refused(client: Client) -> None:
    """A PUT with Content-Range would replace the whole by a part, so it is 400."""
    assert (await _put(client, NOTE, b"x", Content_Range="bytes 0-0/9"))[0] == 400


async def test_edit(client: Client) -> None:
    """An edit replaces text that is there once, or all of it on demand, and is a write like any other."""
    _, etag, _ = await _put(client, NOTE, b"a b a")
    answer = await client.patch(NOTE, json={"find": "b", "replace": "c"}, headers={"If-Match": etag})
    assert (answer.status, answer.headers["X-DataStore-Version"]) == (200, "2")
    assert (await client.patch(NOTE, json={"find": "c", "replace": "b"}, headers={"If-Match": etag})).status == 412
    assert (await client.patch(NOTE, json={"find": "a", "replace": "d"})).status == 409
    assert (await client.patch(NOTE, json={"find": "z", "replace": "d"})).status == 409
    assert (await client.patch(NOTE, json={"find": "", "replace": "d"})).status == 400
    assert (await client.patch(NOTE, json={"replace": "d"})).status == 400
    assert (await client.patch(NOTE, json={"find": "a", "replace": "d", "occurrences": "all"})).status == 200
    assert await _get(client, NOTE) == (200, b"d c d")


async def test_delete_prunes_directories(client: Client, root: Path) -> None:
    """With the last file goes its directory, and only up to the branch."""
    files = root / "acme/p1/branches/main/files"
    await _put(client, f"{MAIN}/files/x/y/z.txt", b"z")
    assert (await client.delete(f"{MAIN}/files/x/y/z.txt")).status == 204
    assert not (files / "x").exists()
    assert files.is_dir()
    assert (await client.delete(f"{MAIN}/files/x/y/z.txt")).status == 404


async def test_unknown_places(client: Client) -> None:
    """A write makes directories and never a branch, a project or an organization."""
    for place in ("acme/projects/p1/branches/nope", "acme/projects/p9/branches/main", "nope/projects/p1/branches/main"):
        assert (await _put(client, f"/v1/orgs/{place}/files/a.txt", b"a"))[0] == 404
        assert (await _get(client, f"/v1/orgs/{place}/files/a.txt"))[0] == 404
    assert (await _get(client, f"{MAIN}/files/designs"))[0] == 404


@pytest.mark.parametrize(
    "tail",
    [
        "../secret", "a/../../secret", "..", ".", "a/./b", "%2e%2e/secret", "a/%2E%2E/%2e%2e/x", "..%2fsecret", "a%2Fb",
        "%2fetc%2fpasswd", "/etc/passwd", "a//b", "a/", "a%5Cb", "a%00", "a%0Ab", "a%7F", "a%C2%80", "%ff", "%zz", "%",
        "%252e%252e%", "/".join("a" * 65), "x" * 256,
    ],
)  # fmt: skip
async def test_unsafe_paths(client: Client, root: Path, tail: str) -> None:
    """A path that is not made of 1 to 64 proper segments is 400, and nothing is read, made or removed."""
    (root / "secret").write_text("secret")
    before = _list_tree(root)
    url = URL(f"{MAIN}/files/{tail}", encoded=True)
    for method in ("GET", "PUT", "DELETE"):
        answer = await _send_raw(client, method, url)
        assert answer.split(b" ", 2)[1] == b"400"
        assert b"application/problem+json" in answer
    assert before == _list_tree(root)


def _list_tree(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


async def _send_raw(client: Client, method: str, url: URL) -> bytes:
    # A socket, since every client library repairs such a target before it sends it.
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(f"{method} {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_path_longer_than_the_disk_takes(client: Client) -> None:
    """A proper path that the disk cannot hold is the client's error, not a fault."""
    path = "/".join(["x" * 250] * 20)
    assert (await _put(client, f"{MAIN}/files/{path}", b""))[0] == 400
    assert (await _get(client, f"{MAIN}/files/{path}"))[0] == 400


@pytest.mark.parametrize("name", ["..", ".", ".git", "-x", "a%20b", "a%2Fb", "@tmp", "x" * 129, "%C3%A9"])
async def test_unsafe_names(client: Client, name: str) -> None:
    """Organizations, projects and branches have names of a small alphabet; anything else is 400."""
    for place in (f"{name}/projects/p1/branches/main", f"acme/projects/{name}/branches/main",
                  f"acme/projects/p1/branches/{name}"):  # fmt: skip
        answer = await _send_raw(client, "GET", URL(f"/v1/orgs/{place}/files/a.txt", encoded=True))
        assert answer.split(b" ", 2)[1] == b"400"


async def test_symbolic_links(client: Client, root: Path, tmp_path: Path) -> None:
    """A symbolic link is refused wherever it stands and wherever it leads: it would be a second name for a file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    files = root / "acme/p1/branches/main/files"
    (files / "out").symlink_to(outside)
    (files / "in").symlink_to(files / "secrets")
    (files / "leaf.txt").symlink_to(outside / "secret.txt")
    for path in ("out/secret.txt", "in/keys.json", "leaf.txt"):
        assert (await _get(client, f"{MAIN}/files/{path}"))[0] == 403
        assert (await _put(client, f"{MAIN}/files/{path}", b"mine"))[0] == 403
        assert (await client.delete(f"{MAIN}/files/{path}")).status == 403
        assert (await client.delete(f"{MAIN}/trees/{path}")).status == 403
    assert (outside / "secret.txt").read_text() == "secret"
    found = await (await client.post(f"{MAIN}:grep", json={"pattern": "secret"})).json()
    assert found["matches"] == []
    assert (await client.post(f"{MAIN}:grep", json={"pattern": "secret", "path": "out"})).status == 403


async def test_two_spellings_are_one_file(client: Client) -> None:
    """Names are compared in composed form (NFC), so both spellings of é reach one file."""
    composed, decomposed = (URL(f"{MAIN}/files/{quote(name)}", encoded=True) for name in ("caf\u00e9", "cafe\u0301"))
    assert (await client.put(composed, data=b"one")).status == 201
    assert await _get(client, decomposed) == (200, b"one")
    assert (await client.put(decomposed, data=b"two")).status == 200


async def test_names_with_odd_characters(client: Client) -> None:
    """A star, a percent sign, a tilde or 255 bytes are part of a name like any other."""
    for name in ("a*b?.txt", "50%~", "x" * 255, "a b", "\u00e9" * 127, "-", ".hidden", "\u00a0"):
        url = URL(f"{MAIN}/files/odd/{quote(name)}", encoded=True)
        assert (await client.put(url, data=name.encode())).status == 201
        assert (200, name.encode()) == await _get(client, f"{url}?version=1")


async def test_move(client: Client) -> None:
    """A move takes a file from one path and makes it the next version at the other."""
    await _put(client, NOTE, b"old")
    await _put(client, f"{MAIN}/files/draft.txt", b"new")
    answer = await client.post(f"{MAIN}:move", json={"source": "draft.txt", "destination": "notes/today.txt"})
    assert (answer.status, (moved := await answer.json())["version"], moved["created"]) == (200, 2, False)
    assert (await _get(client, f"{MAIN}/files/draft.txt"))[0] == 404
    assert await _get(client, NOTE) == (200, b"new")
    assert await _get(client, f"{NOTE}?version=1") == (200, b"old")


@pytest.mark.parametrize(
    ("source", "destination", "status"),
    [
        pytest.param("nope.txt", "b.txt", 404, id="no-source"),
        pytest.param("designs", "b", 409, id="source-is-directory"),
        pytest.param("secrets/keys.json", "designs", 409, id="destination-is-directory"),
        pytest.param("secrets/keys.json", "secrets/keys.json", 409, id="same-path"),
        pytest.param("../x", "b.txt", 400, id="source-escapes"),
        pytest.param("secrets/keys.json", "/b.txt", 400, id="destination-is-absolute"),
    ],
)
async def test_move_refused(client: Client, source: str, destination: str, status: int) -> None:
    """A move that cannot be done changes nothing."""
    answer = await client.post(f"{MAIN}:move", json={"source": source, "destination": destination})
    assert status == answer.status
    assert (await _get(client, f"{MAIN}/files/secrets/keys.json"))[0] == 200


async def test_moved_file_keeps_its_own_content(client: Client) -> None:
    """Source and destination may be one inode after a move there and back; both versions are whole."""
    await _put(client, f"{MAIN}/files/a.txt", b"a")
    for source, destination in (("a.txt", "b.txt"), ("b.txt", "a.txt")):
        answer = await client.post(f"{MAIN}:move", json={"source": source, "destination": destination})
        assert answer.status == 200
    assert await _get(client, f"{MAIN}/files/a.txt?version=2") == (200, b"a")


async def test_delete_tree(client: Client, root: Path) -> None:
    """Everything at and below a path goes at once; the rest stays."""
    assert (await client.delete(f"{MAIN}/trees/designs")).status == 204
    assert not (root / "acme/p1/branches/main/files/designs").exists()
    assert (await _get(client, ROUTE))[0] == 404
    assert (await client.delete(f"{MAIN}/trees/designs")).status == 404
    assert (await _get(client, f"{MAIN}/files/secrets/keys.json"))[0] == 200


async def test_skills(client: Client) -> None:
    """Skills are documents of the organization, without versions."""
    answer = await client.get("/v1/orgs/acme/skills/fiber/splice.json")
    assert (answer.status, (await answer.json())["name"]) == (200, "splice")
    assert "X-DataStore-Version" not in answer.headers
    assert (await client.get("/v1/orgs/acme/skills/fiber")).status == 404
    assert (await client.get(URL("/v1/orgs/acme/skills/..%2Fp1", encoded=True))).status == 400


async def test_concurrent_writes_lose_no_version(client: Client) -> None:
    """Writers of one file each get a version of their own."""
    results = await asyncio.gather(*(_put(client, NOTE, b"%d" % number) for number in range(20)))
    assert {str(number) for number in range(1, 21)} == {version for _, _, version in results}
