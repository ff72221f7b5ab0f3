"""The closed sets that settings choose from: plain enums, which a running sidecar holds without what reads files."""

from enum import StrEnum


class Completions(StrEnum):
    """Which requests get a completion record (spec 5.5)."""

    EXCEPTIONAL = "exceptional"
    ALL = "all"


class TlsVersion(StrEnum):
    """Versions of TLS that are spoken at all (RFC 8996 ends those before)."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class ProxyProtocol(StrEnum):
    """Whether connections begin with a header of the PROXY protocol."""

    OFF = "off"
    REQUIRED = "required"


class HttpProtocol(StrEnum):
    """Versions of HTTP by their names in ALPN (RFC 9113 section 3.1; h2c as RFC 7540 had it)."""

    HTTP_1 = "http/1.1"
    H2 = "h2"
    H2C = "h2c"


class Algorithm(StrEnum):
    """Signature algorithms of session tokens (spec 3.1)."""

    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"
    HS256 = "HS256"


class OpaqueStore(StrEnum):
    """Where opaque sessions are kept."""

    MEMORY = "memory"
    REDIS = "redis"


class OnAnomaly(StrEnum):
    """What follows when a machine identity behaves unusually (spec 3.4)."""

    REPORT = "report"
    DENY = "deny"


class CredentialsForwarding(StrEnum):
    """What becomes of the credential on its way upstream (spec 6.5)."""

    STRIP = "strip"
    PASS = "pass"  # noqa: S105  a word of the configuration


class ProblemDetail(StrEnum):
    """How much an answer says (spec 6.5)."""

    FULL = "full"
    MINIMAL = "minimal"
