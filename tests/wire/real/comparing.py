"""Sends attacks through a gateway and compares what the upstream read with what was decided (W-A, W-B)."""

import contextlib
import json
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.integration.sidecar import Json
from tests.wire.attack import Attack
from tests.wire.real.journal import Entry
from tests.wire.strict import IncompleteError, Message, UnreadableError, canonical_path, read_requests, read_response

DEADLINE_S = 10.0
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass
class Sent:
    """What was sent so far, by the decision that came of it.

    Attributes:
        requests: A strict reading of the request that each decision was for; None where there is none.
    """

    requests: dict[str, Message | None] = field(default_factory=dict)

    def note(self, data: bytes, answers: Iterable[Message]) -> None:
        """Note which decisions the *answers* to *data* name, in order."""
        read, _ = read_requests(data)
        for place, answer in enumerate(answers):
            decision = _ID.search(answer.body)
            if decision is not None:
                self.requests[decision[0].decode()] = read[place] if place < len(read) else None


def play(port: int, attack: Attack, data: bytes, sent: Sent, *, is_ended: bool = False) -> None:
    """Send one attack on a connection of its own and wait for as many answers as it has verdicts.

    Args:
        is_ended: The client ends its side behind what it sends; it is then answered as far as its requests are whole.
    """
    methods = [message.method for message in read_requests(data)[0]]
    answers: list[Message] = []
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(data)
            if is_ended:
                client.shutdown(socket.SHUT_WR)
        while len(answers) < len(attack.verdicts):
            try:
                piece = client.recv(65536)
            except ConnectionError:
                break
            except TimeoutError:
                raise AssertionError(
                    f"{attack.name}: {len(answers)} answers, then silence behind {received!r}"
                ) from None
            received += piece
            received = _take_answers(received, methods, answers, at_end=not piece)
            if not piece:
                break
    sent.note(data, answers)


def _take_answers(received: bytes, methods: list[bytes], answers: list[Message], *, at_end: bool) -> bytes:
    while received:
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        try:
            answer, rest = read_response(received, method)
        except (IncompleteError, UnreadableError):
            return received
        if answer.status < 200:
            received = rest
            continue
        has_end = method == b"HEAD" or answer.chunked or answer.values(b"Content-Length") or answer.status in {204, 304}
        if not has_end and not at_end:
            return received  # ends with the connection
        answers.append(answer)
        received = rest
    return received


def compare(records: Iterable[Json], entries: Iterable[Entry], sent: Mapping[str, Message | None]) -> list[str]:
    """Return every difference between what was decided and what an upstream read; none is as it should be."""
    allowed = {record["id"]: record for record in records if record["outcome"] == "allow"}
    seen: set[str] = set()
    found = []
    for entry in entries:
        decision = entry.decision
        if decision is None or decision not in allowed:
            found.append(f"nobody decided about {entry.method} {entry.target}")
            continue
        if decision in seen:
            found.append(f"{entry.method} {entry.target} was read twice for one decision")
        seen.add(decision)
        found += [f"{entry.method} {entry.target}: {what}" for what in _differences(entry, allowed[decision])]
        own = sent.get(decision)
        if own is not None:
            if own.body != entry.body:
                found.append(f"{entry.method} {entry.target}: the body is {entry.body[:60]!r}, not {own.body[:60]!r}")
            query = own.target.partition(b"?")[2].decode("latin-1")
            if query != entry.target.partition("?")[2]:
                found.append(f"{entry.method} {entry.target}: the query is not {query!r}")
    return found


def _differences(entry: Entry, record: Json) -> Iterable[str]:
    if entry.method != record["method"]:
        yield f"{record['method']} is recorded"
    path = entry.target.partition("?")[0]
    try:
        canonical = canonical_path(path.encode("latin-1")).decode()
    except UnreadableError:
        canonical = "ambiguous"
    if not path == canonical == record["path"]:
        yield f"{record['path']} is recorded"
    if record["actor"] is not None:
        wanted = {
            "x-sidegate-account": record["actor"]["account"],
            "x-sidegate-organization": record["org"],
            "x-sidegate-revision": str(record["revision"]),
        }
        for name, value in wanted.items():
            if entry.headers.get(name) != [value]:
                yield f"{name} is {entry.headers.get(name)}, not {value}"
    for name in ("authorization", "x-api-key", "expect", "x-original-url", "x-http-method-override", "forwarded"):
        if name in entry.headers:
            yield f"{name} was read"
    for cookie in entry.headers.get("cookie", []):
        if any(pair.split("=")[0].strip(" \t") == "__session" for pair in cookie.split(";")):
            yield "the session was read"
    if "root" in json.dumps(entry.headers):
        yield "an identity of the client's own was read"
