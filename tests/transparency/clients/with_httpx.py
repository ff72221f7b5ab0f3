"""httpx."""

from collections.abc import Iterator

import httpx
from tests.integration.waiting import DEADLINE_S
from tests.transparency.comparing import Got, got
from tests.transparency.store import BODY, NAMES


def use(folder: str, token: str) -> list[Got]:
    """Ask for everything below *folder*."""
    made = []
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=DEADLINE_S, trust_env=False) as client:

        def take(what: str, answer: httpx.Response) -> None:
            made.append(got(what, answer.status_code, answer.headers.multi_items(), answer.content))

        for name in NAMES:
            take(name, client.get(f"{folder}/{name}"))
        take("head", client.head(f"{folder}/big"))
        take("followed", client.get(f"{folder}/elsewhere", follow_redirects=True))
        take("range", client.get(f"{folder}/big", headers={"Range": "bytes=5-9"}))
        take("put", client.put(f"{folder}/put", content=BODY))
        take("chunks", client.post(f"{folder}/post", content=_pieces()))
        take("form", client.post(f"{folder}/form", data={"a": "b c", "d": "ü"}))
        take("delete", client.delete(f"{folder}/gone"))
        with client.stream("GET", f"{folder}/events") as answer:
            made.append(got("lines", answer.status_code, [], "\n".join(answer.iter_lines()).encode()))
    return made


def _pieces() -> Iterator[bytes]:
    for at in range(0, len(BODY), 10_000):
        yield BODY[at : at + 10_000]
