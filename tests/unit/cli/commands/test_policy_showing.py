"""`sidegate policy show`: everything resolved."""

from pathlib import Path
from typing import Any


def test_shows_resolved_roles_members_and_entries(sidegate: Any, policy: Path) -> None:
    """Clones are followed, built-in roles in use are shown, every entry in words."""
    done = sidegate("policy", "show", "--policy", policy, "--org", "acme")
    expected = """\
acme
WHAT      ID                  SAYS
role      Admin               gives everything
role      Auditor             on sections /audit: read, in projects at most read
role      Designer            gives read, write, run, solve
role      Field lead          gives read, write, run, approve
role      Member              on sections /: read; /projects: write, in projects at most everything
role      Organization admin  on sections /: everything, in projects at most everything, also Admin on *, high risk
role      Viewer              gives read
member    user:ana            state active; roles Member; groups fiber
member    user:bo             state active; roles Member
member    user:root           state active; roles Organization admin
member    user:left           state deprovisioned; roles none
member    service:ci          state active; roles Member
binding   b1                  group:fiber is Designer on p1
binding   b2                  user:ana is Viewer on p1@main
binding   b3                  user:bo is Admin on p2, only from 10.0.0.0/8
binding   b4                  service:ci is Designer on *
deny      d1                  user:ana may not delete on *
approval  promote             approve on *@main needs 1 approval by holders of approve
key       4fQz8Kd01LmNopQr    service:ci, state active, only read, only on p1, until 2027-01-01T00:00:00.000Z
and a candidate; see `sidegate shadow report`
"""
    assert (0, expected) == (done.code, done.out)


def test_json(sidegate: Any, policy: Path) -> None:
    """For programs: every organization, values as policy files spell them; no digest is a secret, no key is there."""
    acme, globex = sidegate("policy", "show", "--policy", policy, "-o", "json").json
    assert (acme["organization"], globex["organization"]) == ("acme", "globex")
    assert acme["roles"]["Field lead"]["authorities"] == ["read", "write", "run", "approve"]
    assert acme["roles"]["Auditor"]["sections"] == {"/audit": ["read"]}
    assert acme["denies"][0] == {"id": "d1", "who": "user:ana", "authorities": ["delete"], "on": "*"}
    assert acme["keys"][0]["expires_at"] == "2027-01-01T00:00:00.000Z"
    assert acme["keys"][0]["digest"] == "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_a_role_that_nobody_knows(sidegate: Any, policy: Path) -> None:
    """A binding to an unknown role gives nothing, and that is said."""
    (policy / "globex.yaml").write_text(
        "organization: globex\nmembers: {user:gus: {}}\nbindings: [{id: x, who: user:gus, role: Veiwer, on: p1}]\n"
    )
    done = sidegate("policy", "show", "--policy", policy / "globex.yaml")
    assert "role     Veiwer    nobody knows it: gives nothing\n" in done.out
    assert sidegate("policy", "show", "--policy", policy / "globex.yaml", "-o", "json").json[0]["roles"] == {
        "Veiwer": None
    }
