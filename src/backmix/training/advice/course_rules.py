"""The rules of thumb of a course on recurrent networks, as a course states them.

This module reads them from ``course_rules.toml``: when a rule applies, what it answers, and what would have to be
measured to believe it. It also walks the decision tree of the course. What backmix itself chooses stands in
`training.advice.choose`; what was measured in `training.advice.measured`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backmix.models.heads import Kind
from backmix.text import Language, say
from backmix.training.advice.choose import Budget

Topic = Literal["cell", "size", "loss", "dropout", "learning_rate", "batch_size", "practice"]
PLACE = Path(__file__).with_suffix(".toml")
ANY = float("inf")

SETTING: Mapping[Topic, str] = {
    "cell": "model.cell",
    "size": "model.units",
    "loss": "training.loss",
    "dropout": "model.dropout",
    "learning_rate": "training.learning_rate",
    "batch_size": "training.batch_size",
}
"""The setting of a plan that a topic decides."""


@dataclass(frozen=True)
class CourseFacts:
    """What the rules ask about.

    rows: T of the windows; samples: training windows; kind: of output
    outliers, wide: whether the target has outliers, or spans orders of magnitude
    tuning: whether training goes on from a trained model; overfits: whether a network has been seen to
    """

    rows: int
    samples: int
    budget: Budget = "tight"
    kind: Kind = "regression"
    outliers: bool = False
    wide: bool = False
    tuning: bool = False
    overfits: bool = False


@dataclass(frozen=True)
class Condition:
    """When a rule applies; what is left out does not matter.

    rows, samples: least and greatest number, both included
    """

    rows: tuple[float, float] = (0, ANY)
    samples: tuple[float, float] = (0, ANY)
    budget: Budget | None = None
    kind: Kind | None = None
    outliers: bool | None = None
    wide: bool | None = None
    tuning: bool | None = None
    overfits: bool | None = None

    def holds(self, facts: CourseFacts) -> bool:
        """Whether these facts are of that kind."""
        inside = all(
            low <= value <= high for value, (low, high) in ((facts.rows, self.rows), (facts.samples, self.samples))
        )
        named = ("budget", "kind", "outliers", "wide", "tuning", "overfits")
        return inside and all(getattr(self, name) in (None, getattr(facts, name)) for name in named)

    def text(self, lang: Language | None = None) -> str:
        """The condition in words.

        >>> Condition(rows=(101, ANY), budget="tight").text("en")
        'more than 100 rows, little computing time'
        """
        parts = [*_range("rows", self.rows, lang), *_range("samples", self.samples, lang)]
        for name in ("budget", "kind", "outliers", "wide", "tuning", "overfits"):
            value = getattr(self, name)
            if value is not None:
                parts.append(say(f"rules.if_{name}_{value}".lower(), lang))
        return say("rules.comma", lang).join(parts) or say("rules.if_always", lang)


def _range(name: str, ends: tuple[float, float], lang: Language | None) -> list[str]:
    low, high = ends
    if low > 0 and high < ANY:
        return [say(f"rules.if_{name}_between", lang, low=f"{low:,.0f}", high=f"{high:,.0f}")]
    if low > 0:
        return [say(f"rules.if_{name}_above", lang, low=f"{low - 1:,.0f}")]
    return [say(f"rules.if_{name}_below", lang, high=f"{high + 1:,.0f}")] if high < ANY else []


@dataclass(frozen=True)
class Claim:
    """That one setting does better than another, so that it can be measured.

    rows: T at which figures speak for it; places: data on which they do; by: the error, or the time of an epoch
    """

    experiment: str
    one: str
    other: str
    rows: tuple[int, ...] = (30,)
    places: tuple[str, ...] = ("cstr", "debutanizer")
    by: Literal["error", "seconds"] = "error"


@dataclass(frozen=True)
class CourseRule:
    """A rule of the course.

    item: its number in docs/course.md; answer: what it says, value by value, any of them
    claims: what was measured about it; letter: the known error of the course that it carries, else ""
    """

    name: str
    topic: Topic
    item: int
    when: Condition
    answer: tuple[Any, ...]
    claims: tuple[Claim, ...] = ()
    letter: str = ""

    def why(self, lang: Language | None = None) -> str:
        """The course's reason."""
        return say(f"rules.why_{self.name}" if self.topic != "practice" else "rules.why_practice", lang)

    def says(self, lang: Language | None = None) -> str:
        """The course's answer in words."""
        if self.topic == "practice":
            return say(f"report.check_{self.name}", lang)
        return say("rules.or", lang).join(str(value) for value in self.answer)


def _rules() -> Iterator[CourseRule]:
    """The rules as ``course_rules.toml`` states them."""
    for topic, table in tomllib.loads(PLACE.read_text("utf-8"))["topic"].items():
        for fields in table["rule"]:
            yield CourseRule(
                name=fields["name"],
                topic=topic,
                item=table["item"],
                when=Condition(**_frozen(fields.get("when", {}))),
                answer=tuple(fields.get("answer", ())),
                claims=tuple(Claim(**_frozen(claim)) for claim in fields.get("claims", ())),
                letter=fields.get("letter", ""),
            )


def _frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a file as those of a frozen dataclass: lists are tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


RULES = tuple(_rules())
"""All rules of thumb; those of the topic "practice" are the list that every report fills in (`report.checklist`)."""
CELL_RULES: Mapping[str, CourseRule] = {rule.name: rule for rule in RULES if rule.topic == "cell"}
"""What the branches of the tree end in."""


@dataclass(frozen=True)
class Question:
    """A question of the decision tree, and the rule that it ends in for yes and for no; None goes on."""

    name: str
    when: Condition
    yes: CourseRule
    no: CourseRule | None


TREE = tuple(
    Question(name, CELL_RULES[name].when, CELL_RULES[name], None if no is None else CELL_RULES[no])
    for name, no in (("short", None), ("long", "middle"), ("few", "many"), ("tight", "ample"))
)
"""The tree as the course draws it: four questions one below the other, each with an answer of its own, so that they
can contradict each other."""


@dataclass(frozen=True)
class CourseStep:
    """A question as it was answered: ``rule`` is what the course concludes from it, None to go on."""

    question: Question
    yes: bool
    rule: CourseRule | None


def path(facts: CourseFacts) -> tuple[CourseStep, ...]:
    """The way through the tree in a situation; a short window ends the question about long ones.

    >>> [(step.question.name, step.yes) for step in path(CourseFacts(rows=60, samples=5000))]
    [('short', False), ('long', False), ('few', False), ('tight', True)]
    >>> [step.question.name for step in path(CourseFacts(rows=10, samples=500))]
    ['short', 'few', 'tight']
    """
    steps = []
    for question in TREE:
        if question.name == "long" and TREE[0].when.holds(facts):
            continue
        yes = question.when.holds(facts)
        steps.append(CourseStep(question, yes, question.yes if yes else question.no))
    return tuple(steps)


def concluded(steps: tuple[CourseStep, ...]) -> tuple[str, ...]:
    """The cells that all answers on a path agree on; () when they contradict each other.

    >>> (
    ...     concluded(path(CourseFacts(rows=60, samples=5000))),
    ...     concluded(path(CourseFacts(rows=60, samples=5000, budget="ample"))),
    ... )
    (('gru',), ())
    """
    answers = [step.rule.answer for step in steps if step.rule is not None]
    return tuple(cell for cell in answers[0] if all(cell in answer for answer in answers))


def applying(topic: Topic, facts: CourseFacts) -> tuple[CourseRule, ...]:
    """The rules of a topic whose conditions hold; of the tree those on the path."""
    if topic == "cell":
        return tuple(step.rule for step in path(facts) if step.rule is not None)
    return tuple(rule for rule in RULES if rule.topic == topic and rule.when.holds(facts))
