"""What plant tables bring, and what the audit, the clock and the repair rules answer.

Numbers are the rows of the table of bad inputs: E error, R repair, Q goes on with a quality.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backmix.data.auditing.audit import audit
from backmix.data.ledger import Ledger, account
from backmix.data.quality import Quality
from backmix.data.repairing.repair import Repaired, RepairPlan, fit_repair
from backmix.data.repairing.resample import check_clock, resample
from backmix.data.repairing.rules import HARDLY
from backmix.data.segments import segment_starts
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.text import speak

START = np.datetime64("2024-05-13", "ns")


def plant(x: Any, *, tag: Tag | None = None, minutes: Any = None, **more: Any) -> Table:
    """One tag at one row a minute."""
    x = np.asarray(x, float)
    minutes = np.arange(len(x)) if minutes is None else np.asarray(minutes)
    time = START + (minutes * 60e9).astype("int64").astype("timedelta64[ns]")
    return Table(x[:, None], (tag or Tag("T101"),), time=time, source="plant.csv", **more)


def noisy(rows: int = 200, seed: int = 0) -> np.ndarray:
    return 80 + np.random.default_rng(seed).normal(size=rows)


def repaired(table: Table, plan: RepairPlan, train: int | None = None) -> Repaired:
    rows = np.arange(len(table)) < (train or len(table))
    done = fit_repair(table, plan, rows=rows).apply(table)
    found = account(Ledger(len(table)).add(*done.notes), done.table)
    assert found.read == found.used + found.repaired + found.dropped
    return done


def counts(done: Repaired) -> dict[str, int]:
    return {note.reason.removeprefix("repair.reason_"): note.count for note in done.notes}


def quality(done: Repaired, row: int) -> int:
    """A table without qualities is good exactly where it has a number."""
    if done.table.quality is None:
        return Quality.BAD if np.isnan(done.table.values[row, 0]) else Quality.GOOD
    return int(done.table.quality[row, 0])


def test_row_02_same_time_twice_in_a_frame() -> None:
    with pytest.raises(InputError) as fault:
        check_clock(plant([1, 2, 3], minutes=[0, 1, 1]), RepairPlan())
    assert fault.value.exit_code == 3
    assert str(fault.value) == (
        "plant.csv, row 3 — time 2024-05-13T00:01:00Z appears twice in one batch. Say which row counts: "
        '[data] duplicates = "first", "last" or "mean"'
    )


def test_row_04_time_not_in_order_in_a_frame() -> None:
    with pytest.raises(InputError) as fault:
        check_clock(plant([1, 2, 3], minutes=[0, 2, 1]), RepairPlan())
    assert fault.value.exit_code == 3
    assert str(fault.value) == (
        "plant.csv, row 3 — time 2024-05-13T00:01:00Z is earlier than the row before it. Sort the rows by "
        "batch and time: frame.sort_values([...])"
    )
    with pytest.raises(InputError, match="is earlier than the row before it"):
        resample(plant([1, 2, 3], minutes=[0, 2, 1]), RepairPlan(resample="5min"))


def test_row_05_irregular_sampling_without_a_declared_resampling() -> None:
    """Trap Z."""
    table = plant(noisy(100), minutes=np.cumsum(np.tile([1, 1.5], 50)))
    with pytest.raises(InputError) as fault:
        resample(table, RepairPlan())
    assert fault.value.exit_code == 3
    assert str(fault.value) == (
        "plant.csv — 49 of 99 times between rows are not even (step 90 s, but 60 s after "
        "2024-05-13T00:02:30Z). "
        'Put the rows on a regular grid: [repair] resample = "2min"'
    )
    with speak("zh_TW"):
        assert str(fault.value) == (
            "plant.csv — 99 個列間隔中有 49 個不規則（間隔 90 s，但 2024-05-13T00:02:30Z 之後為 60 s）。"
            '請重新取樣到規則時間：[repair] resample = "2min"'
        )


def test_row_05_irregular_sampling_with_a_declared_resampling() -> None:
    table = plant(noisy(100), minutes=np.cumsum(np.tile([1, 1.5], 50)))
    out, notes = resample(table, RepairPlan(resample="2min"))
    assert out.time is not None
    assert set(np.diff(out.time).astype("int64") // 10**9) == {120}
    assert [note.sentence("en").split(" (")[0] for note in notes] == [
        f"rows dropped: {100 - len(out)} — merged into one row of the time grid"
    ]


def test_row_06_a_gap_splits_the_sequence_and_nothing_is_filled_across() -> None:
    x = noisy(100)
    x[50] = np.nan
    table = plant(x, minutes=np.arange(100) + np.where(np.arange(100) < 50, 0, 30))
    check_clock(table, RepairPlan())
    assert audit(table).of(None)[0].sentence("en") == (
        "gaps in time: 1, the longest 1860 s; sequences end there — at 2024-05-13T01:20:00Z"
    )
    for fill in ("hold", "interpolate"):
        done = repaired(table, RepairPlan(fill=fill))
        assert np.isnan(done.table.values[50, 0])
        assert quality(done, 50) == Quality.BAD
    assert set(segment_starts(table)) == {0, 50}


def test_row_06_a_batch_ends_the_sequence_too() -> None:
    x = noisy(100)
    x[50] = np.nan
    table = plant(x, batch=np.repeat([0, 1], 50).astype(np.int32), batch_names=("B01", "B02"))
    assert np.isnan(repaired(table, RepairPlan()).table.values[50, 0])


def test_row_11_infinite_and_out_of_range() -> None:
    x = noisy()
    x[[20, 30, 40]] = np.inf, 300, -5
    done = repaired(plant(x, tag=Tag("T101", low=0, high=250)), RepairPlan(fill="none"))
    assert counts(done) == {"infinite": 1, "limit_low": 1, "limit_high": 1}
    assert np.isnan(done.table.values[[20, 30, 40], 0]).all()
    assert [quality(done, row) for row in (19, 20, 30, 40)] == [0, 2, 2, 2]


def test_row_13_a_spike_is_marked_and_its_raw_value_kept() -> None:
    x = noisy()
    x[120] = 140
    done = repaired(plant(x), RepairPlan())
    assert done.table.values[120, 0] == 140
    assert quality(done, 120) == Quality.UNCERTAIN
    assert counts(done) == {"spike": 1}
    masked = repaired(plant(x), RepairPlan(outliers="mask"))
    assert masked.table.values[120, 0] == x[119]
    assert counts(masked) == {"spike_masked": 1, "held": 1}


def test_row_14_a_frozen_sensor_is_uncertain_then_bad() -> None:
    x = noisy()
    x[100:130] = x[100]
    done = repaired(plant(x), RepairPlan(frozen="10min"))
    assert [quality(done, row) for row in (104, 105, 109, 110, 129, 130)] == [0, 1, 1, 2, 2, 0]
    assert np.isnan(done.table.values[110:130, 0]).all()
    assert counts(done) == {"frozen": 5, "frozen_bad": 20, "left_missing": 20}
    assert audit(plant(x)).of("T101")[0].kind == "frozen"


def test_row_15_a_constant_column_is_dropped_and_reported() -> None:
    values = np.column_stack([noisy(), np.full(200, 7.0)])
    values[150:, 1] = 8.0  # moves only after training
    table = Table(values, (Tag("T101"), Tag("P7")))
    repair = fit_repair(table, RepairPlan(), rows=np.arange(200) < 100)
    done, notes = repair.apply(table)
    assert repair.dropped_tags == ("P7",)
    assert done.names == ("T101",)
    assert notes[0].sentence("en") == "P7: cells marked: 200 — constant in the training rows, column left out"


def test_row_16_an_input_without_a_number() -> None:
    values = np.column_stack([noisy(), np.full(200, np.nan)])
    table = Table(values, (Tag("T101"), Tag("P7")), source="plant.csv")
    with pytest.raises(InputError) as fault:
        fit_repair(table, RepairPlan(), rows=np.arange(200) < 100)
    assert fault.value.exit_code == 3
    assert str(fault.value) == (
        "plant.csv — input P7 has no usable number in the 100 training rows. Leave it out: [[data.tags]] "
        'name = "P7", role = "ignored"'
    )
    lab = table.retag({"P7": Tag("P7", role="lab")})
    assert fit_repair(lab, RepairPlan(), rows=np.arange(200) < 200).apply(lab).notes == ()


def test_row_17_a_change_of_unit_is_named_in_the_audit() -> None:
    x = np.random.default_rng(0).normal(size=600) * 0.5 + 80
    x[400:] = x[400:] * 1.8 + 32
    (found,) = audit(plant(x, tag=Tag("T101", unit="degC"))).findings
    assert found.sentence("en") == (
        "T101: unit changed, as if degC → degF: from about 79.9887 to about 175.963, values: 200 — at "
        "2024-05-13T06:40:00Z"
    )
    y = np.random.default_rng(0).normal(size=600) * 0.5 + 80
    y[400:] *= 1000
    assert [finding.remark("en") for finding in audit(plant(y)).findings] == ["unit ×1000?"]


def test_row_18_outside_the_training_range_is_clamped_and_uncertain() -> None:
    x = np.concatenate([np.tile([10.0, 11.0, 12.0, 11.0], 50), [12.5, 9.0, 11.0]])
    done = repaired(plant(x), RepairPlan(), train=200)
    hardly = HARDLY * (12.0 - 10.0)  # what lies beyond by less is inside
    assert done.table.values[200:, 0].tolist() == [12.0 + hardly, 10.0 - hardly, 11.0]
    assert [quality(done, row) for row in (200, 201, 202)] == [1, 1, 0]
    assert counts(done) == {"clamp_low": 1, "clamp_high": 1}
    free = repaired(plant(x), RepairPlan(clamp=False), train=200)
    assert free.table.values[200, 0] == 12.5
