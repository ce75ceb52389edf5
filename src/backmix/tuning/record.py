"""What is left of a search: its folder.

This module writes the plan that was found, the table of trials and the summary of a search, and reads the
summary of a finished one. There is no score of the test part in it: no trial has seen one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.results.claim import relative_to
from backmix.results.folders import SummaryFolder
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import number, unit_title
from backmix.scoring.verdict import SAME
from backmix.storage import json_ready, write_atomic, write_json
from backmix.text import LANGUAGES, Language, language, say
from backmix.training.plan import Plan
from backmix.tuning.setup import SearchSetup
from backmix.tuning.space import changed, label_of
from backmix.tuning.study import AS_IS, FOLDS, JUDGED, SECONDS, WHY, Book, spelled

if TYPE_CHECKING:
    import optuna

TUNED = "tuned.toml"
TRIALS = "trials.csv"
SQLITE = "sqlite:///"
LEAST_TRIALS = 10
"""Finished trials below which nothing is said about which setting matters."""


@dataclass(frozen=True)
class TrialRow:
    """A trial as a person reads it.

    number: counted from 1; state: "as_is", "done" or "given_up"
    error: the mean over the folds, None for a trial that was given up; folds: the error on each
    why: why it was given up, or what it repeats, in both languages
    """

    number: int
    state: str
    error: float | None
    folds: tuple[float | None, ...]
    seconds: float
    settings: Mapping[str, Any]
    why: Mapping[str, str]

    def reason(self, lang: Language | None = None) -> str:
        """Why, in the language of the moment unless one is named; empty when there is nothing to say."""
        return self.why.get(lang or language(), "")


@dataclass(frozen=True)
class Origin:
    """Where the table of a search is from.

    file: the table, if one was handed over; base: the folder from which the paths of the plan count, if it was not
    """

    file: Path | None
    base: Path | None


class Search(SummaryFolder):
    """A finished search: its folder, and the summary kept there, ready for JSON.

    summary: verdict (per language), metric, trials, importance, settings ...
    """

    summary_name = "tune.json"
    needed = frozenset({"verdict", "trials", "best"})
    missing = "tune.no_search"

    @property
    def plan_path(self) -> Path:
        """The file of the plan that was found."""
        return self.folder / TUNED

    @property
    def plan(self) -> Plan:
        """The plan that was found: that of the best trial, or the plan as it was."""
        return Plan.load(self.plan_path)

    @property
    def rows(self) -> tuple[TrialRow, ...]:
        """The trials in their order."""
        return tuple(TrialRow(**{**row, "folds": tuple(row["folds"])}) for row in self.summary["trials"])


def row_of(book: Book, number_in_study: int) -> TrialRow:
    """A trial that is over, by its number in the study."""
    number, trial = next(pair for pair in enumerate(book.over, 1) if pair[1].number == number_in_study)
    return _row(book, number, trial)


def _row(book: Book, number: int, trial: optuna.trial.FrozenTrial) -> TrialRow:
    kept = trial.user_attrs
    done = trial.state.name == "COMPLETE"
    return TrialRow(
        number=number,
        state="as_is" if kept.get(AS_IS) else "done" if done else "given_up",
        error=trial.value if done else None,
        folds=tuple(kept.get(FOLDS, ())),
        seconds=float(kept.get(SECONDS, 0.0)),
        why=kept.get(WHY, {}),
        settings={name: label_of(value) for name, value in book.values(trial).items()},
    )


def record_search(folder: Path, setup: SearchSetup, book: Book, *, origin: Origin) -> Search:
    """Write everything into a folder, the summary last."""
    rows = [_row(book, number, trial) for number, trial in enumerate(book.over, 1)]
    as_is, best = rows[0], best_of(rows)
    judged = book.over[0].user_attrs[JUDGED]
    trial = book.over[best.number - 1]
    plan = changed(setup.plan, book.values(trial)) if best is not as_is else setup.plan
    verdict: dict[str, str] = {lang: _sentence(rows, best, judged, setup, lang) for lang in LANGUAGES}
    write_atomic(folder / TUNED, _toml(_moved(plan, origin, folder), best, rows, verdict))
    write_atomic(folder / TRIALS, _csv(rows, setup))
    assert as_is.error is not None
    assert best.error is not None
    summary = {
        "verdict": verdict,
        **judged,
        "best": best.number,
        "better": best is not as_is,
        "as_is_error": as_is.error,
        "best_error": best.error,
        "gain": (as_is.error - best.error) / as_is.error if as_is.error else 0.0,
        "changes": dict(best.settings),
        "trials": [asdict(row) for row in rows],
        "importance": book.importance(LEAST_TRIALS),
        "space": [
            knob.to_dict() | {"reason": {lang: say(knob.reason_key, lang) for lang in LANGUAGES}}
            for knob in setup.space
        ],
        "left_out": {"windows.lookback": [label_of(value) for value in setup.left_out]} if setup.left_out else {},
        "folds": {
            **setup.validation.plan.model_dump(),
            "inside_batches": setup.validation.inside,
            "judged_windows": [len(rows) for rows in setup.judged],
        },
        "rows": {"seen": len(setup.table), "kept_from_the_search": setup.cut},
        "plan": plan.to_toml(),
    }
    summary = json_ready(summary)
    write_json(folder / Search.summary_name, summary)
    return Search(folder=folder, summary=summary)


def best_of(rows: Sequence[TrialRow]) -> TrialRow:
    """The trial with the smallest error; the plan as it is unless one is better by more than makes no difference."""
    as_is = rows[0]
    assert as_is.error is not None
    others = [row for row in rows[1:] if row.error is not None]
    if not others:
        return as_is
    best = min(others, key=lambda row: float(row.error or 0.0))
    assert best.error is not None
    return best if best.error < (1 - SAME) * as_is.error else as_is


def error_title(judged: Mapping[str, Any], lang: Language | None = None) -> str:
    """What the error of a search is called: the metric, or what is missing from 1."""
    metric = metrics.get(judged["metric"])
    title = metric.title(lang)
    if judged["targets"] > 1:
        kind = "mean_in_spreads" if metric.unit == "target" else "mean_over_targets"
        title = say(f"evaluation.{kind}", lang, metric=title, targets=judged["targets"])
    return say("tune.missing", lang, metric=title) if metric.better == "higher" else title


def shown_error(value: float | None, judged: Mapping[str, Any]) -> str:
    """An error as a person reads it, with its unit."""
    return "–" if value is None else f"{number(value, share=judged['share'])} {unit_title(judged['unit'])}".rstrip()


def shown_settings(row: TrialRow) -> str:
    """The settings of a trial in one line, and why it ended early if it did."""
    settings = say("tune.as_is") if row.state == "as_is" else spelled(row.settings)
    return f"{settings} · {row.reason()}" if row.reason() else settings


def shown_trial(row: TrialRow, trials: int) -> str:
    """A trial that is over in one line."""
    outcome = "–" if row.error is None else number(row.error)
    return say("tune.told_trial", number=row.number, trials=trials, outcome=outcome, settings=shown_settings(row))


def _sentence(
    rows: Sequence[TrialRow], best: TrialRow, judged: Mapping[str, Any], setup: SearchSetup, lang: Language
) -> str:
    as_is = rows[0]
    values = {
        "trials": len(rows),
        "folds": setup.validation.count,
        "metric": error_title(judged, lang),
        "as_is": shown_error(as_is.error, judged),
        "best": shown_error(best.error, judged),
        "number": best.number,
        "rows": f"{setup.cut:,}",
    }
    if best is not as_is:
        assert as_is.error is not None
        assert best.error is not None
        gain = 100 * (as_is.error - best.error) / as_is.error
        return say("tune.found", lang, **values, gain=f"{gain:.1f}")
    return say("tune.nothing_better" if len(rows) > 1 else "tune.only_as_is", lang, **values)


def _toml(plan: Plan, best: TrialRow, rows: Sequence[TrialRow], verdict: Mapping[str, str]) -> str:
    """The plan as a file that says where it comes from."""
    comments = [verdict["en"], verdict["zh_TW"]]
    if best is not rows[0]:
        comments.append(spelled(best.settings))
    return "".join(f"# {line}\n" for line in comments) + "\n" + plan.to_toml()


def _moved(plan: Plan, origin: Origin, folder: Path) -> Plan:
    """The plan with its paths as seen from the folder that it is written into."""
    data, base = plan.data, origin.base
    if origin.file is not None:
        data = data.of_file(relative_to(origin.file, folder))
    elif base is not None:
        if data.file is not None:
            moved = [relative_to(base / name, folder) for name in data.files]
            data = data.model_copy(update={"file": moved[0] if isinstance(data.file, str) else tuple(moved)})
        if data.lab is not None and data.lab.file is not None:
            lab = data.lab.model_copy(update={"file": relative_to(base / data.lab.file, folder)})
            data = data.model_copy(update={"lab": lab})
    if base is not None and origin.file is None and data.sql is not None and data.sql.startswith(SQLITE):
        data = data.model_copy(update={"sql": SQLITE + relative_to(base / data.sql.removeprefix(SQLITE), folder)})
    # a new search of the plan that was found is a study of its own
    return plan.model_copy(update={"data": data, "tune": plan.tune.model_copy(update={"storage": None})})


def _csv(rows: Sequence[TrialRow], setup: SearchSetup) -> str:
    """The trials as a table: number, state, mean error, error per fold, seconds, settings."""
    import csv
    import io

    names = [knob.name for knob in setup.space]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["trial", "state", "error", *(f"fold_{n + 1}" for n in range(setup.validation.count)), "seconds", *names]
    )
    for row in rows:
        folds = [*row.folds, *[None] * (setup.validation.count - len(row.folds))]
        writer.writerow(
            [row.number, row.state, row.error, *folds, row.seconds, *(row.settings.get(name) for name in names)]
        )
    return text.getvalue()
