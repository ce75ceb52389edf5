"""What a run keeps in ``run.json``.

This module writes the results of a run as data ready for JSON. Others read these keys: new ones may come, none may
go or mean something else.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from backmix.report.checklist import checklist
from backmix.report.data import ReportData
from backmix.report.page.intervals import failure
from backmix.results.not_judged import of_test
from backmix.results.run_results import RunResults
from backmix.scoring.leakage.availability import texts
from backmix.text import LANGUAGES, Language, speak
from backmix.training.prepared import Prepared


def summary_of(results: RunResults, report: ReportData) -> dict[str, Any]:
    """The results of a run, ready for JSON; ``report`` has gathered them for the page already."""
    verdict, fitted, account = results.judgement.verdict, results.fitted, results.prepared.account
    return {
        "network": results.ensemble.name,
        "runs": dict(results.ensemble.shares),
        "verdict": {lang: _verdict(verdict.text(lang), results, lang) for lang in LANGUAGES},
        "judgement": verdict.to_dict(),
        "best_baseline": verdict.baseline.model if verdict.baseline else None,
        "scores": [row.to_dict() for row in results.judgement.scores],
        "choices": [decision.to_dict() for decision in results.decisions],
        "architecture": results.design.architecture.to_dict(),
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history["loss"]),
        "history": fitted.history,
        "stopped": fitted.stopped,
        "seconds": fitted.seconds,
        "windows": results.windows,
        "rows": {"read": account.read, "used": account.used, "repaired": account.repaired, "dropped": account.dropped},
        "not_judged": of_test(results.prepared).to_dict(),
        "audit": results.audit.to_dict(),
        "leakage": [result.to_dict() for result in results.leakage],
        "availability": texts(report.rule),
        "checklist": [check.to_dict() for check in checklist(report)],
        "intervals": results.coverage.to_dict(),
        "test_rows_id": _test_rows_id(results.prepared),
        "insight": results.insight.to_dict() if results.insight else None,
        "by_regime": [score.to_dict() for score in report.by_regime],
        "data": results.place,
        "trained_on": trained_on(results.prepared),
        "environment": dict(report.environment),
    }


def _verdict(verdict: str, results: RunResults, lang: Language) -> str:
    """The verdict, followed by who is not judged, and by a sentence about intervals that did not hold."""
    with speak(lang):
        failed = failure(results.coverage)
    sentences = (verdict, *of_test(results.prepared).verdict(lang), failed)
    return (" " if lang == "en" else "").join(sentence for sentence in sentences if sentence)


def _test_rows_id(prepared: Prepared) -> str:
    """A digest of the test rows and their truth: runs are compared only where it is equal."""
    return hashlib.sha256(prepared.test.origins.tobytes() + prepared.test.truth().tobytes()).hexdigest()[:12]


def trained_on(prepared: Prepared) -> dict[str, str] | None:
    """First and last time that the network and what it started from have learned from; None if not known."""
    return None if prepared.period is None else asdict(prepared.period)
