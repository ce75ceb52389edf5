"""One scaling per operating regime.

A plant that runs in several regimes (grades, loads, campaigns, the six flight conditions of an engine) shows the same
fault at another level in each. This module defines `Regimes`: how settings tell the regime of a row, and
where the other inputs lie in each. `Regimes.apply` brings every row to one common level, in plant units:

    x' = center + scale (x - own center) / own scale

so that all that follows (scalers, windows, simple models, kernels) need not know of regimes, and a window may cross
from one to another. Rows of a regime with few training rows, or of none that training showed, stay as they are: they
are scaled over all rows. The settings themselves are not moved. `data.scaling.finding` learns all of it from training
rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.scaling import MOST_FEATURES, Floats, Values
from backmix.data.segments import blocks
from backmix.data.table import Table

Kind = Literal["state", "levels", "clusters"]
Codes = NDArray[np.int64]
UNKNOWN = -1
"""The code of a row whose settings are those of no regime in training."""
MOST_REGIMES = 50


class Applied(NamedTuple):
    """A table whose rows are at one level, the regime of each row, and what there is to say."""

    table: Table
    codes: Codes | None
    notes: tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Regimes:
    """R regimes, told by T settings, and where F inputs lie in each.

    kind: what tells a regime: the state of a tag, exact levels, or clusters
    tags: the T settings; of a tag with states the columns that code them
    labels: what each regime is called
    centers: (R, T) its settings; spread: (T,) unit of the distance between settings; reach: (R,) greatest distance of
        a row that still belongs to it
    usual: (T,) mean settings, for a state that is missing
    rows: (R,) training rows of each; least_rows: with fewer than these it is pooled
    names: the F inputs that are brought to one level
    center, scale: (F,) over all training rows; own_center, own_scale: (R, F) in each regime, of a pooled one the same
        as over all rows
    """

    kind: Kind
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    centers: Floats
    spread: Floats
    reach: Floats
    usual: Floats
    rows: tuple[int, ...]
    least_rows: int
    names: tuple[str, ...]
    center: Floats
    scale: Floats
    own_center: Floats
    own_scale: Floats

    def __post_init__(self) -> None:
        count, width = len(self.labels), len(self.names)
        shapes = {
            "centers": (count, len(self.tags)),
            "spread": (len(self.tags),),
            "reach": (count,),
            "usual": (len(self.tags),),
            "center": (width,),
            "scale": (width,),
            "own_center": (count, width),
            "own_scale": (count, width),
        }
        for name, shape in shapes.items():
            array = np.array(getattr(self, name), np.float64).reshape(shape)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def pooled(self) -> NDArray[np.bool_]:
        """(R,) which regimes are scaled as all rows are, because they have few training rows."""
        return np.array(self.rows) < self.least_rows

    def assign(self, settings: Values) -> Codes:
        """(N,) the regime of rows with these settings (N, T), `UNKNOWN` where training showed none like it."""
        codes = np.full(len(settings), UNKNOWN, np.int64)
        for first, end in blocks(len(settings)):
            block = np.asarray(settings[first:end], np.float64)
            distance = distances(block, self.centers, self.spread)
            nearest = np.where(np.isnan(distance), np.inf, distance).argmin(axis=1)
            near = distance[np.arange(len(block)), nearest] <= self.reach[nearest]
            codes[first:end] = np.where(near, nearest, UNKNOWN)
        return codes

    def level(self, values: Values, codes: Codes) -> Values:
        """Inputs (N, F) at one level; rows of a pooled or unknown regime stay as they are."""
        moved = (codes >= 0) & ~self.pooled[codes]
        own = codes[moved]
        levelled = np.array(values)
        levelled[moved] = self.center + self.scale * ((levelled[moved] - self.own_center[own]) / self.own_scale[own])
        return levelled

    def apply(self, table: Table, measured: Table) -> Applied:
        """A repaired table with its rows at one level.

        measured: the table before repair, which shows a setting beyond the training range that repair has clamped.
        The inputs of a row in a regime that training did not show are uncertain. A missing state becomes one in
        particular, its row uncertain too.
        """
        settings = np.column_stack([np.asarray(table.column(name), np.float64) for name in self.tags])
        missing = np.isnan(settings).any(axis=1) & (self.kind == "state")
        codes = self.assign(self._unclamped(settings, table, measured))
        columns = [table.index(name) for name in self.names]
        values = np.array(table.values)
        values[:, columns] = self.level(values[:, columns], codes)
        places = [table.index(name) for name in self.tags]
        if missing.any():
            values[_cells(missing, places)] = self.usual
        strange = (codes == UNKNOWN) & ~missing & ~np.isnan(settings).any(axis=1)
        notes = (
            Note("marked", "regimes.reason_unseen", int(strange.sum()), tag=", ".join(self.tags)),
            Note("marked", "regimes.reason_missing_state", int(missing.sum()), tag=", ".join(self.tags)),
        )
        quality = table.quality
        if (strange | missing).any():
            quality = np.where(np.isnan(table.values), Quality.BAD, Quality.GOOD).astype(np.uint8)
            quality = quality if table.quality is None else np.array(table.quality)
            quality[_cells(missing, places)] = Quality.UNCERTAIN
            doubtful = _cells(strange | missing, [*columns, *places])
            quality[doubtful] = np.maximum(quality[doubtful], Quality.UNCERTAIN)
        return Applied(
            replace(table, values=values, quality=quality), codes, tuple(note for note in notes if note.count)
        )

    def _unclamped(self, settings: Floats, table: Table, measured: Table) -> Floats:
        """The settings, as measured where repair has brought them to the edge of the training range."""
        unclamped = np.array(settings)
        if measured is table or len(measured) != len(table):
            return unclamped
        for column, name in enumerate(self.tags):
            raw = np.asarray(measured.column(name), np.float64)
            low, high = self.centers[:, column].min(), self.centers[:, column].max()
            beyond = np.isfinite(raw) & np.isfinite(unclamped[:, column]) & ((raw < low) | (raw > high))
            unclamped[beyond, column] = raw[beyond]
        return unclamped

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives regimes that are equal to the last bit."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Any) -> Regimes:
        """The regimes of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        if not isinstance(data, dict) or set(data) != {field.name for field in fields(cls)}:
            raise ValueError("regimes")
        for name in ("tags", "labels", "names"):
            words = data[name]
            if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
                raise ValueError(name)
        rows, least = data["rows"], data["least_rows"]
        if data["kind"] not in get_args(Kind) or len(data["labels"]) > MOST_REGIMES:
            raise ValueError("labels")
        if len(data["names"]) > MOST_FEATURES or len(data["tags"]) > MOST_FEATURES:
            raise ValueError("names")
        if len(rows) != len(data["labels"]) or not all(type(n) is int and n >= 0 for n in (*rows, least)):
            raise ValueError("rows")
        regimes = cls(
            **{
                **data,
                "tags": tuple(data["tags"]),
                "labels": tuple(data["labels"]),
                "names": tuple(data["names"]),
                "rows": tuple(rows),
            }
        )
        for name in ("centers", "spread", "reach", "usual", "center", "scale", "own_center", "own_scale"):
            if not np.isfinite(getattr(regimes, name)).all():
                raise ValueError(name)
        if min(regimes.spread.min(), regimes.scale.min(), regimes.own_scale.min()) <= 0:
            raise ValueError("scale")
        return regimes


@dataclass(frozen=True, eq=False)
class RowLevelling:
    """`Regimes` for the light runtime, which has rows in the place of a table.

    names: the features of a row; low, high: their training range, to which values are clipped
    """

    regimes: Regimes
    names: tuple[str, ...]
    low: Floats
    high: Floats

    def complete(self, rows: Floats, uncertain: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Rows (N, F) with a state in the place of one that is missing, and which of them (N,) are uncertain."""
        settings = rows[:, self._settings]
        missing = np.isnan(settings).any(axis=1) & (self.regimes.kind == "state")
        if missing.any():
            rows = np.array(rows)
            rows[_cells(missing, self._settings)] = self.regimes.usual
        known = np.isfinite(rows[:, self._settings]).all(axis=1)
        return rows, uncertain | (known & (self.regimes.assign(rows[:, self._settings]) == UNKNOWN))

    def level(self, rows: Floats) -> Floats:
        """Rows (..., F) within the training range and at one level."""
        flat = rows.reshape(-1, rows.shape[-1])
        codes = self.regimes.assign(flat[:, self._settings])
        clipped: Floats = np.clip(flat, self.low, self.high)
        clipped[:, self._moved] = self.regimes.level(clipped[:, self._moved], codes)
        return clipped.reshape(rows.shape)

    @cached_property
    def _settings(self) -> list[int]:
        return [self.names.index(name) for name in self.regimes.tags]

    @cached_property
    def _moved(self) -> list[int]:
        return [self.names.index(name) for name in self.regimes.names]


def at_one_level(regimes: Regimes | None, table: Table, measured: Table) -> Applied:
    """`Regimes.apply`; without regimes the table as it is, and no codes."""
    return Applied(table, None, ()) if regimes is None else regimes.apply(table, measured)


def read_regimes(recipe: Mapping[str, Any]) -> Regimes | None:
    """The regimes of a stored preprocessing; None where it has none. The errors are those of `Regimes.from_dict`."""
    regimes = Regimes.from_dict(recipe["regimes"]) if recipe.get("regimes") is not None else None
    if regimes is not None and not {*regimes.names, *regimes.tags} <= set(recipe["windows"]["inputs"]):
        raise ValueError("regimes")
    return regimes


def _cells(rows: Any, columns: Sequence[int]) -> tuple[NDArray[np.intp], ...]:
    return np.ix_(np.flatnonzero(rows), np.array(columns, np.intp))


def distances(settings: Floats, centers: Floats, spread: Floats) -> Floats:
    """(N, R) how far settings (N, T) lie from those of regimes (R, T), in units of ``spread`` (T,)."""
    total = np.zeros((len(settings), len(centers)))
    for column in range(settings.shape[1]):
        total += ((settings[:, column, None] - centers[None, :, column]) / spread[column]) ** 2
    return np.sqrt(total)


def moved_inputs(inputs: Collection[str], settings: Collection[str], kept: Collection[str]) -> tuple[str, ...]:
    """The inputs that regimes bring to one level: all but the settings and what must stay as it is."""
    return tuple(name for name in inputs if name not in settings and name not in kept)
