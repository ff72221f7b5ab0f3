"""Who the client is, and the forwarding headers that say so to the upstream (spec 2.3 (5))."""

from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from sidegate.core.model.principal import Address
from sidegate.core.model.value import value
from sidegate.core.trail.record import OriginFragment, origin_fragment
from sidegate.core.wire.block import HeaderBlock
from sidegate.core.wire.memo import MakingMemo

REMEMBERED_PEERS: Final = 1024

Network = IPv4Network | IPv6Network


@value
class Peer:
    """The other end of a connection.

    Attributes:
        address: None for a Unix socket.
        text: The same, written; empty for a Unix socket.
        is_trusted: It is a proxy whose forwarding headers are believed.
    """

    address: Address | None
    text: str
    is_trusted: bool


UNIX_PEER: Final = Peer(None, "", is_trusted=False)


class Peers:
    """Knows the other ends of connections; equal ones are one.

    Args:
        trusted: Networks of the proxies whose forwarding headers are believed.
    """

    __slots__ = ("_known", "trusted")

    def __init__(self, trusted: tuple[Network, ...] = ()) -> None:
        self.trusted = trusted
        self._known: MakingMemo[str, Peer] = MakingMemo(REMEMBERED_PEERS, self._make)

    def at(self, host: str) -> Peer:
        """Return the peer at *host*, an address in its text form."""
        return self._known.get(host)

    def _make(self, host: str) -> Peer:
        address = ip_address(host)
        return Peer(address, str(address), is_trusted=_is_in(address, self.trusted))


@value
class Origin:
    """Where a request came from.

    Attributes:
        source: The client's address; None when it is unknown: it is then in no network (spec 1.5).
        fragment: The same for records, with the ids that the request carries.
        lines: Forwarding headers for the upstream, each with CRLF.
    """

    source: Address | None
    fragment: OriginFragment
    lines: bytes


def origin_of(peer: Peer, trusted: tuple[Network, ...], block: HeaderBlock | None) -> Origin:
    """Rebuild the forwarding headers from the socket, and from what a trusted proxy in front says.

    Args:
        peer: The other end of the socket.
        trusted: Networks of the proxies whose forwarding headers are believed.
        block: The request's headers; None if they cannot be read, so that a trusted proxy says nothing of the client.
    """
    source: Address | None
    if block is None:
        source, text = (None, None) if peer.is_trusted else (peer.address, peer.text or None)
        return Origin(source, origin_fragment(text, None, None), b"")
    if peer.address is None or not peer.is_trusted:
        source, text, lines = peer.address, peer.text or None, _lines(peer.text, b"http", block.host)
    else:
        source, chain = _walk(peer.address, trusted, block.forwarded_for)
        text = None if source is None else str(source)
        lines = _lines(chain, block.forwarded_proto or b"http", block.forwarded_host or block.host)
    return Origin(source, origin_fragment(text, block.request_id, block.trace_id), lines)


def _walk(peer: Address, trusted: tuple[Network, ...], forwarded_for: bytes | None) -> tuple[Address | None, str]:
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


def _join(hops: list[Address]) -> str:
    return ", ".join(str(hop) for hop in reversed(hops))


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _lines(chain: str, proto: bytes, host: bytes) -> bytes:
    first = b"X-Forwarded-For: %b\r\n" % chain.encode() if chain else b""
    return b"%bX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (first, proto, host)
