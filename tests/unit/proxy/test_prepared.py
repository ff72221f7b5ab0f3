"""What repeats while one credential asks for one thing."""

import itertools
import json

import pytest

from sidegate.config.routes_file import read_routes
from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.routing.resolve import Ask
from sidegate.core.trail.record import ShadowVerdict
from sidegate.core.wire.head import read_request_line
from sidegate.proxy.prepared import Prepared, Standing

ALLOW = Decision(Outcome.ALLOW, Reason.GRANTED, (), Remedy.NONE)
DENY = Decision(Outcome.DENY, Reason.NOT_GRANTED, (), Remedy.NONE)
CASES = [
    pytest.param(ALLOW, None, 1, id="allowed"),
    pytest.param(ALLOW, None, 2, id="allowed-by-another-revision"),
    pytest.param(ALLOW, ShadowVerdict(Outcome.DENY, Reason.NOT_GRANTED), 1, id="the-candidate-denies"),
    pytest.param(ALLOW, ShadowVerdict(Outcome.DENY, Reason.DENIED_BY_RULE), 1, id="for-another-reason"),
    pytest.param(DENY, None, 1, id="denied"),
    pytest.param(DENY, ShadowVerdict(Outcome.ALLOW, Reason.GRANTED), 1, id="the-candidate-allows"),
]


def prepared() -> Prepared:
    """Prepare one question."""
    (route,) = read_routes(b"- get: /v1/{org}/{project}\n  primitive: Read\n", "routes.yaml").table.routes
    credential = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme")
    ask = Ask(Authority.READ, parse_target("acme", "p1"), Primitive.READ)
    return Prepared(Standing(credential), (ask,), route, read_request_line(b"GET /v1/acme/p1 HTTP/1.1", 1000))


@pytest.mark.parametrize(("decision", "shadow", "revision"), CASES)
def test_fragment_says_what_was_decided(decision: Decision, shadow: ShadowVerdict | None, revision: int) -> None:
    """Outcome, reason, the candidate's verdict if it differs, and the revision."""
    found = json.loads(b"{%b}" % prepared().fragment(decision, shadow, revision))
    expected = None if shadow is None else {"outcome": shadow.outcome, "reason": shadow.reason}
    told = (found["outcome"], found["reason"], found["shadow"], found["revision"])
    assert (decision.outcome, decision.reason, expected, revision) == told


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations([case.values for case in CASES], 2)))
def test_fragment_is_never_of_what_was_decided_before(first: tuple[object, ...], second: tuple[object, ...]) -> None:
    """Remembered is only what is equal in all of these: the candidate's verdict may change while nothing else does."""
    question = prepared()
    question.fragment(*first)  # type: ignore[arg-type]
    again = question.fragment(*second)  # type: ignore[arg-type]
    assert prepared().fragment(*second) == again  # type: ignore[arg-type]


@pytest.mark.parametrize(("decision", "shadow", "revision"), CASES)
def test_equal_fragments_are_written_once(decision: Decision, shadow: ShadowVerdict | None, revision: int) -> None:
    """Also while a candidate decides otherwise: it may concern everybody for weeks."""
    question = prepared()
    assert question.fragment(decision, shadow, revision) is question.fragment(decision, shadow, revision)
