"""Answers of Sidegate's own (spec 6.5)."""

import json
from http import HTTPStatus

import pytest

from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.wire.problem import challenge_of, problem_response, status_of

ID = "01890000-0000-7000-8000-000000000000"
ALLOWS = {Reason.GRANTED, Reason.PUBLIC_ROUTE}
DENIES = [pytest.param(reason, id=reason.value) for reason in Reason if reason not in ALLOWS]


def _split(wire: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = wire.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


@pytest.mark.parametrize("reason", DENIES)
def test_every_refusal_is_a_problem(reason: Reason) -> None:
    """Every reason has a status of spec 6.5, the fields of RFC 9457 and the ids that let a person ask why."""
    status = status_of(reason)
    line, headers, body = _split(problem_response(deny(reason), ID, status=status, close=False))
    problem = json.loads(body)
    assert line == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Content-Length"]) == len(body)
    assert (problem["status"], problem["reason"], problem["decision_id"]) == (status, reason.value, ID)
    assert problem["remedy"] == deny(reason).remedy.value
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["type"].endswith(f"/{reason.value}")
    assert problem["detail"].endswith(".")
    assert ("WWW-Authenticate" in headers) is (status == 401)
    assert ("Retry-After" in headers) is (status == 503)
    assert ("Allow" in headers) is (status == 405)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        pytest.param(Reason.MALFORMED_REQUEST, 400, id="400"),
        pytest.param(Reason.NO_CREDENTIAL, 401, id="401"),
        pytest.param(Reason.MFA_REQUIRED, 401, id="step-up"),
        pytest.param(Reason.CROSS_ORG, 403, id="policy"),
        pytest.param(Reason.UNMAPPED_ROUTE, 403, id="unmapped"),
        pytest.param(Reason.APPROVAL_REQUIRED, 403, id="approval"),
        pytest.param(Reason.REQUEST_TIMEOUT, 408, id="408"),
        pytest.param(Reason.BODY_TOO_LARGE, 413, id="413"),
        pytest.param(Reason.TARGET_TOO_LONG, 414, id="414"),
        pytest.param(Reason.EXPECTATION_FAILED, 417, id="417"),
        pytest.param(Reason.HEAD_TOO_LARGE, 431, id="431"),
        pytest.param(Reason.UPSTREAM_INVALID, 502, id="502"),
        pytest.param(Reason.UPSTREAM_TIMEOUT, 504, id="504"),
        pytest.param(Reason.AUDIT_UNAVAILABLE, 503, id="503"),
        pytest.param(Reason.VERSION_NOT_SUPPORTED, 505, id="505"),
    ],
)
def test_status_of(reason: Reason, status: int) -> None:
    """The table of spec 6.5; whatever is not in it is a refusal by policy."""
    assert status == status_of(reason)


@pytest.mark.parametrize(
    ("reason", "challenge"),
    [
        # RFC 6750 section 3.1: no error code where no credential came.
        pytest.param(Reason.NO_CREDENTIAL, 'Bearer realm="sidegate"', id="nothing-sent"),
        pytest.param(
            Reason.SESSION_EXPIRED,
            'Bearer realm="sidegate", error="invalid_token", error_description="session expired"',
            id="not-usable",
        ),
    ],
)
def test_challenge(reason: Reason, challenge: str) -> None:
    """A 401 says how to authenticate (RFC 6750 section 3)."""
    assert challenge == challenge_of(reason)


def test_step_up_challenge() -> None:
    """A missing second factor is asked for as RFC 9470 section 3 says."""
    assert 'error="insufficient_user_authentication"' in challenge_of(Reason.MFA_REQUIRED)


def test_about() -> None:
    """Authority and target are named where they are known."""
    wire = problem_response(deny(Reason.NO_GRANT), ID, status=403, about=("write", "p1@main:a"), close=False)
    problem = json.loads(_split(wire)[2])
    assert (problem["authority"], problem["target"]) == ("write", "p1@main:a")


def test_detail() -> None:
    """A sentence that knows more takes the place of the reason's own."""
    wire = problem_response(deny(Reason.MALFORMED_REQUEST), ID, status=400, detail="the line is bad", close=False)
    assert json.loads(_split(wire)[2])["detail"] == "the line is bad"


def test_hidden() -> None:
    """A hidden refusal tells nothing: no reason, no target, no remedy, and the words of any other 404."""
    hidden = [
        problem_response(deny(reason, ("b1",)), ID, status=404, about=("read", "p2"), close=False)
        for reason in (Reason.CROSS_ORG, Reason.NO_GRANT)
    ]
    problem = json.loads(_split(hidden[0])[2])
    assert hidden[0] == hidden[1]
    assert (problem["reason"], problem["remedy"], "target" in problem) == ("not_found", "none", False)


@pytest.mark.parametrize(
    ("close", "expected"), [pytest.param(True, "close", id="close"), pytest.param(False, None, id="keep")]
)
def test_close(close: bool, expected: str | None) -> None:
    """`Connection: close` is said exactly when the connection will be closed."""
    assert expected == _split(problem_response(deny(Reason.NO_GRANT), ID, status=403, close=close))[1].get("Connection")


def test_head_only() -> None:
    """The answer to a HEAD says the length of the body that a GET would get, and has none."""
    whole = problem_response(deny(Reason.NO_GRANT), ID, status=403, close=False)
    head = problem_response(deny(Reason.NO_GRANT), ID, status=403, close=False, head_only=True)
    assert head == whole[: whole.index(b"\r\n\r\n") + 4]


def test_allow() -> None:
    """A 405 lists what is allowed (RFC 9110 section 15.5.6)."""
    wire = problem_response(deny(Reason.METHOD_NOT_ALLOWED), ID, status=405, allow=("GET", "PUT"), close=True)
    assert _split(wire)[1]["Allow"] == "GET, PUT"


def test_text_is_escaped() -> None:
    """Targets are data: whatever they hold stays inside the JSON string."""
    decision = Decision(Outcome.DENY, Reason.NO_GRANT, (), Remedy.NONE)
    wire = problem_response(decision, ID, status=403, about=("read", 'p1@main:a"\r\nX: é'), close=False)
    line_count = wire.partition(b"\r\n\r\n")[0].count(b"\r\n")
    assert (json.loads(_split(wire)[2])["target"], line_count) == ('p1@main:a"\r\nX: é', 3)
