"""What stands between a plant table and the numbers a network sees.

This module defines `Preprocessing`: the tags, repair rules, window form and scalers that were fixed at
training. The very same object turns a table into windows at training, at prediction and inside a
bundle, so that the three cannot differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from backmix.data.ledger import Ledger
from backmix.data.reading.align import align
from backmix.data.reading.reading import Reading
from backmix.data.repairing.filled import with_missing
from backmix.data.repairing.repair import Repair, Repaired
from backmix.data.repairing.resample import resample
from backmix.data.reported import check_reports, report_tag
from backmix.data.scaling import Scaler
from backmix.data.scaling.regimes import Regimes, at_one_level, read_regimes
from backmix.data.states import StateCoding, code_states
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows
from backmix.tasks import Task, tasks


@dataclass(frozen=True)
class Preprocessing:
    """From a table to model inputs and back.

    task: the bound task; its targets carry the units and the classes
    inputs: the input tags in the order of the feature axis; of a tag with states the columns that code them
    repair: the rules learned from the training rows
    spec: the form of the windows, in rows
    scaler, target_scaler: fitted on the training rows; no target scaler for classes
    step: seconds between rows at training; None without a clock
    states: how the inputs with states are coded
    regimes: the operating regimes that inputs are scaled by, row by row; None for one scaling over all rows
    """

    task: Task
    inputs: tuple[Tag, ...]
    repair: Repair
    spec: WindowSpec
    scaler: Scaler
    target_scaler: Scaler | None
    step: float | None
    states: tuple[StateCoding, ...] = ()
    regimes: Regimes | None = None

    @property
    def wanted(self) -> tuple[Tag, ...]:
        """The tags that prediction needs: the inputs, and the target (and its reports) when its past is shown."""
        return (*self.measured, *(self.task.targets if self.spec.known is not None else ()), *self._reports)

    @property
    def measured(self) -> tuple[Tag, ...]:
        """The inputs that a table must bring, as they are measured: those that the task does not compute itself."""
        made = self.task.target.computed
        stated = {column: coding.tag for coding in self.states for column in coding.columns}
        return tuple(dict.fromkeys(stated.get(tag.name, tag) for tag in self.inputs if tag.name not in made))

    @property
    def _reports(self) -> tuple[Tag, ...]:
        known = self.spec.known
        return () if known is None or known.report is None else tuple(report_tag(name) for name in self.spec.targets)

    @property
    def tells_what_is_judged(self) -> bool:
        """Whether the network's answers are the targets themselves; of an anomaly detection they are the inputs."""
        return self.task.kind == "regression" or self.spec.targets == tuple(tag.name for tag in self.task.targets)

    @property
    def light(self) -> bool:
        """Whether the light runtime can do what this preprocessing says."""
        plain = self.spec.answer == "row" and self.spec.relative == "none" and not self.spec.future
        aged = self.spec.known is not None and self.spec.known.age
        return self.task.answer.light and plain and not aged and not self.spec.missing

    def windows(self, table: Table, *, need_target: bool) -> tuple[Windows, Ledger]:
        """The windows of a table that training has never seen, and what was done to its rows.

        Columns are found by name. ``need_target`` keeps only windows whose target is known.
        """
        task = self.task
        aligned = self.aligned(table, need_target=need_target)
        table, resampled = resample(aligned.table, self.repair.plan)
        table = task.target.with_inputs(table)
        if need_target:
            table = task.target.with_labels(table)
        coded = code_states(table, self._states_of(table))
        table = coded.table
        table, repaired = repair_for(self.spec, self.repair, table)
        levelled = at_one_level(self.regimes, table, coded.table)
        ledger = aligned.ledger.add(*resampled, *coded.notes, *repaired, *levelled.notes)
        spec = self.spec.without_target() if not need_target else self.spec
        return build_windows(levelled.table, spec).scaled(self.scaler, self.target_scaler), ledger

    def aligned(self, table: Table, *, need_target: bool) -> Reading:
        """The columns of a table that the preprocessing is about, found by name, in its order, units and classes."""
        if self._reports:
            check_reports(table, self.spec.targets)
        task = self.task
        if need_target:
            table = task.target.adapt(table)
        measured = self._measured_in(table)
        wanted = (*measured, *self.wanted[len(self.measured) :])
        if need_target:
            judged = {tag.name: tag for tag in task.targets}
            made = [name for name in task.target.computed if name not in table.names]
            present = [name for name in (*judged, *task.settings.targets) if name in table.names]
            taken = {*made, *(tag.name for tag in (*self.inputs, *self.measured))}
            names = dict.fromkeys(name for name in (*self.spec.targets, *present) if name not in taken)
            wanted = (*measured, *(judged.get(name) or table.tag(name) for name in names), *self._reports)
        return align(table, wanted)

    def _states_of(self, table: Table) -> tuple[StateCoding, ...]:
        """The codings that a table needs: those whose columns it does not have yet."""
        used = {tag.name for tag in self.inputs}
        return tuple(
            coding
            for coding in self.states
            if used.intersection(coding.columns) and not used.intersection(coding.columns) <= set(table.names)
        )

    def _measured_in(self, table: Table) -> tuple[Tag, ...]:
        """The inputs as this table has them: with all states that it shows, or coded already."""
        needed = {coding.tag.name for coding in self._states_of(table)}
        coded = {coding.tag.name: coding.columns for coding in self.states if coding.tag.name not in needed}
        inputs = {tag.name: tag for tag in self.inputs}
        tags: list[Tag] = []
        for tag in self.measured:
            if tag.name in needed and tag.name in table.names and (shown := table.tag(tag.name).categories):
                tags.append(replace(tag, categories=shown))
            elif tag.name in coded:
                tags += [inputs[name] for name in coded[tag.name] if name in inputs]
            else:
                tags.append(tag)
        return tuple(tags)

    def to_dict(self) -> dict[str, Any]:
        """The preprocessing as JSON-ready data."""
        states = {"states": [coding.to_dict() for coding in self.states]} if self.states else {}
        regimes = {"regimes": self.regimes.to_dict()} if self.regimes else {}
        return {
            "task": {"kind": self.task.name, **self.task.settings.model_dump(mode="json", exclude={"kind"})},
            "fitted": dict(self.task.fitted),
            "light": self.light,
            "targets": [asdict(tag) for tag in self.task.targets],
            "inputs": [asdict(tag) for tag in self.inputs],
            "repair": self.repair.to_dict(),
            "windows": {name: value for name, value in asdict(self.spec).items() if name != "seen" or value},
            "scaler": self.scaler.to_dict(),
            "target_scaler": self.target_scaler.to_dict() if self.target_scaler else None,
            "step": self.step,
            **states,
            **regimes,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """The preprocessing of `to_dict`; ValueError, KeyError or TypeError when it is malformed."""
        kind = tasks.get(data["task"]["kind"])
        known = data["windows"]["known"]
        spec = {
            **data["windows"],
            "inputs": tuple(data["windows"]["inputs"]),
            "targets": tuple(data["windows"]["targets"]),
            "known": Known(**known) if known else None,
            "future": tuple(data["windows"]["future"]),
        }
        return cls(
            task=kind(
                settings=kind.Settings.model_validate(data["task"]),
                targets=tuple(_tag(tag) for tag in data["targets"]),
                fitted=dict(data["fitted"]),
            ),
            inputs=tuple(_tag(tag) for tag in data["inputs"]),
            repair=Repair.from_dict(data["repair"]),
            spec=WindowSpec(**spec),
            scaler=Scaler.from_dict(data["scaler"]),
            target_scaler=Scaler.from_dict(data["target_scaler"]) if data["target_scaler"] else None,
            step=data["step"],
            states=tuple(StateCoding.from_dict(coding) for coding in data.get("states", [])),
            regimes=read_regimes(data),
        )


def repair_for(spec: WindowSpec, repair: Repair, table: Table) -> Repaired:
    """The repaired table, with the columns that say what was filled when the windows show them."""
    if not spec.missing:
        return repair.apply(table)
    filled = repair.filled(table, spec.inputs)
    repaired = repair.apply(table)
    return Repaired(with_missing(repaired.table, spec.inputs, filled), repaired.notes)


def _tag(data: dict[str, Any]) -> Tag:
    return Tag(**{**data, "categories": tuple(data["categories"])})
