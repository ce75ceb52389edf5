"""Rows at the end of a table that are no data.

In: the last rows of cells, from a text file or a sheet. Out: `Footer`: how many of them are averages, signatures or
remarks and no values of the plant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from backmix.data.layout.frame import CellKind, Row, cell_kind, is_data
from backmix.data.layout.header import cell_text
from backmix.data.layout.layout import Layout

_SUMMARY = re.compile(
    r"(?i)\W*(grand\s+)?(average|avg|mean|sum|totals?|subtotal|min(imum)?|max(imum)?|count|std\.?(\s?dev\.?)?|median"
    r"|range|end( of (file|data|report|table))?|eof|summary|平均值?|合計|總計|總和|小計|最大值?|最小值?"
    r"|標準差|筆數|以下空白|共.*[筆列])\W*"
)
_FOOTER_ROWS = 40


class Footer(NamedTuple):
    """Rows at the end that are no data: how many, how many of the given rows they take, and what they say."""

    rows: int
    place: int
    text: str


def find_footer(rows: Sequence[Row], kinds: Sequence[CellKind], plan: Layout) -> Footer:
    """Rows at the end of ``rows`` (the last ones of the table, none of them blank) that are no data.

    ``footer`` of the plan says how many at most; a row that looks like every other row of values stays one.
    """
    stated = plan.footer is not None
    clocks = [column for column, kind in enumerate(kinds) if kind == "time"]
    count = 0
    for seen, row in enumerate(reversed(rows[-(plan.footer if plan.footer is not None else _FOOTER_ROWS) :]), 1):
        if plan.footer == 0:
            break
        above = rows[-seen - 1] if seen < len(rows) else None
        lone = above is not None and above.line + 1 < row.line
        begins = next((cell_kind(other.cells[0]) for other in reversed(rows[:-seen]) if cell_text(other.cells[0])), "")
        if _is_footer(row, kinds, clocks, lone=lone, stated=stated, after_number=begins == "number"):
            count = seen
        elif stated or not _timeless(row, kinds, clocks):  # a total without a time counts when its title stands above
            break
    taken = rows[len(rows) - count :]
    text = " / ".join(" ".join(filter(None, map(cell_text, row.cells)))[:40] for row in taken[:3])
    return Footer(count, taken[0].line if taken else -1, text)


def _timeless(row: Row, kinds: Sequence[CellKind], clocks: Sequence[int]) -> bool:
    return len(row.cells) == len(kinds) and bool(clocks) and not any(cell_text(row.cells[column]) for column in clocks)


def _is_footer(
    row: Row, kinds: Sequence[CellKind], clocks: Sequence[int], *, lone: bool, stated: bool, after_number: bool
) -> bool:
    """Whether a row at the end is no data.

    lone: a blank row stands above it; after_number: the last row above it that has a first cell begins with a number
    """
    texts = [cell_text(cell) for cell in row.cells]
    filled = [text for text in texts if text]
    if not filled:
        return True
    if all(set(text) <= set("-=_*~. ") for text in filled) and any(len(text) > 2 for text in filled):
        return not clocks or len(texts) != len(kinds) or kinds[0] == "time" or len(filled) == len(texts)
    own = [cell_kind(text if isinstance(cell, str) else cell) for text, cell in zip(texts, row.cells, strict=True)]
    if len(texts) == len(kinds):
        clock = [own[column] for column in clocks]
        if clocks and all(kind == "word" for kind in clock):
            return not any(re.search(r"\d\s*[-/.:年月]\s*\d", texts[column]) for column in clocks) or len(filled) == 1
        if any(_SUMMARY.fullmatch(text) for text in filled[:1]):
            return True
        if clocks and all(kind == "" for kind in clock):
            return lone or stated or (len(filled) == 1 and own[texts.index(filled[0])] == "word" and len(kinds) > 2)
        if not clocks and kinds[0] == "number" and own[0] == "word" and after_number and "number" not in own:
            return True
        if not clocks and len(filled) == 1 and len(kinds) > 2 and kinds[texts.index(filled[0])] == "number":
            return own[texts.index(filled[0])] == "word"
        return stated and not is_data(row, kinds, None)
    first = own[0] if own else ""
    if first in ("word", "state") and (kinds[0] in ("time", "number") or _SUMMARY.fullmatch(texts[0]) is not None):
        return True
    return len(filled) == 1 and "word" in own and bool(re.search(r"[(\s:：]", filled[0]))
