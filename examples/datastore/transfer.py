"""Bytes to and from the client: conditional and ranged reads, streamed both ways."""

import asyncio
import os
import re
from http import HTTPStatus
from typing import BinaryIO, NamedTuple

from aiohttp import web
from aiohttp.streams import StreamReader

from examples.datastore.files import Expectation, OpenFile, lists_tag
from examples.datastore.problems import RefusedError, malformed

# Up to here a read from the page cache takes less time (some 15 µs) than handing it to a thread (some 100 µs).
SMALL_BYTES = 64 * 1024
BLOCK_BYTES = 256 * 1024
MAX_RANGE_DIGITS = 18

VERSION_HEADER = "X-DataStore-Version"

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*")
# Only kinds that a browser does not run: a published file must not be a page of the service's own origin.
_KINDS = {
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
    "yaml": "application/yaml",
}


class Span(NamedTuple):
    """The part of a file that is sent."""

    status: HTTPStatus
    start: int
    length: int


def expectation_of(request: web.Request) -> Expectation:
    """Return the preconditions of a write."""
    return Expectation(request.headers.get("If-Match"), request.headers.get("If-None-Match"))


async def send_file(request: web.Request, path: str, opened: OpenFile) -> web.StreamResponse:
    """Answer a GET or HEAD with an open file, and close it."""
    try:
        headers = _headers_of(path, opened)
        if _is_known(request, opened):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        span = _span_of(request, opened)
        if span.status is HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{opened.size}"
        if request.method == "HEAD":
            # aiohttp derives the length from a body, and leaves it out where that is empty.
            headers["Content-Length"] = str(span.length)
            return web.Response(status=span.status, headers=headers)
        if span.length <= SMALL_BYTES:
            body = os.pread(opened.handle, span.length, span.start)
            return web.Response(status=span.status, body=body, headers=headers)
        return await _stream(request, opened.handle, span, headers)
    finally:
        os.close(opened.handle)


async def receive(file: BinaryIO, request: web.Request) -> None:
    """Write the body of a request to a file, holding no more than a block of it."""
    if "Content-Range" in request.headers:
        # RFC 9110, 14.5: to ignore it would replace the whole file by a part of it.
        raise malformed("a write with `Content-Range` is not supported")
    block = bytearray()
    content: StreamReader = request.content
    async for chunk in content.iter_any():
        block += chunk
        if len(block) >= BLOCK_BYTES:
            await asyncio.to_thread(file.write, block)
            block = bytearray()
    file.write(block)
    file.flush()


def _headers_of(path: str, opened: OpenFile) -> dict[str, str]:
    kind = _KINDS.get(path.rpartition(".")[2], "application/octet-stream")
    headers = {"ETag": opened.etag, "Accept-Ranges": "bytes", "Content-Type": kind}
    if opened.version is not None:
        headers[VERSION_HEADER] = str(opened.version)
    return headers


def _is_known(request: web.Request, opened: OpenFile) -> bool:
    match = request.headers.get("If-Match")
    if match is not None and not lists_tag(match, opened.etag):
        raise RefusedError(HTTPStatus.PRECONDITION_FAILED, "the file is not in the state named by If-Match")
    none_match = request.headers.get("If-None-Match")
    # RFC 9110, 13.1.2: on reads the comparison is weak, so the mark of a weak tag is left out.
    return none_match is not None and lists_tag(none_match.replace("W/", ""), opened.etag)


def _span_of(request: web.Request, opened: OpenFile) -> Span:
    whole = Span(HTTPStatus.OK, 0, opened.size)
    header = request.headers.get("Range")
    if header is None or request.method != "GET":
        return whole
    if request.headers.get("If-Range", opened.etag) != opened.etag:
        return whole
    # Several ranges or another unit: RFC 9110, 14.2 lets a server send the whole file instead.
    found = _RANGE.fullmatch(header)
    if found is None:
        return whole
    first, last = found.groups()
    if not (first or last) or len(first) > MAX_RANGE_DIGITS or len(last) > MAX_RANGE_DIGITS:
        return whole
    if first and last and int(last) < int(first):
        return whole
    start, end = _bounds(first, last, opened.size)
    if start >= end:
        raise RefusedError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "the range lies outside the file",
            {"Content-Range": f"bytes */{opened.size}"},
        )
    return Span(HTTPStatus.PARTIAL_CONTENT, start, end - start)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


async def _stream(request: web.Request, handle: int, span: Span, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(status=span.status, headers=headers)
    response.content_length = span.length
    await response.prepare(request)
    offset, left = span.start, span.length
    while left:
        block = await asyncio.to_thread(os.pread, handle, min(left, BLOCK_BYTES), offset)
        if not block:
            # Cut the connection rather than end the body early: a short file must not be taken for a whole one.
            raise ConnectionError("the file became shorter while it was sent")
        await response.write(block)
        offset += len(block)
        left -= len(block)
    await response.write_eof()
    return response
