"""Which rows are shown, and what is said of them in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.errors import BackmixError, InputError, PlanError
from backmix.inspection import QUICK, Insight, Subject, look
from backmix.inspection.memory import Memory
from backmix.inspection.sentences import bypass, gates, moves, remembers, sentences, span_of, without
from backmix.inspection.stretch import choose, runs
from backmix.models.architecture import Architecture
from backmix.report.data import ReportData
from backmix.report.render import render
from backmix.text import LANGUAGES, say, speak
from inspection_subjects import delay_line, diagnosis, put, shift, subject

START = np.datetime64("2026-03-01T00:00", "ns")


def windows_of(y: np.ndarray, *, clock: bool = True, gap: int | None = None) -> Windows:
    """Windows of three rows on a table with one row a minute; the clock pauses before row ``gap``."""
    minutes = np.arange(len(y))
    if gap is not None:
        minutes[gap:] += 600
    time = START + minutes * np.timedelta64(60, "s") if clock else None
    table = Table(
        np.column_stack([np.arange(len(y), dtype=float), y]), (Tag("T101"), Tag("C_A", role="target")), time=time
    )
    return build_windows(
        table, WindowSpec(("T101",), ("C_A",), lookback=3, max_gap=180.0 if clock else None, need_target=False)
    )


def truth(windows: Windows) -> np.ndarray:
    """The target of every window."""
    return windows.truth()[:, 0]


def test_the_largest_move_of_the_target_is_shown() -> None:
    y = np.full(500, np.nan)
    y[::10] = 1.0  # a laboratory value every ten rows
    y[340:380:10] = [1.0, 4.0, 6.0, 6.0]
    windows = windows_of(y)
    found = choose(windows, truth(windows), classes=False, rows=60)
    rows = windows.origins[found.indices]
    assert found.count == 60
    assert rows[0] <= 340
    assert rows[-1] >= 360


def test_classes_move_when_they_change() -> None:
    y = np.repeat([0.0, 1.0, 0.0, 2.0], [200, 100, 40, 160])
    windows = windows_of(y)
    rows = windows.origins[choose(windows, truth(windows), classes=True, rows=100).indices]
    assert rows[0] < 300
    assert rows[-1] >= 340


def test_a_stretch_never_crosses_a_gap() -> None:
    windows = windows_of(np.arange(300.0), gap=100)
    for at in ("90", "105", "110", "299"):
        found = choose(windows, truth(windows), classes=False, place=at, rows=80)
        assert (np.diff(windows.origins[found.indices]) == 1).all()
        assert (np.diff(windows.table.time[windows.origins[found.indices]]) == np.timedelta64(60, "s")).all()  # type: ignore[index]
        assert int(at) - 1 in windows.origins[found.indices]
    starts, ends = runs(windows)
    assert [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)] == [(0, 98), (98, 296)]


@pytest.mark.parametrize("at", ["201", "2026-03-01 03:20", "2026-03-01T11:20+08:00", 201])
def test_a_moment_is_named_by_its_row_or_its_time(at: Any) -> None:
    windows = windows_of(np.arange(300.0))
    found = choose(windows, truth(windows), classes=False, place=at, rows=21)
    assert windows.origins[found.indices][10] == 200


@pytest.mark.parametrize(
    ("at", "rows", "message"),
    [
        ("soon", None, "--at soon is neither a time, a row nor a batch. Write a time like"),
        (
            "2027-01-01",
            None,
            "--at 2027-01-01 is not among the rows that can be shown. They lie between "
            "2026-03-01 00:02:00 and 2026-03-01 04:59:00",
        ),
        ("2", None, "--at 2 is not among the rows"),
        ("301", None, "--at 301 is not among the rows"),
        (None, 1, "--rows 1 cannot be shown. Give a number from 2 to 5000"),
        (None, 5001, "--rows 5001 cannot be shown"),
    ],
)
def test_what_cannot_be_shown_is_refused(at: Any, rows: int | None, message: str) -> None:
    windows = windows_of(np.arange(300.0))
    with pytest.raises(BackmixError) as fault:
        choose(windows, truth(windows), classes=False, place=at, rows=rows)
    assert str(fault.value).startswith(message)
    for lang in LANGUAGES:
        with speak(lang):
            assert "\n" not in str(fault.value)


def test_a_time_without_a_clock_is_refused() -> None:
    windows = windows_of(np.arange(50.0), clock=False)
    with pytest.raises(InputError, match="--at 2026-03-01 is a time, but this table has no clock"):
        choose(windows, truth(windows), classes=False, place="2026-03-01")
    assert choose(windows, truth(windows), classes=False, place=30, rows=2).count == 2


def test_a_batch_is_named_and_not_cut() -> None:
    asked = subject(Architecture(features=2, units=(3,), masked=True))
    y = truth(asked.windows)
    assert choose(asked.windows, y, classes=False, place="5").first == 4
    assert choose(asked.windows, y, classes=False).first == int(np.abs(y - np.median(y)).argmax())
    with pytest.raises(PlanError, match="--rows 20 has no meaning here: one window is one whole batch"):
        choose(asked.windows, y, classes=False, rows=20)


@pytest.fixture(scope="module")
def seen(sensor_subject: Subject) -> Insight:
    """What is seen of the shared soft-sensor run."""
    return look(sensor_subject, QUICK, rows=40)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_everything_is_said_in_both_languages(seen: Insight, lang: Any) -> None:
    with speak(lang):
        said = sentences(seen)
    assert len(said) == 4
    assert all(any("\u4e00" <= c <= "\u9fff" for c in words) == (lang == "zh_TW") for words in said)
    assert "{" not in "".join(said)
    top = seen.attribution.features[int(seen.attribution.order[0])]
    assert top in said[0]


def test_the_sentences_hold_the_numbers_that_were_measured(seen: Insight) -> None:
    assert f"{seen.gates.keeping.mean.mean():.0%} of its memory" in gates(seen)  # type: ignore[union-attr]
    memory = seen.memory
    assert memory is not None
    assert f"remembers {memory.effective + 1} min ({memory.effective + 1} row" in remembers(seen)
    assert moves(seen).split(" moves ")[0] == seen.attribution.features[int(seen.attribution.order[0])]
    assert bypass(seen) == ""


def fall(steps: int, factor: float) -> Memory:
    """A memory whose gradient falls by a factor per row."""
    return Memory(
        norm=(factor ** np.arange(float(steps)),),
        lookback=steps,
        dead_time=0,
        residence=(),
        state_moves=None,
        statistics_move=None,
        windows=1,
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.5, "so your lookback of 4 h (240 rows) could be shorter"),
        (0.98, "and what is older hardly counts"),
        (1.0, "so a longer lookback may help"),
    ],
)
def test_the_lookback_is_judged_by_the_memory(seen: Insight, factor: float, words: str) -> None:
    """Course item 6: a memory of minutes in a window of hours, and one that has not died away at its end."""
    close = replace(seen.attribution, heat=np.eye(240, 3), age=np.arange(240))
    insight = replace(seen, memory=fall(240, factor), attribution=close)
    assert words in remembers(insight)
    if factor == 0.5:
        assert remembers(insight).startswith("The model remembers 5 min (5 rows) back: 95% of the gradient")
        # what bypasses the recurrence may reach further than the recurrence does
        assert "could be shorter" not in remembers(replace(insight, summaries=True))
        far = replace(close, heat=np.ones((240, 3)))
        assert "could be shorter" not in remembers(replace(insight, attribution=far))
        assert "longest batch" in remembers(replace(insight, whole=True))


def test_idle_tags_are_named_and_a_model_without_memory_is_told() -> None:
    asked = subject(delay_line(2), windows=60)
    put(asked.model, shift(2))
    table = asked.windows.table
    values = np.array(table.values)
    values[asked.windows.target_rows, table.index("y1")] = asked.answers(asked.sample(60))[:, 0]
    asked = replace(asked, windows=replace(asked.windows, table=replace(table, values=values)))
    found = look(asked, QUICK)
    assert without(found).startswith("With the history of another time in place of the true one of x2, the error")
    assert without(found).endswith("x1, x3, taken one at a time, cost nothing measurable, so the model may do without.")
    assert "x2 moves the prediction most" in moves(found)
    assert "strongest with its value 2 min (2 rows) before" in moves(found)
    assert found.left_out == ("insight.no_gates",)
    put(asked.model, {})
    dead = look(asked, QUICK)
    assert moves(dead).startswith("No tag moves the prediction")
    assert remembers(dead).startswith("Nothing comes back through the recurrent state")
    assert without(dead).startswith("No single tag is missed")


def test_a_network_that_explodes_is_told_of_and_breaks_nothing(number_report: Callable[..., ReportData]) -> None:
    """Course item 7: numbers beyond all bounds neither warn, nor spoil the JSON, nor lose the report."""
    asked = subject(Architecture(features=2, lookback=12, cell="gru", units=(1,), activation="linear"), windows=40)
    put(
        asked.model,
        {
            "recurrent_1/kernel": [0, 0, 1.0],
            "recurrent_1/recurrent_kernel": [0, 0, 1e35],
            "recurrent_1/bias": [-30.0, 30.0, 0.0],
            "head/kernel": 1.0,
        },
    )
    found = look(asked, QUICK)
    assert found.left_out == ("insight.not_finite", "insight.few_truths", "insight.exploded", "insight.unstable")
    assert found.attribution.lost == 40
    assert (found.memory, found.gates, found.permutation) == (None, None, None)
    assert len(sentences(found)) == 4
    json.dumps(found.to_dict(), allow_nan=False)
    for lang in LANGUAGES:
        with speak(lang):
            assert say("insight.unstable") in render(replace(number_report(), insight=found), lang).decode()


def test_classes_are_explained_in_points_of_probability() -> None:
    asked = subject(Architecture(features=2, lookback=12, units=(4,), head="binary"), task=diagnosis("ok", "fault"))
    found = look(replace(asked, step=None), QUICK)
    assert "percentage points on average" in moves(found)
    assert "rows" in moves(found)
    assert "min" not in remembers(found)
    assert found.to_dict()["unit"] == ""


def test_spans_are_said_in_rows_where_there_is_no_clock() -> None:
    assert [span_of(1, None), span_of(12, None), span_of(90, 60.0)] == ["1 row", "12 rows", "1.5 h (90 rows)"]


def test_json_holds_numbers_only(seen: Insight) -> None:
    found = json.loads(json.dumps(seen.to_dict(), allow_nan=False))
    assert found["memory"]["effective_rows"] == seen.memory.effective  # type: ignore[union-attr]
    assert {tag["name"] for tag in found["tags"]} == {"T101", "F102", "P103"}
