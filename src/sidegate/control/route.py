"""One route of the admin port."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sidegate.core.model.value import value

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@value
class Route:
    """What is served where.

    Attributes:
        method: ``GET`` (with ``HEAD``) or ``POST``.
        path: As aiohttp writes it, e.g. ``/v1/decisions/{id}``.
        meaning: Half a sentence for the list of routes.
        handler: Answers; raises :class:`~sidegate.control.answers.AdminError` for what cannot be answered.
    """

    method: str
    path: str
    meaning: str
    handler: Handler

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
