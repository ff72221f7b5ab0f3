"""`/v1/snapshot`."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.control.snapshots import MAX_SHOWN, Snapshots
from sidegate.core.model.errors import Position, Problem
from sidegate.core.model.units import Millis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry.clock import ManualClock

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

PROBLEM = Problem(Position("policy/acme.yaml", 12, 5), "bindings[1].role", "is 'Desinger'", "did you mean `Designer`?")


async def test_the_policy_in_force_is_described(serve: Serve, holder: SnapshotHolder, clock: ManualClock) -> None:
    """Revision, digest and counts of each organization; ages on the clock."""
    client = await serve(Snapshots(holder, "dir:policy/", clock))
    clock.advance(Millis(1_500))
    holder.current.organizations["acme"].subject("user:ana")
    body = await (await client.get("/v1/snapshot")).json()
    (acme,) = body.pop("organizations")
    assert body == {
        "revision": 7,
        "source": "dir:policy/",
        "loaded_at": "2027-01-15T08:00:00.000Z",
        "age_ms": 1500,
        "checked_at": "2027-01-15T08:00:00.000Z",
        "unchecked_ms": 1500,
        "errors": [],
        "organizations_in_memory": 1,
    }
    assert acme.pop("digest") == f"sha256:{holder.current.organizations['acme'].digest}"
    empty = {"roles": 0, "members": 0, "groups": 0, "bindings": 0, "denies": 0, "approvals": 0, "keys": 0}
    assert acme == {
        "organization": "acme",
        "revision": 7,
        "counts": empty | {"members": 2, "bindings": 3, "denies": 1},
        "candidate": empty | {"bindings": 1, "remove": 0},
        "subjects_cached": 1,
    }


async def test_one_of_many(serve: Serve, clock: ManualClock) -> None:
    """One answer describes so many organizations; any of them can be asked for by name."""
    holder = SnapshotHolder()
    documents = [PolicyDocument(f"org{number}") for number in range(MAX_SHOWN + 1)]
    holder.swap(Snapshot(7, [compile_document(document, 7) for document in documents]), clock.now())
    client = await serve(Snapshots(holder, "dir:policy/", clock))
    body = await (await client.get("/v1/snapshot")).json()
    assert (body["organizations_in_memory"], len(body["organizations"])) == (MAX_SHOWN + 1, MAX_SHOWN)
    names = [one["organization"] for one in body["organizations"]]
    assert names == sorted(names)
    for asked, expected in ((f"org{MAX_SHOWN}", [f"org{MAX_SHOWN}"]), ("nobody", [])):
        body = await (await client.get("/v1/snapshot", params={"organization": asked})).json()
        assert [one["organization"] for one in body["organizations"]] == expected


async def test_load_errors_are_shown_beside_the_policy_that_stayed(
    serve: Serve, holder: SnapshotHolder, clock: ManualClock
) -> None:
    """With file, line and column apart and as one sentence."""
    holder.problems = (PROBLEM,)
    client = await serve(Snapshots(holder, "dir:policy/", clock))
    body = await (await client.get("/v1/snapshot")).json()
    assert body["revision"] == 7
    assert body["errors"] == [
        {
            "file": "policy/acme.yaml",
            "line": 12,
            "column": 5,
            "key": "bindings[1].role",
            "what": "is 'Desinger'",
            "hint": "did you mean `Designer`?",
            "text": str(PROBLEM),
        }
    ]


async def test_before_the_first_load_nothing_is_claimed(serve: Serve, clock: ManualClock) -> None:
    """No organization, no age."""
    client = await serve(Snapshots(SnapshotHolder(), "dir:policy/", clock))
    body = await (await client.get("/v1/snapshot")).json()
    assert (body["revision"], body["organizations"]) == (0, [])
    assert [body[name] for name in ("loaded_at", "age_ms", "checked_at", "unchecked_ms")] == [None] * 4
