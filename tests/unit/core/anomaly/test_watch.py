"""What is unusual about a machine identity (spec 3.4)."""

from ipaddress import ip_address

import pytest

from sidegate.core.anomaly.watch import MAX_NETWORKS, AnomalyKind, AnomalyRules, AnomalyWatch, network_of
from sidegate.core.model.units import Millis, UnixMillis

T = UnixMillis(1_800_000_000_000)
RULES = AnomalyRules(
    rate_multiple=3, min_requests=10, denials=5, window=Millis(1000), memory=Millis(600_000), learning=Millis(10_000)
)
HOME = ip_address("192.0.2.7")


def at(offset: int) -> UnixMillis:
    """Return an instant near T."""
    return UnixMillis(T + offset)


def settled(per_second: int, rules: AnomalyRules = RULES, **options: bool) -> tuple[AnomalyWatch, int]:
    """Return a watch that has seen one identity for twenty seconds, and the offset of the last request."""
    watch = AnomalyWatch(rules, **options)
    step = 1000 // per_second
    raised = [watch.observe("acme/k1", HOME, at(moment), is_denied=False).raised for moment in range(0, 20_000, step)]
    assert not any(raised)
    return watch, 20_000 - step


@pytest.mark.parametrize(
    ("usual", "burst", "raised"),
    [
        pytest.param(10, 15, 0, id="less-than-three-times"),
        pytest.param(10, 40, 1, id="told-once-although-it-goes-on"),
        pytest.param(1, 8, 0, id="many-times-but-few"),
        pytest.param(1, 30, 1, id="many-times-and-many"),
    ],
)
def test_rate(usual: int, burst: int, raised: int) -> None:
    """More than the multiple of what is usual, and more than a few, is told once."""
    watch, last = settled(usual)
    found = [watch.observe("acme/k1", HOME, at(last), is_denied=False).raised for _ in range(burst)]
    assert [(AnomalyKind.RATE,)] * raised == [each for each in found if each]


def test_rate_is_not_judged_while_learning() -> None:
    """Nothing is usual of an identity that has just appeared."""
    watch = AnomalyWatch(RULES)
    assert not any(watch.observe("acme/k1", HOME, at(number), is_denied=False).raised for number in range(500))


def test_rate_is_told_again_after_it_was_over() -> None:
    """A second burst, after the first has faded, is another anomaly."""
    watch, last = settled(10)
    for _ in range(60):
        watch.observe("acme/k1", HOME, at(last), is_denied=False)
    calm = watch.observe("acme/k1", HOME, at(last + 20_000), is_denied=False)
    again = [watch.observe("acme/k1", HOME, at(last + 20_000), is_denied=False).raised for _ in range(60)]
    assert calm.standing == ()
    assert (AnomalyKind.RATE,) in again


def test_while_it_stands_every_request_is_part_of_it() -> None:
    """Whoever refuses for an anomaly has to know that it goes on, although it was told before."""
    watch, last = settled(10)
    found = [watch.observe("acme/k1", HOME, at(last), is_denied=False) for _ in range(60)]
    first = next(number for number, each in enumerate(found) if each.raised)
    assert all(each.standing == (AnomalyKind.RATE,) for each in found[first:])
    assert not any(each.standing for each in found[:first])


@pytest.mark.parametrize(
    ("denials", "raised"), [pytest.param(5, 0, id="at-the-limit"), pytest.param(6, 1, id="above-the-limit")]
)
def test_denials(denials: int, raised: int) -> None:
    """A burst of denials is told, from the first request of an identity on."""
    watch = AnomalyWatch(RULES)
    found = [watch.observe("acme/k1", HOME, T, is_denied=True).raised for _ in range(denials)]
    assert [(AnomalyKind.DENIALS,)] * raised == [each for each in found if each]


def test_denials_fade() -> None:
    """Denials that are spread over time are no burst; a burst is over when it has faded to half."""
    watch = AnomalyWatch(RULES)
    assert not any(watch.observe("acme/k1", HOME, at(second * 1000), is_denied=True).raised for second in range(50))
    for _ in range(7):
        watch.observe("acme/k1", HOME, at(50_000), is_denied=True)
    assert watch.observe("acme/k1", HOME, at(50_500), is_denied=False).standing == (AnomalyKind.DENIALS,)
    assert watch.observe("acme/k1", HOME, at(52_500), is_denied=False).standing == ()


@pytest.mark.parametrize(
    ("sources", "raised"),
    [
        pytest.param(["192.0.2.7", "192.0.2.200"], 0, id="same-24"),
        pytest.param(["192.0.2.7", "192.0.3.7"], 1, id="another-24"),
        pytest.param(["192.0.2.7", "192.0.3.7", "192.0.3.8", "192.0.2.7"], 1, id="known-from-then-on"),
        pytest.param(["192.0.2.7", "::ffff:192.0.2.9"], 0, id="mapped-ipv4"),
        pytest.param(["2001:db8:1:2::1", "2001:db8:1:ffff::1"], 0, id="same-48"),
        pytest.param(["2001:db8:1::1", "2001:db8:2::1"], 1, id="another-48"),
    ],
)
def test_networks(sources: list[str], raised: int) -> None:
    """The first network of an identity is where it lives; each further one is told once."""
    watch = AnomalyWatch(RULES)
    found = [watch.observe("acme/k1", ip_address(source), T, is_denied=False).raised for source in sources]
    assert [(AnomalyKind.NETWORK,)] * raised == [each for each in found if each]


def test_unknown_source_is_not_judged() -> None:
    """Without an address there is no network, and none is learned."""
    watch = AnomalyWatch(RULES)
    watch.observe("acme/k1", None, T, is_denied=False)
    assert watch.observe("acme/k1", HOME, T, is_denied=False).raised == ()


def test_a_refused_network_does_not_become_usual() -> None:
    """Where requests from a new network are refused it is told once, and stands for as long as it is tried."""
    watch = AnomalyWatch(RULES, learns_networks=False)
    watch.observe("acme/k1", HOME, T, is_denied=False)
    other = ip_address("198.51.100.1")
    found = [watch.observe("acme/k1", other, T, is_denied=False) for _ in range(3)]
    assert [each.raised for each in found] == [(AnomalyKind.NETWORK,), (), ()]
    assert [each.standing for each in found] == [(AnomalyKind.NETWORK,)] * 3
    assert watch.observe("acme/k1", HOME, T, is_denied=False).standing == ()


def test_a_new_network_that_is_learned_stands_for_its_first_request() -> None:
    """The request that showed it is told apart; the next one from there is usual."""
    watch = AnomalyWatch(RULES)
    watch.observe("acme/k1", HOME, T, is_denied=False)
    other = ip_address("198.51.100.1")
    found = [watch.observe("acme/k1", other, T, is_denied=False).standing for _ in range(2)]
    assert found == [(AnomalyKind.NETWORK,), ()]


@pytest.mark.parametrize("learns", [True, False])
def test_many_networks_do_not_push_the_usual_one_out_when_refused(learns: bool) -> None:
    """Memory is bounded; networks that were refused are forgotten first."""
    watch = AnomalyWatch(RULES, learns_networks=learns)
    watch.observe("acme/k1", HOME, T, is_denied=False)
    for number in range(MAX_NETWORKS + 5):
        watch.observe("acme/k1", ip_address((10 << 24) + (number << 8)), T, is_denied=False)
    assert learns == bool(watch.observe("acme/k1", HOME, T, is_denied=False).raised)


def test_identities_are_bounded_and_apart() -> None:
    """The least recently seen identity is forgotten first; one identity says nothing about another."""
    watch = AnomalyWatch(RULES, capacity=2)
    for identity in ("a", "b", "a", "c"):
        watch.observe(identity, HOME, T, is_denied=False)
    other = ip_address("198.51.100.1")
    assert len(watch) == 2
    assert watch.observe("a", other, T, is_denied=False).raised == (AnomalyKind.NETWORK,)
    assert watch.observe("b", other, T, is_denied=False).raised == ()


def test_network_versions_are_apart() -> None:
    """An IPv4 network never equals an IPv6 one."""
    assert network_of(ip_address("0.0.0.1")) != network_of(ip_address("::1:0:0:1"))
