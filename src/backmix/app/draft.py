"""A first plan for a new table.

This module looks at a table and drafts a commented plan: how the file is read and why, what to predict, which columns
serve as inputs, which to leave out, and what the audit suggests. Every line can be changed by the reader, and the
whole is parsed as a plan before anybody sees it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from backmix.app.drafting.asking import PlanAnswer, PlanQuestion, of_layout, shell
from backmix.app.drafting.batches import BatchesFound, look_at_batches, shown_batches
from backmix.app.drafting.codes import look
from backmix.app.drafting.laboratory import LabFound, look_at_lab
from backmix.app.drafting.leaks import find_suspects
from backmix.app.drafting.repairs import limits_of, repair_lines, told_beside, told_of_table
from backmix.app.drafting.sizes import Sizes, sizes_for
from backmix.app.drafting.states import judge_states
from backmix.app.drafting.target import SPARSE, Chosen, beside_another, choose_target, kind_of, normal_of, useless
from backmix.data.auditing.audit import Audit, audit
from backmix.data.auditing.missing_codes import MissingCode
from backmix.data.layout.detect import Detection
from backmix.data.layout.evidence import toml
from backmix.data.layout.layout import KEYS
from backmix.data.layout.units import unit_in_name
from backmix.data.reading.reading import TagPlan
from backmix.data.reported import is_report
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.tasks import Classification, tasks
from backmix.text import say
from backmix.training.plan import Plan
from backmix.training.prepare import check_target

BATCH_WORDS = re.compile(r"batch|lot|unit|run|campaign|批|爐|機組", re.IGNORECASE)
MOST_CANDIDATES = 12
OWN = {"file", "batch", "tags", "lab", "layout"}
"""Keys of ``[data]`` that have lines of their own."""


@dataclass(frozen=True)
class Wishes:
    """What the user has said beyond ``[data]``.

    target: the column to predict; lab: the file of laboratory results, with further keys of ``[data.lab]``
    layout: the file that the layout is kept in, so that the plan only names it
    """

    target: str | None = None
    lab: Path | None = None
    lab_told: Mapping[str, Any] = field(default_factory=dict)
    layout: str | None = None


@dataclass(frozen=True, eq=False)
class Drafted:
    """What came of a first look: the text of a plan (None while questions are open), and the questions."""

    text: str | None
    questions: tuple[PlanQuestion, ...]
    detection: Detection

    def shown(self) -> list[str]:
        """What should be seen before the plan is used: the batches that were found."""
        return shown_batches(self.detection.evidence)

    def layout_text(self) -> str:
        """The layout as a file of its own, with the evidence for each key."""
        why = {entry.key: entry.sentence() for entry in self.detection.evidence}
        kept = self.detection.layout.model_dump(mode="json", exclude_none=True)
        return "".join(f"{_line(key, value, why.get(key, ''))}\n" for key, value in kept.items())


def draft(file: Path, *, settings: ReadPlan, target: str | None, beside: Path) -> str:
    """A plan as TOML text for ``file``; the plan will lie in ``beside``.

    settings: how to read the file, as far as it is known. Raises InputError when the file cannot be
    read as it is, when it has no column to predict, or when a question is open.
    """
    from backmix.app.drafting.asking import refuse_open

    drafted = propose(settings.model_copy(update={"file": str(file)}), Wishes(target=target), beside=beside)
    refuse_open(drafted.questions, str(file))
    assert drafted.text is not None
    return drafted.text


def propose(settings: ReadPlan, wishes: Wishes, *, beside: Path) -> Drafted:
    """Look at a table and draft its plan, or say what must be answered before.

    Raises InputError and PlanError for what no answer can mend.
    """
    looked = look(_with(settings, lab=None))
    settings, detection = _with(looked.settings, lab=settings.lab), looked.detection
    questions = [of_layout(question) for question in detection.questions]
    if detection.reading is None:
        if not questions:
            assert detection.fault is not None
            raise detection.fault
        return Drafted(None, tuple(questions), detection)
    batches = None if questions else look_at_batches(detection.plan, wishes.target)
    batch = settings.batch or _batch(detection.reading.table)
    if batches is not None or batch != settings.batch:
        intervals = None if batches is None else batches.plan
        looked = look(_with(settings, lab=None, batch=batch, batches=intervals or settings.batches))
        detection = looked.detection
    if detection.reading is None:
        assert detection.fault is not None
        raise detection.fault
    if wishes.target is not None:
        check_target(detection.reading, [wishes.target])
    table = detection.reading.table
    lab = None
    if wishes.lab is not None or (settings.lab is not None and settings.lab.file is not None):
        lab = _lab(settings, wishes, detection.plan)
        questions += lab.questions
    if questions:
        return Drafted(None, tuple(questions), detection)
    plan = detection.plan
    if lab is not None:
        plan = Plan.check({"data": plan.model_dump(exclude_unset=True) | {"lab": lab.section}}, where="init").data
    elif settings.lab is not None:
        plan = plan.model_copy(update={"lab": settings.lab})
    if plan.lab is not None:
        table = read(plan).table
    chosen = _target(table, wishes, () if lab is None else lab.results)
    if isinstance(chosen, PlanQuestion):
        return Drafted(None, (chosen,), detection)
    if _truth(detection, chosen.name) and (stated := _as_states(plan, chosen.name)) is not plan:
        plan, table = stated, read(stated).table
    text = _Draft(table, plan, detection, chosen, lab, wishes, beside, batches, looked.doubtful).text()
    Plan.parse(text, where="init")  # what is written can be read
    return Drafted(text, (), detection)


def _truth(detection: Detection, name: str) -> bool:
    """Whether a column is written as true and false."""
    notes = () if detection.reading is None else detection.reading.ledger.notes
    return any(note.reason == "read.reason_truth" and note.tag == name for note in notes)


def _as_states(plan: ReadPlan, name: str) -> ReadPlan:
    """The plan with a column as one of states; the plan itself where it says already what the column is."""
    described = {tag.name: tag for tag in plan.tags}
    tag = described.get(name, TagPlan(name=name))
    if tag.type is not None:
        return plan
    described[name] = tag.model_copy(update={"type": "state"})
    return plan.model_copy(update={"tags": tuple(described.values())})


def _with(settings: ReadPlan, **more: Any) -> ReadPlan:
    """The settings with further keys, as if they stood in the plan; what is None does not."""
    section = {key: getattr(settings, key) for key in settings.model_fields_set} | more
    return ReadPlan.model_validate({key: value for key, value in section.items() if value is not None})


def _lab(settings: ReadPlan, wishes: Wishes, plan: ReadPlan) -> LabFound:
    given = dict(wishes.lab_told)
    if settings.lab is not None:
        given = settings.lab.model_dump(mode="json", exclude_unset=True, exclude_none=True) | given
    file = wishes.lab if wishes.lab is not None else Path(given["file"])
    return look_at_lab(file, {key: value for key, value in given.items() if key != "file"}, plan)


def _target(table: Table, wishes: Wishes, results: tuple[str, ...]) -> Chosen | PlanQuestion:
    """The target that the user or the table names, or the question for it."""
    if wishes.target is not None:
        table.index(wishes.target)
        return Chosen(wishes.target)
    chosen = choose_target(table, results)
    if isinstance(chosen, Chosen):
        return chosen
    if not chosen:
        raise InputError("draft.nothing_to_predict", where=table.source)
    answers = tuple(
        PlanAnswer(name, f"--target {shell(name)}", _range(table, name)) for name in chosen[:MOST_CANDIDATES]
    )
    return PlanQuestion("task.target", answers, table.source)


def _range(table: Table, name: str) -> str:
    tag = table.tag(name)
    if tag.categories:
        return ", ".join(tag.categories[:6])
    values = np.asarray(table.column(name), np.float64)
    known = values[np.isfinite(values)]
    return say("draft.range", low=f"{known.min():.5g}", high=f"{known.max():.5g}", count=len(known))


def _batch(table: Table) -> str | None:
    """A column that names batches: its name says so, and each value comes in one stretch."""
    if table.batch is not None:
        return None
    for tag in table.tags:
        values = table.column(tag.name)
        if BATCH_WORDS.search(tag.name) and np.isfinite(values).all():
            changes = 1 + int(np.count_nonzero(np.diff(values)))
            if 1 < changes == len(np.unique(values)) <= len(table) // 2:
                return tag.name
    return None


@dataclass(frozen=True, eq=False)
class _Draft:
    """Everything that a first plan is written from."""

    table: Table
    plan: ReadPlan
    detection: Detection
    chosen: Chosen
    lab: LabFound | None
    wishes: Wishes
    beside: Path
    batches: BatchesFound | None
    doubtful: tuple[MissingCode, ...]

    def text(self) -> str:
        """The plan as TOML."""
        table, name = self.table, self.chosen.name
        looked = audit(table, ledger=None if self.detection.reading is None else self.detection.reading.ledger)
        kind, why = kind_of(table, name)
        suspects = find_suspects(table, name)
        entries, inputs = self._tags(looked, suspects)
        head = [
            f"# {say('draft.head', rows=f'{len(table):,}', tags=len(table.tags))}",
            *(f"# {sentence}" for sentence in told_of_table(looked)),
            "",
        ]
        task = ["[task]", _line("kind", kind, say(why)), _line("target", name, self.chosen.sentence())]
        task += [f"# {say('course.draft_kinds')}"] if table.batch is not None else []
        settings = tasks.get(kind).Settings.model_fields
        if "past_targets" in settings and self.plan.lab is None:
            task += [f"# {say('draft.past')}", '# past_targets = { delay = "1h" }']
        elif "normal" in settings:
            normal, sure = normal_of(table, name)
            line = _line("normal", normal, "")
            task += [f"# {say('draft.normal')}", line if sure else f"# {line}"]
        repairs = repair_lines(table, looked, inputs)
        repair = ["", "[repair]", *(_line(line.key, line.value, line.sentence()) for line in repairs)]
        sizes = sizes_for(table, name, kind)
        parts = [
            *head,
            *self._data(),
            f"# {say('draft.tags')}",
            *entries,
            *task,
            *(repair if repairs else []),
            *_split(table, kind, sizes),
            "",
            "[windows]",
            f"# {say('draft.lookback')}",
            *_lookback(table, name, inputs, sizes, even=all(line.key != "resample" for line in repairs)),
            "",
            "[model]",
            f"# {say('draft.model')}",
            'cell = "auto"',
            "",
            "[training]",
            "seed = 0",
            *sizes.sections,
            "",
        ]
        return "\n".join(parts)

    def _data(self) -> list[str]:
        """``[data]``: where the table is, how it is laid out with the evidence, and its laboratory results."""
        plan, why = self.plan, {entry.key: entry.sentence() for entry in self.detection.evidence}
        lines = ["[data]", _line("file", self._path(plan.file), "")]
        layout = self.wishes.layout if self.wishes.layout is not None else plan.layout
        if layout is not None:
            lines.append(_line("layout", self._path(layout), say("draft.layout")))
        given = plan.model_dump(mode="json", exclude_defaults=True, exclude_none=True, exclude=OWN)
        asked = self.wishes.layout is not None
        for key, value in given.items():
            if isinstance(value, dict) and key not in KEYS:
                continue
            if asked and key in KEYS:
                continue
            if key == "missing":
                value = [int(v) if isinstance(v, float) and v.is_integer() and abs(v) < 1e15 else v for v in value]
            lines.append(_line(key, value, why.get(key, "")))
        if plan.batch is not None:
            lines.append(_line("batch", plan.batch, say("draft.batch")))
        if plan.time is None:
            lines.append(f"# {say('draft.clock' if self.table.time is not None else 'draft.no_clock')}")
        for key, sentence in why.items():
            if key not in given and not key.startswith("tags."):
                lines.append(f"# {key}: {sentence}")
        lines += [f"# {code.sentence()}" for code in self.doubtful]
        if plan.lab is not None:
            reasons = {} if self.lab is None else {line.key: line.sentence() for line in self.lab.lines}
            lines += ["", "[data.lab]"]
            for key, value in plan.lab.model_dump(mode="json", exclude_unset=True, exclude_none=True).items():
                lines.append(_line(key, self._path(value) if key == "file" else value, reasons.get(key, "")))
        for key, value in given.items():
            if isinstance(value, dict) and key not in KEYS:
                lines += ["", f"[data.{key}]"]
                batches = self.batches if key == "batches" else None
                reasons = {} if batches is None else {line.key: line.sentence() for line in batches.lines}
                lines += [_line(k, self._path(v) if k == "file" else v, reasons.get(k, "")) for k, v in value.items()]
                if batches is not None and batches.left_out:
                    lines.append(f"# {say('draft.batch_results', names=', '.join(batches.left_out))}")
        return [*lines, ""]

    def _path(self, file: Any) -> Any:
        """A file, or each of several, relative to the folder of the plan."""
        if isinstance(file, list | tuple):
            return [self._path(name) for name in file]
        return os.path.relpath(str(file), self.beside).replace(os.sep, "/")

    def _tags(self, looked: Audit, suspects: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The entries of all columns, and the names of the inputs."""
        table, target = self.table, self.chosen.name
        results = () if self.lab is None else self.lab.results
        given = {tag.name: tag for tag in self.plan.tags}
        why = {entry.key: entry.sentence() for entry in self.detection.evidence}
        lines, inputs = [], []
        for tag in table.tags:
            if is_report(tag.name):
                continue
            name = tag.name
            written = tag.unit or unit_in_name(name)
            entry = ["[[data.tags]]", _line("name", name, "")]
            entry.append(_line("unit", written, why.get(f"tags.{name}.unit", "")))
            if tag.description:
                entry.append(_line("description", tag.description, ""))
            described = given[name].model_dump(mode="json", exclude_defaults=True) if name in given else {}
            role, reason = self._role(tag, suspects, results)
            if described.get("role") is not None and name != target:
                role, reason = described["role"], ""
            if role != "input":
                entry.append(_line("role", role, reason))
            else:
                inputs.append(name)
            limits = limits_of(table, replace(tag, unit=written))
            for key in ("low", "high", "type"):
                if key in described:
                    why_so = say("draft.truth_target") if key == "type" and _truth(self.detection, name) else ""
                    entry.append(_line(key, described[key], why_so))
            if role == "input" and tag.categories and "type" not in described:
                entry.append(_line("type", "state", reason))
            if limits is not None and role != "ignored":
                low, high = limits.value
                entry.append(_line("low", low, limits.sentence()))
                entry += [_line("high", high, "")] if high is not None else []
            entry += [f"# {sentence}" for sentence in told_beside(looked, name)] if role != "ignored" else []
            lines += [*entry, ""]
        return lines, inputs

    def _role(self, tag: Tag, suspects: Mapping[str, Any], results: tuple[str, ...]) -> tuple[str, str]:
        """What a column is for, and why."""
        table, name = self.table, tag.name
        if name == self.chosen.name:
            return "target", ""
        if why := useless(table, tag):
            return "ignored", say(why)
        if name in suspects:
            return "ignored", suspects[name].sentence()
        if beside_another(table, tag):
            return "ignored", say("draft.is_flag")
        if name in results:
            return "lab", say("draft.lab_result")
        if tag.categories:
            fine, why = judge_states(table, tag)
            return ("input" if fine else "ignored"), why
        if np.isnan(table.column(name)).mean() > SPARSE:
            return "lab", say("draft.lab")
        return "input", ""


def _split(table: Table, kind: str, sizes: Sizes) -> list[str]:
    share = "batch" if issubclass(tasks.get(kind), Classification) and table.batch is not None else "table"
    way = "batch" if tasks.get(kind).Target.whole_batches else "chronological"
    return [
        "",
        "[split]",
        f"# {say('draft.split')}",
        f'kind = "{way}"',
        *(f"{part} = {share}" for part, share in zip(("train", "validation", "test"), sizes.shares, strict=True)),
        f'within = "{share}"',
    ]


def _lookback(table: Table, target: str, inputs: list[str], sizes: Sizes, *, even: bool) -> list[str]:
    """The lookback: "auto", beside the longest delay that a scan is sure of.

    even: whether rows come at even times, without which a delay in rows means nothing
    """
    from backmix.data.delays.dead_time import scan
    from backmix.training.advice.delays import spoken

    if sizes.lookback is not None:
        return [_line("lookback", sizes.lookback, sizes.why_lookback)]
    late = ""
    inputs = [name for name in inputs if not table.tag(name).categories]
    labels = int(np.isfinite(table.column(target)).sum())
    if not table.tag(target).categories and 0 < len(inputs) <= MOST_SCANNED and labels >= MANY_LABELS and even:
        dead_times = scan(table, tuple(inputs), target, rows=np.arange(len(table)) < 0.6 * len(table))
        delays = () if dead_times is None else tuple(delay for delay in dead_times.sure if delay.rows)
        if dead_times is not None and delays:
            worst = max(delays, key=lambda delay: delay.rows)
            late = say("draft.delay", tag=worst.tag, delay=spoken(worst.rows, dead_times.step))
    return [_line("lookback", "auto", late)]


MANY_LABELS, MOST_SCANNED = 100, 60


def _line(key: str, value: Any, reason: str) -> str:
    """One line of a plan, with its reason as a comment."""
    import tomli_w

    name = tomli_w.dumps({key: 0}).removesuffix(" = 0\n")
    return f"{name} = {toml(value)}" + (f"  # {' '.join(reason.split())}" if reason else "")
