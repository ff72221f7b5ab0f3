"""Files of small changes become a change with the place of every entry, or every error at once."""

import json

import pytest

from sidegate.config.patch_file import MAX_PATCH_BYTES, read_patch
from sidegate.config.policy_file import read_policy
from sidegate.core.model.errors import PolicyError
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import SessionLimits
from sidegate.core.policy.patch import PolicyPatch, Put, Removal

SECTIONS = """
roles: {Intern: {authorities: [read]}}
members: {"user:bo": {roles: [Member]}}
groups: {fiber: {}}
bindings:
  - {id: b7, who: group:fiber, role: Designer, on: p7}
denies:
  - {id: d1, who: user:bo, authorities: [delete], on: "*"}
approvals:
  - {id: a1, authorities: [approve], on: "*@main"}
keys:
  - {id: 4fQz8Kd01LmNopQr, digest: "sha256:%s", account: user:bo}
sessions: {web: {idle_ms: 5}}
mfa_max_age_s: 60
candidate: {bindings: [{id: b8, who: group:fiber, role: Viewer, on: p7}], remove: [b7]}
""" % ("0" * 64)
WHOLE = f"""organization: acme
put:{SECTIONS.replace(chr(10), chr(10) + "  ")}
remove:
  roles: [Guest]
  members: [user:left]
  groups: [copper]
  bindings: [b3, b7]
  denies: [d2]
  approvals: [a2]
  keys: [4fQz8Kd01LmNopQs]
  sessions: [mobile]
"""


def test_says_what_a_policy_file_says() -> None:
    """What is put is written as in a policy file, and means the same."""
    document = read_policy(f"organization: acme{SECTIONS}".encode(), "acme.yaml").document
    patch = read_patch(WHOLE.encode(), "change.yaml")
    for section in ("roles", "members", "groups", "bindings", "denies", "approvals", "keys", "sessions", "candidate"):
        assert getattr(patch.put, section) == getattr(document, section)
    assert patch.put.mfa_max_age_s == 60
    assert patch.remove == Removal(
        *(("Guest",), ("user:left",), ("copper",), ("b3", "b7"), ("d2",), ("a2",)),
        *(("4fQz8Kd01LmNopQs",), ("mobile",), False),
    )


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [
        ("role:Intern", 3, 11),
        ("member:user:bo", 4, 13),
        ("b7", 7, 7),
        ("candidate:b8", 16, 26),
        ("sessions.web", 14, 14),
        ("remove:role:Guest", 19, 11),
        ("remove:b7", 22, 18),
        ("remove:key:4fQz8Kd01LmNopQs", 25, 10),
        ("remove:sessions.mobile", 26, 14),
    ],
)
def test_places(key: str, line: int, column: int) -> None:
    """Of what is put, and of what is named to go."""
    position = read_patch(WHOLE.encode(), "change.yaml").positions[key]
    assert (position.file, position.line, position.column) == ("change.yaml", line, column)


def test_json() -> None:
    """It is read like YAML."""
    text = json.dumps({"organization": "acme", "put": {"mfa_max_age_s": 7}, "remove": {"candidate": True}})
    assert read_patch(text.encode(), "<stdin>") == PolicyPatch("acme", Put(mfa_max_age_s=7), Removal(candidate=True))
    limits = {"organization": "acme", "put": {"sessions": {"web": {"absolute_ms": 9}}}}
    found = read_patch(json.dumps(limits).encode(), "<stdin>").put.sessions
    assert found == {"web": SessionLimits(absolute=Millis(9))}


BINDING = "{id: b1, who: user:ana, role: Viewer, on: p1}"
DENY = "{id: b1, who: user:ana, authorities: [read], on: p1}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", ["x:1:1: `organization` is missing; add it, e.g. `organization: acme`"], id="empty"),
        pytest.param("put: {mfa_max_age_s: 1}", ["x:1:1: `organization` is missing"], id="no-organization"),
        pytest.param("organization: acme", ["x:1:1: `put` holds nothing, and nothing goes"], id="nothing"),
        pytest.param(
            "organization: acme\nputs: {}\nput: {binding: []}\nremove: {bindings: b1}",
            ["x:2:1: `puts` is not known; did you mean `put`?", "x:3:7: `put.binding` is not known",
             "x:4:20: `remove.bindings` is 'b1'"],
            id="names-that-nobody-knows",
        ),
        pytest.param(
            f"organization: acme\nput: {{bindings: [{BINDING}, {BINDING}]}}",
            ["x:2:65: `b1` stands more than once"],
            id="put-twice",
        ),
        pytest.param(
            f"organization: acme\nput: {{bindings: [{BINDING}], denies: [{DENY}]}}",
            ["x:2:75: `b1` stands more than once"],
            id="put-twice-in-two-sections",
        ),
        pytest.param(
            "organization: acme\nput: {groups: {a: {}}, members: {user:a: {}}, sessions: {web: {}}}\n"
            "remove: {groups: [a, b, b], members: [user:a], sessions: [web]}",
            ["x:3:19: `group:a` is put and removed", "x:3:25: `group:b` is removed more than once",
             "x:3:39: `member:user:a` is put and removed", "x:3:59: `web` is put and removed"],
            id="put-and-removed",
        ),
        pytest.param(
            "organization: acme\nput: {candidate: {}}\nremove: {candidate: true}",
            ["x:3:10: `candidate` is put and removed"],
            id="candidate-put-and-removed",
        ),
        pytest.param(
            "organization: acme\nremove: {candidate: false}",
            ["x:2:21: `remove.candidate` is false"],
            id="candidate-not-removed",
        ),
        pytest.param(
            "organization: a b\nput: {mfa_max_age_s: -1, bindings: [{id: b1}]}\nremove: {keys: [x], members: [ana]}",
            ["x:1:15: `organization`", "x:2:22: `put.mfa_max_age_s`", "x:2:37: `put.bindings[0].who` is missing",
             "x:2:37: `put.bindings[0].role` is missing", "x:2:37: `put.bindings[0].on` is missing",
             "x:3:17: `remove.keys[0]`", "x:3:31: `remove.members[0]`"],
            id="everything-at-once",
        ),
        pytest.param("organization: acme\nput: [", ["x:3:1: `file` cannot be read"], id="no-yaml"),
    ],
)  # fmt: skip
def test_errors(text: str, says: list[str]) -> None:
    """Everything that is wrong, each with its place and what to do."""
    with pytest.raises(PolicyError) as caught:
        read_patch(text.encode(), "x")
    told = sorted(str(problem) for problem in caught.value.problems)
    assert len(told) == len(says), told
    for line, expected in zip(told, sorted(says), strict=True):
        assert line.startswith(expected), told


def test_moved() -> None:
    """What is put may be named to go as well: it is another's from then on."""
    text = f"organization: acme\nput: {{bindings: [{BINDING}]}}\nremove: {{bindings: [b1]}}"
    assert read_patch(text.encode(), "x").remove.bindings == ("b1",)


def test_too_long() -> None:
    """Whoever changes so much publishes the whole file."""
    with pytest.raises(PolicyError, match="write at most"):
        read_patch(b" " * (MAX_PATCH_BYTES + 1), "x")
