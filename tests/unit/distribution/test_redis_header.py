"""A header as a root and pages: what was written is read, and nothing else is."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.distribution.organizations import DOCUMENT

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, Candidate, GroupEntry, MemberEntry, PolicyDocument
from sidegate.distribution.redis_header import (
    INLINE,
    SECTIONS,
    divide,
    document_of,
    page_of,
    pages_for,
    read_page,
    read_root,
    write_header,
    write_page,
    write_root,
)

MANY = tuple(BindingEntry(f"m{n}", "group:all", "Viewer", parse_scope(f"q{n}")) for n in range(500))
LONG = replace(
    DOCUMENT,
    bindings=(*DOCUMENT.bindings, *MANY),
    groups=tuple(GroupEntry(f"group {number}") for number in range(70)),
    candidate=Candidate(members=tuple(MemberEntry(f"user:c{number}") for number in range(70)), remove=("d0",)),
)


def read_back(document: PolicyDocument) -> PolicyDocument:
    """Return the header of *document*, written and read."""
    written = write_header(document)
    root = read_root("acme", written.root)
    assert {name for name, _ in root.pages()} == written.pages.keys()
    sections: dict[str, list[Any]] = {name: list(entries) for name, entries in root.inline.items()}
    for page, content in written.pages.items():
        section, _, number = page.rpartition(".")
        entries = read_page("acme", section, int(number), len(root.paged[section].digests), content)
        sections.setdefault(section, []).extend(entries)
    ordered = {name: sorted(listed, key=SECTIONS[name].name_of) for name, listed in sections.items()}
    return document_of("acme", root, ordered)


@pytest.mark.parametrize("document", [DOCUMENT, LONG, PolicyDocument("acme")], ids=["short", "long", "empty"])
def test_comes_back(document: PolicyDocument) -> None:
    """Whatever has pages and whatever has none."""
    found = read_back(document)
    of_groups = [one for one in document.bindings if one.who.startswith("group:")]
    assert list(found.bindings) == sorted(of_groups, key=lambda one: one.id)
    assert list(found.groups) == sorted(document.groups, key=lambda one: one.name)
    assert (found.candidate is None) == (document.candidate is None)
    if document.candidate is not None and found.candidate is not None:
        assert set(found.candidate.members) == set(document.candidate.members)
        assert found.candidate.remove == document.candidate.remove


def test_short_ones_are_one_record() -> None:
    """Up to a number of entries of each kind; one more, and they are in pages."""
    few = replace(DOCUMENT, bindings=MANY[:INLINE])
    assert write_header(few).pages == {}
    pages = write_header(replace(DOCUMENT, bindings=MANY[: INLINE + 1])).pages
    assert {name.rpartition(".")[0] for name in pages} == {"bindings"}


def test_one_change_is_one_page() -> None:
    """The root says which, and everything else has the bytes it had, in whatever order it was written."""
    before = write_header(LONG)
    changed = replace(LONG, bindings=(replace(LONG.bindings[-1], role="Admin"), *LONG.bindings[:-1]))
    after = write_header(changed)
    assert len({name for name in before.pages if after.pages[name] != before.pages[name]}) == 1
    assert after.root != before.root
    assert write_header(replace(LONG, bindings=LONG.bindings[::-1])) == before


@pytest.mark.parametrize(
    ("count", "pages"),
    [(65, 8), (127, 8), (128, 16), (1000, 32), (100_000, 256), (1_000_000, 1024)],
)
def test_pages_are_as_many_as_entries_on_each(count: int, pages: int) -> None:
    """About, so that neither root nor page is long."""
    assert pages_for(count) == pages


@given(st.lists(st.text(min_size=1, max_size=20), unique=True), st.sampled_from([1, 8, 64]))
def test_found_by_name(names: list[str], pages: int) -> None:
    """Every entry is in the page that its name leads to, and in no other."""
    divided = divide(SECTIONS["groups"], [GroupEntry(name) for name in names], pages)
    assert len(divided) == pages
    for number, listed in enumerate(divided):
        assert {entry.name for entry in listed} == {name for name in names if page_of(name, pages) == number}


def changed(**more: Any) -> bytes:
    """Return a root with other members."""
    plain = orjson.loads(write_header(LONG).root)
    return orjson.dumps({**plain, **more})


def in_section(section: str, given: Any) -> bytes:
    """Return a root with another section."""
    return changed(sections={section: given})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"{}", id="no-members"),
        pytest.param(changed(more=1), id="one-more-member"),
        pytest.param(changed(mfa_max_age_s="1"), id="age-is-text"),
        pytest.param(changed(mfa_max_age_s=-1), id="age-below-zero"),
        pytest.param(changed(id_pages=True), id="id-pages-is-a-flag"),
        pytest.param(changed(sessions=[]), id="sessions-is-a-list"),
        pytest.param(changed(sessions={"web": {"more": 1}}), id="session-limit-nobody-knows"),
        pytest.param(changed(remove="d0"), id="remove-is-text"),
        pytest.param(changed(remove=[1]), id="remove-of-numbers"),
        pytest.param(changed(sections=[]), id="sections-is-a-list"),
        pytest.param(in_section("members", []), id="section-of-no-header"),
        pytest.param(in_section("more", {"count": 0, "digests": [""]}), id="pages-of-nothing"),
        pytest.param(in_section("bindings", {"count": 1}), id="no-digests"),
        pytest.param(in_section("bindings", {"count": 1, "digests": []}), id="no-pages"),
        pytest.param(in_section("bindings", {"count": 1, "digests": ["", "", ""]}), id="three-pages"),
        pytest.param(in_section("bindings", {"count": "1", "digests": [""]}), id="count-is-text"),
        pytest.param(in_section("bindings", {"count": 1, "digests": [1]}), id="digest-is-a-number"),
        pytest.param(in_section("bindings", 7), id="section-is-a-number"),
        pytest.param(in_section("groups", [{"name": "a"}, {"name": "a"}]), id="two-of-a-name"),
    ],
)
def test_strange_roots(content: bytes) -> None:
    """What is not exactly what is published is refused, and never half used."""
    with pytest.raises(IntegrityError):
        read_root("acme", content)


PAGE = write_page(SECTIONS["bindings"], [one for one in MANY if page_of(one.id, 8) == 3])


@pytest.mark.parametrize(
    ("number", "content", "says"),
    [
        pytest.param(4, PAGE, "in the wrong page", id="another-page"),
        pytest.param(3, PAGE + b"\n", "cannot be read", id="a-line-more"),
        pytest.param(3, PAGE + b"\n{}", "cannot be read|a list", id="no-list"),
        pytest.param(3, PAGE + b"\n" + PAGE, "called the same", id="twice"),
        pytest.param(3, b"", "cannot be read", id="nothing"),
        pytest.param(3, b'[{"id":"m1"}]', "other members", id="half-an-entry"),
    ],
)
def test_strange_pages(number: int, content: bytes, says: str) -> None:
    """The same for pages: an entry that is looked for is in its page, or nowhere."""
    with pytest.raises(IntegrityError, match=says):
        read_page("acme", "bindings", number, 8, content)


def test_counts() -> None:
    """Told without reading the pages."""
    root = read_root("acme", write_header(LONG).root)
    assert [root.count_of(section) for section in ("bindings", "groups", "denies", "candidate.members")] == [
        *(501, 70, 0, 70)
    ]
    assert read_root("acme", write_root(root)) == root
