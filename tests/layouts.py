"""Tables written in every layout that plants export, for the laws of reading.

`Form` is one layout, `write` writes a table in it, and `FORMS` draws one. What is written is known exactly, so that what
is read can be compared cell by cell.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from numpy.typing import NDArray

from backmix.data.table import Table

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp950", "cp1252")
CLOCKS = (
    "iso",
    "iso_t",
    "offset",
    "zulu",
    "day_first",
    "month_first",
    "dotted",
    "month_name",
    "half_day",
    "chinese",
    "republic",
    "compact",
    "date_time",
    "hour_ending",
    "parts",
    "epoch_s",
    "epoch_ms",
    "excel_1900",
)
UTC_CLOCKS = ("offset", "zulu", "epoch_s", "epoch_ms")
FOOTERS = ((), (("(48 rows affected)",),), (("Average", "=mean"),), ((), ("Printed by", "jsmith")))
PREAMBLES = (
    (),
    (("Report: Unit 100",),),
    (("Report", "Unit 100"), ("Start", "13-Mar-24 00:00:00"), ("End", "13-Mar-24 09:59:00"), ()),
)
HEADERS = (("name",), ("name", "unit"), ("name", "unit", "description"), ("name", "description"))
UNITS = ("m3/h", "degC", "bar", "%", "mol/l", "kg/h", "°C", "barg", "ppm", "rpm")
NAMES = ("FI101", "TI102.PV", "PI-103", "AI104", "LIC 105", "F/106", "T [107]", "Feed flow")
CHINESE = ("進料流量", "反應溫度", "塔頂壓力")


@dataclass(frozen=True)
class Form:
    """One layout. ``pack`` is "" or a compression; ``empty`` is the text of a value that is not there."""

    clock: str = "iso"
    shape: str = "wide"
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    quote: bool = False
    header: tuple[str, ...] = ("name",)
    preamble: tuple[tuple[str, ...], ...] = ()
    footer: tuple[tuple[str, ...], ...] = ()
    empty: str = ""
    status: bool = False
    kind: str = "csv"
    pack: str = ""
    line: str = "\n"


@dataclass(frozen=True, eq=False)
class Plant:
    """A table: N times on the wall of Taipei, F tags with values (N, F), NaN where there is none."""

    time: NDArray[np.datetime64]
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float64]
    step: str


@st.composite
def plants(draw: Callable[[Any], Any], form: Form) -> Plant:
    """A small table that the form can hold: readings that wander, with two to four digits behind the point."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    hourly = form.clock in ("hour_ending",)
    step = "1h" if hourly else draw(st.sampled_from(("1min", "5min", "10s" if _has_seconds(form.clock) else "1min")))
    rows = draw(st.integers(20, 60))
    start = pd.Timestamp(draw(st.sampled_from(("2024-03-13 00:00", "2023-11-28 17:00", "2024-01-31 23:00"))))
    time = pd.date_range(start, periods=rows, freq=step).to_numpy()
    pool = NAMES if form.encoding == "cp1252" or draw(st.booleans()) else NAMES + CHINESE
    names = tuple(draw(st.lists(st.sampled_from(pool), min_size=2, max_size=4, unique=True)))
    units = tuple(draw(st.sampled_from(UNITS[:6] if form.encoding == "cp950" else UNITS)) for _ in names)
    level = rng.choice([2.5, 10.0, 50.0, 180.0], len(names))
    values = np.round(
        level * (1 + 0.05 * rng.standard_normal((rows, len(names)))).cumsum(0) / np.arange(1, rows + 1)[:, None], 4
    )
    if draw(st.booleans()):
        values[rng.random(values.shape) < 0.05] = np.nan
        values[:2] = np.where(np.isnan(values[:2]), np.round(level, 4), values[:2])
    return Plant(time, names, units, values, step)


@st.composite
def forms(draw: Callable[[Any], Any]) -> Form:
    """Any layout whose parts fit together."""
    kind = draw(st.sampled_from(("csv", "csv", "csv", "xlsx")))
    shape = draw(st.sampled_from(("wide", "wide", "wide", "long", "pairs")))
    clock = draw(st.sampled_from(CLOCKS))
    if shape != "wide":
        clock = draw(st.sampled_from([name for name in CLOCKS if name not in ("date_time", "hour_ending", "parts")]))
    header = draw(st.sampled_from(HEADERS)) if shape == "wide" else ("name",)
    if kind == "xlsx":
        preamble = draw(st.sampled_from(PREAMBLES))
        return Form(clock, shape, header=header, preamble=preamble, status=_status(draw, shape, header), kind="xlsx")
    decimal = draw(st.sampled_from((".", ".", ",")))
    delimiter = draw(st.sampled_from((";", "\t", "|") if decimal == "," else (",", ";", "\t", "|")))
    return Form(
        clock=clock,
        shape=shape,
        delimiter=delimiter,
        decimal=decimal,
        encoding=draw(st.sampled_from([name for name in ENCODINGS if clock != "chinese" or name != "cp1252"])),
        quote=draw(st.booleans()),
        header=header,
        preamble=draw(st.sampled_from(PREAMBLES)),
        footer=draw(st.sampled_from(FOOTERS)) if shape == "wide" else (),
        empty=draw(st.sampled_from(("", "NaN", "Bad Input", "No Data"))),
        status=_status(draw, shape, header),
        pack=draw(st.sampled_from(("", "", "", ".gz", ".zip"))),
        line=draw(st.sampled_from(("\n", "\r\n"))),
    )


def _status(draw: Callable[[Any], Any], shape: str, header: tuple[str, ...]) -> bool:
    return bool(shape == "wide" and header == ("name",) and draw(st.integers(0, 3)) == 0)


def _has_seconds(clock: str) -> bool:
    return clock not in ("month_first", "dotted", "chinese", "republic", "compact", "hour_ending")


def clock_cells(form: Form, time: NDArray[np.datetime64]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The names of the columns of the clock, and their cells in each row."""
    stamps = [pd.Timestamp(moment) for moment in time]
    style = form.clock
    if style == "date_time":
        return ("Date", "Time"), [(f"{t:%Y-%m-%d}", f"{t:%H:%M:%S}") for t in stamps]
    if style == "hour_ending":
        ends = [(t - pd.Timedelta("1h"), t) for t in stamps]
        return ("Date", "Hour Ending"), [(f"{begin:%Y-%m-%d}", begin.hour + 1) for begin, _ in ends]
    if style == "parts":
        return ("Year", "Month", "Day", "Hour", "Minute", "Second"), [
            (t.year, t.month, t.day, t.hour, t.minute, t.second) for t in stamps
        ]
    taipei = pd.Timedelta("8h")
    texts: Mapping[str, Callable[[pd.Timestamp], Any]] = {
        "iso": lambda t: f"{t:%Y-%m-%d %H:%M:%S}",
        "iso_t": lambda t: f"{t:%Y-%m-%dT%H:%M:%S}",
        "offset": lambda t: f"{t:%Y-%m-%d %H:%M:%S}+08:00",
        "zulu": lambda t: f"{t - taipei:%Y-%m-%dT%H:%M:%S}Z",
        "day_first": lambda t: f"{t:%d/%m/%Y %H:%M:%S}",
        "month_first": lambda t: f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}",
        "dotted": lambda t: f"{t:%d.%m.%Y %H:%M}",
        "month_name": lambda t: f"{t:%d-%b-%y %H:%M:%S}",
        "half_day": lambda t: f"{t:%m/%d/%Y %I:%M:%S %p}",
        "chinese": lambda t: f"{t:%Y/%m/%d} {'上午' if t.hour < 12 else '下午'} {(t.hour - 1) % 12 + 1}:{t:%M}",
        "republic": lambda t: f"{t.year - 1911}/{t:%m/%d %H:%M}",
        "compact": lambda t: f"{t:%Y%m%d%H%M}",
        "epoch_s": lambda t: int((t - taipei).timestamp()),
        "epoch_ms": lambda t: int((t - taipei).timestamp() * 1000),
        "excel_1900": lambda t: round((t - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D"), 8),
    }
    return ("time",), [(texts[style](t),) for t in stamps]


def rows_of(plant: Plant, form: Form) -> list[list[Any]]:
    """The rows of the sheet, cells as numbers or texts."""
    names, clock = clock_cells(form, plant.time)
    above = [list(row) for row in form.preamble]
    if form.shape == "long":
        body = [
            [name, *stamp, value]
            for stamp, values in zip(clock, plant.values, strict=True)
            for name, value in zip(plant.names, values, strict=True)
        ]
        return [*above, ["tag", *names, "value"], *body]
    if form.shape == "pairs":
        head = [cell for name in plant.names for cell in (*names, name)]
        return [
            *above,
            head,
            *([c for v in values for c in (*stamp, v)] for stamp, values in zip(clock, plant.values, strict=True)),
        ]
    blank = [""] * len(names)
    rows: Mapping[str, list[Any]] = {
        "name": [*names, *plant.names],
        "unit": [*blank, *plant.units],
        "description": [*blank, *(f"measured at {name}" for name in plant.names)],
    }
    head = [rows[row] for row in form.header]
    body = [[*stamp, *values] for stamp, values in zip(clock, plant.values, strict=True)]
    if form.status:
        head = [[*names, *(cell for name in plant.names for cell in (name, f"{name} quality"))]]
        body = [
            [*stamp, *(cell for value in values for cell in ((value, 192) if value == value else (0.0, 0)))]
            for stamp, values in zip(clock, plant.values, strict=True)
        ]
    means = [float(np.nanmean(column)) for column in plant.values.T]
    foot = [
        ["Average", *[""] * (len(names) - 1), *(round(mean, 4) for mean in means)] if "=mean" in row else list(row)
        for row in form.footer
    ]
    return [*above, *head, *body, *foot]


def write(plant: Plant, form: Form, folder: Path) -> Path:
    """Write the table in this form; the file has the ending that such files have."""
    rows = rows_of(plant, form)
    if form.kind == "xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in rows:
            book.active.append([None if isinstance(cell, float) and np.isnan(cell) else cell for cell in row])
        book.save(folder / "plant.xlsx")
        return folder / "plant.xlsx"
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=form.delimiter,
        lineterminator=form.line,
        quoting=csv.QUOTE_ALL if form.quote else csv.QUOTE_MINIMAL,
    )
    width = max(map(len, rows))
    for row in rows:
        cells = [_cell(cell, form) for cell in row]
        writer.writerow(cells + [""] * (width - len(cells)) if form.preamble and len(cells) < width else cells)
    raw = text.getvalue().encode(form.encoding)
    path = folder / f"plant.csv{form.pack}"
    if form.pack == ".gz":
        raw = gzip.compress(raw)
    elif form.pack == ".bz2":
        raw = bz2.compress(raw)
    elif form.pack == ".xz":
        raw = lzma.compress(raw)
    if form.pack == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("plant.csv", raw)
    else:
        path.write_bytes(raw)
    return path


def _cell(cell: Any, form: Form) -> str:
    if isinstance(cell, float):
        return form.empty if np.isnan(cell) else f"{cell:.8f}".rstrip("0").rstrip(".").replace(".", form.decimal) or "0"
    return str(cell)


def compare(table: Table, plant: Plant, form: Form) -> None:
    """Every cell, every time and every unit is the one that was written."""
    assert sorted(table.names) == sorted(plant.names)
    time = plant.time - np.timedelta64(8, "h") if form.clock in UTC_CLOCKS else plant.time
    assert table.time is not None
    late = np.abs((table.time - time) / np.timedelta64(1, "ms"))
    assert late.max() <= (1 if form.clock == "excel_1900" else 0)
    for name, unit, values in zip(plant.names, plant.units, plant.values.T, strict=True):
        assert np.array_equal(table.column(name), values, equal_nan=True), name
        if "unit" in form.header:
            assert table.tag(name).unit in (unit, unit.replace("°C", "degC"))
        if "description" in form.header:
            assert table.tag(name).description == f"measured at {name}"


def answers(form: Form) -> Mapping[str, Any]:
    """What a person who knows this export answers to the questions that it may raise."""
    known: dict[str, Any] = {
        "day_first": form.clock in ("day_first", "dotted"),
        "decimal": form.decimal,
        "delimiter": form.delimiter,
        "shape": form.shape,
        "header": form.header,
        "preamble": len(form.preamble),
        "encoding": form.encoding,
    }
    if form.clock in ("epoch_s", "epoch_ms", "excel_1900", "hour_ending", "parts"):
        known["time_form"] = form.clock
    known["time"] = clock_cells(form, np.zeros(0, "datetime64[ns]"))[0]
    if len(known["time"]) == 1:
        known["time"] = known["time"][0]
    return known
