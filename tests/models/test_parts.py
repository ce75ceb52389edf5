"""Parts beside a network: equal to scikit-learn's own models, and closed to arrays that could do harm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, HistGradientBoostingRegressor

from backmix.models.members.member import Member, forest
from backmix.models.members.views import aligned, named
from backmix.simple.boosting import member_of

GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(300, 4, 3)).astype(np.float32)
FLAT = X.reshape(300, 12)
Y = FLAT[:, :2] @ np.array([[1.0, 2.0], [-1.0, 0.5]]) + FLAT[:, 2:4] ** 2


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_forest_of_numbers_says_what_its_trees_say(outputs: int) -> None:
    y = Y[:, 0] if outputs == 1 else Y
    model = ExtraTreesRegressor(7, min_samples_leaf=3, random_state=0).fit(FLAT, y)
    part = forest(model.estimators_, view="lags", name="forest", outputs=outputs)
    part.check(steps=4, features=3, outputs=outputs)
    np.testing.assert_allclose(part.outputs(X), model.predict(FLAT).reshape(300, outputs), rtol=1e-5, atol=1e-5)


def test_a_forest_of_classes_leaves_room_for_those_it_never_saw() -> None:
    codes = np.where(FLAT[:, 0] > 0, 2, 0)
    model = ExtraTreesClassifier(7, random_state=0, class_weight="balanced").fit(FLAT, codes)
    part = forest(model.estimators_, view="lags", name="forest", outputs=4, columns=model.classes_)
    found = part.outputs(X)
    np.testing.assert_allclose(found[:, [0, 2]], model.predict_proba(FLAT), atol=1e-6)
    assert not found[:, [1, 3]].any()


def test_boosted_trees_add_up_to_what_scikit_learn_says() -> None:
    models = [
        HistGradientBoostingRegressor(max_iter=count, max_leaf_nodes=7, random_state=0).fit(FLAT, Y[:, k])
        for k, count in enumerate((5, 11))
    ]
    part = replace(member_of(models, Y.mean(axis=0)), view="lags")
    part.check(steps=4, features=3, outputs=2)
    truth = np.column_stack([model.predict(FLAT) for model in models])
    np.testing.assert_allclose(part.outputs(X), truth, rtol=1e-5, atol=1e-5)


def test_values_on_a_threshold_go_the_way_they_went_in_training() -> None:
    """Thresholds are float64, values float32: between the two nearest values a threshold must not move past one."""
    steps = np.linspace(0, 1, 300, dtype=np.float32)
    x = np.zeros((300, 1, 1), np.float32)
    x[:, 0, 0] = steps
    model = ExtraTreesRegressor(20, random_state=0).fit(steps[:, None], np.arange(300.0))
    part = forest(model.estimators_, view="lags", name="forest", outputs=1)
    exact = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in model.estimators_])
    near = exact.astype(np.float32)
    for away in (-np.inf, np.inf, None):
        asked = near if away is None else np.nextafter(near, np.float32(away))
        said = part.outputs(np.ascontiguousarray(asked[:, None, None]))
        np.testing.assert_allclose(said[:, 0], model.predict(asked[:, None]), rtol=1e-5)


@pytest.mark.parametrize(("activation", "outputs"), [("linear", 2), ("sigmoid", 1), ("softmax", 3)])
def test_a_linear_part_is_an_affine_map_and_its_activation(activation: Any, outputs: int) -> None:
    kernel, bias = GENERATOR.normal(size=(12, outputs)), GENERATOR.normal(size=outputs)
    part = Member("ridge", "lags", "linear", {"kernel": kernel, "bias": bias}, activation)
    part.check(steps=4, features=3, outputs=outputs)
    raw = FLAT @ kernel + bias
    wanted = {
        "linear": raw,
        "sigmoid": 1 / (1 + np.exp(-raw)),
        "softmax": np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True),
    }[activation]
    np.testing.assert_allclose(part.outputs(X), wanted, rtol=1e-6, atol=1e-7)


def test_a_perceptron_is_one_layer_of_rectified_units() -> None:
    kernel, bias = GENERATOR.normal(size=(12, 5)).astype(np.float32), GENERATOR.normal(size=5).astype(np.float32)
    head, level = GENERATOR.normal(size=(5, 2)), GENERATOR.normal(size=2)
    part = Member("feed_forward", "lags", "perceptron", {"kernel": kernel, "bias": bias, "head": head, "level": level})
    part.check(steps=4, features=3, outputs=2)
    wanted = np.maximum(FLAT @ kernel + bias, 0) @ head + level
    np.testing.assert_allclose(part.outputs(X), wanted, rtol=1e-4, atol=1e-5)
    assert (FLAT @ kernel + bias < 0).any()
    wrong: dict[str, Any]
    for wrong in (
        {"kernel": kernel[:-1]},
        {"bias": bias[:-1]},
        {"head": head * np.nan},
        {"level": np.zeros(3)},
        {"kernel": kernel.astype(np.float64)},
        {"more": level},
    ):
        with pytest.raises(ValueError, match="feed_forward"):
            replace(part, arrays={**part.arrays, **wrong}).check(steps=4, features=3, outputs=2)
    nothing = {"kernel": kernel[:, :0], "bias": bias[:0], "head": head[:0], "level": level}
    with pytest.raises(ValueError, match="feed_forward"):
        replace(part, arrays=nothing).check(steps=4, features=3, outputs=2)


def test_the_newest_row_is_the_last_real_one() -> None:
    view, lengths = named("last"), np.array([1, 2, 4])
    assert view.width(None, 3) == 3
    np.testing.assert_array_equal(view.rows(X[:3], np.arange(4) < lengths[:, None]), X[np.arange(3), lengths - 1])
    np.testing.assert_array_equal(view.rows(X[:3], None), X[:3, -1])


def _grown() -> Member:
    model = ExtraTreesRegressor(2, min_samples_leaf=40, random_state=0).fit(FLAT, Y[:, 0])
    return forest(model.estimators_, view="lags", name="forest", outputs=1)


def _with(role: str, at: int, value: float) -> dict[str, Any]:
    arrays = dict(_grown().arrays)
    arrays[role] = arrays[role].copy()
    arrays[role].flat[at] = value
    return arrays


@pytest.mark.parametrize(
    "arrays",
    [
        _with("left", 0, 0),
        _with("left", 0, -1),
        _with("right", 0, 10_000),
        _with("feature", 0, 12),
        _with("roots", 0, -1),
        _with("roots", 1, 10_000),
        _with("value", 0, np.nan),
        _with("threshold", 0, np.nan),
        {**_grown().arrays, "value": np.zeros((3, 2), np.float32)},
        {**_grown().arrays, "more": np.zeros(1)},
        {role: array for role, array in _grown().arrays.items() if role != "left"},
        {**_grown().arrays, "left": _grown().arrays["left"].astype(np.int64)},
    ],
    ids=[
        "loop",
        "before",
        "beyond",
        "feature",
        "root",
        "far root",
        "value",
        "threshold",
        "width",
        "role",
        "missing",
        "type",
    ],
)
def test_arrays_that_no_training_left_are_refused(arrays: dict[str, Any]) -> None:
    _grown().check(steps=4, features=3, outputs=1)
    with pytest.raises((ValueError, KeyError)):
        replace(_grown(), arrays=arrays).check(steps=4, features=3, outputs=1)


def test_a_kernel_of_another_shape_is_refused() -> None:
    part = Member("ridge", "lags", "linear", {"kernel": np.zeros((12, 1)), "bias": np.zeros(1)})
    part.check(steps=4, features=3, outputs=1)
    for wrong in ({"steps": 5, "features": 3, "outputs": 1}, {"steps": 4, "features": 3, "outputs": 2}):
        with pytest.raises(ValueError, match="ridge"):
            part.check(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("view", "features"), [("+".join(["lags"] * 4), 3), ("products", 1000)])
def test_a_view_that_would_fill_the_memory_is_refused(view: str, features: int) -> None:
    with pytest.raises(ValueError, match=view.split("+")[0]):
        replace(_grown(), view=view).check(steps=4, features=features, outputs=1)


def test_a_part_by_stages_takes_the_model_of_the_stage_and_another_one_behind_the_end() -> None:
    kernel, bias = GENERATOR.normal(size=(4, 1, 12, 1))[:, 0], np.zeros((4, 1))
    part = Member("pls_evolving", "lags", "staged", {"ends": np.array([1.0, 3.0]), "kernel": kernel, "bias": bias})
    part.check(steps=4, features=3, outputs=1)
    lengths, ended = np.array([1, 2, 3, 4, 4]), np.array([False, False, False, False, True])
    mask = np.arange(4) < lengths[:, None]
    shown = aligned(X[:5], mask).reshape(5, -1)  # lags are counted back from the newest real row
    wanted = [shown[row] @ kernel[stage] for row, stage in enumerate((0, 1, 1, 2, 3))]
    np.testing.assert_allclose(part.outputs(X[:5], mask, ended), wanted, rtol=1e-6)
    np.testing.assert_allclose(part.outputs(X[:5], mask)[4], FLAT[4] @ kernel[2], rtol=1e-6)
    with pytest.raises(ValueError, match="pls_evolving"):
        replace(part, arrays={**part.arrays, "ends": np.array([1.0])}).check(steps=4, features=3, outputs=1)
