"""Tokens made to be accepted by a careless reader (RFC 8725, RFC 7515 section 10). Each must be refused."""

import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.core.identity.issuer import NOW, NOW_S, Issuer, b64, claims, rules

from sidegate.core.identity.encoding import decode_base64url
from sidegate.core.identity.jwk import KeySet, shared_secret
from sidegate.core.identity.jwt import UnknownKid, VerifiedToken, verify_token
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import RefusedCredential

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def judge(issuer: Issuer, token: bytes) -> Reason | VerifiedToken | UnknownKid:
    """Verify with every key and algorithm there is."""
    found = verify_token(token, issuer.keys(), rules(), NOW)
    assert not isinstance(found, RefusedCredential), "an attack proved who somebody is"
    return found


def payload_with(text: str) -> bytes:
    """Return usual claims with raw *text* as one more member: what a JSON library would never write."""
    return json.dumps(claims()).encode()[:-1] + b", " + text.encode() + b"}"


HEADER = b'{"alg":"RS256","typ":"JWT","kid":"rsa"}'


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("kid", ["rsa", "ec", None])
def test_public_key_as_secret(issuer: Issuer, encoding: Encoding, kid: str | None) -> None:
    """A token signed with HS256 and the public key as secret is refused: keys are bound to their algorithm."""
    public = issuer.rsa_key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256"} | ({} if kid is None else {"kid": kid})
    message = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(claims()).encode())
    token = message + b"." + b64(hmac.digest(public, message, "sha256"))
    assert judge(issuer, token) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", " none", None, 0, [], ["RS256"], {"a": 1}])
@pytest.mark.parametrize("signed", [True, False])
def test_no_algorithm(issuer: Issuer, alg: object, signed: bool) -> None:
    """No spelling of `none` and nothing that is not a text is an algorithm, with or without a signature."""
    message = b64(json.dumps({"alg": alg, "kid": "rsa"}).encode()) + b"." + b64(json.dumps(claims()).encode())
    signature = b64(issuer.sign_bytes("RS256", message)) if signed else b""
    assert judge(issuer, message + b"." + signature) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("alg", ["rs256", "RS256 ", "RS384", "RS512", "PS256", "ES384", "ES256K", "Ed25519", "HS512"])
def test_other_algorithm(issuer: Issuer, alg: str) -> None:
    """Only exact names on the list are algorithms."""
    assert judge(issuer, issuer.token(header={"alg": alg})) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(("alg", "kid"), [("RS256", "ec"), ("RS256", "ed"), ("ES256", "rsa"), ("EdDSA", "ec")])
def test_key_of_another_type(issuer: Issuer, alg: str, kid: str) -> None:
    """A known key id with an algorithm that is not the key's is refused and asks for no refresh."""
    assert judge(issuer, issuer.token(alg, header={"kid": kid})) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "kid", ["../../../dev/null", "rsa\x00", "RSA", " rsa", "rsa' OR 1=1 --", "file:///dev/null", "\u202ersa"]
)
def test_kid_injection(issuer: Issuer, kid: str) -> None:
    """A key id is looked up by exact text among the keys of the set and never names anything else."""
    assert judge(issuer, issuer.token(header={"kid": kid})) == UnknownKid(kid)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"jwk": {"kty": "oct", "k": "AAAA"}}, id="jwk"),
        pytest.param({"jku": "https://evil.example/jwks.json"}, id="jku"),
        pytest.param({"x5u": "https://evil.example/cert.pem"}, id="x5u"),
        pytest.param({"x5c": ["MIIB"]}, id="x5c"),
        pytest.param({"jwk": None}, id="null-jwk"),
        pytest.param({"crit": ["exp"]}, id="crit"),
        pytest.param({"crit": []}, id="empty-crit"),
        pytest.param({"crit": ["b64"], "b64": False}, id="unencoded-payload"),
        pytest.param({"b64": True}, id="b64"),
        pytest.param({"zip": "DEF"}, id="compressed"),
        pytest.param({"enc": "A256GCM"}, id="encrypted"),
        pytest.param({"cty": "JWT"}, id="nested"),
    ],
)
def test_header_that_chooses(issuer: Issuer, members: dict[str, Any]) -> None:
    """A header that brings a key, fetches one, or asks for what is not understood is refused, rightly signed or not."""
    assert judge(issuer, issuer.token(header=members)) == Reason.INVALID_CREDENTIAL


def test_embedded_key_signs(issuer: Issuer) -> None:
    """A token signed by the key that its own header carries proves nothing."""
    other = Issuer()
    token = other.token(header={"kid": "rsa", "jwk": other.jwk("rsa")})
    assert judge(issuer, token) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        pytest.param(HEADER[:-1] + b',"alg":"RS256"}', None, id="alg-twice"),
        pytest.param(HEADER[:-1] + b',"kid":"rsa"}', None, id="kid-twice"),
        pytest.param(HEADER[:-1] + b',"\\u006bid":"rsa"}', None, id="kid-twice-by-escape"),
        pytest.param(HEADER, payload_with('"sub": "root"'), id="sub-twice"),
        pytest.param(HEADER, payload_with('"org_id": "globex"'), id="org-twice"),
        pytest.param(HEADER, payload_with('"s\\u0075b": "root"'), id="sub-twice-by-escape"),
        pytest.param(HEADER, payload_with('"o": {"id": "acme", "id": "acme"}'), id="nested-member-twice"),
        pytest.param(HEADER, payload_with('"x": [{"a": 1, "a": 1}]'), id="twice-in-a-list"),
        pytest.param(b"[]", None, id="header-is-a-list"),
        pytest.param(b'"RS256"', None, id="header-is-a-text"),
        pytest.param(b"null", None, id="header-is-null"),
        pytest.param(b"", None, id="header-is-empty"),
        pytest.param(HEADER + b" {}", None, id="two-headers"),
        pytest.param(b"\xef\xbb\xbf" + HEADER, None, id="byte-order-mark"),
        pytest.param(HEADER.decode().encode("utf-16"), None, id="utf-16-header"),
        pytest.param(HEADER, b"[]", id="payload-is-a-list"),
        pytest.param(HEADER, b"7", id="payload-is-a-number"),
        pytest.param(HEADER, b"", id="payload-is-empty"),
        pytest.param(HEADER, json.dumps(claims()).encode("utf-16"), id="utf-16-payload"),
        pytest.param(HEADER, json.dumps(claims()).encode("utf-32"), id="utf-32-payload"),
        pytest.param(HEADER, json.dumps(claims()).encode()[:-1], id="cut-off"),
        pytest.param(HEADER, json.dumps(claims()).encode() + b"\0", id="trailing-nul"),
        pytest.param(HEADER, payload_with('"x": "\xff"').replace(b"\xc3\xbf", b"\xff"), id="not-utf-8"),
        pytest.param(HEADER, payload_with('"x": NaN'), id="nan"),
        pytest.param(HEADER, payload_with('"x": -Infinity'), id="infinity"),
        pytest.param(HEADER, payload_with('"x": ' + "9" * 4400), id="number-of-4400-digits"),
        pytest.param(HEADER, payload_with('"x": ' + "[" * 2500 + "]" * 2500), id="deep-list"),
        pytest.param(HEADER, payload_with('"x": ' + '{"a":' * 900 + "1" + "}" * 900), id="deep-object"),
        pytest.param(HEADER, payload_with('"x": ' + "[" * 5000), id="deep-and-cut-off"),
        pytest.param(json.dumps(claims()).encode(), HEADER, id="swapped"),
    ],
)
def test_json_with_two_readings(issuer: Issuer, header: bytes, payload: bytes | None) -> None:
    """Rightly signed JSON that readers could take in different ways, or that is none, is refused (spec 2.4)."""
    token = issuer.seal(header, json.dumps(claims()).encode() if payload is None else payload)
    assert judge(issuer, token) == Reason.INVALID_CREDENTIAL


def test_those_parts_are_fine_otherwise(issuer: Issuer) -> None:
    """The parts that the cases above spoil are accepted unspoilt: it is the spoiling that is refused."""
    assert isinstance(judge(issuer, issuer.seal(HEADER, payload_with('"x": [{"a": 1}, {"a": 1}]'))), VerifiedToken)


VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "padded": lambda token: token + b"=",
    "padded-twice": lambda token: token + b"==",
    "padded-header": lambda token: token.replace(b".", b"=.", 1),
    "leading-space": lambda token: b" " + token,
    "trailing-space": lambda token: token + b" ",
    "trailing-newline": lambda token: token + b"\n",
    "carriage-return": lambda token: token + b"\r\n",
    "newline-inside": lambda token: token[:40] + b"\n" + token[40:],
    "space-inside": lambda token: token[:-40] + b" " + token[-40:],
    "nul-at-the-end": lambda token: token + b"\0",
    "standard-alphabet": lambda token: token.replace(b"-", b"+").replace(b"_", b"/"),
    "quoted": lambda token: b'"' + token + b'"',
    "percent-encoded": lambda token: token.replace(b".", b"%2E"),
    "fourth-part": lambda token: token + b".",
    "fourth-part-full": lambda token: token + b"." + token.split(b".")[2],
    "five-parts": lambda token: token + b".a.b",
    "leading-dot": lambda token: b"." + token,
    "two-parts": lambda token: token.rpartition(b".")[0],
    "one-part": lambda token: token.partition(b".")[0],
    "no-signature": lambda token: token.rpartition(b".")[0] + b".",
    "no-header": lambda token: b"." + token.partition(b".")[2],
    "signature-longer": lambda token: token + b"AAAA",
    "signature-shorter": lambda token: token[:-4],
    "signature-twice": lambda token: token + token.rpartition(b".")[2],
    "non-ascii-dot": lambda token: token.replace(b".", "\u3002".encode()),
    "nothing": lambda _: b"",
    "dots": lambda _: b"..",
}


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "HS256"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_spelling(issuer: Issuer, variant: str, alg: str) -> None:
    """A valid token has one spelling: whatever a lenient decoder would pass over is refused."""
    # A `-` and a `_` for the case that replaces them: claims are tried until the token has both.
    token = next(
        found
        for count in range(200)
        if b"-" in (found := issuer.token(alg, jti=count)).split(b".")[2] and b"_" in found
    )
    spoilt = VARIANTS[variant](token)
    assert spoilt != token
    assert judge(issuer, spoilt) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "HS256"])
def test_unused_bits(issuer: Issuer, alg: str) -> None:
    """Setting the bits that base64url leaves unused in the last character is another spelling, and refused."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = issuer.token(alg)
    place = alphabet.index(token[-1:])
    assert place % 4 == 0  # 32, 64 and 256 bytes all leave at least two bits unused
    assert judge(issuer, token[:-1] + alphabet[place + 1 : place + 2]) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "HS256"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bit_flips(issuer: Issuer, alg: str, data: st.DataObject) -> None:
    """One flipped bit anywhere in header, payload or signature never verifies."""
    parts = [bytearray(raw) for part in issuer.token(alg).split(b".") if (raw := decode_base64url(part))]
    part = data.draw(st.sampled_from(parts))
    place = data.draw(st.integers(0, len(part) * 8 - 1))
    part[place // 8] ^= 1 << place % 8
    assert not isinstance(judge(issuer, b".".join(b64(bytes(part)) for part in parts)), VerifiedToken)


@pytest.mark.parametrize(
    "swap",
    [
        pytest.param((1, 0, 2), id="header-and-payload"),
        pytest.param((0, 2, 1), id="payload-and-signature"),
        pytest.param((2, 1, 0), id="header-and-signature"),
    ],
)
def test_parts_swapped(issuer: Issuer, swap: tuple[int, int, int]) -> None:
    """Each part has its place."""
    parts = issuer.token().split(b".")
    assert judge(issuer, b".".join(parts[place] for place in swap)) == Reason.INVALID_CREDENTIAL


def test_payload_of_another_token(issuer: Issuer) -> None:
    """A signature holds for its own payload only."""
    mine, other = issuer.token().split(b"."), issuer.token(sub="root").split(b".")
    assert judge(issuer, b".".join((mine[0], other[1], mine[2]))) == Reason.INVALID_CREDENTIAL


def _es256(issuer: Issuer, forge: Callable[[bytes, int, int], bytes]) -> bytes:
    message = issuer.token("ES256").rpartition(b".")[0]
    der = issuer.ec_key.sign(message, ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    return message + b"." + b64(forge(der, r, s))


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda _, r, s: bytes(64), id="both-zero"),
        pytest.param(lambda _, r, s: bytes(32) + s.to_bytes(32, "big"), id="r-zero"),
        pytest.param(lambda _, r, s: r.to_bytes(32, "big") + bytes(32), id="s-zero"),
        pytest.param(lambda _, r, s: P256_ORDER.to_bytes(32, "big") * 2, id="both-the-order"),
        pytest.param(lambda _, r, s: (1).to_bytes(32, "big") * 2, id="both-one"),
        pytest.param(lambda _, r, s: b"\xff" * 64, id="all-bits"),
        pytest.param(lambda der, r, s: der, id="der"),
        pytest.param(lambda _, r, s: r.to_bytes(33, "big") + s.to_bytes(33, "big"), id="leading-zeros"),
        pytest.param(lambda _, r, s: (r.to_bytes(32, "big") + s.to_bytes(32, "big"))[:-1], id="63-bytes"),
        pytest.param(lambda _, r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\0", id="65-bytes"),
        pytest.param(lambda _, r, s: s.to_bytes(32, "big") + r.to_bytes(32, "big"), id="s-before-r"),
    ],
)
def test_es256_form(issuer: Issuer, forge: Callable[[bytes, int, int], bytes]) -> None:
    """An ES256 signature is r and s of 32 bytes each, within the order, and nothing else (RFC 7518 section 3.4)."""
    assert judge(issuer, _es256(issuer, forge)) == Reason.INVALID_CREDENTIAL


def test_es256_form_unforged(issuer: Issuer) -> None:
    """The same construction without forging verifies."""
    token = _es256(issuer, lambda _, r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert isinstance(judge(issuer, token), VerifiedToken)


def test_ed25519_non_canonical(issuer: Issuer) -> None:
    """S plus the group's order is the same number to a careless verifier (RFC 8032 section 5.1.7)."""
    message = issuer.token("EdDSA").rpartition(b".")[0]
    signature = issuer.ed_key.sign(message)
    larger = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    token = message + b"." + b64(signature[:32] + larger.to_bytes(32, "little"))
    assert judge(issuer, token) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(bytes(64), id="zero"),
        pytest.param(b"\x01" + bytes(63), id="identity-point"),
        pytest.param(bytes(63), id="63-bytes"),
        pytest.param(bytes(65), id="65-bytes"),
    ],
)
def test_ed25519_form(issuer: Issuer, signature: bytes) -> None:
    """Degenerate points and other lengths verify nothing."""
    message = issuer.token("EdDSA").rpartition(b".")[0]
    assert judge(issuer, message + b"." + b64(signature)) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(bytes(256), id="zero"),
        pytest.param(bytes(255) + b"\x01", id="one"),
        pytest.param(b"\xff" * 256, id="above-the-modulus"),
        pytest.param(bytes(255), id="255-bytes"),
        pytest.param(bytes(257), id="257-bytes"),
    ],
)
def test_rs256_form(issuer: Issuer, signature: bytes) -> None:
    """Degenerate numbers and other lengths verify nothing."""
    message = issuer.token().rpartition(b".")[0]
    assert judge(issuer, message + b"." + b64(signature)) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(
            lambda issuer, message: issuer.rsa_key.sign(
                message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
            ),
            id="pss",
        ),
        pytest.param(
            lambda issuer, message: issuer.rsa_key.sign(message, padding.PKCS1v15(), hashes.SHA512()), id="sha-512"
        ),
        pytest.param(lambda issuer, message: b"\0" + issuer.sign_bytes("RS256", message), id="leading-zero"),
    ],
)
def test_rs256_other_scheme(issuer: Issuer, sign: Callable[[Issuer, bytes], bytes]) -> None:
    """The right key with another padding or hash is not RS256."""
    message = issuer.token().rpartition(b".")[0]
    assert judge(issuer, message + b"." + b64(sign(issuer, message))) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(f'"{NOW_S + 60}"', id="text"),
        pytest.param(f"{NOW_S}.5", id="fraction"),
        pytest.param(f"{NOW_S}.0", id="whole-fraction"),
        pytest.param("1.8e9", id="exponent"),
        pytest.param("1e400", id="infinite-exponent"),
        pytest.param("-1e400", id="negative-infinite-exponent"),
        pytest.param("true", id="true"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="list"),
        pytest.param("{}", id="object"),
        pytest.param("-1", id="negative"),
        pytest.param("253402300800", id="year-10000"),
        pytest.param("9" * 300, id="300-digits"),
    ],
)
def test_time_that_is_none(issuer: Issuer, name: str, written: str) -> None:
    """A time is whole seconds within the years that can be written; nothing is converted into one."""
    payload = json.dumps(claims(**{name: ...})).encode()[:-1] + f', "{name}": {written}}}'.encode()
    assert judge(issuer, issuer.seal(HEADER, payload)) == Reason.INVALID_CREDENTIAL


NAMES_THAT_ARE_NONE = [
    pytest.param("", id="empty"),
    pytest.param("a" * 129, id="129-characters"),
    pytest.param("ana\r\nX-Sidegate-Account: user:root", id="crlf"),
    pytest.param("ana\n", id="newline"),
    pytest.param("ana\x00", id="nul"),
    pytest.param("ana\x7f", id="delete"),
    pytest.param("ana ", id="trailing-space"),
    pytest.param("an\ta", id="tab"),
    pytest.param("an\u00e1", id="accent"),
    pytest.param("\u0430na", id="cyrillic-look-alike"),
    pytest.param("ana\u200b", id="zero-width-space"),
    pytest.param("ana\ud800", id="lone-surrogate"),
    pytest.param("ana,user:root", id="comma"),
    pytest.param("ana;x", id="semicolon"),
    pytest.param('"ana"', id="quotes"),
    pytest.param("a\\na", id="backslash"),
    pytest.param(7, id="number"),
    pytest.param(None, id="null"),
    pytest.param(["ana"], id="list"),
    pytest.param(True, id="true"),
    pytest.param(..., id="absent"),
]


@pytest.mark.parametrize("name", ["sub", "sid"])
@pytest.mark.parametrize("claim", NAMES_THAT_ARE_NONE)
def test_name_that_is_none(issuer: Issuer, name: str, claim: Any) -> None:
    """Subject and session id are required, and safe to be put into a header, a log line and a list (spec 2.3)."""
    assert judge(issuer, issuer.token(**{name: claim})) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(b"short", id="short"),
        pytest.param(b"a" * 31, id="31-bytes"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\nMIIB" + b"A" * 64, id="public-key"),
        pytest.param(b"ssh-rsa " + b"A" * 64, id="ssh-key"),
        pytest.param(b' {"keys": []}' + b" " * 32, id="jwk-set"),
    ],
)
def test_secret_that_is_none(secret: bytes) -> None:
    """A shared secret is long, and no file that others know."""
    with pytest.raises(ValueError, match="use at least 32 random"):
        shared_secret(secret)


def test_empty_secret_set(issuer: Issuer) -> None:
    """Without a secret an HS256 token signed with an empty one verifies nothing."""
    message = issuer.token("HS256").rpartition(b".")[0]
    token = message + b"." + b64(hmac.digest(b"", message, "sha256"))
    assert verify_token(token, KeySet(issuer.keys().by_kid), rules(), NOW) == Reason.INVALID_CREDENTIAL


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(st.binary(max_size=40).map(b64), max_size=5).map(b".".join)))
def test_junk(issuer: Issuer, token: bytes) -> None:
    """Whatever the bytes, the answer is a reason and nothing is raised."""
    assert judge(issuer, token) == Reason.INVALID_CREDENTIAL


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CLAIM_NAMES = ["iss", "sub", "sid", "exp", "nbf", "iat", "o", "org_id", "fva", "chain", "azp", "aud"]


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(CLAIM_NAMES), JSON, min_size=1, max_size=3))
def test_signed_junk(issuer: Issuer, changes: dict[str, Any]) -> None:
    """Rightly signed claims of any type never raise, and what is accepted is safe to use."""
    found = judge(issuer, issuer.token("HS256", **changes))
    if isinstance(found, VerifiedToken):
        credential = found.credential
        text = credential.account + credential.id + credential.org + credential.surface
        assert all("!" <= char <= "~" for char in text)
    else:
        assert isinstance(found, Reason)
