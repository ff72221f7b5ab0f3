"""Who the client is, and the forwarding headers that say so to the upstream (spec 2.3 (5))."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from sidegate.core.model.principal import Address
from sidegate.core.model.value import value
from sidegate.core.trail.record import OriginFragment, origin_fragment
from sidegate.core.wire.block import HeaderBlock
from sidegate.core.wire.memo import MakingMemo
from sidegate.proxy.arrival import DIRECT, Arrival

REMEMBERED_PEERS: Final = 1024

Network = IPv4Network | IPv6Network


@value
class Peer:
    """The other end of a connection.

    Attributes:
        address: None for a Unix socket.
        text: The same, written; empty for a Unix socket.
        is_trusted: It is a proxy whose forwarding headers are believed.
        scheme: ``https`` if it speaks TLS, ``http`` if not.
    """

    address: Address | None
    text: str
    is_trusted: bool
    scheme: bytes = b"http"


_SCHEME: Final = {False: b"http", True: b"https"}
UNIX_PEER: Final = Peer(None, "", is_trusted=False)
_NOWHERE: Final = {False: UNIX_PEER, True: Peer(None, "", is_trusted=False, scheme=_SCHEME[True])}


class Peers:
    """Knows the other ends of connections; equal ones are one.

    Args:
        trusted: Networks of the proxies whose forwarding headers are believed.
    """

    __slots__ = ("_known", "trusted")

    def __init__(self, trusted: tuple[Network, ...] = ()) -> None:
        self.trusted = trusted
        self._known: MakingMemo[tuple[str, Arrival], Peer] = MakingMemo(REMEMBERED_PEERS, self._make)

    def at(self, host: str | None, arrival: Arrival = DIRECT) -> Peer:
        """Return who is at the other end.

        Args:
            host: Address of the socket's other end in its text form; None for a Unix socket.
            arrival: How the connection came. What a proxy in front says for whom it came goes before *host*.
        """
        if arrival.is_relayed:
            host = arrival.source
        return self._known.get((host, arrival)) if host is not None else _NOWHERE[arrival.is_secure]

    def _make(self, end: tuple[str, Arrival]) -> Peer:
        host, arrival = end
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            # As a socket for both families says it: networks and records know it by its own family.
            address = address.ipv4_mapped
        return Peer(address, str(address), _is_in(address, self.trusted), _SCHEME[arrival.is_secure])


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
        source, text, lines = peer.address, peer.text or None, _lines(peer.text, peer.scheme, block.host)
    else:
        source, chain = _walk(peer.address, trusted, block.forwarded_for)
        text = None if source is None else str(source)
        lines = _lines(chain, block.forwarded_proto or peer.scheme, block.forwarded_host or block.host)
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
