"""Bad inputs that concern windows, splits and scalers: rows 6, 16, 25, 26, 27, 28 and 31."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backmix.data.scaling import fit_scaler
from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows
from backmix.errors import InputError, PlanError
from backmix.text import say, speak

TAGS = (Tag("T101"), Tag("T102"), Tag("Q", role="target"))


def plain(
    rows: int, batch: list[int] | None = None, holes: dict[int, int] | None = None, time: np.ndarray | None = None
) -> Table:
    values = np.random.default_rng(0).normal(size=(rows, 3))
    for row, column in (holes or {}).items():
        values[row, column] = np.nan
    codes = None if batch is None else np.repeat(np.arange(len(batch), dtype=np.int32), batch)
    names = () if batch is None else tuple(f"B{i + 1:02}" for i in range(len(batch)))
    return Table(values, TAGS, time=time, batch=codes, batch_names=names)


def spec(lookback: int | None = 5, **more: object) -> WindowSpec:
    return WindowSpec(inputs=("T101", "T102"), targets=("Q",), lookback=lookback, **more)  # type: ignore[arg-type]


def refused(work: Callable[[], object], code: int = 3) -> str:
    with pytest.raises((InputError, PlanError)) as caught:
        work()
    assert caught.value.exit_code == code
    with speak("zh_TW"):
        assert "\n" not in str(caught.value)
        assert "{" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_row_06_a_gap_splits_the_sequence() -> None:
    """A pause longer than the allowed one, and a clock that jumps back: no window across either."""
    steps = np.full(30, 60)
    steps[10], steps[20] = 600, -300
    time = np.datetime64("2024-01-01", "ns") + np.cumsum(steps) * np.timedelta64(1, "s")
    windows = build_windows(plain(30, time=time), spec())
    assert windows.origins.tolist() == [*range(4, 10), *range(14, 20), *range(24, 30)]
    assert dict(windows.dropped) == {"windows.reason_run_up": 12}
    longer = build_windows(plain(30, time=time), spec(max_gap=600.0))
    assert longer.origins.tolist() == [*range(4, 20), *range(24, 30)]


def test_row_16_a_tag_without_a_value_in_training() -> None:
    """It cannot be scaled: the message names it."""
    values = np.ones((10, 2))
    values[:6, 1] = np.nan
    message = refused(lambda: fit_scaler("standard", values, ("T101", "T102"), rows=np.arange(10) < 6))
    assert message == (
        "tag 'T102' has no value in the training rows. Leave it out, or choose training rows where it is measured"
    )


def test_row_25_late_labels_purge_window_and_delay() -> None:
    """The reach of a window with known labels includes their delay; this very row is never shown."""
    form = spec(known=Known(delay=10), horizon=2)
    assert form.reach == 5 + 2 + 10
    parts = split(plain(200), SplitPlan(), gap=form.reach)
    train = build_windows(plain(200), form, split=parts, part=SplitPart.TRAIN)
    test = build_windows(plain(200), form, split=parts, part=SplitPart.TEST)
    oldest = test.target_rows.min() - form.horizon - 4 - 10
    assert train.target_rows.max() < oldest
    message = refused(lambda: spec(known=Known(delay=0), horizon=0), code=2)
    assert message == (
        "known past targets need delay >= 1 row and count >= 1, got delay 0 and count None. "
        "A value of this very row is what shall be predicted (delay 0 is for a horizon of at "
        "least 1 row)"
    )


def test_row_25_no_label_was_reported_in_time() -> None:
    message = refused(lambda: build_windows(plain(20), spec(known=Known(delay=30))))
    assert message == (
        "table — no window has a value of Q reported 30 rows before: that needs 36 rows in a "
        "row, the longest stretch has 20. Use a shorter lookback, a smaller count of past "
        "targets, or more data"
    )


def test_row_26_short_batches_are_left_out_by_name() -> None:
    """Batches with one row, or shorter than a window: named, counted, the others used."""
    windows = build_windows(plain(40, batch=[20, 1, 6, 13]), spec(lookback=6, horizon=1))
    assert windows.excluded == ("B02", "B03")
    assert dict(windows.dropped) == {"windows.reason_short_batch": 7, "windows.reason_run_up": 12}
    assert set(windows.batches.tolist()) == {"B01", "B04"}  # type: ignore[union-attr]
    whole = build_windows(plain(27, batch=[20, 1, 6]), spec(lookback=None))
    assert whole.excluded == ("B02",)
    assert dict(whole.dropped) == {"windows.reason_short_batch": 1}
    assert say("windows.reason_short_batch") == "batch shorter than a window"


def test_row_26_the_sentence_for_what_was_left_out() -> None:
    found = say("windows.excluded", lookback=240, rows=90, batch="B07", fit=85)
    assert found == (
        'lookback 240 rows exceeds the shortest batch (90 rows, "B07"). Use lookback <= 85, or '
        'drop it: table.without("B07")'
    )


def test_row_26_all_batches_are_short() -> None:
    table = plain(240, batch=[120, 90, 30])
    message = refused(lambda: build_windows(table, spec(lookback=240, horizon=5)))
    assert message == (
        'lookback 240 rows exceeds every batch: the shortest has 30 rows ("B03"), the '
        'longest 120 ("B01"). Use lookback <= 25 to keep all, <= 115 to keep the longest'
    )
    alone = plain(90, batch=[90])
    message = refused(lambda: build_windows(alone, spec(lookback=240, horizon=5)))
    assert message == 'lookback 240 rows exceeds the longest batch (90 rows, "B01"). Use lookback <= 85'
    assert len(build_windows(alone, spec(lookback=85, horizon=5))) == 1
    message = refused(lambda: build_windows(plain(9, batch=[4, 5]), spec(lookback=2, horizon=7)))
    assert message == (
        'a window needs 9 rows and the longest batch has 5 ("B02"). Reduce horizon and '
        "dead_time, or give longer batches"
    )


def test_row_27_batches_of_unequal_length_are_masked() -> None:
    """Padded on the right to the longest, with a mask; one batch per window."""
    windows = build_windows(plain(11, batch=[3, 6, 2]), spec(lookback=None))
    batch = windows.gather(windows.all_indices)
    assert batch.mask is not None
    assert batch.x.shape == (3, 6, 2)
    assert batch.mask.sum(axis=1).tolist() == [3, 6, 2]


def test_row_27_no_batch_can_serve() -> None:
    table = plain(9, batch=[4, 4, 1], holes={1: 0, 7: 1})
    message = refused(lambda: build_windows(table, spec(lookback=None)))
    assert message == (
        "table — none of 3 batches can serve as one window: 1 × batch shorter than a window, "
        "2 × missing input value in the window. Repair the missing values, allow longer gaps "
        "([repair] max_gap), or give the last row of each batch its target"
    )


def test_row_28_too_few_rows_for_one_window() -> None:
    message = refused(lambda: build_windows(plain(90), spec(lookback=240, horizon=5)))
    assert message == (
        "table — too little data: a window needs 245 rows in a row (lookback 240), the "
        "longest stretch has 90. Use lookback <= 85, or give more data"
    )
    assert len(build_windows(plain(90), spec(lookback=85, horizon=5))) == 1
    message = refused(lambda: build_windows(plain(5), spec(lookback=2, horizon=9)))
    assert message == (
        "table — too little data: a window needs 11 rows in a row (lookback 2), the longest "
        "stretch has 5. Reduce horizon and dead_time, or give more data"
    )


def test_row_28_the_part_is_named() -> None:
    parts = split(plain(100), SplitPlan(), gap=0)
    message = refused(lambda: build_windows(plain(100), spec(lookback=30), split=parts, part=SplitPart.VALIDATION))
    assert message == (
        "table, validation part — too little data: a window needs 30 rows in a row (lookback "
        "30), the longest stretch has 20. Use lookback <= 20, or give more data"
    )


def test_row_28_holes_break_every_window() -> None:
    table = plain(30, holes={row: int(row % 3 > 0) for row in range(0, 30, 4)})
    message = refused(lambda: build_windows(table, spec(lookback=6)))
    assert message == (
        "table — missing values leave at most 3 usable rows in a row for lookback 6; most "
        "are missing in 'T102' (5). Use lookback <= 3, leave that tag out, or fill longer "
        "holes: [repair] max_fill"
    )
    empty = plain(8, holes=dict.fromkeys(range(8), 1))
    message = refused(lambda: build_windows(empty, spec(lookback=2)))
    assert message == (
        "table — no row has all inputs for lookback 2; most are missing in 'T102' (8). Leave "
        "that tag out, or fill longer holes: [repair] max_fill"
    )


def test_row_28_no_label() -> None:
    table = plain(12, holes=dict.fromkeys([*range(4, 12), 0], 2))
    message = refused(lambda: build_windows(table, spec()))
    assert message == (
        "table — none of 12 rows has a complete window and a value of Q (3 rows have a "
        "value). Give more labelled rows, or a shorter lookback"
    )


def test_row_28_a_part_is_purged_away() -> None:
    message = refused(lambda: split(plain(100), SplitPlan(), gap=20))
    assert message == (
        "table — too little data: of 100 rows none is left for the validation part when 20 "
        "rows are purged between parts. Give about 105 rows, or purge at most 19: a shorter "
        "lookback, or [split] gap"
    )
    assert split(plain(105), SplitPlan(), gap=20).count(SplitPart.VALIDATION) == 1
    assert split(plain(100), SplitPlan(), gap=19).count(SplitPart.VALIDATION) == 1
    message = refused(lambda: split(plain(2), SplitPlan(), gap=0))
    assert message == (
        "table — too little data: of 2 rows none falls to the test part. Give more rows or "
        "batches, or a larger share: [split]"
    )


def test_row_28_too_few_batches() -> None:
    wanted = (
        "table — 2 batches, but this split needs at least 3. Give more batches, or split inside "
        'batches: [split] within = "batch"'
    )
    assert refused(lambda: split(plain(9, batch=[4, 5]), SplitPlan(kind="batch"), gap=0)) == wanted
    assert refused(lambda: folds(plain(9, batch=[4, 5]), FoldPlan(kind="batch", folds=2), gap=0)) == wanted
    message = refused(lambda: split(plain(9), SplitPlan(kind="batch"), gap=0))
    assert message == 'table — the table has no batches. Name the batch column: [data] batch = "..."'


def test_row_28_rows_of_a_batch_are_not_together() -> None:
    torn = Table(np.zeros((4, 3)), TAGS, batch=np.array([0, 1, 0, 1], np.int32), batch_names=("B01", "B02"))
    message = refused(lambda: split(torn, SplitPlan(kind="batch"), gap=0))
    assert message == "table — the rows of batch 'B01' are not together. Sort the rows by batch and time"


def test_row_31_what_all_windows_would_take_is_known_before() -> None:
    """Ten million windows are described in 80 MB and would take 48 GB: the estimate allocates nothing."""
    values = np.lib.stride_tricks.as_strided(np.zeros(1), (1_000_000, 3), (0, 0))
    windows = Windows(Table(values, TAGS), spec(lookback=600), *(np.arange(600, 1_000_000),) * 2)
    need = windows.bytes(256)
    assert need.batch == 256 * (600 * 2 * 4 + 4)
    assert need.all == 999_400 * (600 * 2 * 4 + 4)


def test_row_31_arrays_that_are_no_windows() -> None:
    """Course item 23: three axes and finite numbers."""
    message = refused(lambda: Windows.from_arrays(np.zeros((3, 4))))
    assert message == "windows have shape (3, 4). Give three axes: (windows, time, features)"
    x = np.zeros((3, 4, 2))
    x[1, 2, 0] = np.nan
    message = refused(lambda: Windows.from_arrays(x))
    assert message == "1 input values are NaN or infinite. Fill them, or leave their windows out"


def test_row_26_batches_without_a_window_are_named_in_a_run() -> None:
    from backmix.data.ledger import Ledger
    from backmix.data.sources import Reading
    from backmix.training.prepare import prepare
    from small import small_plan, small_table

    table = small_table(404)
    codes = np.concatenate([np.zeros(4), 1 + np.arange(400) // 20]).astype(np.int32)
    table = replace(table, batch=codes, batch_names=tuple(f"B{i:02d}" for i in range(21)))
    prepared = prepare(Reading(table, Ledger(read=404)), small_plan(split={"kind": "batch"}))
    (left_out,) = [decision for decision in prepared.decisions if decision.setting == "windows.lookback"]
    assert left_out.value == ("B00",)
    assert left_out.reason() == (
        'lookback 6 rows exceeds the shortest batch (4 rows, "B00"). Use lookback <= 4, or drop it: '
        'table.without("B00")'
    )
