"""Intervals in the prediction frame, and whether they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, WindowSpec
from backmix.models.intervals.bands import Bands, ClassSets
from backmix.report.data import ReportData
from backmix.report.page.intervals import failure, sentence, widened
from backmix.report.page.intervals import intervals as section
from backmix.report.render import render
from backmix.scoring.coverage import CoverageResult, check_coverage
from backmix.scoring.prediction_intervals import IntervalSettings, calibrate, returns, with_intervals
from backmix.scoring.scores import Sampling
from backmix.tasks import Task, tasks
from backmix.text import speak

NET = IntervalSettings("gru")


def task_of(kind: str, **settings: Any) -> Task:
    part = tasks.get(kind)
    told = part.Settings.model_validate({"kind": kind, "target": "y", **settings})
    classes = ("A", "B", "C") if part.Answer.kind == "classification" else ()
    return part(settings=told, targets=(Tag("y", unit="" if classes else "%", role="target", categories=classes),))


def frame_of(
    part: str, truth: Any, prediction: Any, *, batch: Any = None, first: int = 0, model: str = "gru", **more: Any
) -> pd.DataFrame:
    count = len(truth)
    return pd.DataFrame(
        {
            "model": model,
            "part": part,
            "target": "y",
            "time": pd.DatetimeIndex([pd.NaT] * count, tz="UTC"),
            "batch": np.full(count, None, dtype=object) if batch is None else np.asarray(batch, dtype=object),
            "origin": first + np.arange(count),
            "horizon": 0,
            "truth": truth,
            "prediction": prediction,
            **more,
        }
    )


def drifting(*, late: float = 4.0) -> pd.DataFrame:
    """300 windows that calibrate and 600 of a plant whose errors have grown; a baseline beside."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=900) * np.concatenate([np.ones(300), np.linspace(1.5, late, 600)])
    zero = np.zeros(900)
    return pd.concat(
        [
            frame_of("validation", truth[:300], zero[:300]),
            frame_of("test", truth[300:], zero[300:], first=300),
            frame_of("test", truth[300:], zero[300:], first=300, model="ridge"),
        ],
        ignore_index=True,
    )


def covered(frame: pd.DataFrame, task: Task, settings: IntervalSettings = NET) -> CoverageResult:
    calibrated = calibrate(frame, task, settings)
    assert calibrated is not None
    return check_coverage(frame, task, calibrated, settings, Sampling(draws=100))


def test_only_the_network_gets_intervals_and_only_where_it_was_not_calibrated() -> None:
    frame = drifting()
    found = covered(frame, task_of("soft_sensor")).frame
    pd.testing.assert_frame_equal(found[frame.columns], frame)
    there = found["low"].notna()
    assert (there == ((found["model"] == "gru") & (found["part"] == "test"))).all()
    width = (found["high"] - found["low"])[there]
    errors = np.sort(np.abs(frame["truth"][:300]))
    assert np.allclose(width, 2 * errors[int(np.ceil(301 * 0.9)) - 1])


def test_the_test_part_changes_nothing_in_the_calibration() -> None:
    frame = drifting()
    other = frame.copy()
    other.loc[other["part"] == "test", ["truth", "prediction"]] += 7.0
    one, two = (calibrate(some, task_of("soft_sensor"), NET) for some in (frame, other))
    assert one is not None
    assert two is not None
    assert one.to_dict() == two.to_dict()


def test_other_models_change_nothing_in_the_calibration() -> None:
    frame = drifting()
    mine = frame[(frame["model"] == "gru") & (frame["part"] == "validation")]
    wild = mine.assign(model="ridge", prediction=99.0)
    one, two = (calibrate(some, task_of("soft_sensor"), NET) for some in (frame, pd.concat([frame, wild])))
    assert one is not None
    assert two is not None
    assert one.to_dict() == two.to_dict()


@pytest.mark.parametrize(("horizon", "late"), [(0, 0), (0, 3), (4, 0), (4, 3)])
def test_law_a_result_counts_from_its_own_row_on_and_as_late_as_it_comes(horizon: int, late: int) -> None:
    """A result that changes leaves all intervals alone that were given before it was known, and changes the next."""
    frame = drifting().assign(horizon=horizon)
    banding = replace(NET, kind="adaptive", late=late)
    calibrated = calibrate(frame, task_of("soft_sensor"), banding)
    assert calibrated is not None
    test = frame[(frame["model"] == "gru") & (frame["part"] == "test")].reset_index(drop=True)
    other = test.copy()
    other.loc[100, "truth"] = 1e3 if abs(test.loc[100, "truth"]) < 1 else 0.0
    one, two = (with_intervals(some, task_of("soft_sensor"), calibrated, banding)["high"] for some in (test, other))
    changed = np.flatnonzero(one.to_numpy() != two.to_numpy())
    assert changed[0] == 100 + max(1, horizon + late)


def test_of_whole_batches_a_result_counts_when_its_batch_has_ended() -> None:
    task = task_of("batch_quality")
    rng = np.random.default_rng(6)
    truth = np.repeat(rng.normal(size=60), 10)
    batch, elapsed = np.repeat([f"B{n:02d}" for n in range(60)], 10), np.tile(np.arange(10.0), 60)
    parts = [
        frame_of(part, truth[at], np.zeros(300), batch=batch[at], first=at.start, elapsed=elapsed[at])
        for part, at in (("validation", slice(0, 300)), ("test", slice(300, 600)))
    ]
    banding = replace(NET, kind="adaptive")
    calibrated = calibrate(pd.concat(parts, ignore_index=True), task, banding)
    assert calibrated is not None
    other = parts[1].copy()
    other.loc[102, "truth"] += 50.0
    one, two = (with_intervals(some, task, calibrated, banding)["high"] for some in (parts[1], other))
    assert np.flatnonzero(one.to_numpy() != two.to_numpy())[0] == 109  # row 102 is of the batch of rows 100 to 109


def test_a_changed_plant_is_said_in_words_and_followed() -> None:
    task = task_of("soft_sensor")
    found = covered(drifting(), task)
    split, adaptive = found.rows
    assert (split.method, adaptive.method, split.batches, split.windows) == ("split", "adaptive", 1, 600)
    assert split.share is not None
    assert split.high is not None
    assert split.high < 0.75
    assert adaptive.share is not None
    assert adaptive.share > 0.84
    words, tone = sentence(split, found)
    assert words.startswith(f"y: asked 90%, got {split.share:.0%} [")
    assert f'Intervals that follow the plant ([intervals] kind = "adaptive") had {adaptive.share:.0%} inside' in words
    assert tone == "warn"
    shares = [group.share for group in found.over_time if group.method == "split"]
    assert len(shares) == 24
    assert shares[-1] < shares[0]
    followed = covered(drifting(), task, replace(NET, kind="adaptive"))
    assert followed.asked[0] == adaptive
    assert followed.frame["high"].max() > 1.5 * found.frame["high"].max()


def test_results_that_come_late_are_used_late() -> None:
    frame = drifting()
    told = {
        late: covered(frame, task_of("soft_sensor"), replace(NET, kind="adaptive", late=late)).frame["high"]
        for late in (0, 50)
    }
    mine = frame.index[(frame["part"] == "test") & (frame["model"] == "gru")]
    assert told[50][mine[:50]].nunique() == 1
    assert told[0][mine[:50]].nunique() > 10


def test_batches_are_the_units_and_stages_narrow_towards_the_end() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(25, 40, size=60)
    batch = np.repeat([f"B{n}" for n in range(60)], sizes)
    left = np.concatenate([np.arange(size)[::-1] for size in sizes]).astype(float)
    said = left + rng.normal(size=len(left)) * (0.2 + 0.3 * left)
    cut = int(sizes[:30].sum())
    frame = pd.concat(
        [
            frame_of("validation", left[:cut], said[:cut], batch=batch[:cut]),
            frame_of("test", left[cut:], said[cut:], batch=batch[cut:], first=cut),
        ],
        ignore_index=True,
    )
    found = covered(frame, task_of("remaining_life"))
    assert isinstance(found.calibrated, Bands)
    assert (found.calibrated.unit, found.calibrated.stage) == ("batches", "told")
    assert all(scores.units >= 9 for scores in found.calibrated.bands[0].scores)
    widths = [group.size for group in found.groups if group.method == "split"]
    assert len(widths) > 2
    assert widths[1] < widths[-1] / 2
    assert found.by_batch
    assert found.asked[0].share is not None
    assert found.asked[0].share > 0.87
    few = calibrate(frame[frame["batch"].isin([f"B{n}" for n in range(8)])], task_of("remaining_life"), NET)
    assert few is not None
    assert few.unit == "windows"


def test_too_few_windows_get_none_and_a_sentence() -> None:
    frame = drifting().iloc[[0, 1, 2, 3, *range(300, 400)]].reset_index(drop=True)
    found = covered(frame, task_of("soft_sensor"))
    assert found.frame["low"].isna().all()
    assert sentence(found.asked[0], found)[0] == (
        "y: no interval of 90% can be told. It takes 9 validation windows with a result in every stage and at every "
        "horizon; give a longer validation part or ask for a lower [intervals] level."
    )


def classes(windows: int, part: str, first: int, *, only: str = "ABC") -> pd.DataFrame:
    rng = np.random.default_rng(first)
    truth = rng.choice(list(only), size=windows)
    logits = rng.normal(size=(windows, 3)) + 2 * (truth[:, None] == np.array(list("ABC")))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = np.array(list("ABC"))[p.argmax(axis=1)]
    return frame_of(part, truth, said, first=first, **{f"p:{name}": p[:, k] for k, name in enumerate("ABC")})


def test_class_sets_hold_for_every_class_and_tell_which_cannot_be_ruled_out() -> None:
    frame = pd.concat([classes(900, "validation", 0), classes(900, "test", 900)], ignore_index=True)
    found = covered(frame, task_of("fault_diagnosis"))
    assert isinstance(found.calibrated, ClassSets)
    assert [row.label for row in found.rows] == ["", "A", "B", "C"]
    for row in found.rows:
        assert row.share is not None
        assert abs(row.share - 0.9) < 0.05
        assert row.size is not None
        assert row.size > 1.0
    said = found.frame.loc[found.frame["part"] == "test", "set"]
    assert found.frame.loc[found.frame["part"] == "validation", "set"].isna().all()
    inside = [truth in told.split("|") for truth, told in zip(frame["truth"][900:], said, strict=True)]
    assert np.mean(inside) == found.rows[0].share
    frame = pd.concat([classes(200, "validation", 0, only="AB"), classes(200, "test", 900)], ignore_index=True)
    found = covered(frame, task_of("fault_diagnosis"))
    assert isinstance(found.calibrated, ClassSets)
    assert found.calibrated.few() == ("C",)
    assert all("C" in told.split("|") for told in found.frame["set"][200:])
    assert "rule these classes out (9 are needed), so they are in every set: C." in str(section(_report(found)).blocks)


def test_scores_of_anomalies_are_no_probabilities_and_get_no_sets() -> None:
    frame = pd.concat([classes(90, "validation", 0), classes(90, "test", 90)], ignore_index=True)
    assert calibrate(frame, task_of("anomaly_detection", normal="A"), NET) is None


def test_paths_have_a_width_at_every_distance() -> None:
    rng = np.random.default_rng(8)
    parts = []
    for part, first in (("validation", 0), ("test", 300)):
        for ahead in (1, 2, 3):
            truth = ahead * rng.normal(size=200)
            parts.append(frame_of(part, truth, np.zeros(200), first=first).assign(horizon=ahead))
    found = covered(pd.concat(parts, ignore_index=True), task_of("forecast"))
    widths = {group.place: group.size for group in found.groups if group.method == "split"}
    assert widths[1.0] < widths[2.0] < widths[3.0]
    assert found.asked[0].windows == 200


def test_a_frame_of_live_rows_has_no_truth_and_keeps_the_width_of_the_calibration() -> None:
    frame, task = drifting(), task_of("soft_sensor")
    calibrated = calibrate(frame, task, NET)
    assert calibrated is not None
    new = frame_of("new", np.full(5, np.nan), np.arange(5.0))
    split, adaptive = (with_intervals(new, task, calibrated, replace(NET, kind=kind)) for kind in ("split", "adaptive"))
    pd.testing.assert_frame_equal(split, adaptive)
    assert len(with_intervals(new.iloc[:0], task, calibrated, NET)) == 0


def _report(found: CoverageResult) -> ReportData:
    kind = "fault_diagnosis" if isinstance(found.calibrated, ClassSets) else "soft_sensor"
    return ReportData(
        title="T", task=task_of(kind), verdict="V", predictions=found.frame, network="gru", coverage=found
    )


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
def test_the_report_says_it_in_both_languages(lang: Any) -> None:
    numbers = _report(covered(drifting(), task_of("soft_sensor")))
    page = render(numbers, lang).decode()
    assert {"en": "How wide, and does it hold", "zh_TW": "區間多寬，是否可信"}[lang] in page
    assert 'class="band"' in page
    frame = pd.concat([classes(200, "validation", 0), classes(200, "test", 900)], ignore_index=True)
    sets = _report(covered(frame, task_of("fault_diagnosis")))
    assert {"en": "Empty sets", "zh_TW": "空集合"}[lang] in render(sets, lang).decode()
    with speak(lang):
        assert section(replace(numbers, coverage=None)).blocks == ()


def test_intervals_hold_in_a_new_block_and_far_away() -> None:
    """Blocks that differ, and a distance in time, make intervals wider by what the bundle keeps; batches do not."""
    frame, task = drifting(), task_of("soft_sensor")
    size = np.where(np.arange(len(frame)) // 100 % 2, 2.0, 0.5)
    frame = frame.assign(truth=frame["truth"] * size, block=np.arange(len(frame)) // 100 % 3)
    plain = calibrate(frame.drop(columns="block"), task, NET)
    wide = calibrate(frame, task, NET, distance={"y": 1.5})
    assert isinstance(plain, Bands)
    assert isinstance(wide, Bands)
    (band,) = wide.bands
    assert band.blocks > 1.1
    assert band.distance == 1.5
    assert band.radii(0.9)[0] == pytest.approx(plain.bands[0].radii(0.9)[0] * band.blocks * 1.5)
    found = check_coverage(frame, task, wide, NET, Sampling(draws=100))
    for lang, words in (("en", "block to block"), ("zh_TW", "時間區塊")):
        with speak(lang):
            assert words in widened(found.rows[0], found)


def test_intervals_that_fail_stand_in_the_verdict() -> None:
    found = covered(drifting(), task_of("soft_sensor"))
    for lang, words in (("en", "The intervals did not hold: asked 90%"), ("zh_TW", "預測區間不成立")):
        with speak(lang):
            assert failure(found).startswith(words)
    held = covered(drifting(late=1.5).assign(truth=0.5), task_of("soft_sensor"))
    assert failure(held) == ""


def test_adaptive_intervals_are_named_only_where_results_come_back() -> None:
    found = covered(drifting(), task_of("soft_sensor"))
    silent = replace(found, settings=replace(NET, returns=False))
    (row,) = found.asked
    assert "adaptive" in sentence(row, found)[0]
    assert "adaptive" not in sentence(row, silent)[0]
    spec = WindowSpec(("u",), ("y",), lookback=3)
    task = task_of("soft_sensor")
    assert not returns(spec, task)
    assert returns(replace(spec, known=Known(4)), task)
    assert returns(spec, task_of("remaining_life"))
