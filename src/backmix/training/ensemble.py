"""The default model: several networks, and what is worth having beside them.

This module trains one network per block of windows that is held out (`training.blocks`), or two where most of
the answer is theirs, fits the simple models beside them (`backmix.simple`) on the same blocks, and weighs all of
them by what they said of the blocks that were held out: stacking weights of the least squared error, which may be
zero on either side (stacked regression with weights that are not negative: Breiman, Machine Learning 24 (1996) 49);
for classes the powers of a logarithmic pool that is best in all blocks alike (`log_linear_weights`).

No row of a held-out block teaches weights of a network, a kernel or a tree meanwhile, but the block stops the
network, and all blocks together choose penalties, numbers of components and rounds: what is said of held-out
blocks is a little better than what will be said of new rows. The test part alone knows how good the ensemble is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.engine import compiling_once
from backmix.models.ensemble import ENSEMBLE, NETWORKS, Ensemble, combine, logarithms
from backmix.models.heads import Kind, heads
from backmix.models.members.member import Member
from backmix.models.members.paths import Paths
from backmix.models.members.views import ENTIRE
from backmix.simple import SimpleModels
from backmix.simple.blocks import BLOCKS, Blocks, block_windows
from backmix.tasks import Outcome, Task
from backmix.training.beside import Candidate, aims, begin, candidates_of, offset_of
from backmix.training.blocks import pool
from backmix.training.design import Design
from backmix.training.fitting.fit import FittedNetwork, fit_network
from backmix.training.networks import Making, TrainedNetworks, train_networks
from backmix.training.paths.stability import FreeRun, run_on, settled
from backmix.training.paths.weights import path_weights
from backmix.training.predict import path_form, predict_network, predict_outcome
from backmix.training.prepared import Prepared
from backmix.training.state_activation import choose_state

Floats = NDArray[np.float64]
MOST_POWER, LEAST_POWER = 5.0, 0.02
"""The largest weight in a pool of chances, and the share of all below which one is none."""
ALONE = Making()
CARRYING = 0.5
"""The share of the networks above which each block gets a second one: the answer then hangs on the seed as they do."""
LEAST_WEIGHT = 0.1
"""What would weigh less is left out: it costs time, and so small a weight is hardly told from none."""
SETTLED = 3.0
"""Independent stretches or batches at which fitted weights count half (chosen over 2 to 20 of them on eleven sets:
benchmarks/LOG.md)."""
LEAST_SHARE = 0.03
"""The same as `LEAST_WEIGHT` after weights were shrunk: of many members each has a little."""


@dataclass(frozen=True, eq=False)
class TrainedEnsemble:
    """The trained model and how it came about.

    model: an `Ensemble`, or a Keras network where one was trained alone
    fitted: of the network that was stopped on the validation part
    alone: the mean of the networks without what stands beside them; None where one network was trained alone
    share: weight of the networks
    blocks: the windows that taught, and the blocks that they were held out in; None for one network alone
    out_of_fold, out_of_fold_alone: (W, O) what model and networks said of each window of the pool when its block was
        held out; NaN where no network was trained without it
    decisions: what was decided, with reasons
    simple: the simple models that were fitted, for baselines of the same run; None where none was asked for
    beside: the weights of members that the task itself puts beside the network; empty for none
    """

    model: Any
    fitted: FittedNetwork
    alone: Ensemble | None = None
    share: float = 1.0
    blocks: Blocks | None = None
    out_of_fold: Floats | None = None
    out_of_fold_alone: Floats | None = None
    decisions: tuple[Decision, ...] = ()
    simple: SimpleModels | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What scores call the model: that of the network, or "ensemble"."""
        whole = isinstance(self.model, Ensemble) or bool(self.beside)
        return ENSEMBLE if whole else str(self.model.architecture.called)

    @property
    def shares(self) -> Mapping[str, float]:
        """What an ensemble is made of, and the share of each; empty for one network alone."""
        return self.model.shares if isinstance(self.model, Ensemble) else self.beside

    def says(self, task: Task, windows: Windows, *, alone: bool = False) -> Outcome:
        """What the ensemble says of windows: of those that taught what it said while they were held out."""
        if self.alone is None or self.blocks is None:
            return predict_outcome(self.model, task, windows)
        raw = np.asarray(predict_network(self.alone if alone else self.model, windows), np.float64)
        out_of_fold = self.out_of_fold_alone if alone else self.out_of_fold
        assert out_of_fold is not None
        _, here, places = np.intersect1d(windows.origins, self.blocks.pool.origins, return_indices=True)
        sound = np.isfinite(out_of_fold[places]).all(axis=1)
        raw[here[sound]] = out_of_fold[places[sound]]
        return task.revise(task.answer.decode(raw, windows), windows)


def ensemble_blocks(prepared: Prepared) -> Blocks | Decision:
    """The blocks to mix over, or why plan, task or data leave it at one network alone."""
    plan, spec = prepared.plan, prepared.preprocessing.spec
    if plan.model.recipe == "course":
        return Decision("course", "ensemble.asked", setting="model.recipe")
    for key, applies in (
        ("ensemble.alone_start", prepared.start is not None),
        ("ensemble.alone_carried", spec.carried),
        (
            "ensemble.alone_answer",
            spec.answer not in ("row", "path") or not prepared.preprocessing.tells_what_is_judged,
        ),
    ):
        if applies:
            return Decision("course", key, setting="model.recipe")
    count, (train, validation) = plan.model.members, pool(prepared)
    blocks = (
        block_windows(train, validation, count=BLOCKS if count in ("auto", 1) else int(count))
        if len(validation)
        else None
    )
    return blocks or Decision("course", "ensemble.alone_few", {"count": len(prepared.train)}, setting="model.recipe")


def fit_model(
    prepared: Prepared,
    chosen: Design,
    over: Blocks | Decision,
    making: Making = ALONE,
    *,
    simple: SimpleModels | None = None,
) -> TrainedEnsemble:
    """Train what the plan asks for: an ensemble over blocks, or one network alone (``over`` is from `ensemble_blocks`).

    Finished networks are kept in the folder of ``making``, so that an interrupted training goes on behind them.
    What is in ``simple`` already is not fitted again. Workers train networks side by side; callbacks then stay at
    home: PlanError (ensemble.callbacks_here). Raises what `fit_network` raises.
    """
    if isinstance(over, Decision):
        title = chosen.architecture.called
        fitted = fit_network(
            chosen.architecture,
            *prepared.training_samples,
            settings=chosen.settings,
            folder=making.folder,
            watch=making.watch(title) if making.watch else None,
            callbacks=making.callbacks,
            start=prepared.start,
        )
        return TrainedEnsemble(fitted.model, fitted, decisions=(over,), simple=simple)
    start = time.perf_counter()
    simple, candidates = candidates_of(simple or begin(prepared, over), prepared.task, over, prepared.plan.model.beside)
    offset = (
        offset_of(prepared, over, candidates, stacking_weights) if prepared.plan.model.learns == "residual" else None
    )
    with compiling_once():
        chosen, known, decided = choose_state(prepared, chosen, over, offset, making)
        trained = train_networks(prepared, chosen, over, offset, making, known=known)
        ensemble = _mixed(prepared, over, candidates, trained, offset, time.perf_counter() - start)
        if prepared.plan.model.members == "auto" and ensemble.share > CARRYING:
            trained = trained.joined(train_networks(prepared, chosen, over, offset, making, first=len(over)))
            ensemble = _mixed(prepared, over, candidates, trained, offset, time.perf_counter() - start)
        ensemble = _stable(prepared, over, candidates, trained, offset, ensemble)
    return replace(ensemble, simple=simple, decisions=(*ensemble.decisions, *decided))


def _stable(
    prepared: Prepared,
    blocks: Blocks,
    candidates: list[Candidate],
    trained: TrainedNetworks,
    offset: Floats | None,
    ensemble: TrainedEnsemble,
) -> TrainedEnsemble:
    """The ensemble, without members that feed on their own answers where it runs away on the validation part."""

    def run(model: TrainedEnsemble) -> FreeRun | None:
        says = partial(predict_outcome, model.model, prepared.task)
        return run_on(says, prepared.task, prepared.train, prepared.validation)

    def anew(without: frozenset[str]) -> TrainedEnsemble:
        return _mixed(prepared, blocks, candidates, trained, offset, ensemble.fitted.seconds, without=without)

    kept, decisions = settled(ensemble, (NETWORKS, "arx"), run, anew)
    return replace(kept, decisions=(*kept.decisions, *decisions))


def stacking_weights(predictions: Sequence[Floats], truth: Floats) -> Floats:
    """The weights (C,) >= 0 that sum to 1 and bring the sum of C predictions (W, O) nearest to the truth (W, O).

    >>> stacking_weights([np.array([[0.0], [0.0]]), np.array([[1.0], [3.0]])], np.array([[0.5], [1.5]])).round(
    ...     6
    ... ).tolist()
    [0.5, 0.5]
    """
    from scipy.optimize import nnls

    away = np.stack([(prediction - truth).reshape(-1) for prediction in predictions], axis=1)
    gram = away.T @ away / len(away)
    size = float(np.trace(gram)) / len(gram) or 1.0
    # min w'Gw with sum(w) = 1: the sum is held by one heavy row, the rest is exact on its scale
    factor = np.linalg.cholesky(gram / size + 1e-10 * np.eye(len(gram))).T
    heavy = 1e4
    weights, _ = nnls(np.vstack([factor, np.full(len(gram), heavy)]), np.append(np.zeros(len(gram)), heavy))
    normalised: Floats = weights / weights.sum()
    return normalised


def sparse_stacking_weights(predictions: Sequence[Floats], truth: Floats) -> Floats:
    """`stacking_weights` of as few predictions as have at least `LEAST_WEIGHT` each; the others get 0."""
    kept = np.arange(len(predictions))
    while True:
        weights = stacking_weights([predictions[int(index)] for index in kept], truth)
        if weights.min() >= LEAST_WEIGHT or len(kept) == 1:
            break
        kept = np.delete(kept, int(np.argmin(weights)))  # one after the other: the next may weigh more without it
    sparse = np.zeros(len(predictions))
    sparse[kept] = weights
    return sparse


def shrunk_weights(weights: Floats, predictions: Sequence[Floats], truth: Floats, independent: float) -> Floats:
    """Fitted weights (C,) moved towards weights by inverse mean squared error, the farther the fewer independent
    stretches or batches they rest on.

    The latter need no correlations, of which few batches tell little (Bates & Granger, Oper. Res. Q. 20 (1969) 451).

    >>> truth = np.array([[0.0], [0.0]])
    >>> said = [truth + 1.0, truth + 2.0]
    >>> [shrunk_weights(np.array([1.0, 0.0]), said, truth, count).round(3).tolist() for count in (3, 1000)]
    [[0.9, 0.1], [1.0, 0.0]]
    """
    errors = np.array([np.mean(np.square(prediction - truth)) for prediction in predictions])
    precise = 1.0 / np.maximum(errors, 1e-9 * errors.max() or 1.0)
    known = independent / (independent + SETTLED)
    mixed = known * weights + (1.0 - known) * precise / precise.sum()
    mixed = np.where(mixed < LEAST_SHARE, 0.0, mixed)
    normalised: Floats = mixed / mixed.sum()
    return normalised


def independent_stretches(windows: Windows, *, whole: bool) -> float:
    """How many independent things windows tell of: ``whole`` batches, else stretches of rows that no two windows share.

    >>> from backmix.data.table import Table
    >>> from backmix.data.tag import Tag
    >>> from backmix.data.windows.windows import WindowSpec, build_windows
    >>> table = Table(np.zeros((100, 2)), (Tag("T"), Tag("y", role="target")))
    >>> windows = build_windows(table, WindowSpec(inputs=("T",), targets=("y",), lookback=10))
    >>> independent_stretches(windows, whole=False)
    9.0
    """
    if not len(windows):
        return 0.0
    batch = windows.table.batch
    codes = np.zeros(len(windows), np.int64) if batch is None else np.asarray(batch)[windows.origins]
    sizes = np.unique(codes, return_counts=True)[1]
    if whole or windows.spec.lookback is None:
        return float(len(sizes))
    return float(np.maximum(1, sizes * windows.spec.stride // windows.steps).sum())


def log_linear_weights(predictions: Sequence[Floats], truth: Floats, kind: Kind, block: NDArray[np.int64]) -> Floats:
    """The weights (C,) >= 0 with which the pool of C models has the least geometric mean of the log losses of blocks.

    truth: (W, O) 1 for the true class; block: (W,) the block that each window was held out in

    Of each block it counts by what factor its loss falls: a block that looks like no other, as the rows in which a
    fault begins, cannot outweigh all else by its sheer size. A block without loss counts as if one more window were
    told with a chance of 1/e. (Compared with other rules on development data: benchmarks/LOG.md.)
    """
    from scipy.optimize import minimize

    logs = np.stack([logarithms(prediction, kind) for prediction in predictions])
    places = [np.flatnonzero(block == code) for code in np.unique(block)]

    def cost(weights: Floats) -> tuple[float, Floats]:
        chances = combine(predictions, np.repeat(weights[:, None], truth.shape[1], axis=1), kind)
        likelihood = (
            (chances * truth + (1 - chances) * (1 - truth)).prod(axis=1)
            if kind == "binary"
            else (chances * truth).sum(axis=1)
        )
        lost, slope = -np.log(np.maximum(likelihood, 1e-12)), ((chances - truth) * logs).sum(axis=2)
        means = [(lost[rows].sum() + 1.0) / len(rows) for rows in places]
        steps = [slope[:, rows].mean(axis=1) / mean for rows, mean in zip(places, means, strict=True)]
        return float(np.mean(np.log(means))), np.mean(steps, axis=0)

    even, bounds = np.full(len(predictions), 1 / len(predictions)), [(0.0, MOST_POWER)] * len(predictions)
    fitted: Floats = minimize(cost, even, jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.where(fitted < LEAST_POWER * fitted.sum(), 0.0, fitted)


def fit_candidates(prepared: Prepared, blocks: Blocks) -> list[Candidate]:
    """Everything that can stand beside the networks, fitted."""
    return candidates_of(begin(prepared, blocks), prepared.task, blocks, prepared.plan.model.beside)[1]


def _mixed(
    prepared: Prepared,
    blocks: Blocks,
    candidates: list[Candidate],
    trained: TrainedNetworks,
    offset: Floats | None,
    seconds: float,
    *,
    without: frozenset[str] = frozenset(),
) -> TrainedEnsemble:
    """Weigh networks and candidates by what they said of windows that were held out; none of ``without`` gets any."""
    truth = aims(prepared, blocks)
    # by the windows that models are compared on: of some tasks only those of batches that have ended
    compared = np.isfinite(trained.out_of_fold).all(axis=1) & np.isin(
        blocks.pool.origins, prepared.task.judging.selection_windows(blocks.pool).origins
    )
    predictions = [trained.out_of_fold[compared], *(candidate.out_of_fold[compared] for candidate in candidates)]
    kind = heads.get(prepared.task.answer.head).kind
    paths = path_form(prepared) if prepared.preprocessing.spec.answer == "path" else None
    names = [NETWORKS, *(candidate.part.name for candidate in candidates)]
    heard = [place for place, name in enumerate(names) if name not in without] or [0]
    by_output = np.zeros((len(names), truth.shape[1]))
    held_out = blocks.pool.subset(compared), blocks.code[compared]
    by_output[heard] = weights_of([predictions[place] for place in heard], truth[compared], held_out, kind, prepared)
    weights = by_output.mean(axis=1)
    errors = {name: _rms(answers - truth[compared]) for name, answers in zip(names, predictions, strict=True)}
    everything = [trained.out_of_fold, *(candidate.out_of_fold for candidate in candidates)]
    whole = combine(
        [answers for answers, weight in zip(everything, weights, strict=True) if weight], by_output[weights > 0], kind
    )
    errors["ensemble"] = _rms(whole[compared] - truth[compared])
    model, alone = _models(
        trained.members,
        [candidate.part for candidate in candidates],
        by_output,
        paths,
        None if offset is None else stacking_weights([candidate.out_of_fold for candidate in candidates], truth),
        prepared.preprocessing.spec.lookback,
    )
    decisions = _choices(
        prepared, blocks, dict(zip(names, weights, strict=True)), errors, candidates, len(trained.members)
    )
    return TrainedEnsemble(
        model,
        replace(trained.last, seconds=seconds),
        alone,
        share=float(weights[0] / weights.sum()),
        blocks=blocks,
        out_of_fold=whole,
        out_of_fold_alone=trained.out_of_fold,
        decisions=decisions,
    )


def weights_of(
    predictions: Sequence[Floats],
    truth: Floats,
    held_out: tuple[Windows, NDArray[np.int64]],
    kind: Kind,
    prepared: Prepared,
) -> Floats:
    """The weights (C, O) of C predictions (W, O) of held-out windows; held_out: the windows, and (W,) their blocks."""
    windows, block = held_out
    if windows.spec.answer == "path":
        return path_weights(predictions, truth, block, targets=len(windows.spec.targets))
    if kind == "regression":
        independent = independent_stretches(windows, whole=prepared.task.target.whole_batches)
        fitted = sparse_stacking_weights(predictions, truth)
        weights = shrunk_weights(fitted, predictions, truth, independent)
    else:
        weights = log_linear_weights(predictions, truth, kind, block)
    if not weights.any():  # nobody knows more than nothing: all know it together
        weights = np.full(len(predictions), 1 / len(predictions))
    return np.repeat(weights[:, None], truth.shape[1], axis=1)


def _models(
    members: tuple[Any, ...],
    parts: list[Member],
    weights: Floats,
    paths: Paths | None,
    shares: Floats | None,
    lookback: int | None = None,
) -> tuple[Ensemble, Ensemble]:
    """The ensemble, and its networks alone.

    weights: (1 + M, O)
    shares: of the parts in what the networks were told already, when they learned the rest of it: that is part of
        what they answer
    lookback: rows of windows, of which most members look at the newest
    """
    form = members[0].architecture
    known = np.zeros(len(parts)) if shares is None else shares

    def ensemble(all_weights: Floats) -> Ensemble:
        kept = [place for place, row in enumerate(all_weights[1:]) if row.any()]
        networks = members if all_weights[0].any() else ()
        rows = all_weights[[0, *(place + 1 for place in kept)]]
        kept_parts = tuple(parts[place] for place in kept)
        longer = lookback if any(part.view == ENTIRE for part in kept_parts) else None
        return Ensemble(form, networks, kept_parts, rows, longer, paths)

    everything = np.vstack([weights[:1], weights[1:] + weights[0] * known[:, None]])
    alone = np.repeat(np.append([1.0], known)[:, None], weights.shape[1], axis=1)
    return ensemble(everything), ensemble(alone)


def _choices(
    prepared: Prepared,
    blocks: Blocks,
    weights: dict[str, float],
    errors: dict[str, float],
    candidates: list[Candidate],
    members: int,
) -> tuple[Decision, ...]:
    """What the ensemble is, and why: blocks, weights, and what each candidate was worth."""
    listed = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items() if weight)
    tried = ", ".join(f"{name} {error:.3g}" for name, error in errors.items())
    dealt = "ensemble.blocks_whole" if blocks.whole else "ensemble.blocks_time"
    mine = weights[NETWORKS] / sum(weights.values())
    why = "ensemble.weight_none" if not mine else "ensemble.weight_all" if mine == 1 else "ensemble.weight_some"
    key = "ensemble.recipe_twice" if members > len(blocks) else "ensemble.recipe"
    return (
        Decision("auto", key, {"count": members}, setting="model.recipe"),
        Decision(members, dealt, {"count": len(blocks), "windows": f"{len(blocks.pool):,}"}, setting="model.members"),
        Decision(listed, why, {"share": f"{100 * mine:.0f} %", "errors": tried}, setting="model.beside"),
        *(decision for candidate in candidates for decision in candidate.decisions),
    )


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
