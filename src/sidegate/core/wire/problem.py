"""Answers of Sidegate's own: application/problem+json (RFC 9457, spec 6.5)."""

from http import HTTPStatus
from typing import Final

import orjson

from sidegate.core.model.decision import Decision, Reason, Remedy

TYPE_BASE: Final = "https://sidegate.dev/problems/"

STATUS_OF: Final[dict[Reason, int]] = {
    Reason.MALFORMED_REQUEST: 400,
    Reason.AMBIGUOUS_PATH: 400,
    Reason.AMBIGUOUS_FRAMING: 400,
    Reason.NO_CREDENTIAL: 401,
    Reason.AMBIGUOUS_CREDENTIAL: 401,
    Reason.INVALID_CREDENTIAL: 401,
    Reason.SESSION_EXPIRED: 401,
    Reason.SESSION_IDLE: 401,
    Reason.SESSION_REVOKED: 401,
    Reason.KEY_EXPIRED: 401,
    Reason.KEY_REVOKED: 401,
    Reason.KEY_CONSUMED: 401,
    Reason.MFA_REQUIRED: 401,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.TARGET_TOO_LONG: 414,
    Reason.EXPECTATION_FAILED: 417,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.UPSTREAM_UNREACHABLE: 502,
    Reason.UPSTREAM_INVALID: 502,
    Reason.UPSTREAM_TIMEOUT: 504,
    Reason.VERSION_NOT_SUPPORTED: 505,
    Reason.POLICY_UNAVAILABLE: 503,
    Reason.AUDIT_UNAVAILABLE: 503,
    Reason.OVERLOADED: 503,
    Reason.REVISION_UNAVAILABLE: 503,
}
"""Every reason that is not a plain refusal by policy; those are 403."""

RETRY_AFTER_S: Final = 1

_DETAIL: Final[dict[Reason, str]] = {
    Reason.CROSS_ORG: "The target belongs to another organization than the credential.",
    Reason.ACCOUNT_INACTIVE: "The account is suspended or deprovisioned; ask an administrator of the organization.",
    Reason.NOT_A_MEMBER: "The account is not a member of the organization.",
    Reason.DENIED_BY_RULE: "A deny entry of the organization's policy applies.",
    Reason.NOT_GRANTED: "The narrowest grant that covers the target does not give this authority.",
    Reason.ABOVE_CEILING: "The organization role of the account does not allow this authority in any project.",
    Reason.NO_GRANT: "No grant of the account covers the target.",
    Reason.SURFACE: "The grant holds on another surface only.",
    Reason.SOURCE_ADDRESS: "The grant holds from other networks only.",
    Reason.MFA_REQUIRED: "The grant needs a recent second factor; authenticate again with one.",
    Reason.DELEGATION_TOO_LONG: "The delegation chain has more than 8 links.",
    Reason.DELEGATION_EXPIRED: "A link of the delegation chain has expired; obtain a new token.",
    Reason.OUTSIDE_CREDENTIAL_SCOPE: "The credential or a link of its chain is limited to other authorities or scopes.",
    Reason.APPROVAL_REQUIRED: "The operation needs an approval before it can run.",
    Reason.SUBTREE_NARROWED: "Something below the target is not open to the account; name a narrower target.",
    Reason.UNMAPPED_ROUTE: "No route of the configuration matches the request; nothing is forwarded by default.",
    Reason.NO_CREDENTIAL: "Send a session cookie, an API key or a bearer token.",
    Reason.AMBIGUOUS_CREDENTIAL: "Send exactly one credential.",
    Reason.INVALID_CREDENTIAL: "The credential could not be verified; obtain a new one.",
    Reason.SESSION_EXPIRED: "The session is over; sign in again.",
    Reason.SESSION_IDLE: "The session was idle for too long; sign in again.",
    Reason.SESSION_REVOKED: "The session was ended; sign in again.",
    Reason.KEY_EXPIRED: "The API key has expired; mint a new one.",
    Reason.KEY_REVOKED: "The API key was revoked; mint a new one.",
    Reason.KEY_CONSUMED: "The single-use API key was used already; mint a new one.",
    Reason.POLICY_UNAVAILABLE: "The policy needed to decide, or the store needed to enforce it, is not at hand; retry.",
    Reason.AUDIT_UNAVAILABLE: "The decision cannot be recorded, so nothing is done; retry.",
    Reason.OVERLOADED: "Too many requests are in flight; retry.",
    Reason.REVISION_UNAVAILABLE: "The policy revision asked for has not arrived yet; retry.",
    Reason.UPSTREAM_UNREACHABLE: "The upstream does not answer.",
    Reason.UPSTREAM_INVALID: "The upstream's answer could not be read in one way.",
    Reason.UPSTREAM_TIMEOUT: "The upstream did not answer in time.",
    Reason.REQUEST_TIMEOUT: "The request did not arrive in time.",
}

# RFC 6750 section 3 and RFC 9470 section 3: what a client can act on.
_CHALLENGE: Final[dict[Reason, str]] = {
    Reason.NO_CREDENTIAL: 'Bearer realm="sidegate"',
    Reason.MFA_REQUIRED: 'Bearer realm="sidegate", error="insufficient_user_authentication", '
    'error_description="a recent second factor is required", acr_values="mfa"',
}


def status_of(reason: Reason) -> int:
    """Return the HTTP status for *reason* (spec 6.5)."""
    return STATUS_OF.get(reason, 403)


def detail_of(reason: Reason) -> str:
    """Return the sentence for a client that was refused for *reason*."""
    return _DETAIL.get(reason, "The request is refused.")


def challenge_of(reason: Reason) -> str:
    """Return the value of ``WWW-Authenticate`` for a 401."""
    return _CHALLENGE.get(
        reason, f'Bearer realm="sidegate", error="invalid_token", error_description="{reason.replace("_", " ")}"'
    )


def problem_response(
    decision: Decision,
    decision_id: str,
    *,
    status: int,
    detail: str | None = None,
    about: tuple[str, str] | None = None,
    allow: tuple[str, ...] = (),
    close: bool,
    head_only: bool = False,
) -> bytes:
    """Build a whole response.

    Args:
        decision: The refusal.
        decision_id: Id of its audit record.
        status: From :func:`status_of`, or 404 where the refusal is hidden.
        detail: A sentence that knows more than the reason's own.
        about: (authority, target) unless they are unknown or withheld.
        allow: Value of ``Allow`` for a 405.
        close: Add ``Connection: close``.
        head_only: The request was a HEAD: say the length, send no body.
    """
    hidden = status == HTTPStatus.NOT_FOUND
    reason = "not_found" if hidden else decision.reason.value
    body: dict[str, object] = {
        "type": TYPE_BASE + reason,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": "There is nothing here." if hidden else detail or detail_of(decision.reason),
        "decision_id": decision_id,
        "reason": reason,
        "remedy": (Remedy.NONE if hidden else decision.remedy).value,
    }
    if about is not None and not hidden:
        body["authority"], body["target"] = about
    content = orjson.dumps(body)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n",
        f"Content-Type: application/problem+json\r\nContent-Length: {len(content)}\r\nCache-Control: no-store\r\n",
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        head.append(f"WWW-Authenticate: {challenge_of(decision.reason)}\r\n")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head.append(f"Retry-After: {RETRY_AFTER_S}\r\n")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        head.append(f"Allow: {', '.join(allow)}\r\n")
    if close:
        head.append("Connection: close\r\n")
    head.append("\r\n")
    return "".join(head).encode("ascii") + (b"" if head_only else content)
