"""What the course says, what backmix chooses, and what was measured, side by side.

This module puts the rules of `course_rules`, the choices of `advice` and the figures of `measured` together, for a
prepared run or for a situation without any data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backmix.data.windows.progress import asked_targets
from backmix.decision import Decision
from backmix.models.heads import Kind, heads
from backmix.models.losses import choose_loss
from backmix.models.network import ModelPlan
from backmix.tasks import tasks
from backmix.tasks.shared.classes import ClassAnswer
from backmix.text import LANGUAGES, Language, say
from backmix.training.advice.choose import Situation, advise, choose_batch_size
from backmix.training.advice.course_rules import SETTING, CourseFacts, CourseRule, Topic, applying, concluded, path
from backmix.training.advice.measured import weigh
from backmix.training.design import Design
from backmix.training.prepared import Prepared
from backmix.training.sections.settings import choose_learning_rate

TOPICS: tuple[Topic, ...] = tuple(SETTING)
TAGS = 8
"""Input tags of a situation that does not say how many."""


@dataclass(frozen=True)
class Counsel:
    """One decision: the rules of the course that apply, and what backmix makes of it.

    decision: with its reason; None where the plan names ``value`` itself, or nothing can be said yet
    """

    topic: Topic
    rules: tuple[CourseRule, ...]
    value: Any
    decision: Decision | None
    facts: CourseFacts

    @property
    def course(self) -> tuple[str, ...]:
        """What the course says, each answer once; of the tree the cells that all its answers allow, if any."""
        if self.topic == "cell" and (agreed := concluded(path(self.facts))):
            return agreed
        return tuple(dict.fromkeys(str(answer) for rule in self.rules for answer in rule.answer))

    def reason(self, lang: Language | None = None) -> str:
        """Why backmix chooses so."""
        if self.decision is not None:
            return self.decision.reason(lang)
        return say("rules.no_loss_yet" if self.value is None else "rules.in_plan", lang)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, sentences in every language."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {
            "setting": SETTING[self.topic],
            "rules": [rule_to_dict(rule) for rule in self.rules],
            "value": value,
            "reason": {lang: self.reason(lang) for lang in LANGUAGES},
        }


def rule_to_dict(rule: CourseRule) -> dict[str, Any]:
    """A rule ready for JSON, with what was measured about it."""
    return {
        "name": rule.name,
        "topic": rule.topic,
        "item": rule.item,
        "answer": list(rule.answer),
        "when": {lang: rule.when.text(lang) for lang in LANGUAGES},
        "why": {lang: rule.why(lang) for lang in LANGUAGES},
        "letter": rule.letter,
        "measured": weigh(rule.claims).to_dict(),
    }


def situation(facts: CourseFacts, *, tags: int = TAGS) -> tuple[Counsel, ...]:
    """The decisions in a situation without data; the loss of a number hangs on its values, so it stays open.

    tags: inputs of each row

    >>> from backmix.training.advice.course_rules import CourseFacts
    >>> [counsel.topic for counsel in situation(CourseFacts(rows=60, samples=5000))][:2]
    ['cell', 'size']
    """
    head = "number" if facts.kind == "regression" else "classes"
    advised = advise(
        ModelPlan(),
        Situation(
            features=tags,
            lookback=facts.rows,
            samples=facts.samples,
            head=head,
            outputs=1 if head != "classes" else 3,
            budget=facts.budget,
        ),
    ).decisions
    loss = () if facts.kind == "regression" else (choose_loss(facts.kind),)
    rate = choose_learning_rate("adam", facts.rows)
    batch_size = choose_batch_size(facts.rows, samples=facts.samples)
    return _counsels(facts, [*advised, *loss, rate, batch_size], {})


def kind_of(task: str) -> Kind:
    """What a network learns for a task: an anomaly detection learns the numbers of its inputs.

    >>> kind_of("fault_diagnosis"), kind_of("anomaly_detection")
    ('classes', 'regression')
    """
    return "classes" if issubclass(tasks.get(task).Answer, ClassAnswer) else "regression"


def facts_of(prepared: Prepared) -> CourseFacts:
    """What the rules ask about, of a run: from its training windows alone."""
    train, kind = prepared.training_samples[0], heads.get(prepared.task.answer.head).kind
    loss = "" if kind != "regression" else str(choose_loss(kind, targets=asked_targets(train)).value)
    return CourseFacts(
        rows=train.steps,
        samples=len(train),
        kind=kind,
        outliers=loss == "huber",
        wide=loss == "msle",
        tuning=prepared.start is not None,
    )


def of_run(prepared: Prepared, design: Design) -> tuple[Counsel, ...]:
    """The decisions of a run that has not begun yet; what its plan names stands as it is."""
    architecture, settings = design.architecture, design.settings
    named = {
        "model.cell": architecture.cell,
        "model.units": architecture.units,
        "training.loss": settings.loss,
        "model.dropout": architecture.dropout,
        "training.learning_rate": settings.learning_rate,
        "training.batch_size": settings.batch_size,
    }
    return _counsels(facts_of(prepared), design.decisions, named)


def _counsels(facts: CourseFacts, decisions: Sequence[Decision], named: dict[str, Any]) -> tuple[Counsel, ...]:
    made: dict[str, Decision] = {}
    for decision in decisions:
        made.setdefault(decision.setting, decision)
    counsels = []
    for topic in TOPICS:
        own = made.get(SETTING[topic])
        value = named.get(SETTING[topic], None if own is None else own.value)
        counsels.append(Counsel(topic, applying(topic, facts), value, own, facts))
    return tuple(counsels)
