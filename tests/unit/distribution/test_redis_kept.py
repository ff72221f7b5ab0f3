"""What an earlier process kept answers like Redis, for what it knows and nothing else."""

import pytest
from tests.unit.distribution.organizations import KEY, answer, header_record, key_record, opened, subject_record

from sidegate.core.model.units import UnixMillis
from sidegate.distribution.ports import Want
from sidegate.distribution.redis_cache_content import KeptOrganization
from sidegate.distribution.redis_kept import KeptPolicy
from sidegate.distribution.redis_organization import Organization
from sidegate.redis_link.errors import RedisAwayError

AT = UnixMillis(1000)


def kept(**organizations: tuple[int, tuple[str, ...], tuple[str, ...]]) -> KeptPolicy:
    """Return a policy of organizations by name: revision, accounts, ids of keys."""
    found: dict[str, KeptOrganization] = {}
    for org, (revision, accounts, keys) in organizations.items():
        one = found[org] = KeptOrganization(UnixMillis(900))
        one.revision, one.header = revision, header_record(revision)
        one.subjects = {account: subject_record(account, revision) or b"" for account in accounts}
        one.keys = {key: key_record(KEY, revision) for key in keys}
    return KeptPolicy(found, AT)


POLICY = kept(acme=(7, ("user:u0", "user:u1"), (KEY.id,)), globex=(3, (), (KEY.id, "B" * 16)))


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        pytest.param(Want("acme", "user:u0"), True, id="account"),
        pytest.param(Want("acme", "user:u9"), False, id="account-that-was-not-in-memory"),
        pytest.param(Want("acme", "user:u0", 7), True, id="its-revision"),
        pytest.param(Want("acme", "user:u0", 8), False, id="later-revision"),
        pytest.param(Want("initech", "user:u0"), False, id="unknown-organization"),
        pytest.param(Want("acme", key_id=KEY.id), True, id="key-of-organization"),
        pytest.param(Want("acme", key_id="B" * 16), False, id="key-of-another"),
        pytest.param(Want("", key_id=KEY.id), True, id="key-of-somebody"),
        pytest.param(Want("", key_id="C" * 16), False, id="unknown-key"),
    ],
)
def test_has(want: Want, *, expected: bool) -> None:
    """That it does not know of something never says that there is none."""
    assert POLICY.has(want) is expected


def test_owners() -> None:
    """Every organization that had a key of that id."""
    assert [POLICY.owners_of(key) for key in (KEY.id, "B" * 16, "C" * 16)] == [("acme", "globex"), ("globex",), ()]


def test_answers_like_redis() -> None:
    """Records as they came; what it does not know of is not in the answer at all."""
    known = Organization("acme")
    raw = POLICY.answer(known, ["user:u0", "user:u9"], [KEY.id, "C" * 16])
    assert (raw.revision, set(raw.subjects), set(raw.keys), raw.changes) == (7, {"user:u0"}, {KEY.id}, None)
    known.take(opened(raw), 0)
    again = POLICY.answer(known, ["user:u1"], [])
    assert (again.header, set(again.subjects)) == (None, {"user:u1"})
    assert POLICY.since("acme") == 900


@pytest.mark.parametrize("revision", [6, 8])
def test_of_another_revision(revision: int) -> None:
    """What is in memory of Redis is not mixed with what was kept of another revision."""
    known = Organization("acme")
    known.take(opened(answer(revision, "user:u0", header=revision)), 0)
    with pytest.raises(RedisAwayError):
        POLICY.answer(known, ["user:u1"], [])


def test_let_go() -> None:
    """Nothing is answered any more; what is too old to go back to is not forgotten."""
    policy = kept(acme=(7, ("user:u0",), (KEY.id,)))
    assert policy.is_usable
    policy.let_go()
    assert (policy.is_usable, policy.has(Want("acme", "user:u0")), policy.owners_of(KEY.id)) == (False, False, ())
    assert (policy.floor_of("acme"), policy.floor_of("globex")) == (7, 0)
    with pytest.raises(RedisAwayError):
        policy.answer(Organization("acme"), ["user:u0"], [])
