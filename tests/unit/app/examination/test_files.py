"""Looking at configuration, policy and routes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.examination.conftest import ACME, ROUTES, MakeSite, details, states

from sidegate.app.examination.check import State
from sidegate.app.examination.files import examine_configuration, examine_policy, examine_routes
from sidegate.core.model.errors import Problem

ENDING = ACME + '  - {id: b2, who: user:ana, role: Viewer, on: p2, not_after: "2027-01-20T00:00:00Z"}\n'


def test_all_is_well(make_site: MakeSite) -> None:
    """Nothing to say."""
    site = make_site()
    found = [*examine_configuration(site), *examine_policy(site), *examine_routes(site)]
    assert set(states(found).values()) == {State.OK}


@pytest.mark.parametrize(
    ("settings", "check", "state"),
    [
        pytest.param({"admin": "0.0.0.0:9090"}, "admin-private", State.WARNING, id="admin-on-every-address"),
        pytest.param({"admin": "unix:admin.sock"}, "admin-private", State.OK, id="admin-on-a-socket"),
        pytest.param({"listen": "192.0.2.1:8080"}, "data-port-free", State.FAILED, id="address-of-somebody-else"),
        pytest.param({"listen": "unix:data.sock"}, "data-port-free", State.SKIPPED, id="unix-socket"),
        pytest.param({"forwarding": {"credentials": "pass"}}, "credentials-stripped", State.WARNING, id="passed-on"),
    ],
)
def test_settings(settings: dict[str, Any], check: str, state: State, make_site: MakeSite) -> None:
    """What is allowed and still worth a thought is a warning; what cannot work is a failure."""
    assert states(examine_configuration(make_site(settings=settings)))[check] is state


def test_problems_of_any_file(make_site: MakeSite) -> None:
    """The number, and the first of them."""
    site = replace(make_site(), problems=(Problem(None, "routes", "is gone", "write it"),))
    assert states(examine_configuration(site))["files-usable"] is State.FAILED
    assert "1 problems; the first: `routes` is gone; write it" in details(examine_configuration(site))


def test_secret_that_everybody_can_read(make_site: MakeSite, tmp_path: Path) -> None:
    """Named, so that its rights can be taken away."""
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o600)
    site = make_site(settings={"policy": {"source": "redis://127.0.0.1:1", "password_file": "password"}})
    assert states(examine_configuration(site))["secrets-private"] is State.OK
    secret.chmod(0o604)
    assert states(examine_configuration(site))["secrets-private"] is State.WARNING
    assert f"everybody can read {secret}" in details(examine_configuration(site))


@pytest.mark.parametrize(
    ("policy", "check", "state"),
    [
        pytest.param("organization: acme\n", "policy-there", State.WARNING, id="nobody"),
        pytest.param(ACME.replace("Viewer", "Viewr"), "policy-clean", State.WARNING, id="unknown-role"),
        pytest.param(ENDING, "policy-lasts", State.WARNING, id="ends-soon"),
        pytest.param(ENDING.replace("2027-01-20", "2027-03-20"), "policy-lasts", State.OK, id="ends-later"),
    ],
)
def test_policy(policy: str, check: str, state: State, make_site: MakeSite) -> None:
    """Whatever fails safe is a warning: the sidecar starts with it."""
    assert states(examine_policy(make_site(policy=policy)))[check] is state


def test_policy_in_redis_is_looked_at_there(make_site: MakeSite) -> None:
    """And not here."""
    site = make_site(settings={"policy": {"source": "redis://127.0.0.1:1"}})
    assert set(states(examine_policy(site)).values()) == {State.SKIPPED}


def test_no_usable_policy_and_routes(make_site: MakeSite) -> None:
    """The failure is told once; what builds on it is passed over."""
    site = replace(make_site(), policies=None, routes=None)
    assert list(states(examine_policy(site)).values()) == [State.FAILED, State.SKIPPED, State.SKIPPED]
    assert list(states(examine_routes(site)).values()) == [State.FAILED, State.SKIPPED]


@pytest.mark.parametrize(
    ("route", "state"),
    [
        pytest.param("- {get: /a, public: true}\n", State.OK, id="one-path"),
        pytest.param('- {get: "/a/{b}", public: true}\n', State.OK, id="one-level"),
        pytest.param('- {get: "/a/{b*}", public: true}\n', State.WARNING, id="a-tree"),
        pytest.param("- {post: /a, public: true}\n", State.WARNING, id="a-change"),
    ],
)
def test_public_routes(route: str, state: State, make_site: MakeSite) -> None:
    """Whoever comes gets what they cover."""
    assert states(examine_routes(make_site(routes=ROUTES + route)))["routes-public"] is state


def test_no_route(make_site: MakeSite) -> None:
    """Every request would be refused."""
    assert states(examine_routes(make_site(routes="[]\n")))["routes-there"] is State.FAILED
