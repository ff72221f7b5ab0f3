"""What is read quickly is what is read otherwise, or it is not read quickly."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.config import quick_policy
from sidegate.config.policy_file import read_policy
from sidegate.config.quick_policy import QUICK_ABOVE, read_json, read_lines, read_policy_quickly
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import PolicyError

ITEM = "  - {id: b1, who: user:ana, role: Designer, on: p1}\n"
HEAD = "organization: acme\nmembers: {user:ana: {}}\n"


def quickly(text: str) -> object:
    """Return what is read without places; None when it is not."""
    try:
        return read_json(text.encode()) if text.startswith("{") else read_lines(text.encode())
    except quick_policy._NotQuickError:
        return None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEAD}bindings:\n{ITEM}", id="one"),
        pytest.param(f"bindings:\n{ITEM}{HEAD}", id="first-of-all"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}{ITEM}{ITEM}denies: []\n", id="three-and-something-behind"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}\n\n{ITEM}", id="empty-lines"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}  # why\n{ITEM}", id="a-comment-as-deep"),
        pytest.param(f"{HEAD}bindings:\n{ITEM.replace('  - ', '- ')}", id="not-indented"),
        pytest.param(
            f"{HEAD}bindings:\n{ITEM}  - id: b2\n    who: user:ana\n    role: x\n    on: p\n{ITEM}", id="mixed"
        ),
        pytest.param(
            f"{HEAD}bindings:\n{ITEM}  - {{id: b2, on: '*', who: user:ana, role: x}}\n{ITEM}", id="other-order"
        ),
        pytest.param(
            HEAD + 'bindings:\n  - {id: "b 1", who: "group:a b", role: "My # role", on: "*@main"}\n', id="quoted"
        ),
        pytest.param(f"{HEAD}bindings:\n{ITEM}candidate:\n  bindings:\n  {ITEM}", id="a-candidate-too"),
        pytest.param(json.dumps({"organization": "acme", "members": {"user:ana": {"roles": ["Member"]}}}), id="json"),
        pytest.param('{"mfa_max_age_s": 1, "a": [1.5, -3, true, 1e5, 12345678901234567890]}', id="json-numbers"),
        pytest.param('{"organization": "\u00e4\u20ac"}', id="json-beyond-ascii"),
    ],
)
def test_the_same_data(text: str) -> None:
    """Key by key, value by value, in the same order."""
    tree = read_tree(text.encode(), "x", 1 << 20)
    assert tree.problems == ()
    assert quickly(text) == tree.data


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD, id="no-bindings"),
        pytest.param(f"{HEAD}bindings:\n", id="an-empty-list"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}bindings:\n{ITEM}", id="the-key-twice"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}  - *alias\n", id="an-alias"),
        pytest.param(f"{HEAD}bindings:\n{ITEM}---\n{HEAD}", id="two-documents"),
        pytest.param(f"text: |\n bindings:\nbindings:\n{ITEM} - x\n", id="outdented"),
        pytest.param(f'text: "\nbindings:\n{ITEM}"\n', id="within-quotes"),
        pytest.param(f'text: "\nbindings:\n{ITEM}"\nbindings: []\n', id="within-quotes-and-a-list"),
        pytest.param(f"- x\nbindings:\n{ITEM}", id="no-mapping"),
        pytest.param(f"{HEAD}bindings:\n{ITEM.replace('p1', 'null')}", id="nothing-for-a-value"),
        pytest.param(f"{HEAD}bindings:\n{ITEM.replace('b1', 'true')}", id="a-constant"),
        pytest.param('{"a": 1, "a": 2}', id="json-key-twice"),
        pytest.param('{"a": {"b": 1, "b": 1}}', id="json-key-twice-below"),
        pytest.param('{"a": NaN}', id="json-constant"),
        pytest.param('{"a": "\\ud800"}', id="json-escape"),
        pytest.param('{"a": 1} x', id="json-and-more"),
        pytest.param("{", id="json-cut"),
        pytest.param('{"a":' + "[" * 100_000, id="json-nested"),
    ],
)
def test_not_quickly(text: str) -> None:
    """What means something else, or cannot be read so, is left to the other way."""
    try:
        assert quickly(text) is None
    except RecursionError:
        assert text.count("[") > 1000


PIECES = st.sampled_from(
    [
        *(ITEM, ITEM.replace("b1", "b2"), ITEM.replace("p1", '"*"'), ITEM.replace("p1", "12"), ITEM[2:], "  " + ITEM),
        *("bindings:\n", "bindings: \n", " bindings:\n", "denies: []\n", "organization: acme\n", "\n", "# note\n"),
        *("  - {id: b3, role: x, who: user:a, on: p}\n", "  - id: b4\n", "    who: 'user:b'\n", "text: |\n", '"\n'),
        *("  - 0\n", "- 0\n", "text: >\n", "  more\n", "...\n", "---\n", "? x\n", "'\n", "a: [\n", "]\n", "{\n", "}\n"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_never_otherwise(text: str) -> None:
    """Whatever lines follow each other: what is taken out of them is what libyaml reads there."""
    tree = read_tree(text.encode(), "x", 1 << 20)
    found = quickly(text)
    if found is not None:
        assert (found, tree.problems) == (tree.data, ())


def with_last(binding: str) -> str:
    """Return a policy file that ends with *binding*."""
    items = "".join(ITEM.replace("b1", f"b{number}") for number in range(100))
    return f"{HEAD}groups: {{fiber: {{}}}}\nbindings:\n{items}  - {binding}\n"


def test_what_is_right() -> None:
    """It means the same without places."""
    good = with_last("{id: last, who: group:fiber, role: Viewer, on: p2}").encode()
    found = read_policy_quickly(good, "x", above=0)
    assert (found.document.positions, found.warnings) == ({}, ())
    assert found.document == read_policy(good, "x").document


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ("{id: b1, who: group:fiber, role: Viewer, on: p2}", "`b1` stands more than once"),
        ("{id: last, who: fiber, role: Viewer, on: p2}", "`bindings[100].who` is 'fiber'"),
        ("{id: last, who: group:fiber, role: Viewer, on: p2, not_after: }", "`bindings[100].not_after` is empty"),
        ("{id: last, who: group:fiber", "`file` cannot be read"),
    ],
)
def test_what_is_wrong(binding: str, says: str) -> None:
    """It is told with its place."""
    with pytest.raises(PolicyError) as caught:
        read_policy_quickly(with_last(binding).encode(), "x", above=0)
    assert re.fullmatch(rf"x:10[5-7]:[0-9]+: {re.escape(says)}.*", str(caught.value.problems[0]))


def test_what_looks_wrong() -> None:
    """That, too."""
    content = with_last("{id: last, who: group:fiber, role: Viewr, on: p2}").encode()
    (warning,) = read_policy_quickly(content, "x", above=0).warnings
    assert str(warning).startswith("x:105:5: `last` gives the role `Viewr`")


def test_small_files_have_places() -> None:
    """They are read with them at once."""
    assert len(ITEM) < QUICK_ABOVE
    assert read_policy_quickly(f"{HEAD}bindings:\n{ITEM}".encode(), "x").document.positions["b1"].line == 4
