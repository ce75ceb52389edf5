"""The layout of a file on the screen.

This module shows each key of a layout with its evidence, and every question that a file leaves open, each answer on a
row of the file with its line of the plan. It also writes the page of the documentation about layouts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backmix.app.screen import note, show_line, show_table
from backmix.text import Language, say

if TYPE_CHECKING:
    from backmix.data.layout.detect import Detection

MOST_ROWS = 40
"""So many lines of evidence stand on the screen; all are in ``--json``."""


def show_detection(detection: Detection, *, fault: bool = False) -> None:
    """The layout with its evidence, then the open questions; on stderr before the ``fault`` that ends the reading."""
    from backmix.app.drafting.batches import LISTED, shown_batches
    from backmix.data.layout.evidence import toml

    why = {entry.key: entry for entry in detection.evidence}
    layout = detection.layout.model_dump(mode="json", exclude_none=True)
    asked = {question.key for question in detection.questions}
    rows = [
        (key, toml(value), why[key].sentence() if key in why else say("draft.asked" if key in asked else "draft.told"))
        for key, value in layout.items()
    ]
    rows += [(key, toml(entry.value), entry.sentence()) for key, entry in why.items() if key not in (*layout, LISTED)]
    if rows and not fault:
        heads = [say(f"draft.column_{key}") for key in ("key", "value", "evidence")]
        show_table(heads, rows[:MOST_ROWS], title=say("draft.layout_title"))
        if len(rows) > MOST_ROWS:
            show_line(say("draft.more", count=len(rows) - MOST_ROWS))
    elif fault:
        for key, value, sentence in [row for row in rows if row[0] in why][:MOST_ROWS]:
            note(f"{key} = {value}  # {sentence}")
    tell = note if fault else show_line
    for line in shown_batches(detection.evidence):
        tell(line)
    for question in detection.questions:
        from backmix.app.drafting.asking import of_layout

        for line in of_layout(question).lines():
            tell(line)


def page(lang: Language) -> str:
    """What can be read, as a page of the documentation: every shape, every key, and how questions are asked."""
    from typing import get_args

    from backmix.data.layout.layout import KEYS, Shape

    lines = [f"# {say('layout.page_title', lang)}", "", say("layout.page_lead", lang), ""]
    lines += [f"## {say('layout.page_shapes', lang)}", ""]
    for shape in get_args(Shape):
        sentence = say(f"layout.shape_{shape}", lang)
        lines += [f"![{shape}](images/shape_{shape}.svg)", "", f'`shape = "{shape}"`: {sentence}', ""]
    lines += [f"## {say('layout.page_keys', lang)}", "", f"| {say('draft.column_key', lang)} | |", "| --- | --- |"]
    lines += [f"| `{key}` | {say(f'layout.about_{key}', lang)} |" for key in KEYS]
    for part in ("beside", "questions", "tomorrow"):
        lines += ["", f"## {say(f'layout.page_{part}', lang)}", "", say(f"layout.page_{part}_text", lang)]
    return "\n".join([*lines, ""])
