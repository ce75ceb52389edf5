"""The course's tree and choosers as data, and what the figures say to them."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.text import LANGUAGES
from backmix.training.advice.counsel import TOPICS, facts_of, kind_of, of_run, situation
from backmix.training.advice.course_rules import RULES, Claim, CourseFacts, Topic, applying, concluded, path
from backmix.training.advice.measured import PLACE, MeasuredRun, document, figures, weigh
from backmix.training.design import design
from backmix.training.prepare import prepare
from small import reading, small_plan, small_table

ROOT = Path(__file__).parent.parent.parent


def course_tree(rows: int, samples: int, tight: bool) -> list[set[str]]:
    """The tree as the course draws it, written a second time."""
    found = [{"simple_rnn", "gru"}] if rows < 20 else [{"lstm"} if rows > 100 else {"gru"}]
    found.append({"gru"} if samples < 1000 else {"lstm", "gru"})
    return [*found, {"gru"} if tight else {"lstm"}]


@given(st.integers(1, 1000), st.integers(1, 100_000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_tree_answers_as_the_course_does(rows: int, samples: int, tight: bool) -> None:
    """Course item 81: length, amount of data and budget; where its answers contradict each other, none is left."""
    steps = path(CourseFacts(rows=rows, samples=samples, budget="tight" if tight else "ample"))
    wanted = course_tree(rows, samples, tight)
    assert [set(step.rule.answer) for step in steps if step.rule is not None] == wanted
    assert set(concluded(steps)) == set.intersection(*wanted)


@pytest.mark.parametrize(
    ("rows", "samples", "budget", "question"),
    [
        (19, 999, "tight", "yes yes yes"),
        (20, 1000, "ample", "no no no no"),
        (100, 999, "tight", "no no yes yes"),
        (101, 1000, "tight", "no yes no yes"),
    ],
)
def test_the_bounds_of_the_tree(rows: int, samples: int, budget: str, question: str) -> None:
    steps = path(CourseFacts(rows=rows, samples=samples, budget=budget))  # type: ignore[arg-type]
    assert " ".join("yes" if step.yes else "no" for step in steps) == question


@pytest.mark.parametrize(
    ("topic", "facts", "answers"),
    [
        ("size", CourseFacts(10, 500), {"32", "64"}),
        ("size", CourseFacts(50, 500), {"64", "128", "64-64", "128-128"}),
        ("size", CourseFacts(51, 500), {"128-128", "256-256"}),
        ("size", CourseFacts(101, 500), {"several layers, attention"}),
        ("loss", CourseFacts(30, 500), {"mse"}),
        ("loss", CourseFacts(30, 500, outliers=True), {"mae", "huber"}),
        ("loss", CourseFacts(30, 500, wide=True), {"msle"}),
        ("loss", CourseFacts(30, 500, kind="binary"), {"binary_crossentropy"}),
        ("loss", CourseFacts(30, 500, kind="classes"), {"sparse_categorical_crossentropy"}),
        ("learning_rate", CourseFacts(19, 500), {0.01}),
        ("learning_rate", CourseFacts(20, 500), {0.001}),
        ("learning_rate", CourseFacts(101, 500), {0.0001}),
        ("learning_rate", CourseFacts(19, 500, tuning=True), {0.0001}),
        ("batch_size", CourseFacts(50, 500), {64}),
        ("batch_size", CourseFacts(51, 500), {32}),
        ("batch_size", CourseFacts(101, 500), {16}),
    ],
)
def test_the_choosers_answer_as_the_course_does(topic: Topic, facts: CourseFacts, answers: set[object]) -> None:
    """Course items 45, 50, 82 and 83: length, kind of target and of training give layers, loss, rate and batch."""
    assert {answer for rule in applying(topic, facts) for answer in rule.answer} == answers


def test_dropout_as_the_course_says_it() -> None:
    """Course item 84: a start, more for few data and overfitting, less for many."""
    few = {rule.name for rule in applying("dropout", CourseFacts(30, 999))}
    many = {rule.name for rule in applying("dropout", CourseFacts(30, 1000, budget="ample", overfits=True))}
    assert few == {"dropout_start", "dropout_few", "dropout_head"}
    assert many == {"dropout_start", "dropout_many", "dropout_over"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.topic}-{rule.name}")
def test_every_rule_can_be_said_and_its_claims_are_measured(rule: object) -> None:
    """Course item 85: also each line of the list of good practice."""
    assert isinstance(rule, type(RULES[0]))
    for lang in LANGUAGES:
        assert rule.when.text(lang)
        assert rule.why(lang)
        assert rule.says(lang)
        assert weigh(rule.claims).text(lang)
    for claim in rule.claims:
        assert weigh([claim]).finding != "unmeasured", claim
    assert rule.answer or rule.topic == "practice"


def test_figures_are_of_what_their_rule_is_about() -> None:
    """A rule for long windows, or for few of them, is weighed on long windows, on few of them, and on nothing else."""
    windows = {(one.experiment, one.place, one.rows, one.setting): one.windows for one in figures()}
    assert sum(len(weigh(rule.claims).comparisons) for rule in RULES) > 10
    for rule in RULES:
        for compared in weigh(rule.claims).comparisons:
            claim = compared.claim
            assert rule.when.rows[0] <= compared.rows <= rule.when.rows[1], (rule.name, claim)
            for setting in (claim.one, claim.other):
                count = windows[claim.experiment, compared.place, compared.rows, setting]
                assert rule.when.samples[0] <= count <= rule.when.samples[1], (rule.name, claim)


def test_length_and_size_rules_cover_every_length_once() -> None:
    for topic, rows in product(("size", "learning_rate"), range(1, 400)):
        assert len(applying(topic, CourseFacts(rows, 5000))) == 1  # type: ignore[arg-type]
    assert set(get_args(Topic)) == {rule.topic for rule in RULES}


def figure(setting: str, *errors: float, place: str = "cstr") -> MeasuredRun:
    return MeasuredRun("cell", place, 30, setting, 800, errors, errors)


CLAIM = Claim("cell", "gru", "lstm", places=("cstr", "debutanizer"))


@pytest.mark.parametrize(
    ("one", "other", "finding"),
    [
        ((1.0, 1.0, 1.0), (2.0, 2.1, 1.9), "agrees"),
        ((2.0, 2.1, 1.9), (1.0, 1.0, 1.0), "contradicts"),
        ((1.0, 1.0, 1.0), (1.5, 0.9, 1.1), "undecided"),
    ],
)
def test_a_difference_counts_beyond_twice_its_spread(
    one: tuple[float, ...], other: tuple[float, ...], finding: str
) -> None:
    found = weigh([CLAIM], (figure("gru", *one), figure("lstm", *other)))
    assert found.finding == finding
    (compared,) = found.comparisons
    ratio = math.prod(a / b for a, b in zip(one, other, strict=True)) ** (1 / 3)
    assert compared.percent == pytest.approx(100 * (ratio - 1))


def test_data_that_disagree_are_mixed_and_no_figures_are_none() -> None:
    known = (
        figure("gru", 1, 1, 1.01),
        figure("lstm", 2, 2, 2),
        figure("gru", 2, 2, 2, place="debutanizer"),
        figure("lstm", 1, 1, 1.01, place="debutanizer"),
    )
    assert weigh([CLAIM], known).finding == "mixed"
    assert weigh([CLAIM], ()).finding == "unmeasured"
    assert weigh([CLAIM], ()).text("en") == "not measured"


@given(
    st.floats(0.01, 100),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_the_unit_of_an_error_does_not_matter(scale: float, one: list[float], other: list[float]) -> None:
    """Law: in other units of the plant the finding is the same, and turned round it is the opposite."""
    plain = weigh([CLAIM], (figure("gru", *one), figure("lstm", *other))).comparisons[0]
    scaled = weigh([CLAIM], (figure("gru", *(scale * e for e in one)), figure("lstm", *(scale * e for e in other))))
    assert scaled.comparisons[0].percent == pytest.approx(plain.percent, rel=1e-6, abs=1e-6)
    back = weigh([Claim("cell", "lstm", "gru")], (figure("gru", *one), figure("lstm", *other))).comparisons[0]
    assert (1 + back.percent / 100) * (1 + plain.percent / 100) == pytest.approx(1)


def test_the_figures_say_where_they_come_from() -> None:
    """Every figure has as many errors as there are seeds, and the log has the entry that it names."""
    told = document()
    assert f"## {told['log']}\n" in (ROOT / "benchmarks" / "LOG.md").read_text("utf-8")
    assert all(len(one.errors) == len(one.seconds) == len(told["seeds"]) for one in figures())
    assert all(error > 0 for one in figures() for error in (*one.errors, *one.seconds))
    assert PLACE.stat().st_size < 100_000
    assert json.loads(PLACE.read_text("utf-8")) == told


def test_the_counsel_of_a_run_is_its_design() -> None:
    """What stands under "backmix chooses" is what the run will do; what the plan names is called so."""
    prepared = prepare(reading(small_table()), small_plan(model={"units": "auto"}))
    chosen = design(prepared)
    found = {one.topic: one for one in of_run(prepared, chosen)}
    assert tuple(found) == TOPICS
    assert found["size"].value == chosen.architecture.units
    assert found["cell"].value == chosen.architecture.cell
    assert found["loss"].value == chosen.settings.loss
    assert found["batch_size"].value == 32
    assert found["batch_size"].reason("en") == "named in the plan"
    assert "rule of thumb" in found["size"].reason("en")
    assert facts_of(prepared) == CourseFacts(rows=6, samples=len(prepared.train))


def test_the_counsel_of_a_situation_is_that_of_a_run_like_it() -> None:
    prepared = prepare(reading(small_table()), small_plan(model={"units": "auto"}, training={"batch_size": "auto"}))
    facts = facts_of(prepared)
    alike = {one.topic: one.value for one in situation(facts, tags=3)}
    found = {one.topic: one.value for one in of_run(prepared, design(prepared))}
    assert alike == found | {"loss": None}
    assert {one.topic: one.value for one in situation(CourseFacts(30, 500, kind="classes"))}["loss"] == (
        "sparse_categorical_crossentropy"
    )
    assert kind_of("forecast") == "regression"
