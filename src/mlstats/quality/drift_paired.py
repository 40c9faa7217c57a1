"""Drift on the units that two periods have in common.

In a rotating panel most units answer in both periods. A two-sample test takes them for
independent and finds next to nothing; these tests look at the units that changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from scipy import stats

from mlstats.quality.drift_evidence import (
    LEAST_UNITS,
    NORMAL_95,
    NORMAL_OF_POWER,
    Evidence,
    Floors,
    Sizes,
    Test,
    certain,
    fewest,
    refer_to_t,
)
from mlstats.quality.drift_panel import PairedCells, PairedSummary
from mlstats.quality.drift_tests import (
    homogeneity,
    noncentrality,
    signed_binomial,
    sparse_groups,
)

__all__ = ["compare_paired", "stuart_maxwell"]

_LEAST_CHANGED: Final = 10.0  # units that left or entered a code
_CLUSTERS_PER_CELL: Final = 5


def compare_paired(name: str, pairs: PairedSummary, floors: Floors) -> list[Evidence]:
    """Test a column for drift among the units that both periods have.

    Parameters
    ----------
    name : str
        The column.
    pairs : PairedSummary
        Of the two periods.
    floors : Floors
        What matters.

    Returns
    -------
    list of Evidence
        One with a reason where the column could not be tested at all.
    """
    reason = _unusable(name, pairs)
    if reason:
        return [Evidence("distribution", note=reason)]
    cells, missing = pairs.columns[name], pairs.missing[name]
    df = float(pairs.clusters - 1) if pairs.clustered else np.inf
    found: list[Evidence] = []
    if cells.n < LEAST_UNITS:
        note = f"fewer than {LEAST_UNITS} common units have a value in both"
        found.append(Evidence("distribution", note=note))
    elif not cells.changed_units.any():
        note = "no common unit changed"
        found.append(certain("distribution", note, _sizes(cells)))
    elif name in pairs.reference.edges:
        found.append(_numbers(cells, df, floors))
    else:
        found += _codes(cells, df, floors)
    if missing.changed_units.any():
        found.append(_shares("missing", missing, np.array([1]), df, floors))
    else:
        note = "no common unit gained or lost a value"
        found.append(certain("missing", note, _sizes(missing)))
    return found


def stuart_maxwell(
    difference: np.ndarray, moments: np.ndarray, groups: np.ndarray
) -> tuple[float, int]:
    """Return the statistic of marginal homogeneity and its degrees of freedom.

    ``d' S^-1 d`` with S the sum over clusters of the products of their changes
    (Stuart 1955, Biometrika 42, 412-416; Maxwell 1970, British Journal of Psychiatry
    116, 651-655, where each unit is a cluster of its own).

    Parameters
    ----------
    difference : numpy.ndarray, shape (cells,)
        Weight that entered each cell less what left it.
    moments : numpy.ndarray, shape (cells, cells)
        S.
    groups : numpy.ndarray of int, shape (cells,)
        Cells are put together by it.
    """
    select = np.eye(int(groups.max()) + 1)[groups]
    d, s = select.T @ difference, select.T @ moments @ select
    rank = int(np.linalg.matrix_rank(s, hermitian=True))
    return float(d @ np.linalg.pinv(s, hermitian=True) @ d), rank


def _unusable(name: str, pairs: PairedSummary) -> str:
    if pairs.fault:
        return pairs.fault
    if name not in pairs.columns:
        return "one of the periods lacks the column"
    if pairs.columns[name].fault:
        return pairs.columns[name].fault
    if name in pairs.reference.edges and len(pairs.reference.edges[name]) == 0:
        return "the Reference was learnt where the column had no number"
    if pairs.clusters < 2 and pairs.n > 0:
        return "the common units are one cluster, which has no variance"
    if pairs.n < LEAST_UNITS:
        return f"the periods have {pairs.n} units in common, fewer than {LEAST_UNITS}"
    return ""


def _sizes(cells: PairedCells) -> Sizes:
    return Sizes(cells.n, cells.n, float(cells.n), float(cells.n))


def _homogeneity_of(cells: PairedCells, df: float) -> tuple[float, float, np.ndarray]:
    """Return statistic and p of the test of Stuart and Maxwell, and the groups."""
    least = _LEAST_CHANGED
    while True:
        groups = sparse_groups(cells.changed_units, cells.changed_units, least)
        width = int(groups.max()) + 1
        if np.isinf(df) or width * _CLUSTERS_PER_CELL <= df or width == 1:
            break
        least *= 2
    x, rank = stuart_maxwell(cells.now - cells.before, cells.moments.toarray(), groups)
    if rank == 0:
        return 0.0, 1.0, groups
    if np.isinf(df):
        return x, float(stats.chi2.sf(x, rank)), groups
    # Without centring, x = g h / (1 + h) where h (g - 1) is Hotelling's T squared.
    g = df + 1
    h = x / max(g - x, 1e-12)
    return x, float(stats.f.sf(h * (g - rank) / rank, rank, g - rank)), groups


def _numbers(cells: PairedCells, df: float, floors: Floors) -> Evidence:
    x, p, groups = _homogeneity_of(cells, df)
    below = np.tri(len(cells.now))[:-1] / cells.total
    steps = below @ (cells.now - cells.before)
    spread = np.diagonal(below @ cells.moments.toarray() @ below.T)
    variance = np.maximum(spread, 0.0)  # rounding can leave less than nothing
    half = float(stats.norm.isf(0.025 / len(steps))) * np.sqrt(variance)
    distance = float(np.abs(steps).max())
    return Evidence(
        "distribution",
        "Stuart-Maxwell on the deciles of the Reference, common units",
        "distance",
        statistic=x,
        p=p,
        p_each=np.array([p]),
        effect=np.array([distance]),
        lower=np.array([max(float((np.abs(steps) - half).max()), 0.0)]),
        upper=np.array([float((np.abs(steps) + half).max())]),
        floor=np.array([floors.distance]),
        sizes=_sizes(cells),
        detectable=partial(
            _detectable_distance, int(groups.max()), float(np.sqrt(variance.max()))
        ),
    )


def _detectable_distance(rank: int, se: float, level: float, part: int) -> float:
    critical = float(stats.chi2.isf(level, max(rank, 1)))
    return float(np.sqrt(noncentrality(critical, rank, NORMAL_OF_POWER)) * se)


def _codes(cells: PairedCells, df: float, floors: Floors) -> Iterator[Evidence]:
    x, p, groups = _homogeneity_of(cells, df)
    select = np.eye(int(groups.max()) + 1)[groups]
    before, now = (select.T @ side / cells.total for side in (cells.before, cells.now))
    pooled = (before + now) / 2
    if groups.max() == 0:
        note = "too few common units changed their code"
        yield Evidence("distribution", note=note)
    else:
        variance = select.T @ cells.moments.toarray() @ select / cells.total**2
        relative = variance**2 / np.outer(pooled, pooled)
        traces = (float((np.diagonal(variance) / pooled).sum()), float(relative.sum()))
        found = homogeneity(
            (before, now, pooled), traces, _sizes(cells), np.inf, floors.relative
        )
        yield replace(
            found,
            method="Stuart-Maxwell, common units",
            statistic=x,
            p=p,
            p_each=np.array([p]),
        )
    frequent = np.flatnonzero(cells.changed_units >= _LEAST_CHANGED)
    if len(frequent):
        yield _shares("code", cells, frequent, df, floors)


def _shares(
    test: Test, cells: PairedCells, chosen: np.ndarray, df: float, floors: Floors
) -> Evidence:
    """Test shares by the units that entered and left (McNemar's test, exact)."""
    before, now = (side[chosen] / cells.total for side in (cells.before, cells.now))
    own = cells.moments.diagonal()[chosen]
    changed = cells.changed[chosen]
    # With weights or clusters, as many independent changes as have this variance.
    effective = changed**2 / own
    entered = (changed + cells.now[chosen] - cells.before[chosen]) / 2
    p_alone = refer_to_t(signed_binomial(entered / changed, effective), df)
    p_each = np.minimum(1.0, len(chosen) * p_alone)
    first = int(np.argmin(p_each))
    se = np.sqrt(own) / cells.total
    plain = np.full(len(chosen), floors.share)
    labels = tuple(cells.labels[chosen]) if test == "code" else ("",)
    return Evidence(
        test,
        "McNemar, common units",
        "share",
        statistic=float(now[first] - before[first]),
        p=float(p_each[first]),
        labels=labels,
        p_each=p_each,
        effect=now - before,
        lower=now - before - NORMAL_95 * se,
        upper=now - before + NORMAL_95 * se,
        floor=plain if test == "missing" else floors.of_shares(before),
        fewest=fewest(cells.units[:, chosen]),
        sizes=_sizes(cells),
        detectable=partial(_detectable_share, se),
    )


def _detectable_share(se: np.ndarray, level: float, part: int) -> float:
    critical = stats.norm.isf(level / len(se) / 2)
    return float((critical + NORMAL_OF_POWER) * se[part])
