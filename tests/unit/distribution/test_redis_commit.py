"""One publish, numbered and sealed, as the script in Redis takes it."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.distribution.organizations import DOCUMENT, KEY

from sidegate.core.model.units import UnixMillis
from sidegate.distribution.redis_commit import STAGED, seal_plan
from sidegate.distribution.redis_events import Changed, read_event
from sidegate.distribution.redis_plan import Plan, compare, contents_of
from sidegate.distribution.redis_records import RecordKind, unseal

WHOLE = compare(contents_of(DOCUMENT), 0, {})
FEW = Plan("acme", 7, None, {"user:u0": b"{}", "user:u1": None}, {KEY.id: None})
NOW = UnixMillis(1000)


@pytest.mark.parametrize(
    ("expected", "now", "revision"),
    [pytest.param(7, 1000, 1000, id="time"), pytest.param(1000, 1000, 1001, id="same-moment"),
     pytest.param(5000, 1000, 5001, id="clock-behind")],
)  # fmt: skip
def test_numbers_grow(expected: int, now: int, revision: int) -> None:
    """Whatever the clock says."""
    assert seal_plan(replace(FEW, expected=expected), UnixMillis(now), None).revision == revision


@pytest.mark.parametrize("signer", [None, Ed25519PrivateKey.generate()], ids=["plain", "signed"])
def test_records_are_sealed(signer: Ed25519PrivateKey | None) -> None:
    """With the number of the publish, and signed if there is a key."""
    commit = seal_plan(WHOLE, NOW, signer)
    trusted = None if signer is None else signer.public_key()
    assert unseal("acme", RecordKind.HEADER, "", commit.header, trusted=trusted).revision == commit.revision
    records = dict(commit.puts)
    for account in ("user:u0", "user:u3"):
        sealed = unseal("acme", RecordKind.SUBJECT, account, records[f"s:{account}"], trusted=trusted)
        assert (sealed.revision, sealed.content) == (commit.revision, WHOLE.subjects[account])
    assert unseal("acme", RecordKind.KEY, KEY.id, records[f"k:{KEY.id}"], trusted=trusted).content == WHOLE.keys[KEY.id]
    assert unseal("acme", RecordKind.IDS, "0", records["i:0"], trusted=trusted).content == WHOLE.ids["0"]
    # For each record a digest, and one for the header.
    others = sum(len(contents) for _, contents in WHOLE.records())
    assert sum(field.startswith("d:") for field in records) == others + 1
    assert commit.size == sum(len(record) for record in records.values())


def test_event_says_what_changed() -> None:
    """Also what is gone."""
    commit = seal_plan(FEW, NOW, None)
    expected = Changed("acme", 1000, 7, header=False, subjects=("user:u0", "user:u1"), keys=(KEY.id,))
    assert (read_event(commit.event), commit.header) == (expected, b"")


def test_arguments() -> None:
    """What is put stands in the arguments or, if it was gathered before, only that it was; what goes always."""
    commit = seal_plan(FEW, NOW, None)
    gone = ("s:user:u1", "d:s:user:u1", f"k:{KEY.id}", f"d:k:{KEY.id}")
    inline = commit.arguments(until=99, is_staged=False)
    assert inline[:3] == (7, 1000, 99)
    assert inline[5:8] == (commit.event, b"", 2)
    assert inline[8:] == (*(part for put in commit.puts for part in put), *gone)
    assert commit.arguments(until=0, is_staged=True)[7:] == (STAGED, *gone)
