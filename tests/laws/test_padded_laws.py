"""Laws of padded windows: what stands where nothing was measured changes nothing, and everybody has a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.splitting.split import Split, SplitPart, purge
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.reach import reaches, rows_used
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.errors import InputError, PlanError
from backmix.models.architecture import Architecture
from backmix.models.members.views import views
from backmix.models.network import build
from backmix.models.weights import put_weights, take_weights

LAWS = settings(max_examples=40, deadline=None)
STEPS, FEATURES = 8, 3


def units(seed: int, *, holes: float = 0.0, sizes: tuple[int, ...] = (3, 12, 1, 20, 7)) -> Table:
    """A table of short and long units, with holes in its inputs."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(sum(sizes), FEATURES + 1))
    values[:, :FEATURES][rng.random((len(values), FEATURES)) < holes] = np.nan
    tags = (*(Tag(f"T{i}") for i in range(FEATURES)), Tag("Q", role="target"))
    names = tuple(f"U{i}" for i in range(len(sizes)))
    return Table(values, tags, batch=np.repeat(np.arange(len(sizes)), sizes).astype(np.int32), batch_names=names)


def form(**changes: Any) -> WindowSpec:
    spec = WindowSpec(tuple(f"T{i}" for i in range(FEATURES)), ("Q",), lookback=STEPS, padded=True)
    return replace(spec, **changes)


@LAWS
@given(
    seed=st.integers(0, 999),
    holes=st.sampled_from([0.0, 0.05]),
    dead_time=st.integers(0, 2),
    horizon=st.integers(0, 2),
    cut=st.booleans(),
)
def test_windows_are_those_of_a_walk_along_the_rows(
    seed: int, holes: float, dead_time: int, horizon: int, cut: bool
) -> None:
    """A row has a window when the lookback, or all since its unit began, is there, and lies in one part."""
    table, spec = units(seed, holes=holes), form(dead_time=dead_time, horizon=horizon)
    codes = np.resize(np.repeat([1, 2, 3, 1], 9), len(table)).astype(np.uint8)
    parts = Split(purge(codes, gap=0, batch=table.batch)) if cut else None
    expected = {}
    for scored in range(len(table)):
        first = int(np.flatnonzero(table.batch == table.batch[scored])[0])
        last = scored - horizon - dead_time
        low = max(first, last - STEPS + 1)
        if last < first or not np.isfinite(table.values[low : last + 1, :FEATURES]).all():
            continue
        if parts is not None and (parts.owner[low : scored + 1] != SplitPart.TRAIN).any():
            continue
        if parts is not None and parts.part[scored] != SplitPart.TRAIN:
            continue
        expected[scored - horizon] = (low, last)
    try:
        windows = build_windows(table, spec, split=parts, part=SplitPart.TRAIN if cut else None)
    except InputError:
        assert not expected
        return
    low, last = reaches(windows)
    assert dict(zip(windows.origins.tolist(), zip(low.tolist(), last.tolist(), strict=True), strict=True)) == expected
    batch = windows.gather(windows.all_indices)
    assert batch.mask is not None
    for place, (begin, end) in enumerate(expected.values()):
        count = end - begin + 1
        assert batch.mask[place].tolist() == [True] * count + [False] * (STEPS - count)
        assert np.array_equal(batch.x[place, :count], table.values[begin : end + 1, :FEATURES].astype(np.float32))
        assert (batch.x[place, count:] == 0).all()
    rows = len(table) if parts is None else parts.count(SplitPart.TRAIN)
    assert rows == len(windows) + sum(drop.number for drop in windows.dropped)


def test_every_unit_has_a_window_and_whole_ones_stay_as_they_were() -> None:
    table = units(1)
    padded = build_windows(table, form())
    plain = build_windows(table, form(padded=False))
    assert len(padded) == len(table)
    assert len(set(padded.batches)) == 5
    assert len(set(plain.batches)) == 2
    whole = padded.unpadded()
    assert whole.origins.tolist() == plain.origins.tolist()
    assert not whole.masked
    assert np.array_equal(whole.gather(whole.all_indices).x, plain.gather(plain.all_indices).x)
    assert rows_used(padded).all()


@pytest.mark.parametrize("changes", [{"lookback": None}, {"carried": True}, {"answer": "path", "horizon": 2}])
def test_other_forms_are_not_padded(changes: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match='short = "pad"'):
        form(**changes)


def padded_batch(seed: int) -> tuple[Windows, np.ndarray, np.ndarray]:
    windows = build_windows(units(seed), form())
    batch = windows.gather(windows.all_indices)
    assert batch.mask is not None
    return windows, batch.x, batch.mask


@pytest.mark.parametrize("name", ["lags", "thinned", "statistics", "products", "squares"])
def test_law_padding_changes_no_view_of_a_simple_member(name: str) -> None:
    _, x, mask = padded_batch(2)
    disturbed = np.where(mask[:, :, None], x, np.float32(77.0))
    view = views.get(name)
    assert np.allclose(view.rows(disturbed, mask), view.rows(x, mask), atol=1e-6)
    assert np.array_equal(view.rows(x[:1], mask[:1]), view.rows(x, mask)[:1])


@pytest.mark.parametrize("cell", ["gru", "lstm", "simple_rnn"])
@pytest.mark.parametrize("summaries", [False, True])
def test_law_padding_and_company_change_no_answer_of_a_network(cell: str, summaries: bool) -> None:
    architecture = Architecture(
        features=FEATURES, lookback=STEPS, units=(5,), cell=cell, masked=True, summaries=summaries
    )
    model = build(architecture, seed=1)
    _, x, mask = padded_batch(3)
    said = np.asarray(model.predict_on_batch({"x": x, "mask": mask}))
    disturbed = np.where(mask[:, :, None], x, np.float32(-55.0))
    assert np.allclose(model.predict_on_batch({"x": disturbed, "mask": mask}), said, atol=1e-6)
    some = np.array([0, 4, 9])
    assert np.allclose(model.predict_on_batch({"x": x[some], "mask": mask[some]}), said[some], atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm", "simple_rnn"])
def test_law_a_padded_window_is_the_whole_window_of_a_shorter_lookback(cell: str) -> None:
    """The cell is causal: rows that are not there, and rows that were never asked for, are the same."""
    long = build(Architecture(features=FEATURES, lookback=STEPS, units=(5,), cell=cell, masked=True), seed=2)
    _, x, mask = padded_batch(4)
    said = np.asarray(long.predict_on_batch({"x": x, "mask": mask}))
    for count in (1, 3, 6):
        short = build(Architecture(features=FEATURES, lookback=count, units=(5,), cell=cell), seed=0)
        put_weights(short, take_weights(long))
        mine = mask.sum(axis=1) == count
        assert mine.any()
        assert np.allclose(short.predict_on_batch({"x": x[mine, :count]}), said[mine], atol=1e-6)
