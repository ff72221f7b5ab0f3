"""Tests of checking a chain: every way of touching it is found, and told apart."""

from collections.abc import Callable, Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Head, Linker, genesis, read_tail
from sidegate.core.trail.checkpoint import (
    Checkpoint,
    CheckpointCause,
    CheckpointSigner,
    SignedCheckpoint,
    key_id_of,
    read_checkpoint,
)
from sidegate.core.trail.finding import ChainReport, FindingKind, Place
from sidegate.core.trail.record import OpenRecord
from sidegate.core.trail.walk import ChainWalk

ChainMaker = Callable[..., list[bytes]]
Walker = Callable[..., ChainReport]


@pytest.fixture
def keys(key: Ed25519PrivateKey) -> dict[str, Ed25519PublicKey]:
    """The public key by its id."""
    return {key_id_of(key.public_key()): key.public_key()}


@pytest.fixture
def walk(keys: dict[str, Ed25519PublicKey]) -> Walker:
    """Check lines as those of one file, with the public key."""

    def check(
        lines: Iterable[bytes],
        *,
        sidecar: str = "host-w0",
        with_keys: bool = True,
        copies: Iterable[SignedCheckpoint] = (),
    ) -> ChainReport:
        chain = ChainWalk(sidecar, keys if with_keys else None)
        # Through the bytes of a file: what one change does to line feeds is part of it.
        pieces = b"".join(lines).split(b"\n")
        whole = [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
        for number, line in enumerate(whole, 1):
            chain.feed(line, Place("segment", number))
        return chain.finish(copies)

    return check


def _told(report: ChainReport) -> list[tuple[FindingKind, int | None, int, int]]:
    """What was found: kind, line, first and last record."""
    return [
        (finding.kind, None if finding.place is None else finding.place.line, finding.first_seq, finding.last_seq)
        for finding in report.findings
    ]


def _rehash(lines: list[bytes], sidecar: str = "host-w0") -> list[bytes]:
    """Compute the chain anew over *lines*, as somebody without the signing key can: checkpoints stay as they are."""
    head, rehashed = genesis(sidecar), []
    for line in lines:
        signed = read_checkpoint(line)
        if signed is not None:
            rehashed.append(line)
            head = Head(head.seq, signed.head_after.hash)
            continue
        tail = read_tail(line)
        assert tail is not None
        record = tail.body[: tail.body.rfind(b',"sidecar"')]
        linked, head = Linker(sidecar).link([OpenRecord(record)], head)
        rehashed += linked
    return rehashed


# --- chains that nobody touched ---


@pytest.mark.parametrize("with_keys", [pytest.param(True, id="signatures"), pytest.param(False, id="chain-only")])
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param((), id="opened-only"),
        pytest.param((1,), id="one"),
        pytest.param((3, 4, 1), id="several-checkpoints"),
        pytest.param((0, 0, 2), id="checkpoints-in-a-row"),
    ],
)
def test_untouched_chain_has_no_finding(
    runs: tuple[int, ...], with_keys: bool, make_chain: ChainMaker, walk: Walker
) -> None:
    """Whatever the grouping; the report counts what was read."""
    report = walk(make_chain(*runs), with_keys=with_keys)
    assert _told(report) == []
    assert report.records == sum(runs)
    assert report.checkpoints == 1 + len(runs)
    assert report.last_seq == sum(runs)
    assert report.signed_seq == (sum(runs) if with_keys else 0)


def test_unsigned_end_is_counted_not_a_finding(make_chain: ChainMaker, walk: Walker) -> None:
    """Records since the last checkpoint are normal while a sidecar runs; how many there are is said."""
    report = walk(make_chain(3, 4, close=False))
    assert _told(report) == []
    assert report.signed_seq == 3
    assert report.unsigned_records == 4


def test_chain_that_begins_after_released_records_is_whole(make_chain: ChainMaker, walk: Walker) -> None:
    """With the release signed (the base of the last checkpoint), the first record need not be number 1."""
    lines = make_chain(3, 4, base=4)
    report = walk(lines[4:])
    assert _told(report) == []
    assert report.first_seq == 4


def test_nothing_at_all_is_nothing(walk: Walker) -> None:
    """No line, no finding: whether there should be some is not for the chain to say."""
    assert _told(walk([])) == []


# --- every single change ---


@pytest.mark.parametrize("with_keys", [pytest.param(True, id="signatures"), pytest.param(False, id="chain-only")])
def test_every_changed_byte_of_a_closed_chain_is_found(with_keys: bool, make_chain: ChainMaker, walk: Walker) -> None:
    """Exhaustive: each byte, three other values (one bit, a line feed, all bits)."""
    data = b"".join(make_chain(2, 3))
    last_line = data.rfind(b"\n", 0, -1) + 1
    for place in range(len(data) if with_keys else last_line):
        for value in {data[place] ^ 1, 0x0A, data[place] ^ 0xFF} - {data[place]}:
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            assert walk([changed], with_keys=with_keys).findings, (place, value)


def test_changed_record_is_named(make_chain: ChainMaker, walk: Walker) -> None:
    """Exactly the record that was changed, by number and line, and no other."""
    lines = make_chain(3, 4)
    for index, line in enumerate(lines):
        if read_tail(line) is None:
            continue
        seq = read_tail(line).seq  # type: ignore[union-attr]
        changed = [*lines[:index], line.replace(b'"n":', b'"m":'), *lines[index + 1 :]]
        assert _told(walk(changed)) == [(FindingKind.CHANGED, index + 1, seq, seq)]


def test_changed_hash_is_named(make_chain: ChainMaker, walk: Walker) -> None:
    """A changed hash alone concerns the record it stands in; those after it still hang on the right one."""
    lines = make_chain(3)
    tail = read_tail(lines[2])
    assert tail is not None
    lines[2] = lines[2].replace(tail.hash, tail.hash[::-1])
    assert _told(walk(lines)) == [(FindingKind.CHANGED, 3, 2, 2)]


def test_unreadable_record_is_named_by_its_place(make_chain: ChainMaker, walk: Walker) -> None:
    """A line that is no record any more is the one that is missing between its neighbours."""
    lines = make_chain(4)
    lines[2] = b"rubbish\n"
    assert _told(walk(lines)) == [(FindingKind.CHANGED, 3, 2, 2)]


def test_unreadable_lines_and_missing_ones_are_told(make_chain: ChainMaker, walk: Walker) -> None:
    """One line for three records: the first is taken for changed, the others are missing."""
    lines = make_chain(5)
    assert _told(walk([*lines[:2], b"rubbish\n", *lines[5:]])) == [
        (FindingKind.CHANGED, 3, 2, 2),
        (FindingKind.REMOVED, 4, 3, 4),
    ]


def test_unreadable_first_record_is_named(make_chain: ChainMaker, walk: Walker) -> None:
    """Also where nothing readable stands before it."""
    lines = make_chain(2, 2, base=1)
    assert (FindingKind.CHANGED, 1, 1, 1) in _told(walk([b"rubbish\n", *lines[2:]]))


def test_unreadable_checkpoint_is_told(make_chain: ChainMaker, walk: Walker) -> None:
    """A line between two records that follow each other was a checkpoint, or put there."""
    lines = make_chain(2, 2)
    lines[3] = lines[3].replace(b"checkpoint", b"checkpoimt")
    assert _told(walk(lines)) == [(FindingKind.CHANGED, 4, 3, 2)]


def test_unreadable_line_at_the_end_is_told(make_chain: ChainMaker, walk: Walker) -> None:
    """Nothing after it is needed to see it."""
    assert _told(walk([*make_chain(1), b"rubbish\n"])) == [(FindingKind.CHANGED, 4, 2, 1)]


def test_inserted_rubbish_is_told_from_a_changed_record(make_chain: ChainMaker, walk: Walker) -> None:
    """If the chain closes without the line, nothing is missing: it was put there."""
    lines = make_chain(4)
    assert _told(walk([*lines[:3], b"rubbish\n", *lines[3:]])) == [(FindingKind.INSERTED, 4, 3, 2)]
    assert _told(walk([*lines[:5], b"rubbish\n", *lines[5:]])) == [(FindingKind.INSERTED, 6, 5, 4)]


@pytest.mark.parametrize("with_keys", [pytest.param(True, id="signatures"), pytest.param(False, id="chain-only")])
def test_every_removed_line_is_found(with_keys: bool, make_chain: ChainMaker, walk: Walker) -> None:
    """Exhaustive, but for the last line: what is removed from the end no chain can show by itself."""
    lines = make_chain(3, 2, 4)
    for index, line in enumerate(lines[:-1]):
        told = _told(walk([*lines[:index], *lines[index + 1 :]], with_keys=with_keys))
        tail = read_tail(line)
        if tail is None:
            # Without the opening checkpoint the first record hangs on nothing that is there.
            assert [kind for kind, *_ in told] == [FindingKind.CHANGED]
        else:
            assert told == [(FindingKind.REMOVED, index + 1, tail.seq, tail.seq)]


def test_removed_run_of_records_is_told_as_one(make_chain: ChainMaker, walk: Walker) -> None:
    """From the first to the last that is missing, also across a checkpoint."""
    lines = make_chain(3, 4)
    assert _told(walk([*lines[:3], *lines[6:]])) == [(FindingKind.REMOVED, 4, 3, 4)]


def test_records_removed_before_a_checkpoint_are_told(make_chain: ChainMaker, walk: Walker) -> None:
    """The checkpoint says how many there were."""
    lines = make_chain(3)
    assert _told(walk([lines[0], lines[1], lines[4]])) == [(FindingKind.REMOVED, 3, 2, 3)]


def test_records_removed_from_the_beginning_are_told(make_chain: ChainMaker, walk: Walker) -> None:
    """Nobody signed that they were released."""
    assert _told(walk(make_chain(3, 4)[4:])) == [(FindingKind.REMOVED, None, 1, 3)]


@pytest.mark.parametrize("with_keys", [pytest.param(True, id="signatures"), pytest.param(False, id="chain-only")])
def test_every_repeated_line_is_found(with_keys: bool, make_chain: ChainMaker, walk: Walker) -> None:
    """Exhaustive: each line once more, at each place after it."""
    lines = make_chain(2, 3)
    for index, line in enumerate(lines):
        for at in range(index + 1, len(lines) + 1):
            report = walk([*lines[:at], line, *lines[at:]], with_keys=with_keys)
            assert [finding.kind for finding in report.findings] == [FindingKind.INSERTED], (index, at)


@pytest.mark.parametrize("with_keys", [pytest.param(True, id="signatures"), pytest.param(False, id="chain-only")])
def test_every_pair_of_exchanged_lines_is_found(with_keys: bool, make_chain: ChainMaker, walk: Walker) -> None:
    """Exhaustive; at least one of them is told as out of its order."""
    lines = make_chain(2, 3, 2)
    for first in range(len(lines)):
        for second in range(first + 1, len(lines)):
            swapped = list(lines)
            swapped[first], swapped[second] = lines[second], lines[first]
            kinds = {finding.kind for finding in walk(swapped, with_keys=with_keys).findings}
            assert FindingKind.REORDERED in kinds or FindingKind.CHANGED in kinds, (first, second)


def test_exchanged_neighbours_are_named(make_chain: ChainMaker, walk: Walker) -> None:
    """One record out of its order is one finding; nothing is missing."""
    lines = make_chain(4)
    lines[2], lines[3] = lines[3], lines[2]
    assert _told(walk(lines)) == [(FindingKind.REORDERED, 4, 2, 2)]


def test_moved_run_is_named_record_by_record(make_chain: ChainMaker, walk: Walker) -> None:
    """Records 2 to 4 moved behind 6: each is named, none is missing."""
    lines = make_chain(8)
    moved = [*lines[:2], *lines[5:7], *lines[2:5], *lines[7:]]
    assert _told(walk(moved)) == [(FindingKind.REORDERED, 5 + n, 2 + n, 2 + n) for n in range(3)]


def test_moved_and_changed_record_is_both(make_chain: ChainMaker, walk: Walker) -> None:
    """Being out of order does not hide a change."""
    lines = make_chain(4)
    lines[2], lines[3] = lines[3], lines[2].replace(b'"n":', b'"m":')
    report = walk(lines)
    assert _told(report) == [(FindingKind.REORDERED, 4, 2, 2)]
    assert "changed" in report.findings[0].text


def test_partly_returned_gap_stays_a_gap(make_chain: ChainMaker, walk: Walker) -> None:
    """Of three missing records the middle one turns up later: the other two are still missing."""
    lines = make_chain(6)
    assert _told(walk([*lines[:2], *lines[5:7], lines[3], *lines[7:]])) == [
        (FindingKind.REORDERED, 5, 3, 3),
        (FindingKind.REMOVED, 3, 2, 2),
        (FindingKind.REMOVED, 3, 4, 4),
    ]


# --- somebody who computes the chain anew ---


def test_chain_computed_anew_without_the_key_is_found(make_chain: ChainMaker, walk: Walker) -> None:
    """A change before a checkpoint cannot be hidden by new hashes: the signed one is another."""
    lines = make_chain(3, 4)
    lines[5] = lines[5].replace(b'"n":', b'"m":')
    assert _told(walk(_rehash(lines))) == [(FindingKind.CHANGED, len(lines), 4, 7)]


def test_record_inserted_and_numbered_anew_is_found(make_chain: ChainMaker, walk: Walker) -> None:
    """The checkpoint stands after another number of records than it says."""
    lines = make_chain(3)
    told = _told(walk(_rehash([*lines[:2], lines[1], *lines[2:]])))
    assert told == [(FindingKind.REORDERED, 6, 4, 3)]


def test_checkpoint_made_with_another_key_is_found(make_chain: ChainMaker, walk: Walker) -> None:
    """Who has no key can sign with his own; its id is not among those given."""
    own = CheckpointSigner(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
    head = genesis("host-w0")
    opened = own.sign(Checkpoint(UnixMillis(0), "host-w0", 0, head.hash, 1, 100, 0, CheckpointCause.OPENED))
    lines, _ = Linker("host-w0").link([OpenRecord(b'{"v":1')], opened.head_after)
    assert _told(walk([opened.line, *lines])) == [
        (FindingKind.UNSIGNED, 1, 1, 0),
        (FindingKind.UNSIGNED, None, 1, 1),
    ]


def test_checkpoint_with_the_id_of_the_key_but_not_its_signature_is_found(make_chain: ChainMaker, walk: Walker) -> None:
    """The id is only a name."""
    lines = make_chain(2)
    signed = read_checkpoint(lines[-1])
    assert signed is not None
    lines[-1] = lines[-1].replace(signed.signature.hex().encode(), bytes(64).hex().encode())
    assert _told(walk(lines)) == [(FindingKind.CHANGED, 4, 3, 2)]
    assert _told(walk(lines, with_keys=False)) == []


def test_chain_without_any_checkpoint_is_not_intact(make_chain: ChainMaker, walk: Walker) -> None:
    """Every segment begins with one: none at all means that they were taken out."""
    lines = _rehash([line for line in make_chain(3, 2) if read_tail(line)])
    for with_keys in (True, False):
        assert _told(walk(lines, with_keys=with_keys)) == [(FindingKind.UNSIGNED, None, 1, 5)]


def test_run_longer_than_promised_without_a_checkpoint_is_not_intact(make_chain: ChainMaker, walk: Walker) -> None:
    """The last checkpoint says when the next is due: who takes the later ones out can hide no more than that."""
    assert _told(walk(make_chain(2, 5, every=5, close=False))) == []
    assert _told(walk(make_chain(2, 6, every=5, close=False))) == [(FindingKind.UNSIGNED, None, 3, 8)]


def test_lines_of_another_sidecar_are_found(make_chain: ChainMaker, walk: Walker) -> None:
    """A segment put into the folder of another sidecar: each of its lines says whose it is."""
    lines, other = make_chain(2), make_chain(1, sidecar="host-w1")
    assert _told(walk([*lines, *other])) == [
        (FindingKind.INSERTED, 5, 1, 0),
        (FindingKind.INSERTED, 6, 1, 1),
        (FindingKind.INSERTED, 7, 2, 1),
    ]
    assert walk(lines, sidecar="host-w1").findings


def test_two_records_of_one_number_are_found_whichever_is_the_false_one(make_chain: ChainMaker, walk: Walker) -> None:
    """A false record that hangs well on the one before it, with the true one after it."""
    lines = make_chain(3)
    forged = _rehash([*lines[:2], lines[2].replace(b'"n":', b'"m":')])[2]
    assert _told(walk([*lines[:2], forged, *lines[2:]])) == [(FindingKind.INSERTED, 4, 2, 2)]
    assert _told(walk([*lines[:3], forged, *lines[3:]])) == [(FindingKind.INSERTED, 4, 2, 2)]


def test_checkpoint_that_nothing_hangs_on_is_told(
    make_chain: ChainMaker, walk: Walker, signer: CheckpointSigner
) -> None:
    """Rightly signed, at the right place, but no part of the chain: an old state was brought back and went on."""
    lines = make_chain(3, close=False)
    tail = read_tail(lines[2])
    assert tail is not None
    stray = signer.sign(Checkpoint(UnixMillis(0), "host-w0", 2, tail.hash, 1, 100, 0, CheckpointCause.CLOSED))
    assert _told(walk([*lines[:3], stray.line, *lines[3:]])) == [(FindingKind.INSERTED, 4, 3, 2)]


# --- the end ---


def test_torn_end_is_told(make_chain: ChainMaker, walk: Walker) -> None:
    """At every offset of the last line."""
    lines = make_chain(2, 1, close=False)
    for kept in range(1, len(lines[-1])):
        assert _told(walk([*lines[:-1], lines[-1][:kept]])) == [(FindingKind.TORN, len(lines), 3, 3)]


def test_records_removed_from_the_end_show_in_the_second_place(make_chain: ChainMaker, walk: Walker) -> None:
    """The chain alone cannot show it; a copied checkpoint does."""
    lines = make_chain(3, 4, 2)
    copies = [signed for line in lines if (signed := read_checkpoint(line)) is not None]
    assert _told(walk(lines, copies=copies)) == []
    assert _told(walk(lines[:5])) == []
    assert _told(walk(lines[:5], copies=copies)) == [
        (FindingKind.REMOVED, None, 4, 7),
        (FindingKind.REMOVED, None, 4, 9),
    ]


def test_chain_that_is_gone_shows_in_the_second_place(make_chain: ChainMaker, walk: Walker) -> None:
    """Not a line is left; the copies know that there were some."""
    copies = [signed for line in make_chain(3) if (signed := read_checkpoint(line)) is not None]
    assert _told(walk([], copies=copies)) == [
        (FindingKind.REMOVED, None, 1, 0),
        (FindingKind.REMOVED, None, 1, 3),
    ]


def test_checkpoint_that_is_only_in_the_second_place_is_told(
    make_chain: ChainMaker, walk: Walker, signer: CheckpointSigner
) -> None:
    """Within the chain that is there: an old state was brought back and went on another way."""
    lines = make_chain(3)
    copy = signer.sign(Checkpoint(UnixMillis(0), "host-w0", 2, b"0" * 64, 1, 100, 0, CheckpointCause.CLOSED))
    assert _told(walk(lines, copies=[copy])) == [(FindingKind.REMOVED, None, 3, 2)]


def test_second_place_counts_only_with_a_right_signature(make_chain: ChainMaker, walk: Walker) -> None:
    """Who can write to the second place cannot make a whole chain look damaged; nor are other sidecars looked at."""
    own = CheckpointSigner(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
    lines = make_chain(3, base=1)
    copies = [
        own.sign(Checkpoint(UnixMillis(0), "host-w0", 99, b"0" * 64, 1, 100, 0, CheckpointCause.CLOSED)),
        *(signed for line in make_chain(9, sidecar="host-w1") if (signed := read_checkpoint(line)) is not None),
    ]
    assert _told(walk(lines, copies=copies)) == []
    assert _told(walk(lines, with_keys=False, copies=copies)) == [(FindingKind.REMOVED, None, 4, 99)]


def test_copies_of_released_checkpoints_are_not_missed(make_chain: ChainMaker, walk: Walker) -> None:
    """What stood before the first record went with the released segments."""
    lines = make_chain(3, 4, base=4)
    copies = [signed for line in lines if (signed := read_checkpoint(line)) is not None]
    assert _told(walk(lines[4:], copies=copies)) == []


def test_findings_are_bounded(make_chain: ChainMaker, walk: Walker) -> None:
    """A file of rubbish fills no memory: what is left out is counted."""
    report = walk([*make_chain(1), *[b"rubbish\n"] * 1500])
    assert len(report.findings) == 1000
    assert report.findings_left_out == 500


def test_finding_reads_like_a_compiler_message(make_chain: ChainMaker, walk: Walker) -> None:
    """Place first, then what is wrong, so that a person can go there."""
    lines = make_chain(3)
    report = walk([*lines[:2], *lines[3:]])
    assert [str(finding) for finding in report.findings] == ["segment:3: removed: record 2 is missing"]
    assert [str(finding) for finding in walk(make_chain(2, 2)[3:]).findings] == [
        "removed: records 1 to 2 are missing and nobody signed that they were released"
    ]


@settings(max_examples=200)
@given(st.data())
def test_random_edits_of_lines_are_found(data: st.DataObject) -> None:
    """Any rearrangement of the lines of a closed chain that is not a shortened end is found."""
    signer = CheckpointSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    lines = _sample_chain(signer)
    edited = data.draw(st.lists(st.sampled_from(lines), min_size=1, max_size=len(lines) + 2))
    walk = ChainWalk("host-w0", {signer.key_id: key})
    for number, line in enumerate(edited, 1):
        walk.feed(line, Place("segment", number))
    report = walk.finish()
    is_beginning = edited == lines[: len(edited)]
    assert is_beginning is not bool(report.findings)


def _sample_chain(signer: CheckpointSigner) -> list[bytes]:
    head, lines = genesis("host-w0"), []
    for run in (0, 2, 1, 2):
        linked, head = Linker("host-w0").link([OpenRecord(b'{"n":%d' % n) for n in range(run)], head)
        signed = signer.sign(
            Checkpoint(UnixMillis(0), "host-w0", head.seq, head.hash, 1, 9, 0, CheckpointCause.INTERVAL)
        )
        lines += [*linked, signed.line]
        head = signed.head_after
    return lines


def test_late_record_after_too_many_findings(make_chain: ChainMaker, walk: Walker) -> None:
    """What was left out of the findings cannot be taken out of them again."""
    lines = make_chain(3)
    report = walk([*lines[:2], *[lines[1]] * 1000, lines[3], lines[2], lines[4]])
    assert {finding.kind for finding in report.findings} == {FindingKind.INSERTED}
    assert report.findings_left_out == 2


def test_what_has_to_be_there_may_be_said(make_chain: ChainMaker, keys: dict[str, Ed25519PublicKey]) -> None:
    """Where records are kept apart from the spool, what its newest checkpoint says of it does not count."""
    lines = [line for line in make_chain(5) if (tail := read_tail(line)) is not None and tail.seq > 3]
    for base, expected in ((1, 1), (4, 0), (9, 0)):
        chain = ChainWalk("host-w0", keys, base)
        for number, line in enumerate(lines, 1):
            chain.feed(line, Place("f", number))
        missing = [finding for finding in chain.finish().findings if finding.kind is FindingKind.REMOVED]
        assert len(missing) == expected


def test_finding_that_the_line_does_not_show_is_taken() -> None:
    """Whoever feeds the lines may know more about them."""
    chain = ChainWalk("host-w0", None)
    chain.note_change(7, Place("f", 1), "the columns say something else")
    assert [(finding.kind, finding.first_seq, finding.last_seq) for finding in chain.finish().findings] == [
        (FindingKind.CHANGED, 7, 7)
    ]
