"""Written forms of names, scopes, times and networks (spec 1.2, 6.3)."""

from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sidegate.config.forms import (
    Account,
    BoundParty,
    DeniedParty,
    EntryId,
    FreeName,
    Instant,
    KeyDigest,
    KeyId,
    Line,
    OrganizationName,
    Section,
    SurfaceName,
    WrittenNetwork,
    WrittenScope,
)
from sidegate.core.model.target import Scope


def read(form: Any, text: object) -> Any:
    """Read *text* as *form*."""
    return TypeAdapter(form).validate_python(text)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        pytest.param(OrganizationName, "acme-1", "acme-1", id="organization"),
        pytest.param(FreeName, "Identity Accounts - Creator", "Identity Accounts - Creator", id="name-with-blanks"),
        pytest.param(FreeName, "R\u00f6le", "R\u00f6le", id="name-in-any-script"),
        pytest.param(Account, "user:auth0|abc@x", "user:auth0|abc@x", id="account-of-an-identity-provider"),
        pytest.param(BoundParty, "group:Field crew", "group:Field crew", id="group"),
        pytest.param(DeniedParty, "role:Field operator", "role:Field operator", id="role"),
        pytest.param(DeniedParty, "agent:ag_1", "agent:ag_1", id="agent"),
        pytest.param(EntryId, "b 1:x", "b 1:x", id="entry-id"),
        pytest.param(SurfaceName, "mobile", "mobile", id="surface"),
        pytest.param(Line, "incident 4711", "incident 4711", id="line"),
        pytest.param(WrittenScope, "p1@*:a/b", Scope(None, "p1", None, ("a", "b")), id="scope"),
        pytest.param(Section, "/", (), id="section"),
        pytest.param(Instant, "1970-01-01T00:00:01+00:00", 1000, id="instant"),
        pytest.param(WrittenNetwork, "10.0.0.7", ip_network("10.0.0.7/32"), id="one-address"),
        pytest.param(WrittenNetwork, "2001:db8::/32", ip_network("2001:db8::/32"), id="network"),
        pytest.param(KeyDigest, "sha256:" + "0f" * 32, b"\x0f" * 32, id="digest"),
        pytest.param(KeyId, "4fQz8Kd01LmNopQr", "4fQz8Kd01LmNopQr", id="key-id"),
    ],
)
def test_read(form: Any, text: str, expected: object) -> None:
    """Each form is read into its core value."""
    assert expected == read(form, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        pytest.param(OrganizationName, ".acme", id="organization"),
        pytest.param(FreeName, "", id="empty-name"),
        pytest.param(FreeName, " a", id="name-framed-by-blanks"),
        pytest.param(FreeName, "a\nb", id="name-of-two-lines"),
        pytest.param(FreeName, "a" * 129, id="name-too-long"),
        pytest.param(FreeName, 5, id="number"),
        pytest.param(Account, "ana", id="account-without-kind"),
        pytest.param(Account, "user:", id="account-without-id"),
        pytest.param(Account, "user:a b", id="account-with-blank"),
        pytest.param(Account, "user:a\u2028b", id="account-with-line-separator"),
        pytest.param(Account, "group:a", id="group-is-no-account"),
        pytest.param(BoundParty, "role:a", id="role-cannot-be-bound"),
        pytest.param(DeniedParty, "team:a", id="unknown-kind"),
        pytest.param(EntryId, "a\x00", id="entry-id"),
        pytest.param(SurfaceName, "Mobile", id="surface"),
        pytest.param(Line, "a\nb", id="two-lines"),
        pytest.param(WrittenScope, "p1@*", id="scope-of-two-spellings"),
        pytest.param(Section, "skills", id="section"),
        pytest.param(Instant, "2026-12-01T00:00:00", id="local-time"),
        pytest.param(Instant, "tomorrow", id="no-instant"),
        pytest.param(WrittenNetwork, "10.0.0.1/8", id="host-bits"),
        pytest.param(WrittenNetwork, "10.0.0.0/40", id="no-network"),
        pytest.param(KeyDigest, "sha256:" + "0F" * 32, id="digest-in-upper-case"),
        pytest.param(KeyDigest, "0f" * 32, id="digest-without-algorithm"),
        pytest.param(KeyId, "short", id="key-id"),
    ],
)
def test_refused(form: Any, text: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        read(form, text)
