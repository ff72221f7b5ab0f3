"""Entries laid out by scope."""

from collections.abc import Iterable
from itertools import chain

import pytest

from sidegate.core.model.authority import ALL_AUTHORITIES, Authority, Mask, mask_of
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.target import parse_scope, parse_section, parse_target
from sidegate.core.policy.requirement import Requirement
from sidegate.core.policy.table import (
    MAX_REMEMBERED_MERGES,
    MAX_REMEMBERED_SUBTREES,
    Entry,
    LayeredTable,
    Node,
    ScopeTable,
    SectionTable,
    rank_of,
)

READ = mask_of([Authority.READ])
WRITE = mask_of([Authority.WRITE])
MFA = Requirement(True, None, ())

SCOPES = ["*", "*@main", "*@*:a", "*@main:a", "p1", "p1@*:a/b", "p1@main", "p1@main:a", "p1@main:a/b/c", "p2"]


def table_of(*texts: str) -> ScopeTable:
    """One entry per scope, whose key is the scope."""
    return ScopeTable((parse_scope(text), Entry(text, READ)) for text in texts)


def keys(nodes: Iterable[Node]) -> list[str]:
    """The keys of *nodes*, one after the other."""
    return list(chain.from_iterable(Node.keys(node) for node in nodes))


@pytest.mark.parametrize(
    ("target", "narrowest"),
    [
        pytest.param("p1", "p1", id="project"),
        pytest.param("p1@dev", "p1", id="branch-nobody-names"),
        pytest.param("p1@dev:a", "p1", id="project-beats-path-on-every-project"),
        pytest.param("p1@dev:a/b/x", "p1@*:a/b", id="path-on-every-branch"),
        pytest.param("p1@main:a/b", "p1@main:a", id="named-branch-beats-longer-path"),
        pytest.param("p1@main", "p1@main", id="branch"),
        pytest.param("p1@main:z", "p1@main", id="branch-for-other-path"),
        pytest.param("p1@main:a/b/c/d", "p1@main:a/b/c", id="longest-path"),
        pytest.param("p1@main:ab", "p1@main", id="whole-segments"),
        pytest.param("p2@main:a", "p2", id="whole-project"),
        pytest.param("p3", "*", id="star"),
        pytest.param("p3@dev", "*", id="star-branch"),
        pytest.param("p3@dev:a/z", "*@*:a", id="star-path"),
        pytest.param("p3@main", "*@main", id="star-named-branch"),
        pytest.param("p3@main:a", "*@main:a", id="star-named-branch-path"),
    ],
)
def test_the_narrowest_scope(target: str, narrowest: str) -> None:
    """(project named, branch named, segments), compared left to right (spec 1.5, 6)."""
    wanted = parse_target("acme", target)
    node = table_of(*SCOPES).narrowest(wanted.project, wanted.branch, wanted.path)
    assert node is not None
    assert (narrowest,) == node.keys()


@pytest.mark.parametrize(
    ("scopes", "target"),
    [
        pytest.param([], "p1", id="empty"),
        pytest.param(["p2"], "p1", id="other-project"),
        pytest.param(["p1@main"], "p1@dev", id="other-branch"),
        pytest.param(["p1@main"], "p1", id="branch-does-not-cover-project"),
        pytest.param(["p1@main:a"], "p1@main", id="path-does-not-cover-branch"),
        pytest.param(["p1@*:a/b"], "p1@main:a", id="deeper-path"),
        pytest.param(["*@main"], "p1@dev", id="star-other-branch"),
    ],
)
def test_nothing_covers(scopes: list[str], target: str) -> None:
    """None is "no grant", which is not the same as a grant that gives nothing."""
    wanted = parse_target("acme", target)
    assert None is table_of(*scopes).narrowest(wanted.project, wanted.branch, wanted.path)


@pytest.mark.parametrize("target", ["p1", "p1@main", "p1@dev:a/b", "p1@main:a/b/c", "p2@main:a", "p3@main:a", "p3"])
def test_covering_is_what_scopes_cover(target: str) -> None:
    """The table finds the scopes that :meth:`Scope.covers` would, the narrowest first."""
    wanted = parse_target("acme", target)
    covering = [parse_scope(text) for text in SCOPES if parse_scope(text).covers(wanted)]
    expected = [str(scope) for scope in sorted(covering, key=lambda scope: scope.specificity, reverse=True)]
    assert expected == keys(table_of(*SCOPES).covering(wanted))


@pytest.mark.parametrize(
    ("target", "meeting"),
    [
        pytest.param("p1", {"*", "*@main", "*@*:a", "*@main:a", *SCOPES[4:9]}, id="project"),
        pytest.param("p1@dev", {"*", "*@*:a", "p1", "p1@*:a/b"}, id="branch"),
        pytest.param("p1@main:a/b", {*SCOPES} - {"p2"}, id="path"),
        pytest.param("p1@main:z", {"*", "*@main", "p1", "p1@main"}, id="other-path"),
        pytest.param("p2@main", {"*", "*@main", "*@*:a", "*@main:a", "p2"}, id="whole-project"),
    ],
)
def test_meeting_a_subtree(target: str, meeting: set[str]) -> None:
    """Every scope that covers the target or something below it, each once (spec 1.6)."""
    found = keys(table_of(*SCOPES).meeting(parse_target("acme", target)))
    assert sorted(meeting) == sorted(found)


@pytest.mark.parametrize(
    ("scopes", "target", "below"),
    [
        pytest.param(["p1"], "p1", [], id="nothing-narrower"),
        pytest.param(["p1", "*@main"], "p1", ["p1"], id="a-star-scope-is-outranked"),
        pytest.param(["*", "*@main"], "p1", ["*@main"], id="a-branch-of-every-project"),
        pytest.param(["p1", "p1@main"], "p1", ["p1@main"], id="a-branch"),
        pytest.param(["p1", "p1@main"], "p1@dev", [], id="another-branch"),
        pytest.param(["p1", "p1@*:a"], "p1@dev", ["p1@*:a"], id="a-path-on-every-branch"),
        pytest.param(["p1@main", "p1@*:a"], "p1@main", ["p1@main"], id="outranked-by-the-named-branch"),
        pytest.param(["p1", "p1@main", "p1@*:a"], "p1", ["p1@*:a", "p1@main"], id="a-path-and-a-branch"),
        pytest.param(["p1", "p1@main:a/b"], "p1@main:a", ["p1@main:a/b"], id="a-deeper-path"),
        pytest.param(["p1", "p1@main:a"], "p1@main:a", [], id="the-target-itself"),
        pytest.param(["*@*:a", "p1"], "p1", ["p1"], id="a-star-path-is-outranked"),
    ],
)
def test_what_decides_below(scopes: list[str], target: str, below: list[str]) -> None:
    """The scopes that are the narrowest somewhere below the target (spec 1.6)."""
    assert below == keys(table_of(*scopes).below(parse_target("acme", target)).nodes)


@pytest.mark.parametrize("target", ["p1", "p1@main", "p1@dev", "p1@main:a"])
def test_branches_alone(target: str) -> None:
    """A project of which only branches are named, in an organization where nothing is on every project."""
    table, wanted = table_of("p1@main", "p2@dev"), parse_target("acme", target)
    covered = ["p1@main"] if wanted.branch == "main" else []
    assert covered == keys(table.covering(wanted))
    assert (["p1@main"] if wanted.branch in {None, "main"} else []) == keys(table.meeting(wanted))
    assert (["p1@main"] if wanted.branch is None else []) == keys(table.below(wanted).nodes)


def test_what_all_below_have_in_common() -> None:
    """One bit operation answers when nothing below withholds anything; nothing below withholds nothing."""
    table = ScopeTable(
        [
            (parse_scope("p1"), Entry("b1", ALL_AUTHORITIES)),
            (parse_scope("p1@main"), Entry("b2", Mask(READ | WRITE))),
            (parse_scope("p1@dev"), Entry("b3", READ)),
        ]
    )
    assert table.below(parse_target("acme", "p1")).common == READ
    assert table.below(parse_target("acme", "p1@main")).common == ALL_AUTHORITIES


def test_subtrees_are_remembered_within_bounds() -> None:
    """Whoever asks for ever new subtrees does not fill the memory, and answers stay right."""
    table, sections = table_of("p1", "p1@main"), SectionTable([(("a",), Entry("e", READ))])
    for place in range(2 * MAX_REMEMBERED_SUBTREES + 1):
        table.below(parse_target("acme", f"p{place}"))
        sections.below((str(place),))
    assert len(table._below) <= MAX_REMEMBERED_SUBTREES
    assert len(sections._below) <= MAX_REMEMBERED_SUBTREES
    remembered = table.below(parse_target("acme", "p1"))
    assert remembered is table.below(parse_target("acme", "p1"))
    assert keys(remembered.nodes) == ["p1@main"]


def test_a_table_knows_what_it_can_hold() -> None:
    """Conditional entries count: they may give it."""
    table = ScopeTable([(parse_scope("p1"), Entry("b1", READ)), (parse_scope("p2"), Entry("b2", WRITE, MFA))])
    assert table.mask == READ | WRITE


@pytest.mark.parametrize(
    ("section", "narrowest", "covering", "meeting"),
    [
        pytest.param("/", "/", ["/"], ["/", "/skills", "/skills/fiber"], id="root"),
        pytest.param("/skills", "/skills", ["/skills", "/"], ["/skills", "/", "/skills/fiber"], id="named"),
        pytest.param(
            "/skills/fiber/x",
            "/skills/fiber",
            ["/skills/fiber", "/skills", "/"],
            ["/skills/fiber", "/skills", "/"],
            id="deep",
        ),
        pytest.param("/skil", "/", ["/"], ["/"], id="whole-segments"),
    ],
)
def test_sections(section: str, narrowest: str, covering: list[str], meeting: list[str]) -> None:
    """The longest section first; below is what extends the section."""
    table = SectionTable((parse_section(text), Entry(text, READ)) for text in ("/", "/skills", "/skills/fiber"))
    path = parse_section(section)
    node = table.narrowest(path)
    assert node is not None
    assert (narrowest,) == node.keys()
    assert covering == keys(table.covering(path))
    assert meeting == keys(table.meeting(path))


def test_sections_below() -> None:
    """In the order of their sections, with what they have in common."""
    table = SectionTable(
        [(("b",), Entry("b", READ)), (("a", "c"), Entry("ac", Mask(READ | WRITE))), ((), Entry("r", WRITE))]
    )
    below = table.below(())
    assert below is table.below(())
    assert keys(below.nodes) == ["ac", "b"]
    assert below.common == READ
    assert None is SectionTable([]).narrowest(("a",))
    assert SectionTable([]).covering(("a",)) == []


def test_a_node_gives_what_its_entries_give() -> None:
    """Entries with a requirement are kept apart; order and duplicates do not count (P6)."""
    entries = [Entry("b2", READ), Entry("b1", Mask(READ | WRITE)), Entry("b3", WRITE, MFA), Entry("b2", READ)]
    node = Node(entries)
    assert (node.mask, node.conditional) == (READ | WRITE, WRITE)
    assert node.keys() == ("b1", "b2", "b3")
    assert node.keys_giving(READ) == ("b1", "b2")
    assert node.keys_giving(WRITE) == ("b1",)
    assert node.keys() == Node(reversed(entries)).keys()


@pytest.mark.parametrize(
    ("entry", "giving"),
    [
        pytest.param(Entry("b1", READ), ("b1",), id="gives"),
        pytest.param(Entry("b1", WRITE), (), id="does-not"),
        pytest.param(Entry("b1", READ, MFA), (), id="on-a-condition"),
    ],
)
def test_a_node_of_one_entry(entry: Entry, giving: tuple[str, ...]) -> None:
    """The common case takes a short cut to the same answer."""
    assert giving == Node([entry]).keys_giving(READ)


def test_a_nodes_decisions_are_shared() -> None:
    """Built once: most of the cost of an answer is making it."""
    node, other = Node([Entry("b1", Mask(READ | WRITE))]), Node([Entry("b2", READ)])
    assert Decision(Outcome.ALLOW, Reason.GRANTED, ("b1",), Remedy.NONE) == node.grant(READ)
    assert node.grant(READ) is node.grant(READ)
    assert node.grant(WRITE).because == ("b1",)
    assert other.grant(READ).because == ("b2",)
    assert deny(Reason.NOT_GRANTED, ("b1",)) == node.refuse(Reason.NOT_GRANTED)
    assert node.refuse(Reason.NOT_GRANTED) is node.refuse(Reason.NOT_GRANTED)
    assert Reason.ABOVE_CEILING is node.refuse(Reason.ABOVE_CEILING).reason


TARGETS = ["p1", "p1@dev", "p1@main", "p1@dev:a/b/x", "p1@main:a/b/c/d", "p2@main:a", "p3", "p3@main:a", "p3@dev:a"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("split", range(1, 5))
def test_layers_answer_like_one_table(target: str, split: int) -> None:
    """However the entries are spread over layers, entries of one scope come together."""
    entries = [(parse_scope(text), Entry(f"{text} {place}", READ)) for text in SCOPES for place in range(3)]
    whole = ScopeTable(entries)
    layered = LayeredTable(ScopeTable(entries[start::split]) for start in range(split))
    wanted = parse_target("acme", target)
    place = (wanted.project, wanted.branch, wanted.path)
    one, other = whole.narrowest(*place), layered.narrowest(*place)
    assert one is not None
    assert other is not None
    assert (one.keys(), one.mask, one.rank) == (other.keys(), other.mask, other.rank)
    assert other is layered.narrowest(*place)
    assert keys(whole.below(wanted).nodes) == keys(layered.below(wanted).nodes)
    assert whole.below(wanted).common == layered.below(wanted).common


def test_layers_without_a_grant() -> None:
    """Nothing in any of them covers the target."""
    layered = LayeredTable([table_of("p2"), table_of("p1@main")])
    assert None is layered.narrowest("p1", "dev", ())


def test_merges_are_remembered_within_bounds() -> None:
    """Whoever asks for ever new projects does not fill the memory."""
    names = [f"p{place}" for place in range(2 * MAX_REMEMBERED_MERGES + 1)]
    layered = LayeredTable([table_of(*names), table_of(*names)])
    for name in names:
        assert layered.narrowest(name, None, ()) is not None
    assert len(layered._merged) <= MAX_REMEMBERED_MERGES


def test_ranks_order_like_specificity() -> None:
    """(project named, branch named, segments) as one number, up to the most segments."""
    scopes = [parse_scope(text) for text in (*SCOPES, "*@*:" + "/".join("x" * 64), "p1@*:" + "/".join("x" * 64))]
    by_rank = sorted(scopes, key=lambda scope: rank_of(scope.project, scope.branch, scope.path))
    by_specificity = sorted(scopes, key=lambda scope: scope.specificity)
    assert [scope.specificity for scope in by_specificity] == [scope.specificity for scope in by_rank]
