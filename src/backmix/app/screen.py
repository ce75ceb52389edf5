"""How results look in a terminal.

This module prints results to stdout: tables for people, one JSON document with ``--json``, plain
text on a pipe. Anything that is not a result goes to stderr through `note`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from backmix.storage import json_ready


def show_json(value: Any) -> None:
    """One JSON document on stdout; a number that is not finite becomes null."""
    print(json.dumps(json_ready(value), ensure_ascii=False, indent=1, default=str))


def show_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table on stdout; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells if row[i]) and bool(cells) for i in range(len(headers))]
    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for header, right in zip(headers, numeric, strict=True):
        table.add_column(Text(header), justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else 160
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def show_line(text: str) -> None:
    """One line of a result on stdout."""
    print(text)


def note(text: str) -> None:
    """One line that is not a result, on stderr."""
    print(text, file=sys.stderr, flush=True)


def number(value: float | None, digits: int = 4) -> str:
    """A number as a person reads it; an empty cell when there is none.

    >>> number(0.123456), number(float("nan")), number(12.0)
    ('0.1235', '–', '12')
    """
    if value is None:
        return ""
    return f"{value:.{digits}g}" if math.isfinite(value) else "–"


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else "" if value is None else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text.replace("–", "0"))
    except ValueError:
        return False
    return True
