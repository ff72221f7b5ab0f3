"""Every known attack on the wire, whole, byte by byte and cut everywhere: the three invariants hold (spec 2)."""

import random
from collections.abc import Iterable

import pytest
from tests.exchange.rig import bytewise
from tests.wire.attack import ALLOW, PATH, Attack
from tests.wire.attacks import ATTACKS
from tests.wire.bench import Bench, Play
from tests.wire.invariants import check, digest
from tests.wire.kinds import Kind
from tests.wire.strict import read_response

PLACES = 6
"""At so many offsets, chosen by chance, each attack is cut in two."""


def cuttings(data: bytes, seed: str) -> list[Iterable[int]]:
    """Return the ways *data* is cut: everywhere, and in two at some places."""
    places = random.Random(seed).sample(range(1, len(data)), min(PLACES, len(data) - 1))
    return [*([bytewise(data)] if len(data) < 4000 else []), *((place,) for place in places)]


def verdicts(play: Play) -> tuple[str, ...]:
    """Return status and reason of every record, in order."""
    found = []
    rest = play.received
    for record in play.records:
        if record["outcome"] == "allow":
            found.append(ALLOW)
            method = record["method"].encode()
        else:
            method = b"GET"
        while rest.startswith(b"HTTP/1.1 1"):
            rest = rest.partition(b"\r\n\r\n")[2]
        if rest:
            answer, rest = read_response(rest, method)
            if record["outcome"] == "deny":
                found.append(f"{answer.status} {record['reason']}")
    return tuple(found)


async def ask_canary(bench: Bench, token: bytes, number: int) -> None:
    """W-C: somebody else's request is answered for what it is, whatever was sent before."""
    path = PATH.replace(b"a.json", b"canary-%d.json" % number)
    play = await bench.play(b"GET %b HTTP/1.1\r\nHost: canary\r\nCookie: __session=%b\r\n\r\n" % (path, token))
    check(play)
    (record,) = play.records
    answer, rest = read_response(play.received, b"GET")
    assert (answer.status, answer.body, rest) == (200, record["id"].encode() + b" " + path, b"")


async def hold_to(bench: Bench, attack: Attack, data: bytes, cuts: Iterable[int]) -> Play:
    """Play *attack* once and hold what became of it to what must."""
    play = await bench.play(data, cuts)
    check(play)
    assert verdicts(play) == attack.verdicts
    heads = b"".join(
        b"%b\r\n%b\r\n" % (one.start, b"".join(b"%b: %b\r\n" % field for field in one.fields)) for one in play.forwarded
    )
    for absent in attack.absent:
        assert absent not in heads
    for present in attack.present:
        assert present in heads
    return play


async def play_everywhere(bench: Bench, attack: Attack, vera: bytes, ana: bytes) -> None:
    """Play *attack* cut in two at every offset."""
    data = attack.bytes_for(vera, ana)
    whole = digest(await hold_to(bench, attack, data, ()))
    for place in range(1, len(data)):
        assert digest(await hold_to(bench, attack, data, (place,))) == whole
    await ask_canary(bench, ana, 0)


@pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in ATTACKS])
async def test_attack(bench: Bench, vera: bytes, ana: bytes, attack: Attack) -> None:
    """One record and at most one request out for each request in, in canonical form, whatever way the bytes are cut;
    nothing behind what is refused runs; the canary's answers stay right."""
    data = attack.bytes_for(vera, ana)
    whole = digest(await hold_to(bench, attack, data, ()))
    for number, cuts in enumerate(cuttings(data, attack.name)):
        assert digest(await hold_to(bench, attack, data, cuts)) == whole
        if not number % 4:
            await ask_canary(bench, ana, number)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name.lower()) for kind in Kind])
async def test_cut_at_every_offset(bench: Bench, vera: bytes, ana: bytes, kind: Kind) -> None:
    """The shortest attack of each class, cut in two at every offset; `make wire` does it with all of them."""
    attacks = [attack for attack in ATTACKS if attack.kind is kind]
    await play_everywhere(bench, min(attacks, key=lambda one: len(one.bytes_for(vera, ana))), vera, ana)


def test_names_are_unique() -> None:
    """A name stands for one attack."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
