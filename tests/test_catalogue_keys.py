"""Keys of the catalogue that are put together from parts: each that can be asked for is there in both languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import pytest

from backmix.app.layout import page
from backmix.data.auditing.finding import KINDS
from backmix.data.layout.detect import CHANGED
from backmix.data.layout.layout import KEYS, Shape
from backmix.data.ledger import Action
from backmix.data.splitting.split import PARTS, SplitPart
from backmix.data.tag import Role
from backmix.data.windows.origins import REASONS
from backmix.text import LANGUAGES, sentences

ROWS = ("dropped", "added")
ASKED: dict[str, Iterable[str]] = {
    "app.action_{}": get_args(Action),
    "report.action_{}": get_args(Action),
    "audit.note_{}": [f"{action}_{'rows' if action in ROWS else 'cells'}" for action in get_args(Action)],
    "audit.finding_{}": KINDS,
    "audit.remark_{}": KINDS,
    "audit.role_{}": get_args(Role),
    "windows.reason_{}": (*REASONS, "broken_batch"),
    "windows.part_{}": [part.name.lower() for part in SplitPart],
    "report.part_{}": [part.name.lower() for part in PARTS],
    "report.severity_{}": ("error", "warning", "info"),
    "read.reason_same_time_{}": ("first", "last", "mean"),
    "layout.about_{}": KEYS,
    "layout.shape_{}": get_args(Shape),
    "bundle.changed_{}": (*CHANGED, "layout"),
    "draft.too_few_{}": ("backtest", "tune", "refit"),
}
"""Each form of a key, with everything that may stand in its blank."""


@pytest.mark.parametrize("form", ASKED)
def test_every_key_of_a_form_has_a_sentence_in_both_languages(form: str) -> None:
    stage, name = form.split(".")
    known = sentences(stage)
    wanted = [name.format(part) for part in ASKED[form]]
    assert wanted
    assert [key for key in wanted if set(known.get(key, {})) != set(LANGUAGES)] == []


def test_the_page_about_reading_names_every_key_and_shape() -> None:
    for lang in LANGUAGES:
        text = page(lang)
        assert all(f"| `{key}` |" in text for key in KEYS)
        assert all(f"shape_{shape}.svg" in text for shape in get_args(Shape))
