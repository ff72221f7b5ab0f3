"""What the engine, or a check before it, answers (spec 1.5, 6.5)."""

from enum import StrEnum
from typing import Final, assert_never

from sidegate.core.model.value import hot_value


class Outcome(StrEnum):
    """The answer."""

    ALLOW = "allow"
    DENY = "deny"


class Remedy(StrEnum):
    """What would change a deny (spec 1.5)."""

    AUTHENTICATE = "authenticate"
    STEP_UP = "step_up"
    REQUEST_APPROVAL = "request_approval"
    REQUEST_ELEVATION = "request_elevation"
    RETRY_LATER = "retry_later"
    NONE = "none"


class Reason(StrEnum):
    """Why. Also the metric label, the audit field and the problem's ``reason``."""

    # Allowed.
    GRANTED = "granted"
    PUBLIC_ROUTE = "public_route"
    # Refused by policy (spec 1.5, 1.6).
    CROSS_ORG = "cross_org"
    ACCOUNT_INACTIVE = "account_inactive"
    NOT_A_MEMBER = "not_a_member"
    DENIED_BY_RULE = "denied_by_rule"
    NOT_GRANTED = "not_granted"
    ABOVE_CEILING = "above_ceiling"
    NO_GRANT = "no_grant"
    SURFACE = "surface"
    SOURCE_ADDRESS = "source_address"
    MFA_REQUIRED = "mfa_required"
    DELEGATION_TOO_LONG = "delegation_too_long"
    DELEGATION_EXPIRED = "delegation_expired"
    OUTSIDE_CREDENTIAL_SCOPE = "outside_credential_scope"
    APPROVAL_REQUIRED = "approval_required"
    SUBTREE_NARROWED = "subtree_narrowed"
    UNMAPPED_ROUTE = "unmapped_route"
    # Refused before a decision: the request cannot be read in one way (spec 2).
    MALFORMED_REQUEST = "malformed_request"
    AMBIGUOUS_PATH = "ambiguous_path"
    AMBIGUOUS_FRAMING = "ambiguous_framing"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    VERSION_NOT_SUPPORTED = "version_not_supported"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    TARGET_TOO_LONG = "target_too_long"
    HEAD_TOO_LARGE = "head_too_large"
    EXPECTATION_FAILED = "expectation_failed"
    # Refused before a decision: nobody proven (spec 3).
    NO_CREDENTIAL = "no_credential"
    AMBIGUOUS_CREDENTIAL = "ambiguous_credential"
    INVALID_CREDENTIAL = "invalid_credential"
    SESSION_EXPIRED = "session_expired"
    SESSION_IDLE = "session_idle"
    SESSION_REVOKED = "session_revoked"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    KEY_CONSUMED = "key_consumed"
    # The upstream (spec 2.5).
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_INVALID = "upstream_invalid"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    # Sidegate itself cannot decide or record (spec 5.4, 5.6, 2.8).
    POLICY_UNAVAILABLE = "policy_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    OVERLOADED = "overloaded"
    REVISION_UNAVAILABLE = "revision_unavailable"


@hot_value
class Decision:
    """One answer.

    Attributes:
        outcome: allow or deny.
        reason: The first check that failed, or ``granted``.
        because: Ids of the policy entries that decided, so that an explanation can cite them. A binding, deny or
            approval rule by its id; a role that gave or withheld something by ``role:NAME``; a credential's own
            restriction by ``credential``, a chain link by ``agent:ID``.
        remedy: What would change a deny.
    """

    outcome: Outcome
    reason: Reason
    because: tuple[str, ...]
    remedy: Remedy


def remedy_of(reason: Reason) -> Remedy:  # one arm per remedy, every reason listed
    """Return what would change a deny for *reason*."""
    match reason:
        case (
            Reason.NO_CREDENTIAL
            | Reason.AMBIGUOUS_CREDENTIAL
            | Reason.INVALID_CREDENTIAL
            | Reason.SESSION_EXPIRED
            | Reason.SESSION_IDLE
            | Reason.SESSION_REVOKED
            | Reason.KEY_EXPIRED
            | Reason.KEY_REVOKED
            | Reason.KEY_CONSUMED
            | Reason.DELEGATION_EXPIRED
        ):
            return Remedy.AUTHENTICATE
        case Reason.MFA_REQUIRED:
            return Remedy.STEP_UP
        case Reason.APPROVAL_REQUIRED:
            return Remedy.REQUEST_APPROVAL
        case Reason.NO_GRANT | Reason.NOT_GRANTED:
            return Remedy.REQUEST_ELEVATION
        case (
            Reason.POLICY_UNAVAILABLE
            | Reason.AUDIT_UNAVAILABLE
            | Reason.OVERLOADED
            | Reason.REVISION_UNAVAILABLE
            | Reason.UPSTREAM_UNREACHABLE
            | Reason.UPSTREAM_TIMEOUT
            | Reason.REQUEST_TIMEOUT
        ):
            return Remedy.RETRY_LATER
        case (
            Reason.GRANTED
            | Reason.PUBLIC_ROUTE
            | Reason.CROSS_ORG
            | Reason.ACCOUNT_INACTIVE
            | Reason.NOT_A_MEMBER
            | Reason.DENIED_BY_RULE
            | Reason.ABOVE_CEILING
            | Reason.SURFACE
            | Reason.SOURCE_ADDRESS
            | Reason.DELEGATION_TOO_LONG
            | Reason.OUTSIDE_CREDENTIAL_SCOPE
            | Reason.SUBTREE_NARROWED
            | Reason.UNMAPPED_ROUTE
            | Reason.MALFORMED_REQUEST
            | Reason.AMBIGUOUS_PATH
            | Reason.AMBIGUOUS_FRAMING
            | Reason.METHOD_NOT_ALLOWED
            | Reason.VERSION_NOT_SUPPORTED
            | Reason.BODY_TOO_LARGE
            | Reason.TARGET_TOO_LONG
            | Reason.HEAD_TOO_LARGE
            | Reason.EXPECTATION_FAILED
            | Reason.UPSTREAM_INVALID
        ):
            return Remedy.NONE
        case _:
            assert_never(reason)


# Read for every refusal: the arms above are compared one after the other, some 1.5 µs for the last.
_REMEDY: Final = {reason: remedy_of(reason) for reason in Reason}


def deny(reason: Reason, because: tuple[str, ...] = ()) -> Decision:
    """Build a deny with the remedy that belongs to *reason*."""
    return Decision(Outcome.DENY, reason, because, _REMEDY[reason])
