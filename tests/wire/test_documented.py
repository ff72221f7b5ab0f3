"""The table of attacks in docs/security/wire.md is the one that is tested."""

from pathlib import Path

from tests.wire.documenting import PAGE, http2_table, table


def test_page_says_what_is_tested() -> None:
    """The page is written by ``python -m tests.wire.documenting``; nobody edits its table by hand."""
    page = Path(PAGE).read_text()
    assert table() in page
    assert http2_table() in page
