"""The forms of networks that tests share, built and compiled once each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from backmix.models import Architecture, build
from backmix.models.weights import put_weights, take_weights

B, T, F, K = 4, 6, 3, 4
LENGTHS = np.array([6, 4, 2, 1])
MASK = np.arange(T) < LENGTHS[:, None]
PLAIN: dict[str, Any] = {
    "features": F,
    "lookback": T,
    "units": (5,),
    "masked": True,
    "head": "numbers",
    "outputs": 2,
    "dense_activation": "tanh",
}  # a relu may be dead, and then nothing counts

FORMS = {
    name: Architecture(**{**PLAIN, **fields})
    for name, fields in {
        "both ways": {"bidirectional": True, "cell": "lstm", "units": (4, 3), "dropout": 0.1},
        "dressed": {"layer_norm": True, "residual": True, "units": (4, 3), "noise": 0.1},
        "all at once": {
            "bidirectional": True,
            "layer_norm": True,
            "residual": True,
            "attention": True,
            "summaries": True,
            "cell": "simple_rnn",
            "units": (3, 3),
            "dense": (4,),
        },
        "attention": {"attention": True, "cell": "lstm"},
        "skip": {"skip": True, "summaries": True},
        "transformer": {"body": "transformer", "units": (8, 8), "dropout": 0.1, "head": "classes", "outputs": 3},
        "every": {"answer": "every", "units": (4, 4), "residual": True, "head": "classes", "outputs": 3},
        "every transformer": {"answer": "every", "body": "transformer", "units": (6,), "attention_heads": 2},
        "direct": {"answer": "path", "horizon": K, "future": 2, "dense": (4,)},
        "direct classes": {"answer": "path", "horizon": K, "head": "classes", "outputs": 3},
        "repeat": {"answer": "path", "horizon": K, "future": 2, "decoder": "repeat", "attention": True, "dense": (4,)},
        "states": {
            "answer": "path",
            "horizon": K,
            "future": 2,
            "decoder": "states",
            "cell": "lstm",
            "dense": (4,),
            "teacher_forcing": 0.5,
            "head_dropout": 0.1,
        },
        "looking": {
            "answer": "path",
            "horizon": K,
            "decoder": "attention",
            "bidirectional": True,
            "future": 1,
            "reset_after": False,
        },
        "looking transformer": {
            "answer": "path",
            "horizon": K,
            "decoder": "attention",
            "body": "transformer",
            "units": (4,),
            "cell": "simple_rnn",
        },
        "window": {"answer": "window", "outputs": F, "bidirectional": True, "noise": 0.2},
        "window repeat": {"answer": "window", "outputs": F, "decoder": "repeat", "cell": "lstm"},
        "window states": {
            "answer": "window",
            "outputs": F,
            "decoder": "states",
            "teacher_forcing": 0.3,
            "layer_norm": True,
            "residual": True,
        },
    }.items()
}
PATHS = [name for name, a in FORMS.items() if a.answer == "path"]
FEEDING_BACK = [name for name, a in FORMS.items() if a.feedback]


def inputs(a: Architecture, seed: int = 0) -> dict[str, Any]:
    """Random inputs of every name that the network takes."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    found: dict[str, Any] = {"x": draw(B, T, a.features)}
    if a.masked:
        found["mask"] = MASK
    if a.future:
        found["future"] = draw(B, a.horizon, a.future)
    if a.teacher_forcing:
        found["teacher"] = draw(B, a.horizon if a.answer == "path" else T, a.outputs)
    return found


def shape_of(a: Architecture) -> tuple[int, ...]:
    """The shape of a batch of answers."""
    match a.answer:
        case "row":
            return (B, a.outputs)
        case "path":
            return (B, a.horizon * a.outputs)
        case _:
            return (B, T, a.outputs)


@dataclass(frozen=True, eq=False)
class Made:
    """A built network with random weights, compiled for prediction and for training."""

    architecture: Architecture
    model: Any
    weights: Mapping[str, Any]
    _call: Any

    def __call__(self, given: Mapping[str, Any], *, training: bool = False) -> Any:
        """Answers to inputs; of a training step with the model's own first draws."""
        return np.asarray(self._call(self.values, self.fixed, dict(given), training))

    @property
    def values(self) -> list[Any]:
        return [v.value for v in self.model.trainable_variables]

    @property
    def fixed(self) -> list[Any]:
        return [v.value for v in self.model.non_trainable_variables]


def make(a: Architecture) -> Made:
    """Build an architecture and give it weights that are nowhere zero."""
    import jax

    model = build(a, seed=1)
    rng = np.random.default_rng(5)
    weights = {
        name: (0.4 * rng.normal(size=array.shape)).astype(np.float32)
        for name, array in sorted(take_weights(model).items())
    }
    put_weights(model, weights)

    def call(values: Any, fixed: Any, given: Any, training: bool) -> Any:
        return model.stateless_call(values, fixed, given, training=training)[0]

    return Made(a, model, weights, jax.jit(call, static_argnums=3))


@cache
def made(name: str) -> Made:
    """A form of `FORMS` by its name."""
    return make(FORMS[name])


def real(a: Architecture, answers: Any) -> Any:
    """Answers without those to padded rows, which mean nothing."""
    return answers[MASK] if a.masked and a.answer in ("every", "window") else answers
