"""Questions of the admin port wait for the policy that they are about."""

from collections.abc import Iterable

import pytest

from sidegate.control.answers import AdminError
from sidegate.control.loading import load_subject, require_fresh
from sidegate.core.model.authority import Authority
from sidegate.core.model.units import UnixMillis
from sidegate.distribution.holder import SnapshotHolder
from sidegate.distribution.ports import Fetched, OnFetched, Want


class _Far(SnapshotHolder):
    """A source that has to fetch so many times, with the same answer each time."""

    def __init__(self, fetches: int, answer: Fetched) -> None:
        super().__init__()
        self.left = fetches
        self.answer = answer

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """Missing until it was fetched."""
        return Want(org, account, revision) if self.left else None

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        """Answer in the next turn."""
        self.left -= 1
        super().fetch(want, lambda _: on_fetched(self.answer), waited_ms)


class _Old(SnapshotHolder):
    """A source whose policy is too old for writing."""

    @property
    def stale_after(self) -> UnixMillis:
        """Some instant."""
        return UnixMillis(10)

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """Whether writing is asked for."""
        return Authority.WRITE in authorities


@pytest.mark.parametrize("fetches", [0, 1, 3])
async def test_loaded(fetches: int) -> None:
    """What is there, or comes, may be decided."""
    source = _Far(fetches, Fetched.READY)
    await load_subject(source, "acme", "user:ana")
    assert source.left == 0


@pytest.mark.parametrize(
    ("fetches", "answer"),
    [
        pytest.param(1, Fetched.UNAVAILABLE, id="cannot-be-had"),
        pytest.param(1, Fetched.BEHIND, id="behind"),
        pytest.param(9, Fetched.READY, id="goes-again-and-again"),
    ],
)
async def test_not_loaded(fetches: int, answer: Fetched) -> None:
    """What cannot be had is answered with 503, never decided."""
    with pytest.raises(AdminError, match="policy about it is not here") as caught:
        await load_subject(_Far(fetches, answer), "acme", "user:ana")
    assert (caught.value.status, caught.value.more["reason"]) == (503, "policy_unavailable")


def test_age() -> None:
    """A policy that is too old for what is asked decides nothing; for anything else it does."""
    require_fresh(_Old(), "acme", [Authority.WRITE], UnixMillis(9))
    require_fresh(_Old(), "acme", [Authority.READ], UnixMillis(10))
    with pytest.raises(AdminError):
        require_fresh(_Old(), "acme", [Authority.WRITE], UnixMillis(10))
