"""What the model of a finished run looks at, after the fact.

This module reads the data of a run again (or another table), looks into the model more thoroughly
than the run itself did, and writes one page per language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.errors import InputError
from backmix.results.claim import claimed_data, fingerprint
from backmix.results.reading import reading_of
from backmix.results.report import title
from backmix.results.run import Run
from backmix.storage import write_atomic
from backmix.text import LANGUAGES, Language, language
from backmix.training.plan import Plan

if TYPE_CHECKING:
    from backmix.data.sources import Reading
    from backmix.inspection import Insight, Subject


@dataclass(frozen=True, eq=False)
class Explanation:
    """An insight into a model, and the pages that show it.

    pages: the file of each language
    """

    insight: Insight
    pages: Mapping[Language, Path]

    @property
    def page(self) -> Path:
        """The page in the language of the moment."""
        return self.pages[language()]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it means for the plant, in the language of the moment."""
        from backmix.inspection.sentences import sentences

        return sentences(self.insight)


def explain(
    run: Run | Path | str,
    *,
    data: Any = None,
    at: str | int | None = None,
    rows: int | None = None,
    target: str | None = None,
    out: Path | str | None = None,
) -> Explanation:
    """Show what the model of a finished run looks at, and what its networks do inside.

    data: the table to look at (a file, a frame, a `Table`); None reads that of the run again, and
        then its test part is looked at; of any other table all of its rows are
    at, rows: which stretch of gates is shown; see `inspection.stretch.choose`
    target: which of several targets is explained, None for the first
    out: where ``explain.en.html`` and ``explain.zh_TW.html`` are written; None for the run's folder

    Raises InputError, PlanError, BundleError, StorageError.
    """
    from backmix.inspection import THOROUGH, look

    run = run if isinstance(run, Run) else Run.load(run)
    if not run.bundle.preprocessing.tells_what_is_judged:
        raise InputError("anomaly.no_insight", where=run.folder, task=run.bundle.preprocessing.task.name)
    plan = Plan.parse(run.bundle.plan, where=str(run.bundle_path))
    subject, source = _subject(run, plan, data, _target(run, target))
    insight = replace(look(subject, THOROUGH, seed=plan.training.seed, place=at, rows=rows), source=source)
    folder = run.folder if out is None else Path(out)
    pages = {lang: folder / f"explain.{lang}.html" for lang in LANGUAGES}
    for lang, page in _pages(run, plan, subject, insight).items():
        write_atomic(pages[lang], page)
    return Explanation(insight=insight, pages=pages)


def _target(run: Run, name: str | None) -> int:
    names = [tag.name for tag in run.bundle.preprocessing.task.targets]
    if name is None:
        return 0
    if name not in names:
        raise InputError("insight.no_target", where=run.folder, target=name, names=", ".join(names))
    return names.index(name)


def _subject(run: Run, plan: Plan, data: Any, target: int) -> tuple[Subject, str]:
    """The model on the test part of its own data, or on all of another table, whose name is shown then."""
    from backmix.data.windows.windows import build_windows
    from backmix.inspection import Subject
    from backmix.training.prepare import prepare

    bundle = run.bundle
    reading = _again(run, plan) if data is None else reading_of(data, plan, Path())
    if fingerprint(reading.table) == claimed_data(run.folder):
        prepared = prepare(reading, plan)
        return Subject.of(prepared, bundle.network, bundle.architecture, target=target), ""
    if data is None:
        raise InputError("insight.other_data", where=run.folder)
    preprocessing, table = bundle.preprocessing, reading.table
    known = all(tag.name in table.names for tag in preprocessing.task.targets)
    windows, _ = preprocessing.windows(table, need_target=known)
    every = (
        windows
        if preprocessing.spec.lookback is None
        else build_windows(windows.table, preprocessing.spec.without_target()).scaled(
            preprocessing.scaler, preprocessing.target_scaler
        )
    )
    subject = Subject(
        model=bundle.network,
        architecture=bundle.architecture,
        task=preprocessing.task,
        windows=windows,
        background=windows,
        every=every,
        step=preprocessing.step,
        target=target,
    )
    return subject.plain(), table.source


def _again(run: Run, plan: Plan) -> Reading:
    """The data of the run, read once more from where the run found it."""
    place = run.summary.get("data") or {}
    named = any(getattr(plan.data, key) is not None for key in ("file", "set", "plant", "sql"))
    if not named and "file" not in place:
        raise InputError("insight.no_data", where=run.folder)
    try:
        if "file" in place:
            return reading_of(run.folder / place["file"], plan, Path())
        return reading_of(None, plan, run.folder / place.get("base", "."))
    except InputError as fault:
        raise InputError("insight.lost_data", where=run.folder, fault=fault) from None


def _pages(run: Run, plan: Plan, subject: Subject, insight: Insight) -> dict[Language, bytes]:
    from backmix.report.data import ReportData
    from backmix.report.render import render_explanation

    return {
        lang: render_explanation(
            ReportData(
                title=title(plan, subject.task, subject.table),
                task=subject.task,
                verdict=str(run.summary["verdict"][lang]),
                insight=insight,
                plan=run.bundle.plan,
                environment=run.summary.get("environment", {}),
            ),
            lang,
        )
        for lang in LANGUAGES
    }
