"""Units inside cells: "12.5 bar", "85 °C", "3.2%".

This module takes the unit from behind the numbers of a column. A column of two units is refused: which of them counts
is not in the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from backmix.data.ledger import Note
from backmix.data.notation.cells import PLAIN, is_state, normal
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.errors import InputError

_UNITS = """
% %wt %vol wt% vol% mol% ppm ppb ppmv °C degC °F degF K barg bara bar mbar MPa kPa hPa Pa psi psig psia mmHg mmH2O mH2O
inHg inH2O kg/cm2 kg/cm2g kgf/cm2 atm m3/h m3/hr m3/min m3/s Nm3/h Sm3/h l/h L/h l/min L/min L/s l/s gpm GPM scfm SCFM
kg/h kg/hr kg/min kg/s t/h t/d g/h lb/h kg t g mg lb m3 L l mL ml m cm mm μm ft in m/s mm/s rpm RPM Hz kHz kW MW W
kWh MWh kJ MJ GJ kcal kJ/kg A mA kA V mV kV Ω ohm pH cP mPa·s mPas Pa·s cSt g/L g/l mg/L mg/l kg/m3 g/cm3 mol/L mol/l
NTU μS/cm mS/cm s sec min h hr d deg °
"""
UNITS = tuple(_UNITS.split())
"""Units as they stand behind numbers, after full-width letters and raised digits were made plain."""
MOSTLY = 0.9
SAMPLE = 1000
_NUMBER = r"^(?P<number>[+-]?(?:\d[\d.,' ’]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*"
_PATTERN = _NUMBER + "(?P<unit>" + "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True)) + ")$"
_SAME = {"°C": "degC", "°F": "degF", "l/h": "L/h", "l/min": "L/min", "l/s": "L/s", "ml": "mL", "l": "L", "hr": "h"}


def without_cell_units(raw: RawTable, classes: Collection[str]) -> RawTable:
    """The table with the units of its cells taken off the numbers, and known as those of their columns.

    classes: columns that the plan calls text
    Raises InputError (read.mixed_units) for a column of several units.
    """
    columns, units, notes = [], dict(raw.units), list(raw.notes)
    for column in raw.columns:
        bare = None if column.name in classes else _bared(column, raw)
        if bare is not None:
            column, unit, count, example = bare
            units.setdefault(column.name, unit)
            notes.append(Note("converted", "read.reason_cell_unit", count, tag=column.name, example=example))
        columns.append(column)
    if len(notes) == len(raw.notes):
        return raw
    return replace(raw, columns=tuple(columns), units=units, notes=tuple(notes))


def _bared(column: RawColumn, raw: RawTable) -> tuple[RawColumn, str, int, str] | None:
    """The column without units, the unit, how many cells had it and the first of them; None where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.texts is None:
        return None
    some = pc.drop_null(column.texts.slice(0, SAMPLE).combine_chunks())
    if not pc.any(pc.match_substring_regex(normal(some)[0], _PATTERN)).as_py():
        return None
    whole = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in column.texts.chunks])
    cells = normal(whole)[0]
    parts = pc.extract_regex(cells, _PATTERN)
    units = pc.struct_field(parts, "unit")
    seen = [unit for unit in pc.unique(units).to_pylist() if unit is not None]
    words = pc.value_counts(pc.filter(cells, pc.and_(pc.is_null(units), pc.is_valid(cells)))).to_pylist()
    others = sum(
        word["counts"]
        for word in words
        if word["values"] and not is_state(word["values"]) and not re.match(PLAIN, word["values"].replace(",", "."))
    )
    count = len(units) - units.null_count
    if count < MOSTLY * (count + others):
        return None
    plain = {_SAME.get(unit, unit) for unit in seen}
    first = pc.index(pc.is_valid(units), True).as_py()
    if len(plain) > 1:
        mine = _SAME.get(units[first].as_py(), units[first].as_py())
        same = pa.array([unit for unit in seen if _SAME.get(unit, unit) == mine], units.type)
        odd = pc.index(pc.and_(pc.is_valid(units), pc.invert(pc.is_in(units, value_set=same))), True).as_py()
        raise InputError(
            "read.mixed_units",
            where=raw.at(odd, column.name),
            text=whole[odd].as_py().strip()[:40],
            other=raw.at(first, column.name),
            other_text=whole[first].as_py().strip()[:40],
            units=", ".join(sorted(plain)),
        )
    bare = pc.coalesce(pc.struct_field(parts, "number"), whole)
    return replace(column, texts=pa.chunked_array([bare])), plain.pop(), count, whole[first].as_py().strip()[:40]
