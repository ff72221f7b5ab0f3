"""What is written of a change: the pages that it is on, or a section anew when it has become much longer or shorter."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.distribution.organizations import DOCUMENT, header_record

from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, GroupEntry, PolicyDocument
from sidegate.distribution.redis_edits import Edits, HeaderSettings, ids_concerned, plan_edits, sections_to_read
from sidegate.distribution.redis_excerpt import NOBODY, Excerpt
from sidegate.distribution.redis_header import SECTIONS, page_of, pages_for, read_page, read_root, write_header
from sidegate.distribution.redis_held_header import open_root
from sidegate.distribution.redis_ids import read_id_page, write_ids
from sidegate.distribution.redis_records import StoredSubject
from sidegate.redis_link.link import open_link


def excerpt_of(document: PolicyDocument) -> Excerpt:
    """Return an excerpt that has read the whole header and all ids of *document*, and the account ``user:u0``."""
    excerpt = Excerpt(open_link("redis://127.0.0.1:1"), "acme", None)
    excerpt.revision = 7
    excerpt.opened = open_root("acme", header_record(7, document), None)
    for name, content in write_header(document).pages.items():
        section, _, number = name.rpartition(".")
        entries = read_page("acme", section, int(number), len(excerpt.root.paged[section].digests), content)
        excerpt.pages[name] = {SECTIONS[section].name_of(entry): entry for entry in entries}
    ids = write_ids(document)
    root = replace(excerpt.opened.root, id_pages=len(ids))
    excerpt.opened = replace(excerpt.opened, root=root)
    excerpt.id_pages = {int(number): read_id_page("acme", content) for number, content in ids.items()}
    bindings = tuple(one for one in document.bindings if one.who == "user:u0")
    excerpt.subjects = {"user:u0": StoredSubject(document.members[0], bindings)}
    return excerpt


def group_binding(place: int) -> BindingEntry:
    """Return a binding of a group."""
    return BindingEntry(f"m{place}", "group:all", "Viewer", parse_scope(f"q{place}"))


def with_bindings(count: int) -> PolicyDocument:
    """Return a document with so many bindings of groups more."""
    return replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *map(group_binding, range(count))))


def bindings(come: range = range(0), gone: range = range(0)) -> Edits:
    """Return edits that put and remove bindings of groups."""
    return Edits({"bindings": {**dict.fromkeys(f"m{n}" for n in gone), **{f"m{n}": group_binding(n) for n in come}}})


@pytest.mark.parametrize(
    ("before", "edits", "is_divided", "pages"),
    [
        pytest.param(10, bindings(range(10, 11)), False, 0, id="in-the-root"),
        pytest.param(63, bindings(range(63, 64)), False, 8, id="one-more-than-the-root-holds"),
        pytest.param(64, bindings(range(64, 65)), False, 8, id="a-page-of-many"),
        pytest.param(100, bindings(range(100, 600)), True, 32, id="much-longer"),
        pytest.param(100, bindings(range(100, 400)), False, 8, id="longer"),
        pytest.param(100, bindings(gone=range(60)), False, 8, id="shorter"),
        pytest.param(100, bindings(gone=range(70)), True, 0, id="so-short-that-the-root-holds-it"),
    ],
)
def test_sections(before: int, edits: Edits, is_divided: bool, pages: int) -> None:
    """What the root says afterwards is what the pages that are written, and those that stay, hold."""
    excerpt = excerpt_of(with_bindings(before))
    had = dict(excerpt.root.pages())
    assert sections_to_read(excerpt, edits) == (("bindings",) if is_divided else ())
    plan = plan_edits(excerpt, edits)
    assert plan.header is not None
    root = read_root("acme", plan.header)
    assert len(root.paged["bindings"].digests if "bindings" in root.paged else ()) == pages
    written = {name for name, content in plan.pages.items() if content is not None}
    gone = {name for name, content in plan.pages.items() if content is None}
    now = dict(root.pages())
    assert {name for name in now if had.get(name) != now[name]} == written
    assert had.keys() - now.keys() == gone
    expected = before + 1 + sum(1 if entry else -1 for entry in edits.sections["bindings"].values())
    assert root.count_of("bindings") == expected


def test_as_many_pages_as_when_published_whole() -> None:
    """After it was divided anew."""
    plan = plan_edits(excerpt_of(with_bindings(100)), bindings(range(100, 600)))
    assert len(read_root("acme", plan.header or b"").paged["bindings"].digests) == pages_for(601)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(Edits(), id="nothing"),
        pytest.param(bindings(range(3)), id="what-is-there"),
        pytest.param(Edits(settings=HeaderSettings(DOCUMENT.mfa_max_age_s, {}, None)), id="settings-as-they-are"),
        pytest.param(Edits({"groups": {"none": None}}), id="what-is-not-there-goes"),
    ],
)
def test_nothing_to_do(edits: Edits) -> None:
    """Nothing is written."""
    assert plan_edits(excerpt_of(with_bindings(100)), edits).is_empty


MOVED = StoredSubject(DOCUMENT.members[0], (BindingEntry("g1", "user:u0", "Viewer", parse_scope("p2")),))


@pytest.mark.parametrize(
    ("edits", "concerned", "where"),
    [
        pytest.param(bindings(range(200, 201)), {"m200"}, {"m200": "bindings"}, id="comes"),
        pytest.param(bindings(gone=range(1)), {"m0"}, {"m0": None}, id="goes"),
        pytest.param(Edits({"groups": {"x": GroupEntry("x")}}), set(), {}, id="has-no-id"),
        pytest.param(Edits(subjects={"user:u0": NOBODY}), {"b0"}, {"b0": None}, id="an-account-goes"),
        pytest.param(
            Edits({"bindings": {"g1": None}}, {"user:u0": MOVED}),
            {"b0", "g1"},
            {"b0": None, "g1": "user:u0"},
            id="moves-to-an-account",
        ),
        pytest.param(
            Edits({"bindings": {"b0": replace(group_binding(0), id="b0")}}, {"user:u0": NOBODY}),
            {"b0"},
            {"b0": "bindings"},
            id="moves-to-a-group",
        ),
    ],
)
def test_ids(edits: Edits, concerned: set[str], where: dict[str, Any]) -> None:
    """Where each is afterwards, whoever had it before; only pages with one of them are written."""
    excerpt = excerpt_of(with_bindings(100))
    assert ids_concerned(excerpt, edits) == concerned
    plan = plan_edits(excerpt, edits)
    pages = len(excerpt.id_pages)
    assert plan.ids.keys() == {str(page_of(name, pages)) for name in concerned}
    written = {int(number): read_id_page("acme", content or b"") for number, content in plan.ids.items()}
    for name, expected in where.items():
        assert written[page_of(name, pages)].get(name) == expected
