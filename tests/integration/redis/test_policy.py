"""Policy published to a real Redis and followed from there (spec 5.2, 5.3)."""

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.policies import DELETE, Following, Publishing, acme
from tests.integration.redis.servers import Cluster, FaultProxy, RedisServer, SentinelSet

from sidegate.core.model.authority import Authority
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import Candidate, DenyEntry, KeyEntry, MemberEntry
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_publish import Publisher
from sidegate.distribution.redis_source import RedisPolicies, SourceLimits
from sidegate.distribution.staleness import Staleness
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import SystemClock

KEY = KeyEntry("A" * 16, b"\x01" * 32, "user:u1")


class _DyingPublisher(Publisher):
    """Ends between its change and its event."""

    def __init__(self, link: Link, clock: SystemClock) -> None:
        super().__init__(link, clock)
        self._told = 0

    async def _tell(self, event: bytes, doing: str) -> None:
        self._told += 1
        if self._told > 1:
            raise KeyboardInterrupt
        await super()._tell(event, doing)


class TestLoading:
    """What is asked for is loaded, and nothing else."""

    async def test_first_use(self, redis: RedisServer) -> None:
        """An account is fetched when it first asks, and then decided from memory."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme(denied=True))
            assert await one.reason("user:u0") == "denied_by_rule"
            assert await one.reason("user:u1") == "granted"
            assert one.policies.subjects_cached == 2
            assert one.policies.missing("acme", "user:u0", 0) is None

    async def test_strangers(self, redis: RedisServer) -> None:
        """Who is no member, or of an organization that nobody published, is told so and takes nobody's place."""
        limits = SourceLimits(subjects=2)
        async with Publishing(redis.url) as publisher, Following(redis.url, limits=limits) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u0") == "granted"
            for number in range(50):
                assert await one.reason(f"user:nobody{number}") == "not_a_member"
            assert await one.reason(org="globex") == "not_a_member"
            assert one.policies.missing("acme", "user:u0", 0) is None
            assert one.policies.subjects_cached == 1

    async def test_least_recently_used_goes(self, redis: RedisServer) -> None:
        """No more accounts are kept than configured, and who was let go is fetched again."""
        limits = SourceLimits(subjects=2)
        async with Publishing(redis.url) as publisher, Following(redis.url, limits=limits) as one:
            await publisher.publish(acme(members=5))
            for number in (0, 1, 2, 3, 4, 0, 1):
                assert await one.reason(f"user:u{number}") == ("granted")
                assert one.policies.subjects_cached <= 2

    async def test_preload(self, redis: RedisServer) -> None:
        """A preloaded organization needs no fetching at all."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme(members=200, keys=(KEY,)))
            await one.policies.preload("acme")
            assert [one.policies.missing("acme", f"user:u{n}", 0) for n in range(200)] == [None] * 200
            assert one.policies.missing_key_id(KEY.id) is None

    async def test_candidate(self, redis: RedisServer) -> None:
        """A candidate is laid over the one account that it is about."""
        candidate = Candidate(
            denies=(DenyEntry("c1", "user:u1", DELETE, parse_scope("*")),),
            members=(MemberEntry("user:new", roles=("Member",)),),
            remove=("b2",),
        )
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme(candidate=candidate))
            for account in ("user:u0", "user:u1", "user:u2", "user:new"):
                await one.decide(account)
            organization = one.policies.current.organizations["acme"]
            shadows = {
                name: organization.subject(name).shadow for name in ("user:u0", "user:u1", "user:u2", "user:new")
            }
            assert shadows["user:u0"] is None
            assert shadows["user:u1"] is not None
            assert shadows["user:u1"].subject().denies is not None
            assert shadows["user:u2"] is not None
            assert shadows["user:new"] is not None
            assert shadows["user:new"].subject().refusal is None


class TestChanges:
    """What is published is in force everywhere, and only what changed is read again."""

    @pytest.mark.parametrize("kind", ["standalone", "cluster"])
    async def test_deny_and_back(self, kind: str, request: pytest.FixtureRequest) -> None:
        """A deny reaches whoever has the account in memory; so does its end."""
        url = request.getfixturevalue("redis" if kind == "standalone" else "cluster").url
        async with Publishing(url) as publisher, Following(url) as one, Following(url) as other:
            await publisher.publish(acme())
            for _ in range(5):
                for denied, reason in ((False, "granted"), (True, "denied_by_rule")):
                    published = await publisher.publish(acme(denied=denied))
                    for follower in (one, other):
                        await follower.becomes(reason)
                        assert follower.policies.current.organizations["acme"].revision == published.revision

    async def test_only_what_changed(self, redis: RedisServer) -> None:
        """Who did not change stays in memory, compiled."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u1") == "granted"
            assert await one.reason("user:u0") == "granted"
            compiled = one.policies.current.organizations["acme"].subject("user:u1")
            published = await publisher.publish(acme(denied=True))
            assert list(published.plan.subjects) == ["user:u0"]
            assert published.plan.header is None
            await one.becomes("denied_by_rule")
            assert one.policies.current.organizations["acme"].subject("user:u1") is compiled

    async def test_group_deny(self, redis: RedisServer) -> None:
        """What is in the header reaches every account."""
        deny = DenyEntry("g", "role:Member", DELETE, parse_scope("*"))
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u1") == "granted"
            await publisher.publish(replace(acme(), denies=(deny,)))
            await one.becomes("denied_by_rule", "user:u1")

    async def test_new_organization_and_member(self, redis: RedisServer) -> None:
        """What was looked for in vain is found as soon as it is published."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            assert await one.reason() == "not_a_member"
            await publisher.publish(acme(members=1))
            await one.becomes("granted")
            assert await one.reason("user:u1") == "not_a_member"
            await publisher.publish(acme(members=2))
            await one.becomes("granted", "user:u1")
            await publisher.publish(acme(members=1))
            await one.becomes("not_a_member", "user:u1")

    async def test_revision_asked_for(self, redis: RedisServer) -> None:
        """A revision that was answered by a publish can be asked for; one from the future is told to be behind."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            revision = 0
            for denied in (True, False, True):
                revision = (await publisher.publish(acme(denied=denied))).revision
                assert await one.reason(revision=revision) == ("denied_by_rule" if denied else "granted")
            assert await one.reason(revision=revision + 10_000) == Fetched.BEHIND

    async def test_publishing_again_changes_nothing(self, redis: RedisServer) -> None:
        """The same document, its entries in another order, is the same policy."""
        async with Publishing(redis.url) as publisher:
            first = await publisher.publish(acme(denied=True))
            turned = acme(denied=True)
            turned = replace(turned, members=turned.members[::-1], bindings=turned.bindings[::-1])
            again = await publisher.publish(turned)
            assert (again.plan.is_empty, again.revision) == (True, first.revision)

    async def test_simultaneous_publishers(self, redis: RedisServer) -> None:
        """Of those who publish at once each sees what the others wrote: no revision is written twice."""
        async with Publishing(redis.url) as one, Publishing(redis.url) as other:

            async def publish(publisher: Publisher, number: int) -> int:
                return (await publisher.publish(acme(members=3 + number))).revision

            revisions = await asyncio.gather(publish(one, 1), publish(other, 2), publish(one, 3))
            assert len(set(revisions)) == 3

    async def test_large_publish_is_whole(self, redis: RedisServer) -> None:
        """Above the size of one command it is gathered first, and becomes visible in one step all the same."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            published = await publisher.publish(acme(members=5000))
            assert len(published.plan.subjects) == 5000
            await one.becomes("granted", "user:u4999")
            assert redis.command("EVAL", "return #redis.call('KEYS', '*staged*')", "0") == ":0"

    async def test_trimmed_stream(self, redis: RedisServer) -> None:
        """Who missed events that are gone reads again what it uses."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            one.follower.position = b"1-1"  # as after a long absence
            one.follower._is_checked = False
            await publisher.publish(acme(denied=True))
            await one.becomes("denied_by_rule")

    @pytest.mark.parametrize("part", ["hear", "doubtful"])
    async def test_whatever_breaks_is_followed_again(
        self, part: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fault in taking a change in, or in mending, ends no task: this change and all later ones are enforced."""
        works = getattr(RedisPolicies, part)
        broken: list[object] = []

        def breaks_once(policies: RedisPolicies, *of: object) -> object:
            if not broken:
                broken.append(of)
                raise RuntimeError("unforeseen")
            return works(policies, *of)

        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u0") == "granted"
            monkeypatch.setattr(RedisPolicies, part, breaks_once)
            await publisher.publish(acme(denied=True))
            await one.until(lambda: broken, "something broke")
            await one.becomes("denied_by_rule", "user:u0")
            await publisher.publish(acme())
            await one.becomes("granted", "user:u0")

    async def test_publisher_dies_in_cluster(self, cluster: Cluster) -> None:
        """A publisher that ends between its change and its event loses neither: it was announced."""
        async with Publishing(cluster.url) as publisher, Following(cluster.url) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            with pytest.raises(KeyboardInterrupt):
                await _DyingPublisher(publisher._link, SystemClock()).publish(acme(denied=True))
            await one.becomes("denied_by_rule")


class TestKeys:
    """API keys are found by id, whoever has them."""

    async def test_found_changed_gone(self, redis: RedisServer) -> None:
        """A key is looked up once; its change and its end arrive by event."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            assert one.policies.missing_key_id(KEY.id) == Want("", key_id=KEY.id)
            assert await one.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            assert one.policies.missing_key_id(KEY.id) is None
            assert one.policies.current.find_key(KEY.id, KEY.digest) is None
            await publisher.publish(acme(keys=(KEY,)))
            await one.until(lambda: one.policies.missing_key_id(KEY.id) is not None, "the key may be there")
            assert await one.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            assert one.policies.current.find_key(KEY.id, KEY.digest) == ("acme", KEY)
            before = one.policies.current
            changed = replace(KEY, digest=b"\x02" * 32)
            await publisher.publish(acme(keys=(changed,)))
            await one.until(lambda: one.policies.current.find_key(KEY.id, changed.digest) is not None, "it is changed")
            assert one.policies.current is not before
            await publisher.publish(acme())
            await one.until(lambda: one.policies.current.find_key(KEY.id) is None, "the key is gone")

    async def test_one_id_in_two_organizations(self, redis: RedisServer) -> None:
        """An organization that takes another's id does not take its key."""
        theirs = replace(KEY, digest=b"\x02" * 32)
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme(keys=(KEY,)))
            await publisher.publish(acme(org="globex", keys=(theirs,)))
            assert await one.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            assert one.policies.current.find_key(KEY.id, KEY.digest) == ("acme", KEY)
            assert one.policies.current.find_key(KEY.id, theirs.digest) == ("globex", theirs)

    async def test_invented_ids(self, redis: RedisServer) -> None:
        """However many ids are invented at once, only so many are looked up, and no known key goes."""
        patient = SourceLimits(patience=Millis(5000))
        async with (
            Publishing(redis.url) as publisher,
            Following(redis.url, timeout=Millis(5000), limits=patient) as one,
        ):
            await publisher.publish(acme(keys=(KEY,)))
            assert await one.fetch(Want("", key_id=KEY.id)) is Fetched.READY
            wants = [Want("", key_id=f"{number:016}") for number in range(500)]
            found = await asyncio.gather(*(one.fetch(want) for want in wants))
            assert found.count(Fetched.UNAVAILABLE) == 500 - 64
            assert one.policies.missing_key_id(KEY.id) is None


class TestIntegrity:
    """What is not what was published is refused; the last good one stays."""

    async def test_garbage(self, redis: RedisServer) -> None:
        """A record that does not verify is not used, for whom it is in memory and for whom it is not."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u0") == "granted"
            good = await publisher._link.call("HGET", "sidegate:{acme}:subjects", "user:u0", doing="reading")
            assert isinstance(good, bytes)
            for garbage in (b"", b"garbage", good[:-1], good + b" ", good.replace(b"Admin", b"Admim")):
                await publisher._link.call("HSET", "sidegate:{acme}:subjects", "user:u1", garbage, doing="breaking")
                assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            # Somebody else's record, whole and well.
            await publisher._link.call("HSET", "sidegate:{acme}:subjects", "user:u1", good, doing="breaking")
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            assert await one.reason("user:u0") == "granted"
            assert one.failures >= 1
            assert one.policies.problems

    async def test_wrong_type(self, redis: RedisServer) -> None:
        """Something else under a name is refused, by sidecars and by publishers, and nothing is half written."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme())
            assert await one.reason("user:u0") == "granted"
            redis.command("DEL", "sidegate:{acme}:keys")
            redis.command("SET", "sidegate:{acme}:keys", "text")
            revision = await publisher.revision_of("acme")
            with pytest.raises(Exception, match="WRONGTYPE"):
                await publisher.publish(acme(denied=True))
            assert await publisher.revision_of("acme") == revision
            redis.command("DEL", "sidegate:{acme}:subjects")
            redis.command("SET", "sidegate:{acme}:subjects", "text")
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            assert await one.reason("user:u0") == "granted"

    async def test_signatures(self, redis: RedisServer) -> None:
        """Who trusts a key takes only what that key signed."""
        key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        for signer, reason in ((None, "unavailable"), (other, "unavailable"), (key, "granted")):
            redis.command("FLUSHALL")
            async with (
                Publishing(redis.url, signer) as publisher,
                Following(redis.url, trusted=key.public_key()) as one,
            ):
                await publisher.publish(acme())
                assert await one.reason() == reason

    async def test_going_back(self, redis: RedisServer) -> None:
        """An older revision than the one in hand is refused and alarmed about; what is in hand stays."""
        async with Publishing(redis.url) as publisher, Following(redis.url) as one:
            await publisher.publish(acme(denied=True))
            assert await one.reason() == "denied_by_rule"
            redis.command("SET", "sidegate:{acme}:revision", "1")
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            assert one.failures == 1
            redis.command("FLUSHALL")
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            assert await one.reason() == "denied_by_rule"
            await publisher.publish(acme(denied=True))
            await one.becomes("granted", "user:u1")
            assert not one.policies.problems


class TestStaleness:
    """Known accounts are decided for so long, by authority; others are not decided at all (spec 5.4)."""

    async def test_limits_by_authority(self, own_redis: RedisServer) -> None:
        """A limit that is over ends what it is for, the longest ends all; and all comes back."""
        staleness = Staleness(Millis(1200), {Authority.DELETE: Millis(400)})
        limits = SourceLimits(staleness=staleness)
        async with Publishing(own_redis.url) as publisher, Following(own_redis.url, limits=limits) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            own_redis.freeze()
            assert await one.reason() == "granted"
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            await one.becomes(Fetched.UNAVAILABLE)
            assert await one.reason(authority=Authority.READ) == "granted"
            await one.becomes(Fetched.UNAVAILABLE, authority=Authority.READ)
            own_redis.thaw()
            await one.becomes("granted")
            assert await one.reason("user:u1") == "granted"


class TestServers:
    """What happens among the servers is no sidecar's undoing."""

    async def test_out_of_memory(self, make_redis: MakeRedis) -> None:
        """A full Redis refuses a publish whole, and goes on answering sidecars."""
        server = make_redis("--maxmemory-policy", "noeviction")
        async with Publishing(server.url) as publisher, Following(server.url) as one:
            before = (await publisher.publish(acme())).revision
            server.command("CONFIG", "SET", "maxmemory", "1mb")
            with pytest.raises(RedisRefusedError, match="memory"):
                await publisher.publish(acme(denied=True))
            assert await publisher.revision_of("acme") == before
            assert await one.reason() == "granted"
            server.command("CONFIG", "SET", "maxmemory", "0")
            await publisher.publish(acme(denied=True))
            await one.becomes("denied_by_rule")

    async def test_slot_on_its_way(self, cluster: Cluster) -> None:
        """While the keys of an organization are on two nodes known accounts are decided, and then all again."""
        async with Publishing(cluster.url) as publisher, Following(cluster.url) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            slot = int(cluster.nodes[0].command("CLUSTER", "KEYSLOT", "sidegate:{acme}:header")[1:])
            old = cluster.node_of(slot)
            new = next(node for node in cluster.nodes if node is not old)
            new.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", cluster.id_of(old))
            old.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", cluster.id_of(new))
            names = [f"sidegate:{{acme}}:{name}" for name in ("revision", "header", "digests", "subjects", "log")]
            for name in names:
                assert await one.reason() == "granted"
                assert await one.reason("user:u1") in {"unavailable", "granted"}
                old.command("MIGRATE", "127.0.0.1", str(new.port), name, "0", "1000")
            for node in (new, old, *cluster.nodes):
                node.command("CLUSTER", "SETSLOT", str(slot), "NODE", cluster.id_of(new))
            await one.becomes("granted", "user:u1")
            await publisher.publish(acme(denied=True))
            await one.becomes("denied_by_rule")

    @pytest.mark.slow
    async def test_failover(self, sentinel_set: SentinelSet) -> None:
        """What the new master has is followed; nothing goes back."""
        async with Publishing(sentinel_set.url) as publisher, Following(sentinel_set.url) as one:
            await publisher.publish(acme())
            assert await one.reason() == "granted"
            sentinel_set.master.kill()
            await one.until(lambda: not one.link.up, "the loss is seen")
            assert await one.reason() == "granted"
            assert await one.reason("user:u1") == Fetched.UNAVAILABLE
            await one.until(lambda: one.link.up, "the new master is found", within_s=20)
            await one.becomes("granted", "user:u1")
            await publisher.publish(acme(denied=True))
            await one.becomes("denied_by_rule")


class TestStorm:
    """Whatever comes between, what is decided is what some publish said, and in the end what the last one said."""

    async def test_publishes_under_faults(self, own_redis: RedisServer) -> None:
        """Cut off and healed again and again while permissions come and go: never back to an earlier revision."""
        proxy = FaultProxy(own_redis.port)
        try:
            async with Publishing(own_redis.url) as publisher, Following(proxy.url) as one:
                said: dict[int, str] = {}
                seen = 0
                for turn in range(24):
                    denied = turn % 2 == 0
                    published = await publisher.publish(acme(denied=denied))
                    said[published.revision] = "denied_by_rule" if denied else "granted"
                    if turn % 6 == 2:
                        proxy.sever()
                    if turn % 6 == 5:
                        proxy.heal()
                    for _ in range(3):
                        reason = await one.reason()
                        loaded = one.policies.current.organizations.get("acme")
                        if reason in {"granted", "denied_by_rule"}:
                            assert loaded is not None
                            assert reason == said[loaded.revision]
                            assert loaded.revision >= seen
                            seen = loaded.revision
                        await asyncio.sleep(0)
                proxy.heal()
                await one.becomes(said[max(said)])
        finally:
            proxy.close()
