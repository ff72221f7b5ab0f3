"""`sidegate session`: opaque sessions of the embedded store (spec 3.1)."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

CREATE = ("session", "create", "--account", "user:ana", "--org", "acme")


def test_create_list_revoke(sidegate: Any, config: Path) -> None:
    """What is created is listed as live, what is revoked as revoked; the cookie itself is stored nowhere."""
    made = sidegate(*CREATE, "--config", config, "-o", "json")
    value = made.json["value"]
    assert (0, "__session", sha256(value.encode()).hexdigest()) == (made.code, made.json["cookie"], made.json["id"])
    (live,) = sidegate("session", "list", "--config", config, "-o", "json").json
    assert (made.json["id"], "user:ana", "acme", "web", "opaque", "live") == (
        *(live[name] for name in ("id", "account", "org", "surface", "kind", "state")),
    )
    revoked = sidegate("session", "revoke", made.json["id"], "--config", config)
    assert (0, "", f"revoked {made.json['id']}\n") == (revoked.code, revoked.out, revoked.err)
    (over,) = sidegate("session", "list", "--config", config, "-o", "json").json
    assert over["state"] == "revoked"
    stored = b"".join(file.read_bytes() for file in (config.parent / "var" / "state").iterdir())
    assert value.encode() not in stored


def test_revoke_an_account(sidegate: Any, config: Path) -> None:
    """--account ends all sessions of the account that began until now, and no others."""
    for account in ("user:ana", "user:ana", "user:bo"):
        sidegate("session", "create", "--account", account, "--org", "acme", "--config", config)
    done = sidegate("session", "revoke", "--account", "user:ana", "--config", config)
    assert (done.code, done.err) == (0, "revoked every session of user:ana until now\n")
    listed = sidegate("session", "list", "--config", config, "-o", "json").json
    assert sorted((one["account"], one["state"]) for one in listed) == [
        ("user:ana", "revoked"),
        ("user:ana", "revoked"),
        ("user:bo", "live"),
    ]


def test_cookie_for_people_and_for_scripts(sidegate: Any, config: Path) -> None:
    """The cookie as a header holds it, said to be shown once; --quiet prints its value alone."""
    done = sidegate(*CREATE, "--config", config)
    assert done.out.startswith("__session=")
    assert "the only time" in done.err
    quiet = sidegate(*CREATE, "--config", config, "--quiet")
    assert (len(quiet.out), quiet.err) == (43 + 1, "")


def test_limits_can_only_be_shorter(sidegate: Any, config: Path) -> None:
    """A session's own limits never lengthen the surface's; one that is already over is listed as such."""
    sidegate(*CREATE, "--config", config, "--idle", "900d", "--absolute", "900d", "--surface", "admin")
    (one,) = sidegate("session", "list", "--config", config, "-o", "json").json
    assert (one["surface"], one["state"]) == ("admin", "live")
    assert "user:ana" in sidegate("session", "list", "--config", config).out
    assert sidegate("session", "list", "--config", config, "--account", "user:bo").out == "none\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["create", "--account", "ana", "--org", "acme"], "account `ana`", id="account"),
        pytest.param(["create", "--account", "user:ana", "--org", "a/b"], "organization `a/b`", id="org"),
        pytest.param([*CREATE[1:], "--surface", "Web"], "surface `Web`", id="surface"),
        pytest.param([*CREATE[1:], "--idle", "x"], "--idle: `x` is no duration", id="idle"),
        pytest.param([*CREATE[1:], "--idle", "0s"], "at least 1 ms", id="over-at-once"),
        pytest.param(["revoke"], "give either", id="nothing-to-revoke"),
        pytest.param(["revoke", "x", "--account", "user:ana"], "give either", id="both"),
        pytest.param(["revoke", "a;b"], "cannot be the id", id="id"),
        pytest.param(["revoke", "--account", "user:"], "cannot be the id", id="account-id"),
    ],
)
def test_what_cannot_be_done(sidegate: Any, config: Path, arguments: list[str], said: str) -> None:
    """Exit code 2 and one line."""
    done = sidegate("session", *arguments, "--config", config)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_opaque_sessions_have_to_be_accepted(sidegate: Any, config: Path) -> None:
    """A cookie that no sidecar would take is not made."""
    config.write_text(config.read_text().replace("sessions: {opaque: {store: memory}}\n", ""))
    done = sidegate(*CREATE, "--config", config)
    assert (done.code, "add `opaque: {store: memory}` under `sessions`" in done.err) == (2, True)


def test_a_store_that_is_not_what_was_written(sidegate: Any, config: Path) -> None:
    """A damaged journal is bad data, not an empty list: exit code 65."""
    sidegate(*CREATE, "--config", config)
    journal = config.parent / "var" / "state" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"user:ana", b"user:eve"))
    done = sidegate("session", "list", "--config", config)
    assert (done.code, done.out, "not what was written" in done.err) == (65, "", True)
