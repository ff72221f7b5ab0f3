"""Where each id is, for publishers."""

import pytest
from tests.unit.distribution.organizations import DOCUMENT

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, PolicyDocument
from sidegate.distribution.redis_header import page_of
from sidegate.distribution.redis_ids import read_id_page, write_ids


def test_comes_back() -> None:
    """An account for what is stored with it, a section for what is in the header."""
    found = read_id_page("acme", write_ids(DOCUMENT)["0"])
    assert found == {**{f"b{n}": f"user:u{n}" for n in range(4)}, "d0": "user:u0", "g1": "bindings"}


def test_found_in_its_page() -> None:
    """Also where there are many; without any there is a page for those that come."""
    bindings = tuple(BindingEntry(f"b{n}", f"user:u{n}", "Admin", parse_scope("p1")) for n in range(300))
    pages = write_ids(PolicyDocument("acme", bindings=bindings))
    assert list(pages) == [str(number) for number in range(16)]
    for one in bindings:
        page = pages[str(page_of(one.id, len(pages)))]
        assert read_id_page("acme", page)[one.id] == one.who
    assert write_ids(PolicyDocument("acme")) == {"0": b"{}"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"b1":1}', b'{"b1":null}', b'{"b1":"roles"}', b'{"b1":"group:x"}'])
def test_strange_pages(content: bytes) -> None:
    """What is not exactly what is published is refused."""
    with pytest.raises(IntegrityError, match="publish it whole again"):
        read_id_page("acme", content)
