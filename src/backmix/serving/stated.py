"""Plant values with the names of states among them, for the light runtime.

This module turns rows such as ``{"FI101": 49.4, "Recipe": "A100"}`` into the numbers that a model was trained on, with
the coding that training learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.cells import is_state
from backmix.data.states import StateCoding
from backmix.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows as a model takes them.

    values: (N, F) in the order of its inputs, NaN where a value is missing
    uncertain: (N,) whether a row shows a state that no training row showed
    """

    values: Floats
    uncertain: NDArray[np.bool_]


@dataclass(frozen=True)
class StatedInputs:
    """The inputs of a model, and how those with states are coded.

    names: the F inputs in the order of a row
    """

    names: tuple[str, ...]
    states: tuple[StateCoding, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What a plant measures: the inputs, each tag with states once."""
        coded = {column: coding.tag.name for coding in self.states for column in coding.columns}
        return tuple(dict.fromkeys(coded.get(name, name) for name in self.names))

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> EncodedRows:
        """The rows of columns of numbers, and of names where a tag has states.

        Raises InputError (serving.row_shape) for a column that is not there, (serving.not_numbers) for one that holds
        no numbers.
        """
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise InputError("serving.row_lacks", name=missing[0], names=", ".join(self.columns))
        count = len(columns[self.columns[0]]) if self.columns else 0
        values, uncertain = np.full((count, len(self.names)), np.nan), np.zeros(count, bool)
        coded = {coding.tag.name: coding for coding in self.states}
        for name in self.columns:
            cells = columns[name]
            if (coding := coded.get(name)) is None:
                values[:, self.names.index(name)] = _numbers(name, cells)
                continue
            words = [_word(cell, coding) for cell in cells]
            shown = sorted({word for word in words if word is not None})
            codes = np.vstack([coding.code(shown), np.full((1, len(coding.columns)), np.nan)])
            place = {word: row for row, word in enumerate(shown)}
            rows = np.array([len(shown) if word is None else place[word] for word in words], np.intp)
            for index, column in enumerate(coding.columns):
                if column in self.names:
                    values[:, self.names.index(column)] = codes[rows, index]
            strange = np.array([not coding.knows(word) for word in shown] + [False])
            uncertain |= strange[rows]
        return EncodedRows(values, uncertain)


def _numbers(name: str, cells: Sequence[Any]) -> Floats:
    try:
        return np.array([math.nan if cell is None else float(cell) for cell in cells])
    except (TypeError, ValueError):
        text = next(cell for cell in cells if not isinstance(cell, int | float | np.number | None))
        raise InputError("serving.row_text", name=name, text=str(text)[:60]) from None


def _word(cell: Any, coding: StateCoding) -> str | None:
    """The name of a state as reading knows it; None for a missing one."""
    if cell is None or (isinstance(cell, float | np.floating) and math.isnan(cell)):
        return None
    number = isinstance(cell, int | float | np.number) and not isinstance(cell, bool)
    word = f"{float(cell):.15g}" if number else str(cell).strip()
    if coding.knows(word):
        return word
    return None if not word or is_state(word, among_numbers=False) else word
