"""Looking at the key set."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer, write_jwks
from tests.unit.app.examination.conftest import MakeSite, states

from sidegate.app.examination.check import State
from sidegate.app.examination.key_sets import examine_jwks

ISSUER = "https://issuer.example"
WEAK = {"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}


def _signed(**changed: Any) -> dict[str, Any]:
    written = {
        "issuer": ISSUER,
        "jwks": "file:jwks.json",
        "algorithms": ["RS256"],
        "authorized_parties": ["https://app.example"],
    }
    return {"sessions": {"signed": written | changed}}


async def test_all_is_well(make_site: MakeSite, tmp_path: Path) -> None:
    """A key for the algorithm, and tokens of one application."""
    write_jwks(tmp_path / "jwks.json", Issuer(ISSUER))
    assert set(states(await examine_jwks(make_site(settings=_signed()))).values()) == {State.OK}


@pytest.mark.parametrize(
    ("document", "check", "state"),
    [
        pytest.param(None, "jwks-there", State.FAILED, id="gone"),
        pytest.param("<html>", "jwks-there", State.FAILED, id="no-key-set"),
        pytest.param({"keys": []}, "jwks-usable", State.FAILED, id="empty"),
        pytest.param({"keys": [WEAK]}, "jwks-clean", State.WARNING, id="weak"),
    ],
)
async def test_key_sets(document: object, check: str, state: State, make_site: MakeSite, tmp_path: Path) -> None:
    """What cannot be read, and what verifies nothing."""
    path = tmp_path / "jwks.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    site = make_site(settings=_signed())
    if document is None:
        path.unlink()
    assert states(await examine_jwks(site))[check] is state


async def test_algorithm_without_a_key(make_site: MakeSite, tmp_path: Path) -> None:
    """Tokens of the others verify: it is a warning."""
    write_jwks(tmp_path / "jwks.json", Issuer(ISSUER))
    site = make_site(settings=_signed(algorithms=["RS256", "ES256"]))
    assert states(await examine_jwks(site))["jwks-usable"] is State.WARNING


async def test_tokens_for_any_application(make_site: MakeSite, tmp_path: Path) -> None:
    """Of the same issuer: worth a thought."""
    write_jwks(tmp_path / "jwks.json", Issuer(ISSUER))
    site = make_site(settings=_signed(authorized_parties=[]))
    assert states(await examine_jwks(site))["jwks-issued"] is State.WARNING


async def test_without_a_key_set(make_site: MakeSite) -> None:
    """A shared secret, or no signed sessions at all."""
    assert set(states(await examine_jwks(make_site())).values()) == {State.SKIPPED}
    secret = {"issuer": ISSUER, "algorithms": ["HS256"], "secret": "x" * 32}
    found = states(await examine_jwks(make_site(settings={"sessions": {"signed": secret}})))
    assert (found["jwks-there"], found["jwks-issued"]) == (State.SKIPPED, State.WARNING)
