"""What a header name means on its way upstream (spec 2.3)."""

import pytest

from sidegate.core.wire.names import NamePolicy, Role, fold

POLICY = NamePolicy(b"X-API-Key", frozenset({b"x-branch"}))


@pytest.mark.parametrize(
    ("name", "role"),
    [
        pytest.param(b"Accept", Role.PASS, id="ordinary"),
        pytest.param(b"X-Anything", Role.PASS, id="unknown"),
        pytest.param(b"hOsT", Role.HOST, id="any-case"),
        pytest.param(b"Content-Length", Role.CONTENT_LENGTH, id="length"),
        pytest.param(b"Transfer-Encoding", Role.TRANSFER_ENCODING, id="coding"),
        pytest.param(b"Cookie", Role.COOKIE, id="cookie"),
        pytest.param(b"Authorization", Role.AUTHORIZATION, id="authorization"),
        pytest.param(b"x-api-key", Role.API_KEY, id="api-key"),
        pytest.param(b"X-Branch", Role.PASS, id="decisive"),
        pytest.param(b"Keep-Alive", Role.HOP_BY_HOP, id="hop-by-hop"),
        pytest.param(b"TE", Role.HOP_BY_HOP, id="te"),
        pytest.param(b"HTTP2-Settings", Role.HOP_BY_HOP, id="http2-settings"),
        pytest.param(b"X-Forwarded-For", Role.FORWARDED_FOR, id="forwarded-for"),
        pytest.param(b"X-Sidegate-Approval", Role.APPROVAL, id="approval"),
        # Identity headers and what an upstream may take for them.
        pytest.param(b"X-Sidegate-Account", Role.DROP, id="identity"),
        pytest.param(b"x_sidegate_account", Role.DROP, id="identity-underscored"),
        pytest.param(b"X.Sidegate.Target", Role.DROP, id="identity-dotted"),
        pytest.param(b"XSidegateDecision", Role.DROP, id="identity-run-together"),
        pytest.param(b"X-Sidegate_Approval", Role.DROP, id="approval-misspelt"),
        # The override list.
        pytest.param(b"X-Original-URL", Role.DROP, id="original-url"),
        pytest.param(b"X_Rewrite_URL", Role.DROP, id="rewrite-url"),
        pytest.param(b"X-Original-Uri", Role.DROP, id="original-uri"),
        pytest.param(b"X-HTTP-Method", Role.DROP, id="http-method"),
        pytest.param(b"X-HTTP-Method-Override", Role.DROP, id="method-override"),
        pytest.param(b"X-Method-Override", Role.DROP, id="method-override-short"),
        pytest.param(b"X-Forwarded-Prefix", Role.DROP, id="forwarded-any"),
        pytest.param(b"X_Forwarded_For", Role.DROP, id="forwarded-for-underscored"),
        pytest.param(b"Forwarded", Role.DROP, id="forwarded"),
        pytest.param(b"X-Real-IP", Role.DROP, id="real-ip"),
        pytest.param(b"X-Envoy-External-Address", Role.DROP, id="envoy"),
        pytest.param(b"x-middleware-subrequest", Role.DROP, id="middleware"),
        # Names that fold to a standard one without being it.
        pytest.param(b"Content_Length", Role.DROP, id="length-underscored"),
        pytest.param(b"Transfer.Encoding", Role.DROP, id="coding-dotted"),
        pytest.param(b"Cook-ie", Role.DROP, id="cookie-divided"),
        pytest.param(b"X-APIKey", Role.DROP, id="api-key-run-together"),
        pytest.param(b"X_Branch", Role.DROP, id="decisive-underscored"),
        pytest.param(b"Content-Lengths", Role.PASS, id="longer-than-standard"),
        pytest.param(b"!", Role.PASS, id="folds-to-nothing"),
    ],
)
def test_role_of(name: bytes, role: Role) -> None:
    """Every spelling that an upstream may fold to a protected name loses; all else keeps its own meaning."""
    assert role is POLICY.role_of(name)


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        pytest.param(b"host", True, id="host"),
        pytest.param(b"cookie", True, id="cookie"),
        pytest.param(b"authorization", True, id="authorization"),
        pytest.param(b"content-length", True, id="content-length"),
        pytest.param(b"content_length", True, id="content-length-underscored"),
        pytest.param(b"x-forwarded-for", True, id="forwarding"),
        pytest.param(b"forwarded", True, id="forwarded"),
        pytest.param(b"x-sidegate-account", True, id="identity"),
        pytest.param(b"x-api-key", True, id="api-key"),
        pytest.param(b"x-branch", True, id="decisive"),
        pytest.param(b"close", False, id="close"),
        pytest.param(b"upgrade", False, id="upgrade"),
        pytest.param(b"x-anything", False, id="ordinary"),
    ],
)
def test_is_protected(name: bytes, protected: bool) -> None:
    """`Connection` may not name what the decision, the framing or the identity rests on (spec 2.3, 1)."""
    assert protected is POLICY.is_protected(name)


def test_fold() -> None:
    """Only ASCII letters and digits are left, in lower case; bytes above 0x7F are not letters."""
    assert fold(b"X-Side_gate.A9\xe9!") == b"xsidegatea9"
