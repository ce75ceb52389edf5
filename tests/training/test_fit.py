"""Training itself: the same seed gives the same run, every window counts once, all settings reach Keras."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.errors import PlanError, TrainingError
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.training.fitting.callbacks import Callback
from backmix.training.fitting.checkpoint import values
from backmix.training.fitting.feed import Feed, order
from backmix.training.fitting.fit import (
    FitSettings,
    FittedNetwork,
    TrainingPlan,
    compiled,
    fit_network,
    optimizer,
    predict_network,
    resolve,
)

T, F = 6, 3
SHAPE = Architecture(features=F, lookback=T, cell="simple_rnn", units=(4,), dropout=0.2)
QUICK = FitSettings(epochs=3, batch_size=16, learning_rate=0.01)


def windows(count: int, seed: int = 0, *, classes: int = 0) -> Windows:
    """Sequences whose mean of the first feature is the target (or decides the class)."""
    x = np.random.default_rng(seed).normal(size=(count, T, F)).astype(np.float32)
    y = 2.0 * x[:, :, 0].mean(axis=1)
    if not classes:
        return Windows.from_arrays(x, y)
    codes = np.clip(np.digitize(y, np.linspace(-0.5, 0.5, classes - 1)), 0, classes - 1)
    return Windows.from_arrays(x, codes, categories=tuple(f"fault {i}" for i in range(classes)))


@pytest.fixture(scope="module")
def parts() -> tuple[Windows, Windows]:
    return windows(70), windows(50, seed=1)


@pytest.fixture(scope="module")
def fitted(parts: tuple[Windows, Windows]) -> FittedNetwork:
    return fit_network(SHAPE, *parts, settings=QUICK)


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(values(a), values(b), strict=True))


def test_the_same_seed_gives_the_same_run_bit_for_bit(fitted: FittedNetwork, parts: tuple[Windows, Windows]) -> None:
    """Law: weights, dropout masks and history; course item 43."""
    again = fit_network(SHAPE, *parts, settings=QUICK)
    assert again.history == fitted.history
    assert same(again.model, fitted.model)
    assert (again.best_epoch, again.stopped) == (fitted.best_epoch, fitted.stopped)


def test_another_seed_gives_another_run(fitted: FittedNetwork, parts: tuple[Windows, Windows]) -> None:
    other = fit_network(SHAPE, *parts, settings=replace(QUICK, seed=1, epochs=1))
    assert other.history["loss"][0] != fitted.history["loss"][0]


def test_the_history_has_a_value_per_epoch(fitted: FittedNetwork) -> None:
    """Course items 52 and 66."""
    assert set(fitted.history) == {"loss", "val_loss", "learning_rate"}
    assert all(len(series) == 3 for series in fitted.history.values())
    assert fitted.history["loss"][-1] < fitted.history["loss"][0]
    assert fitted.stopped == "epochs"
    assert fitted.best_epoch == 1 + int(np.argmin(fitted.history["val_loss"]))
    assert fitted.seconds > 0


def test_it_learns_what_keras_learns_on_whole_batches(parts: tuple[Windows, Windows]) -> None:
    """Independent reference: plain `fit` on arrays, where no batch needs filling up."""
    shape, chosen = replace(SHAPE, dropout=0.0), replace(QUICK, shuffle=False)
    train, validation = parts[0].subset(np.arange(64)), parts[1].subset(np.arange(48))
    ours = fit_network(shape, train, validation, settings=chosen)
    model = compiled(shape, chosen)
    some, check = train.gather(train.all_indices), validation.gather(validation.all_indices)
    theirs = model.fit(
        {"x": some.x},
        some.y,
        batch_size=16,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=({"x": check.x}, check.y),
        validation_batch_size=48,
    )
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(ours.history[name], theirs.history[name], rtol=1e-5)


@pytest.mark.parametrize("validation", [50, 1500])
def test_the_reported_losses_are_means_over_windows(parts: tuple[Windows, Windows], validation: int) -> None:
    """70 windows in batches of 16 fill 80 places, 1500 do not fill two batches: places of weight 0 must not count."""
    shape = replace(SHAPE, dropout=0.0)
    both = (parts[0], windows(validation, seed=1))
    still = fit_network(
        shape, *both, settings=replace(QUICK, epochs=1, learning_rate=1e-30, loss="mae", metrics=("mae",))
    )
    for part, prefix in zip(both, ("", "val_"), strict=True):
        truth = part.gather(part.all_indices).y
        assert truth is not None
        error = np.abs(predict_network(still.model, part) - truth).mean()
        assert still.history[f"{prefix}loss"][0] == pytest.approx(float(error), rel=1e-5)
        assert still.history[f"{prefix}mae"][0] == pytest.approx(float(error), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_only_a_network_that_is_taught_is_shown_the_answers(share: float) -> None:
    """As scaled as those that it shall give, row by row of the path."""
    table = Table(np.random.default_rng(0).normal(size=(30, 2)), (Tag("u"), Tag("y", role="target")))
    path = build_windows(table, WindowSpec(("u",), ("y",), lookback=4, horizon=3, answer="path"))
    shape = Architecture(
        features=1, lookback=4, answer="path", horizon=3, decoder="states", units=(4,), teacher_forcing=share
    )
    feed = Feed(path, shape, batch_size=8)
    inputs, y, _ = feed.batch(0)
    assert ("teacher" in inputs) == (share > 0)
    if share:
        np.testing.assert_array_equal(inputs["teacher"][:, :, 0], y)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 20), seed=st.integers(0, 2**31 - 1))
def test_every_window_counts_exactly_once_per_epoch(count: int, size: int, seed: int) -> None:
    """Course item 53 and trap I: whole windows change places, rows inside a window never do."""
    part = windows(count)
    whole = part.gather(part.all_indices)
    feed = Feed(part, SHAPE, batch_size=size, seed=seed)
    assert whole.y is not None
    for epoch in range(2):
        feed.begin_epoch(epoch)
        seen = []
        for number in range(len(feed)):
            inputs, y, weight = feed.batch(number)
            assert inputs["x"].shape == (size, T, F)
            at = feed.positions(number)
            seen += at.tolist()
            np.testing.assert_array_equal(inputs["x"][weight > 0], whole.x[at])
            np.testing.assert_array_equal(y[weight > 0], whole.y[at])
            assert weight.sum() == len(at)
        assert sorted(seen) == list(range(count))
        assert seen == order(count, seed=seed, epoch=epoch).tolist()
    kept = Feed(part, SHAPE, batch_size=size, seed=seed)
    kept.keep()
    kept.begin_epoch(1)
    for number in range(len(feed)):
        for one, other in zip(feed.batch(number), kept.batch(number), strict=True):
            pair = [array["x"] if isinstance(array, dict) else array for array in (one, other)]
            np.testing.assert_array_equal(*pair)


def test_the_order_changes_with_the_epoch_and_with_the_seed_alone() -> None:
    assert order(50, seed=0, epoch=0).tolist() != order(50, seed=0, epoch=1).tolist()
    assert order(50, seed=0, epoch=0).tolist() != order(50, seed=1, epoch=0).tolist()
    assert order(50, seed=0, epoch=7).tolist() == order(50, seed=0, epoch=7).tolist()


def test_without_shuffling_windows_come_as_they_are() -> None:
    feed = Feed(windows(10), SHAPE, batch_size=4)
    assert [feed.positions(n).tolist() for n in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_validation_windows_are_never_trained_on(parts: tuple[Windows, Windows]) -> None:
    """Course item 61: other validation data change the watching, not one weight of the training."""
    once = replace(QUICK, epochs=2, patience=100)
    a = fit_network(SHAPE, parts[0], parts[1], settings=once)
    b = fit_network(SHAPE, parts[0], windows(33, seed=9), settings=once)
    assert a.history["loss"] == b.history["loss"]


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_optimisers_and_clipping_reach_keras(name: Any) -> None:
    """Course items 43 (Adam, RMSprop, SGD with momentum), 44 (clipping) and 45 (learning rate)."""
    made = optimizer(FitSettings(optimizer=name, learning_rate=0.003, momentum=0.7, clipnorm=0.5))
    keras = use_engine()
    assert (
        type(made)
        is {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}[name]
    )
    assert float(np.asarray(made.learning_rate)) == pytest.approx(0.003)
    assert (made.clipnorm, made.clipvalue) == (0.5, None)
    if name == "sgd":
        assert made.momentum == 0.7
    by_value = optimizer(FitSettings(optimizer=name, clipnorm=None, clipvalue=0.25))
    assert (by_value.clipnorm, by_value.clipvalue) == (None, 0.25)


def test_a_cosine_lowers_the_rate_over_all_epochs_and_resumes(parts: tuple[Windows, Windows], tmp_path: Path) -> None:
    chosen = FitSettings(
        schedule="cosine",
        learning_rate=0.01,
        min_learning_rate=0.001,
        epochs=4,
        batch_size=32,
        average=0.9,
        weight_decay=0.01,
    )
    made = fit_network(SHAPE, *parts, settings=chosen)
    wanted = 0.001 + 0.009 * 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(made.history["learning_rate"], wanted, rtol=1e-5)
    fit_network(SHAPE, *parts, settings=chosen, folder=tmp_path)
    again = fit_network(SHAPE, *parts, settings=chosen, folder=tmp_path)
    assert again.history == made.history
    with pytest.raises(TrainingError, match="other"):
        fit_network(SHAPE, *parts, settings=replace(chosen, epochs=5), folder=tmp_path)


def test_an_average_moves_the_weights_to_their_mean_over_the_steps(parts: tuple[Windows, Windows]) -> None:
    """Independent: the weights after every step of a plain training, averaged by hand, are those of the average."""
    shape = replace(SHAPE, dropout=0.0)
    plain = FitSettings(optimizer="sgd", momentum=0.0, learning_rate=0.05, epochs=1, batch_size=20, shuffle=False)

    class Seen(Callback):
        def __init__(self) -> None:
            self.weights: list[list[np.ndarray]] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.jax_state_sync()
            self.weights.append([np.array(v.value) for v in self.model.trainable_variables])

    seen = Seen()
    fit_network(shape, *parts, settings=plain, callbacks=[seen])
    mean = seen.weights[0]
    for weights in seen.weights[1:]:
        mean = [0.8 * a + 0.2 * b for a, b in zip(mean, weights, strict=True)]
    made = fit_network(shape, *parts, settings=replace(plain, average=0.8)).model
    for ours, theirs in zip(made.trainable_variables, mean, strict=True):
        np.testing.assert_allclose(np.asarray(ours.value), theirs, rtol=1e-4, atol=1e-5)


def test_weight_decay_shrinks_kernels_and_leaves_biases(parts: tuple[Windows, Windows]) -> None:
    shape = replace(SHAPE, dropout=0.0)
    plain = FitSettings(optimizer="sgd", momentum=0.0, learning_rate=1e-3, epochs=1, batch_size=70)
    with_decay = replace(plain, weight_decay=0.5)
    one, other = (fit_network(shape, *parts, settings=chosen).model for chosen in (plain, with_decay))
    start = compiled(shape, plain)
    for before, a, b in zip(start.trainable_variables, one.trainable_variables, other.trainable_variables, strict=True):
        if "bias" in before.path:
            np.testing.assert_allclose(np.asarray(a.value), np.asarray(b.value), rtol=1e-3, atol=1e-5)
        else:
            away = np.asarray(a.value) - np.asarray(b.value)
            assert float(np.vdot(away, np.asarray(a.value))) > 0


def test_clipping_bounds_the_step(parts: tuple[Windows, Windows]) -> None:
    """Course item 7: with plain gradient descent no weight array moves further than rate x clipnorm."""
    shape = replace(SHAPE, dropout=0.0)
    chosen = FitSettings(optimizer="sgd", momentum=0.0, learning_rate=1.0, clipnorm=0.01, epochs=1, batch_size=70)
    start = values(compiled(shape, chosen))
    moved = values(fit_network(shape, *parts, settings=chosen).model)
    distances = [float(np.linalg.norm(b - a)) for a, b in zip(start, moved, strict=True)]
    assert max(distances) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("head", "outputs", "classes", "loss", "metrics"),
    [
        ("classes", 3, 3, "sparse_categorical_crossentropy", ("accuracy",)),
        ("binary", 1, 2, "binary_crossentropy", ("accuracy", "precision", "recall", "auc")),
    ],
)
def test_classifiers_train_with_class_weights(
    head: str, outputs: int, classes: int, loss: str, metrics: tuple[Any, ...]
) -> None:
    """Course items 47 and 49; a class of weight 0 is not learned at all."""
    shape = replace(SHAPE, head=head, outputs=outputs)
    parts = windows(60, classes=classes), windows(40, seed=1, classes=classes)
    weights = {0: 1.0} | dict.fromkeys(range(1, classes), 0.0)
    made = fit_network(
        shape,
        *parts,
        settings=replace(QUICK, loss=loss, metrics=metrics, class_weights=weights, epochs=12, learning_rate=0.05),
    )
    assert {f"val_{name}" for name in metrics} <= set(made.history)
    found = predict_network(made.model, parts[1])
    picked = found.argmax(axis=1) if classes > 2 else (found[:, 0] > 0.5).astype(int)
    assert (picked == 0).mean() > 0.9


def test_a_metric_that_does_not_fit_the_head_is_refused(parts: tuple[Windows, Windows]) -> None:
    with pytest.raises(PlanError) as caught:
        fit_network(SHAPE, *parts, settings=replace(QUICK, metrics=("auc",)))
    assert str(caught.value) == ("metric 'auc' does not fit this network (regression). Choose among: mse, mae, rmse")


def test_whole_batches_of_unequal_length_are_masked() -> None:
    """Course item 17: more padding changes no prediction and no training."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 9, F)).astype(np.float32)
    lengths = rng.integers(4, 8, size=40)
    y = np.array([row[:length, 0].mean() for row, length in zip(x, lengths, strict=True)])
    part = Windows.from_arrays(x, y, lengths=lengths)
    shape = replace(SHAPE, lookback=None, masked=True, dropout=0.0)
    chosen = replace(QUICK, epochs=2)
    made = fit_network(shape, part, part, settings=chosen)
    longer = fit_network(replace(shape, lookback=12), part, part, settings=chosen)
    np.testing.assert_allclose(made.history["loss"], longer.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(predict_network(made.model, part), predict_network(longer.model, part), atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 256, 1000])
def test_batch_size_and_company_change_no_prediction(fitted: FittedNetwork, size: int) -> None:
    """Law: 1e-6 is asked, equality is given; course item 73."""
    part = windows(300, seed=5)
    whole = predict_network(fitted.model, part)
    assert whole.shape == (300, 1)
    np.testing.assert_array_equal(
        predict_network(fitted.model, part.subset(np.arange(40)), batch_size=size), whole[:40]
    )
    back = predict_network(fitted.model, part.subset(np.arange(300)[::-1]))
    np.testing.assert_array_equal(back[::-1], whole)


def test_no_windows_give_no_predictions(fitted: FittedNetwork) -> None:
    assert predict_network(fitted.model, windows(3).subset(np.arange(0))).shape == (0, 1)


def test_it_trains_on_a_real_table_without_copying_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that are too many to keep are gathered batch by batch; the result is the same."""
    rng = np.random.default_rng(0)
    table = Table(rng.normal(size=(120, 3)), (Tag("a"), Tag("b"), Tag("y", role="target")))
    spec = WindowSpec(inputs=("a", "b"), targets=("y",), lookback=T)
    part = build_windows(table, spec)
    shape, chosen = replace(SHAPE, features=2), replace(QUICK, epochs=2)
    kept = fit_network(shape, part, part, settings=chosen)
    monkeypatch.setattr("backmix.training.fitting.fit.KEEP", 0)
    lazy = fit_network(shape, part, part, settings=chosen)
    assert lazy.history == kept.history
    assert same(lazy.model, kept.model)


def test_steps_run_together_or_one_by_one_are_the_same_steps(
    fitted: FittedNetwork, parts: tuple[Windows, Windows]
) -> None:
    class Listener(use_engine().callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.batches: list[int] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches.append(batch)

    listener = Listener()
    made = fit_network(SHAPE, *parts, settings=QUICK, callbacks=[listener])
    assert listener.batches == [0, 1, 2, 3, 4] * 3
    assert same(made.model, fitted.model)


def test_the_model_is_free_of_the_training_data_afterwards(fitted: FittedNetwork) -> None:
    assert fitted.model.train_function is None
    assert fitted.model.steps_per_execution == 1


def test_nothing_to_train_or_validate_on_is_said(parts: tuple[Windows, Windows]) -> None:
    none = parts[0].subset(np.arange(0))
    with pytest.raises(TrainingError) as caught:
        fit_network(SHAPE, none, parts[1], settings=QUICK)
    assert str(caught.value) == (
        "array — there is no window to train on. Use a shorter lookback, more data, or a larger training part"
    )
    with pytest.raises(TrainingError) as caught:
        fit_network(SHAPE, parts[0], none, settings=QUICK)
    assert str(caught.value) == (
        "array — there is no window to validate on, so nothing could tell when to stop. Give validation a "
        "larger part of the data, or use a shorter lookback"
    )


def test_nothing_is_printed(parts: tuple[Windows, Windows], capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Trap Y and course item 54: no log spam, whatever Keras or the engine would like to say."""
    fit_network(SHAPE, *parts, settings=replace(QUICK, epochs=1), folder=tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_plan_becomes_settings() -> None:
    plan = TrainingPlan()
    made = resolve(plan, loss="huber", batch_size=64, lookback=30, class_weights={0: 2.0})
    assert (made.loss, made.batch_size, made.learning_rate) == ("huber", 64, 0.001)
    assert (made.clipnorm, made.clipvalue, made.class_weights) == (1.0, None, {0: 2.0})
    named = TrainingPlan(
        loss="mae", batch_size=8, learning_rate=0.1, class_weight="none", clipnorm="none", memory_limit="2GB"
    )
    made = resolve(named, loss="huber", batch_size=64, lookback=30, class_weights={0: 2.0}, resume=False)
    assert (made.loss, made.batch_size, made.learning_rate, made.resume) == ("mae", 8, 0.1, False)
    assert (made.clipnorm, made.class_weights, made.memory_limit) == (None, None, 2_000_000_000)
    assert resolve(TrainingPlan(clipvalue=0.5), loss="mse", batch_size=1, lookback=None).clipnorm is None


def test_settings_and_plan_have_the_same_defaults() -> None:
    """One default, one home: what a plan leaves out is what `FitSettings` says."""
    assert resolve(TrainingPlan(), loss="mse", batch_size=32, lookback=30) == FitSettings()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clipnorm": 1.0, "clipvalue": 0.5}, "clipnorm and clipvalue cannot both be set. Keep one of them"),
        ({"learning_rate": 0}, "got 0.0, wanted a number above 0"),
        ({"batch_size": 0}, "got 0, wanted a number above 0"),
        (
            {"loss": "rmse"},
            "there is no loss 'rmse'. Choose one of: auto, binary_crossentropy, huber, mae, mse, "
            "msle, sparse_categorical_crossentropy",
        ),
        (
            {"monitor": "val_auc"},
            "'val_auc' is not measured during this training. Watch one of val_loss, or add it to metrics",
        ),
        (
            {"checkpoint": "../best"},
            "'../best' cannot be a file name. Use plain text, with {epoch} and metrics "
            "such as {val_loss:.4f} where wanted",
        ),
        (
            {"checkpoint": "{epoch.__class__}"},
            "'{epoch.__class__}' cannot be a file name. Use plain text, with "
            "{epoch} and metrics such as {val_loss:.4f} where wanted",
        ),
    ],
)
def test_a_faulty_plan_is_explained(fields: dict[str, Any], message: str) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as caught:
        TrainingPlan(**fields)
    assert message in str(caught.value)


def test_the_learning_rate_follows_the_window() -> None:
    """Course item 45."""
    rates = [
        resolve(TrainingPlan(optimizer=name), loss="mse", batch_size=1, lookback=rows).learning_rate
        for name, rows in (("adam", 30), ("rmsprop", 30), ("sgd", 30), ("adam", 500))
    ]
    assert rates == [0.001, 0.001, 0.01, 0.0005]
    assert all(math.isfinite(rate) for rate in rates)
