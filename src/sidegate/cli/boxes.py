"""Tables in boxes, for terminals. Apart from :mod:`output` because rich takes long to import."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_box(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *columns*; long cells wrap."""
    table = Table(*columns, box=box.ROUNDED, header_style="bold")
    for row in rows:
        # As Text: square brackets in a cell are no markup.
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)
