"""Which form a client would rather read."""

import pytest

from sidegate.control.negotiation import JSON, TEXT, choose

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "offered", "expected"),
    [
        pytest.param("", (TEXT, JSON), TEXT, id="none"),
        pytest.param("*/*", (TEXT, JSON), TEXT, id="anything"),
        pytest.param("application/json", (TEXT, JSON), JSON, id="named"),
        pytest.param("APPLICATION/JSON", (TEXT, JSON), JSON, id="any-case"),
        pytest.param("application/*", (TEXT, JSON), JSON, id="kind"),
        pytest.param("text/html", (TEXT, JSON), TEXT, id="not-on-offer"),
        pytest.param("text/plain, application/json", (TEXT, JSON), TEXT, id="equal-weights-keep-the-default"),
        pytest.param("text/plain;q=0.5, application/json", (TEXT, JSON), JSON, id="weights"),
        pytest.param("application/json;q=0, */*", (TEXT, JSON), TEXT, id="not-wanted"),
        pytest.param("*/*, application/json;q=0.1", (JSON, TEXT), TEXT, id="the-specific-range-counts"),
        pytest.param("application/json;q=2", (TEXT, JSON), TEXT, id="weight-too-great"),
        pytest.param("application/json;q=nan", (TEXT, JSON), TEXT, id="weight-not-a-number"),
        pytest.param("application/json;q=x", (TEXT, JSON), TEXT, id="weight-no-number"),
        pytest.param("application/json;q=", (TEXT, JSON), TEXT, id="weight-empty"),
        pytest.param("application/json; Q=1", (TEXT, JSON), JSON, id="weight-any-case"),
        pytest.param(",, ;q=1,", (TEXT, JSON), TEXT, id="nothing-but-separators"),
        pytest.param("x/y," * 32 + "application/json", (TEXT, JSON), TEXT, id="too-many"),
        pytest.param(PROMETHEUS, (TEXT, OPENMETRICS), OPENMETRICS, id="prometheus"),
    ],
)
def test_the_form_with_the_greatest_weight_is_chosen(accept: str, offered: tuple[str, ...], expected: str) -> None:
    """RFC 9110 section 12.5.1; the first on offer for whoever has no preference, or none that can be met."""
    assert expected == choose(accept, offered)
