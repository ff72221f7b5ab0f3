"""Two routes between which nothing decides are found when they are loaded (spec 6.2)."""

import pytest
from tests.unit.core.routing.plans import route

from sidegate.core.routing.ambiguity import find_conflicts, routes_by_method


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("GET /a", "GET /a", True, id="same"),
        pytest.param("GET /a/{x}", "GET /a/{y}", True, id="same-but-for-names"),
        pytest.param("GET /a", "PUT /a", False, id="other-method"),
        pytest.param("GET /a", "GET /a/", False, id="trailing-slash"),
        pytest.param("GET /a/{x}", "GET /{y}/b", False, id="leftmost-decides"),
        pytest.param("GET /{x}/b", "GET /{y}/c", False, id="fixed-differ-later"),
        pytest.param("GET /{x}:glob", "GET /v-{x}", True, id="prefix-and-suffix"),
        pytest.param("GET /{x}:glob", "GET /{x}:grep", False, id="different-suffixes"),
        pytest.param("GET /{x}.git", "GET /{x}.foo.git", True, id="one-suffix-ends-the-other"),
        pytest.param("GET /a{x}", "GET /ab{x}", True, id="one-prefix-begins-the-other"),
        pytest.param("GET /{x}:glob", "GET /{x}", False, id="affixed-outranks"),
        pytest.param("GET /{x*}", "GET /a/{x*}", False, id="deeper-tail"),
        pytest.param("GET /a/{x*}", "GET /a/{y*}", True, id="same-tails"),
        pytest.param("HEAD /{x}:glob", "GET /v-{x}", True, id="head-against-inherited"),
        pytest.param("HEAD /a", "GET /a", False, id="head-in-place-of-get"),
    ],
)
def test_pairs(first: str, second: str, *, expected: bool) -> None:
    """A pair is a conflict exactly when one request can match both with equal rank, in either order."""
    assert expected == bool(find_conflicts([route(first), route(second)]))
    assert expected == bool(find_conflicts([route(second), route(first)]))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param({"a": "1"}, {"a": "1"}, True, id="same"),
        pytest.param({"a": "1"}, {"a": "2"}, False, id="other-value"),
        pytest.param({"a": "1"}, {}, False, id="required-outranks"),
        pytest.param({"a": "1"}, {"a": "1", "b": "1"}, False, id="more-outranks"),
        pytest.param({"a": "1"}, {"b": "1"}, True, id="neither-holds-the-other"),
        pytest.param({"a": "1"}, {"b": "1", "c": "1"}, True, id="more-but-not-the-same"),
        pytest.param({"a": "1", "b": "1"}, {"a": "2", "c": "1"}, False, id="one-value-differs"),
    ],
)
def test_queries(first: dict[str, str], second: dict[str, str], *, expected: bool) -> None:
    """Only a route that requires all that the other does, and more, outranks it by its query."""
    routes = [route("GET /a", query=first), route("GET /a", query=second)]
    assert expected == bool(find_conflicts(routes))


def test_conflict_names_the_later_route() -> None:
    """The later one in the file is named, with the earlier one in what is wrong; each pair once, also under HEAD."""
    conflicts = find_conflicts([route("GET /v-{x}"), route("GET /{x}:g"), route("HEAD /other")])
    assert [(found.first.id, found.second.id) for found in conflicts] == [("GET /v-{x}", "GET /{x}:g")]
    assert "`GET /v-{x}` with equal rank" in conflicts[0].what


def test_head_routes_stand_before_inherited_ones() -> None:
    """HEAD follows GET, but for a HEAD route of the same pattern and query."""
    routes = [route("GET /a/{x}"), route("HEAD /a/{y}"), route("GET /b")]
    assert [found.id for found in routes_by_method(routes)["HEAD"]] == ["HEAD /a/{y}", "GET /b"]
