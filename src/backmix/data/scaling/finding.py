"""Which operating regimes a plant has, found in its training rows.

This module tells regimes by a tag's state, by settings that stand at a few levels, or by clusters of settings. Levels
are narrow heaps of the values of one tag with nothing, or hardly anything, between them; measured setpoints and exact
ones alike. Clusters are those of k-means with the number of best silhouette (Rousseeuw, J. Comput. Appl. Math. 20
(1987) 53). Targets have no part in it, and everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.scaling import Floats, fit_scaler
from backmix.data.scaling.regimes import MOST_REGIMES, UNKNOWN, Codes, Kind, Regimes, distances
from backmix.data.segments import Mask
from backmix.data.states import StateCoding
from backmix.data.table import Table

MOST_LEVELS = 20
BINS = 200
NARROW = 0.25
"""Levels fill at most this share of the range between the lowest and the highest value."""
BETWEEN = 0.15
"""At most this share of rows lies between the levels, on the way from one to another."""
RARE = 0.2
"""A bin of at most this share of the rows of a uniform spread, or of at most `FEW`, lies between levels."""
FEW = 3
SCREENED = 20_000
EXPLAINED = 0.8
"""An input follows regimes when they explain at least this share of its variance: they hide what else it tells."""
FOLLOWING = 0.2
"""At least this share of the other inputs must follow."""
BETTER = 0.02
"""A further tag must explain so much more of the others."""
MOST_CLUSTERED = 2000
MOST_CLUSTERS = 8
FLOOR = 0.1
"""No input of a regime is spread out by more than ten times what it is over all regimes."""


@dataclass(frozen=True)
class Settings:
    """The settings that tell regimes: their columns, and how.

    explained: the mean share of the variance of the other inputs between regimes; 0 where nobody asked
    """

    columns: tuple[str, ...]
    kind: Kind
    count: int | None = None
    explained: float = 0.0


@dataclass(frozen=True, eq=False)
class _Heaps:
    """Levels of one column: their centres in order, and whether rows lie between them."""

    centers: Floats
    between: bool


def levels(x: Floats) -> _Heaps | None:
    """The levels at which values (n,) stand; None where they do not.

    >>> levels(np.array([0.0, 0.01, 20.0, 20.01, 42.0] * 20)).centers.round(6).tolist()
    [0.005, 20.005, 42.0]
    """
    if len(x) < 2 or x.min() == x.max():
        return None
    for least in (0.0, RARE):
        counts, edges = np.histogram(x, BINS)
        full = counts > (max(FEW, least * len(x) / BINS) if least else 0)
        begins = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(np.int8)])) == 1)
        if not 2 <= len(begins) <= MOST_LEVELS or full.sum() > NARROW * BINS:
            continue
        place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, BINS - 1)
        heap = np.where(full[place], np.searchsorted(begins, place, side="right") - 1, UNKNOWN)
        if (heap == UNKNOWN).mean() > BETWEEN:
            continue
        centers = np.array([np.median(x[heap == number]) for number in range(len(begins))])
        return _Heaps(centers, bool((heap == UNKNOWN).any()))
    return None


def candidates(
    table: Table, inputs: Sequence[str], codings: Sequence[StateCoding], *, rows: Mask, least_rows: int
) -> Settings | None:
    """The settings that the other inputs follow most, looked for in some of the rows (N,); None without any."""
    taught = np.flatnonzero(rows)
    taught = _some(taught, SCREENED)
    values = {name: np.asarray(table.column(name), np.float64)[taught] for name in inputs}
    coded = {column: coding for coding in codings for column in coding.columns}
    parts: dict[tuple[str, ...], tuple[Kind, Codes]] = {}
    for coding in codings:
        columns = tuple(name for name in coding.columns if name in values)
        if columns:
            parts[columns] = ("state", _numbered([_rounded(values[name]) for name in columns]))
    for name in inputs:
        if name in coded:
            continue
        x = values[name]
        known = np.isfinite(x)
        heaps = levels(x[known])
        if heaps is not None:
            codes = np.full(len(x), UNKNOWN, np.int64)
            codes[known] = np.abs(x[known, None] - heaps.centers).argmin(axis=1)
            parts[(name,)] = ("levels", codes)
    if not parts:
        return None
    least = least_rows * len(taught) / max(1, int(rows.sum()))
    alone = {columns: _followers(codes, values, columns, coded, least) for columns, (_, codes) in parts.items()}
    usable = [columns for columns, shares in alone.items() if _follow(shares)]
    if not usable:
        return None
    # tags that tell the same regimes are as good as one another: the one that is called a setting, then by name
    order = sorted(usable, key=lambda columns: (-round(_mean(alone[columns]), 2), not _called(table, columns), columns))
    chosen, kind = order[0], parts[order[0]][0]
    codes, shares = parts[chosen][1], alone[chosen]
    for columns in order[1:]:
        if parts[columns][0] != kind or set(columns) & set(chosen):
            continue
        both = _numbered([codes.astype(np.float64), parts[columns][1].astype(np.float64)])
        if len(np.unique(both)) > MOST_REGIMES:
            continue
        more = _followers(both, values, (*chosen, *columns), coded, least)
        if _mean(more) >= _mean(shares) + BETTER:
            chosen, codes, shares = (*chosen, *columns), both, more
    return Settings(tuple(sorted(chosen)), kind, explained=_mean(shares))


def find_regimes(
    table: Table, settings: Settings, moved: tuple[str, ...], *, rows: Mask, least_rows: int, scaling: str = "standard"
) -> Regimes | None:
    """The regimes that these settings show in the training rows (N,), and where the inputs ``moved`` lie in each.

    None where fewer than two regimes have ``least_rows``, or where the settings take too many values.
    """
    values = np.column_stack([np.asarray(table.column(name), np.float64) for name in settings.columns])
    teach = rows & np.isfinite(values).all(axis=1)
    learned = values[teach]
    spread = learned.std(axis=0) if len(learned) else np.zeros(values.shape[1])
    if not len(learned) or not (spread > 0).any():
        return None
    spread = np.where(spread > 0, spread, 1.0)
    placed = _centers(learned, settings, spread)
    if placed is None:
        return None
    centers, between = placed
    distance = distances(learned, centers, spread)
    nearest = distance.argmin(axis=1)
    reach = _reach(distance, nearest, centers, spread, between=between)
    codes = np.full(len(values), UNKNOWN, np.int64)
    codes[teach] = np.where(distance[np.arange(len(learned)), nearest] <= reach[nearest], nearest, UNKNOWN)
    counts = np.bincount(codes[codes >= 0], minlength=len(centers))
    if (counts >= least_rows).sum() < 2:
        return None
    columns = tuple(table.index(name) for name in moved)
    whole = fit_scaler(scaling, table.values, moved, rows=rows, columns=columns)
    middle = np.repeat(whole.center[None], len(centers), axis=0)
    width = np.repeat(whole.scale[None], len(centers), axis=0)
    big = [code for code in range(len(centers)) if counts[code] >= least_rows]
    for code in big:
        mine = codes == code
        seen = [np.isfinite(np.asarray(table.column(name), np.float64)[mine]).any() for name in moved]
        some = tuple(name for name, known in zip(moved, seen, strict=True) if known)
        own = fit_scaler(scaling, table.values, some, rows=mine, columns=tuple(table.index(name) for name in some))
        middle[code, seen], width[code, seen] = own.center, _moving(own.scale, table, some, mine)
    typical = np.sqrt(np.average(width[big] ** 2, axis=0, weights=counts[big]))
    typical = np.where(typical > 0, typical, whole.scale)
    width[big] = np.maximum(width[big], FLOOR * typical)
    return Regimes(
        kind=settings.kind,
        tags=settings.columns,
        labels=tuple(_label(settings, center) for center in centers),
        centers=centers,
        spread=spread,
        reach=reach,
        usual=learned.mean(axis=0),
        rows=tuple(int(count) for count in counts),
        least_rows=least_rows,
        names=moved,
        center=whole.center,
        scale=whole.scale,
        own_center=middle,
        own_scale=width,
    )


def _moving(scale: Floats, table: Table, names: tuple[str, ...], rows: Mask) -> Floats:
    """Scales (F,), 0 for an input that has one value in these rows."""
    still = []
    for name in names:
        x = np.asarray(table.column(name), np.float64)[rows]
        x = x[np.isfinite(x)]
        still.append(bool(x.min() == x.max()))
    return np.where(still, 0.0, scale)


def _centers(learned: Floats, settings: Settings, spread: Floats) -> tuple[Floats, bool] | None:
    """(R, T) the settings of each regime in order, and whether rows lie between regimes."""
    if settings.kind == "clusters":
        clusters = clustered(learned / spread, settings.count)
        return None if clusters is None else (clusters * spread, True)
    between, places = False, []
    for column in learned.T:
        if settings.kind == "state":
            centers = np.unique(_rounded(column))
        else:
            heaps = levels(column)
            if heaps is None:
                centers = np.unique(column)
                if len(centers) > MOST_LEVELS:
                    return None
            else:
                centers, between = heaps.centers, between or heaps.between
        places.append(centers[np.abs(column[:, None] - centers).argmin(axis=1)] if len(centers) else column)
    combined = np.unique(np.column_stack(places), axis=0)
    return None if len(combined) > MOST_REGIMES else (combined, between)


def _reach(distance: Floats, nearest: Codes, centers: Floats, spread: Floats, *, between: bool) -> Floats:
    """(R,) how far a row may lie from the settings of its regime.

    Half as far as the next regime where rows lie on the way between them; else a little further than any training row.
    """
    apart = distances(centers, centers, spread)
    apart[np.diag_indices(len(apart))] = np.inf
    half = 0.5 * np.where(np.isfinite(apart.min(axis=1)), apart.min(axis=1), 1.0)
    farthest = np.zeros(len(centers))
    np.maximum.at(farthest, nearest, distance[np.arange(len(nearest)), nearest])
    if between:
        return np.maximum(half, farthest)
    return np.clip(1.5 * farthest, 0.1 * half, half)


def clustered(points: Floats, count: int | None) -> Floats | None:
    """(R, T) the centres of k-means clusters of points (n, T); count: None for as many as give the best silhouette."""
    some = _some(points, MOST_CLUSTERED)
    if len(np.unique(some, axis=0)) < 2:
        return None
    best: tuple[float, Floats] | None = None
    for k in range(2, MOST_CLUSTERS + 1) if count is None else (count,):
        centers = _k_means(some, k)
        score = silhouette(some, centers)
        if best is None or score > best[0] + 1e-9:
            best = (score, centers)
    assert best is not None
    centers = _lloyd(points, best[1])
    return centers[np.lexsort(centers.T[::-1])]


def silhouette(points: Floats, centers: Floats) -> float:
    """Mean silhouette of points by their nearest centre, -1 to 1; -1 where a cluster is empty."""
    apart = distances(points, points, np.ones(points.shape[1]))
    codes = distances(points, centers, np.ones(points.shape[1])).argmin(axis=1)
    sizes = np.bincount(codes, minlength=len(centers))
    if (sizes == 0).any():
        return -1.0
    sums = np.stack([apart[:, codes == code].sum(axis=1) for code in range(len(centers))], axis=1)
    own = sums[np.arange(len(points)), codes] / np.maximum(sizes[codes] - 1, 1)
    others = sums / sizes
    others[np.arange(len(points)), codes] = np.inf
    next_best = others.min(axis=1)
    width = (next_best - own) / np.maximum(np.maximum(own, next_best), 1e-300)
    return float(np.where(sizes[codes] > 1, width, 0.0).mean())


def _k_means(points: Floats, count: int) -> Floats:
    """k-means from the point nearest to the middle and then always the farthest one."""
    ones = np.ones(points.shape[1])
    first = distances(points, np.median(points, axis=0)[None], ones)[:, 0].argmin()
    centers = points[[first]]
    while len(centers) < count:
        centers = np.vstack([centers, points[distances(points, centers, ones).min(axis=1).argmax()]])
    return _lloyd(points, centers)


def _lloyd(points: Floats, centers: Floats) -> Floats:
    ones = np.ones(points.shape[1])
    for _ in range(50):
        codes = distances(points, centers, ones).argmin(axis=1)
        new = np.array(centers)
        for code in np.unique(codes):
            new[code] = points[codes == code].mean(axis=0)
        if np.array_equal(new, centers):
            break
        centers = new
    return centers


def _some(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """At most so many of them, spread evenly."""
    return rows if len(rows) <= most else rows[(np.arange(most) * len(rows)) // most]


def _rounded(x: Floats) -> Floats:
    return np.round(x, 9)


def _numbered(columns: list[Floats]) -> Codes:
    """One code per combination of columns (n,); `UNKNOWN` where one is missing or is `UNKNOWN` itself."""
    together = np.column_stack(columns)
    known = np.isfinite(together).all(axis=1)
    codes = np.full(len(together), UNKNOWN, np.int64)
    if known.any():
        codes[known] = np.unique(together[known], axis=0, return_inverse=True)[1].ravel()
    return codes


def _followers(
    codes: Codes, values: dict[str, Floats], settings: tuple[str, ...], coded: dict[str, Any], least: float
) -> Floats:
    """The share of the variance of every other input that lies between regimes; () where regimes are too few."""
    counts = np.bincount(codes[codes >= 0])
    big = np.flatnonzero(counts >= max(2.0, least))
    if len(big) < 2:
        return np.empty(0)
    mine = np.isin(codes, big)
    shares = []
    for name, x in values.items():
        if name in settings or name in coded:
            continue
        known = mine & np.isfinite(x)
        group, y = np.searchsorted(big, codes[known]), x[known]
        total = float(((y - y.mean()) ** 2).sum()) if len(y) > len(big) + 1 else 0.0
        if total <= 0:
            continue
        size = np.maximum(np.bincount(group, minlength=len(big)), 1)
        mean = np.bincount(group, y, minlength=len(big)) / size
        within = float(((y - mean[group]) ** 2).sum())
        shares.append(1 - within / total * (len(y) - 1) / (len(y) - len(big)))
    return np.array(shares)


def _follow(shares: Floats) -> bool:
    following = int((shares >= EXPLAINED).sum())
    return following >= max(1, int(np.ceil(FOLLOWING * len(shares))))


def _mean(shares: Floats) -> float:
    return float(shares.mean()) if len(shares) else 0.0


WORDS = ("set", "setting", "setpoint", "sp", "mode", "grade", "recipe", "load", "campaign", "regime")


def _called(table: Table, columns: tuple[str, ...]) -> bool:
    """Whether a tag is called a setting, by its name or description."""
    text = " ".join(f"{name} {table.tag(name).description}" for name in columns).lower()
    letters = "".join(letter if letter.isalpha() else " " for letter in text)
    return any(word in WORDS for word in letters.split())


def _label(settings: Settings, center: NDArray[np.float64]) -> str:
    """What a regime is called: the state, or the settings with their values."""
    named = dict(zip(settings.columns, center, strict=True))
    if settings.kind == "state" and (shown := [name for name, value in named.items() if value == 1.0]):
        return ", ".join(shown)
    return ", ".join(f"{name} = {value:.4g}" for name, value in named.items())
