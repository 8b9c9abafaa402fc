"""How are results printed on a terminal, whatever they are?"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from effsearch.space.printable import printable

PLAIN_WIDTH = 120  # characters, where stdout is no terminal


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout; the first column is text, the others are right-aligned."""
    table = Table(title=Text(printable(title)), title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(Text(printable(column)), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    _console().print(table)


def say(text: str) -> None:
    """Print a line to stdout."""
    _console().print(printable(text), markup=False)


def print_listing(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of plain values; what nests is left to --json."""
    columns = [name for name, value in rows[0].items() if not isinstance(value, (dict, list))]
    print_table("", columns, [[_cell(row[name]) for name in columns] for row in rows])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}" if value < 10**12 else f"{value:.3g}"
    return str(value)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(file=sys.stdout, highlight=False, emoji=False, soft_wrap=True, width=width)
