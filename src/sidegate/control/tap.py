"""`/v1/tap`: decisions as they are recorded, for people who watch (spec 6.4, ``tap``)."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import orjson
from aiohttp import web

from sidegate.audit.tap import Catch, SpoolTap
from sidegate.control.answers import AdminError
from sidegate.control.route import Route
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import parse_scope
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.record import RecordKind

MAX_TAPS: Final = 4
"""Open at a time: each costs up to one percent of a core."""
LOOK_EVERY_S: Final = 0.2
HEARTBEAT_S: Final = 15.0
"""After so long without a record an empty line is sent, so that a watcher that went away is noticed."""
WRITE_DEADLINE_S: Final = 10.0
"""A watcher that does not read for so long is let go."""

_TYPE: Final = "application/x-ndjson"
_Choice = TypeVar("_Choice", bound=StrEnum)


def read_filter(request: web.Request) -> RecordFilter:
    """Read which records a request asks for.

    Raises:
        AdminError: A parameter is unknown, comes twice, or has a value that there is not.
    """
    asked = request.query
    for name in asked:
        if name not in _PARAMETERS:
            raise AdminError(
                HTTPStatus.BAD_REQUEST, f"`{name[:64]}` is no filter", f"these there are: {', '.join(_PARAMETERS)}"
            )
        if len(asked.getall(name)) > 1:
            raise AdminError(HTTPStatus.BAD_REQUEST, f"`{name}` stands in the query twice", "write it once")
    target = asked.get("target")
    try:
        scope = None if target is None else parse_scope(target)
    except NamingError as error:
        raise AdminError(HTTPStatus.BAD_REQUEST, f"`target`: {error}", "write a scope, e.g. p1@main") from None
    kinds = {RecordKind.DECISION}
    if _is_on(asked.get("completions"), "completions"):
        kinds.add(RecordKind.COMPLETION)
    if _is_on(asked.get("anomalies"), "anomalies"):
        kinds.add(RecordKind.ANOMALY)
    return RecordFilter(
        org=asked.get("org"),
        actor=asked.get("actor"),
        authority=_one_of(Authority, asked.get("authority"), "authority"),
        target=scope,
        outcome=_one_of(Outcome, asked.get("outcome"), "outcome"),
        reason=_one_of(Reason, asked.get("reason"), "reason"),
        is_divergent=True if _is_on(asked.get("divergent"), "divergent") else None,
        kinds=frozenset(kinds),
    )


_PARAMETERS: Final = (
    *("org", "actor", "authority", "target", "outcome", "reason", "divergent", "completions", "anomalies"),
)


def _one_of(kind: type[_Choice], written: str | None, name: str) -> _Choice | None:
    if written is None:
        return None
    try:
        return kind(written)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise AdminError(HTTPStatus.BAD_REQUEST, f"`{name}` has no such value", f"these there are: {known}") from None


def _is_on(written: str | None, name: str) -> bool:
    if written not in {None, "true", "false"}:
        raise AdminError(HTTPStatus.BAD_REQUEST, f"`{name}` is neither true nor false", "write true, or leave it out")
    return written == "true"


class Taps:
    """Streams records to who watches.

    Args:
        spool: Where they are written; None if they are kept in memory only.
        stopping: Set when the process is about to end: nobody may hold it up.
    """

    __slots__ = ("_open", "_spool", "_stopping")

    def __init__(self, spool: Path | None, stopping: asyncio.Event) -> None:
        self._spool = spool
        self._stopping = stopping
        self._open = 0

    async def tap(self, request: web.Request) -> web.StreamResponse:
        """Stream one record to a line, as it is in the spool, until either side ends it.

        A line ``{"tap":{"skipped":N}}`` says that N records came faster than they could be looked at.
        """
        wanted = read_filter(request)
        if self._spool is None:
            raise AdminError(
                HTTPStatus.CONFLICT, "records are kept in memory only", "set `audit.durability` to process or host"
            )
        if self._open >= MAX_TAPS:
            raise AdminError(
                HTTPStatus.TOO_MANY_REQUESTS, f"{MAX_TAPS} taps are open already", "end one of them, then try again"
            )
        response = web.StreamResponse(headers={"Content-Type": _TYPE})
        if request.method == "HEAD":
            return response
        self._open += 1
        try:
            tap = await asyncio.to_thread(SpoolTap, self._spool, wanted)
            await response.prepare(request)
            await self._pour(tap.look, request, response)
        except (ConnectionError, TimeoutError):
            pass  # the watcher went away, or does not read
        finally:
            self._open -= 1
        return response

    async def _pour(self, look: Callable[[], Catch], request: web.Request, response: web.StreamResponse) -> None:
        silent_s = HEARTBEAT_S  # so that the first look answers at once, whatever it finds: the tap is open
        while not self._stopping.is_set() and request.transport is not None:
            text = _lines_of(await asyncio.to_thread(look))
            if text or silent_s >= HEARTBEAT_S:
                silent_s = 0.0
                async with asyncio.timeout(WRITE_DEADLINE_S):
                    await response.write(text or b"\n")
            silent_s += LOOK_EVERY_S
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""
        return (Route("GET", "/v1/tap", "decisions as they are recorded; ?outcome=deny and the like", self.tap),)


def _lines_of(catch: Catch) -> bytes:
    text = b"".join(catch.lines)
    if catch.skipped:
        text += orjson.dumps({"tap": {"skipped": catch.skipped}}, option=orjson.OPT_APPEND_NEWLINE)
    return text
