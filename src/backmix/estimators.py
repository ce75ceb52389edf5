"""Recurrent networks in scikit-learn manners.

This module defines `RecurrentRegressor` and `RecurrentClassifier`, for pipelines and searches. One
sample is one window: X is (B, T, F), or (B, T × F) with ``steps=T`` when a pipeline keeps it flat
(oldest row first, the features of a row together). Cutting a table into windows without leakage is
the work of `backmix.fit`; here the samples are taken as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from backmix.data.scaling import Scaler, fit_scaler
from backmix.data.windows.windows import Windows
from backmix.errors import InputError
from backmix.models.architecture import Architecture
from backmix.models.network import ModelPlan, build
from backmix.models.weights import put_weights, take_weights
from backmix.training.advice.choose import Situation, advise, choose_batch_size
from backmix.training.fitting.fit import fit_network, predict_network
from backmix.training.sections.settings import TrainingPlan, resolve

Units = tuple[int, ...] | Literal["auto"]


class _Recurrent(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: windows from arrays, training, raw outputs."""

    def __init__(
        self,
        *,
        steps: int = 1,
        cell: str = "auto",
        units: Units = "auto",
        dropout: float | Literal["auto"] = "auto",
        learning_rate: float | Literal["auto"] = "auto",
        epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        patience: int = 20,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ) -> None:
        self.steps = steps
        self.cell = cell
        self.units = units
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _windows(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """(B, T, F) from what scikit-learn has checked."""
        if x.ndim == 3:
            return x
        if self.steps < 1 or x.shape[1] % self.steps:
            raise ValueError(str(InputError("estimators.steps", steps=self.steps, columns=x.shape[1])))
        return x.reshape(len(x), self.steps, -1)

    def _train(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        *,
        head: str,
        outputs: int,
        loss: str,
        class_weights: Mapping[int, float] | None = None,
    ) -> None:
        """Fit scaler and network; the last ``validation_fraction`` of the samples stops the training."""
        count, steps, width = x.shape
        holdout = min(max(1, round(self.validation_fraction * count)), count - 1) if count > 1 else 0
        names = tuple(f"x{i + 1}" for i in range(width))
        train = np.arange(count) < count - holdout
        self.scaler_: Scaler = fit_scaler("standard", x[train].reshape(-1, width), names)
        categories = tuple(str(code) for code in range(max(2, outputs))) if head != "number" else ()
        windows = Windows.from_arrays(x, y, names=names, categories=categories).scaled(self.scaler_)
        model = ModelPlan(cell=self.cell, units=self.units, dropout=self.dropout)
        situation = Situation(features=width, lookback=steps, samples=int(train.sum()), head=head, outputs=outputs)
        self.architecture_: Architecture = advise(model, situation).architecture
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        plan = TrainingPlan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            patience=self.patience,
            learning_rate=self.learning_rate,
            seed=seed,
        )
        batch = int(choose_batch_size(steps, samples=int(train.sum())).value)
        settings = resolve(plan, loss=loss, batch_size=batch, lookback=steps, class_weights=class_weights)
        fitted = fit_network(
            self.architecture_, windows.subset(train), windows.subset(~train if holdout else train), settings=settings
        )
        self.history_ = fitted.history
        self.n_iter_ = len(fitted.history["loss"])
        self.weights_ = take_weights(fitted.model)
        self._network = fitted.model

    def _outputs(self, x: ArrayLike) -> NDArray[np.float64]:
        """(B, O) from samples that were never seen."""
        check_is_fitted(self)
        checked = self._windows(validate_data(self, x, reset=False, allow_nd=True, dtype=np.float64))
        if checked.shape[2] != self.architecture_.features or checked.shape[1] != self.architecture_.lookback:
            raise ValueError(
                str(
                    InputError(
                        "estimators.shape",
                        got=checked.shape[1:],
                        wanted=(self.architecture_.lookback, self.architecture_.features),
                    )
                )
            )
        if getattr(self, "_network", None) is None:
            self._network = build(self.architecture_, seed=0)
            put_weights(self._network, self.weights_)
        windows = Windows.from_arrays(checked, names=self.scaler_.names).scaled(self.scaler_)
        return predict_network(self._network, windows).astype(np.float64)

    def __getstate__(self) -> dict[str, Any]:
        """Weights travel as arrays; the network is built again when it is needed."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_network", None)
        return state


class RecurrentRegressor(RegressorMixin, _Recurrent):  # type: ignore[misc]
    """A recurrent network that predicts one number per window.

    steps: T, when X is flat; features are then the columns of X divided by it
    cell, units, dropout, learning_rate, batch_size: "auto" takes the advice of `training.advice`
    epochs, patience: the longest training, and epochs without a better validation loss that end it
    validation_fraction: the last part of the samples, in their order, that stops the training
    random_state: seed of weights and order

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5, 2))
    >>> model = RecurrentRegressor(epochs=5, units=(4,), random_state=0).fit(X, X[:, -1, 0])
    >>> model.predict(X).shape
    (200,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (B, T, F) or (B, T × F) and y (B,)."""
        x, target = validate_data(self, X, y, allow_nd=True, y_numeric=True, dtype=np.float64)
        self.center_, self.scale_ = float(target.mean()), float(target.std()) or 1.0
        self._train(self._windows(x), (target - self.center_) / self.scale_, head="number", outputs=1, loss="mse")
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The predictions (B,) in the unit of y."""
        return self._outputs(X)[:, 0] * self.scale_ + self.center_


class RecurrentClassifier(ClassifierMixin, _Recurrent):  # type: ignore[misc]
    """A recurrent network that names the class of a window; parameters as in `RecurrentRegressor`."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (B, T, F) or (B, T × F) and class labels y (B,)."""
        x, labels = validate_data(self, X, y, allow_nd=True, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(str(InputError("estimators.one_class", found=self.classes_[0])))
        # the samples that stop the training are the last; sorted labels would leave classes out of the rest
        order = check_random_state(0).permutation(len(codes))
        binary = len(self.classes_) == 2
        self._train(
            self._windows(x)[order],
            codes[order].astype(np.float64),
            head="binary" if binary else "classes",
            outputs=1 if binary else len(self.classes_),
            loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        )
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class (B, C)."""
        raw = self._outputs(X)
        return np.hstack([1 - raw, raw]) if raw.shape[1] == 1 else raw

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest class (B,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])
