"""A source says what is missing and how old it is, and decides with what was kept while Redis was never reached."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from tests.unit.distribution.organizations import KEY, changed, header_record, key_record, subject_record

from sidegate.core.identity.api_key import RANDOM_BYTES, mint_key
from sidegate.core.model.authority import Authority
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.wire.credential import gather
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_cache_content import KeptOrganization
from sidegate.distribution.redis_kept import KeptPolicy
from sidegate.distribution.redis_source import RedisPolicies, SourceLimits
from sidegate.distribution.staleness import Staleness
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.tasks import TaskSet

AT = UnixMillis(1_000_000)
LIMITS = SourceLimits(patience=Millis(60_000), staleness=Staleness(Millis(900), {Authority.APPROVE: Millis(60)}))


class Source:
    """A source whose Redis was never looked for, so that it is away, and no socket is opened."""

    def __init__(self, trusted: Ed25519PublicKey | None = None) -> None:
        self.clock = ManualClock(AT)
        self.failures = 0
        self._link = open_link("redis://127.0.0.1:1")
        self.policies = RedisPolicies(
            self._link, self.clock, trusted=trusted, limits=LIMITS, on_failure=self._note_failure
        )
        self.tasks = TaskSet()

    def _note_failure(self) -> None:
        self.failures += 1

    def begin(self, *accounts: str, since: int = AT) -> None:
        """Begin with what an earlier process kept of acme: *accounts* and one key."""
        acme = KeptOrganization(UnixMillis(since))
        acme.revision, acme.header = 7, header_record(5)
        acme.subjects = {account: subject_record(account, 7) or b"" for account in accounts}
        acme.keys = {KEY.id: key_record(KEY, 6)}
        self.policies.begin_with(KeptPolicy({"acme": acme}, AT))
        self.policies.note_away()

    async def fetch(self, want: Want) -> Fetched:
        """Fetch, as a parked request does."""
        told: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.policies.fetch(want, told.set_result)
        return await told


@pytest_asyncio.fixture
async def source() -> AsyncIterator[Source]:
    """Return a source that is started."""
    source = Source()
    source.policies.start(source.tasks)
    yield source
    await source.tasks.close()


class TestAway:
    """Nothing comes from nothing."""

    @pytest.mark.parametrize(
        "want",
        [Want("acme", "user:u0"), Want("", key_id=KEY.id), Want("../x", "user:u0"), Want("acme", "user:u0", 9)],
        ids=["account", "key", "no-name", "revision"],
    )
    async def test_nothing_can_be_had(self, source: Source, want: Want) -> None:
        """Told at once, and never from within the call that asked."""
        told: list[Fetched] = []
        source.policies.fetch(want, told.append)
        assert told == []
        await asyncio.sleep(0)
        assert told == [Fetched.UNAVAILABLE]

    async def test_before_it_is_started(self) -> None:
        """The same."""
        source = Source()
        source.begin("user:u0")
        assert await source.fetch(Want("acme", "user:u0")) is Fetched.UNAVAILABLE

    async def test_everything_is_missing_and_too_old(self, source: Source) -> None:
        """And it is said why."""
        policies = source.policies
        assert policies.missing("acme", "user:u0", 0) == Want("acme", "user:u0")
        assert policies.is_too_old("acme", [Authority.READ], AT)
        assert (policies.stale_after, policies.checked_at, policies.loaded_at, policies.steady_at) == (
            0,
            None,
            None,
            None,
        )
        assert (policies.unchecked_since(AT), policies.lag, policies.subjects_cached) == (None, 0, 0)
        assert [problem.key for problem in policies.problems] == ["policy.source"]

    async def test_nothing_was_kept(self, source: Source) -> None:
        """A cache that is not there makes nobody ready."""
        source.policies.note_away()
        source.policies.begin_with(KeptPolicy({}, AT))
        source.policies.note_away()
        assert (source.policies.checked_at, source.policies.loaded_at) == (None, None)

    async def test_keys(self, source: Source) -> None:
        """One is missing where one is presented that can be one; not for a typing error."""
        minted = mint_key("live", bytes(range(RANDOM_BYTES)))
        wanted = Want("", key_id=minted.id)
        for presented, expected in (
            (gather([], [], []), None),
            (gather([], [b"Bearer eyJ.x.y"], []), None),
            (gather([], [], [b"sg_wrong"]), None),
            (gather([], [], [minted.clear.encode()]), wanted),
            (gather([], [f"Bearer {minted.clear}".encode()], []), wanted),
        ):
            assert source.policies.missing_key(presented) == expected


class TestKept:
    """What an earlier process kept is decided with, as old as it is."""

    async def test_known_accounts(self, source: Source) -> None:
        """Fetched like from Redis; others cannot be had, members or not."""
        source.begin("user:u0")
        policies = source.policies
        assert (policies.loaded_at, policies.checked_at) == (AT, AT)
        assert await source.fetch(Want("acme", "user:u0")) is Fetched.READY
        assert policies.missing("acme", "user:u0", 0) is None
        assert policies.missing("acme", "user:u0", 8) == Want("acme", "user:u0", 8)
        assert policies.current.organizations["acme"].revision == 7
        for account in ("user:u1", "user:nobody"):
            assert await source.fetch(Want("acme", account)) is Fetched.UNAVAILABLE
            assert policies.missing("acme", account, 0) is not None
        assert await source.fetch(Want("globex", "user:u0")) is Fetched.UNAVAILABLE
        assert policies.missing("globex", "user:u0", 0) is not None

    async def test_keys(self, source: Source) -> None:
        """Found by their id; one that was not known is not said to be none."""
        source.begin("user:u0")
        assert source.policies.missing_key_id(KEY.id) == Want("", key_id=KEY.id)
        assert await source.fetch(Want("", key_id=KEY.id)) is Fetched.READY
        assert source.policies.missing_key_id(KEY.id) is None
        assert source.policies.current.find_key(KEY.id, KEY.digest) == ("acme", KEY)
        assert await source.fetch(Want("", key_id="B" * 16)) is Fetched.UNAVAILABLE
        assert source.policies.missing_key_id("B" * 16) is not None

    async def test_age(self, source: Source) -> None:
        """Counts from when it was current, of an organization in doubt from before, and by authority."""
        source.begin("user:u0", since=AT - 100)
        policies = source.policies
        assert await source.fetch(Want("acme", "user:u0")) is Fetched.READY
        assert policies.is_too_old("acme", [Authority.APPROVE], AT)
        assert not policies.is_too_old("acme", [Authority.READ], UnixMillis(AT + 800))
        assert policies.is_too_old("acme", [Authority.READ], UnixMillis(AT + 801))
        assert policies.stale_after == AT - 40
        assert policies.unchecked_since(UnixMillis(AT + 1000)) == AT
        # Nothing of it is written as if it had just come from Redis.
        assert policies.steady_at is None

    async def test_signature_is_required(self) -> None:
        """Of what was kept too: what is unsigned is refused and counted."""
        source = Source(Ed25519PrivateKey.generate().public_key())
        source.policies.start(source.tasks)
        source.begin("user:u0")
        assert await source.fetch(Want("acme", "user:u0")) is Fetched.UNAVAILABLE
        assert source.failures == 1
        assert "not signed" in str(source.policies.problems[1])
        await source.tasks.close()

    async def test_let_go(self, source: Source) -> None:
        """What was not used by then is unknown again; what was, is in memory."""
        source.begin("user:u0", "user:u1")
        assert await source.fetch(Want("acme", "user:u0")) is Fetched.READY
        source.policies.let_kept_go()
        assert source.policies.missing("acme", "user:u0", 0) is None
        assert await source.fetch(Want("acme", "user:u1")) is Fetched.UNAVAILABLE

    async def test_changes_are_told(self, source: Source) -> None:
        """Whoever verified something with the last snapshot hears that there is another."""
        told: list[int] = []
        source.policies.on_swap(lambda snapshot: told.append(snapshot.revision))
        source.begin("user:u0", "user:u1")
        await source.fetch(Want("acme", "user:u0"))
        await source.fetch(Want("acme", "user:u1"))
        assert told == [7]


class TestHearing:
    """What is heard of and cannot be read makes what is in memory old."""

    async def test_newer_revision(self, source: Source) -> None:
        """From before it was heard of; an older one, or one of nobody in memory, does nothing."""
        source.begin("user:u0")
        await source.fetch(Want("acme", "user:u0"))
        policies = source.policies
        policies.note_current(AT)
        policies.hear(changed(7, "user:u0"))
        policies.hear(changed(9, "user:u0"))
        policies.note_current(UnixMillis(AT + 5000))
        assert policies.lag == 1
        assert policies.is_too_old("acme", [Authority.READ], UnixMillis(AT + 5000))
        assert not policies.is_too_old("globex", [Authority.READ], UnixMillis(AT + 5000))

    async def test_missed(self, source: Source) -> None:
        """Everything in memory is as old as the last moment before."""
        source.begin("user:u0")
        await source.fetch(Want("acme", "user:u0"))
        policies = source.policies
        policies.note_current(AT)
        policies.note_missed()
        policies.note_current(UnixMillis(AT + 5000))
        assert policies.is_too_old("acme", [Authority.READ], UnixMillis(AT + 5000))
        # Redis is away: it cannot be read again, so its age decides.
        assert policies.missing("acme", "user:u0", 0) is None
