"""The numbers and names that a network is made of.

This module defines `NetworkShape`, whose every field keeps its own bounds. Which fields go together
(`forms`) and how large the network gets (`size`) is asked of a shape; `models.architecture.Architecture` is
one that has passed both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backmix.errors import PlanError
from backmix.models.cells import ACTIVATIONS, INITIALIZERS, LayerSettings, cells
from backmix.models.heads import MOST_OUTPUTS, heads

MOST_UNITS = 4096
MOST_LAYERS = 16
MOST_FEATURES = 65_536
MOST_ROWS = 1_000_000
MOST_DROPOUT = 0.9
MOST_NOISE = 10.0
"""In standard deviations of an input: beyond this nothing of it is left."""
MOST_HEADS = 64
MOST_MEMBERS = 50
MOST_HORIZON = 10_000
BODIES = ("recurrent", "transformer")
ANSWERS = ("row", "path", "every", "window")
STEPPED = ("path", "window")
"""Answers that a decoder can give."""
FEEDBACK = ("states", "attention")
"""Decoders that are fed their own output of the step before."""
DECODERS = ("none", "repeat", *FEEDBACK)


@dataclass(frozen=True)
class NetworkShape:
    """A network over windows x (B, T, F): a body, perhaps a decoder, and a dense head.

    features: F
    lookback: T in rows; None for windows of any length
    cell: a registered cell, the same in all layers and in the decoder
    units: H of every recurrent layer, from the input on; of a Transformer the width, once per block
    dropout, recurrent_dropout: in every recurrent layer of the body, on x_t and on h_{t-1}; in a
        Transformer ``dropout`` acts on what every block adds
    head_dropout: before every dense layer and before the head
    dense: sizes of the dense layers between the last state (or every row, or step) and the head
    head, outputs: a registered head and its number of outputs O
    masked: the network takes a second input, mask (B, T), true where a row is real (the first rows)
    summaries: statistics of the window stand beside the last state before the head
    skip: every row of the window also goes straight to the head, past everything recurrent
    bidirectional: every recurrent layer runs both ways, 2 H wide
    layer_norm: what every recurrent layer gives is normalised (Ba et al., arXiv 1607.06450)
    residual: what went into a recurrent layer is added to what comes out of it
    attention: a weighted mean of all states stands beside the last one
    body: "recurrent", or "transformer" for causal self-attention
    attention_heads: of the Transformer; they divide its width
    noise: standard deviation of what is added to x in training, in scaled units
    answer: "row" (B, O); "path" K steps ahead, (B, K O), step 1 first; "every" (B, T, O), an output
        at each row from the rows up to it; "window" (B, T, O), the window itself once more
    horizon: K
    future: M inputs known ahead; the network takes them as ``"future"`` (B, K, M)
    decoder: what gives the steps of a path or window, see `models.body.decoders`
    teacher_forcing: share of training steps whose decoder sees the true value before, which the
        network then takes as ``"teacher"`` (B, K, O), or (B, T, O) for a window

    >>> NetworkShape(features=3, units=(32,)).lookback is None
    True
    >>> NetworkShape(features=3, units=(32,), bidirectional=True).width
    64

    Raises PlanError (models.bad_architecture) naming the field that is out of its bounds.
    """

    features: int
    lookback: int | None = None
    cell: str = "gru"
    units: tuple[int, ...] = (32,)
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    head_dropout: float = 0.0
    dense: tuple[int, ...] = ()
    head: str = "number"
    outputs: int = 1
    masked: bool = False
    summaries: bool = False
    skip: bool = False
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    dense_activation: str = "relu"
    initializer: str = "glorot_uniform"
    dense_initializer: str = "he_uniform"
    reset_after: bool = True
    bidirectional: bool = False
    layer_norm: bool = False
    residual: bool = False
    attention: bool = False
    body: str = "recurrent"
    attention_heads: int = 4
    noise: float = 0.0
    answer: str = "row"
    horizon: int = 1
    future: int = 0
    decoder: str = "none"
    teacher_forcing: float = 0.0

    def __post_init__(self) -> None:
        _whole(self, "features", 1, MOST_FEATURES)
        if self.lookback is not None:
            _whole(self, "lookback", 1, MOST_ROWS)
        _whole(self, "outputs", 1, MOST_OUTPUTS)
        _sizes(self, "units", 1)
        _sizes(self, "dense", 0)
        for name in ("dropout", "recurrent_dropout", "head_dropout"):
            _number(self, name, MOST_DROPOUT)
        _number(self, "noise", MOST_NOISE)
        _number(self, "teacher_forcing", 1)
        _whole(self, "attention_heads", 1, MOST_HEADS)
        _whole(self, "horizon", 1, MOST_HORIZON)
        _whole(self, "future", 0, MOST_FEATURES)
        for name in (
            "masked",
            "summaries",
            "skip",
            "reset_after",
            "bidirectional",
            "layer_norm",
            "residual",
            "attention",
        ):
            if not isinstance(getattr(self, name), bool):
                raise _refusal(self, name, "true, false")
        _one_of(self, "cell", cells.names())
        _one_of(self, "head", heads.names())
        for name in ("activation", "recurrent_activation", "dense_activation"):
            _one_of(self, name, ACTIVATIONS)
        for name in ("initializer", "dense_initializer"):
            _one_of(self, name, INITIALIZERS)
        for name, allowed in (("body", BODIES), ("answer", ANSWERS), ("decoder", DECODERS)):
            _one_of(self, name, allowed)
        heads.get(self.head).check(self.outputs)

    @property
    def called(self) -> str:
        """The name of the network in scores: its cell, or "transformer"."""
        return self.cell if self.body == "recurrent" else self.body

    @property
    def width(self) -> int:
        """W of what the body gives at a row: the last layer's units, twice that when it runs both ways."""
        return self.units[-1] * (2 if self.bidirectional else 1)

    def layer_settings(self, **others: Any) -> LayerSettings:
        """The settings that all recurrent layers share, without dropout, and ``others``."""
        return LayerSettings(
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
            initializer=self.initializer,
            reset_after=self.reset_after,
            **others,
        )

    @property
    def feedback(self) -> bool:
        """Whether the decoder is fed its own output of the step before."""
        return self.decoder in FEEDBACK

    @property
    def by_row(self) -> bool:
        """Whether the head is applied to every row of the window."""
        return self.answer == "every" or (self.answer == "window" and self.decoder == "none")


def shortened(value: object) -> str:
    """A value as it may stand in one line of a message, however long or odd it is."""
    if isinstance(value, Mapping):
        return "{...}"
    if isinstance(value, list | tuple):
        inside = ("[...]" if isinstance(v, list | tuple) else shortened(v) for v in value[:6])
        return f"[{', '.join(inside)}]"
    if isinstance(value, int) and abs(value) > 10**15:
        return "a huge number"
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refusal(owner: NetworkShape, name: str, allowed: str) -> PlanError:
    return PlanError("models.bad_architecture", field=name, got=shortened(getattr(owner, name)), allowed=allowed)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _whole(owner: NetworkShape, name: str, least: int, most: int) -> None:
    if not _is_whole(getattr(owner, name), least, most):
        raise _refusal(owner, name, f"{least} ... {most}")


def _sizes(owner: NetworkShape, name: str, least: int) -> None:
    sizes = getattr(owner, name)
    if not (
        isinstance(sizes, tuple)
        and least <= len(sizes) <= MOST_LAYERS
        and all(_is_whole(size, 1, MOST_UNITS) for size in sizes)
    ):
        raise _refusal(owner, name, f"{least} ... {MOST_LAYERS} layers of 1 ... {MOST_UNITS}")


def _number(owner: NetworkShape, name: str, most: float) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _refusal(owner, name, f"0 ... {most}")


def _one_of(owner: NetworkShape, name: str, allowed: Any) -> None:
    value = getattr(owner, name)
    if not isinstance(value, str) or value not in list(allowed):
        raise _refusal(owner, name, ", ".join(allowed))
