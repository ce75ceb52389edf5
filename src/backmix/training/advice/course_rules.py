"""The rules of thumb of a course on recurrent networks, as a course states them.

This module holds its decision tree and its choosers as data: when a rule applies, what it answers, and what
would have to be measured to believe it. What backmix itself chooses stands in `training.advice`; what was
measured in `training.advice.measured`. The reason of each rule is in the catalogue, ``rules.why_<name>``.

Where the course leaves a boundary open (20-50, 50-100) the shorter range has it, as in its own code for batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backmix.models.heads import Kind
from backmix.text import Language, say
from backmix.training.advice.choose import Budget

Topic = Literal["cell", "size", "loss", "dropout", "learning_rate", "batch_size", "practice"]
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
        found = [*_range("rows", self.rows, lang), *_range("samples", self.samples, lang)]
        for name in ("budget", "kind", "outliers", "wide", "tuning", "overfits"):
            value = getattr(self, name)
            if value is not None:
                found.append(say(f"rules.if_{name}_{value}".lower(), lang))
        return say("rules.comma", lang).join(found) or say("rules.if_always", lang)


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
        return say("rules.or", lang).join(str(one) for one in self.answer)


_SHORT, _MIDDLE, _LONG = (0, 19), (20, 100), (101, ANY)
_FEW = ("cstr few", "cstr", "debutanizer")
_MANY = ("cstr many",)
"""Data with fewer than 1000 training windows of 30 rows, and with more."""

CELLS = (
    CourseRule(
        "short",
        "cell",
        81,
        Condition(rows=_SHORT),
        ("simple_rnn", "gru"),
        (Claim("cell", "simple_rnn", "lstm", (10,)), Claim("cell", "gru", "lstm", (10,))),
    ),
    CourseRule(
        "long",
        "cell",
        81,
        Condition(rows=_LONG),
        ("lstm",),
        (Claim("cell", "lstm", "gru", (240,)), Claim("cell", "lstm", "simple_rnn", (240,))),
        "L",
    ),
    CourseRule(
        "middle",
        "cell",
        81,
        Condition(rows=_MIDDLE),
        ("gru",),
        (Claim("cell", "gru", "lstm", (30, 100)), Claim("cell", "gru", "simple_rnn", (30, 100))),
    ),
    CourseRule(
        "few",
        "cell",
        81,
        Condition(samples=(0, 999)),
        ("gru",),
        (Claim("cell_few", "gru", "lstm", (30,), ("cstr few",)), Claim("cell", "gru", "lstm", (30,), ("debutanizer",))),
    ),
    CourseRule("many", "cell", 81, Condition(samples=(1000, ANY)), ("lstm", "gru")),
    CourseRule(
        "tight",
        "cell",
        81,
        Condition(budget="tight"),
        ("gru",),
        (Claim("cell", "gru", "lstm", (10, 30, 100, 240), by="seconds"),),
        "L",
    ),
    CourseRule(
        "ample",
        "cell",
        81,
        Condition(budget="ample"),
        ("lstm",),
        (Claim("cell", "lstm", "gru", (10, 30, 100, 240)),),
        "L",
    ),
)
"""What the branches of the tree end in."""

SIZES = (
    CourseRule(
        "size_short",
        "size",
        82,
        Condition(rows=_SHORT),
        ("32", "64"),
        (Claim("size", "32", "16", (10,)), Claim("size", "32", "64", (10,))),
    ),
    CourseRule(
        "size_usual",
        "size",
        82,
        Condition(rows=(20, 50)),
        ("64", "128", "64-64", "128-128"),
        (Claim("size", "64", "32"), Claim("size", "32-32", "32")),
    ),
    CourseRule(
        "size_middle",
        "size",
        82,
        Condition(rows=(51, 100)),
        ("128-128", "256-256"),
        (Claim("size", "64-64", "32", (60,)),),
    ),
    CourseRule(
        "size_long",
        "size",
        82,
        Condition(rows=_LONG),
        ("several layers, attention",),
        (Claim("size", "32-32", "32", (240,)), Claim("size", "32-32 attention", "32", (240,))),
    ),
)

LOSSES = (
    CourseRule(
        "loss_usual",
        "loss",
        83,
        Condition(kind="regression", outliers=False, wide=False),
        ("mse",),
        (Claim("loss", "mse", "mae"), Claim("loss", "mse", "huber")),
    ),
    CourseRule(
        "loss_outliers",
        "loss",
        83,
        Condition(kind="regression", outliers=True),
        ("mae", "huber"),
        tuple(
            Claim("loss", loss, "mse", places=("cstr outliers", "debutanizer outliers")) for loss in ("mae", "huber")
        ),
    ),
    CourseRule(
        "loss_wide",
        "loss",
        83,
        Condition(kind="regression", wide=True),
        ("msle",),
        (
            Claim("loss", "msle, target none", "mse", places=("cstr wide",)),
            Claim("loss", "msle, target minmax", "mse", places=("cstr wide",)),
        ),
        "H",
    ),
    CourseRule("loss_binary", "loss", 83, Condition(kind="binary"), ("binary_crossentropy",)),
    CourseRule("loss_classes", "loss", 83, Condition(kind="classes"), ("sparse_categorical_crossentropy",)),
)

_WITH = ("cstr", "debutanizer", "cstr few", "cstr classes")
DROPOUTS = (
    CourseRule(
        "dropout_start",
        "dropout",
        84,
        Condition(),
        ("0.2 and recurrent_dropout 0.2",),
        (Claim("dropout", "0.2 and 0.2", "0", places=_WITH),),
    ),
    CourseRule(
        "dropout_few",
        "dropout",
        84,
        Condition(samples=(0, 999)),
        ("0.2-0.3 and recurrent_dropout 0.2",),
        (Claim("dropout", "0.2", "0", places=_FEW), Claim("dropout", "0.2 and 0.2", "0", places=_FEW)),
    ),
    CourseRule(
        "dropout_many",
        "dropout",
        84,
        Condition(samples=(1000, ANY)),
        ("0.1-0.2 and recurrent_dropout 0.1",),
        (Claim("dropout", "0.2", "0", places=_MANY), Claim("dropout", "0.2 and 0.2", "0", places=_MANY)),
    ),
    CourseRule(
        "dropout_over",
        "dropout",
        84,
        Condition(overfits=True),
        ("0.4-0.5",),
        (Claim("dropout", "0.5", "0.2", places=_WITH),),
    ),
    CourseRule(
        "dropout_head",
        "dropout",
        84,
        Condition(budget="tight"),
        ("head_dropout only",),
        (
            Claim("dropout", "head 0.2", "0.2", places=_WITH, by="seconds"),
            Claim("dropout", "head 0.2", "0.2 and 0.2", places=_WITH, by="seconds"),
        ),
        "D",
    ),
)

RATES = (
    CourseRule(
        "rate_usual",
        "learning_rate",
        45,
        Condition(tuning=False, rows=_MIDDLE),
        (0.001,),
        (Claim("learning_rate", "0.001", "0.0001"), Claim("learning_rate", "0.001", "0.01")),
    ),
    CourseRule(
        "rate_long",
        "learning_rate",
        45,
        Condition(tuning=False, rows=_LONG),
        (0.0001,),
        (Claim("learning_rate", "0.0001", "0.001", (240,)),),
    ),
    CourseRule(
        "rate_short",
        "learning_rate",
        45,
        Condition(tuning=False, rows=_SHORT),
        (0.01,),
        (Claim("learning_rate", "0.01", "0.001", (10,)),),
    ),
    CourseRule("rate_tuning", "learning_rate", 45, Condition(tuning=True), (0.0001,)),
)

BATCHES = (
    CourseRule(
        "batch_short",
        "batch_size",
        50,
        Condition(rows=(0, 50)),
        (64,),
        (Claim("batch_size", "64", "16"), Claim("batch_size", "64", "16", by="seconds")),
    ),
    CourseRule(
        "batch_middle", "batch_size", 50, Condition(rows=(51, 100)), (32,), (Claim("batch_size", "32", "64", (100,)),)
    ),
    CourseRule(
        "batch_long", "batch_size", 50, Condition(rows=_LONG), (16,), (Claim("batch_size", "16", "64", (240,)),)
    ),
    CourseRule("batch_large", "batch_size", 50, Condition(samples=(100_000, ANY)), (256, 512)),
)

PRACTICE = tuple(
    CourseRule(
        name,
        "practice",
        85,
        Condition(),
        (),
        (Claim("shuffle", "false", "true"),) if name == "order" else (),
        "I" if name == "order" else "",
    )
    for name in (
        "scaling",
        "windows",
        "shape",
        "order",
        "stacked",
        "dropout",
        "initializer",
        "optimizer",
        "loss",
        "metrics",
        "early",
        "checkpoint",
        "plateau",
        "batch",
        "test",
        "drawn",
        "residuals",
    )
)
"""The list of good practice, which every report fills in (`report.checklist`)."""

RULES = (*CELLS, *SIZES, *LOSSES, *DROPOUTS, *RATES, *BATCHES, *PRACTICE)
BY_NAME: Mapping[tuple[Topic, str], CourseRule] = {(rule.topic, rule.name): rule for rule in RULES}


@dataclass(frozen=True)
class Question:
    """A question of the decision tree, and the rule that it ends in for yes and for no; None goes on."""

    name: str
    when: Condition
    yes: CourseRule
    no: CourseRule | None


TREE = tuple(
    Question(name, BY_NAME["cell", name].when, BY_NAME["cell", name], None if no is None else BY_NAME["cell", no])
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
