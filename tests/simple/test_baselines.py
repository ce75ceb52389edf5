"""Baselines: honest, strong, quick, and blind to what the network may not see."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge

from backmix.data.splitting.split import SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows, fit_scalers
from backmix.errors import PlanError
from backmix.models.members.statistics import window_statistics
from backmix.scoring.judgement import baseline_frame
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import read_sample
from backmix.simple.forms import Lags
from backmix.simple.moments import Moments, moments, pls_path, ridge_path
from backmix.simple.trial import Trial
from backmix.tasks import Task
from backmix.training.beside import fit_baselines, question
from backmix.training.prepare import prepare
from frames import diagnosis, lagged_table, persistent, sensor, windows_of
from small import reading, small_task

SENSOR = sensor(Tag("y", unit="degC", role="target"))
REGRESSION = ("mean", "ridge", "pls", "trees", "feed_forward")


def scores(
    task: Task, parts: dict[str, Windows], names: tuple[str, ...], metric: str, *, before: bool = False
) -> dict[str, float]:
    """The score of each baseline on the test part; ``before``: as it was before the validation part taught it, too."""
    fitted = fit_baselines(task, parts["train"], parts["validation"], names=names)
    frame = baseline_frame(
        replace(fitted, predictors=fitted.before) if before else fitted, task, {"test": parts["test"]}
    )
    normal = getattr(task.settings, "normal", None)
    return {
        model: metrics.get(metric)(
            read_sample(frame[frame["model"] == model], classes=task.target.classes, normal=normal)
        )
        for model in names
    }


def classed(rows: int = 900, seed: int = 0) -> tuple[Table, Task]:
    """Three classes in batches of 100 rows that differ in level, spread and step of the inputs."""
    generator = np.random.default_rng(seed)
    codes = (np.arange(rows) // 100) % 3
    u = np.column_stack([persistent(rows, 0.6, seed), generator.normal(size=rows)])
    u[:, 0] += 0.7 * (codes == 1)
    u[:, 1] *= np.where(codes == 2, 2.0, 1.0)
    task = diagnosis("calm", "leak", "foul", normal="calm")
    table = Table(
        np.column_stack([u, codes]),
        (Tag("u1"), Tag("u2"), task.targets[0]),
        batch=(np.arange(rows) // 100).astype(np.int32),
        batch_names=tuple(map(str, range(rows // 100))),
    )
    return table, task


def test_linear_baselines_find_a_linear_plant() -> None:
    found = scores(SENSOR, windows_of(lagged_table(900)), REGRESSION, "rmse")
    assert found["ridge"] < 0.06
    assert found["pls"] < 0.06
    assert found["trees"] < found["mean"] / 2
    assert found["feed_forward"] < found["mean"] / 2
    assert 0.8 < found["mean"] < 1.6


def test_the_last_value_is_the_newest_that_is_known() -> None:
    """The laboratory delay is respected: the value of 4 rows ago, in plant units."""
    table = lagged_table()
    parts = windows_of(table, known=Known(delay=4, count=2))
    fitted = fit_baselines(
        sensor(table.tag("y"), past={"delay": 4, "count": 2}), parts["train"], parts["validation"], names=["last_value"]
    )
    said = fitted.predictors["last_value"].predict(parts["test"]).values
    assert said is not None
    assert said[:, 0] == pytest.approx(table.column("y")[parts["test"].origins - 4], abs=1e-5)


def test_no_last_value_without_past_targets() -> None:
    """A value of unknown age may not be known in the plant: the baseline says so and stands aside."""
    parts = windows_of(lagged_table())
    fitted = fit_baselines(SENSOR, parts["train"], parts["validation"], names=["last_value", "mean"])
    assert list(fitted.predictors) == ["mean"]
    assert fitted.unusable["last_value"].reason("en") == (
        "the last known value of y cannot be a baseline: no past targets are declared, so nobody knows how old it "
        "would be. Declare them: [task] past_targets = { delay = ... }"
    )


def moments_of(train: Windows) -> Moments:
    """Of all lags of all windows."""
    trial = Trial.of_parts(train, train, question(SENSOR, train), 0)
    return moments(trial, Lags.of(train), trial.final)


def test_ridge_and_pls_equal_scikit_learn() -> None:
    """The moments summed block by block give what scikit-learn gives from the whole matrix."""
    train = windows_of(lagged_table(500))["train"]
    sums = moments_of(train)
    x = train.gather(train.all_indices).x.reshape(len(train), -1).astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = train.scaled_targets()[:, 0]
    for penalty in (1e-3, 1.0):
        mine = ridge_path(sums, (penalty,))[0, :, 0]
        assert mine == pytest.approx(Ridge(alpha=penalty * len(train)).fit(x, y).coef_, abs=1e-8)
    paths = pls_path(sums, 4)
    for components in range(1, 5):
        theirs = PLSRegression(components, scale=False).fit(x, y).coef_[0]
        assert paths[components - 1, :, 0] == pytest.approx(theirs, abs=1e-8)


def test_pls_of_several_targets_equals_scikit_learn() -> None:
    table = lagged_table(400, tags=4).retag({"u4": Tag("u4", role="target")})
    train = windows_of(table, targets=("y", "u4"))["train"]
    x = train.gather(train.all_indices).x.reshape(len(train), -1).astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    theirs = PLSRegression(3, scale=False, tol=1e-12, max_iter=5000).fit(x, train.scaled_targets()).coef_.T
    assert pls_path(moments_of(train), 3)[2] == pytest.approx(theirs, abs=1e-6)


def test_the_same_seed_gives_the_same_baselines() -> None:
    parts = windows_of(lagged_table(300))
    for name in REGRESSION:
        first, again = (
            fit_baselines(SENSOR, parts["train"], parts["validation"], seed=5, names=[name])
            .predictors[name]
            .predict(parts["test"])
            .values
            for _ in range(2)
        )
        assert first is not None
        assert again is not None
        assert first.tobytes() == again.tobytes(), name


def test_baselines_never_see_the_test_part() -> None:
    """Changing the test rows leaves every fitted baseline as it was."""
    table = lagged_table(300)
    parts = windows_of(table)
    values = np.array(table.values)
    values[240:] = np.random.default_rng(1).normal(size=values[240:].shape) * 50
    changed = windows_of(replace(table, values=values))
    for name in REGRESSION:
        one = fit_baselines(SENSOR, parts["train"], parts["validation"], names=[name]).predictors[name]
        other = fit_baselines(SENSOR, changed["train"], changed["validation"], names=[name]).predictors[name]
        a, b = one.predict(parts["test"]).values, other.predict(parts["test"]).values
        assert a is not None
        assert b is not None
        assert a.tobytes() == b.tobytes(), name


def test_shuffled_labels_score_at_chance() -> None:
    """Law: a pipeline that leaks would still score when its labels mean nothing."""
    table = lagged_table(900)
    values = np.array(table.values)
    values[:, -1] = np.random.default_rng(3).permutation(values[:, -1])
    found = scores(SENSOR, windows_of(replace(table, values=values)), REGRESSION, "r2")
    assert all(score < 0.05 for score in found.values()), found

    table, task = classed()
    values = np.array(table.values)
    values[:, -1] = np.random.default_rng(4).integers(0, 3, size=len(values))
    shares = scores(
        task,
        windows_of(replace(table, values=values), targets=("fault",)),
        ("majority", "lda", "trees_statistics"),
        "accuracy",
    )
    assert all(0.2 < share < 0.47 for share in shares.values()), shares


def test_diagnosis_baselines_tell_classes_apart() -> None:
    table, task = classed()
    spec = WindowSpec(inputs=("u1", "u2"), targets=("fault",), lookback=20)
    parts = split(table, SplitPlan(kind="batch", train=0.4, validation=0.3, test=0.3), gap=0)
    scaler, _ = fit_scalers(table, spec, rows=parts.rows(SplitPart.TRAIN))
    made = {
        part.name.lower(): build_windows(table, spec, split=parts, part=part).scaled(scaler)
        for part in (SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST)
    }
    found = scores(task, made, ("majority", "lda", "trees_statistics"), "accuracy")
    assert found["majority"] == pytest.approx(1 / 3, abs=0.01)
    assert found["lda"] > 0.7
    assert found["trees_statistics"] > 0.5


def test_one_class_is_nothing_to_tell_apart() -> None:
    table, task = classed()
    train = windows_of(table.rows(slice(0, 100)), targets=("fault",))["train"]
    fitted = fit_baselines(task, train, None, names=["lda", "majority"])
    assert list(fitted.predictors) == ["majority"]
    assert fitted.unusable["lda"].reason("en") == (
        "all training windows are of class calm: there is nothing to tell apart"
    )


def test_without_a_validation_part_the_end_of_every_batch_chooses() -> None:
    table, task = classed()
    windows = windows_of(table, targets=("fault",), cut=0.9, end=0.95)
    fitted = fit_baselines(task, windows["train"], None, names=["trees_statistics"])
    assert fitted.predictors["trees_statistics"].predict(windows["train"]).probabilities is not None
    numbers = windows_of(lagged_table(300))
    for name in REGRESSION:
        fit_baselines(SENSOR, numbers["train"], None, names=[name])


def test_statistics_are_those_of_the_network() -> None:
    """The network may stand beside the same five statistics (models.summaries); masks count."""
    from backmix.models.body.summaries import CENTRE, STRETCH, summarise

    x = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    windows = Windows.from_arrays(x, np.zeros(5), lengths=np.array([8, 5, 2, 3, 8]))
    batch = windows.gather(windows.all_indices)
    theirs = np.array(summarise(batch.x, batch.mask)).reshape(5, 5, 3)
    theirs[:, [1, 3]] = theirs[:, [1, 3]] / STRETCH + np.log(CENTRE)  # the network gets logarithms stretched
    assert window_statistics(batch.x, batch.mask) == pytest.approx(theirs.reshape(5, 15), abs=1e-4)


def test_whole_batches_of_unequal_length_line_up() -> None:
    """Course item 17: a batch that ran twice as long, twice as slowly, is the same to a baseline."""
    shape = np.repeat(np.sin(np.linspace(0, 3, 48)), 2)
    x = np.zeros((2, 192, 1))
    x[0, :96, 0], x[1, :, 0] = shape, np.repeat(shape, 2)
    windows = Windows.from_arrays(x, np.zeros(2), lengths=np.array([96, 192]))
    flat = Lags.of(windows, 2000).of_batch(windows.gather(windows.all_indices))
    assert flat.shape == (2, 25)
    assert flat[0, :-1] == pytest.approx(flat[1, :-1], abs=1e-5)
    assert flat[1, -1] - flat[0, -1] == pytest.approx(np.log(2), abs=1e-6)
    task = sensor(Tag("y1", role="target"))
    some = Windows.from_arrays(
        np.random.default_rng(0).normal(size=(30, 20, 2)),
        np.arange(30.0),
        lengths=np.random.default_rng(1).integers(5, 21, size=30),
    )
    for name in REGRESSION:
        fit_baselines(task, some, None, names=[name]).predictors[name].predict(some)


def test_long_lookbacks_are_thinned_towards_the_past_and_say_so() -> None:
    windows = windows_of(lagged_table(900), lookback=200, cut=0.4, end=0.7)["train"]
    lags = Lags.of(windows, 60)
    assert lags.width <= 60
    assert lags.starts[-1] == 199  # the newest row stays as it is
    assert lags.starts[0] == 0
    gaps = np.diff([*lags.starts, 200])
    assert (np.diff(gaps) <= 0).all()
    assert lags.decisions[0].reason("en") == (
        "the 200 rows of a window enter as 20 means that grow into the past, for 3 features"
    )


def test_slices_are_bounded() -> None:
    windows = windows_of(lagged_table(600))["train"]
    assert np.concatenate(list(slices(windows))).tolist() == list(range(len(windows)))


def _debutanizer(shared_data: Path, past: dict[str, int] | None, lookback: int) -> tuple[Task, dict[str, Windows]]:
    values = np.loadtxt(shared_data / "debutanizer" / "Debutanizer_Column_Data.txt", skiprows=1)
    table = Table(values, (*(Tag(f"u{k}") for k in range(1, 8)), Tag("y", role="target")))
    task = sensor(table.tag("y"), past=past)
    plain = WindowSpec(inputs=tuple(f"u{k}" for k in range(1, 8)), targets=("y",), lookback=lookback)
    spec = task.target.window_form(plain, None)
    rows = np.arange(len(table))
    scalers = fit_scalers(table, spec, rows=rows < 1200)
    # the published protocol cuts by the target row alone; what a window reaches back to is not purged
    windows = build_windows(table, spec).scaled(*scalers)
    bounds = {"train": (0, 1200), "validation": (1200, 1600), "test": (1600, 2390)}
    return task, {
        name: windows.subset((windows.target_rows >= low) & (windows.target_rows < high))
        for name, (low, high) in bounds.items()
    }


def test_debutanizer_without_past_values_reaches_the_known_bar(shared_data: Path) -> None:
    """Ridge on lags 0-40 without any past y is known to reach RMSE 0.129 (R² 0.56), taught by training rows alone."""
    task, parts = _debutanizer(shared_data, None, 41)
    assert scores(task, parts, ("ridge",), "rmse", before=True)["ridge"] < 0.136
    assert scores(task, parts, ("pls",), "r2", before=True)["pls"] > 0.54


def test_debutanizer_with_past_values_reaches_the_known_bar(shared_data: Path) -> None:
    """Modes A and B: ridge 0.0456 and 0.0200 are known, the value of 4 samples ago is off by 0.0596."""
    task, parts = _debutanizer(shared_data, {"delay": 4, "count": 1}, 10)
    errors = scores(task, parts, ("ridge", "last_value"), "rmse")
    assert errors["ridge"] < 0.047
    assert errors["last_value"] == pytest.approx(0.0596, abs=0.003)
    task, parts = _debutanizer(shared_data, {"delay": 4, "count": 5}, 10)
    assert scores(task, parts, ("ridge",), "rmse")["ridge"] < 0.024


@pytest.mark.parametrize(("faults", "known"), [((1, 2, 6, 7, 8), 0.9962), ((4, 5, 10, 11, 12), 0.9821)])
def test_tennessee_eastman_reaches_the_known_bar(shared_data: Path, faults: tuple[int, ...], known: float) -> None:
    """LDA on window statistics is known to reach 99.62 % and 98.21 % mean accuracy on cases 1 and 2."""
    runs: list[NDArray[np.float64]] = []
    for end, first in (("", 0), ("_te", 160)):
        for code, fault in enumerate(faults):
            run = np.loadtxt(shared_data / "tennessee_eastman" / f"d{fault:02d}{end}.dat")[first:]
            runs.append(np.column_stack([run, np.full(len(run), float(code))]))
    names = tuple(f"x{k}" for k in range(52))
    task = diagnosis(*(f"fault {fault}" for fault in faults))
    table = Table(
        np.concatenate(runs),
        (*(Tag(name) for name in names), task.targets[0]),
        batch=np.repeat(np.arange(len(runs), dtype=np.int32), [len(run) for run in runs]),
        batch_names=tuple(map(str, range(len(runs)))),
    )
    assert table.batch is not None
    learn = np.asarray(table.batch) < len(faults)
    spec = WindowSpec(inputs=names, targets=("fault",), lookback=20)
    scaler, _ = fit_scalers(table, spec, rows=learn)
    train, test = (build_windows(table, spec, part=mask).scaled(scaler) for mask in (learn, ~learn))
    fitted = fit_baselines(task, train, None, names=["lda"])
    frame = baseline_frame(fitted, task, {"test": test})
    score = metrics.get("balanced_accuracy")(read_sample(frame, classes=task.target.classes))
    assert score > known - 0.003


def test_all_baselines_together_are_quick() -> None:
    """On 5,000 windows of 60 rows and 7 tags (processor time, since the machine may be busy)."""
    parts = windows_of(lagged_table(8400, tags=7), lookback=60)
    assert len(parts["train"]) >= 4900
    begin = time.process_time()
    fit_baselines(SENSOR, parts["train"], parts["validation"])
    assert time.process_time() - begin < 20


def test_a_baseline_of_another_kind_is_refused_by_name() -> None:
    table, plan = small_task("fault_diagnosis")
    found = prepare(reading(table), plan)
    with pytest.raises(
        PlanError,
        match=r"baseline 'mean' answers another kind of question than the task "
        r"fault_diagnosis\. Take one of: majority, lda",
    ):
        fit_baselines(found.task, found.train, found.validation, names=["mean"])
