"""P8: a compiled snapshot and a naive interpretation agree on every request (spec 1.9). See also ``tests/oracle``."""

from hypothesis import given
from tests.oracle.agreement import agree
from tests.oracle.decide import Oracle
from tests.properties.strategies import NOW, decided, documents, generated, queries

from sidegate.core.model.principal import Query
from sidegate.core.policy.document import PolicyDocument


@generated
@given(documents(), queries)
def test_engine_equals_oracle(document: PolicyDocument, query: Query) -> None:
    """Drawn by hypothesis rather than by the generator: other shapes, and a counterexample shrinks."""
    expected, actual = Oracle(document).decide(query, NOW), decided(document, query)
    assert agree(expected, actual), f"oracle {expected}, engine {actual}"
