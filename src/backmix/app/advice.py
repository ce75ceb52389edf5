"""Advice on the screen.

This module prints the decisions of a plan or a situation beside the rules of the course and what was measured, and
the whole tree with all rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backmix.app.screen import show_json, show_line, show_table
from backmix.text import Language, say, speak
from backmix.training.advice.counsel import Counsel, rule_to_dict
from backmix.training.advice.course_rules import RULES, SETTING, TREE, CourseFacts, CourseRule, Topic, concluded, path
from backmix.training.advice.measured import source, weigh


def show_counsel(counsel: Sequence[Counsel]) -> None:
    """The path through the tree; each decision: the course, backmix, what was measured; then the course's reasons."""
    for line in path_lines(counsel[0].facts):
        show_line(line)
    rows = [
        (
            SETTING[advice.topic],
            say("rules.or").join(advice.course) or say("rules.nothing_said"),
            shown(advice.value),
            advice.reason(),
            "\n".join(f"{rule.says()}: {weigh(rule.claims).text(brief=True)}" for rule in advice.rules),
        )
        for advice in counsel
    ]
    show_table(
        [say("app.col_setting"), *(say(f"rules.col_{key}") for key in ("course", "here", "reason", "measured"))], rows
    )
    for advice in counsel:
        for rule in advice.rules:
            show_line(
                f"• {SETTING[advice.topic]}: {rule.when.text()} → {rule.says()} — {rule.why()}{_letter(rule)}. "
                f"{weigh(rule.claims).text()}"
            )
    show_line(source_line())


def path_lines(facts: CourseFacts) -> list[str]:
    """The questions of the tree with their answers, and the conclusion."""
    steps = path(facts)
    lines = [
        say(
            "rules.step",
            question=say(f"rules.ask_{step.question.name}"),
            answer=say("rules.yes" if step.yes else "rules.no"),
            cells=step.rule.says() if step.rule else say("rules.go_on"),
        )
        for step in steps
    ]
    agreed = say("rules.or").join(concluded(steps))
    return [*lines, say("rules.concluded", cells=agreed) if agreed else say("rules.concluded_not")]


def tree_lines() -> list[str]:
    """The whole tree, a question and its two answers on three lines."""
    lines = []
    for question in TREE:
        lines.append(say(f"rules.ask_{question.name}"))
        for answer, rule in (("yes", question.yes), ("no", question.no)):
            ends = say("rules.go_on") if rule is None else f"{rule.says()} — {rule.why()}. {weigh(rule.claims).text()}"
            lines.append(f"  {say(f'rules.{answer}')} → {ends}")
    return lines


def show_tree(*, as_json: bool) -> None:
    """The tree, and every rule of every chooser with its reason and what was measured."""
    if as_json:
        show_json(
            {
                "tree": [
                    {"question": question.name, "yes": question.yes.name, "no": question.no and question.no.name}
                    for question in TREE
                ],
                "rules": [rule_to_dict(rule) for rule in RULES],
                "source": source(),
            }
        )
        return
    show_line(say("rules.tree_title"))
    for line in tree_lines():
        show_line(line)
    for topic, head, rows in rule_tables():
        show_table(head, rows, title=say(f"rules.title_{topic}"))
    show_line(source_line())


def rule_tables() -> list[tuple[Topic, list[str], list[list[str]]]]:
    """A table for each topic: heads, and a row for each rule; rules for the cell are in the tree."""
    tables = []
    for topic in (*(topic for topic in SETTING if topic != "cell"), "practice"):
        rules = [rule for rule in RULES if rule.topic == topic]
        keys = ("course", "why", "measured") if topic == "practice" else ("when", "course", "why", "measured")
        cells = [
            {
                "when": rule.when.text(),
                "course": rule.says(),
                "why": rule.why() + _letter(rule),
                "measured": weigh(rule.claims).text(),
            }
            for rule in rules
        ]
        tables.append((topic, [say(f"rules.col_{key}") for key in keys], [[row[key] for key in keys] for row in cells]))
    return tables  # type: ignore[return-value]  # a Literal in a loop is a str


def page(lang: Language) -> str:
    """The tree and the rules as a page of the documentation (Markdown) in one language."""
    with speak(lang):
        parts = [
            f"# {say('rules.page')}",
            "",
            say("rules.page_about"),
            "",
            say("rules.page_twin"),
            "",
            f"## {say('rules.tree_title')}",
            "",
        ]
        parts += [f"{'  - ' if line.startswith('  ') else '- '}{line.strip()}" for line in tree_lines()]
        for topic, head, rows in rule_tables():
            parts += ["", f"## {say(f'rules.title_{topic}')}", ""]
            parts += [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
        return "\n".join([*parts, "", source_line(), ""])


def shown(value: Any) -> str:
    """A value as a plan writes it."""
    if value is None:
        return say("rules.nothing_said")
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _letter(rule: CourseRule) -> str:
    return "" if not rule.letter else f" ({say(f'rules.letter_{rule.letter.lower()}').rstrip('.。')})"


def source_line() -> str:
    """Where the figures come from."""
    return say("rules.source", **source() | {"seeds": ", ".join(map(str, source()["seeds"]))})
