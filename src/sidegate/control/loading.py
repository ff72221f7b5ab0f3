"""Has fetched what a question of the admin port is about, before it is put to the engine (spec 5.2)."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from sidegate.control.answers import AdminError
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import UnixMillis
from sidegate.distribution.ports import Fetched, PolicySource

_FETCHES: Final = 4


async def load_subject(policies: PolicySource, org: str, account: str) -> None:
    """Wait until *account* of *org* can be decided or explained.

    Raises:
        AdminError: 503: it cannot be had at present.
    """
    for _ in range(_FETCHES):
        want = policies.missing(org, account, 0)
        if want is None:
            return
        told: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        policies.fetch(want, told.set_result)
        if await told is not Fetched.READY:
            break
    raise _unavailable()


def require_fresh(policies: PolicySource, org: str, authorities: Iterable[Authority], now: UnixMillis) -> None:
    """Refuse to decide by what is older than it may be (spec 5.4).

    Raises:
        AdminError: 503.
    """
    if now >= policies.stale_after and policies.is_too_old(org, authorities, now):
        raise _unavailable()


def _unavailable() -> AdminError:
    return AdminError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the policy about it is not here",
        "retry in a second; `/v1/snapshot` says why",
        {"reason": Reason.POLICY_UNAVAILABLE.value, "retry_after_s": 1},
    )
