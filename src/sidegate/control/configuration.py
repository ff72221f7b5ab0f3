"""`/v1/config`: the settings in force, secrets masked (spec 6.6)."""

from collections.abc import Callable, Mapping

from aiohttp import web

from sidegate.control.answers import json_answer
from sidegate.control.route import Route

MaskedSettings = Callable[[], Mapping[str, object]]
"""Returns the settings as plain values for JSON, every secret replaced. What is masked is config's to know."""


class Configuration:
    """What this process was told.

    Args:
        masked: The settings.
    """

    __slots__ = ("_masked",)

    def __init__(self, masked: MaskedSettings) -> None:
        self._masked = masked

    async def config(self, _request: web.Request) -> web.Response:
        """Answer the settings in force, defaults filled in."""
        return json_answer(self._masked())

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (Route("GET", "/v1/config", "the settings in force, secrets masked", self.config),)
