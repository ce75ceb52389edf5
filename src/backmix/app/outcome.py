"""The results of commands on the screen.

This module prints runs, bundles, audits, advice and comparisons, for people or as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backmix.app.screen import note, show_json, show_line, show_table
from backmix.text import LANGUAGES, language, say

if TYPE_CHECKING:
    from backmix.data.auditing.audit import Audit
    from backmix.data.delays.dead_time import Scan
    from backmix.data.layout.detect import Detection
    from backmix.data.ledger import Ledger
    from backmix.data.sources import Reading
    from backmix.results.run import Run
    from backmix.serving.bundle import Bundle
    from backmix.training.design import Design
    from backmix.training.prepared import Prepared


def show_run(run: Run, *, as_json: bool) -> None:
    """Scores, the path of the report, and the verdict last."""
    if as_json:
        show_json(run.to_dict())
        return
    _show_scores(run.summary["scores"])
    show_line(say("audit.account", **run.summary["rows"]))
    for line in run.summary.get("not_judged", {}).get("text", {}).get(language(), ()):
        show_line(line)
    show_line(say("app.report_at", where=run.report_path()))
    show_line(say("app.bundle_at", where=run.bundle_path))
    if known := run.summary.get("availability"):
        show_line(say("rules.known", rule=known[language()]))
    show_line(run.verdict)


def _show_scores(scores: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for row in scores if row["part"] == "test" and not row["label"]]
    if not rows:
        return
    metrics = list(dict.fromkeys(row["metric"] for row in rows))[:6]
    several = len({row["target"] for row in rows}) > 1
    lines = []
    for model, target in dict.fromkeys((row["model"], row["target"]) for row in rows):
        by_metric = {row["metric"]: row for row in rows if (row["model"], row["target"]) == (model, target)}
        name = f"{model} · {target}" if several else model
        lines.append([name, *(_score(by_metric.get(metric)) for metric in metrics)])
    units = {row["metric"]: row["unit"] for row in rows}
    headers = [f"{metric} [{units[metric]}]" if units[metric] else metric for metric in metrics]
    show_table([say("app.col_model"), *headers], lines, title=say("app.scores_title", windows=rows[0]["windows"]))


def _score(row: Mapping[str, Any] | None) -> str:
    from backmix.scoring.bootstrap import Interval
    from backmix.scoring.scores import shown

    if row is None or row["value"] is None:
        return "–"
    return shown(row["value"], Interval(row["low"], row["high"]), share=row["share"])


def show_audit(audit: Audit, reading: Reading, *, detection: Detection | None) -> None:
    """The audit as a table, with what reading did to the rows; as JSON with the layout when that is given."""
    from backmix.results.not_judged import of_reading

    not_judged = of_reading(reading)
    if detection is not None:
        show_json(
            audit.to_dict()
            | {"rows": reading.ledger.read, "notes": [_note(entry) for entry in reading.ledger.notes]}
            | detection.to_dict()
            | {"not_judged": not_judged.to_dict()}
        )
        return
    headers, *rows = audit.lines(language())
    show_table(headers, rows, title=say("app.audit_title", rows=len(reading.table), tags=len(reading.table.tags)))
    for finding in audit.findings:
        show_line(f"• {finding.sentence(language())}")
    for line in not_judged.sentences():
        show_line(line)
    show_ledger(reading.ledger)


def show_ledger(ledger: Ledger) -> None:
    """What is different about a file, and what was done to the rows, on stderr."""
    for difference in ledger.differences:
        note(say("bundle.different", text=difference.sentence()))
    for entry in ledger.notes:
        where = f" · {entry.tag}" if entry.tag else ""
        example = f" · {entry.example}" if entry.example else ""
        note(f"{say(f'app.action_{entry.action}')}: {say(entry.reason)}{where} · {entry.count}{example}")


def _note(entry: Any) -> dict[str, Any]:
    return {
        "action": entry.action,
        "reason": entry.reason,
        "count": entry.count,
        "tag": entry.tag,
        "example": entry.example,
    }


def show_advice(prepared: Prepared, design: Design, *, dead_times: Scan | None, as_json: bool) -> None:
    """The advice of the course, what "auto" becomes, and what was measured; the size of the network, which labels are
    known, and the dead times of the inputs."""
    from backmix.app.advice import show_counsel
    from backmix.app.delays import delays_to_dict, show_delays
    from backmix.models.shape.size import memory, parameters
    from backmix.scoring.leakage.availability import rule, text, texts
    from backmix.training.advice.counsel import of_run
    from backmix.training.advice.course_rules import SETTING
    from backmix.training.advice.measured import source

    decisions = [*prepared.decisions, *design.decisions]
    count = parameters(design.architecture)
    megabytes = memory(design.architecture, design.settings.batch_size, rows=prepared.train.steps) / 2**20
    windows = {name: len(part) for name, part in prepared.parts.items()}
    known = rule(prepared.task, prepared.preprocessing.spec, prepared.preprocessing.step, table=prepared.table)
    counsel = of_run(prepared, design)
    if as_json:
        show_json(
            {
                "choices": [decision.to_dict() | {"reason": decision.reason()} for decision in decisions],
                "counsel": [advice.to_dict() for advice in counsel],
                "source": source(),
                "availability": texts(known),
                "parameters": count,
                "memory_bytes": int(megabytes * 2**20),
                "windows": windows,
                "dead_times": dead_times and delays_to_dict(dead_times, prepared.preprocessing.spec),
            }
        )
        return
    show_counsel(counsel)
    others = [decision for decision in decisions if decision.setting not in SETTING.values()]
    show_table(
        [say("app.col_setting"), say("app.col_value"), say("app.col_reason")],
        [(decision.setting, _value(decision.value), decision.reason()) for decision in others],
    )
    show_line(say("rules.known", rule=text(known)))
    show_line(say("app.size", parameters=count, memory=f"{megabytes:.1f}", **windows))
    if dead_times is not None:
        show_delays(dead_times, prepared.preprocessing.spec)


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def show_bundle(bundle: Bundle, *, as_json: bool) -> None:
    """Tags with units, network, scores and verdict of a bundle."""
    from backmix.inspection.sentences import runs
    from backmix.models.ensemble import NETWORKS
    from backmix.models.shape.forms import describe
    from backmix.models.shape.size import parameters

    task, a = bundle.preprocessing.task, bundle.architecture
    if as_json:
        show_json(
            {
                "task": task.name,
                "targets": [vars(tag) for tag in task.targets],
                "inputs": [vars(tag) for tag in bundle.preprocessing.inputs],
                "architecture": a.to_dict(),
                "parameters": parameters(a),
                "runs": dict(bundle.shares),
                "step_seconds": bundle.preprocessing.step,
                "scores": bundle.scores,
                "availability": _rule(bundle),
                "plan": bundle.plan,
            }
        )
        return
    rows = [(tag.name, tag.unit, say("app.role_input")) for tag in bundle.preprocessing.inputs]
    rows += [(tag.name, tag.unit, say("app.role_target")) for tag in task.targets]
    show_table([say("app.col_tag"), say("app.col_unit"), say("app.col_role")], rows, title=task.title)
    if bundle.shares:
        show_line(runs(bundle.shares))
    if not bundle.shares or NETWORKS in bundle.shares:
        show_line(say("app.network", form=describe(a), rows=a.lookback or "–", parameters=parameters(a)))
    _show_scores(bundle.scores.get("scores", ()))
    show_line(say("rules.known", rule=_rule(bundle)[language()]))
    if verdict := bundle.scores.get("verdict"):
        show_line(verdict[language()])


def _rule(bundle: Bundle) -> dict[str, str]:
    """Which labels are known at the time of prediction, by language, as the run recorded it."""
    from backmix.scoring.leakage.availability import rule, texts

    preprocessing = bundle.preprocessing
    texts_of_run = bundle.scores.get("availability")
    if isinstance(texts_of_run, dict) and all(isinstance(texts_of_run.get(lang), str) for lang in LANGUAGES):
        return texts_of_run
    return texts(rule(preprocessing.task, preprocessing.spec, preprocessing.step))


def show_comparison(runs: Sequence[Run], *, as_json: bool) -> None:
    """The first metric of each run beside its best baseline; models with the same test rows compare."""
    rows = []
    for run in runs:
        first = run.summary["scores"][0]["metric"]
        tested = [row for row in run.summary["scores"] if row["part"] == "test" and row["metric"] == first]
        network = next(row for row in tested if row["model"] == run.summary["network"])
        best = run.summary["best_baseline"]
        baseline = next((row for row in tested if row["model"] == best), None)
        rows.append(
            (
                run.folder.name,
                first,
                _score(network),
                best or "–",
                _score(baseline),
                network["windows"],
                run.summary["test_rows_id"],
            )
        )
    keys = ("run", "metric", "network", "best_baseline", "baseline_score", "windows", "test_rows")
    if as_json:
        show_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    show_table([say(f"app.col_{key}") for key in keys], rows)
    if len({row[-1] for row in rows}) > 1:
        note(say("app.compare_different"))
