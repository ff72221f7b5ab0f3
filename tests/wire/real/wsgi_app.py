"""A WSGI application that writes down what it read; for gunicorn and waitress."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

from tests.wire.real.journal import answer_for, write_entry

_KEPT = "/-._~!$&'()*+,=:@"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Serve one request."""
    body = environ["wsgi.input"].read()
    target = environ.get("RAW_URI")
    if target is None:
        # waitress hands on the decoded path only; encoded anew it is the canonical one again.
        target = quote_from_bytes(environ["PATH_INFO"].encode("latin-1"), safe=_KEPT)
        target += "?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else ""
    headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]
    write_entry(environ["REQUEST_METHOD"], target, headers, body)
    text = answer_for(headers)
    start_response("200 OK", [("Content-Length", str(len(text))), ("Content-Type", "text/plain")])
    return [text]
