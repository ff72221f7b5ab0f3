"""The page about the command line is current."""

from pathlib import Path

from sidegate.cli.reference import write_reference


def test_the_page_is_what_the_commands_say() -> None:
    """`docs/cli.md` is made from the commands; make it again with `python -m sidegate.cli.reference > docs/cli.md`."""
    assert (Path(__file__).parents[3] / "docs" / "cli.md").read_text() == write_reference()
