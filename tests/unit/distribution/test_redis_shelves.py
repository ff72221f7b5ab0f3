"""What is in memory is bounded, who was not used goes first, and nobody holds up anybody by going."""

from collections.abc import Iterator

import pytest
from tests.unit.distribution.organizations import KEY, answer, key_record, opened

from sidegate.core.model.units import UnixMillis
from sidegate.distribution import redis_shelves
from sidegate.distribution.piecework import Piecework
from sidegate.distribution.redis_cache_content import follow_steps, write_steps
from sidegate.distribution.redis_cache_log import CacheLog
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.redis_records import RecordKind, StoredSubject, seal, write_subject
from sidegate.distribution.redis_shelves import Shelves


class Patient(Piecework):
    """Does nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Iterator[None]] = []

    def add(self, steps: Iterator[None]) -> None:
        self.left.append(steps)

    def do(self) -> None:
        """Do what is left."""
        for steps in self.left:
            for _ in steps:
                pass
        self.left = []


def shelves(limit: int = 10, work: Piecework | None = None) -> tuple[Shelves, Organization]:
    """Return shelves with one organization of which nothing is in memory."""
    made, known = Shelves(limit, work or Piecework(), CacheLog()), Organization("acme")
    assert made.add(known) == []
    return made, known


def take(made: Shelves, known: Organization, *accounts: str, revision: int = 5, **more: object) -> bool:
    """Have *known* take an answer in."""
    header = None if known.loaded is None else known.loaded.held_header
    raw = answer(revision, *accounts, header=revision if header is None else None, **more)  # type: ignore[arg-type]
    return made.took(known, known.take(opened(raw, header), known.revision))


def in_memory(known: Organization) -> list[str]:
    """Return who is in memory."""
    return sorted(known.held)


def test_shown() -> None:
    """What was taken in is decided with, in a snapshot that is another one when somebody has to look again."""
    made, known = shelves()
    before = made.current
    assert take(made, known, "user:u0", keys={KEY.id: key_record(KEY, 5)})
    assert made.current is not before
    assert made.current.subject("acme", "user:u0") is not None
    assert made.current.find_key(KEY.id, KEY.digest) == ("acme", KEY)
    shown = made.current
    assert not take(made, known, "user:u1", changes=())
    assert made.current is shown
    assert (len(made), made.has_key(KEY.id), made.get("acme"), made.all()) == (2, True, known, (known,))


def test_least_recently_used_goes() -> None:
    """Whoever was used since the last look is passed over once."""
    made, known = shelves(limit=2)
    take(made, known, "user:u0", "user:u1")
    for held in known.held.values():
        held.used = False
    made.current.subject("acme", "user:u0")
    take(made, known, "user:u2", changes=())
    assert in_memory(known) == ["user:u0", "user:u2"]
    assert len(made) == 2


def test_strangers_evict_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a place of their own, which is bounded too."""
    monkeypatch.setattr(redis_shelves, "MAX_ABSENT", 3)
    made, known = shelves(limit=1)
    take(made, known, "user:u0")
    for number in range(10):
        take(made, known, f"user:nobody{number}", changes=())
    assert in_memory(known) == ["user:nobody7", "user:nobody8", "user:nobody9", "user:u0"]
    assert len(made) == 1


def test_stranger_becomes_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is no stranger's place that it takes."""
    monkeypatch.setattr(redis_shelves, "MAX_ABSENT", 1)
    made, known = shelves()
    take(made, known, "user:u0", subjects={"user:u0": None})
    assert known.held["user:u0"].is_absent
    take(made, known, "user:u0", revision=7, at=7)
    take(made, known, "user:x", "user:y", revision=7, changes=())
    assert in_memory(known) == ["user:u0", "user:y"]


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, and is looked for again."""
    monkeypatch.setattr(redis_shelves, "MAX_KEYS", 1)
    made, known = shelves()
    take(made, known, keys={KEY.id: key_record(KEY, 5)})
    take(made, known, keys={"B" * 16: None}, changes=())
    assert (made.has_key(KEY.id), list(known.keys), made.current.find_key(KEY.id)) == (False, ["B" * 16], None)


def test_organizations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of which nothing is used goes; if all are in use, the oldest does."""
    monkeypatch.setattr(redis_shelves, "MAX_ORGANIZATIONS", 2)
    made, used = shelves()
    take(made, used, "user:u0")
    idle, new = Organization("idle"), Organization("new")
    assert made.add(idle) == []
    assert made.add(new) == [idle]
    new.is_reading = True
    last = Organization("last")
    last.is_reading = True
    (gone,) = made.add(last)
    assert made.get(gone.name) is None
    assert len(made.all()) == 2


def test_dropped_whole() -> None:
    """Nothing of it is decided with, found or counted any more."""
    made, known = shelves()
    take(made, known, "user:u0", "user:nobody", keys={KEY.id: key_record(KEY, 5)})
    made.drop(known)
    assert (len(made), made.has_key(KEY.id), made.get("acme")) == (0, False, None)
    assert made.current.subject("acme", "user:u0") is None


def test_gone_while_it_was_read() -> None:
    """What comes for an organization that had to go meanwhile is neither decided with nor kept."""
    log = CacheLog()
    made, known = Shelves(10, Piecework(), log), Organization("acme")
    made.add(known)
    take(made, known, "user:u0")
    made.drop(known)
    log.begin()
    assert not take(made, known, "user:u1", changes=())
    assert (made.current.subject("acme", "user:u1"), len(made), list(log.take())) == (None, 0, [])


def test_many_go_in_pieces() -> None:
    """They are not in memory at once, and off the shelves after a while; who came meanwhile is not touched."""
    work = Patient()
    made, known = shelves(1000, work)
    accounts = [f"user:a{number}" for number in range(200)]
    records = {account: _record(account) for account in accounts}
    take(made, known, subjects=records)
    assert len(made) == 200
    take(made, known, "user:u0", revision=7, at=7, subjects={accounts[0]: _record(accounts[0], 7)})
    assert in_memory(known) == [accounts[0], "user:u0"]
    assert len(made) == 201
    work.do()
    assert len(made) == 2
    assert known.held[accounts[0]].revision == 7


def test_a_new_header_is_compiled_with() -> None:
    """Accounts that were compiled with the old one forget that, used or not: none keeps it alive."""
    work = Patient()
    made, known = shelves(10, work)
    take(made, known, "user:u0", "user:u1")
    old = made.current.organizations["acme"].subject("user:u0").header
    raw = answer(7, header=7, changes=(), at=7)
    made.took(known, known.take(opened(raw, None), 5))
    assert known.held["user:u0"].subject is not None
    work.do()
    assert [held.subject for held in known.held.values()] == [None, None]
    assert made.current.organizations["acme"].subject("user:u0").header is not old


def test_steps_lead_to_what_is_in_memory() -> None:
    """Who was used last comes first, each organization before what is of it; what there is not is left out."""
    made, known = shelves()
    take(made, known, "user:u0", "user:u1", "user:nobody", keys={KEY.id: key_record(KEY, 5), "B" * 16: None})
    entries = [write_steps(steps) for steps in made.steps()]
    assert len(entries) == 3
    (acme,) = follow_steps(entries, UnixMillis(0)).values()
    assert list(acme.subjects) == ["user:u1", "user:u0"]
    assert (acme.revision, list(acme.keys)) == (5, [KEY.id])


def _record(account: str, revision: int = 5) -> bytes:
    return seal("acme", RecordKind.SUBJECT, account, revision, write_subject(StoredSubject(None)))
