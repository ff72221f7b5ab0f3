"""Looking at what the machine allows."""

import resource

import pytest
from tests.unit.app.examination.conftest import MakeSite, states

from sidegate.app.examination.check import State
from sidegate.app.examination.machine import examine_limits


def test_descriptors(make_site: MakeSite) -> None:
    """As many as clients, upstream and the rest may need."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = make_site(settings={"limits": {"connections": 1}})
    assert states(examine_limits(few))["limits-descriptors"] is State.OK
    if hard != resource.RLIM_INFINITY and hard < 1_000_000:
        many = make_site(settings={"limits": {"connections": hard}})
        assert states(examine_limits(many))["limits-descriptors"] is State.WARNING


@pytest.mark.parametrize(("workers", "state"), [(1, State.OK), (256, State.WARNING)])
def test_processors(workers: int, state: State, make_site: MakeSite) -> None:
    """One for each worker."""
    assert states(examine_limits(make_site(settings={"workers": workers})))["limits-processors"] is state


def test_every_limit_has_an_answer(make_site: MakeSite) -> None:
    """Whatever this machine tells, and what it does not."""
    found = states(examine_limits(make_site()))
    assert set(found) == {"limits-descriptors", "limits-memory", "limits-processors", "limits-queue"}
    assert State.FAILED not in found.values()
