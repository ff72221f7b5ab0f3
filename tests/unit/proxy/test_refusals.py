"""Answers of Sidegate's own (spec 6.5)."""

from email.utils import parsedate_to_datetime

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.proxy.refusals import DateLine, Refusals, with_notes
from sidegate.telemetry.clock import ManualClock

ID = b"01a20274-4aa5-70ae-90a0-1619ccf85766"
DAY = UnixMillis(784_111_777_000)


def test_date_is_that_of_rfc_9110() -> None:
    """The example of RFC 9110 section 5.6.7."""
    assert DateLine(ManualClock(DAY)).now() == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_date_goes_on() -> None:
    """It is put together anew with each second, and stays within one."""
    clock = ManualClock(DAY)
    line = DateLine(clock)
    first = line.now()
    clock.advance(Millis(999))
    assert line.now() is first
    clock.advance(Millis(1))
    assert line.now() == b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


@pytest.mark.parametrize("head_only", [pytest.param(False, id="with-a-body"), pytest.param(True, id="head")])
def test_every_refusal_says_when(head_only: bool) -> None:
    """One Date behind the status line, in answers that were put together before, too; and the id of this decision."""
    clock = ManualClock(DAY)
    refusals = Refusals(clock, hidden=frozenset(), minimal=False)
    for later in (0, 5):
        clock.advance(Millis(later * 1000))
        wire = refusals.write(refusals.find(Reason.NO_GRANT, close=False, head_only=head_only), ID)
        head, _, body = wire.partition(b"\r\n\r\n")
        line, date, *_ = head.split(b"\r\n")
        assert line == b"HTTP/1.1 403 Forbidden"
        assert parsedate_to_datetime(date.decode().removeprefix("Date: ")).timestamp() == DAY / 1000 + later
        assert wire.count(b"\r\nDate: ") == 1
        assert body.count(ID) == (0 if head_only else 1)


def test_notes_stand_first() -> None:
    """Header lines of others go behind the status line and change nothing else."""
    refusals = Refusals(ManualClock(DAY), hidden=frozenset(), minimal=False)
    wire = refusals.write(refusals.find(Reason.NO_GRANT, close=True, head_only=False), ID)
    line, _, rest = wire.partition(b"\r\n")
    assert with_notes(wire, b"X-A: b\r\n") == line + b"\r\nX-A: b\r\n" + rest
