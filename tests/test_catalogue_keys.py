"""Keys of the catalogue that are put together from parts: each that can be asked for is there in both languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import get_args, get_type_hints

import pytest

from backmix.app.layout import page
from backmix.data.auditing.finding import Severity
from backmix.data.layout.detect import CHANGED
from backmix.data.layout.layout import KEYS, Align, Shape
from backmix.data.ledger import Action
from backmix.data.reading.reading import ReadPlan
from backmix.data.splitting.split import PARTS, SplitPart
from backmix.data.tag import Role
from backmix.data.windows.origins import REASONS
from backmix.models.intervals.bands import Stage, Unit
from backmix.scoring.coverage import Method
from backmix.scoring.leakage.copies import Copy
from backmix.scoring.verdict import Outcome
from backmix.tasks.remaining_life import RemainingLifePlan
from backmix.text import LANGUAGES, sentences
from backmix.training.advice.course_rules import RULES, SETTING, TREE, Claim, Condition
from catalogue_forms import KeyForm, key_forms
from test_text import BESIDE

ROWS = ("dropped", "added")
SAME_TIME = set(get_args(ReadPlan.model_fields["duplicates"].annotation)) - {"refuse"}
UNITS = get_args(Unit)
EVERY_PART = [part.name.lower() for part in SplitPart]

TOGETHER = "audit.note_{}_{}"
"""The form of a key whose two words go together."""
PRACTICE = "report.check_{} training/advice/course_rules.py"

ELSEWHERE: Mapping[str, Iterable[str] | Iterable[tuple[str, ...]]] = {
    "app.action_{}": get_args(Action),
    "report.action_{}": get_args(Action),
    TOGETHER: [(action, "rows" if action in ROWS else "cells") for action in get_args(Action)],
    "backtest.verdict_{}": get_args(Outcome),
    "audit.role_{}": get_args(Role),
    "bundle.changed_{}": (*CHANGED, "layout"),
    "course.life_{}_{}": product(
        ("uncapped", "capped", "learned_capped"), get_args(RemainingLifePlan.model_fields["judged"].annotation)
    ),
    "draft.too_few_{}": ("backtest", "tune", "refit"),
    "evaluation.leak_copy_{}": get_args(get_type_hints(Copy)["how"]),
    "intervals.column_{}": {*get_args(Stage), "ahead"} - {"none"},
    "intervals.method_{}": get_args(Method),
    "intervals.of_{}": UNITS,
    "intervals.part_{}": ("test", "running"),
    "intervals.table_{}": {*get_args(Stage), "ahead"} - {"none"},
    "intervals.too_few_{}": UNITS,
    "intervals.unit_{}": UNITS,
    "layout.{}s": ("file", "sheet"),
    "read.reason_same_time_{}": SAME_TIME - {"spread"},
    "report.part_{}": [part.name.lower() for part in PARTS],
    "report.severity_{}": get_args(Severity),
    "rules.ask_{}": [question.name for question in TREE],
    "rules.if_{}_{}": [
        (name, str(value).lower())
        for rule in RULES
        for name in Condition.__dataclass_fields__
        if name not in ("rows", "samples") and (value := getattr(rule.when, name)) is not None
    ],
    "rules.letter_{}": {rule.letter.lower() for rule in RULES} - {""},
    "rules.measured_{}": get_args(get_type_hints(Claim)["by"]),
    PRACTICE: [rule.name for rule in RULES if rule.topic == "practice"],
    "rules.why_{}": [rule.name for rule in RULES if rule.topic != "practice"],
    "training.why_{}": ("patience", "epochs", "callback", "interrupted"),
    "rules.title_{}": [topic for topic in (*SETTING, "practice") if topic != "cell"],
    "shape.reason_{}": set(get_args(Align)) - {"last"},
    "tune.part_{}": ("plan", "data", "search"),
    "windows.part_{}": EVERY_PART,
    "windows.reason_{}": (*REASONS, "broken_batch"),
}
"""Forms whose words the code takes from an attribute or from data: where these come from."""
NO_KEYS = {
    "data.{}": "a key of a plan",
    "repair.{}": "a key of a plan",
    "training.{}": "said only where the catalogue has it",
}
"""Texts that only look like keys of the catalogue."""
FORMS = [form for form in key_forms() if form.form not in NO_KEYS]


def _keys(form: KeyForm) -> Iterable[str]:
    if form.form != TOGETHER and form.keys is not None:
        return form.keys
    words = ELSEWHERE.get(f"{form.form} {form.where.partition(':')[0]}", ELSEWHERE.get(form.form))
    assert words is not None, (
        f"{form.where}: nobody says what may stand in the blank of {form.form!r}. Write the words where it is said, "
        "or say in ELSEWHERE where they come from"
    )
    words = list(words)  # type: ignore[assignment]
    assert words
    return [form.form.format(*((word,) if isinstance(word, str) else word)) for word in words]


@pytest.mark.parametrize("form", FORMS, ids=[f"{form.form} {form.where}" for form in FORMS])
def test_every_key_of_a_form_has_a_sentence_in_both_languages(form: KeyForm) -> None:
    lacking = []
    for key in _keys(form):
        stage, _, name = key.partition(".")
        sentence = BESIDE.get(key) or sentences(stage).get(name, {})
        lacking += [] if set(sentence) == set(LANGUAGES) else [key]
    assert lacking == []


def test_the_walk_is_whole() -> None:
    """Forms are read from the code where it can be; nothing is declared that the code says, or no longer asks for."""
    assert len(FORMS) > 80
    assert {name.partition(" ")[0] for name in ELSEWHERE} <= {form.form for form in FORMS}
    assert set(ELSEWHERE) - {form.form for form in FORMS if form.keys is None} <= {TOGETHER, PRACTICE}
    assert set(NO_KEYS) <= {form.form for form in key_forms()}
    read = [form for form in FORMS if form.keys is not None]
    assert len(read) > 40
    by_form = {form.form: form.keys for form in read}
    assert by_form["clock.unit_{}"] == {f"clock.unit_{word}" for word in ("day", "hour", "minute", "second")}
    assert "backtest.head_folds" in by_form["backtest.head_{}"]  # type: ignore[operator]


def test_a_form_that_nobody_can_expand_fails() -> None:
    with pytest.raises(AssertionError, match=r"here\.py:1: nobody says"):
        _keys(KeyForm("app.nobody_{}", "here.py:1", None))


def test_the_page_about_reading_names_every_key_and_shape() -> None:
    for lang in LANGUAGES:
        text = page(lang)
        assert all(f"| `{key}` |" in text for key in KEYS)
        assert all(f"shape_{shape}.svg" in text for shape in get_args(Shape))
