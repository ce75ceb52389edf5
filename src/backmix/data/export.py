"""Tables on their way to a spreadsheet.

This module writes CSV that a spreadsheet opens without running anything: a cell of text that would
be taken for a formula gets an apostrophe before it. Numbers are left alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from backmix.data.tag import bracket
from backmix.storage import write_atomic
from backmix.text import say

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of a cell that spreadsheets take for a formula or a command."""
MEASURED = ("truth", "prediction", "low", "high")
"""Columns of predictions in the unit of the target."""
_ROWS = 50_000


def write_csv(frame: pd.DataFrame, target: Path | str | TextIO) -> None:
    """Write a frame without its index as CSV, to a file whole or not at all, or to an open text stream.

    A file is UTF-8, with a byte-order mark when it holds anything beyond ASCII, so that Excel does
    not read Chinese as Big5. Numbers are written so that reading gives them back bit by bit.
    Raises StorageError when the disk refuses.
    """
    if isinstance(target, str | Path):
        text = io.StringIO()
        _write(frame, text)
        whole = text.getvalue()
        write_atomic(target, whole.encode("utf-8" if whole.isascii() else "utf-8-sig"))
    else:
        _write(frame, target)


def readable(frame: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    """Predictions as people read them: six digits, the unit in the header where all targets have the same, and the
    reason of a doubt in words.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"target": ["C_A"], "prediction": [1.23456789]})
    >>> readable(frame, {"C_A": "mol/l"}).to_dict("list")
    {'target': ['C_A'], 'prediction [mol/l]': [1.23457]}
    """
    shown = frame.copy(deep=False)
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            shown[name] = [float(f"{value:.6g}") for value in shown[name].to_numpy(float)]
    if "quality_reason" in shown.columns:
        shown["quality_reason"] = [say(key) if isinstance(key, str) else "" for key in shown["quality_reason"]]
        shown["quality_tag"] = shown["quality_tag"].fillna("")
    stated = {units.get(target, "") for target in set(frame["target"])} if "target" in frame.columns else set()
    unit = stated.pop() if len(stated) == 1 else ""
    named = {name: name + bracket(unit) for name in MEASURED if name in shown and shown[name].dtype.kind == "f"}
    return shown.rename(columns=named)


def guarded(cell: Any) -> Any:
    """A text that no spreadsheet runs; anything else as it is.

    >>> guarded("=1+1"), guarded("T101"), guarded(-1.5)
    ("'=1+1", 'T101', -1.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _write(frame: pd.DataFrame, stream: TextIO) -> None:
    import pandas as pd

    names = [guarded(str(name)) for name in frame.columns]
    for start in range(0, max(1, len(frame)), _ROWS):
        block = frame.iloc[start : start + _ROWS]
        columns = [_column(block.iloc[:, column]) for column in range(block.shape[1])]
        # a lone carriage return ends a row for many readers, but pandas does not quote it
        torn = any("\r" in str(cell) for cells in (names, *columns) if _worded(cells) for cell in cells)
        pd.DataFrame(dict(enumerate(columns)), index=range(len(block))).to_csv(
            stream,
            index=False,
            header=names if start == 0 else False,
            lineterminator="\n",
            quoting=csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL,
        )


def _column(cells: pd.Series[Any]) -> Any:
    import pandas as pd

    return pd.Series([guarded(cell) for cell in cells], dtype=object).array if _worded(cells) else cells.array


def _worded(cells: Any) -> bool:
    """Whether there may be text among the cells."""
    import pandas as pd

    kind = getattr(cells, "dtype", object)
    return not pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_datetime64_any_dtype(kind)
