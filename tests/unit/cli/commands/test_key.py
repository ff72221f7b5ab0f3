"""`sidegate key mint`: the key once, and the entry of the policy file (spec 3.2, 6.4)."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sidegate.config.policy_file import load_policy_file
from sidegate.core.identity.api_key import KeyParts, parse_key

MINT = ("key", "mint", "--account", "service:ci", "--org", "acme")


def test_prints_key_and_record(sidegate: Any) -> None:
    """Spec 6.4: `{"key": "sg_…", "record": {…}}`; the record holds the SHA-256 of the whole key and not the key."""
    done = sidegate(*MINT, "--authorities", "read,run", "--scopes", "p1,p2", "--expires", "90d", "-o", "json")
    assert (0, {"key", "record"}, "") == (done.code, set(done.json), done.err)
    key, record = done.json["key"], done.json["record"]
    parts = parse_key(key.encode())
    assert isinstance(parts, KeyParts)
    assert (parts.id, f"sha256:{sha256(key.encode()).hexdigest()}") == (record["id"], record["digest"])
    assert (
        record["account"],
        record["authorities"],
        record["scopes"],
    ) == ("service:ci", ["read", "run"], ["p1", "p2"])
    assert "single_use" not in record


def test_the_printed_entry_can_be_pasted(sidegate: Any, policy: Path) -> None:
    """What people paste under `keys` is read by the policy file's reader, whatever the id looks like."""
    done = sidegate(*MINT, "--single-use", "--scopes", "p1@main:a b", "--created-by", "user:root")
    entry = next(line for line in done.out.splitlines() if line.startswith("  - "))
    (policy / "globex.yaml").write_text(f"organization: globex\nmembers: {{service:ci: {{}}}}\nkeys:\n{entry}\n")
    (key,) = load_policy_file(policy / "globex.yaml").keys
    assert (key.single_use, key.created_by, key.account) == (True, "user:root", "service:ci")
    assert re.fullmatch(r"sg_live_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", done.out.splitlines()[0])
    assert "the only time" in done.err


def test_no_two_keys_are_alike(sidegate: Any) -> None:
    """Keys come from the system's random source."""
    first, second = (sidegate(*MINT, "-o", "json").json for _ in range(2))
    assert first["key"] != second["key"]
    assert first["record"]["id"] != second["record"]["id"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--expires", "soon"], "--expires: `soon` is no duration; write it like 90d", id="duration"),
        pytest.param(["--expires", "400d"], "at most a year", id="more-than-a-year"),
        pytest.param(["--authorities", "read,fly"], "`fly` is no authority; use some of read, write", id="authority"),
        pytest.param(["--authorities", ""], "is no authority", id="empty-list"),
        pytest.param(["--scopes", "p1:a"], "scope `p1:a`", id="scope"),
        pytest.param(["--env", "a_b"], "environment `a_b`", id="environment"),
    ],
)
def test_what_cannot_be_minted(sidegate: Any, options: list[str], said: str) -> None:
    """Exit code 2, in one line, and no key."""
    done = sidegate(*MINT, *options)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err


def test_what_is_needed(sidegate: Any) -> None:
    """Account and organization have no default."""
    done = sidegate("key", "mint", "--org", "acme")
    assert (done.code, done.err) == (2, "sidegate: missing option `--account`; see `sidegate key mint --help`\n")
