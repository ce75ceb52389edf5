"""Questions that only a person can answer.

This module shows what a file leaves open, each answer with what it means, asks for it on a terminal, and names the
open keys in one error where nobody can be asked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backmix.data.layout.evidence import LayoutQuestion, toml
from backmix.errors import PlanError
from backmix.text import say


@dataclass(frozen=True)
class PlanAnswer:
    """One answer: its value, the option of the command line that gives it, and what it means."""

    value: Any
    option: str
    shown: str


@dataclass(frozen=True)
class PlanQuestion:
    """What is open. key: of the plan ("data.day_first", "task.target"); where, row: what it is about."""

    key: str
    answers: tuple[PlanAnswer, ...]
    where: str
    row: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """The question in words: the key with the row of the file, and every answer below it."""
        row = say("draft.row", row=" | ".join(cell[:40] for cell in self.row[:12])) if self.row else ""
        head = say("draft.question", key=self.key, where=self.where) + row
        return (head, *(f"  {answer.option}  {answer.shown}".rstrip() for answer in self.answers))


def of_layout(question: LayoutQuestion) -> PlanQuestion:
    """A question about the layout of the table."""
    answers = tuple(
        PlanAnswer(reading.value, f"--data {shell(f'{question.key}={toml(reading.value)}')}", reading.shown)
        for reading in question.readings
    )
    return PlanQuestion(f"data.{question.key}", answers, question.where, question.row)


def shell(word: str) -> str:
    """A word as it is typed on the command line.

    >>> shell("day_first=true"), shell('time="Date of sample"')
    ('day_first=true', '\\'time="Date of sample"\\'')
    """
    import shlex

    return shlex.quote(word)


def refuse_open(questions: Sequence[PlanQuestion], where: str) -> None:
    """PlanError that names every open key; nothing when there is none."""
    if not questions:
        return
    from backmix.app.screen import note

    for question in questions:
        for line in question.lines():
            note(line)
    raise PlanError(
        "draft.open",
        where=where,
        keys=", ".join(question.key for question in questions),
        options=", ".join(question.answers[0].option for question in questions if question.answers) or "-",
    )


def ask(question: PlanQuestion) -> Any:
    """The answer that a person chooses by its number on the terminal."""
    import typer

    head, *_ = question.lines()
    typer.echo(head, err=True)
    for number, answer in enumerate(question.answers, 1):
        typer.echo(f"  {number}  {answer.value}  {answer.shown}".rstrip(), err=True)
    chosen = 0
    while not 1 <= chosen <= len(question.answers):
        chosen = typer.prompt(say("draft.which", count=len(question.answers)), type=int, err=True)
    return question.answers[chosen - 1].value


def can_ask() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()
