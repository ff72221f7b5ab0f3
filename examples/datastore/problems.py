"""Errors as RFC 9457 problem documents, mapped to statuses in one place."""

import errno
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

log = logging.getLogger("datastore")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_TYPE = "application/problem+json"
# Not a status of HTTP: what access logs commonly show for a client that went away (nginx made it up).
CLIENT_GONE = 499

# What the disk says, as the client should hear it.
_STATUS_OF_ERRNO = {
    errno.ENOENT: (HTTPStatus.CONFLICT, "something the operation needs was removed while it went on; try again"),
    errno.ENAMETOOLONG: (HTTPStatus.BAD_REQUEST, "the path is longer than this disk can hold"),
    errno.ENOSPC: (HTTPStatus.INSUFFICIENT_STORAGE, "the disk is full"),
    errno.EDQUOT: (HTTPStatus.INSUFFICIENT_STORAGE, "the disk quota is used up"),
}


class RefusedError(Exception):
    """One refusal, carrying what the client is told."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def malformed(detail: str) -> RefusedError:
    """Make the refusal of a request that cannot be read."""
    return RefusedError(HTTPStatus.BAD_REQUEST, detail)


def missing(detail: str) -> RefusedError:
    """Make the refusal of a request for what is not there."""
    return RefusedError(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str) -> RefusedError:
    """Make the refusal of a request that the present state does not permit."""
    return RefusedError(HTTPStatus.CONFLICT, detail)


def unprocessable(detail: str) -> RefusedError:
    """Make the refusal of a request that is well formed and still cannot be computed."""
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def problem_response(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Write a problem document."""
    document = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    body = json.dumps(document, ensure_ascii=False).encode()
    return web.Response(status=status, body=body, content_type=PROBLEM_TYPE, headers=headers)


def _of_http_exception(exc: web.HTTPException) -> web.Response:
    headers = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None
    return problem_response(HTTPStatus(exc.status), exc.reason or "", headers)


def _of_os_error(request: web.Request, exc: OSError) -> web.Response:
    known = _STATUS_OF_ERRNO.get(exc.errno or 0)
    if known is None:
        return _of_fault(request, exc)
    return problem_response(*known)


def _of_fault(request: web.Request, exc: Exception) -> web.Response:
    log.error("%s %s failed", request.method, request.path, exc_info=exc)
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; its log says why")


@web.middleware
async def problems_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem document."""
    try:
        return await handler(request)
    except RefusedError as exc:
        return problem_response(exc.status, exc.detail, exc.headers)
    except web.HTTPException as exc:
        return _of_http_exception(exc)
    except ConnectionError:
        # Cut, so that a truncated body is never taken for a whole one; the response below is only for the access log.
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=CLIENT_GONE)
    except OSError as exc:
        return _of_os_error(request, exc)
    except Exception as exc:  # noqa: BLE001 - the outermost rim: logged with its trace, answered as 500
        return _of_fault(request, exc)
