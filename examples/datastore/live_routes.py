"""HTTP for changes as they happen: an event stream and a WebSocket."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from examples.datastore.branches import Branches
from examples.datastore.feed import Change, Feed, Feeds
from examples.datastore.requests import project_of
from examples.datastore.tree_routes import PROJECT

LOST = b"event: lost\ndata: {}\n\n"
HEARTBEAT = b": still here\n\n"
OPENED = b": open\n\n"


class LiveRoutes:
    """Serves the changes of a project to whoever stays connected."""

    def __init__(self, branches: Branches, feeds: Feeds, heartbeat_s: float) -> None:
        self._branches = branches
        self._feeds = feeds
        self._heartbeat_s = heartbeat_s
        self._sockets: set[web.WebSocketResponse] = set()

    def routes(self) -> Iterable[web.RouteDef]:
        """List the routes."""
        return [
            web.get(f"{PROJECT}/events", self.stream_events, allow_head=False),
            web.get(f"{PROJECT}/live", self.open_socket, allow_head=False),
        ]

    async def close(self, _: web.Application) -> None:
        """End every stream, so that the service can stop."""
        self._feeds.close()
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def stream_events(self, request: web.Request) -> web.StreamResponse:
        """Send changes as server-sent events, from Last-Event-ID on if it is still known."""
        feed = self._feed_of(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        # The client is gone; there is nobody to tell.
        with suppress(ConnectionError):
            await self._send_events(response, feed, request.headers.get("Last-Event-ID"))
        return response

    async def open_socket(self, request: web.Request) -> web.StreamResponse:
        """Send changes as JSON texts; answer `ping` with `pong` and any binary message with itself."""
        feed = self._feed_of(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        sender = asyncio.create_task(self._send_changes(socket, feed))
        try:
            async for message in socket:
                await _answer(socket, message)
        finally:
            self._sockets.discard(socket)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return socket

    def _feed_of(self, request: web.Request) -> Feed:
        org, project = project_of(request)
        self._branches.list_branches(org, project)
        return self._feeds.of(org, project)

    async def _send_events(self, response: web.StreamResponse, feed: Feed, last_event_id: str | None) -> None:
        position = feed.position if last_event_id is None else feed.position_of(last_event_id)
        # Sent at once: the client then knows that it will miss nothing from here on.
        await response.write(OPENED)
        while not self._feeds.closed:
            changes = None if position is None else feed.since(position)
            if changes is None:
                await response.write(LOST)
                position = feed.position
                continue
            if changes:
                await response.write(b"".join(map(_write_event, changes)))
            position = (position or 0) + len(changes)
            if not await feed.wait(position, self._heartbeat_s):
                await response.write(HEARTBEAT)

    async def _send_changes(self, socket: web.WebSocketResponse, feed: Feed) -> None:
        position = feed.position
        await socket.send_str('{"event":"open"}')
        while not socket.closed:
            changes = feed.since(position)
            if changes is None:
                await socket.send_str('{"event":"lost"}')
                position = feed.position
                continue
            for change in changes:
                await socket.send_str(_write_message(change))
            position += len(changes)
            await feed.wait(position, self._heartbeat_s)


async def _answer(socket: web.WebSocketResponse, message: WSMessage) -> None:
    if message.type is WSMsgType.BINARY:
        await socket.send_bytes(message.data)
    elif message.type is WSMsgType.TEXT and message.data == "ping":
        await socket.send_str("pong")


def _write_event(change: Change) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (change.id.encode(), change.event.encode(), change.data)


def _write_message(change: Change) -> str:
    return orjson.dumps({"id": change.id, "event": change.event, "data": orjson.Fragment(change.data)}).decode()
