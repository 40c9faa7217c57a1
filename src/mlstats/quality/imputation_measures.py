"""How good imputed values are beside the true ones, for one variable.

The levels of Chambers (2001, Evaluation Criteria for Statistical Editing and
Imputation, National Statistics Methodological Series 28): predictive accuracy, ranking
accuracy, distributional accuracy and estimation accuracy. Means over the conditional
distribution win the first and lose the third, so none of them stands alone. Every
function takes the cells of all masks at once and returns each measure under each mask,
with all cells and without each group of clusters.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import stats

from mlstats.quality.replication import Replicates

__all__ = [
    "categorical_measures",
    "class_measures",
    "ks_null",
    "marginal_homogeneity",
    "moment_measures",
    "numeric_measures",
    "ordinal_distance",
    "total_variation_null",
]

_DRAWS: Final = 100


def numeric_measures(
    truth: np.ndarray, imputed: np.ndarray, cells: Replicates
) -> dict[str, np.ndarray]:
    """Measure imputed numbers.

    Parameters
    ----------
    truth, imputed : numpy.ndarray of float, shape (n,)
        Finite values.
    cells : Replicates
        Weights, masks and groups.

    Returns
    -------
    dict of numpy.ndarray, shape (masks, 1 + groups)
        Those of :func:`moment_measures`; ``rank_correlation``, Spearman's with
        weighted mid-ranks; ``ks``, the largest gap of the weighted distribution
        functions.
    """
    found = moment_measures(truth, imputed, cells)
    ranks, gaps = [], []
    for mask in range(cells.masks):
        at = np.flatnonzero((cells.replicate == mask) & (cells.weight > 0))
        kept = cells.kept(at)
        ranks.append(_rank_correlation(truth[at], imputed[at], kept))
        gaps.append(_largest_gap(truth[at], imputed[at], kept))
    return found | {"rank_correlation": np.array(ranks), "ks": np.array(gaps)}


def moment_measures(
    truth: np.ndarray, imputed: np.ndarray, cells: Replicates
) -> dict[str, np.ndarray]:
    """Measure imputed numbers by sums alone, which is quick in domains too.

    Parameters
    ----------
    truth, imputed, cells
        As in :func:`numeric_measures`.

    Returns
    -------
    dict of numpy.ndarray, shape (masks, 1 + groups)
        nrmse: root mean squared error over the standard deviation of the truth;
        nmae: mean absolute error (dL1) over the mean absolute truth; slope and
        r_squared: of the regression of the truth on the imputed values through the
        origin, the latter one less the residual over the total sum of squares around
        the mean; mean_bias and second_moment_bias: first and second moment of the
        imputed values less that of the true ones (m1, m2), over the latter;
        spread_ratio: standard deviation of the imputed values over that of the truth.
    """
    error = imputed - truth
    # Around a common centre, so that large values do not eat the variance.
    centre = float(truth.mean()) if len(truth) else 0.0
    y, x = truth - centre, imputed - centre
    total = cells.sums(np.ones(len(truth)))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = [
            np.maximum(cells.sums(v**2) / total - (cells.sums(v) / total) ** 2, 0.0)
            for v in (y, x)
        ]
        square, squared = cells.sums(imputed**2), cells.sums(truth**2)
        cross = cells.sums(imputed * truth)
        residual = squared - cross**2 / square
        found = {
            "nrmse": np.sqrt(cells.sums(error**2) / total / spread[0]),
            "nmae": cells.sums(np.abs(error)) / cells.sums(np.abs(truth)),
            "slope": cross / square,
            "r_squared": 1 - residual / total / spread[0],
            "mean_bias": cells.sums(error) / np.abs(cells.sums(truth)),
            "second_moment_bias": (square - squared) / squared,
            "spread_ratio": np.sqrt(spread[1] / spread[0]),
        }
    return {name: _defined(values) for name, values in found.items()}


def _defined(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


# -- ranks and distributions ---------------------------------------------------------


def _rank_correlation(
    truth: np.ndarray, imputed: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Return the correlation of mid-ranks for each row of weights."""
    total = kept.sum(axis=1)
    first, second = (_mid_ranks(v, kept) for v in (truth, imputed))
    with np.errstate(invalid="ignore", divide="ignore"):
        for ranks in (first, second):
            ranks -= (np.einsum("gn,gn->g", kept, ranks) / total)[:, None]
        cross = np.einsum("gn,gn,gn->g", kept, first, second)
        sizes = [np.einsum("gn,gn,gn->g", kept, r, r) for r in (first, second)]
        return _defined(cross / np.sqrt(sizes[0] * sizes[1]))


def _mid_ranks(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the weight below each value plus half of what is tied with it."""
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    reached = np.cumsum(kept[:, order], axis=1)
    last = np.searchsorted(place[order], np.arange(len(distinct)), side="right") - 1
    upto = reached[:, last]
    below = np.concatenate([np.zeros((len(kept), 1)), upto[:, :-1]], axis=1)
    return np.asarray(((upto + below) / 2)[:, place])


def _largest_gap(
    truth: np.ndarray, imputed: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Return the distance of the distribution functions for each row of weights."""
    both = np.concatenate([truth, imputed])
    order = np.argsort(both, kind="stable")
    signed = np.concatenate([kept, -kept], axis=1)[:, order]
    ends = np.flatnonzero(np.append(np.diff(both[order]) != 0, True))
    gaps = np.abs(np.cumsum(signed, axis=1)[:, ends]).max(axis=1, initial=0.0)
    total = kept.sum(axis=1)
    nothing = np.full(len(kept), np.nan)
    return np.asarray(np.divide(gaps, total, out=nothing, where=total > 0))


def ks_null(truth: np.ndarray, weight: np.ndarray, *, seed: int = 0) -> float:
    """Return the distance that a perfect draw would have, by simulation.

    Two independent samples of as many cells are drawn from the distribution of the
    true values, ties and weights included: also the truth is a draw. Without ties and
    weights the mean distance goes to ``sqrt(pi / 2) log(2) sqrt(2 / n)``. A draw that
    uses what is known of each unit may come closer.

    Parameters
    ----------
    truth, weight : numpy.ndarray of float, shape (n,)
        Cells of one mask.
    seed : int
        Of the draws, of which there are 100.
    """
    held = weight > 0
    w, n = weight[held], int(held.sum())
    if n == 0:
        return float("nan")
    distinct, place = np.unique(truth[held], return_inverse=True)
    share = np.bincount(place, w, len(distinct)) / w.sum()
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_DRAWS):
        drawn = rng.choice(len(distinct), size=(2, n), p=share)
        steps = [np.bincount(one, w, len(distinct)) for one in drawn]
        found.append(np.abs(np.cumsum(steps[0] - steps[1])).max() / w.sum())
    return float(np.mean(found))


# -- categories ----------------------------------------------------------------------


def categorical_measures(
    truth: np.ndarray, imputed: np.ndarray, cells: Replicates
) -> dict[str, np.ndarray]:
    """Measure imputed categories.

    Parameters
    ----------
    truth, imputed : numpy.ndarray of int, shape (n,)
        Codes from 0.
    cells : Replicates
        Weights, masks and groups.

    Returns
    -------
    dict of numpy.ndarray, shape (masks, 1 + groups)
        accuracy: share of cells imputed with their true category (one less Chambers'
        D); total_variation: half the sum of the absolute differences of the shares.
    """
    size = int(max(truth.max(initial=0), imputed.max(initial=0))) + 1
    total = cells.sums(np.ones(len(truth)))
    apart = np.zeros_like(total)
    for code in range(size):
        gap = (imputed == code).astype(float) - (truth == code)
        apart += np.abs(cells.sums(gap))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = class_measures(truth, imputed, cells)
        return found | {"total_variation": _defined(apart / 2 / total)}


def class_measures(
    truth: np.ndarray, imputed: np.ndarray, cells: Replicates
) -> dict[str, np.ndarray]:
    """Return accuracy alone, as :func:`categorical_measures` does, for domains."""
    total = cells.sums(np.ones(len(truth)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"accuracy": _defined(cells.sums(truth == imputed) / total)}


def ordinal_distance(
    truth: np.ndarray, imputed: np.ndarray, cells: Replicates, categories: int
) -> np.ndarray:
    """Return Chambers' D for ordered categories.

    The mean of half the sum of whether the categories differ and by how many places,
    over the most places that are possible.

    Parameters
    ----------
    truth, imputed : numpy.ndarray of int, shape (n,)
        Places in the order of the categories.
    categories : int
        How many there are.

    Returns
    -------
    numpy.ndarray, shape (masks, 1 + groups)
    """
    places = np.abs(truth - imputed)
    distance = ((places > 0) + places / max(categories - 1, 1)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return _defined(cells.sums(distance) / cells.sums(np.ones(len(truth))))


def total_variation_null(
    truth: np.ndarray, weight: np.ndarray, categories: int
) -> float:
    """Return the distance of the shares that a perfect draw would have.

    Of two independent draws from the true shares p, each of n effective cells (Kish:
    the squared sum of the weights over the sum of their squares):
    ``sum(sqrt(p (1 - p) / (pi n)))``, the mean of half the absolute value of normal
    differences.

    Parameters
    ----------
    truth : numpy.ndarray of int, shape (n,)
        Codes of one mask.
    weight : numpy.ndarray of float, shape (n,)
    categories : int
        How many codes there are.
    """
    total = float(weight.sum())
    if total <= 0:
        return float("nan")
    n = total**2 / float(weight @ weight)
    p = np.bincount(truth, weight, categories) / total
    return float(np.sqrt(p * (1 - p) / (np.pi * n)).sum())


def marginal_homogeneity(
    truth: np.ndarray, imputed: np.ndarray, categories: int
) -> tuple[float, int, float]:
    """Test whether truth and imputed values have the same distribution.

    ``W = R' V**-1 R`` with R the differences of the marginal counts and
    ``V = diag(row + column) - C - C'``, a category left out (Stuart 1955, Biometrika
    42, 412-416; Chambers 2001). Units count alike: the test does not know weights or
    clusters.

    Parameters
    ----------
    truth, imputed : numpy.ndarray of int, shape (n,)
        Codes of one mask.
    categories : int
        How many codes there are.

    Returns
    -------
    statistic : float
    df : int
        Degrees of freedom: categories that occur outside the diagonal, less one.
    p : float
    """
    place = truth * categories + imputed
    counts = np.bincount(place, minlength=categories**2).astype(float)
    table = counts.reshape(categories, categories)
    row, column = table.sum(axis=1), table.sum(axis=0)
    moving = row + column - 2 * np.diag(table) > 0
    if moving.sum() < 2:
        return 0.0, 0, 1.0
    gap = (row - column)[moving]
    inner = table[np.ix_(moving, moving)]
    variance = np.diag((row + column)[moving]) - inner - inner.T
    # One category is redundant in each set that exchanges cells among itself.
    df = int(np.linalg.matrix_rank(variance, hermitian=True))
    statistic = float(gap @ np.linalg.pinv(variance, hermitian=True) @ gap)
    return statistic, df, float(stats.chi2.sf(statistic, df))
