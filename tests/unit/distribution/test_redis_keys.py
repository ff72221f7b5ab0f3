"""All keys of one organization share its hash tag, so they share a slot (spec 5.1)."""

from redis.crc import key_slot

from sidegate.distribution.redis_keys import keys_of, owners_of, staging_of


def test_one_slot() -> None:
    """Whatever the organization is called; another one has other keys."""
    for org in ("acme", "a", "x" * 64):
        names = (*keys_of(org).all(), staging_of(org, "token"))
        assert len({key_slot(name.encode()) for name in names}) == 1
        assert len(set(names)) == 9
    assert not set(keys_of("acme").all()) & set(keys_of("acme2").all())


def test_names() -> None:
    """They are what operators look for."""
    assert keys_of("acme").header == "sidegate:{acme}:header"
    assert owners_of("k") == "sidegate:key-owners:{k}"
