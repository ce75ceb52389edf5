"""Laws of the way from a table to predictions: repair, split and windows together, and what labels may do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.errors import InputError
from backmix.models.network import build
from backmix.models.weights import take_weights
from backmix.serving.bundle import Bundle
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import reading, small_plan, small_table

LAWFUL = settings(max_examples=25, deadline=None)
ROWS = 420
KINDS = (
    {"kind": "chronological"},
    {"kind": "blocked"},
    {"kind": "batch"},
    {"kind": "chronological", "within": "batch"},
)


def untrained(prepared: Prepared) -> Bundle:
    """The bundle of a run with the weights it would begin from."""
    architecture = design(prepared).architecture
    return Bundle(
        preprocessing=prepared.preprocessing,
        architecture=architecture,
        weights=take_weights(build(architecture, seed=0)),
    )


@st.composite
def plants(draw: st.DrawFn) -> Table:
    """The small plant with batches, pauses, holes and frozen stretches anywhere."""
    table, rng = small_table(ROWS), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.array(table.values)
    for _ in range(draw(st.integers(0, 6))):
        start, length = rng.integers(ROWS), rng.integers(1, 15)
        values[start : start + length, rng.integers(4)] = np.nan
    values[rng.random(ROWS) > draw(st.sampled_from([1.0, 0.4])), 3] = np.nan
    pauses = np.where(rng.random(ROWS) < 0.02, 7200, 60)
    time = np.datetime64("2026-03-01", "ns") + np.cumsum(pauses) * np.timedelta64(1, "s")
    batch = np.cumsum(rng.random(ROWS) < draw(st.sampled_from([0.03, 0.06]))).astype(np.int32)
    return replace(
        table, values=values, time=time, batch=batch, batch_names=tuple(f"B{n}" for n in range(batch[-1] + 1))
    )


@LAWFUL
@given(
    table=plants(),
    split=st.sampled_from(KINDS),
    known=st.booleans(),
    ahead=st.integers(0, 3),
    fill=st.integers(0, 8),
    stride=st.integers(1, 3),
)
def test_no_window_of_a_prepared_run_crosses_anything(
    table: Table, split: dict[str, Any], known: bool, ahead: int, fill: int, stride: int
) -> None:
    """Traps J and O: batches, pauses and parts, however the holes between them were filled."""
    plan = small_plan(
        split=split,
        windows={"lookback": 5, "horizon": ahead, "stride": stride},
        repair={"max_fill": fill} if fill else {"fill": "none"},
        task={"past_targets": {"delay": 2}} if known else {},
    )
    try:
        prepared = prepare(reading(table), plan)
    except InputError:  # too little is left: no window, none that crosses
        reject()
    assert prepared.table.batch is not None
    assert prepared.table.time is not None
    touched: dict[str, set[int]] = {}
    for name, windows in prepared.parts.items():
        rows = touched[name] = set()
        for origin in windows.origins:
            span = np.arange(origin - 4, origin + ahead + 1)
            assert (prepared.table.batch[span] == prepared.table.batch[origin]).all()
            assert (np.diff(prepared.table.time[span]) < np.timedelta64(7200, "s")).all()
            assert np.isfinite(prepared.table.values[span[:5], :3]).all()
            assert prepared.split.part[origin + ahead] == SplitPart[name.upper()]
            rows |= set(span.tolist())
        x = windows.gather(windows.all_indices).x
        assert np.isfinite(x).all()
    assert not touched["train"] & touched["validation"]
    assert not touched["train"] & touched["test"]
    assert not touched["validation"] & touched["test"]


@pytest.fixture(scope="module")
def late_labels() -> dict[tuple[int, int | None], Bundle]:
    """Soft sensors that see past labels: delay and count -> an untrained bundle."""
    found = {}
    for delay, count in ((1, None), (4, None), (7, 2)):
        plan = small_plan(task={"past_targets": {"delay": delay, "count": count}})
        found[delay, count] = untrained(prepare(reading(small_table()), plan))
    return found


@LAWFUL
@given(
    which=st.sampled_from([(1, None), (4, None), (7, 2)]),
    row=st.integers(30, ROWS - 1),
    every=st.sampled_from([1, 5]),
    seed=st.integers(0, 1000),
)
def test_labels_younger_than_their_delay_change_no_prediction(
    late_labels: dict[tuple[int, int | None], Bundle], which: tuple[int, int | None], row: int, every: int, seed: int
) -> None:
    """Row 25: what the laboratory has not reported yet is not known, also between sparse labels."""
    delay, bundle, rng = which[0], late_labels[which], np.random.default_rng(seed)
    table = small_table()
    values = np.array(table.values)
    values[np.arange(ROWS) % every > 0, 3] = np.nan
    before = replace(table, values=values)
    changed = np.array(values)
    young = slice(row - delay + 1, None)
    changed[young, 3] = np.where(
        rng.random(changed[young, 3].shape) < 0.3, np.nan, changed[young, 3] + rng.normal(scale=100)
    )
    one, _ = bundle.predict(before)
    other, _ = bundle.predict(replace(table, values=changed))
    past = one["origin"] <= row
    assert past.any()
    np.testing.assert_array_equal(one.loc[past, "prediction"], other.loc[other["origin"] <= row, "prediction"])
    # the label that has just become known does count
    changed = np.array(values)
    newest = (row - delay) // every * every
    changed[newest, 3] += 50
    other, _ = bundle.predict(replace(table, values=changed))
    assert (
        one.loc[one["origin"] == row, "prediction"].to_numpy()
        != other.loc[other["origin"] == row, "prediction"].to_numpy()
    ).all()


@pytest.mark.parametrize("classes", [False, True])
def test_shuffled_labels_teach_a_network_nothing(classes: bool) -> None:
    """The other half of the law, for the networks: trained on labels at random, they score at chance."""
    table = small_table(1500, classes=classes)
    values = np.array(table.values)
    values[:, 3] = np.random.default_rng(5).permutation(values[:, 3])
    plan = small_plan(classes=classes, training={"epochs": 6, "batch_size": 64}, model={"units": [8]})
    prepared = prepare(reading(replace(table, values=values)), plan)
    chosen = design(prepared)
    fitted = fit_network(chosen.architecture, prepared.train, prepared.validation, settings=chosen.settings)
    outcome = prepared.task.answer.decode(predict_network(fitted.model, prepared.test), prepared.test)
    truth = prepared.test.truth()
    if classes:
        assert outcome.probabilities is not None
        right = (outcome.probabilities.argmax(axis=1) == truth[:, 0]).mean()
        assert abs(right - 1 / 3) < 4 * np.sqrt(2 / 9 / len(truth))
    else:
        assert outcome.values is not None
        explained = 1 - ((outcome.values - truth) ** 2).mean() / truth.var()
        assert explained < 0.05


def whole_batches() -> Table:
    lengths = np.random.default_rng(2).integers(3, 40, size=40)
    batch = np.repeat(np.arange(40, dtype=np.int32), lengths)
    return replace(small_table(len(batch)), batch=batch, batch_names=tuple(f"B{n}" for n in range(40)))


@pytest.mark.parametrize(
    "model", [{"cell": "simple_rnn"}, {"cell": "lstm", "units": [4, 3]}, {"cell": "gru", "summaries": True}]
)
def test_a_batch_is_predicted_the_same_alone_and_padded_in_company(model: dict[str, Any]) -> None:
    """Row 27 and trap T: padding and batch size mean nothing, through the whole bundle."""
    plan: Plan = small_plan(windows={"lookback": "batch"}, split={"kind": "batch"}, model=model)
    table = whole_batches()
    bundle = untrained(prepare(reading(table), plan))
    together, _ = bundle.predict(table)
    assert len(together) == 40
    for name in ("B0", "B7", "B23", "B39"):
        alone, _ = bundle.predict(table.without(*(other for other in table.batch_names if other != name)))
        np.testing.assert_allclose(
            alone["prediction"], together.loc[together["batch"] == name, "prediction"], rtol=2e-6
        )
    windows, _ = bundle.preprocessing.windows(table, need_target=False)
    sizes = [predict_network(bundle.network, windows, batch_size=size) for size in (1, 7, 1024)]
    np.testing.assert_allclose(sizes[0], sizes[2], atol=1e-6)
    np.testing.assert_allclose(sizes[1], sizes[2], atol=1e-6)
