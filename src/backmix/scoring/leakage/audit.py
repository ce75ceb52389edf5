"""The leakage audit of a run (course item 64).

This module checks five things: no row serves two parts of the split; the scalers come from training rows alone; no
input is the target in disguise; every past label that is shown had been reported by then
(`scoring.leakage.availability`); and changing everything after a prediction changes neither its inputs nor the
prediction.

The first four are computed from the run as it is. The last one is an experiment: a piece of the
table is replayed through the run's own repair, windows and network, twice, with different rows
after a cut, and everything before the cut must be bit-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.reported import not_yet_reported
from backmix.data.table import Table
from backmix.data.windows.reach import rows_used
from backmix.data.windows.windows import Windows, WindowSpec, fit_scalers
from backmix.errors import InputError, LeakageError, PlanError
from backmix.scoring.leakage.availability import audit_labels
from backmix.scoring.leakage.copies import Copy, find_copies
from backmix.text import Language, say, speak

if TYPE_CHECKING:
    from backmix.training.fitting.warm import Start
    from backmix.training.prepared import Prepared
    from backmix.training.preprocessing import Preprocessing

CUTS = 3
"""At how many places of the test part the future is changed."""

PIECE = 1000
"""Rows before a cut that are replayed, at least."""

Name = Literal["overlap", "scaler", "copy", "availability", "future"]
Predict = Callable[[Windows], NDArray[Any]]


@dataclass(frozen=True)
class LeakageResult:
    """One line of the audit.

    passed: None when it could not be checked, or failed and was acknowledged: a copy by its name, a
        model that looks ahead by ``online = false``
    tag: the input it is about, for a copy of the target; else empty
    """

    name: Name
    passed: bool | None
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    tag: str = ""
    acknowledged: bool = False

    def text(self, lang: Language | None = None) -> str:
        """The sentence, in the language of the moment unless one is named."""
        if lang is not None:
            with speak(lang):
                return self.text()
        sentence = say(self.key, **self.values)
        if not self.acknowledged:
            return sentence
        return sentence + say("evaluation.acknowledged" if self.name == "copy" else "evaluation.offline")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the sentence in both languages."""
        return {
            "name": self.name,
            "passed": self.passed,
            "key": self.key,
            "tag": self.tag,
            "acknowledged": self.acknowledged,
            "text": {"en": self.text("en"), "zh_TW": self.text("zh_TW")},
        }


def audit_run(prepared: Prepared, model: Any = None) -> tuple[LeakageResult, ...]:
    """The whole audit of a prepared run; with a trained Keras network its predictions are replayed too.

    What ``[evaluation] acknowledged`` names is marked. Raises PlanError (evaluation.acknowledged_unknown)
    for a name that is no input.
    """
    from backmix.training.predict import predict_raw

    preprocessing, wanted = prepared.preprocessing, prepared.plan.evaluation.acknowledged
    _check_names(wanted, [*preprocessing.spec.inputs, *preprocessing.repair.dropped_tags], prepared.table.source)
    scaling = {"inputs": prepared.plan.scaling.inputs, "target": prepared.plan.scaling.target}
    results = [
        split_overlap(prepared.parts),
        scaler_rows(prepared.train, rows=prepared.fitted_on, kinds=scaling)
        if prepared.start is None
        else inherited(prepared.start, prepared.test),
        *target_copies(prepared.train, made=preprocessing.task.target.computed),
        LeakageResult("availability", *audit_labels(prepared)),
        future(
            preprocessing,
            prepared.test,
            predict=None if model is None else lambda windows: predict_raw(model, preprocessing.task, windows),
        ),
    ]
    if not prepared.plan.online and results[-1].passed is False:
        results[-1] = replace(results[-1], passed=None, acknowledged=True)
    return acknowledge(results, wanted)


def acknowledge(results: Sequence[LeakageResult], names: Collection[str]) -> tuple[LeakageResult, ...]:
    """The results with failures that were acknowledged by name marked as such."""

    def mark(result: LeakageResult) -> LeakageResult:
        known = result.passed is False and result.name == "copy" and result.tag in names
        return replace(result, passed=None, acknowledged=True) if known else result

    return tuple(mark(result) for result in results)


def refuse(results: Sequence[LeakageResult], *, acknowledged: Collection[str] = ()) -> None:
    """Stop the run when a check failed and was not acknowledged by name.

    Raises LeakageError with the first failure; all copies of the target are named together.
    """
    failed = [result for result in acknowledge(results, acknowledged) if result.passed is False]
    if not failed:
        return
    copies = [result for result in failed if result.name == "copy"]
    if failed[0].name == "copy" and len(copies) > 1:
        tags = [result.tag for result in copies]
        raise LeakageError(
            "evaluation.leak_copies",
            where=failed[0].values["where"],
            count=len(tags),
            target=failed[0].values["target"],
            tags=", ".join(tags),
            quoted=", ".join(f'"{tag}"' for tag in tags),
        )
    raise LeakageError(failed[0].key, **failed[0].values)


def _check_names(wanted: Collection[str], known: Sequence[str], where: str) -> None:
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            raise PlanError("evaluation.acknowledged_unknown", where=where, name=name, near=near[0])


def split_overlap(parts: Mapping[str, Windows]) -> LeakageResult:
    """Whether a raw row is looked at by windows of two parts, as input, past target or target."""
    used = {name: rows_used(windows) for name, windows in parts.items()}
    names = list(used)
    for place, first in enumerate(names):
        for other in names[place + 1 :]:
            shared = np.flatnonzero(used[first] & used[other])
            if len(shared):
                windows = parts[first]
                return LeakageResult(
                    "overlap",
                    False,
                    "evaluation.leak_overlap",
                    {
                        "where": windows.table.source,
                        "count": f"{len(shared):,}",
                        "one": first,
                        "other": other,
                        "row": int(shared[0]) + 1,
                        "gap": windows.spec.reach,
                    },
                )
    total = sum(int(rows.sum()) for rows in used.values())
    return LeakageResult("overlap", True, "evaluation.leak_overlap_none", {"rows": f"{total:,}"})


def scaler_rows(train: Windows, *, rows: NDArray[np.bool_], kinds: Mapping[str, str]) -> LeakageResult:
    """Whether the scalers of the windows are, to the last bit, those of the training rows alone.

    rows: (N,) the training rows; kinds: registered scalers for ``inputs`` and ``target``
    """
    fresh = fit_scalers(train.table, train.spec, rows=rows, inputs=kinds["inputs"], target=kinds["target"])
    for mine, learned in zip((train.scaler, train.target_scaler), fresh, strict=True):
        if (None if mine is None else mine.to_dict()) != (None if learned is None else learned.to_dict()):
            names = (mine or learned).names if mine or learned else ()  # type: ignore[union-attr]
            return LeakageResult(
                "scaler", False, "evaluation.leak_scaler", {"where": train.table.source, "names": ", ".join(names[:5])}
            )
    return LeakageResult("scaler", True, "evaluation.leak_scaler_none", {"rows": f"{int(rows.sum()):,}"})


def inherited(start: Start, test: Windows) -> LeakageResult:
    """Whether the model that training started from can have learned from the test part; its scalers are kept."""
    from backmix.training.fitting.warm import Period

    judged = Period.of(test.table, rows_used(test))
    if start.period is None or judged is None:
        return LeakageResult("scaler", None, "warm.leak_unknown")
    values = {
        "where": test.table.source,
        "first": start.period.first,
        "last": start.period.last,
        "low": judged.first,
        "high": judged.last,
    }
    met = start.period.meets(judged)
    return LeakageResult("scaler", not met, "warm.leak_overlap" if met else "warm.leak_none", values)


def target_copies(train: Windows, *, made: Collection[str] = ()) -> tuple[LeakageResult, ...]:
    """A failed check for each input that is a copy of a target on the training windows, or one passed check.

    made: inputs that the task itself computes at every prediction; they cannot know more than the plant
    """
    measured = tuple(name for name in train.spec.inputs if name not in made)
    if not measured:
        return (LeakageResult("copy", True, "evaluation.leak_copy_none_class", {"count": 0}),)
    if len(measured) < len(train.spec.inputs):
        train = replace(train, spec=replace(train.spec, inputs=measured), scaler=None)
    copies, strongest = find_copies(train)
    if not copies:
        values = {"count": len(train.spec.inputs)} | (
            {"tag": strongest.tag, "target": strongest.target, "value": f"{strongest.strength:.3f}"}
            if strongest
            else {}
        )
        key = "evaluation.leak_copy_none" if strongest else "evaluation.leak_copy_none_class"
        return (LeakageResult("copy", True, key, values),)
    return tuple(
        LeakageResult("copy", False, f"evaluation.leak_copy_{copy.how}", _copy_values(copy, train), tag=copy.tag)
        for copy in copies
    )


def _copy_values(copy: Copy, train: Windows) -> dict[str, Any]:
    return {
        "where": train.table.source,
        "tag": copy.tag,
        "target": copy.target,
        "rows": f"{copy.rows:,}",
        "ahead": copy.ahead,
        "strength": f"{copy.strength:.4f}" if copy.how in ("same", "ahead") else f"{100 * copy.strength:.2f} %",
    }


def future(
    preprocessing: Preprocessing, test: Windows, *, predict: Predict | None = None, seed: int = 0
) -> LeakageResult:
    """Whether rows after a prediction can change its inputs or the prediction itself.

    Pieces of the table are replayed through ``preprocessing`` (repair, windows, scaling) and ``predict`` twice,
    with the rows after a cut shuffled and disturbed in two ways. Values of the inputs just before the cut are
    removed, since a repair that looks ahead would show there. Results of samples taken before the cut and reported
    after it belong to the future, too.
    """
    generator = np.random.default_rng(seed)
    windows_seen = 0
    for cut in _cuts(test):
        piece, here = _piece(test, cut)
        holed = _with_holes(piece, test.spec.inputs, here, generator)
        replays = []
        for _ in range(2):
            changed = _other_future(holed, here, generator, planned=test.spec.future)
            replayed = _replay(preprocessing, _other_results(changed, test.spec, here, generator), here, predict)
            if replayed is None:
                break
            replays.append(replayed)
        if len(replays) < 2:
            continue
        first, second = replays
        windows_seen += len(first.origins)
        same = np.array_equal(first.origins, second.origins) and first.features == second.features
        for key, fine in (("features", same), ("predictions", first.predictions == second.predictions)):
            if not fine:
                return LeakageResult(
                    "future", False, f"evaluation.leak_future_{key}", {"where": test.table.source, "row": cut + 1}
                )
    if windows_seen == 0:
        return LeakageResult("future", None, "evaluation.leak_future_unknown", {})
    key = "evaluation.leak_future_none" if predict is None else "evaluation.leak_future_none_predictions"
    return LeakageResult("future", True, key, {"windows": f"{windows_seen:,}", "cuts": CUTS})


@dataclass(frozen=True, eq=False)
class _Replayed:
    """The inputs and predictions of the model up to the cut, as bytes."""

    origins: NDArray[np.int64]
    features: bytes
    predictions: bytes


def _cuts(test: Windows) -> list[int]:
    """Rows at which a window of the test part is made, spread over it."""
    places = np.unique(np.linspace(0, len(test) - 1, CUTS + 2)[1:-1].astype(np.int64))
    return [int(row) for row in np.asarray(test.origins)[places]]


def _piece(test: Windows, cut: int) -> tuple[Table, int]:
    """The rows around a cut, and where the cut lies among them."""
    reach = max(test.spec.reach, test.steps)
    low = max(0, cut - max(PIECE, 3 * reach))
    high = min(len(test.table), cut + 1 + max(PIECE // 4, reach + 50))
    if test.lengths is not None and test.table.batch is not None:
        batch = np.asarray(test.table.batch)
        while low > 0 and batch[low - 1] == batch[low]:  # whole batches only
            low -= 1
    return test.table.rows(slice(low, high)), cut - low


def _with_holes(piece: Table, inputs: Sequence[str], cut: int, generator: np.random.Generator) -> Table:
    """The piece with the last value or two before the cut missing in half of the inputs."""
    values = np.array(piece.values, dtype=np.float64)
    for name in inputs:
        if generator.random() < 0.5:
            values[max(0, cut - int(generator.integers(2))) : cut + 1, piece.index(name)] = np.nan
    return replace(piece, values=values, quality=None)


def _other_future(piece: Table, cut: int, generator: np.random.Generator, *, planned: Sequence[str] = ()) -> Table:
    """The piece with another future: its rows shuffled, and its numbers disturbed; what is planned stays."""
    values = np.array(piece.values)
    kept = [piece.index(name) for name in planned]
    plans = values[:, kept]
    later = values[cut + 1 :][generator.permutation(len(values) - cut - 1)]
    free = [index for index, tag in enumerate(piece.tags) if not tag.categories]
    spread = np.array([np.nanstd(column) if np.isfinite(column).any() else 0.0 for column in values[:, free].T])
    later[:, free] += generator.normal(size=(len(later), len(free))) * (spread + 1e-3)
    values[cut + 1 :] = later
    values[:, kept] = plans
    return replace(piece, values=values)


def _other_results(piece: Table, spec: WindowSpec, cut: int, generator: np.random.Generator) -> Table:
    """The piece with other results where they are not yet reported at the cut, and with later reports."""
    if spec.known is None:
        return piece
    values = np.array(piece.values)
    for target, name in enumerate(spec.targets):
        column = piece.index(name)
        rows = not_yet_reported(piece, spec.known, name, cut)
        values[rows, column] += 1.0 + generator.random(len(rows))
        if spec.known.report is not None:
            later = 10 * (piece.step or 1.0) * generator.random(len(rows))
            values[rows, piece.index(spec.known.report[target])] += later
    return replace(piece, values=values)


def _replay(preprocessing: Preprocessing, piece: Table, cut: int, predict: Predict | None) -> _Replayed | None:
    """Repair, window and predict a piece; None when it has no window up to the cut."""
    try:
        windows, _ = preprocessing.windows(piece, need_target=False)
    except InputError:  # a short test part may leave no whole window in a piece
        return None
    past = np.flatnonzero(np.asarray(windows.origins) <= cut)
    if len(past) == 0:
        return None
    seen = windows.gather(past).x.tobytes()
    predictions = b"" if predict is None else np.asarray(predict(windows))[past].tobytes()
    return _Replayed(np.asarray(windows.origins, dtype=np.int64)[past], seen, predictions)
