"""`sidegate policy diff`: two policies by what they mean."""

import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def other(policy: Path, tmp_path: Path) -> Path:
    """The same policies, with a binding gone, one widened, and a deny on more."""
    folder = tmp_path / "other"
    shutil.copytree(policy, folder)
    file = folder / "acme.yaml"
    lines = [line for line in file.read_text().splitlines() if "id: b3" not in line]
    text = "\n".join(lines).replace("role: Viewer, on", "role: Designer, on", 1).replace("[delete]", "[delete, run]")
    file.write_text(text.replace("  user:left: {state: deprovisioned}\n", "  user:new: {roles: [Member]}\n"))
    return folder


def test_says_what_changed(sidegate: Any, policy: Path, other: Path) -> None:
    """Entries added, removed and changed field by field, each with its place; exit code 1."""
    assert policy.is_dir()
    assert other.is_dir()
    done = sidegate("policy", "diff", "policy", "other")
    expected = """\
acme: 5 changes
  - members member:user:left: state deprovisioned; roles none  policy/acme.yaml:9:3
  + members member:user:new: state active; roles Member  other/acme.yaml:9:3
  ~ bindings b2  other/acme.yaml:15:5
      role: Viewer -> Designer
  - bindings b3: user:bo is Admin on p2, only from 10.0.0.0/8  policy/acme.yaml:16:5
  ~ denies d1  other/acme.yaml:18:5
      authorities: delete -> delete, run
globex: no changes
"""
    assert (1, expected, "") == (done.code, done.out, done.err)


def test_the_same(sidegate: Any, policy: Path) -> None:
    """Nothing differs: exit code 0. The order of entries is no difference."""
    copy = policy.parent / "copy" / "acme.yaml"
    copy.parent.mkdir()
    lines = (policy / "acme.yaml").read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if "id: b1" in line)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    copy.write_text("\n".join(lines))
    done = sidegate("policy", "diff", policy / "acme.yaml", copy, "--effects")
    assert (done.code, done.out) == (0, "acme: no changes\n  no answer changes\n")


def test_effects(sidegate: Any, policy: Path, other: Path) -> None:
    """--effects says who may do what else, or no longer, and under which circumstances."""
    done = sidegate("policy", "diff", policy / "acme.yaml", other / "acme.yaml", "--effects")
    lines = [line.split() for line in done.out.splitlines() if line.startswith("user:")]
    assert ["user:ana", "p1@main", "-", "deny", "not_granted", "allow", "granted", "write,", "solve"] in lines
    assert ["user:ana", "p1", "-", "allow", "granted", "deny", "denied_by_rule", "run"] in lines
    bo = [line for line in lines if line[0] == "user:bo"]
    assert {"10.0.0.0"} == {line[2] for line in bo}
    assert {"p2", "p2@any", "p2@any:any", "p2@main", "p2@main:any"} == {line[1] for line in bo}
    assert "user:root" not in {line[0] for line in lines}


def test_json(sidegate: Any, policy: Path, other: Path) -> None:
    """For programs: values in the spelling of policy files."""
    done = sidegate("policy", "diff", policy, other, "--effects", "-o", "json")
    acme, globex = done.json
    assert [(change["kind"], change["section"]) for change in acme["changes"]] == [
        ("removed", "members"),
        ("added", "members"),
        ("changed", "bindings"),
        ("removed", "bindings"),
        ("changed", "denies"),
    ]
    assert acme["changes"][4]["fields"] == [{"name": "authorities", "before": ["delete"], "after": ["delete", "run"]}]
    assert (globex["changes"], globex["effects"], globex["partly_compared"]) == ([], [], [])
    assert {"mfa": False, "surface": "web", "source": "10.0.0.0"} in [effect["with"] for effect in acme["effects"]]
    assert sidegate("policy", "diff", policy, other, "-o", "json").json[0]["effects"] is None


def test_an_organization_that_came(sidegate: Any, policy: Path) -> None:
    """An organization that only one side has is all added or all removed."""
    done = sidegate("policy", "diff", policy / "acme.yaml", policy / "globex.yaml", "-o", "json")
    assert {"acme": {"removed"}, "globex": {"added"}} == {
        one["organization"]: {change["kind"] for change in one["changes"]} for one in done.json
    }
    assert done.code == 1


def test_files_that_cannot_be_read(sidegate: Any, policy: Path) -> None:
    """A policy that cannot be used is not compared: exit code 78; one that is not there: 2."""
    (policy / "globex.yaml").write_text("organization: -other\n")
    assert sidegate("policy", "diff", policy, policy).code == 78
    assert sidegate("policy", "diff", policy, "nowhere").code == 2
