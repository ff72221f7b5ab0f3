"""The three invariants of the wire (spec 2), checked on what one client sent and what became of it."""

import re
from typing import Final

from tests.integration.sidecar import Json
from tests.wire.bench import Play
from tests.wire.strict import Message, UnreadableError, canonical_path, read_requests, read_response

SESSION: Final = b"__session"

# Names that Sidegate alone may write, folded, with the one spelling it writes.
_OURS: Final = {
    b"xforwardedfor": b"X-Forwarded-For",
    b"xforwardedproto": b"X-Forwarded-Proto",
    b"xforwardedhost": b"X-Forwarded-Host",
    b"xsidegateaccount": b"X-Sidegate-Account",
    b"xsidegateorganization": b"X-Sidegate-Organization",
    b"xsidegateauthority": b"X-Sidegate-Authority",
    b"xsidegatetarget": b"X-Sidegate-Target",
    b"xsidegaterevision": b"X-Sidegate-Revision",
    b"xsidegatechain": b"X-Sidegate-Chain",
    b"xsidegatedecision": b"X-Sidegate-Decision",
}
_NEVER: Final = frozenset(
    {
        b"authorization", b"xapikey", b"expect", b"te", b"trailer", b"keepalive", b"proxyconnection",
        b"proxyauthorization", b"http2settings", b"forwarded", b"xrealip", b"xoriginalurl", b"xoriginaluri",
        b"xrewriteurl", b"xhttpmethod", b"xhttpmethodoverride", b"xmethodoverride", b"xmiddlewaresubrequest",
    }
)  # fmt: skip
# Names with a meaning of their own: only in their own spelling, whatever the case.
_STANDARD: Final = {
    name.replace(b"-", b""): name
    for name in (
        b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"cookie", b"content-type",
        b"content-encoding", b"range", b"origin", b"referer", b"user-agent", b"if-match", b"x-request-id",
        b"sec-websocket-key", b"destination", b"depth", b"overwrite",
    )
}  # fmt: skip
_TARGET_TEXT: Final = re.compile(rb"[A-Za-z0-9._~/:@*!$&'()+;=%, -]*")


class ViolationError(AssertionError):
    """An invariant does not hold."""


def fold(name: bytes) -> bytes:
    """Reduce a name to lower-case letters and digits."""
    return re.sub(rb"[^a-z0-9]", b"", name.lower())


def check(play: Play) -> None:
    """Check everything that must hold whatever was sent.

    Raises:
        ViolationError: Says which invariant, and what broke it.
    """
    if play.broken:
        raise ViolationError(f"W-A: the upstream could not read what was forwarded: {play.broken}")
    allowed = [record for record in play.records if record["outcome"] == "allow"]
    by_id = {record["id"].encode(): record for record in play.records}
    ids = [message.value(b"X-Sidegate-Decision") for message in play.forwarded]
    if sorted(ids) != sorted(record["id"].encode() for record in allowed):
        raise ViolationError(f"W-B: {len(ids)} requests were forwarded for {len(allowed)} allow records")
    for message in play.forwarded:
        check_forwarded(message, by_id[message.value(b"X-Sidegate-Decision")])
    _check_against_own_reading(play)
    _check_answers(play)


def check_forwarded(message: Message, record: Json) -> None:
    """W-A: check one forwarded head against the record of its decision."""
    if message.method.decode() != record["method"]:
        raise ViolationError(f"W-A: {message.method!r} was forwarded, {record['method']!r} recorded")
    path = message.target.split(b"?")[0]
    if path.decode() != record["path"] or canonical_path(message.target) != path:
        raise ViolationError(f"W-A: {path!r} was forwarded, {record['path']!r} recorded")
    seen: dict[bytes, int] = {}
    for name, value in message.fields:
        folded = fold(name)
        seen[folded] = seen.get(folded, 0) + 1
        if folded in _NEVER or (
            folded.startswith((b"xenvoy", b"xsidegate", b"xforwarded")) and (_OURS.get(folded) != name)
        ):
            raise ViolationError(f"W-A: {name!r} was forwarded")
        if folded in _STANDARD and name.lower() != _STANDARD[folded]:
            raise ViolationError(f"W-A: the alias {name!r} was forwarded")
        if folded == b"cookie" and any(pair.split(b"=")[0].strip(b" \t") == SESSION for pair in value.split(b";")):
            raise ViolationError("W-A: the session cookie was forwarded")
    for name in (b"xforwardedproto", b"xforwardedhost", b"xsidegatedecision", b"host"):
        if seen.get(name) != 1:
            raise ViolationError(f"W-A: {name!r} stands {seen.get(name, 0)} times")
    if record["actor"] is None:
        return  # a public route: nobody is named
    expected = {
        b"X-Sidegate-Account": record["actor"]["account"],
        b"X-Sidegate-Organization": record["org"],
        b"X-Sidegate-Revision": str(record["revision"]),
    }
    for ours, value in expected.items():
        if message.value(ours).decode() != value:
            raise ViolationError(f"W-A: {ours!r} is {message.value(ours)!r}, {value!r} is recorded")
    if _TARGET_TEXT.fullmatch(message.value(b"X-Sidegate-Target")) is None:
        raise ViolationError("W-A: the target header holds bytes that need quoting")
    if record["authority"] not in message.value(b"X-Sidegate-Authority").decode().split(", "):
        raise ViolationError("W-A: the authority header is not what is recorded")


def _check_against_own_reading(play: Play) -> None:
    """What was forwarded as the n-th request of a connection is what a strict reader takes for its n-th request."""
    read, _ = read_requests(play.sent)
    for place, record in enumerate(play.records):
        if record["outcome"] != "allow":
            continue
        (message,) = [one for one in play.forwarded if one.value(b"X-Sidegate-Decision").decode() == record["id"]]
        if place >= len(read):
            # Its body was cut or broken on the way; the head alone has to be there.
            if message.value(b"X-Sidegate-Decision") in play.whole:
                raise ViolationError("W-B: a request was forwarded whole that a strict reader does not find")
            continue
        own = read[place]
        try:
            path = canonical_path(own.target)
        except UnreadableError as error:
            raise ViolationError(f"W-A: an ambiguous path was forwarded: {own.target!r}") from error
        if (own.method, path) != (message.method, message.target.split(b"?")[0]):
            raise ViolationError(f"W-A: {own.start!r} became {message.start!r}")
        if own.value(b"Host") != message.value(b"Host"):
            raise ViolationError("W-A: another host was forwarded")
        if own.target.partition(b"?")[2] != message.target.partition(b"?")[2]:
            raise ViolationError("W-A: another query was forwarded")
        whole = play.whole.get(message.value(b"X-Sidegate-Decision"))
        if whole is not None and whole.body != own.body:
            raise ViolationError("W-A: another body was forwarded")


def _check_answers(play: Play) -> None:
    """One answer for each record at most, in order, each of its own decision; none behind one that closes."""
    rest = play.received
    closed = False
    for record in play.records:
        while rest.startswith(b"HTTP/1.1 1"):
            _, _, rest = rest.partition(b"\r\n\r\n")
        if not rest:
            if not (play.ended or play.aborted or record is play.records[-1]):
                raise ViolationError("W-B: a request before the last got no answer")
            break
        if closed:
            raise ViolationError("W-B: a request was answered behind an answer that closes")
        method = (record["method"] or "GET").encode()
        answer, rest = read_response(rest, method)
        closed = any(value.lower() == b"close" for value in answer.values(b"Connection"))
        if method != b"HEAD" and record["id"].encode() not in answer.body:
            raise ViolationError("W-C: an answer belongs to another decision")
        if closed and not play.ended:
            raise ViolationError("W-B: a connection that is said to close stays open")
    if rest:
        raise ViolationError(f"W-B: bytes behind the last answer: {rest[:80]!r}")
    if closed and len(play.records) > play.received.count(b"HTTP/1.1 ") and play.records:
        raise ViolationError("W-B: something behind a refused request was read")


def digest(play: Play) -> tuple[object, ...]:
    """Return everything of *play* that must not depend on how it was cut."""
    records = [
        (record["outcome"], record["reason"], record["method"], record["path"], record["target"], str(record["actor"]))
        for record in play.records
    ]
    ours = b"X-Sidegate-Decision"
    heads = [(one.start, *(pair for pair in one.fields if pair[0] != ours)) for one in play.forwarded]
    bodies = sorted((one.start, one.body) for one in play.whole.values())
    return records, sorted(heads), bodies, play.ended
