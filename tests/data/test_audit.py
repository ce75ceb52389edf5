"""The audit: every finding against a table into which exactly that trouble was put."""

from __future__ import annotations

import json
import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.auditing.audit import Audit, audit
from backmix.data.auditing.finding import KINDS, Finding
from backmix.data.auditing.shift import CONVERSIONS, find_shifts
from backmix.data.ledger import Ledger, Note
from backmix.data.quality import Quality
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import LANGUAGES, sentences

ROWS = 2000
START = np.datetime64("2024-05-13", "ns")


def signal(seed: int = 0, rows: int = ROWS) -> np.ndarray:
    """A temperature that wanders, with noise."""
    rng = np.random.default_rng(seed)
    return 80 + np.cumsum(rng.normal(size=rows)) * 0.05 + rng.normal(size=rows)


def look(x: np.ndarray, *, tag: Tag | None = None, **more: Any) -> Audit:
    time = START + np.arange(len(x)) * np.timedelta64(60, "s")
    values = np.column_stack([x, signal(99, len(x))])
    return audit(Table(values, (tag or Tag("T101"), Tag("other")), time=time, source="plant.csv"), **more)


def one(found: Audit, kind: str, tag: str | None = "T101") -> Finding:
    return next(finding for finding in found.of(tag) if finding.kind == kind)


def kinds(found: Audit) -> set[str]:
    return {finding.kind for finding in found.findings}


def test_a_sound_table_has_no_findings() -> None:
    assert look(signal()).findings == ()


def test_missing_values_with_their_longest_hole() -> None:
    x = signal()
    x[[5, 700, 701, 702]] = np.nan
    found = one(look(x), "missing")
    assert (found.count, found.severity, found.values["longest"]) == (4, "info", 3)
    assert found.where == ("2024-05-13T00:05:00Z", "2024-05-13T11:40:00Z")
    strip = look(x).tags[0].missing_strip
    assert len(strip) == 100
    assert strip[0] == 1 / 20
    assert strip[35] == 3 / 20


def test_an_input_without_a_number_is_an_error() -> None:
    assert one(look(np.full(ROWS, np.nan)), "missing").severity == "error"
    assert one(look(np.full(ROWS, np.nan), tag=Tag("T101", role="lab")), "missing").severity == "warning"


def test_a_frozen_sensor_is_told_from_a_setpoint() -> None:
    x = signal()
    x[400:460] = x[400]
    found = one(look(x), "frozen")
    assert (found.count, found.values["longest"]) == (60, 60)
    assert found.where == ("2024-05-13T06:40:00Z",)
    setpoint = np.repeat(np.random.default_rng(0).integers(50, 90, 20), ROWS // 20).astype(float)
    assert look(setpoint).findings == ()


def test_spikes_are_told_from_steps_and_ramps() -> None:
    x = signal()
    x[[300, 900]] += 60
    x[1500] -= 60
    found = one(look(x), "spikes")
    assert found.count == 3
    assert found.where == ("2024-05-13T05:00:00Z", "2024-05-13T15:00:00Z", "2024-05-14T01:00:00Z")
    x = signal()
    x[1000:] += 30
    assert "spikes" not in kinds(look(x))


def test_clipping_at_repeated_extremes_and_at_limits() -> None:
    x = np.minimum(signal(), np.quantile(signal(), 0.9))
    found = one(look(x), "clipped")
    assert found.count == 200
    assert look(x).tags[0].clipped == 200
    assert "clipped" not in kinds(look(np.round(signal(), 0)))
    high = float(np.round(np.quantile(signal(), 0.9)))
    full = np.round(np.minimum(signal(), high))
    assert one(look(full, tag=Tag("T101", high=high)), "clipped").count == (full == high).sum()


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=[c.text for c in CONVERSIONS])
def test_a_change_of_unit_is_named_with_its_row(conversion: Any) -> None:
    """Bad input 17: every known conversion is recognised at the very row where it sets in."""
    x = signal(5)
    x[1300:] = conversion.factor * x[1300:] + conversion.offset
    unit = conversion.units[0] if conversion.units else ""
    (shift,) = find_shifts(x, unit=unit)
    assert shift.row == 1300
    assert shift.conversion is not None
    assert shift.conversion.factor == pytest.approx(conversion.factor, rel=0.05)


def test_a_change_of_unit_in_words() -> None:
    x = signal()
    x[1300:] = 1.8 * x[1300:] + 32
    found = one(look(x, tag=Tag("T101", unit="degC")), "unit")
    assert found.count == 700
    assert found.sentence("en").startswith("T101: unit changed, as if degC → degF: from about ")
    assert found.sentence("en").endswith("values: 700 — at 2024-05-13T21:40:00Z")


def test_a_change_of_operation_is_no_change_of_unit() -> None:
    x = signal()
    x[700:] += 15
    x[1400:] -= 15
    assert not {"unit"} & kinds(look(x))
    assert find_shifts(np.tile(np.repeat([20.0, 100.0], 50), 20) + signal() / 80) == ()
    assert find_shifts(np.linspace(0, 1000, ROWS) + signal()) == ()
    assert find_shifts(np.array([1.0, 2.0])) == ()


def test_a_level_that_leaves_its_range_is_named() -> None:
    x = signal()
    x[1000:] += 200
    found = one(look(x), "level")
    assert found.severity == "info"
    assert found.where == ("2024-05-13T16:40:00Z",)


def test_constant_infinite_limits_and_status_texts() -> None:
    assert one(look(np.full(ROWS, 5.0)), "constant").sentence("en") == "T101: constant at 5, tells nothing"
    x = signal()
    x[[7, 8]] = np.inf, -np.inf
    x[9] = -5
    note = Note("marked", "read.reason_status_text", 2, tag="T101", example="I/O Timeout")
    ledger = Ledger(ROWS).add(note)
    found = look(x, tag=Tag("T101", low=0, high=500), ledger=ledger)
    assert one(found, "infinite").count == 2
    assert one(found, "limits").sentence("en") == (
        "T101: values outside the limits 0 to 500: 1 — at 2024-05-13T00:09:00Z"
    )
    assert one(found, "status").sentence("en") == ("T101: status texts in place of numbers: 2 ('I/O Timeout' ×2)")
    assert found.tags[0].status == (("I/O Timeout", 2),)


def test_uncertain_cells_are_counted_and_classes_are_not_measured() -> None:
    values = np.column_stack([signal(), np.arange(ROWS) % 3])
    quality = np.zeros((ROWS, 2), np.uint8)
    quality[:5, 0] = Quality.UNCERTAIN
    found = audit(Table(values, (Tag("T101"), Tag("grade", categories=("A", "B", "C"))), quality=quality))
    assert found.tags[0].uncertain == 5
    assert found.tags[1].kind == "class"
    assert found.findings == ()


def _clocked(seconds: np.ndarray, batch: np.ndarray | None = None) -> Audit:
    x = signal(rows=len(seconds))
    return audit(
        Table(
            x[:, None],
            (Tag("T101"),),
            time=START + seconds.astype("timedelta64[s]"),
            batch=batch,
            batch_names=("A", "B"),
            source="plant.csv",
        )
    )


def test_the_table_as_a_whole_order_duplicates_gaps_and_uneven_steps() -> None:
    seconds = np.arange(500) * 60
    seconds[100:] += 86400
    seconds[300:] += 45
    seconds[400] = seconds[399]
    seconds[450] = seconds[449] - 1
    found = _clocked(seconds)
    assert one(found, "gaps", None).where == ("2024-05-14T01:40:00Z",)
    assert one(found, "gaps", None).values["longest"] == "86460 s"
    assert one(found, "duplicates", None).values["unequal"] == 1
    assert one(found, "order", None).severity == "error"
    assert one(found, "order", None).count == 1
    assert "2024-05-14T05:00:45Z" in one(found, "irregular", None).where
    assert found.step == 60


def test_scattered_batches() -> None:
    batch = np.repeat([0, 1, 0, 1], 25).astype(np.int32)
    found = one(_clocked(np.arange(100) * 60, batch), "scattered", None)
    assert found.count == 2
    assert found.where == ("2024-05-13T00:50:00Z", "2024-05-13T01:15:00Z")


def test_a_source_that_stands_still() -> None:
    values = np.column_stack([signal(0), signal(1)])
    values[600:640] = values[600]
    found = audit(Table(values, (Tag("a"), Tag("b"))))
    assert one(found, "stalled", None).count == 40
    assert one(found, "stalled", None).where == ("#601",)


def test_only_the_named_rows_are_looked_at_and_keep_their_places() -> None:
    x = signal()
    x[[5, 1700]] = np.nan
    found = look(x, rows=np.arange(ROWS) >= 1000)
    assert found.rows == 1000
    assert one(found, "missing").where == ("2024-05-14T04:20:00Z",)
    assert found.first == "2024-05-13T16:40:00Z"
    alternate = look(x, rows=np.arange(ROWS) // 100 % 2 == 0)
    assert "gaps" not in kinds(alternate)


def test_an_empty_table_and_a_single_row() -> None:
    assert audit(Table(np.zeros((0, 1)), (Tag("T"),))).rows == 0
    assert audit(Table(np.zeros((1, 1)), (Tag("T"),), time=np.array([START]))).findings == ()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_kind_has_its_sentence_and_remark(lang: Any) -> None:
    blanks = dict.fromkeys(
        (
            "share",
            "longest",
            "texts",
            "low",
            "high",
            "value",
            "runs",
            "edges",
            "conversion",
            "before",
            "after",
            "unequal",
            "code",
            "times",
            "every",
            "sound",
            "lost",
            "high",
            "names",
            "same",
            "step",
        ),
        "v",
    )
    for kind in KINDS:
        found = Finding(kind, "T", "info", 3, where=("#1",), values=blanks)
        assert "#1" in found.sentence(lang)
        assert found.remark(lang)
    assert {name.removeprefix("finding_") for name in sentences("audit") if name.startswith("finding_")} == {
        *KINDS,
        "where",
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_prints_and_is_ready_for_json(lang: Any) -> None:
    x = signal()
    x[5] = np.nan
    x[700] = 500
    found = look(x, tag=Tag("T101", unit="degC", high=300))
    lines = found.lines(lang)
    assert {len(line) for line in lines} == {7}
    assert lines[1][0] == "T101 [degC]"
    assert "plant.csv" in found.summary(lang)
    assert len(found.sentences(lang)) == len(found.findings) == 3
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["tags"][0]["name"] == "T101"


def test_real_plant_data(shared_data: Path) -> None:
    """ETTh1: every month's last day is one value held for 24 hours in all seven columns."""
    import csv

    with (shared_data / "ett" / "ETTh1.csv").open() as file:
        rows = list(csv.reader(file))
    table = Table(
        np.array([row[1:] for row in rows[1:]], float),
        tuple(Tag(name) for name in rows[0][1:]),
        time=np.array([row[0].replace(" ", "T") for row in rows[1:]], "datetime64[ns]"),
    )
    found = one(audit(table), "stalled", None)
    assert (found.count, found.values["longest"]) == (336, 24)
    assert found.where[0] == "2016-07-31T00:00:00Z"


def test_a_large_table_is_audited_at_once() -> None:
    """200 000 rows by 5 tags: linear in rows and tags, so a million by twenty stays within seconds."""
    x = np.column_stack([signal(seed, 200_000) for seed in range(5)])
    table = Table(x, tuple(Tag(f"T{i}") for i in range(5)))
    begin = clock.process_time()
    audit(table)
    assert clock.process_time() - begin < 3
