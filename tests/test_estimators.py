"""The scikit-learn door: its own checks, flat and stacked windows, pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from backmix import RecurrentClassifier, RecurrentRegressor

QUICK = {
    "cell": "simple_rnn",
    "units": (8,),
    "dropout": 0.0,
    "epochs": 15,
    "learning_rate": 0.1,
    "batch_size": 128,
    "random_state": 0,
}
"""A plain cell and one batch per epoch: what these tests cost is compiling, not training."""


@parametrize_with_checks([RecurrentRegressor(**QUICK), RecurrentClassifier(**QUICK)])
def test_scikit_learn_accepts_the_estimators(estimator, check):  # type: ignore[no-untyped-def]
    """No check is excepted; scikit-learn itself skips that of other array libraries unless SCIPY_ARRAY_API is set."""
    check(estimator)


def test_flat_windows_are_the_same_windows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6, 2))
    y = x[:, -1, 0] + x[:, 0, 1]
    stacked = RecurrentRegressor(**QUICK).fit(x, y)
    flat = RecurrentRegressor(steps=6, **QUICK).fit(x.reshape(120, 12), y)
    np.testing.assert_array_equal(stacked.predict(x), flat.predict(x.reshape(120, 12)))


def test_a_pickled_estimator_predicts_the_same() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 4, 2))
    model = RecurrentClassifier(**QUICK).fit(x, np.where(x[:, -1, 0] > 0, "hot", "cold"))
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    np.testing.assert_array_equal(model.predict_proba(x), again.predict_proba(x))


def test_columns_that_are_no_whole_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"X has 7 columns, which is no multiple of steps=3\. Give \(B, T, F\)"):
        RecurrentRegressor(steps=3).fit(np.zeros((20, 7)), np.zeros(20))
