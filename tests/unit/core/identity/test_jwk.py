"""Key sets: which keys are used, which are skipped, which sets are refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.core.identity.issuer import ALL, NOW, Issuer, number

from sidegate.core.identity.jwk import (
    MAX_KEYS,
    NO_KEYS,
    Algorithm,
    KeySet,
    VerificationKey,
    parse_jwks,
    shared_secret,
)
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import UnixMillis


def document(*keys: object) -> bytes:
    """Write a set."""
    return json.dumps({"keys": keys}).encode()


def test_whole_set(issuer: Issuer) -> None:
    """One key of each kind is used, each for its one algorithm."""
    found, skipped = parse_jwks(issuer.jwks(), ALL, UnixMillis(7))
    expected = {"rsa": Algorithm.RS256, "ec": Algorithm.ES256, "ed": Algorithm.EDDSA}
    assert expected == {kid: key.algorithm for kid, key in found.by_kid.items()}
    assert ((), UnixMillis(7), None) == (skipped, found.usable_until, found.shared)


def _rsa(key: rsa.RSAPublicKey) -> dict[str, Any]:
    numbers = key.public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    return {"kty": "RSA", "kid": "k", "n": number(numbers.n, size), "e": "AQAB"}


Change = Callable[[Issuer], object]


def _changed(name: str, /, **members: Any) -> Change:
    """Return a key with *members* laid over it; ``...`` takes one out."""
    return lambda issuer: {member: entry for member, entry in (issuer.jwk(name) | members).items() if entry is not ...}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_changed("rsa", alg=...), id="alg-absent"),
        pytest.param(_changed("rsa", use=...), id="use-absent"),
        pytest.param(_changed("rsa", key_ops=["verify"]), id="for-verifying"),
        pytest.param(_changed("ec", alg="ES256"), id="alg-equal"),
        pytest.param(_changed("rsa", x5c=["MIIB"], x5t="abc"), id="certificates-are-not-looked-at"),
        pytest.param(_changed("rsa", kid="k" * 256), id="longest-kid"),
    ],
)
def test_used(issuer: Issuer, change: Change) -> None:
    """What a set may leave out or add without the key being another."""
    found, skipped = parse_jwks(document(change(issuer)), ALL)
    assert (len(found.by_kid), skipped) == (1, ())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: "key", id="text"),
        pytest.param(lambda _: None, id="null"),
        pytest.param(_changed("rsa", kid=...), id="no-kid"),
        pytest.param(_changed("rsa", kid=""), id="empty-kid"),
        pytest.param(_changed("rsa", kid=7), id="number-kid"),
        pytest.param(_changed("rsa", kid="k" * 257), id="long-kid"),
        pytest.param(_changed("rsa", kid="\ud800", kty="x"), id="surrogate-kid"),
        pytest.param(_changed("rsa", use="enc"), id="for-encryption"),
        pytest.param(_changed("rsa", use=None), id="null-use"),
        pytest.param(_changed("rsa", key_ops=["encrypt"]), id="not-for-verifying"),
        pytest.param(_changed("rsa", key_ops="verify"), id="operations-are-a-text"),
        pytest.param(_changed("rsa", d="AQAB"), id="private-rsa"),
        pytest.param(_changed("ed", d="AQAB"), id="private-ed25519"),
        pytest.param(lambda _: {"kty": "oct", "kid": "k", "k": "AAAA"}, id="symmetric"),
        pytest.param(_changed("rsa", kty="oct"), id="unknown-type"),
        pytest.param(_changed("rsa", kty=["RSA"]), id="list-type"),
        pytest.param(_changed("rsa", kty=...), id="no-type"),
        pytest.param(_changed("rsa", alg="PS256"), id="other-algorithm"),
        pytest.param(_changed("rsa", alg="HS256"), id="hmac"),
        pytest.param(_changed("rsa", alg=None), id="null-algorithm"),
        pytest.param(_changed("rsa", n=...), id="no-modulus"),
        pytest.param(_changed("rsa", n=7), id="number-modulus"),
        pytest.param(_changed("rsa", n=""), id="empty-modulus"),
        pytest.param(_changed("rsa", n="AQ=="), id="padded-modulus"),
        pytest.param(_changed("rsa", n="A" * 2731), id="modulus-above-8192-bits-of-zero"),
        pytest.param(_changed("rsa", n="_" * 1368), id="modulus-above-8192-bits"),
        pytest.param(_changed("rsa", e="Aw"), id="exponent-3"),
        pytest.param(_changed("rsa", e="AQAA"), id="exponent-even"),
        pytest.param(_changed("rsa", e="AQAAAAE"), id="exponent-above-32-bits"),
        pytest.param(lambda _: _rsa(rsa.generate_private_key(65537, 1024).public_key()), id="rsa-1024"),
        pytest.param(_changed("ec", crv="P-384"), id="other-curve"),
        pytest.param(_changed("ec", crv="secp256k1"), id="bitcoin-curve"),
        pytest.param(_changed("ec", crv=...), id="no-curve"),
        pytest.param(_changed("ec", x=number(5, 32)), id="point-off-the-curve"),
        pytest.param(_changed("ec", x=number(5, 31)), id="short-coordinate"),
        pytest.param(_changed("ec", x=number(0, 32), y=number(0, 32)), id="point-zero"),
        pytest.param(_changed("ed", crv="X25519"), id="key-agreement"),
        pytest.param(_changed("ed", crv="Ed448"), id="ed448"),
        pytest.param(_changed("ed", x=number(5, 31)), id="short-ed25519"),
        pytest.param(_changed("ed", x="\u00e9"), id="not-ascii"),
        pytest.param(_changed("ed", x="\ud800"), id="lone-surrogate"),
    ],
)
def test_skipped(issuer: Issuer, change: Change) -> None:
    """A key that is not for us, weak or malformed is skipped and named; the others are used all the same."""
    found, skipped = parse_jwks(document(change(issuer), issuer.jwk("ec") | {"kid": "good"}), ALL)
    assert ({"good"}, [0]) == (set(found.by_kid), [key.place for key in skipped])
    assert skipped[0].kid.isascii()
    assert skipped[0].why


def test_curve_points_of_another_curve(issuer: Issuer) -> None:
    """Coordinates of a P-384 point are not 32 bytes, whatever curve is claimed."""
    point = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    jwk = issuer.jwk("ec") | {"x": number(point.x, 48), "y": number(point.y, 48)}
    assert parse_jwks(document(jwk), ALL)[0].by_kid == {}


def test_algorithm_not_allowed(issuer: Issuer) -> None:
    """A key of an algorithm that is not on the list is not even read."""
    found, skipped = parse_jwks(issuer.jwks(), frozenset({Algorithm.ES256}))
    assert ({"ec"}, ["rsa", "ed"]) == (set(found.by_kid), [key.kid for key in skipped])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(b"", "not a JSON object", id="empty"),
        pytest.param(b"<html>", "not a JSON object", id="html"),
        pytest.param(b"[]", "not a JSON object", id="list"),
        pytest.param(b"{}", "not a JSON object", id="no-keys"),
        pytest.param(b'{"keys": {}}', "not a JSON object", id="keys-is-an-object"),
        pytest.param(b'{"keys": [], "keys": []}', "not a JSON object", id="keys-twice"),
        pytest.param(document(*[{}] * (MAX_KEYS + 1)), "more than 100", id="too-many"),
        pytest.param(document({"kid": "a"}, {"kid": "b"}, {"kid": "a"}), "'a' twice", id="kid-twice"),
    ],
)
def test_set_refused(text: bytes, what: str) -> None:
    """What is no set, or names one key id twice, is refused as a whole."""
    with pytest.raises(DependencyError, match=what):
        parse_jwks(text, ALL)


def test_kid_twice_among_skipped(issuer: Issuer) -> None:
    """A key id that stands twice is refused even if one of the two would be skipped."""
    with pytest.raises(DependencyError, match="twice"):
        parse_jwks(document(issuer.jwk("ec"), {"kid": "ec", "kty": "oct"}), ALL)


def test_thumbprints(issuer: Issuer) -> None:
    """Equal keys have equal thumbprints whatever they are called, different ones differ."""
    one, _ = parse_jwks(document(issuer.jwk("rsa"), issuer.jwk("rsa") | {"kid": "again"}, issuer.jwk("ec")), ALL)
    other, _ = parse_jwks(document(Issuer().jwk("rsa")), ALL)
    assert one.by_kid["rsa"].thumbprint == one.by_kid["again"].thumbprint
    prints = {one.by_kid["rsa"].thumbprint, one.by_kid["ec"].thumbprint, other.by_kid["rsa"].thumbprint}
    assert len(prints) == 3


def test_still_holds(issuer: Issuer) -> None:
    """A key holds while the present set has it under the same id; another key under that id is not it."""
    keys = issuer.keys()
    key = keys.by_kid["rsa"]
    replaced, _ = parse_jwks(document(Issuer().jwk("rsa")), ALL)
    rotated = KeySet({"ec": keys.by_kid["ec"]})
    lapsed = KeySet(keys.by_kid, usable_until=NOW)
    held = [found.still_holds(key, NOW) for found in (keys, replaced, rotated, lapsed, NO_KEYS)]
    assert held == [True, False, False, False, False]


def test_shared_secret_still_holds(issuer: Issuer) -> None:
    """The shared secret holds while it is the same, however old the public keys are."""
    secret = shared_secret(b"a" * 32)
    assert KeySet({}, secret, UnixMillis(0)).still_holds(secret, NOW)
    assert not issuer.keys().still_holds(secret, NOW)


_MESSAGE = b"header.payload"


def _raw_signature(key: ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    """Return r || s of RFC 7518 and the DER of the same signature."""
    der = key.sign(_MESSAGE, ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big"), der


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        pytest.param(lambda raw, _: raw, True, id="as-signed"),
        pytest.param(lambda _, der: der, False, id="der"),
        pytest.param(lambda raw, _: raw + b"\0", False, id="a-byte-more"),
        pytest.param(lambda raw, _: b"\0" + raw, False, id="a-byte-before"),
        pytest.param(lambda raw, _: raw[:63], False, id="a-byte-less"),
        pytest.param(lambda raw, _: bytes(64), False, id="both-zero"),
        pytest.param(lambda raw, _: bytes(32) + raw[32:], False, id="r-zero"),
        pytest.param(lambda raw, _: raw[:32] + bytes(32), False, id="s-zero"),
        pytest.param(lambda raw, _: b"\xff" * 64, False, id="beyond-the-order"),
        pytest.param(lambda raw, _: raw[32:] + raw[:32], False, id="changed-places"),
    ],
)
def test_es256_signature_form(change: Callable[[bytes, bytes], bytes], holds: bool) -> None:
    """Only r and s of 32 bytes each are a signature of ES256 (RFC 7518 section 3.4), and never those that hold for
    any message."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = VerificationKey("k", Algorithm.ES256, private.public_key(), b"")
    assert key.verifies(_MESSAGE, change(*_raw_signature(private))) is holds


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 64, 65, 255, 257, 512])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_signatures_of_any_length(issuer: Issuer, algorithm: Algorithm, length: int) -> None:
    """A signature of another length than the algorithm's is one that does not hold, never an error."""
    keys = issuer.keys()
    assert keys.shared is not None
    for key in (*keys.by_kid.values(), keys.shared):
        if key.algorithm is algorithm:
            assert not key.verifies(_MESSAGE, b"\1" * length)
