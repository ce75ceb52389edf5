"""The form of a window: how far back, how far ahead, how late.

This module defines `WindowPlan`, the ``[windows]`` section of a plan in time or rows, and
`WindowSpec`, the same in rows of one table. They say what a window holds, not where windows lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import model_validator

from backmix.data.repairing.filled import missing_name
from backmix.data.segments import allowed_gap
from backmix.data.table import Table
from backmix.data.tag import reported_name
from backmix.duration import Duration, DurationField
from backmix.errors import PlanError
from backmix.section import PlanSection
from backmix.text import say


class WindowPlan(PlanSection):
    """``[windows]``: the form of the windows, in time or rows.

    lookback: how far back a window reaches; "auto" lets the task or the training part decide; "batch"
        makes one window of each whole batch; "elapsed" reaches back to the start of the batch
    horizon: how far ahead of the moment of prediction the target lies
    stride: distance between neighbouring windows in training and scoring; a prediction is made at
        every row
    dead_time: age of the newest input that is known at the moment of prediction
    missing: whether windows show beside each input whether its value was measured (0) or filled (1)
    short: "pad" also makes windows at the beginning of a batch or unit, where less than the lookback has passed:
        the rows that are missing are masked; "drop" makes none there; "auto" pads where the task wants an answer
        for every batch or unit
    """

    lookback: DurationField | Literal["auto", "batch", "elapsed"] = "auto"
    horizon: DurationField = Duration.parse(0)
    stride: DurationField = Duration.parse(1)
    dead_time: DurationField = Duration.parse(0)
    missing: bool = False
    short: Literal["auto", "pad", "drop"] = "auto"

    @model_validator(mode="after")
    def _sound(self) -> WindowPlan:
        for name in ("lookback", "stride"):
            value = getattr(self, name)
            if isinstance(value, Duration) and value.empty:
                raise ValueError(say("windows.plan_zero", name=name))
        if self.lookback in ("batch", "elapsed"):
            fixed = (("horizon", 0), ("stride", 1), ("dead_time", 0))
            for name, usual in fixed if self.lookback == "batch" else (fixed[0], fixed[2]):
                if getattr(self, name).count != usual:
                    raise ValueError(say("windows.plan_whole_batch", name=name))
        return self


@dataclass(frozen=True)
class Known:
    """Past target values that a window shows: those that were reported by then.

    delay: age in rows of the newest one; 0 only where every answer lies ahead of the moment of
        prediction; between labels the last reported value is held
    count: how many rows of the window, the newest, show one; None for all
    report: for each target, the column of its report times (see `data.reported`): a row then shows the
        newest sample that was reported by its time, and ``delay`` only says how late reports may be
    age: whether log(1 + rows since that sample) is shown as well, unscaled
    """

    delay: int
    count: int | None = None
    report: tuple[str, ...] | None = None
    age: bool = False

    def __post_init__(self) -> None:
        if self.report is not None:
            object.__setattr__(self, "report", tuple(self.report))
        if self.delay < 0 or (self.count is not None and self.count < 1):
            raise PlanError("windows.known_now", delay=self.delay, count=self.count)

    @property
    def offset(self) -> int:
        """Rows from the row that shows a value to the row at which `Windows.reported` is looked up."""
        return 0 if self.report is not None else self.delay


Answer = Literal["row", "path", "every", "window"]
"""What a window asks of a network: the targets on one row (``horizon`` ahead), on each of the next
``horizon`` rows, on every row of the window, or the window's own inputs again."""


Relative = Literal["none", "answers", "window"]
"""Whether answers are given relative to the newest known value of their target, or known past values too."""


@dataclass(frozen=True)
class WindowSpec:
    """The form of a window, in rows.

    targets: the tags that a network learns; the task may judge others
    lookback: rows of inputs; None for one whole batch, or with ``growing`` for what has passed of it
    max_gap: seconds between two rows that are still neighbours; None for three steps of the table
    need_target: False to keep windows whose target is not known (yet)
    answer: what the window asks, see `Answer`
    future: inputs whose values on the next ``horizon`` rows are known ahead, as planned moves are
    growing: one window at every row of a batch, from the batch's first row on
    carried: the model's state comes from the first row of the stretch in which the window lies, not from
        rest at the window's own first row; the lookback is then the run-up that a prediction needs
    relative: what is told relative to the newest known target value, see `Relative`
    missing: whether a 0 or 1 per input says that its value was filled; the table must have these columns
        (see `data.repairing.filled`)
    padded: whether there are windows at the beginning of a batch too, where less than the lookback has passed; they
        hold the rows since the batch began and are masked behind them
    seen: how many rows of the lookback, the newest, models look at unless they ask for all (`Windows.entire`); None
        for all
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    lookback: int | None
    horizon: int = 0
    stride: int = 1
    dead_time: int = 0
    known: Known | None = None
    max_gap: float | None = None
    need_target: bool = True
    answer: Answer = "row"
    future: tuple[str, ...] = ()
    growing: bool = False
    carried: bool = False
    relative: Relative = "none"
    missing: bool = False
    padded: bool = False
    seen: int | None = None

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "future"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least in (("lookback", 1), ("horizon", 0), ("stride", 1), ("dead_time", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise PlanError("windows.spec_too_small", name=name, got=value, least=least)
        if self.seen is not None and (
            self.lookback is None or self.carried or self.padded or not 1 <= self.seen <= self.lookback
        ):
            raise PlanError("windows.spec_too_small", name="seen", got=self.seen, least=1)
        if not self.inputs and self.known is None:
            raise PlanError("windows.no_inputs")
        if self.need_target and not self.targets:
            raise PlanError("windows.no_targets")
        others = (self.horizon, 1 if self.growing else self.stride, self.dead_time, self.known)
        if self.lookback is None and others != (0, 1, 0, None):
            raise PlanError("windows.whole_batch_only")
        ahead = self.answer == "path"
        if (ahead or self.future) and not (ahead and self.horizon and self.lookback):
            raise PlanError("windows.path_ahead", horizon=self.horizon)
        if self.relative != "none" and (self.known is None or self.answer not in ("row", "path")):
            raise PlanError("windows.relative_to_nothing", relative=self.relative)
        for name in self.future:
            if name not in self.inputs:
                raise PlanError("windows.future_input", tag=name, names=", ".join(self.inputs))
        if self.carried:
            count = None if self.known is None else self.known.count
            for name, got, wrong in (
                ("lookback", self.lookback, self.lookback is None),
                ("answer", self.answer, self.answer != "row"),
                ("relative", self.relative, self.relative != "none"),
                ("future", self.future, self.future),
                ("past_targets.count", count, count is not None),
            ):
                if wrong:
                    raise PlanError("carried.windows", field=name, got=got)
        if self.padded and not self.pads:
            raise PlanError("windows.pad_form")
        if self.known is not None and self.known.delay == 0 and not self.horizon:
            raise PlanError("windows.known_now", delay=self.known.delay, count=self.known.count)

    @property
    def pads(self) -> bool:
        """Whether windows of this form may be padded: of inputs alone, with one answer each."""
        return (
            self.lookback is not None
            and self.known is None
            and self.answer == "row"
            and not (self.carried or self.growing or self.future)
        )

    @property
    def reach(self) -> int:
        """Rows from the oldest row a window looks at to its target; what a split must purge."""
        if self.lookback is None:
            return 0
        return self.lookback + self.horizon + self.dead_time + (self.known.delay if self.known else 0)

    @property
    def horizons(self) -> tuple[int, ...]:
        """How many rows ahead each answer lies, in order: one, or the whole path."""
        return tuple(range(1, self.horizon + 1)) if self.answer == "path" else (self.horizon,)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The F features in order: inputs, which of them were filled, reported past of targets, its age."""
        known = self.targets if self.known is not None else ()
        aged = known if self.known is not None and self.known.age else ()
        return (*self.columns, *map(reported_name, known), *(f"{name} (age)" for name in aged))

    @property
    def columns(self) -> tuple[str, ...]:
        """The features that are columns of the table: the inputs, and which of them were filled."""
        return (*self.inputs, *(map(missing_name, self.inputs) if self.missing else ()))

    def without_target(self) -> WindowSpec:
        """The same windows for prediction: at every row, whether or not the target is known."""
        return replace(self, need_target=False, stride=1)


def window_spec(
    plan: WindowPlan, table: Table, *, inputs: tuple[str, ...], targets: tuple[str, ...], max_gap: float | None = None
) -> WindowSpec:
    """The plan in rows of this table; lookback "auto" must have been decided before.

    max_gap: seconds; None for three steps of the table, which is then written into the spec.
    """
    assert plan.lookback != "auto"
    lookback = plan.lookback.rows(table.step) if isinstance(plan.lookback, Duration) else None
    step = table.step
    return WindowSpec(
        inputs=inputs,
        targets=targets,
        lookback=lookback,
        horizon=plan.horizon.rows(step),
        stride=plan.stride.rows(step),
        dead_time=plan.dead_time.rows(step),
        max_gap=allowed_gap(table, max_gap),
        growing=plan.lookback == "elapsed",
        missing=plan.missing,
    )
