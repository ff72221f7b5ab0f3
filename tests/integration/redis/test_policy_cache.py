"""A sidecar that starts while Redis is away begins from what it last knew, no older than allowed (spec 5.4)."""

import random
import signal
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.conftest import MakeSidecar
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.policies import Following, Publishing, acme
from tests.integration.redis.servers import RedisServer
from tests.integration.redis.test_sidecar import DENIES, publish, put
from tests.integration.sidecar import ACME, Sidecar
from tests.integration.waiting import RECOVERY_S, eventually

from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry, KeyEntry, PolicyDocument
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_cache import PolicyCache
from sidegate.distribution.redis_cache_content import KeptOrganization, follow_steps, merge
from sidegate.distribution.redis_source import SourceLimits
from sidegate.distribution.staleness import Staleness
from sidegate.local_cache.file import CacheFile
from sidegate.local_cache.sealed import CacheLabel, Kept
from sidegate.telemetry import clock
from sidegate.telemetry.clock import SystemClock

LONG = Millis(86_400_000)
KEY = KeyEntry("A" * 16, b"\x01" * 32, "user:u1")


def caches(folder: Path, source: str) -> list[Kept]:
    """Read every cache in *folder* that can be read, as the next process would."""
    found: list[Kept] = []
    for path in folder.glob("policy-*.cache"):
        try:
            kept = CacheFile(path, CacheLabel("policy", source), 1 << 30).read(clock.now(), LONG)
        except IntegrityError:
            continue  # just being written
        found += () if kept is None else (kept,)
    return found


def kept_accounts(folder: Path, source: str) -> set[str]:
    """Return the accounts of acme in the caches of *folder*."""
    merged = merge(follow_steps(kept.entries, kept.at) for kept in caches(folder, source))
    return set(merged["acme"].subjects) if "acme" in merged else set()


class TestSidecar:
    """Real sidecars and real servers, killed."""

    @pytest.fixture
    def policy_redis(self, make_redis: MakeRedis) -> RedisServer:
        """Return the server of the policy; it has its data again after it was killed."""
        return make_redis("--appendonly", "yes", "--appendfsync", "always")

    @pytest.fixture
    def follow(
        self, make_sidecar: MakeSidecar, policy_redis: RedisServer, redis: RedisServer
    ) -> Callable[..., Sidecar]:
        """Return a maker of sidecars with sessions in a Redis that stays."""

        def make(*, workers: int = 1, staleness: str = "10m", **settings: Any) -> Sidecar:
            return make_sidecar(
                settings={
                    "policy": {
                        "source": policy_redis.url,
                        "timeout_ms": 2000,
                        "max_staleness": {"default": staleness},
                    },
                    "sessions": {"redis": redis.url},
                    "workers": workers,
                    **settings,
                },
                policies={},
            )

        return make

    @staticmethod
    def kill_both(sidecar: Sidecar, policy_redis: RedisServer, accounts: set[str]) -> None:
        """Kill Redis, then the sidecar, once *accounts* are kept."""
        folder = sidecar.folder / "cache"
        eventually(lambda: kept_accounts(folder, policy_redis.url) >= accounts, "they are kept")
        policy_redis.kill()
        sidecar.close()

    @pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_begins_with_the_last_state(
        self, workers: int, policy_redis: RedisServer, follow: Callable[..., Sidecar]
    ) -> None:
        """Known accounts are decided, others are not; what changed meanwhile is in force soon after Redis is back."""
        publish(policy_redis.url)
        sidecar = follow(workers=workers).start(workers)
        for _ in range(4 * workers):
            eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        self.kill_both(sidecar, policy_redis, {"user:ana"})
        sidecar.start(workers)
        for _ in range(4 * workers):  # whoever had loaded it before
            assert put(sidecar) == (200, "")
        assert put(sidecar, "vera") == (503, "policy_unavailable")
        assert put(sidecar, "nobody") == (503, "policy_unavailable")
        assert next(event["accounts"] for event in sidecar.events() if event["event"] == "policy_cache_used") == 1
        policy_redis.start()
        publish(policy_redis.url, ACME + DENIES)
        eventually(lambda: put(sidecar) == (403, "denied_by_rule"), "the change is in force", RECOVERY_S * workers)
        eventually(lambda: put(sidecar, "vera") == (403, "not_granted"), "others are decided", RECOVERY_S * workers)

    @pytest.mark.slow
    def test_age_counts_from_when_it_was_current(
        self, policy_redis: RedisServer, follow: Callable[..., Sidecar]
    ) -> None:
        """A restart does not make policy younger: after the limit everything is refused, and a cache is too."""
        publish(policy_redis.url)
        sidecar = follow(staleness="6s").start()
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        self.kill_both(sidecar, policy_redis, {"user:ana"})
        at = caches(sidecar.folder / "cache", policy_redis.url)[0].at
        sidecar.start()
        eventually(lambda: put(sidecar) == (503, "policy_unavailable"), "it is too old")
        assert clock.now() - at > 6000
        assert caches(sidecar.folder / "cache", policy_redis.url)[0].at == at
        sidecar.close()
        sidecar.launch()
        why = eventually(
            lambda: next(
                (event["why"] for event in sidecar.events() if event["event"] == "policy_cache_refused"), None
            ),
            "it is refused",
        )
        assert "old, allowed are 6000" in why
        eventually(lambda: any(event["event"] == "redis_lost" for event in sidecar.events()), "redis was looked for")
        policy_redis.start()
        eventually(lambda: any(event["event"] == "redis_connected" for event in sidecar.events()), "redis is found")

    @pytest.mark.slow
    def test_damaged(self, policy_redis: RedisServer, follow: Callable[..., Sidecar]) -> None:
        """What is not what was written is refused whole, told, and the sidecar is not ready by it."""
        publish(policy_redis.url)
        sidecar = follow().start()
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        self.kill_both(sidecar, policy_redis, {"user:ana"})
        file = sidecar.folder / "cache" / "policy-w0.cache"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_bytes(file.read_bytes().replace(b"Designer", b"Designes", 1))
        sidecar.launch()
        eventually(lambda: any(one["event"] == "policy_cache_refused" for one in sidecar.events()), "it is refused")
        eventually(lambda: any(one["event"] == "redis_lost" for one in sidecar.events()), "redis was looked for")
        opened = eventually(
            lambda: next((one for one in sidecar.events() if one["event"] == "admin_opened"), None), "it is there"
        )
        sidecar.admin = int(opened["address"].rpartition(":")[2])
        assert sidecar.ask_admin("/readyz").status == 503
        assert not any(one["event"] == "policy_cache_used" for one in sidecar.events())

    def test_unwritable(self, policy_redis: RedisServer, follow: Callable[..., Sidecar], tmp_path: Path) -> None:
        """Without a place to keep it policy is in force all the same, and one line says what to do."""
        (tmp_path / "in-the-way").write_text("")
        publish(policy_redis.url)
        sidecar = follow(cache={"folder": str(tmp_path / "in-the-way" / "cache")}).start()
        told = eventually(
            lambda: [one for one in sidecar.events() if one["event"] == "policy_cache_unwritable"] or None, "it is told"
        )
        assert len(told) == 1
        assert put(sidecar) == (200, "")
        assert sidecar.ask_admin("/readyz").status == 200

    @pytest.mark.slow
    def test_switched_off(self, policy_redis: RedisServer, follow: Callable[..., Sidecar]) -> None:
        """With no room nothing is kept, and a last stop writes nothing either."""
        publish(policy_redis.url)
        sidecar = follow(cache={"max_bytes": 0}).start()
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        assert sidecar.stop() == 0
        assert not (sidecar.folder / "cache").exists()

    def test_orderly_stop(self, policy_redis: RedisServer, follow: Callable[..., Sidecar]) -> None:
        """What was loaded just before a stop is kept too."""
        publish(policy_redis.url)
        sidecar = follow().start()
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait() == 0
        assert kept_accounts(sidecar.folder / "cache", policy_redis.url) == {"user:ana"}


class Keeping:
    """A policy that is followed and kept, without a sidecar."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        self.following = Following(url, **options)
        self.cache = PolicyCache(
            folder, "w0", url, max_bytes=1 << 20, max_read_bytes=1 << 20, max_age=LONG, clock=SystemClock()
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, folder: Path, **options: Any) -> "AsyncIterator[Keeping]":
        """Begin with what was kept, follow, and write only when told."""
        keeping = cls(url, folder, **options)
        kept = await keeping.cache.load()
        if kept is not None:
            keeping.following.policies.begin_with(kept)
        keeping.cache._policies = keeping.following.policies
        async with keeping.following:
            yield keeping

    def kept(self) -> dict[str, KeptOrganization]:
        """Return what the next process would begin with."""
        return merge(
            follow_steps(kept.entries, kept.at) for kept in caches(self.cache._folder, self.cache._label.source)
        )


class TestContent:
    """What is kept is what is in memory, of one revision, verified when it is used."""

    async def test_is_what_is_in_memory(self, redis: RedisServer, tmp_path: Path) -> None:
        """Whatever was loaded, changed, driven out or taken away: accounts, keys and revisions are those in memory."""
        chance = random.Random(7)
        organizations = [f"org{number}" for number in range(3)]
        async with (
            Publishing(redis.url) as publisher,
            Keeping.opened(redis.url, tmp_path, limits=SourceLimits(subjects=8)) as keeping,
        ):
            one = keeping.following
            for turn in range(60):
                org = chance.choice(organizations)
                match chance.randrange(6):
                    case 0:
                        if chance.random() < 0.3:  # nobody knows any more what changed since
                            redis.command("DEL", f"sidegate:{{{org}}}:log")
                        published = await publisher.publish(_some_document(chance, org))
                        if one.policies.shelves.get(org) is not None:
                            assert await one.decide(org=org, revision=published.revision) is not Fetched.UNAVAILABLE
                    case 1:
                        await one.fetch(Want("", key_id=f"{chance.randrange(4):016}"))
                    case 2 if turn > 30:
                        one.policies.note_missed()
                    case _:
                        await one.decide(f"user:u{chance.randrange(9)}", org=org)
                # On a busy machine some of it comes later than whoever asked waits.
                await one.until(
                    lambda: not any(known.is_reading for known in one.policies.shelves.all()), "all of it was read"
                )
                assert await keeping.cache.flush()
                assert await keeping.cache.flush()  # the first one after a break writes anew
                assert _plain(keeping.kept()) == _in_memory(one)

    async def test_keys_are_found_again(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """A key that was known is, whoever else has one of its id; one that was not is not said to be wrong."""
        theirs = replace(KEY, digest=b"\x02" * 32)
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            await publisher.publish(acme(keys=(KEY,)))
            await publisher.publish(acme(org="globex", keys=(theirs,)))
            assert await keeping.following.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            await keeping.cache.flush()
        own_redis.kill()
        async with Keeping.opened(own_redis.url, tmp_path) as keeping:
            one = keeping.following
            assert one.policies.missing_key_id(KEY.id) == Want("", key_id=KEY.id)
            assert await one.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            assert one.policies.current.find_key(KEY.id, KEY.digest) == ("acme", KEY)
            assert one.policies.current.find_key(KEY.id, theirs.digest) == ("globex", theirs)
            assert await one.fetch(Want("", key_id="B" * 16)) is Fetched.UNAVAILABLE

    async def test_signature_is_required_of_kept_records_too(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """Who trusts a key begins with nothing that it did not sign."""
        key = Ed25519PrivateKey.generate()
        for signer, reason in ((None, "unavailable"), (key, "granted")):
            folder = tmp_path / reason
            async with Publishing(own_redis.url, signer) as publisher, Keeping.opened(own_redis.url, folder) as keeping:
                await publisher.publish(acme())
                assert await keeping.following.reason() == "granted"
                await keeping.cache.flush()
            own_redis.kill()
            async with Keeping.opened(own_redis.url, folder, trusted=key.public_key()) as keeping:
                assert await keeping.following.reason() == reason
                assert keeping.following.failures == (reason != "granted")
            own_redis.start()

    async def test_nothing_older_than_what_was_kept(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """A Redis that comes back with an older revision, or without the organization, is refused and alarmed about."""
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            await publisher.publish(acme(denied=True))
            await keeping.following.becomes("denied_by_rule")
            await keeping.cache.flush()
        own_redis.command("SET", "sidegate:{acme}:revision", "1")
        async with Keeping.opened(own_redis.url, tmp_path) as keeping:
            assert await keeping.following.reason() == Fetched.UNAVAILABLE
            assert "went back" in str(keeping.following.policies.problems[0])
        own_redis.command("FLUSHALL")
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            assert await keeping.following.reason() == Fetched.UNAVAILABLE
            await publisher.publish(acme(denied=True))
            await keeping.following.becomes("denied_by_rule")

    @pytest.mark.parametrize("damage", ["flipped", "cut", "another-version", "empty"])
    async def test_damaged(self, damage: str, own_redis: RedisServer, tmp_path: Path) -> None:
        """What is not what was written is refused whole: nobody is allowed anything by it."""
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            await publisher.publish(acme())
            await keeping.following.becomes("granted")
            await keeping.cache.flush()
        file = tmp_path / "policy-w0.cache"
        content = file.read_bytes()
        damaged = {
            "flipped": content.replace(b"Admin", b"Admim", 1),
            "cut": content[:-1],
            "another-version": content.replace(b"cache 1", b"cache 2", 1),
            "empty": b"",
        }
        assert damaged[damage] != content
        file.write_bytes(damaged[damage])
        own_redis.kill()
        async with Keeping.opened(own_redis.url, tmp_path) as keeping:
            assert await keeping.following.reason() == Fetched.UNAVAILABLE
            assert keeping.following.policies.checked_at is None

    async def test_is_as_old_as_when_it_was_current(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """A restart makes nothing younger: what is too old for an authority is not decided for it."""
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            await publisher.publish(acme())
            await keeping.following.becomes("granted")
            await keeping.cache.flush()
        own_redis.kill()
        at = caches(tmp_path, own_redis.url)[0].at
        limits = SourceLimits(staleness=Staleness(LONG, {Authority.DELETE: Millis(1)}))
        async with Keeping.opened(own_redis.url, tmp_path, limits=limits) as keeping:
            one = keeping.following
            await one.until(lambda: clock.now() > at + 1, "time passes")
            assert await one.reason(authority=Authority.DELETE) == Fetched.UNAVAILABLE
            await one.becomes("granted", authority=Authority.READ)
            assert one.policies.checked_at == at

    async def test_of_another_source(self, own_redis: RedisServer, redis: RedisServer, tmp_path: Path) -> None:
        """What was kept of one Redis says nothing about another."""
        async with Publishing(redis.url) as publisher, Keeping.opened(redis.url, tmp_path) as keeping:
            await publisher.publish(acme())
            await keeping.following.becomes("granted")
            await keeping.cache.flush()
        own_redis.kill()
        async with Keeping.opened(own_redis.url, tmp_path) as keeping:
            assert await keeping.following.reason() == Fetched.UNAVAILABLE

    async def test_is_left_alone_until_redis_was_heard(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """A start without Redis does not overwrite what was kept by what little of it was used."""
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            await publisher.publish(acme())
            for account in ("user:u0", "user:u1", "user:u2"):
                await keeping.following.becomes("granted", account)
            await keeping.cache.flush()
        before = caches(tmp_path, own_redis.url)
        own_redis.kill()
        async with Keeping.opened(own_redis.url, tmp_path) as keeping:
            await keeping.following.becomes("granted")
            await keeping.cache.flush()
            assert caches(tmp_path, own_redis.url) == before
            own_redis.start()
            await keeping.following.until(lambda: keeping.following.policies.steady_at is not None, "redis is heard")
            await keeping.cache.flush()
        assert caches(tmp_path, own_redis.url) != before

    async def test_doubt_outlasts_a_restart(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """What was heard of and could not be read makes an organization as old as before it, also after a restart."""
        async with Publishing(own_redis.url) as publisher, Keeping.opened(own_redis.url, tmp_path) as keeping:
            one = keeping.following
            await publisher.publish(acme())
            await one.becomes("granted")
            own_redis.command("SET", "sidegate:{acme}:header", "garbage")
            await publisher.publish(acme(denied=True))
            await one.until(lambda: one.failures > 0, "it is refused")
            since = one.policies.shelves.get("acme")
            assert since is not None
            heard = since.doubted_since
            await one.until(lambda: (one.policies.checked_at or 0) > (heard or 0), "time passes")
            await keeping.cache.flush()
            assert keeping.kept()["acme"].since == heard
            assert caches(tmp_path, own_redis.url)[0].at > (heard or 0)


def _some_document(chance: random.Random, org: str) -> PolicyDocument:
    """Return a document with some of eight members and four keys, and sometimes another header."""
    document = acme(org=org, members=chance.randrange(1, 9), denied=chance.random() < 0.5)
    keys = tuple(
        replace(KEY, id=f"{number:016}", digest=bytes([chance.randrange(256)]) * 32)
        for number in range(4)
        if chance.random() < 0.5
    )
    # Some headers are one record, others have pages.
    many = tuple(
        BindingEntry(f"g{number}", "group:all", chance.choice(("Viewer", "Admin")), parse_scope(f"q{number}"))
        for number in range(chance.choice((0, 3, 70)))
    )
    bindings = (*document.bindings, *many)
    return replace(document, keys=keys, bindings=bindings, mfa_max_age_s=chance.choice((60, 70)))


def _plain(kept: dict[str, KeptOrganization]) -> dict[str, object]:
    """Return what is kept, to be compared."""
    return {
        org: (one.revision, one.header, one.pages, one.subjects, one.keys)
        for org, one in kept.items()
        if one.subjects or one.keys
    }


def _in_memory(one: Following) -> dict[str, object]:
    """Return what is in memory of organizations of which anything is, but for what there is not."""
    found: dict[str, object] = {}
    for known in one.policies.shelves.all():
        subjects = {account: held.raw for account, held in known.held.items() if held.raw}
        keys = {key_id: held.raw for key_id, held in known.keys.items() if held.raw}
        if known.loaded is not None and (subjects or keys):
            header = known.loaded.held_header
            found[known.name] = (known.revision, header.opened.raw, dict(header.records()), subjects, keys)
    return found
