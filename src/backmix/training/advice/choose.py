"""What to choose when the user has not chosen.

This module holds the rules of thumb for cell, size, dropout, batch size and summaries as data, a
table each, and the functions that read them. Every answer is a `Decision` with its reason, and the
reason says that a rule of thumb is one: the rules are starting points that a run with other
settings can beat, never findings about the plant at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from backmix.decision import Decision
from backmix.models.architecture import Architecture
from backmix.models.body.fast_path import leaves_fast_path
from backmix.models.heads import Kind, heads
from backmix.models.network import ModelPlan
from backmix.models.shape.network_shape import FEEDBACK, STEPPED
from backmix.models.shape.size import parameters
from backmix.training.sections.settings import choose_learning_rate

__all__ = [
    "Advice",
    "Budget",
    "Situation",
    "advise",
    "choose_batch_size",
    "choose_blocks",
    "choose_cell",
    "choose_decoder",
    "choose_dropout",
    "choose_head_dropout",
    "choose_learning_rate",
    "choose_noise",
    "choose_summaries",
    "choose_teacher_forcing",
    "choose_units",
]

Budget = Literal["tight", "ample"]
"""Computing time: a laptop's processor, or patience and a GPU."""

ANY = float("inf")


@dataclass(frozen=True)
class CellRule:
    """A branch of the decision tree; it holds when both numbers lie below its bounds, in a budget."""

    cell: str
    reason_key: str
    rows_below: float = ANY
    samples_below: float = ANY
    budget: Budget | None = None


FEW = 1000
"""Training windows below which a network is a small GRU whatever the length."""
SHORT, LONG = 20, 100
"""Rows below which a window is short, and above which it is long."""

CELL_TREE = (
    CellRule("gru", "advice.cell_few", samples_below=FEW),
    CellRule("gru", "advice.cell_short", rows_below=SHORT),
    CellRule("gru", "advice.cell_middle", rows_below=LONG + 1),
    CellRule("gru", "advice.cell_tight", budget="tight"),
    CellRule("lstm", "advice.cell_long"),
)
"""The decision tree; the first branch that holds gives the answer."""


@dataclass(frozen=True)
class UnitsRule:
    """Units per layer for windows of fewer rows than ``rows_below``."""

    rows_below: float
    units: tuple[int, ...]


UNITS_BY_ROWS = (UnitsRule(20, (48,)), UnitsRule(50, (64,)), UnitsRule(101, (128, 64)), UnitsRule(ANY, (128, 64)))
"""By length of the window: a longer one has more to remember."""


@dataclass(frozen=True)
class SamplesRule:
    """The widest layer, and the number of layers, that fewer windows than ``samples_below`` can teach."""

    samples_below: float
    widest: int
    layers: int


SIZE_BY_SAMPLES = (
    SamplesRule(300, 16, 1),
    SamplesRule(2_000, 32, 1),
    SamplesRule(20_000, 48, 1),
    SamplesRule(100_000, 64, 2),
    SamplesRule(ANY, 128, 2),
)
"""By number of training windows. Neighbouring windows overlap, so a thousand of them hold much
less than a thousand independent examples."""


@dataclass(frozen=True)
class RateRule:
    """A rate where training windows are fewer than ``ratio`` times the parameters."""

    ratio: float
    rate: float
    reason_key: str


DROPOUT_OF_CLASSES = (
    RateRule(0.5, 0.3, "advice.dropout_few"),
    RateRule(2.0, 0.1, "advice.dropout_many"),
    RateRule(ANY, 0.0, "advice.dropout_none"),
)
"""Dropout on the inputs of recurrent layers, for classes; none for a number. On validation parts
(benchmarks/LOG.md) it raised the accuracy on Tennessee Eastman faults 13 to 20 from 82 to 85 %, and
the error of the debutanizer with past values from 0.33 to 0.38 at 0.1 and 0.51 at 0.3. A class
shows in many tags, a number often hangs on one."""
HEAD_DROPOUT = 0.3

BATCH_BY_ROWS = ((50, 64), (100, 32), (ANY, 16))
"""Batch size for windows of at most so many rows."""
LEAST_STEPS = 20
"""An epoch should have at least this many steps, so that a small table is not seen in a few gulps."""
LARGE, LARGE_BATCH = 100_000, 256
"""From this many windows on, larger batches: the time of an epoch counts more."""


@dataclass(frozen=True)
class Situation:
    """What the advice looks at.

    features: F; lookback: T in rows, None for whole batches of ``rows`` rows at most
    samples: training windows; head, outputs: as the task says; masked: windows are padded
    answer, horizon, future: as in `Architecture`
    shape: what the task itself wishes where the plan says "auto": decoder, noise, teacher_forcing, dropout
    """

    features: int
    lookback: int | None
    samples: int
    head: str = "number"
    outputs: int = 1
    masked: bool = False
    rows: int | None = None
    budget: Budget = "tight"
    answer: str = "row"
    horizon: int = 1
    future: int = 0
    shape: Mapping[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Rows of the longest window."""
        return self.lookback or self.rows or LONG


@dataclass(frozen=True)
class Advice:
    """An architecture with nothing left open, and the reason for everything that was."""

    architecture: Architecture
    decisions: tuple[Decision, ...]


def advise(plan: ModelPlan, situation: Situation) -> Advice:
    """Put the advice in the place of every "auto" of a ``[model]`` section.

    >>> from backmix.models import ModelPlan
    >>> advice = advise(ModelPlan(), Situation(features=7, lookback=20, samples=800))
    >>> advice.architecture.cell, advice.architecture.units
    ('gru', (32,))
    >>> [decision.setting for decision in advice.decisions][:3]
    ['model.cell', 'model.units', 'model.summaries']

    Raises PlanError (models.too_large) when what the plan asks for is beyond all bounds, and
    (forms.*) when it asks for things that do not go together.
    """
    s, decisions = situation, []

    def take(asked: Any, decision: Decision) -> Any:
        if asked != "auto":
            return asked
        decisions.append(decision)
        return decision.value

    if plan.body == "recurrent":
        cell = take(plan.cell, choose_cell(s.length, s.samples, s.budget))
        units = take(plan.units, choose_units(s.length, s.samples))
    else:
        cell = "gru" if plan.cell == "auto" else plan.cell  # of the decoder, if there is one
        units = take(plan.units, choose_blocks(s.length, s.samples, plan.attention_heads))
    kind = heads.get(s.head).kind
    decoder = "none" if plan.decoder == "auto" else plan.decoder
    if s.answer in STEPPED:
        decoder = take(plan.decoder, choose_decoder(s.shape.get("decoder", "none"), plan.body))
    teacher_forcing = 0.0 if plan.teacher_forcing == "auto" else plan.teacher_forcing
    if decoder in FEEDBACK:
        teacher_forcing = take(plan.teacher_forcing, choose_teacher_forcing(s.shape.get("teacher_forcing", 0.0)))
    at_once = s.answer == "row" or decoder == "repeat" or (s.answer == "path" and decoder == "none")
    summaries = take(plan.summaries, choose_summaries(kind, at_once=at_once))
    head_dropout = take(plan.head_dropout, choose_head_dropout(kind, summaries=summaries))
    shape = Architecture(
        features=s.features,
        lookback=s.lookback,
        cell=cell,
        units=units,
        dense=plan.dense,
        head=s.head,
        outputs=s.outputs,
        masked=s.masked,
        summaries=summaries,
        skip=plan.skip,
        head_dropout=head_dropout,
        recurrent_dropout=plan.recurrent_dropout,
        activation="tanh" if plan.activation == "auto" else plan.activation,
        recurrent_activation=plan.recurrent_activation,
        dense_activation=plan.dense_activation,
        initializer=plan.initializer,
        reset_after=plan.reset_after,
        bidirectional=plan.bidirectional,
        layer_norm=plan.layer_norm,
        residual=plan.residual,
        attention=plan.attention,
        body=plan.body,
        attention_heads=plan.attention_heads,
        answer=s.answer,
        horizon=s.horizon,
        future=s.future,
        decoder=decoder,
        teacher_forcing=teacher_forcing,
    )
    noise = take(plan.noise, choose_noise(s.shape.get("noise", 0.0)))
    wished = s.shape.get("dropout")
    dropout = take(
        plan.dropout,
        choose_dropout(s.samples, parameters(shape), kind=kind)
        if wished is None
        else Decision(wished, "course.dropout_wished", setting="model.dropout"),
    )
    shape = replace(shape, dropout=dropout, noise=noise)
    return Advice(shape, (*decisions, *leaves_fast_path(shape)))


def choose_cell(lookback: int, samples: int, budget: Budget = "tight") -> Decision:
    """The cell for windows of ``lookback`` rows, ``samples`` of them, in a budget of time.

    >>> choose_cell(30, 5000).value
    'gru'
    >>> choose_cell(240, 50_000, "ample").value
    'lstm'
    """
    for rule in CELL_TREE:
        if lookback < rule.rows_below and samples < rule.samples_below and rule.budget in (None, budget):
            values = {"rows": lookback, "samples": samples, "few": FEW, "short": SHORT, "long": LONG}
            return Decision(rule.cell, rule.reason_key, values, "model.cell")
    raise AssertionError("the last branch of the tree always holds")


def choose_units(lookback: int, samples: int) -> Decision:
    """Units of each recurrent layer: what the length asks for, held to what the samples can teach.

    >>> choose_units(60, 500).value, choose_units(60, 500_000).value
    ((32,), (128, 64))
    """
    asked = next(rule.units for rule in UNITS_BY_ROWS if lookback < rule.rows_below)
    limit = next(rule for rule in SIZE_BY_SAMPLES if samples < rule.samples_below)
    units = tuple(min(size, limit.widest) for size in asked[: limit.layers])
    key = "advice.units_rows" if units == asked else "advice.units_samples"
    values = {"rows": lookback, "samples": samples, "asked": _spell(asked), "units": _spell(units)}
    return Decision(units, key, values, "model.units")


def choose_blocks(lookback: int, samples: int, heads: int) -> Decision:
    """The width of a Transformer, once per block: as wide as a recurrent layer would be.

    >>> choose_blocks(60, 500, 4).value, choose_blocks(60, 500_000, 4).value
    ((32,), (128, 128))
    """
    units = choose_units(lookback, samples).value
    width = max(heads, units[0] // heads * heads)
    values = {"rows": lookback, "samples": samples, "width": width, "blocks": len(units)}
    return Decision((width,) * len(units), "forms.units_transformer", values, "model.units")


def choose_dropout(samples: int, parameters: int, *, kind: Kind = "classes") -> Decision:
    """Dropout on the inputs of recurrent layers, from windows and trainable numbers.

    >>> choose_dropout(800, 5000).value, choose_dropout(50_000, 5000).value
    (0.3, 0.0)
    >>> choose_dropout(800, 5000, kind="regression").value
    0.0
    """
    values = {"samples": samples, "parameters": parameters}
    if kind == "regression":
        return Decision(0.0, "advice.dropout_number", values, "model.dropout")
    rule = next(rule for rule in DROPOUT_OF_CLASSES if samples < rule.ratio * parameters)
    return Decision(rule.rate, rule.reason_key, values, "model.dropout")


def choose_head_dropout(kind: Kind, *, summaries: bool) -> Decision:
    """Dropout before the head: for classes with summaries, whose many columns are easy to learn by heart.

    >>> choose_head_dropout("classes", summaries=True).value
    0.3
    """
    if kind != "regression" and summaries:
        return Decision(HEAD_DROPOUT, "advice.head_dropout_summaries", {}, "model.head_dropout")
    return Decision(0.0, "advice.head_dropout_none", {}, "model.head_dropout")


def choose_summaries(kind: Kind, *, at_once: bool = True) -> Decision:
    """Whether window statistics stand beside the last state; at_once: whether the head has a place for them.

    >>> choose_summaries("classes").value, choose_summaries("regression").value
    (True, False)
    >>> choose_summaries("classes", at_once=False).value
    False
    """
    if not at_once:
        return Decision(False, "forms.summaries_steps", {}, "model.summaries")
    if kind == "regression":
        return Decision(False, "advice.summaries_number", {}, "model.summaries")
    return Decision(True, "advice.summaries_class", {}, "model.summaries")


def choose_decoder(wish: str, body: str = "recurrent") -> Decision:
    """What gives the steps of a path or a window: what the task wishes for, "none" without a wish.

    >>> choose_decoder("states").value, choose_decoder("states", "transformer").value
    ('states', 'attention')
    """
    if wish == "states" and body == "transformer":
        return Decision("attention", "forms.decoder_looks", {}, "model.decoder")
    key = "forms.decoder_none" if wish == "none" else "forms.decoder_task"
    return Decision(wish, key, {"decoder": wish}, "model.decoder")


def choose_noise(wish: float) -> Decision:
    """Standard deviations added to the inputs in training: what the task wishes for.

    >>> choose_noise(0.0).value
    0.0
    """
    key = "forms.noise_task" if wish else "forms.noise_none"
    return Decision(float(wish), key, {"noise": wish}, "model.noise")


def choose_teacher_forcing(wish: float) -> Decision:
    """Share of training steps in which a decoder sees the true value before: what the task wishes for.

    >>> choose_teacher_forcing(0.5).value
    0.5
    """
    key = "forms.teacher_task" if wish else "forms.teacher_none"
    return Decision(float(wish), key, {"share": wish}, "model.teacher_forcing")


def choose_batch_size(lookback: int, *, samples: int | None = None) -> Decision:
    """How many windows share one step of the optimiser.

    >>> [choose_batch_size(rows).value for rows in (30, 80, 200)]
    [64, 32, 16]
    >>> choose_batch_size(30, samples=200).value
    8
    """
    size = next(size for rows, size in BATCH_BY_ROWS if lookback <= rows)
    values = {"rows": lookback, "usual": size, "samples": samples, "steps": LEAST_STEPS, "large": LARGE}
    if samples is not None and samples >= LARGE:
        return Decision(LARGE_BATCH, "advice.batch_large", values, "training.batch_size")
    if samples is not None and samples < LEAST_STEPS * size:
        while size > 8 and samples < LEAST_STEPS * size:
            size //= 2
        return Decision(size, "advice.batch_few", values, "training.batch_size")
    return Decision(size, "advice.batch_rows", values, "training.batch_size")


def _spell(units: tuple[int, ...]) -> str:
    return "-".join(map(str, units))
