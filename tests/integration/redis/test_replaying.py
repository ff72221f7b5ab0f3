"""What holds sidecars against the rules sees every way in which they could be wrong."""

from typing import Any

import pytest
from tests.integration.redis.fleet import DENY, SECRETS, policy_text
from tests.integration.redis.replaying import Asked, Held, History, Replay, Window

from sidegate.config.policy_file import read_policy
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.units import UnixMillis, format_instant

ANA = Held("sess_ana", CredentialKind.SESSION, "user:ana", "Cookie: a")
VERA = Held("sess_vera", CredentialKind.SESSION, "user:vera", "Cookie: v")
ROUTE = "PUT /v1/files/{path*}"


def record(seq: int, held: Held = ANA, **members: Any) -> dict[str, Any]:
    """Return what is recorded of an allowed write at revision 5; *members* are other ones."""
    usual = {
        "seq": seq,
        "request_id": f"r{seq}",
        "time": format_instant(UnixMillis(1000 + seq)),
        "org": "acme",
        "actor": {"account": held.account},
        "credential": {"id": held.id},
        "authority": "write",
        "target": "p1@x:a",
        "outcome": "allow",
        "reason": "granted",
        "because": ["fiber-p1"],
        "remedy": "none",
        "revision": 5,
        "route": ROUTE,
        "source": "127.0.0.1",
    }
    return {**usual, **members}


DENIED: dict[str, Any] = {"outcome": "deny", "reason": "denied_by_rule", "because": ["d1"], "revision": 6}
REVOKED: dict[str, Any] = {"outcome": "deny", "reason": "session_revoked", "revision": None}
HONEST = [record(1), record(2, **DENIED), record(3, VERA, **REVOKED), record(4, **DENIED)]


def judge(records: list[dict[str, Any]], more: tuple[dict[str, Any], ...] = (), **answers: Any) -> Replay:
    """Judge *records* after a deny was published at 1002 and vera's session revoked at 1003; *more* was asked too."""
    history = History()
    for revision, denies, begun in ((5, (SECRETS,), 900), (6, (SECRETS, DENY), 1002)):
        text = policy_text(denies=denies)
        history.documents[revision] = read_policy(text.encode(), "acme.yaml").document
        history.published[revision] = Window(begun, begun)
    history.revoked[VERA.id] = Window(1003, 1003)
    asked = {}
    for one in (*HONEST, *more):
        held = VERA if one["credential"]["id"] == VERA.id else ANA
        reason = answers.get(one["request_id"], None if one["outcome"] == "allow" else one["reason"])
        asked[one["request_id"]] = Asked(one["request_id"], held, 200, reason)
    replay = Replay(history, asked, {ROUTE: False})
    replay.judge("s0", records)
    replay.judge_answers(records)
    return replay


def test_honest() -> None:
    """What was right is found right, and how late it was."""
    found = judge(HONEST).findings
    assert found.wrong == []
    assert found.late_ms == {"policy": [0, 0], "revocation": [0]}


@pytest.mark.parametrize(
    ("place", "other", "says"),
    [
        pytest.param(1, {**DENIED, "because": ["secrets"]}, "should be", id="other-cause"),
        pytest.param(1, {"outcome": "allow", "reason": "granted", "revision": 6}, "should be", id="allowed-denied"),
        pytest.param(0, {**DENIED, "revision": 5}, "should be", id="denied-allowed"),
        pytest.param(0, {"revision": 4}, "never published", id="unknown-revision"),
        pytest.param(0, DENIED, "before it was published", id="too-early"),
        pytest.param(3, {"outcome": "allow", "reason": "granted"}, "after 6", id="older-revision"),
        pytest.param(1, REVOKED, "nobody asked for", id="revoked-by-nobody"),
        pytest.param(2, {**REVOKED, "time": format_instant(UnixMillis(1))}, "nobody asked for", id="revoked-early"),
        pytest.param(1, {**REVOKED, "reason": "policy_unavailable"}, "nothing were known", id="known-unavailable"),
        pytest.param(1, {**DENIED, "credential": {"id": "other"}}, "somebody else", id="somebody-else"),
        pytest.param(1, {**DENIED, "seq": 1}, "comes after", id="out-of-order"),
        pytest.param(1, {**DENIED, "request_id": "other"}, "has 0 records", id="no-record"),
        pytest.param(1, {**DENIED, "request_id": "r1"}, "has 2 records", id="two-records"),
    ],
)
def test_wrong(place: int, other: dict[str, Any], says: str) -> None:
    """One record that is not as it has to be is found."""
    records = [*HONEST]
    held = VERA if place == 2 else ANA
    records[place] = {**record(place + 1, held), **other}
    assert any(says in wrong for wrong in judge(records).findings.wrong)


def test_accepted_after_it_was_refused() -> None:
    """A session that one sidecar has refused as revoked is never accepted there again."""
    accepted = record(5, VERA, because=["vera-p1"], revision=5, reason="mfa_required", outcome="deny", remedy="step_up")
    wrong = judge([*HONEST, accepted], (accepted,)).findings.wrong
    assert any("refused as revoked before" in one for one in wrong)


def test_answered_otherwise() -> None:
    """A client that got through what is recorded as refused is found."""
    assert any("answered as None" in one for one in judge(HONEST, r2=None).findings.wrong)


def test_late() -> None:
    """How long the old policy, and a revoked session, were still good for is measured from the acknowledgement."""
    late = record(3, VERA, time=format_instant(UnixMillis(1010)), because=["vera-p1"])
    assert judge([HONEST[0], late]).findings.late_ms == {"policy": [0, 8], "revocation": [7]}
