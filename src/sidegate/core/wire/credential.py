"""What a request presents as its credential, still unverified (spec 2.4)."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from sidegate.core.model.value import hot_value

MALFORMED: Final = b""
"""Stands for a bearer token that is there but is not one: no token is empty, so it never verifies."""

_BLANKS: Final = b" \t"
_DOMAIN: Final = b"sidegate presented credential v1\n"

# RFC 6750 section 2.1: b64token. Possessive in effect: the two classes do not overlap.
_B64TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


@hot_value
class Presented:
    """What one request presents.

    Attributes:
        session: Value of the session cookie, exact bytes.
        bearer: Token of ``Authorization: Bearer``; :data:`MALFORMED` when the scheme is there and the token is not.
        api_key: Value of the API key header, exact bytes.
        ambiguous: One of the three was there more than once. It is then None or the first; neither may be used.
        digest: SHA-256 over all of the above, for caches. Two different ones never share an encoding.
    """

    session: bytes | None
    bearer: bytes | None
    api_key: bytes | None
    ambiguous: bool
    digest: bytes


def gather(sessions: Sequence[bytes], authorizations: Sequence[bytes], api_keys: Sequence[bytes]) -> Presented:
    """Put together what a request presents.

    Args:
        sessions: Values of all cookies of the session's name, from :func:`read_cookies`.
        authorizations: Values of all ``Authorization`` headers, whatever their scheme.
        api_keys: Values of all headers of the configured API key name, trimmed.
    """
    session = sessions[0] if sessions else None
    bearer = read_bearer(authorizations[0]) if authorizations else None
    api_key = api_keys[0] if api_keys else None
    # Equal bytes twice are ambiguous as well: the upstream may take the first, the last or a list (spec 2.4).
    ambiguous = len(sessions) > 1 or len(authorizations) > 1 or len(api_keys) > 1
    # A length before each part: parts joined with a separator could be cut in another place (spec 2.4).
    written = (
        _DOMAIN,
        b"2" if ambiguous else b"1",
        b"-" if session is None else b"%d:%b" % (len(session), session),
        b"-" if bearer is None else b"%d:%b" % (len(bearer), bearer),
        b"-" if api_key is None else b"%d:%b" % (len(api_key), api_key),
    )
    return Presented(session, bearer, api_key, ambiguous, sha256(b"".join(written)).digest())


def read_cookies(values: Sequence[bytes], name: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Read ``Cookie`` header values and take the cookies called *name* out (spec 2.4, 2.3 (4)).

    Returns:
        The values of every cookie whose name is exactly *name*, over all lines and in order; and the header values
        that are left when they are cut out, lines that become empty dropped.
    """
    found: list[bytes] = []
    rest: list[bytes] = []
    for value in values:
        sessions, left = _divide(value, name)
        found += sessions
        if left or not sessions:
            rest.append(left)
    return tuple(found), tuple(rest)


def cut_cookie(value: bytes, name: bytes) -> bytes:
    """Cut every cookie called *name* out of one ``Cookie`` header value; the others stay byte for byte.

    Returns:
        What is left, with the blank that separated a first cookie that went; empty when nothing is left.
    """
    return _divide(value, name)[1]


def _divide(value: bytes, name: bytes) -> tuple[list[bytes], bytes]:
    """Return the values of the cookies called *name* in one header value, and what is left of it."""
    if name not in value:
        return [], value
    pieces = value.split(b";")
    found: list[bytes] = []
    kept: list[bytes] = []
    for piece in pieces:
        own, field = _read_pair(piece)
        if own == name:
            found.append(field)
        else:
            kept.append(piece)
    if not found:
        return found, value
    left = b";".join(kept)
    return found, left if kept and kept[0] is pieces[0] else left.lstrip(_BLANKS)


def read_bearer(value: bytes) -> bytes | None:
    """Read the token of one ``Authorization`` header value (RFC 6750 section 2.1).

    Returns:
        The token; None for another scheme, which is not for Sidegate; :data:`MALFORMED` when the scheme is ``Bearer``
        in any case but one b64token after spaces is not what follows, so that it is refused and not passed over.
    """
    stripped = value.strip(_BLANKS)
    if stripped[:6].lower() != b"bearer" or stripped[6:7] not in {b"", b" ", b"\t"}:
        return None
    token = stripped[6:].lstrip(b" ")
    return token if _B64TOKEN.fullmatch(token) else MALFORMED


def _read_pair(piece: bytes) -> tuple[bytes, bytes]:
    """Divide one cookie at its first ``=``; without one it is nameless, as in a browser.

    Blanks around the name and the value go too: upstreams in the field take them off, and a name that only they
    recognise would be a second session cookie.
    """
    name, divider, value = piece.partition(b"=")
    return (name.strip(_BLANKS), value.strip(_BLANKS)) if divider else (b"", piece.strip(_BLANKS))


NOTHING: Final = gather((), (), ())
"""A request without any credential."""
