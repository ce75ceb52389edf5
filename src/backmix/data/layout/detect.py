"""From a file to its layout.

This module reads a file with what the plan says, and keeps why each thing was read as it was. Where the file leaves a
question open, it writes the question down, takes the first interpretation for the rest of the look, and goes on, so
that all questions come together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backmix.data.layout.evidence import Evidence, LayoutQuestion, OpenQuestion
from backmix.data.layout.layout import KEYS, Layout, layout_of
from backmix.data.reading.reading import Reading, ReadPlan
from backmix.data.sources import read
from backmix.errors import InputError

MOST_QUESTIONS = 12


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in a file.

    plan: ``[data]`` with everything that the file decides; evidence: why, in the order in which it was found
    questions: what the file leaves open; reading: the table, under the first interpretation of each question;
    None with ``fault`` when the file cannot be read at all
    """

    plan: ReadPlan
    evidence: tuple[Evidence, ...]
    questions: tuple[LayoutQuestion, ...]
    reading: Reading | None
    fault: InputError | None = None

    @property
    def layout(self) -> Layout:
        """The layout alone."""
        return layout_of(self.plan)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "layout": self.layout.model_dump(mode="json", exclude_none=True),
            "evidence": [entry.to_dict() for entry in self.evidence],
            "questions": [question.to_dict() for question in self.questions],
        }


def detect(plan: ReadPlan, base: Path = Path()) -> Detection:
    """Read what ``plan`` names and say how; a fault that is no question is kept in ``fault``."""
    questions: list[LayoutQuestion] = []
    known = plan
    while True:
        try:
            reading = read(known, base=base)
        except OpenQuestion as open_question:
            question = open_question.question
            if question.key in {asked.key for asked in questions} or len(questions) == MOST_QUESTIONS:
                return Detection(known, (), tuple(questions), None, open_question)
            questions.append(question)
            known = _with(known, {question.key: question.readings[0].value})
        except InputError as fault:
            return Detection(known, (), tuple(questions), None, fault)
        else:
            asked = {question.key for question in questions}  # what was taken to go on is no evidence
            evidence = tuple(entry for entry in reading.evidence if entry.key not in asked)
            return Detection(resolved(known, evidence), evidence, tuple(questions), reading)


def kept(plan: ReadPlan, evidence: tuple[Evidence, ...], base: Path) -> ReadPlan:
    """The plan as a model keeps it for tomorrow's files: its layout file read, and nothing left to guess.

    Day order and zone stay open where a laboratory file shares them: what this table proves, that one need not.
    """
    plan = plan.with_layout(base)
    shared = () if plan.lab is None or plan.lab.file is None else ("day_first", "time_zone")
    return resolved(plan, tuple(entry for entry in evidence if entry.key not in shared))


def differences(plan: ReadPlan, kept_plan: ReadPlan) -> dict[str, tuple[Any, Any]]:
    """What a file would say of its own layout, where that is not what the model keeps: key -> (kept, found).

    plan: names the file, with the keys of the layout that a person has set; kept_plan: what the model reads by.
    """
    detection = detect(plan)
    changed: dict[str, tuple[Any, Any]] = {}
    for entry in detection.evidence:
        mine = getattr(kept_plan, entry.key, None) if entry.key in KEYS else None
        if mine is not None and _plain(mine) != _plain(entry.value):
            changed[entry.key] = (mine, entry.value)
    return changed


def _plain(value: Any) -> Any:
    """A list for a tuple."""
    return list(value) if isinstance(value, tuple) else value


def resolved(plan: ReadPlan, evidence: tuple[Evidence, ...]) -> ReadPlan:
    """The plan with what the file decided: whoever reads by it again has nothing left to guess."""
    decided = {entry.key: entry.value for entry in evidence if entry.key in KEYS and getattr(plan, entry.key) is None}
    return _with(plan, decided)


def _with(plan: ReadPlan, values: dict[str, Any]) -> ReadPlan:
    """The plan with more keys, as if they stood in it."""
    stated = {key: getattr(plan, key) for key in plan.model_fields_set}
    return ReadPlan.model_validate(stated | values)
