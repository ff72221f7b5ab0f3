"""requests."""

from collections.abc import Iterator

import requests
from tests.integration.waiting import DEADLINE_S
from tests.transparency.comparing import Got, got
from tests.transparency.store import BODY, NAMES


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def use(folder: str, token: str) -> list[Got]:
    """Ask for everything below *folder*."""
    made = []
    with requests.Session() as client:
        client.trust_env = False
        client.auth = _Bearer(token)

        def take(what: str, answer: requests.Response) -> None:
            made.append(got(what, answer.status_code, list(answer.raw.headers.items()), answer.content))

        for name in NAMES:
            # http.client takes a 103 for the answer, and what comes of the real one depends on when it arrives.
            if name == "hints":
                continue
            take(name, client.get(f"{folder}/{name}", allow_redirects=False, timeout=DEADLINE_S))
        for method, name, options in (
            ("GET", "elsewhere", {}),
            ("HEAD", "big", {}),
            ("GET", "big", {"headers": {"Range": "bytes=5-9"}}),
            ("PUT", "put", {"data": BODY}),
            ("POST", "chunks", {"data": _pieces()}),
            ("POST", "form", {"data": {"a": "b c", "d": "ü"}}),
            ("POST", "json", {"json": {"a": "ü"}}),
            ("OPTIONS", "data.json", {}),
            ("DELETE", "gone", {}),
        ):
            take(f"{method} {name}", client.request(method, f"{folder}/{name}", timeout=DEADLINE_S, **options))
        lines = client.get(f"{folder}/events", stream=True, timeout=DEADLINE_S).iter_lines()
        made.append(got("lines", 200, [], b"\n".join(lines)))
    return made


def _pieces() -> Iterator[bytes]:
    for at in range(0, len(BODY), 10_000):
        yield BODY[at : at + 10_000]
