"""What is fuzzed: a reader of hostile bytes, the one exception that it may raise, and what must hold of what it reads.

A target raises nothing but ``AssertionError``, and that only when something is wrong.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from scripts.issuer import Issuer
from tests.fuzz import targets_http2, targets_injector
from tests.wire.strict import IncompleteError, UnreadableError, read_chunks, read_head
from tests.wire.strict import canonical_path as canonical_path_slowly

from sidegate.config.policy_file import read_policy
from sidegate.config.routes_file import read_routes
from sidegate.core.identity.api_key import KeyParts, parse_key
from sidegate.core.identity.claims import ClaimRules
from sidegate.core.identity.encoding import encode_base64url
from sidegate.core.identity.jwk import Algorithm, parse_jwks
from sidegate.core.identity.jwt import TokenRules, UnknownKid, VerifiedToken, verify_token
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import (
    ConfigError,
    DependencyError,
    IntegrityError,
    PolicyError,
    SidegateError,
    WireError,
)
from sidegate.core.model.units import UnixMillis
from sidegate.core.routing.body import parse_body
from sidegate.core.routing.query import read_parameter
from sidegate.core.trail.finding import Place
from sidegate.core.trail.read import decision_of, read_members
from sidegate.core.trail.walk import ChainWalk
from sidegate.core.wire.block import HeaderReader, HeaderRules
from sidegate.core.wire.credential import cut_cookie, read_bearer, read_cookies
from sidegate.core.wire.frames import FrameTracker
from sidegate.core.wire.framing import MAX_TRAILER_BYTES, ChunkedReader
from sidegate.core.wire.head import read_request_line
from sidegate.core.wire.names import NamePolicy, fold
from sidegate.core.wire.path import canonical_path
from sidegate.core.wire.proxy_protocol import ProxyHeader, read_proxy_header
from sidegate.core.wire.response import read_response_head
from sidegate.injector.review import ReviewError

NOW: Final = UnixMillis(1_800_000_000_000)
ISSUER: Final = "https://issuer.example"
COOKIE: Final = b"__session"

_MAX_TARGET: Final = 8192


@dataclass(frozen=True)
class Target:
    """One thing that is fuzzed.

    Attributes:
        name: Also that of its folder in ``tests/corpus``.
        refusal: The one exception that is documented; None if there is none.
        check: Reads the bytes and asserts what must hold.
    """

    name: str
    refusal: type[SidegateError] | None
    check: Callable[[bytes], None]

    def run(self, data: bytes) -> None:
        """Read *data*; refusing it is as good as taking it."""
        if self.refusal is None:
            self.check(data)
            return
        try:
            self.check(data)
        except self.refusal:
            return


def _path(data: bytes) -> None:
    line = read_request_line(b"GET " + data + b" HTTP/1.1", _MAX_TARGET)
    if line.path is None:
        return
    canonical = line.path.text
    again = canonical_path(canonical)
    assert (again.text, again.segments, again.encoded) == (canonical, line.path.segments, line.path.encoded)
    if not line.path.encoded:
        assert canonical_path_slowly(data) == canonical


def _path_refused(data: bytes) -> None:
    """What the slow reading takes, the fast one takes as well: nothing good is refused."""
    if not data.startswith(b"/") or not all(0x20 < byte < 0x7F for byte in data) or set(data) & set(b"?#"):
        return
    try:
        expected = canonical_path_slowly(data)
    except UnreadableError:
        return
    assert canonical_path(data).text == expected


_READER: Final = HeaderReader(HeaderRules(NamePolicy(b"X-API-Key", frozenset({b"x-decides"})), COOKIE, False, 100))


def _headers(data: bytes) -> None:
    found = _READER.read(data)
    # A fresh reader says the same: what is remembered changes nothing.
    anew = HeaderReader(HeaderRules(NamePolicy(b"X-API-Key", frozenset({b"x-decides"})), COOKIE, False, 100)).read(data)
    assert anew == found
    block = found[0]
    _, fields, rest = read_head(b"GET / HTTP/1.1\r\n" + data + b"\r\n")
    assert rest == b""
    assert [value for name, value in fields if name.lower() == b"host"] == [block.host]
    _, forwarded, rest = read_head(b"GET / HTTP/1.1\r\n" + block.forward + b"\r\n")
    assert rest == b""
    names = [name for name, _ in forwarded]
    assert not [name for name in names if fold(name).startswith((b"xsidegate", b"xforwarded", b"xenvoy"))]
    assert not {name.lower() for name in names} & {b"authorization", b"x-api-key", b"expect", b"connection", b"te"}
    framings = [name for name in names if fold(name) in {b"contentlength", b"transferencoding"}]
    assert len(framings) <= 1


def _cookies(data: bytes) -> None:
    found, rest = read_cookies([data], COOKIE)
    pieces = data.split(b";")
    named = [piece.partition(b"=") for piece in pieces if b"=" in piece]
    assert list(found) == [value.strip(b" \t") for name, _, value in named if name.strip(b" \t") == COOKIE]
    left = cut_cookie(data, COOKIE)
    assert rest == ((left,) if left or COOKIE not in data else ())
    assert read_cookies([left], COOKIE)[0] == ()
    assert cut_cookie(left, COOKIE) == left
    kept = [piece for piece in pieces if piece.partition(b"=")[0].strip(b" \t") != COOKIE or b"=" not in piece]
    assert left.lstrip(b" \t") == b";".join(kept).lstrip(b" \t")


def _bearer(data: bytes) -> None:
    token = read_bearer(data)
    assert token is None or token == b"" or token in data


class _Tokens:
    """Tokens of an issuer, made once."""

    def __init__(self) -> None:
        self.issuer = Issuer(ISSUER, algorithm="EdDSA")
        document = json.dumps({"keys": [self.issuer.jwk()]}).encode()
        self.keys, _ = parse_jwks(document, frozenset({Algorithm.EDDSA}))
        self.rules = TokenRules(frozenset({Algorithm.EDDSA}), ClaimRules(issuer=ISSUER))
        header = json.dumps({"alg": "EdDSA", "typ": "JWT", "kid": self.issuer.kid}).encode()
        self.header = encode_base64url(header)

    def seal(self, payload: bytes) -> bytes:
        """Sign *payload* as it is."""
        message = self.header + b"." + encode_base64url(payload)
        key = self.issuer.key
        assert hasattr(key, "public_key")
        signature = key.sign(message)  # type: ignore[call-arg]  # Ed25519, as made above
        return message + b"." + encode_base64url(signature)


_TOKENS: Final = _Tokens()


def _token(data: bytes) -> None:
    """Without the key there is no token, whatever its bytes."""
    found = verify_token(data, _TOKENS.keys, _TOKENS.rules, NOW)
    assert isinstance(found, Reason | UnknownKid)


def _claims(data: bytes) -> None:
    """Whatever a trusted issuer signs is a credential of its own issuer, or a reason."""
    found = verify_token(_TOKENS.seal(data), _TOKENS.keys, _TOKENS.rules, NOW)
    if isinstance(found, VerifiedToken):
        payload = json.loads(data)
        assert payload["iss"] == ISSUER
        assert found.credential.account.isascii()
        assert found.credential.account.isprintable()
        assert " " not in found.credential.account


def _jwks(data: bytes) -> None:
    found, _ = parse_jwks(data, frozenset(Algorithm))
    assert all(kid == key.kid for kid, key in found.by_kid.items())


def _key(data: bytes) -> None:
    found = parse_key(data)
    assert found is Reason.INVALID_CREDENTIAL or (isinstance(found, KeyParts) and found.id.encode() in data)


def _policy(data: bytes) -> None:
    assert read_policy(data, "acme.yaml").document.organization


def _routes(data: bytes) -> None:
    assert read_routes(data, "routes.yaml").table is not None


def _record(data: bytes) -> None:
    decision_of(read_members(data))


def _chain(data: bytes) -> None:
    """A damaged chain is reported, never a crash; every line is counted or complained about."""
    walk = ChainWalk("s", None)
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        walk.feed(line, Place("segment", number))
    report = walk.finish()
    assert report.findings or not any(line.strip() for line in lines) or report.records + report.checkpoints


def _frames(data: bytes) -> None:
    """However its bytes are cut, the end of a frame is where it is."""
    whole = FrameTracker()
    whole.feed(data)
    bytewise = FrameTracker()
    for at in range(len(data)):
        bytewise.feed(data[at : at + 1])
    halves = FrameTracker()
    halves.feed(data[: len(data) // 2])
    halves.feed(data[len(data) // 2 :])
    states = {(one.at_boundary, one.is_closed, one.is_lost) for one in (whole, bytewise, halves)}
    assert len(states) == 1


def _chunks(data: bytes) -> None:
    """The incremental reading is the slow one's, whatever way the bytes are cut; what is refused stays refused."""
    reader = ChunkedReader()
    payload = b""
    refused: WireError | None = None
    rest = b""
    for at in range(len(data)):
        try:
            pieces, rest = reader.feed(data[at : at + 1])
        except WireError as error:
            refused = error
            break
        payload += b"".join(pieces)
        if reader.done:
            rest += data[at + 1 :]
            break
    whole = ChunkedReader()
    try:
        pieces, behind = whole.feed(data)
    except WireError:
        assert refused is not None
        raise
    assert refused is None
    assert (b"".join(pieces), whole.done) == (payload, reader.done)
    if whole.done:
        assert behind == rest
        assert read_chunks(data) == (payload, rest)
    else:
        try:
            read_chunks(data)
        except IncompleteError:
            return
        assert len(data) > MAX_TRAILER_BYTES


def _response(data: bytes) -> None:
    head = read_response_head(data)
    _, fields, rest = read_head(head.forward + b"\r\n")
    assert rest == b""
    assert not {name.lower() for name, _ in fields} & {b"connection", b"transfer-encoding", b"upgrade"}


def _proxy_header(data: bytes) -> None:
    """A verdict is the same for every way of cutting: nothing is said before a header is whole, nothing else after."""
    whole: ProxyHeader | None = None
    refused_at: int | None = None
    # The places around which something is decided; all of them would be quadratic.
    for cut in sorted({*range(min(len(data), 64)), *range(0, len(data), 53), len(data)}):
        try:
            found = read_proxy_header(data[:cut])
        except WireError:
            refused_at = cut if refused_at is None else refused_at
            assert whole is None
            continue
        assert refused_at is None
        assert whole is None or found == whole
        whole = found
    if whole is not None:
        assert read_proxy_header(data[: whole.length]) == whole
        assert read_proxy_header(data[: whole.length - 1]) is None
        assert whole.source is None or str(ip_address(whole.source)) == whole.source
    if refused_at is not None:
        read_proxy_header(data)  # refuses too


def _body(data: bytes) -> None:
    document = parse_body(data)
    assert json.loads(data.decode()) == document


def _query(data: bytes) -> None:
    found = read_parameter(data, "path")
    assert found is None or data


TARGETS: Final = {
    target.name: target
    for target in (
        Target("path", WireError, _path),
        Target("path-refused", None, _path_refused),
        Target("headers", WireError, _headers),
        Target("cookie", None, _cookies),
        Target("bearer", None, _bearer),
        Target("token", None, _token),
        Target("claims", None, _claims),
        Target("jwks", DependencyError, _jwks),
        Target("key", None, _key),
        Target("policy", PolicyError, _policy),
        Target("routes", ConfigError, _routes),
        Target("record", IntegrityError, _record),
        Target("chain", None, _chain),
        Target("frames", None, _frames),
        Target("chunks", WireError, _chunks),
        Target("response", WireError, _response),
        Target("body", WireError, _body),
        Target("query", WireError, _query),
        Target("proxy-header", WireError, _proxy_header),
        Target("http2-connection", None, targets_http2.connection),
        Target("http2-section", WireError, targets_http2.section),
        Target("http2-compression", None, targets_http2.compression),
        Target("admission-review", ReviewError, targets_injector.review),
    )
}
