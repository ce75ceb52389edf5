"""Letters A to L that no other test covers: where the lesson is wrong or out of date."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from backmix import layers as ours
from backmix.data.plants import plants, simulate
from backmix.models import layers as inside
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from small import reading

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("module", [keras.layers, ours], ids=["keras", "backmix"])
def test_the_summary_that_keras_prints(module: Any) -> None:
    """Letters A and B: the lesson prints 1,120 where Keras counts 1,152, and 13,056 is no default of Keras."""
    printed: list[str] = []

    def count(layer: Any) -> int:
        model = keras.Sequential([keras.Input((10, 3)), layer])
        printed.clear()
        model.summary(print_fn=lambda line, **_: printed.append(line))
        return int(model.count_params())

    assert count(module.SimpleRNN(32)) == 32 * (32 + 3 + 1) == 1_152
    assert "1,152" in printed[0]
    assert count(module.GRU(64)) == 3 * 64 * (64 + 3 + 2) == 13_248
    assert count(module.GRU(64, reset_after=False)) == 3 * 64 * (64 + 3 + 1) == 13_056
    assert "13,056" in printed[0]


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_no_dropout_leaves_our_kernels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letter D: neither `dropout` nor `recurrent_dropout` sends a layer into Keras's loop, nor warns of it."""
    monkeypatch.setattr(inside, "_said", set())
    calls: list[str] = []
    run = inside._run
    monkeypatch.setattr(inside, "_run", lambda layer, *a, **k: calls.append(layer.cell_name) or run(layer, *a, **k))
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")
    for rates in ({"dropout": 0.2}, {"recurrent_dropout": 0.2}, {"dropout": 0.3, "recurrent_dropout": 0.1}):
        layer = getattr(ours, kind)(4, seed=1, **rates)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dropped, kept = (np.asarray(layer(x, training=training)) for training in (True, False))
        assert np.abs(dropped - kept).max() > 1e-3
    assert len(calls) == 6


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_modern_forms(tmp_path: Path) -> None:
    """Letter G: what the lesson writes is gone from Keras 3, what stands in its place works on our layers."""
    with pytest.raises(ValueError, match="Unrecognized keyword arguments passed to LSTM"):
        ours.LSTM(4, stateful=True, batch_input_shape=(2, 5, 3))
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), ours.LSTM(4, stateful=True), keras.layers.Dense(1)])
    assert not hasattr(model, "reset_states")
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    first, second = (np.asarray(model(x)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()
    np.testing.assert_array_equal(np.asarray(model(x)), first)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again(x)), first, atol=1e-6)  # the file holds weights and no state
    with pytest.raises(ValueError, match=r"The filename must end in `\.weights\.h5`"):
        model.save_weights(tmp_path / "rnn_weights.h5")


SHORT = {"cstr": {"days": 2.0, "faults": 0}, "batch_reactor": {"batches": 24}, "heat_exchanger": {"units": 6}}


@pytest.mark.parametrize("name", plants.names())
def test_an_example_has_something_to_learn(name: str) -> None:
    """Letter K, course item 22: on every simulated plant the target can be learned; shuffled, it cannot.

    Judged by ridge regression on the rows of the window, on the test part, against the mean of the training.
    """
    run = simulate(name, seed=1, **SHORT.get(name, {}))
    sections = run.plans.get("soft_sensor", next(iter(run.plans.values())))
    plan = Plan.check({key: value for key, value in sections.items() if key != "data"})
    target = run.table.index(plan.the_task.targets[0])

    def skill(values: np.ndarray) -> float:
        """1 - squared error of the model over that of the mean: 1 perfect, 0 chance."""
        prepared = prepare(reading(replace(run.table, values=values)), plan)
        train, validation, test = (prepared.parts[part] for part in ("train", "validation", "test"))
        truth = test.truth()[:, 0]
        error = {}
        for baseline in ("ridge", "mean"):
            fitted = fit_baselines(prepared.task, train, validation, names=[baseline])
            said = fitted.predictors[baseline].predict(test).values
            error[baseline] = float(np.mean((said[:, 0] - truth) ** 2))
        return 1 - error["ridge"] / error["mean"]

    real, shuffled = np.array(run.table.values), np.array(run.table.values)
    known = np.flatnonzero(np.isfinite(real[:, target]))
    shuffled[known, target] = np.random.default_rng(0).permutation(real[known, target])
    assert skill(real) > 0.3
    assert abs(skill(shuffled)) < 0.2


def test_the_speed_of_cells_is_measured() -> None:
    """Letter L: what a GRU saves against an LSTM is in the log of measurements, row by row, and is no constant."""
    log = (ROOT / "benchmarks" / "LOG.md").read_text("utf-8")
    found: dict[tuple[str, str], float] = {}
    for cell, shape, rate in re.findall(r"^\| (LSTM|GRU) ([^|]+) \| ([\d,]+) \| [\d,]+ \|", log, re.MULTILINE):
        found.setdefault((cell, shape), float(rate.replace(",", "")))
    gains = [found["GRU", shape] / rate for (cell, shape), rate in found.items() if cell == "LSTM"]
    assert len(gains) >= 3
    assert max(gains) - min(gains) > 0.1  # a rule of thumb: it is not the same in every row
    assert (ROOT / "benchmarks" / "training.py").exists()
