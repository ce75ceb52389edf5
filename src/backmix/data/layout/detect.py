"""From a file to its layout.

This module reads a file with what the plan says, and keeps why each thing was read as it was. Where the file leaves a
question open, it writes the question down, takes the first interpretation for the rest of the look, and goes on, so
that all questions come together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backmix.data.layout.evidence import Evidence, LayoutQuestion, OpenQuestion, toml
from backmix.data.layout.layout import KEYS, Layout, layout_of
from backmix.data.ledger import Difference
from backmix.data.reading.file_profile import FileProfile
from backmix.data.reading.reading import Reading, ReadPlan
from backmix.data.sources import read
from backmix.data.sources.files import file_names
from backmix.errors import InputError

MOST_QUESTIONS = 12
LOOKED_AT = 50_000_000
"""Of a new file of more bytes only the head is looked at before it is read by the layout that the model keeps."""
CHANGED = (
    "encoding",
    "delimiter",
    "decimal",
    "time",
    "time_form",
    "day_first",
    "header",
    "footer",
    "preamble",
    "shape",
)
"""Keys of the layout whose change has a sentence of its own."""
NEWS = ("comment", "status", "long", "shape")
"""Keys that a file may say for the first time."""


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
            known = known.with_values({question.key: question.readings[0].value})
        except InputError as fault:
            return Detection(known, (), tuple(questions), None, fault)
        else:
            asked = {question.key for question in questions}  # what was taken to go on is no evidence
            evidence = tuple(entry for entry in reading.evidence if entry.key not in asked)
            return Detection(known.with_evidence(evidence), evidence, tuple(questions), reading)


@dataclass(frozen=True)
class TrainingFile:
    """What a model keeps of the file that it was trained on.

    read: how tomorrow's files are read; profile: what the file looked like, None for a table that came from no file
    """

    read: ReadPlan
    profile: FileProfile | None = None

    @classmethod
    def of(cls, plan: ReadPlan, reading: Reading, base: Path = Path()) -> TrainingFile:
        """The file of a plan as it was read: its layout file read, too, and nothing left to guess.

        Day order and zone stay open where a laboratory file shares them: what this table proves, that one need not.
        """
        plan = plan.with_layout(base)
        shared = () if plan.lab is None or plan.lab.file is None else ("day_first", "time_zone")
        read_as = plan.with_evidence(entry for entry in reading.evidence if entry.key not in shared)
        return cls(read_as, reading.profile)


def look_again(plan: ReadPlan, base: Path = Path()) -> Detection:
    """What a new file says of its own layout; of a large one the first rows alone are read.

    plan: names the file, with the keys of the layout that a person has set
    """
    from backmix.data.sources.heads import head_of

    names = file_names(plan, base)
    with head_of(base / names[0], LOOKED_AT) as head:
        return detect(plan if len(names) == 1 and head == base / names[0] else plan.of_file(head), base)


def differences(detection: Detection, kept_plan: ReadPlan, settled: Collection[str] = ()) -> tuple[Difference, ...]:
    """Where a new file's own layout is not the one that the model keeps; a ``settled`` key is no news."""
    changed = []
    for entry in detection.evidence:
        if entry.key not in KEYS or entry.key in settled:
            continue
        mine, here = getattr(kept_plan, entry.key), entry.value
        if (mine is None and entry.key not in NEWS) or _plain(mine) == _plain(here):
            continue
        reason = f"bundle.changed_{entry.key if entry.key in CHANGED else 'layout'}"
        values = {"name": entry.key, "before": "–" if mine is None else toml(mine), "here": toml(here)}
        changed.append(Difference(reason, values))
    return tuple(changed)


def _plain(value: Any) -> Any:
    """A list for a tuple."""
    return list(value) if isinstance(value, tuple) else value
