"""Figures are well-formed, small, harmless whatever a tag is called, and honest about what they leave out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backmix.data.delays.dead_time import scan
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.report.data import ReportData
from backmix.report.drawing.canvas import clean, escape, fit, span, trace
from backmix.report.drawing.series import series
from backmix.report.drawing.thin import thin
from backmix.report.figures import NARROW, WIDE, Figure, figures
from backmix.report.figures.classes import class_scores
from backmix.report.figures.confusion import confusion
from backmix.report.figures.residuals import autocorrelation
from backmix.report.page.delays import delay_blocks
from backmix.text import LANGUAGES, say, speak
from backmix.text.numbers import number, round_ticks, time_ticks

Maker = Callable[..., ReportData]
FIGURES = figures.names()
EVIL = '<script>alert("1")</script>&\'"]]>\x00\u202e'


def drawn(data: ReportData, name: str, width: int = WIDE) -> Figure:
    figure = figures.get(name)(data, width)
    assert figure is not None
    return figure


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_figure_is_one_well_formed_drawing(
    name: str, width: int, lang: str, every_report: tuple[Maker, ...]
) -> None:
    """Course items 66 to 69: no identifiers (so none twice), no styles, nothing fetched, words as text."""
    with speak(lang):  # type: ignore[arg-type]
        found = [figure for make in every_report if (figure := figures.get(name)(make(), width))]
        assert found
        for figure in found:
            root = ElementTree.fromstring(figure.svg)  # noqa: S314
            assert float(root.attrib["width"]) <= width
            assert root.attrib["role"] == "img"
            assert root.attrib["aria-label"]
            for element in root.iter():
                assert not {"id", "style", "href", "onload"} & set(element.attrib)
            assert figure.caption(lang)  # type: ignore[arg-type]
            inside = [float(t.attrib["x"]) for t in root.iter("{http://www.w3.org/2000/svg}text")]
            assert all(0 <= x <= width for x in inside)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_without_data_is_no_figure(name: str, number_report: Maker) -> None:
    bare = ReportData(title="", task=number_report().task, verdict="")
    assert figures.get(name)(bare, WIDE) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_hostile_name_stays_words(name: str, number_report: Maker, class_report: Maker) -> None:
    for data in (number_report(target=EVIL, inputs=(EVIL + "2",)), class_report(names=(EVIL, "b", "c" * 5000))):
        figure = figures.get(name)(data, WIDE)
        if figure is not None:
            root = ElementTree.fromstring(figure.svg)  # noqa: S314
            assert "script" not in {element.tag.split("}")[-1] for element in root.iter()}
            assert len(figure.svg) < 200_000


def test_thinning_keeps_spikes_ends_and_size() -> None:
    y = np.zeros(1_000_000)
    y[[123_456, 777_777]] = 9.0, -7.0
    y[500_000] = np.nan
    kept = thin(y)
    assert len(kept) <= 2000
    assert np.nanmax(y[kept]) == 9.0
    assert np.nanmin(y[kept]) == -7.0
    assert np.isnan(y[kept]).any()


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))), st.integers(6, 60)
)
def test_thinning_keeps_the_extremes_of_any_series(y: np.ndarray, most: int) -> None:
    kept = thin(y, most)
    assert len(kept) <= max(most, len(y) if len(y) <= most else 0)
    assert (np.diff(kept) > 0).all()
    if np.isfinite(y).any():
        assert np.nanmax(y[kept]) == np.nanmax(y)
        assert np.nanmin(y[kept]) == np.nanmin(y)


def test_a_line_is_lifted_at_gaps_and_a_lone_point_is_seen() -> None:
    x = np.arange(5.0)
    y = np.array([1.0, 2.0, np.nan, 3.0, np.nan])
    assert trace(x, y, "truth") == '<path class="truth" d="M0 1L1 2M3 3h0"/>'
    breaks = np.array([False, True, False, False, False])
    assert trace(x, np.ones(5), "truth", breaks=breaks) == '<path class="truth" d="M0 1h0M1 1L2 1L3 1L4 1"/>'


def test_a_clock_axis_serves_even_series_only() -> None:
    start = np.datetime64("2024-01-01", "ns")
    hours = np.timedelta64(3600, "s")

    def frame(rows: np.ndarray, batch: list[str | None]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "time": pd.DatetimeIndex(start + rows * hours, tz="UTC"),
                "batch": batch,
                "origin": np.arange(len(rows)),
                "truth": 1.0,
                "prediction": 1.0,
            }
        )

    even = series(frame(np.arange(10), [None] * 10))
    assert even.clock
    assert not even.breaks.any()
    paused = series(frame(np.array([0, 1, 2, 3, 9, 10]), [None] * 6))
    assert paused.clock
    assert paused.breaks.tolist() == [False, False, False, False, True, False]
    months_apart = series(frame(np.array([0, 1, 2, 2000, 2001, 2002]), ["a"] * 3 + ["b"] * 3))
    assert not months_apart.clock
    assert months_apart.batches == ((0, "a"), (3, "b"))
    assert months_apart.breaks.tolist() == [False, False, False, True, False, False]


def test_confusion_counts_every_window_once() -> None:
    names, counts = confusion(np.array(["a", "b", "b", "z"]), np.array(["b", "b", "b", "a"]), ("b", "a"))
    assert names == ["b", "a", "z"]
    assert counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_a_class_that_is_never_predicted_has_no_precision(class_report: Maker) -> None:
    """Bad input 29: undefined is neither 0 nor 1."""
    data = class_report()
    frame = data.predictions
    assert frame is not None
    frame = frame.assign(prediction="normal")
    scores = {score.name: score for score in class_scores(replace(data, predictions=frame))}
    assert scores["IDV 1"].precision is None
    assert scores["IDV 1"].recall == 0.0


def test_many_classes_are_put_together(class_report: Maker) -> None:
    data = class_report(names=tuple(f"class {k}" for k in range(60)), windows=600)
    assert say("figures.confusion.other_classes") in drawn(data, "confusion").svg
    assert len(drawn(data, "confusion").svg) < 300_000


def test_autocorrelation_never_crosses_a_break() -> None:
    error = np.tile([1.0, 1.0, -1.0, -1.0], 25)
    whole, _ = autocorrelation(error, np.zeros(100, dtype=bool))
    pairs = np.arange(100) % 2 == 0
    inside, _ = autocorrelation(error, pairs)
    assert whole[0] == pytest.approx(1 / 100, abs=0.02)
    assert inside[0] == pytest.approx(0.5)
    assert len(inside) == 1  # a stretch of two has one lag


def test_a_missing_prediction_is_no_window(number_report: Maker) -> None:
    data = number_report()
    assert data.predictions is not None
    silent = data.predictions.assign(prediction=np.nan)
    assert figures.get("timeline")(replace(data, predictions=silent), WIDE) is None


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 12))
@example(1.0, 251.0, 3)
@example(673.9981240885882, 54820.10432913686, 6)
def test_ticks_are_inside_in_order_and_few(low: float, width: float, most: int) -> None:
    assume(width >= 1e-9 * abs(low))
    ticks = [value for value, _ in round_ticks(low, low + width, most)]
    assert 3 <= len(ticks) <= max(most, 8) + 1
    assert ticks == sorted(ticks)
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in ticks)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5, "12:00:01"), (600, "12:02"), (6 * 3600, "01-02 13:00"), (5 * 86400, "2024-01-03"), (9e7, "2024-07")],
)
def test_time_is_marked_at_calendar_moments(seconds: float, expected: str) -> None:
    start = float(np.datetime64("2024-01-02T12:00", "s").astype(int))
    assert expected in [label for _, label in time_ticks(start, start + seconds)]


def test_numbers_keep_what_counts() -> None:
    assert [number(v) for v in (0.00012345, 1e-7, -2.5, 1e12, None)] == ["0.000123", "1×10⁻⁷", "−2.5", "1×10¹²", "–"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.floats(10, 300))
def test_words_fit_and_never_break_out(words: str, width: float) -> None:
    assert span(fit(words, width)) <= max(width, 24)  # one letter and the ellipsis always stay
    assert fit(words, 1e6) == clean(words)
    assert not {"<", '"', "'"} & set(escape(words))


def test_what_no_page_may_hold_is_replaced() -> None:
    assert clean("a\x00b\ud800c\u202ed\ufffee") == "a\ufffdb\ufffdc\ufffdd\ufffde"
    assert clean("標籤\t溫度\n") == "標籤\t溫度\n"


def test_all_figures_of_a_long_run_are_drawn_in_three_seconds(number_report: Maker) -> None:
    count = 200_000
    random = np.random.default_rng(0)
    truth = random.normal(size=count).cumsum()
    data = number_report()
    frame = pd.DataFrame(
        {
            "model": "network",
            "part": "test",
            "target": "C4",
            "time": pd.NaT,
            "batch": None,
            "origin": np.arange(count),
            "horizon": 0,
            "truth": truth,
            "prediction": truth + random.normal(size=count),
        }
    )
    data = replace(data, predictions=frame)
    begin = time.perf_counter()
    sizes = {name: len(figure.svg) for name in FIGURES if (figure := figures.get(name)(data, WIDE))}
    assert time.perf_counter() - begin < 3
    assert max(sizes.values()) < 200_000


@pytest.mark.parametrize("lang", LANGUAGES)
def test_dead_times_are_drawn_and_told_tag_by_tag(lang: str, number_report: Maker) -> None:
    """The surest tags have a panel, with the delay and its interval; the table has all."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 15))
    y = np.append(np.zeros(7), x[:-7, 3]) + 0.5 * rng.normal(size=600)
    inputs = tuple(f"tag {n}" for n in range(15))
    table = Table(
        np.column_stack([x, y]),
        (*map(Tag, inputs), Tag("y")),
        time=np.datetime64("2026-01-01", "ns") + np.arange(600) * np.timedelta64(60_000_000_000, "ns"),
    )
    data = replace(number_report(), dead_times=scan(table, inputs, "y", rows=np.ones(600, bool), lags=20))
    with speak(lang):  # type: ignore[arg-type]
        figure = drawn(data, "dead_times")
        words = [element.text for element in ElementTree.fromstring(figure.svg).iter() if element.text]  # noqa: S314
        assert words.count("tag 3") == 1
        assert "7 min" in words
        assert words.count(say("dead_time.no")) == 11  # twelve panels, one of them sure
        assert figure.svg.count('class="bar-network"') == 1
        blocks = list(delay_blocks(data, data.dead_times))  # type: ignore[arg-type]
        rows = [row for block in blocks if block.table for row in block.table.rows]
        assert [cell.text for cell in rows[0].cells[:3]] == ["tag 3", "7 (7min)", "7–7"]
        assert len(rows) == 15
