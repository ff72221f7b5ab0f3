"""Every known attack in HTTP/2, whole, byte by byte and cut at places: the three invariants hold (spec 2)."""

import random
from collections.abc import Iterable

import pytest
from tests.exchange.http2_client import Fields, Http2Client, Http2Reader, request
from tests.exchange.rig import bytewise
from tests.wire.attack import PATH
from tests.wire.bench import Bench, Play
from tests.wire.http2_attacks import ALLOW, ATTACKS, Attack, Kind
from tests.wire.invariants import check_forwarded
from tests.wire.test_attacks import ask_canary

PLACES = 3
"""At so many offsets, chosen by chance, each attack is cut in two."""
LONGEST_BYTES = 1200
"""What is longer is not sent byte by byte."""


@pytest.fixture
def read(vera: bytes) -> Fields:
    """Return the section of a GET that is allowed."""
    return request(PATH, (b"cookie", b"__session=" + vera))


@pytest.fixture
def write(ana: bytes) -> Fields:
    """Return the section of a PUT that is allowed."""
    return request(PATH, (b"cookie", b"__session=" + ana), method=b"PUT")


async def play(bench: Bench, data: bytes, cuts: Iterable[int]) -> tuple[Play, Http2Reader]:
    """Send *data* on a connection of its own and drop that at the end."""
    client = Http2Client(bench.rig)
    played = await bench.play(data, cuts, client.transport)
    reader = Http2Reader()
    reader.feed(played.received)
    client.transport.drop(None)
    await bench.rig.settle()
    later = await bench.play(b"", (), client.transport)
    played.records += later.records
    played.forwarded += later.forwarded
    played.whole |= later.whole
    return played, reader


def check(played: Play, reader: Http2Reader) -> None:
    """W-A and W-B: one request out for each allow record at most, canonical, as recorded; each answer its own."""
    assert not played.broken
    by_id = {record["id"].encode(): record for record in played.records}
    assert len(by_id) == len(played.records)
    ids = [message.value(b"X-Sidegate-Decision") for message in played.forwarded]
    assert len(set(ids)) == len(ids)
    for message in played.forwarded:
        record = by_id[message.value(b"X-Sidegate-Decision")]
        assert record["outcome"] == "allow"
        check_forwarded(message, record)
    for answer in reader.answers.values():
        if answer.ended and answer.status == 200:
            own = [one for one in played.forwarded if one.value(b"X-Sidegate-Decision") in answer.body]
            assert len(own) == 1


def verdict_of(played: Play, reader: Http2Reader) -> str:
    """Return what became of stream 1, or of everything."""
    if reader.goaway:
        return f"goaway {reader.goaway[-1][1]}"
    answer = reader.answers[1]
    if answer.reset:
        return f"reset {answer.reset}"
    if answer.status == 200:
        return ALLOW
    refused = [record for record in played.records if record["id"].encode() in answer.body]
    assert len(refused) == 1
    return f"{answer.status} {refused[0]['reason']}"


async def hold_to(bench: Bench, attack: Attack, data: bytes, cuts: Iterable[int]) -> None:
    """Play *attack* once and hold what became of it to what must."""
    played, reader = await play(bench, data, cuts)
    check(played, reader)
    verdict = verdict_of(played, reader)
    assert verdict in {attack.verdict, attack.late}
    goes_on = not verdict.startswith("goaway")
    heads = b"".join(
        b"%b\r\n%b\r\n" % (one.start, b"".join(b"%b: %b\r\n" % field for field in one.fields))
        for one in played.forwarded
    )
    for absent in attack.absent:
        assert absent not in heads
    for present in attack.present:
        assert present in heads
    for message in played.whole.values():
        assert message.method in {b"GET", b"PUT"}
    assert len(played.forwarded) <= 2 or not goes_on
    if goes_on:
        assert reader.answers[9].status == 200
        assert reader.answers[9].ended
    else:
        assert 9 not in reader.answers


@pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in ATTACKS])
async def test_attack(bench: Bench, ana: bytes, read: Fields, write: Fields, attack: Attack) -> None:
    """Stream 1 ends as it must, the request behind it is served if the connection goes on, the canary always is."""
    data = attack.bytes_for(read, write)
    await hold_to(bench, attack, data, ())
    if len(data) <= LONGEST_BYTES:
        await hold_to(bench, attack, data, bytewise(data))
    for place in random.Random(attack.name).sample(range(1, len(data)), PLACES):
        await hold_to(bench, attack, data, (place,))
    await ask_canary(bench, ana, 0)


def test_names_are_unique() -> None:
    """A name stands for one attack, and no class is empty."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert {attack.kind for attack in ATTACKS} == set(Kind)
