"""What a header name means on its way upstream (spec 2.3)."""

from enum import IntEnum, auto
from typing import Final


class Role(IntEnum):
    """What is done with a header of this name."""

    PASS = auto()
    DROP = auto()
    HOP_BY_HOP = auto()
    HOST = auto()
    CONTENT_LENGTH = auto()
    TRANSFER_ENCODING = auto()
    CONNECTION = auto()
    EXPECT = auto()
    UPGRADE = auto()
    COOKIE = auto()
    AUTHORIZATION = auto()
    API_KEY = auto()
    FORWARDED_FOR = auto()
    FORWARDED_PROTO = auto()
    FORWARDED_HOST = auto()
    APPROVAL = auto()
    OBSERVED = auto()


_ROLES: Final[dict[bytes, Role]] = {
    b"host": Role.HOST,
    b"content-length": Role.CONTENT_LENGTH,
    b"transfer-encoding": Role.TRANSFER_ENCODING,
    b"connection": Role.CONNECTION,
    b"expect": Role.EXPECT,
    b"upgrade": Role.UPGRADE,
    b"cookie": Role.COOKIE,
    b"authorization": Role.AUTHORIZATION,
    b"x-forwarded-for": Role.FORWARDED_FOR,
    b"x-forwarded-proto": Role.FORWARDED_PROTO,
    b"x-forwarded-host": Role.FORWARDED_HOST,
    b"x-sidegate-approval": Role.APPROVAL,
    # Forwarded as they came, and read: for the record, and for the handshake of RFC 6455.
    b"traceparent": Role.OBSERVED,
    b"x-request-id": Role.OBSERVED,
    b"sec-websocket-key": Role.OBSERVED,
    b"sec-websocket-version": Role.OBSERVED,
    # RFC 9110 section 7.6.1 and the older list of RFC 2616 section 13.5.1.
    b"keep-alive": Role.HOP_BY_HOP,
    b"proxy-connection": Role.HOP_BY_HOP,
    b"proxy-authenticate": Role.HOP_BY_HOP,
    b"proxy-authorization": Role.HOP_BY_HOP,
    b"te": Role.HOP_BY_HOP,
    b"trailer": Role.HOP_BY_HOP,
    b"http2-settings": Role.HOP_BY_HOP,
}

# Names by which upstreams let a header override the target, the method or the client's address (spec 2.3, 2).
_OVERRIDES: Final = frozenset(
    {
        b"forwarded",
        b"xhttpmethod",
        b"xhttpmethodoverride",
        b"xmethodoverride",
        b"xmiddlewaresubrequest",
        b"xoriginaluri",
        b"xoriginalurl",
        b"xrealip",
        b"xrewriteurl",
    }
)
_OVERRIDE_PREFIXES: Final = (b"xforwarded", b"xenvoy", b"xsidegate")

# Standard fields (the IANA registry's permanent ones that a request or a CGI-style upstream gives a meaning to).
# A name that is none of these but folds to one is an alias that some upstream would read as the real one.
_STANDARD: Final = frozenset(
    b"""accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method age alt-used authorization cache-control clear-site-data connection
    content-disposition content-encoding content-language content-length content-location content-md5
    content-range content-type cookie
    cookie2 date depth destination dnt early-data etag expect expires forwarded from host http2-settings if if-match
    if-modified-since if-none-match if-range if-unmodified-since keep-alive last-event-id last-modified link location
    lock-token max-forwards mime-version origin overwrite pragma prefer priority proxy-authenticate proxy-authorization
    proxy-connection range referer sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version
    server set-cookie soapaction status te timeout traceparent tracestate trailer transfer-encoding upgrade
    upgrade-insecure-requests user-agent vary via want-digest warning www-authenticate
    x-csrf-token x-request-id x-requested-with x-sidegate-approval x-xsrf-token""".split()
)

# Naming one of these in `Connection` asks an intermediary to drop what decision, framing or record rests on.
_PROTECTED: Final = frozenset(
    {b"host", b"cookie", b"authorization", b"contentlength", b"transferencoding", b"traceparent", b"xrequestid"}
)


_NOT_ALPHANUMERIC: Final = bytes(byte for byte in range(256) if not chr(byte).isascii() or not chr(byte).isalnum())


def fold(name: bytes) -> bytes:
    """Reduce *name* to what a careless reader may take it for: lower-case letters and digits only."""
    return name.lower().translate(None, _NOT_ALPHANUMERIC)


class NamePolicy:
    """The rules for names of one configuration."""

    __slots__ = ("_aliases", "_known", "_protected", "_roles", "decisive")

    def __init__(self, api_key: bytes, decisive: frozenset[bytes]) -> None:
        """Prepare the tables.

        Args:
            api_key: Name of the header an API key may come in.
            decisive: Lower-case names of the headers that routes read.
        """
        self.decisive = decisive
        self._roles = {**_ROLES, api_key.lower(): Role.API_KEY}
        self._known = _STANDARD | decisive | {api_key.lower()}
        self._aliases = frozenset(fold(name) for name in self._known)
        self._protected = _PROTECTED | {fold(api_key)} | frozenset(fold(name) for name in decisive)

    def role_of(self, name: bytes) -> Role:
        """Return what is done with a header called *name* (any case)."""
        lower = name.lower()
        role = self._roles.get(lower)
        if role is not None:
            return role
        folded = fold(name)
        if _overrides(folded) or (lower not in self._known and folded in self._aliases):
            return Role.DROP
        return Role.PASS

    def is_protected(self, name: bytes) -> bool:
        """Whether `Connection` may not name the header *name* (spec 2.3, 1)."""
        folded = fold(name)
        return folded in self._protected or _overrides(folded)


def _overrides(folded: bytes) -> bool:
    return folded in _OVERRIDES or folded.startswith(_OVERRIDE_PREFIXES)


RESPONSE_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
