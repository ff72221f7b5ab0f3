"""What is written of sessions and keys comes to the same when it is read, in whatever order it happened."""

import pytest

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.facts import HeldFact
from sidegate.credentials.held import KnownFact
from sidegate.credentials.kept import (
    Row,
    encode_rows,
    fact_row,
    place_row,
    read_state,
    revoked_row,
    used_row,
)
from sidegate.credentials.redis_following import FollowedPlace
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import SessionRecord

T = UnixMillis(1_800_000_000_000)
PLACE = FollowedPlace(b"0a1b", (1_800_000_000_000, 3), 17)
SESSION = (RevokedKind.SESSION, "s1")
KEY = (RevokedKind.KEY, "acme/k1")


def record(*, opaque: bool = True) -> SessionRecord:
    """Return a session."""
    limits = SessionLimits(Millis(10), Millis(100)) if opaque else None
    return SessionRecord("s1", "user:ana", "acme", "web", T, UnixMillis(T + 5), limits, T if opaque else None, T)


def held(
    *, revoked_at: UnixMillis | None = None, consumed: bool = False, session: SessionRecord | None = None
) -> HeldFact:
    """Return what is held of a fact."""
    fact = HeldFact()
    fact.revoked_at, fact.consumed, fact.session = revoked_at, consumed, session
    return fact


REVOKED = revoked_row(Revoked(RevokedKind.SESSION, "s1", T))
USED = used_row(UsedUp("acme/k1", T, UnixMillis(T + 9)))
KNOWN = fact_row(SESSION, held(session=record()))


@pytest.mark.parametrize(
    ("fact", "row", "known"),
    [
        pytest.param(SESSION, KNOWN, KnownFact(None, session=record()), id="opaque-session"),
        pytest.param(
            SESSION,
            fact_row(SESSION, held(session=record(opaque=False))),
            KnownFact(None, session=record(opaque=False)),
            id="signed-session",
        ),
        pytest.param(KEY, fact_row(KEY, held(consumed=True)), KnownFact(None, consumed=True), id="used-key"),
        pytest.param(SESSION, fact_row(SESSION, held(revoked_at=T)), KnownFact(T), id="revoked"),
    ],
)
def test_facts(fact: tuple[RevokedKind, str], row: Row, known: KnownFact) -> None:
    """A fact is read as it was held."""
    state = read_state([encode_rows([place_row(PLACE), row])], T)
    assert (state.at, state.place, state.facts) == (T, PLACE, {fact: known})


@pytest.mark.parametrize("rows", [[KNOWN, REVOKED], [REVOKED, KNOWN], [KNOWN, REVOKED, KNOWN, REVOKED]])
def test_a_revocation_counts_in_any_order(rows: list[Row]) -> None:
    """Also when the fact is written again afterwards by somebody who had not heard of it."""
    state = read_state([encode_rows([place_row(PLACE)]), *(encode_rows([row]) for row in rows)], T)
    assert state.facts[SESSION].revoked_at == T
    assert state.revoked == (Revoked(RevokedKind.SESSION, "s1", T),)


@pytest.mark.parametrize("rows", [[fact_row(KEY, held()), USED], [USED, fact_row(KEY, held())]])
def test_a_use_counts_in_any_order(rows: list[Row]) -> None:
    """A key that was used up is, whatever was known of it."""
    state = read_state([encode_rows([place_row(PLACE), *rows])], T)
    assert state.facts[KEY].consumed
    assert state.used == (UsedUp("acme/k1", T, UnixMillis(T + 9)),)


def test_without_a_place() -> None:
    """Facts of which it is not known what they are current to are worth nothing; what is over is."""
    state = read_state([encode_rows([KNOWN, REVOKED])], T)
    assert (state.place, state.facts, len(state.revoked)) == (None, {}, 1)


@pytest.mark.parametrize(
    "entry",
    [
        b"junk",
        b"{}",
        b"[1]",
        b'[["later", 1]]',
        b'[["place", "e", 1, 2]]',
        b'[["fact", "planet", "s1", null, false, null]]',
        b'[["fact", "session", "s1", "soon", false, null]]',
        b'[["fact", "session", "s1", null, false, ["user:ana"]]]',
        b'[["revoked", "session", 7, 7]]',
        b'[["used", "k", null, null]]',
    ],
)
def test_what_this_version_does_not_write(entry: bytes) -> None:
    """Is refused whole: nothing is guessed at."""
    with pytest.raises(IntegrityError, match="does not write"):
        read_state([encode_rows([place_row(PLACE)]), entry], T)
