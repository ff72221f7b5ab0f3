"""`sidegate who-can`: everybody who holds an effective permission."""

from pathlib import Path
from typing import Any


def test_lists_holders_with_what_they_need(sidegate: Any, policy: Path) -> None:
    """Whoever may do it stands there, with the conditions that a request has to meet and the entries that give it."""
    done = sidegate("who-can", "write", "p2@x", "--org", "acme", "--policy", "policy")
    assert policy.is_dir()
    expected = """\
ACCOUNT     NEEDS                 BECAUSE
service:ci  nothing more          policy/acme.yaml:17:5: b4: service:ci is Designer on *
user:bo     source in 10.0.0.0/8  policy/acme.yaml:16:5: b3: user:bo is Admin on p2, only from 10.0.0.0/8
user:root   a second factor       role:Organization admin: on sections /: everything, in projects at most everything, \
also Admin on *, high risk; built in
"""
    assert (0, expected) == (done.code, done.out)


def test_says_it_in_json(sidegate: Any, policy: Path) -> None:
    """For programs: one object per holder; an approval that is needed is told apart from a grant."""
    done = sidegate("who-can", "approve", "p2@main", "--org", "acme", "--policy", policy, "-o", "json")
    assert [
        (holder["account"], holder["outcome"], holder["needs"]["approval"], holder["needs"]["source"])
        for holder in done.json
    ] == [("user:bo", "deny", True, ["10.0.0.0/8"]), ("user:root", "deny", True, [])]


def test_nobody(sidegate: Any, policy: Path) -> None:
    """When nobody may, it says so and the exit code is 1."""
    done = sidegate("who-can", "share", "p1", "--org", "globex", "--policy", policy)
    assert (done.code, done.out) == (1, "nobody\n")


def test_an_organization_that_nobody_knows(sidegate: Any, policy: Path) -> None:
    """The organizations that there are, are named."""
    done = sidegate("who-can", "read", "p1", "--org", "acne", "--policy", policy)
    assert (done.code, "there are: acme, globex" in done.err) == (2, True)
