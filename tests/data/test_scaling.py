"""Scalers against an independent reference, and against hostile files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from backmix.data import segments
from backmix.data.scaling import Scaler, fit_scaler, scalers
from backmix.errors import BundleError, InputError, PlanError

REFERENCE = {"standard": StandardScaler(), "minmax": MinMaxScaler(), "robust": RobustScaler()}


@pytest.mark.parametrize("kind", sorted(REFERENCE))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling_equals_scikit_learn(kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Course item 18: also across blocks, with holes, in either precision."""
    monkeypatch.setattr(segments, "BLOCK", 64)
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(1000, 5)) * [1, 10, 1e-3, 1e4, 1] + [0, 350, 0, 1e6, -7]).astype(dtype)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[100:300, 2] = np.nan
    rows = rng.random(1000) < 0.7
    scaler = fit_scaler(kind, values, tuple("abcde"), rows=rows)
    reference = REFERENCE[kind].fit(values[rows].astype(np.float64))
    expected = reference.transform(values.astype(np.float64))
    assert np.allclose(scaler.transform(values), expected, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_every_registered_scaling_survives_what_plants_have() -> None:
    """Constant, one value, infinite: a scale is never 0 and never NaN."""
    values = np.array([[5.0, np.nan, np.inf], [5.0, 3.0, 1.0], [5.0, np.nan, 2.0]])
    for kind in scalers.names():
        scaler = fit_scaler(kind, values, ("a", "b", "c"))
        assert (scaler.scale > 0).all()
        assert np.isfinite(scaler.center).all()
        assert scaler.scale[0] == scaler.scale[1] == 1.0
    assert fit_scaler("standard", np.full((99, 1), 0.1), ("a",)).scale[0] == 1.0


def test_columns_of_wider_values_need_no_copy(tmp_path: Path) -> None:
    """A memory-mapped table is scaled by blocks, whatever columns are wanted."""
    rng = np.random.default_rng(0)
    held = rng.normal(size=(300, 6)).astype(np.float32)
    held.tofile(tmp_path / "values.f32")
    mapped = np.memmap(tmp_path / "values.f32", np.float32, mode="r", shape=(300, 6))
    for kind in scalers.names():
        for columns in ((1, 2, 3), (5, 0, 2)):
            one = fit_scaler(kind, mapped, ("a", "b", "c"), columns=columns)
            two = fit_scaler(kind, held[:, columns], ("a", "b", "c"))
            assert one.center.tobytes() == two.center.tobytes()
            assert one.scale.tobytes() == two.scale.tobytes()


def test_shapes_of_any_number_of_axes() -> None:
    """Course item 19: (B, T, F) and (F,) alike; float64 comes back."""
    scaler = Scaler("standard", ("a", "b"), np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    x = np.ones((3, 4, 2), np.float32)
    assert scaler.transform(x).dtype == np.float64
    assert scaler.transform(x)[0, 0].tolist() == [0.0, -0.25]
    assert np.array_equal(scaler.inverse(scaler.transform(x)), x)


def test_unknown_kind() -> None:
    """The nearest name is offered."""
    with pytest.raises(PlanError, match="Did you mean 'standard'"):
        fit_scaler("standart", np.ones((2, 1)), ("a",))


def test_values_too_large_to_scale() -> None:
    """A scale of infinity would turn every input into 0."""
    with pytest.raises(InputError) as caught:
        fit_scaler("standard", np.array([[1e300], [-1e300]]), ("T101",))
    assert str(caught.value) == (
        "tag 'T101' has values too large to scale. Set its limits (low, high), so that wild values count as bad"
    )


GOOD = {"kind": "standard", "names": ["a", "b"], "center": [1.0, 2.0], "scale": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": 3}, "kind"),
        ({"names": "ab"}, "names"),
        ({"names": []}, "center"),
        ({"names": ["a", 1]}, "names"),
        ({"center": [1.0]}, "center"),
        ({"center": [1.0, "2"]}, "center"),
        ({"center": [1.0, float("nan")]}, "center"),
        ({"center": [1.0, True]}, "center"),
        ({"scale": [1.0, 0.0]}, "scale"),
        ({"scale": [1.0, -1.0]}, "scale"),
        ({"scale": [1.0, float("inf")]}, "scale"),
        ({"more": 1}, "kind, names, center, scale"),
        ({"scale": [1.0, 10**400]}, "scale"),
    ],
)
def test_row_36_a_hostile_scaler_is_refused(change: dict[str, object], fault: str) -> None:
    """Course item 21: what is read back is checked value by value, and nothing is executed."""
    with pytest.raises(BundleError) as caught:
        Scaler.from_dict(GOOD | change)
    assert caught.value.exit_code == 6
    message = f"the stored scaler is damaged: {fault}. Save the model again with this release"
    assert str(caught.value) == message


def test_a_scaler_comes_back_to_the_last_bit() -> None:
    """Course item 21: saved with the model."""
    scaler = Scaler("standard", ("a", "b"), np.array([np.pi, 1e-300]), np.array([1 / 3, 1e300]))
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert again.center.tobytes() == scaler.center.tobytes()
    assert again.scale.tobytes() == scaler.scale.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        again.center[0] = 0.0
    with pytest.raises(BundleError):
        Scaler.from_dict([])
