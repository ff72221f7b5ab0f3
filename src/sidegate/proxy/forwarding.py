"""Who the client is, and the forwarding headers that say so to the upstream (spec 2.3 (5))."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from sidegate.core.model.principal import Address
from sidegate.core.model.value import value
from sidegate.core.trail.json_text import JsonText, json_text
from sidegate.core.wire.block import HeaderBlock

Network = IPv4Network | IPv6Network


@value
class Origin:
    """Where a request came from.

    Attributes:
        source: The client's address; None when it is unknown: it is then in no network (spec 1.5).
        text: The same as JSON, for records.
        lines: Forwarding headers for the upstream, each with CRLF.
    """

    source: Address | None
    text: JsonText
    lines: bytes


def origin_of(peer: Address | None, trusted: tuple[Network, ...], block: HeaderBlock) -> Origin:
    """Rebuild the forwarding headers from the socket, and from what a trusted proxy in front says.

    Args:
        peer: Address of the other end of the socket; None for a Unix socket.
        trusted: Networks of the proxies whose forwarding headers are believed.
        block: The request's headers.
    """
    if peer is None or not _is_in(peer, trusted):
        chain = b"" if peer is None else str(peer).encode()
        return Origin(peer, _text(peer), _lines(chain, b"http", block.host))
    source, chain = _walk(peer, trusted, block.forwarded_for)
    return Origin(
        source, _text(source), _lines(chain, block.forwarded_proto or b"http", block.forwarded_host or block.host)
    )


def _walk(peer: Address, trusted: tuple[Network, ...], forwarded_for: bytes | None) -> tuple[Address | None, bytes]:
    """Go back from *peer* over trusted proxies to the first address that none of them vouches for.

    What stands left of that address is the client's own claim and is left out.
    """
    hops = [peer]
    for text in reversed(forwarded_for.split(b",") if forwarded_for is not None else []):
        try:
            hop = ip_address(text.strip(b" \t").decode("ascii"))
        except ValueError:
            return None, _join(hops)
        hops.append(hop)
        if not _is_in(hop, trusted):
            break
    return hops[-1], _join(hops)


def _text(source: Address | None) -> JsonText:
    return json_text(None if source is None else str(source))


def _join(hops: list[Address]) -> bytes:
    return ", ".join(str(hop) for hop in reversed(hops)).encode()


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _lines(chain: bytes, proto: bytes, host: bytes) -> bytes:
    first = b"X-Forwarded-For: %b\r\n" % chain if chain else b""
    return b"%bX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (first, proto, host)
