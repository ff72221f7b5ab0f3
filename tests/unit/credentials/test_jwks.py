"""How a key set is kept current: intervals, spacing, faults, the last good one (spec 3.1)."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.core.identity.issuer import ALL, SECRET, Issuer

from sidegate.core.identity.jwk import shared_secret
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.jwks import (
    MAX_DOCUMENT_BYTES,
    FileFetcher,
    JwksSource,
    RefreshRules,
    SecretSource,
    UrlFetcher,
    open_session,
    require_jwks_url,
)
from sidegate.telemetry.clock import ManualClock

T = UnixMillis(1_800_000_000_000)
RULES = RefreshRules(interval=Millis(300_000), retry=Millis(20_000), keep=Millis(3_600_000))
DOWN = DependencyError(Dependency.JWKS, "fetching: refused")


class Answers:
    """Answers in turn; the last one again and again."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.cheap_every: Millis | None = None
        self.answers = deque(answers)
        self.count = 0
        self.second = asyncio.Event()

    async def fetch(self) -> bytes | None:
        """Give the next answer."""
        self.count += 1
        if self.count == 2:
            self.second.set()
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    """A source with a clock that is moved by hand."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.clock = ManualClock(T)
        self.fetcher = Answers(*answers)
        self.source = JwksSource(self.fetcher, ALL, self.clock, RULES, shared_secret(SECRET))

    async def refresh(self, after: int = 0) -> tuple[bool, set[str]]:
        """Refresh after some milliseconds; return whether it worked, and the key ids that verify then."""
        self.clock.advance(Millis(after))
        worked = await self.source.refresh()
        return worked, self.usable()

    def usable(self) -> set[str]:
        """Return the key ids that verify at present."""
        keys = self.source.current
        return set(keys.by_kid) if keys.is_usable(self.clock.now()) else set()


async def test_its_age_counts_from_the_last_refresh_that_worked(issuer: Issuer) -> None:
    """Before there was one, from the beginning; a refresh that fails does not make it younger."""
    bench = Bench(DOWN, issuer.jwks(), DOWN)
    ages = []
    for after in (1000, 2000, 4000):
        await bench.refresh(after)
        ages.append(bench.source.age_ns)
    assert ages == [1_000_000_000, 0, 4_000_000_000]


async def test_before_the_first(issuer: Issuer) -> None:
    """Before the first refresh no public key verifies; the shared secret does, and stays."""
    bench = Bench(issuer.jwks())
    assert (set(), 0) == (bench.usable(), bench.source.pause())
    assert bench.source.current.shared is not None
    assert (True, {"rsa", "ec", "ed"}) == await bench.refresh()
    assert bench.source.current.shared is not None


async def test_rotation(issuer: Issuer) -> None:
    """A key that left the set is gone with the next refresh, one that came is there."""
    bench = Bench(issuer.jwks("rsa"), issuer.jwks("rsa", "ec"), issuer.jwks("ec"))
    found = [(await bench.refresh(300_000))[1] for _ in range(3)]
    assert [{"rsa"}, {"rsa", "ec"}, {"ec"}] == found


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(DOWN, id="down"),
        pytest.param(UnicodeError("label too long"), id="what-nobody-thought-of"),
        pytest.param(b"<html>", id="no-set"),
        pytest.param(b'{"keys": [{"kid": "a"}, {"kid": "a"}]}', id="kid-twice"),
    ],
)
async def test_last_good_set(issuer: Issuer, fault: bytes | Exception) -> None:
    """When refreshes fail the last good set stays for a bounded time, then no key verifies; later all is well again."""
    bench = Bench(issuer.jwks("rsa"), fault, fault, fault, issuer.jwks("ec"))
    await bench.refresh()
    assert (False, {"rsa"}) == await bench.refresh(300_000)
    assert (False, {"rsa"}) == await bench.refresh(3_299_999)
    bench.clock.advance(Millis(1))
    assert bench.usable() == set()
    assert (False, set()) == await bench.refresh()
    assert (True, {"ec"}) == await bench.refresh(20_000)


@pytest.mark.parametrize(
    ("after", "works"),
    [pytest.param(DOWN, False, id="down"), pytest.param(None, True, id="up-again-then-down")],
)
async def test_a_clock_that_was_wrong(issuer: Issuer, after: DependencyError | None, works: bool) -> None:
    """A set that was fetched while the wall clock ran ahead lasts no longer than another once it is set right."""
    bench = Bench(issuer.jwks("rsa"), after, DOWN)
    bench.clock.set(UnixMillis(T + 10 * RULES.keep))
    await bench.refresh()
    bench.clock.set(T)
    assert (works, {"rsa"}) == await bench.refresh(300_000)
    assert (False, {"rsa"}) == await bench.refresh(RULES.keep - 300_001)
    bench.clock.advance(Millis(1))
    assert bench.usable() == set()


async def test_clocks_that_part_a_little(issuer: Issuer) -> None:
    """A wall clock that is slewed by milliseconds makes no other set, for each costs every token a look."""
    bench = Bench(issuer.jwks("rsa"), DOWN)
    await bench.refresh()
    first = bench.source.current
    bench.clock.set(UnixMillis(T - 1000))
    await bench.refresh()
    assert first is bench.source.current
    bench.clock.set(UnixMillis(T - 1001))
    await bench.refresh()
    assert first is not bench.source.current


async def test_the_same_bad_document(issuer: Issuer) -> None:
    """A source that says that nothing changed does not make a bad document good."""
    bench = Bench(issuer.jwks("rsa"), b"<html>", None, None)
    await bench.refresh()
    found = [(await bench.refresh(1000))[0] for _ in range(3)]
    assert found == [False, False, False]


@pytest.mark.parametrize("same", [pytest.param(None, id="not-changed"), pytest.param(b"same", id="same-bytes")])
async def test_unchanged_set(issuer: Issuer, same: bytes | None) -> None:
    """An unchanged set goes on counting; it is another object only now and then, for each costs every token a look."""
    document = issuer.jwks("rsa")
    bench = Bench(document, document if same else None)
    await bench.refresh()
    first = bench.source.current
    assert (True, {"rsa"}) == await bench.refresh(300_000)
    assert first is bench.source.current
    for _ in range(40):
        assert (True, {"rsa"}) == await bench.refresh(300_000)
    assert first is not bench.source.current


@pytest.mark.parametrize(
    ("answers", "asked", "passed", "pause"),
    [
        pytest.param(["good"], False, 0, 300_000, id="interval"),
        pytest.param(["good"], False, 299_999, 1, id="interval-almost-over"),
        pytest.param(["good"], False, 400_000, 0, id="interval-over"),
        pytest.param(["good"], True, 0, 10_000, id="unknown-kid-waits-10-s"),
        pytest.param(["good"], True, 9_999, 1, id="unknown-kid-almost"),
        pytest.param(["good"], True, 10_000, 0, id="unknown-kid-at-once"),
        pytest.param(["bad"], False, 0, 20_000, id="retry"),
        pytest.param(["bad"], True, 0, 10_000, id="retry-for-an-unknown-kid"),
    ],
)
async def test_pause(issuer: Issuer, answers: list[str], asked: bool, passed: int, pause: int) -> None:
    """The next fetch comes after the interval, after a fault sooner, for an unknown key id once 10 s have passed."""
    bench = Bench(*(issuer.jwks() if answer == "good" else DOWN for answer in answers))
    await bench.refresh()
    bench.clock.advance(Millis(passed))
    if asked:
        bench.source.request_refresh()
    assert pause == bench.source.pause()


@pytest.mark.parametrize("answer", [b'{"keys": []}', DOWN])
async def test_pause_when_asking_is_cheap(answer: bytes | DependencyError) -> None:
    """A file is looked at every second, however long the interval: a change in it is heeded soon."""
    bench = Bench(answer)
    bench.fetcher.cheap_every = Millis(1000)
    await bench.refresh()
    assert bench.source.pause() == 1000


async def test_asking_is_forgotten_by_the_fetch(issuer: Issuer) -> None:
    """One fetch answers all that asked before it."""
    bench = Bench(issuer.jwks())
    for _ in range(3):
        bench.source.request_refresh()
    await bench.refresh()
    assert bench.source.pause() == 300_000


async def test_run_is_woken(issuer: Issuer) -> None:
    """A running source sleeps until its interval is over, but an unknown key id wakes it."""
    bench = Bench(issuer.jwks("rsa"), issuer.jwks("ec"))
    await bench.refresh()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.source.run())
        await asyncio.sleep(0)
        assert bench.fetcher.count == 1
        bench.clock.advance(Millis(10_000))
        bench.source.request_refresh()
        bench.source.request_refresh()
        await bench.fetcher.second.wait()
        await asyncio.sleep(0)
        running.cancel()
    assert {"ec"} == bench.usable()


async def test_run_fetches_when_due(issuer: Issuer) -> None:
    """A running source whose interval is over fetches without being asked."""
    bench = Bench(issuer.jwks("rsa"), issuer.jwks("ec"))
    await bench.refresh()
    bench.clock.advance(Millis(300_000))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.source.run())
        await bench.fetcher.second.wait()
        running.cancel()
    assert {"ec"} == bench.usable()


async def test_run_asked_before(issuer: Issuer) -> None:
    """A key id that was asked for before the source runs is not forgotten."""
    bench = Bench(issuer.jwks("rsa"), issuer.jwks("ec"))
    await bench.refresh()
    bench.clock.advance(Millis(10_000))
    bench.source.request_refresh()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.source.run())
        await bench.fetcher.second.wait()
        running.cancel()
    assert {"ec"} == bench.usable()


async def test_what_is_told(issuer: Issuer, logged: Callable[[], list[str]]) -> None:
    """Skipped keys are told once per document; a failure and the recovery from it once each, however often tried."""
    odd = issuer.jwks("rsa").replace(b'"RSA"', b'"XYZ"')
    bench = Bench(odd, odd, DOWN, DOWN, odd, issuer.jwks("rsa"))
    for _ in range(6):
        await bench.refresh(1000)
    assert logged() == ["key_skipped", "key_set_loaded", "key_set_refresh_failed", "key_set_loaded"]


# ── from a file ──


async def test_file(tmp_path: Path, issuer: Issuer) -> None:
    """A file is read once, and again when it changed, also by being replaced."""
    path = tmp_path / "jwks.json"
    path.write_bytes(issuer.jwks("rsa"))
    fetcher = FileFetcher(path)
    found = [await fetcher.fetch(), await fetcher.fetch()]
    (tmp_path / "next").write_bytes(issuer.jwks("ec"))
    (tmp_path / "next").rename(path)
    found += [await fetcher.fetch(), await fetcher.fetch()]
    assert [issuer.jwks("rsa"), None, issuer.jwks("ec"), None] == found


async def test_file_touched(tmp_path: Path, issuer: Issuer) -> None:
    """Another time of change is reason enough to read it."""
    path = tmp_path / "jwks.json"
    path.write_bytes(issuer.jwks("rsa"))
    fetcher = FileFetcher(path)
    await fetcher.fetch()
    os.utime(path, ns=(1, 1))
    assert issuer.jwks("rsa") == await fetcher.fetch()


async def test_file_gone(tmp_path: Path) -> None:
    """A file that cannot be read is said with its name."""
    with pytest.raises(DependencyError, match=r"reading .*jwks\.json"):
        await FileFetcher(tmp_path / "jwks.json").fetch()


@pytest.mark.parametrize("excess", [0, 1])
async def test_file_size(tmp_path: Path, excess: int) -> None:
    """A file of the limit's size is read, one byte more is not."""
    path = tmp_path / "jwks.json"
    path.write_bytes(b" " * (MAX_DOCUMENT_BYTES + excess))
    if excess:
        with pytest.raises(DependencyError, match="larger than 262144 bytes"):
            await FileFetcher(path).fetch()
    else:
        document = await FileFetcher(path).fetch()
        assert document is not None
        assert len(document) == MAX_DOCUMENT_BYTES


# ── by URL (fetching itself is in the integration tests) ──


@pytest.mark.parametrize(
    "url",
    [
        "https://clerk.example/.well-known/jwks.json",
        "http://127.0.0.1:8000/jwks",
        "http://[::1]/jwks",
        "http://localhost/jwks",
    ],
)
def test_url(url: str) -> None:
    """TLS, or no network in between."""
    assert url == str(require_jwks_url(url))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://clerk.example/jwks", id="no-tls"),
        pytest.param("http://10.0.0.1/jwks", id="no-tls-by-address"),
        pytest.param("http://localhost.example/jwks", id="look-alike"),
        pytest.param("http://127.0.0.1.example/jwks", id="address-look-alike"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ftp://clerk.example/jwks", id="ftp"),
        pytest.param("https:///jwks", id="no-host"),
        pytest.param("/jwks", id="relative"),
        pytest.param("", id="empty"),
        pytest.param("https://user:secret@clerk.example/jwks", id="credentials"),
    ],
)
def test_url_refused(url: str) -> None:
    """Whoever can change the answer can sign as anybody; and the message shows no password."""
    with pytest.raises(ValueError, match="is not safe") as caught:
        require_jwks_url(url)
    assert "secret" not in str(caught.value)


async def test_fetcher_checks_its_url() -> None:
    """A fetcher for an unsafe URL is not made."""
    async with open_session() as session:
        with pytest.raises(ValueError, match="is not safe"):
            UrlFetcher("http://clerk.example/jwks", session)


def test_secret_source() -> None:
    """Where only a secret is configured it verifies, and there is nothing to refresh."""
    source = SecretSource(shared_secret(SECRET))
    source.request_refresh()
    assert source.current.shared == shared_secret(SECRET)
    assert source.current.by_kid == {}
