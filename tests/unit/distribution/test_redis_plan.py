"""What a publish would write is what differs from what is there."""

from dataclasses import replace

import pytest
from tests.unit.distribution.organizations import DOCUMENT, KEY, with_binding

from sidegate.core.model.errors import PolicyError
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, PolicyDocument
from sidegate.distribution.redis_plan import HEADER_FIELD, PREFIXES, Plan, compare, contents_of
from sidegate.distribution.redis_records import RecordKind, digest_content


def digests(document: PolicyDocument) -> dict[str, str]:
    """Return the digests of what is there after *document* was published."""
    contents, org = contents_of(document), document.organization
    return {
        HEADER_FIELD: digest_content(org, RecordKind.HEADER, "", contents.header),
        **{
            PREFIXES[kind] + name: digest_content(org, kind, name, one)
            for kind, listed in (
                (RecordKind.SUBJECT, contents.subjects),
                (RecordKind.KEY, contents.keys),
                (RecordKind.PAGE, contents.pages),
                (RecordKind.IDS, contents.ids),
            )
            for name, one in listed.items()
        },
    }


def written(plan: Plan) -> tuple[bool, set[str], set[str], set[str]]:
    """Return whether the header is written, and which accounts and keys are, and which go."""
    subjects = {name for name, content in plan.subjects.items() if content is not None}
    keys = {name for name, content in plan.keys.items() if content is not None}
    gone = {name for name, content in (*plan.subjects.items(), *plan.keys.items()) if content is None}
    return (plan.header is not None, subjects, keys, gone)


OTHER_HEADER = replace(
    DOCUMENT, bindings=(*DOCUMENT.bindings, BindingEntry("g2", "group:all", "Viewer", parse_scope("p3")))
)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(DOCUMENT, (False, set(), set(), set()), id="nothing"),
        pytest.param(with_binding(DOCUMENT, "user:u2", "n"), (False, {"user:u2"}, set(), set()), id="one-binding"),
        pytest.param(OTHER_HEADER, (True, set(), set(), set()), id="binding-of-a-group"),
        pytest.param(
            replace(DOCUMENT, keys=(replace(KEY, single_use=True),)), (False, set(), {KEY.id}, set()), id="one-key"
        ),
        pytest.param(replace(DOCUMENT, keys=()), (False, set(), set(), {KEY.id}), id="key-gone"),
        pytest.param(
            replace(DOCUMENT, members=DOCUMENT.members[1:], bindings=DOCUMENT.bindings[1:], denies=()),
            (False, set(), set(), {"user:u0"}),
            id="account-gone",
        ),
    ],
)
def test_what_differs(document: PolicyDocument, expected: tuple[object, ...]) -> None:
    """And nothing else."""
    plan = compare(contents_of(document), 7, digests(DOCUMENT))
    assert written(plan) == expected
    assert (plan.expected, plan.is_empty) == (7, expected == (False, set(), set(), set()))


def test_one_of_many() -> None:
    """A binding of a group that is another writes its page of the header, the root, and no ids."""
    many = tuple(BindingEntry(f"m{n}", "group:all", "Viewer", parse_scope(f"q{n}")) for n in range(500))
    before = replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many))
    after = replace(before, bindings=(*before.bindings[:-1], replace(many[-1], role="Admin")))
    plan = compare(contents_of(after), 7, digests(before))
    assert (plan.header is None, len(plan.pages), plan.ids, plan.subjects) == (False, 1, {}, {})
    assert len(plan.header or b"") < 4000
    longer = replace(after, bindings=(*after.bindings, replace(many[0], id="new")))
    plan = compare(contents_of(longer), 7, digests(after))
    assert (len(plan.pages), len(plan.ids)) == (1, 1)


def test_no_longer_many() -> None:
    """Pages that a header has no more go."""
    many = tuple(BindingEntry(f"m{n}", "group:all", "Viewer", parse_scope(f"q{n}")) for n in range(500))
    before = replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *many))
    plan = compare(contents_of(DOCUMENT), 7, digests(before))
    assert plan.pages == dict.fromkeys(contents_of(before).pages)
    assert len(plan.pages) > 10


def test_first_publish() -> None:
    """Everything."""
    accounts = {f"user:u{number}" for number in range(4)}
    assert written(compare(contents_of(DOCUMENT), 0, {})) == (True, accounts, {KEY.id}, set())


def test_wrong_documents_are_not_published() -> None:
    """With every error, and its place."""
    twice = replace(DOCUMENT, bindings=(*DOCUMENT.bindings, *DOCUMENT.bindings[:2]))
    with pytest.raises(PolicyError) as caught:
        contents_of(twice)
    assert len(caught.value.problems) == 2
