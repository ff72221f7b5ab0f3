"""YAML is read one way, with the place of everything; what could be read in two ways is refused."""

import pytest

from sidegate.config.yaml_tree import MAX_DEPTH, YamlTree, dotted, read_tree, resolve_scalar

MAX_BYTES = 100_000


def read(text: str | bytes) -> YamlTree:
    """Read *text* as the file f.yaml."""
    return read_tree(text.encode() if isinstance(text, str) else text, "f.yaml", MAX_BYTES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1\nb: [x, {c: d}]\n", {"a": 1, "b": ["x", {"c": "d"}]}, id="block-and-flow"),
        pytest.param("", None, id="empty"),
        pytest.param("# only a comment\n", None, id="comment"),
        pytest.param("text", "text", id="scalar"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="byte-order-mark"),
        pytest.param("on: off", {"on": "off"}, id="on-is-a-key"),
        pytest.param("yes: no", {"yes": "no"}, id="yes-is-a-key"),
        pytest.param('"1": x', {"1": "x"}, id="quoted-number-is-text"),
        pytest.param("'<<': x", {"<<": "x"}, id="quoted-merge-key-is-text"),
        pytest.param("a: 'true'\nb: \"1\"", {"a": "true", "b": "1"}, id="quotes-make-text"),
        pytest.param("a: |\n  x\n  y\n", {"a": "x\ny\n"}, id="block-scalar"),
        pytest.param("{who: user:u1, on: p1@m:x, /: []}", {"who": "user:u1", "on": "p1@m:x", "/": []}, id="colons"),
        pytest.param("a: {}\nb: []", {"a": {}, "b": []}, id="empty-collections"),
        pytest.param('{"a": "\\u00fc\\/"}', {"a": "\u00fc/"}, id="json"),
    ],
)  # fmt: skip
def test_data(text: str, expected: object) -> None:
    """A document of mappings, lists and scalars becomes plain data."""
    tree = read(text)
    assert expected == tree.data
    assert tree.problems == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0755", 755),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-1", -0.15),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1.2.3", "1.2.3"),
        ("12:30:00", "12:30:00"),
        ("2026-12-01", "2026-12-01"),
        ("1" * 19, "1" * 19),
        ("-", "-"),
    ],
)
def test_scalars(text: str, expected: object) -> None:
    """Plain scalars mean what the core schema of YAML 1.2 says, not what YAML 1.1 said."""
    found = resolve_scalar(text)
    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: &x 1", "f.yaml:1:4: `a` has an anchor (&x)", id="anchor"),
        pytest.param("a: &x [1]", "f.yaml:1:4: `a` has an anchor (&x)", id="anchor-on-a-list"),
        pytest.param("&x a: 1", "f.yaml:1:1: `file` has an anchor (&x)", id="anchor-on-a-key"),
        pytest.param("a: *x", "f.yaml:1:4: `a` is an alias (*x)", id="alias"),
        pytest.param("*x : 1\nb: 2", "f.yaml:1:1: `file` is an alias (*x)", id="alias-as-a-key"),
        pytest.param("a: !!str 1", "f.yaml:1:4: `a` has a tag", id="tag"),
        pytest.param("a: !x {b: 1}", "f.yaml:1:4: `a` has a tag (!x)", id="tag-on-a-mapping"),
        pytest.param("a: ! x", "f.yaml:1:4: `a` has a tag (!)", id="non-specific-tag"),
        pytest.param("<<: {a: 1}", "f.yaml:1:1: `file` has a merge key", id="merge-key"),
        pytest.param("a:\n  b: 1\n  b: 2", "f.yaml:3:3: `a` repeats the key `b` of line 2", id="repeated-key"),
        pytest.param('a: 1\n"a": 2', "f.yaml:2:1: `file` repeats the key `a` of line 1", id="repeated-in-quotes"),
        pytest.param("1: a", "f.yaml:1:1: `file` has the key 1, which is no text", id="number-as-key"),
        pytest.param("true: a", "f.yaml:1:1: `file` has the key true, which is no text", id="truth-as-key"),
        pytest.param("? [a]\n: 1", "f.yaml:1:3: `file` has a key that is no text", id="list-as-key"),
        pytest.param("? {a: b}\n: 1", "f.yaml:1:3: `file` has a key that is no text", id="mapping-as-key"),
        pytest.param("a: 1\n---\nb: 2", "f.yaml:2:1: `file` starts a second document", id="second-document"),
        pytest.param("a: [", "`file` cannot be read: ", id="unclosed"),
        pytest.param("a: b: c", "f.yaml:1:5: `file` cannot be read: mapping values are not allowed", id="two-colons"),
        pytest.param("\ta: 1", "f.yaml:1:1: `file` cannot be read: ", id="tab"),
        pytest.param("a: *", "`file` cannot be read: ", id="star-without-quotes"),
        pytest.param("{a: /skills/{b}}", "f.yaml:1:13: `file` cannot be read: ", id="braces-without-quotes"),
        pytest.param("a: 'x", "`file` cannot be read: ", id="unclosed-quote"),
        pytest.param('a: "\\ud800"', "`file` cannot be read: ", id="lone-surrogate"),
        pytest.param("a: 1\nb: \x01", "f.yaml:2:4: `file` holds a control character", id="control"),
        pytest.param(b"a: 1\nb: \xff", "f.yaml:2:4: `file` is not UTF-8 here", id="not-utf-8"),
        pytest.param("a: 1\nb: 2".encode("utf-16"), "f.yaml:1:1: `file` is not UTF-8 here", id="utf-16"),
        pytest.param("a" * (MAX_BYTES + 1), f"f.yaml:1:1: `file` has {MAX_BYTES + 1} bytes", id="too-long"),
        pytest.param("[" * 40 + "]" * 40, f"f.yaml:1:{MAX_DEPTH + 1}: ", id="too-deep"),
    ],
)
def test_refused(text: str | bytes, expected: str) -> None:
    """What YAML readers read differently, or what costs more than it is worth, is refused with its place."""
    (problem,) = read(text).problems
    assert expected in str(problem)


@pytest.mark.parametrize(
    "opened", [pytest.param("[", id="lists"), pytest.param("{a: ", id="mappings"), pytest.param("- ", id="block-lists")]
)
def test_nothing_is_read_beyond_the_depth(opened: str) -> None:
    """What is nested too deep is not read on: one problem, no data, however deep it goes."""
    tree = read_tree(b"a: 1\na: 2\nc:\n  " + opened.encode() * 15_000, "f.yaml", 1 << 20)
    assert [problem.what.split()[0] for problem in tree.problems] == ["repeats", "is"]
    assert tree.data is None


def test_all_problems_at_once() -> None:
    """One mistake hides none of the others, and what was refused is not in the data."""
    tree = read("a: &x 1\nb: {c: 1, c: 2, 3: 4}\nd: *x\n<<: {e: 1}\nf: 1")
    assert [problem.position.line for problem in tree.problems if problem.position is not None] == [1, 2, 2, 3, 4]
    assert tree.data == {"a": 1, "b": {"c": 1}, "d": None, "f": 1}


def test_second_document_is_not_taken() -> None:
    """Only the first document is data."""
    assert read("a: 1\n---\n- b\n").data == {"a": 1}


TREE = read("a: 1.10\nlist:\n  - x\n  - {k: v, n: }\n")


@pytest.mark.parametrize(
    ("path", "value_place", "key_place"),
    [
        pytest.param((), "1:1", "1:1", id="root"),
        pytest.param(("a",), "1:4", "1:1", id="scalar"),
        pytest.param(("list",), "3:3", "2:1", id="list"),
        pytest.param(("list", 0), "3:5", "3:5", id="element"),
        pytest.param(("list", 1), "4:5", "4:5", id="mapping-in-a-list"),
        pytest.param(("list", 1, "k"), "4:9", "4:6", id="deep"),
        pytest.param(("list", 1, "missing"), "4:5", "4:5", id="missing-is-where-it-belongs"),
        pytest.param(("list", 7, "k"), "3:3", "3:3", id="missing-element"),
        pytest.param(("nowhere", "at", "all"), "1:1", "1:1", id="nowhere"),
    ],
)
def test_places(path: tuple[str | int, ...], value_place: str, key_place: str) -> None:
    """Every key and value has its line and column, counted from 1; what is missing is where it would stand."""
    assert (f"f.yaml:{value_place}", f"f.yaml:{key_place}") == (str(TREE.position(path)), str(TREE.key_position(path)))


def test_written_form_of_numbers() -> None:
    """An error can show a number as it was written."""
    assert (TREE.written(("a",)), TREE.written(("list", 0)), TREE.written(("b",))) == ("1.10", None, None)


@pytest.mark.parametrize(
    ("path", "expected"), [((), "file"), (("a",), "a"), (("a", 0, "b"), "a[0].b"), ((3, "get"), "[3].get")]
)
def test_dotted(path: tuple[str | int, ...], expected: str) -> None:
    """A path is shown as people write it."""
    assert expected == dotted(path)
