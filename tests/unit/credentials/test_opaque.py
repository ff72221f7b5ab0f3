"""Opaque sessions: made, listed, ended (spec 3.1)."""

import base64
from hashlib import sha256
from typing import Any

import pytest

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import SessionSeen
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.opaque import (
    NewSession,
    create_session,
    digest_session,
    list_sessions,
    revoke_account,
    revoke_session,
)
from sidegate.credentials.state import FollowedState

T = UnixMillis(1_800_000_000_000)
LIMITS = SessionLimits(Millis(10), Millis(100))


@pytest.fixture
def state() -> FollowedState:
    """Return an empty state."""
    return FollowedState(MemoryHub().open())


def new(**changes: Any) -> NewSession:
    """Return a session to be, with *changes*."""
    usual: dict[str, Any] = {"account": "user:ana", "org": "acme", "limits": LIMITS}
    return NewSession(**(usual | changes))


def test_create(state: FollowedState) -> None:
    """The cookie is the random bytes in base64url; what is stored is its SHA-256."""
    cookie = create_session(state, new(surface="mobile", second_factor_at=T), bytes(range(32)), T)
    assert base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=") == cookie
    record = state.find_session(sha256(cookie).hexdigest())
    assert record is not None
    assert (
        record.account,
        record.org,
        record.surface,
        record.limits,
        record.second_factor_at,
        record.started,
    ) == ("user:ana", "acme", "mobile", LIMITS, T, T)


@pytest.mark.parametrize(
    ("changes", "count", "what"),
    [
        pytest.param({}, 31, "32 random bytes", id="too-little-randomness"),
        pytest.param({"account": "ana"}, 32, "user:ana or service:ci", id="no-kind"),
        pytest.param({"account": "agent:ana"}, 32, "user:ana or service:ci", id="other-kind"),
        pytest.param({"account": "user:"}, 32, "user:ana or service:ci", id="no-name"),
        pytest.param({"account": "user:a\r\nb"}, 32, "user:ana or service:ci", id="crlf"),
        pytest.param({"org": "../x"}, 32, "organization", id="organization"),
        pytest.param({"surface": "Web"}, 32, "use web, mobile or admin", id="surface"),
        pytest.param({"limits": SessionLimits(Millis(0), Millis(1))}, 32, "at least 1 ms", id="no-idle-time"),
        pytest.param({"limits": SessionLimits(Millis(1), Millis(0))}, 32, "at least 1 ms", id="no-time"),
    ],
)
def test_create_refused(state: FollowedState, changes: dict[str, Any], count: int, what: str) -> None:
    """What could not be in a credential is not put into a session."""
    with pytest.raises(ValueError, match=what):
        create_session(state, new(**changes), bytes(count), T)
    assert state.list_sessions() == ()


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(b"A" * 42, id="short"),
        pytest.param(b"A" * 44, id="long"),
        pytest.param(b"A" * 42 + b"B", id="unused-bits"),
        pytest.param(b"A" * 42 + b"=", id="padding"),
        pytest.param(b"A" * 42 + b"+", id="other-alphabet"),
        pytest.param(b"", id="empty"),
    ],
)
def test_digest_refused(cookie: bytes) -> None:
    """What is not 256 bits in canonical base64url is not looked up."""
    assert digest_session(cookie) is None


def test_digest() -> None:
    """The id is the digest of the value's exact bytes."""
    assert sha256(b"A" * 43).hexdigest() == digest_session(b"A" * 43)


def test_list(state: FollowedState) -> None:
    """By account and organization, oldest first, signed sessions too."""
    for place, (account, org) in enumerate([("user:ana", "acme"), ("user:bo", "acme"), ("user:ana", "globex")]):
        create_session(state, new(account=account, org=org), bytes([place]) * 32, UnixMillis(T - place))
    state.record_activity(SessionSeen("signed", "user:ana", "acme", "web", UnixMillis(T - 9), T))

    def listed(**by: str) -> list[tuple[str, str]]:
        return [(record.account, record.org) for record in list_sessions(state, **by)]

    assert listed() == [("user:ana", "acme"), ("user:ana", "globex"), ("user:bo", "acme"), ("user:ana", "acme")]
    assert listed(account="user:ana", org="acme") == [("user:ana", "acme"), ("user:ana", "acme")]
    assert listed(org="globex") == [("user:ana", "globex")]
    assert listed(account="user:nobody") == []


def test_revoke_session(state: FollowedState) -> None:
    """A session is ended by its id, also one that was never seen."""
    revoke_session(state, "sess_1", T)
    credential = VerifiedCredential(CredentialKind.SESSION, "sess_1", "user:ana", "acme")
    assert state.refusal_of(credential, T) == Reason.SESSION_REVOKED


def test_revoke_account(state: FollowedState) -> None:
    """All sessions of an account that were issued until now are ended."""
    revoke_account(state, "user:ana", T)
    credential = VerifiedCredential(CredentialKind.SESSION, "sess_1", "user:ana", "acme")
    later = UnixMillis(T + 1)
    assert [state.refusal_of(credential, started) for started in (T, later)] == [Reason.SESSION_REVOKED, None]


@pytest.mark.parametrize("session_id", ["", "a b", "a\n"])
def test_revoke_session_refused(state: FollowedState, session_id: str) -> None:
    """What cannot be an id is a typing error, and said."""
    with pytest.raises(ValueError, match="session list"):
        revoke_session(state, session_id, T)


def test_revoke_account_refused(state: FollowedState) -> None:
    """An account has its kind before it: without it nothing would be revoked."""
    with pytest.raises(ValueError, match="cannot be the id"):
        revoke_account(state, "ana", T)
