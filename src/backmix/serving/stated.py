"""Plant values with the names of states among them, for the light runtime.

This module turns rows such as ``{"FI101": 49.4, "Recipe": "A100"}`` into the numbers that a model was trained on, with
the coding that training learned, and holds what else the runtime needs of the preprocessing: scaling, clipping,
operating regimes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.cells import is_state
from backmix.data.scaling import Scaler
from backmix.data.scaling.regimes import RowLevelling, read_regimes
from backmix.data.states import StateCoding
from backmix.data.tag import reported_name
from backmix.errors import InputError
from backmix.models.architecture import Architecture
from backmix.models.heads import heads
from backmix.outcome import limits_of

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


@dataclass(frozen=True, eq=False)
class LightPreprocessing:
    """What the runtime needs of the preprocessing; plain: how many inputs are not past targets."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    units: tuple[str, ...]
    classes: tuple[str, ...]
    shown: int | None
    carried: bool
    plain: int
    center: Floats
    scale: Floats
    low: Floats
    high: Floats
    out_center: Floats
    out_scale: Floats
    states: tuple[StateCoding, ...]
    limits: tuple[float, float] | None
    levelling: RowLevelling | None

    @property
    def scaling(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Centre, scale, low and high ends (F,) for the network; what is levelled before is clipped already."""
        far = np.full(len(self.inputs), np.inf)
        low, high = (self.low, self.high) if self.levelling is None else (-far, far)
        return self.center, self.scale, low, high

    def hidden(self, steps: int | None) -> NDArray[np.bool_] | None:
        """(T, F) true for what a window of T rows does not show; None when it shows all."""
        if self.shown is None or steps is None:
            return None
        mask = np.zeros((steps, len(self.inputs)), bool)
        mask[: max(0, steps - self.shown), self.plain :] = True
        return mask


def light_preprocessing(data: Mapping[str, Any], architecture: Architecture) -> LightPreprocessing:
    """What the runtime needs of a stored preprocessing; ValueError, KeyError or TypeError when it is malformed."""
    scaler = Scaler.from_dict(data["scaler"])
    targets = tuple(str(tag["name"]) for tag in data["targets"])
    classes = tuple(str(name) for name in data["targets"][0]["categories"])
    if heads.get(architecture.head).kind == "regression":
        classes = ()
    outputs = architecture.outputs
    inverse = Scaler.from_dict(data["target_scaler"]) if data["target_scaler"] and not classes else None
    out_center, out_scale = (inverse.center, inverse.scale) if inverse else (np.zeros(outputs), np.ones(outputs))
    known = data["windows"]["known"]
    inputs, center, scale = scaler.names, scaler.center, scaler.scale
    plain, shown = len(inputs), None
    if known:
        inputs = (*inputs, *map(reported_name, targets))
        center, scale = np.concatenate([center, out_center]), np.concatenate([scale, out_scale])
        shown = None if known["count"] is None else int(known["count"])
    if len(inputs) != architecture.features or len(out_center) != outputs:
        raise ValueError
    low, high = np.full(len(inputs), -np.inf), np.full(len(inputs), np.inf)
    if data["repair"]["plan"]["clamp"]:
        ranges = {tag["name"]: tag for tag in data["repair"]["tags"]}
        for column, name in enumerate(inputs[:plain]):
            tag = ranges.get(name, {})
            low[column] = tag["low"] if tag.get("low") is not None else -np.inf
            high[column] = tag["high"] if tag.get("high") is not None else np.inf
    regimes = read_regimes(data)
    return LightPreprocessing(
        inputs=inputs,
        targets=targets,
        units=tuple(str(tag["unit"] or "") for tag in data["targets"]),
        classes=classes,
        shown=shown,
        carried=bool(data["windows"].get("carried", False)),
        plain=plain,
        center=center,
        scale=scale,
        low=low,
        high=high,
        out_center=out_center,
        out_scale=out_scale,
        states=tuple(
            coding
            for coding in map(StateCoding.from_dict, data.get("states", []))
            if set(coding.columns).intersection(inputs)
        ),
        limits=None if classes else limits_of(data["fitted"]),
        levelling=None if regimes is None else RowLevelling(regimes, inputs, low, high),
    )


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
