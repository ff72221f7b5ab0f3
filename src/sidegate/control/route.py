"""One route of the admin port."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sidegate.core.model.value import value

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@value
class Route:
    """What is served where.

    Attributes:
        method: ``GET`` (with ``HEAD``), ``POST``, or ``*`` for any.
        path: As aiohttp writes it, e.g. ``/v1/decisions/{id}``.
        meaning: Half a sentence for the list of routes.
        handler: Answers; raises :class:`~sidegate.control.answers.AdminError` for what cannot be answered.
        is_relayed: What comes is somebody else's request, passed on: its Host, its Origin and its type say nothing
            about whoever asks here.
    """

    method: str
    path: str
    meaning: str
    handler: Handler
    is_relayed: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
