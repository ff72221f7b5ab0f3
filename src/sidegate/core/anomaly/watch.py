"""The anomaly watch (spec 3.4): for each API key and service account its rate, its networks and its denials.

Bounded memory: so many identities, so many networks of each; the least recently used go first. Nothing here blocks: the
answer says what is unusual, and whoever asks says what follows.
"""

from collections import OrderedDict
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final

from sidegate.core.anomaly.rate import DecayedCount, UsualRate
from sidegate.core.model.principal import Address
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value, value

MAX_IDENTITIES: Final = 10_000
"""Identities that are watched, some 1.5 KiB each with a few networks."""
MAX_NETWORKS: Final = 64
"""Networks remembered of one identity; a machine that comes from more is a new one from each."""

_IPV4_HOST_BITS: Final = 8
"""A /24, the smallest network that is routed by itself: a cloud's machines change addresses within one."""
_IPV6_HOST_BITS: Final = 80
"""A /48, what one site is given (RFC 6177)."""
_CALM: Final = 0.5
"""A burst is over when it has fallen to this share of what began it, so that it is not told over and over."""


class AnomalyKind(StrEnum):
    """What is unusual about a machine identity (spec 3.4)."""

    RATE = "rate"
    NETWORK = "network"
    DENIALS = "denials"


@value
class AnomalyRules:
    """From when on something is unusual.

    Attributes:
        rate_multiple: Times the usual rate that is too much.
        min_requests: Requests in a window that are never too many, whatever is usual.
        denials: Denials in a window that are no burst yet.
        window: Over which "lately" is meant; rates and denials fade with it.
        memory: Over which "usually" is meant. A rate can rise to ``memory / window`` times what was usual before the
            rise itself counts as usual, so this is far more than *rate_multiple* windows.
        learning: How long an identity is watched before its rate can be unusual.
    """

    rate_multiple: int = 10
    min_requests: int = 100
    denials: int = 20
    window: Millis = Millis(60_000)
    memory: Millis = Millis(24 * 60 * 60_000)
    learning: Millis = Millis(10 * 60_000)


@hot_value
class Observation:
    """What one request shows.

    Attributes:
        raised: What became unusual with it; told once until it is over.
        standing: What is unusual at it, whether told before or not: the request is part of it.
    """

    raised: tuple[AnomalyKind, ...]
    standing: tuple[AnomalyKind, ...]


NOTHING_UNUSUAL: Final = Observation((), ())

_NetworkId = tuple[int, int]


class _Identity:
    """What is kept of one identity."""

    __slots__ = ("denials", "lately", "networks", "standing", "usually")

    def __init__(self, rules: AnomalyRules, now: UnixMillis) -> None:
        self.lately = DecayedCount(rules.window, now)
        self.usually = UsualRate(rules.memory, now)
        self.denials = DecayedCount(rules.window, now)
        self.networks: OrderedDict[_NetworkId, bool] = OrderedDict()
        self.standing: set[AnomalyKind] = set()


class AnomalyWatch:
    """Watches machine identities.

    Args:
        rules: From when on something is unusual.
        capacity: Identities kept.
        learns_networks: Whether a network, once told, counts as known; False where requests from it are refused:
            whoever was refused must not become usual by trying again.
    """

    __slots__ = ("_capacity", "_identities", "_learns_networks", "_rules")

    def __init__(self, rules: AnomalyRules, *, capacity: int = MAX_IDENTITIES, learns_networks: bool = True) -> None:
        self._rules = rules
        self._capacity = capacity
        self._learns_networks = learns_networks
        self._identities: OrderedDict[str, _Identity] = OrderedDict()

    def __len__(self) -> int:
        return len(self._identities)

    def observe(self, identity: str, source: Address | None, now: UnixMillis, *, is_denied: bool) -> Observation:
        """Take one decided request in.

        Args:
            identity: Of the API key or service account, with its organization.
            source: Where it came from; an unknown address is not judged.
            now: Wall clock.
            is_denied: Policy refused it.
        """
        known = self._identities.get(identity)
        if known is None:
            known = _Identity(self._rules, now)
            self._identities[identity] = known
            if len(self._identities) > self._capacity:
                self._identities.popitem(last=False)
        else:
            self._identities.move_to_end(identity)
        raised: list[AnomalyKind] = []
        is_foreign = self._observe_network(known, source, raised)
        self._observe_rate(known, now, raised)
        self._observe_denials(known, now, raised, is_denied=is_denied)
        if not raised and not known.standing and not is_foreign:
            return NOTHING_UNUSUAL
        standing = tuple(kind for kind in AnomalyKind if kind in known.standing or (kind is _NETWORK and is_foreign))
        return Observation(tuple(raised), standing)

    def _observe_rate(self, known: _Identity, now: UnixMillis, raised: list[AnomalyKind]) -> None:
        rules = self._rules
        # Before this request is counted: it must not make itself usual.
        usual = known.usually.per(rules.window, now)
        learned = known.usually.age(now) >= rules.learning
        known.usually.add(now)
        lately = known.lately.add(now)
        limit = max(rules.rate_multiple * usual, float(rules.min_requests))
        _rise_or_fall(known, AnomalyKind.RATE, lately if learned else 0.0, limit, raised)

    def _observe_denials(
        self, known: _Identity, now: UnixMillis, raised: list[AnomalyKind], *, is_denied: bool
    ) -> None:
        denials = known.denials.add(now) if is_denied else known.denials.read(now)
        _rise_or_fall(known, AnomalyKind.DENIALS, denials, float(self._rules.denials), raised)

    def _observe_network(self, known: _Identity, source: Address | None, raised: list[AnomalyKind]) -> bool:
        """Return whether *source* is in a network that was never seen before."""
        if source is None:
            return False
        network, networks = network_of(source), known.networks
        accepted = networks.get(network)
        if accepted:
            networks.move_to_end(network)
            return False
        is_first = not networks
        if accepted is None:
            networks[network] = is_first or self._learns_networks
            if len(networks) > MAX_NETWORKS:
                # One that was refused goes first: who tries many networks must not push the usual ones out.
                refused = next((each for each, is_usual in networks.items() if not is_usual), None)
                del networks[next(iter(networks)) if refused is None else refused]
            if not is_first:
                raised.append(AnomalyKind.NETWORK)
        return not is_first


_NETWORK: Final = AnomalyKind.NETWORK


def _rise_or_fall(known: _Identity, kind: AnomalyKind, count: float, limit: float, raised: list[AnomalyKind]) -> None:
    if kind in known.standing:
        if count < limit * _CALM:
            known.standing.discard(kind)
    elif count > limit:
        known.standing.add(kind)
        raised.append(kind)


def network_of(source: Address) -> _NetworkId:
    """Return the network that *source* counts as: version and first bits, a /24 of IPv4, a /48 of IPv6."""
    if isinstance(source, IPv6Address):
        # A socket that takes both families shows IPv4 clients as ::ffff:a.b.c.d.
        mapped = source.ipv4_mapped
        if mapped is None:
            return 6, int(source) >> _IPV6_HOST_BITS
        return 4, int(mapped) >> _IPV4_HOST_BITS
    return 4, int(source) >> _IPV4_HOST_BITS
