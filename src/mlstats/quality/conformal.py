"""Conformal sets of candidate codes, for the clerk's list and not for automation.

A set holds the truth with the promised probability over all units alike. That says
nothing of the units whose set has a single code: their error is bounded by ``alpha``
over their share, no better. What may be automatic is decided by
:mod:`mlstats.quality.automation`; an empty set goes to a clerk.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import MlstatsError
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table
from mlstats.quality.paired import Verdict

__all__ = [
    "Candidates",
    "ScoreKind",
    "conformal_quantile",
    "conformal_rank",
    "conformal_scores",
    "conformal_sets",
    "coverage_spread",
    "coverage_table",
    "judge_coverage",
]

ScoreKind = Literal["lac", "aps", "rank"]


@dataclass(frozen=True)
class Candidates:
    """Ranked candidate codes of each unit.

    Parameters
    ----------
    codes : numpy.ndarray of object, shape (n, k)
        Best first; None where the list is shorter.
    probabilities : numpy.ndarray of float, shape (n, k), optional
        Of the codes, falling along each row; only ``rank`` does without.
    """

    codes: np.ndarray
    probabilities: np.ndarray | None = None

    def scores(self, kind: ScoreKind) -> np.ndarray:
        """Return how far each candidate is from being taken, infinite where none is.

        ``lac``: one minus the probability (Sadinle, Lei and Wasserman 2019, JASA 114);
        ``aps``: the probabilities down to and with the candidate (Romano, Sesia and
        Candès 2020, NeurIPS 33, without randomisation); ``rank``: its place.

        Raises
        ------
        MlstatsError
            Where the kind wants probabilities and there are none.
        """
        there = np.asarray(pd.notna(self.codes))
        if kind == "rank":
            place = np.arange(1, self.codes.shape[1] + 1, dtype=float)
            return np.where(there, place, np.inf)
        if self.probabilities is None:
            raise MlstatsError(
                f"The score {kind} needs the probabilities of the candidates",
                expected="rank, where a method gives a ranked list only",
            )
        p = np.where(there, self.probabilities, 0.0)
        score = 1 - p if kind == "lac" else np.cumsum(p, axis=1)
        return np.where(there, score, np.inf)


def conformal_rank(n: int, alpha: float) -> int:
    """Return which of n calibration scores, from the smallest, bounds the sets.

    ``ceil((n + 1) (1 - alpha))`` (Vovk, Gammerman and Shafer 2005; Lei et al. 2018,
    JASA 113, algorithm 2).

    Examples
    --------
    >>> conformal_rank(99, 0.1), conformal_rank(8, 0.1)
    (90, 9)
    """
    # The product of decimals may lie a rounding error above a whole number.
    return ceil((n + 1) * (1 - alpha) - 1e-9)


def conformal_quantile(scores: np.ndarray, alpha: float) -> float:
    """Return the bound of the scores of a set that is to hold the truth.

    Parameters
    ----------
    scores : numpy.ndarray, shape (n,)
        Of the truth of units that the method was not fitted on; infinite where the
        truth was not among the candidates.
    alpha : float
        Probability of missing the truth, between 0 and 1.

    Returns
    -------
    float
        Infinite where the rank exceeds n: the set is then all that there is.
    """
    rank = conformal_rank(len(scores), alpha)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else np.inf


def conformal_scores(
    candidates: Candidates, truth: np.ndarray, kind: ScoreKind
) -> np.ndarray:
    """Return the score of each unit's truth, infinite where it is not a candidate.

    Parameters
    ----------
    candidates : Candidates
        Of each unit.
    truth : numpy.ndarray of object, shape (n,)
        True codes.
    kind : {"lac", "aps", "rank"}
        As in :meth:`Candidates.scores`.
    """
    hit = np.asarray(candidates.codes == truth[:, None])
    return np.asarray(np.where(hit, candidates.scores(kind), np.inf).min(axis=1))


def conformal_sets(
    candidates: Candidates, quantile: float, kind: ScoreKind
) -> np.ndarray:
    """Return which candidates belong to each unit's set.

    Parameters
    ----------
    candidates : Candidates
        Of each unit.
    quantile : float
        As :func:`conformal_quantile` returns it, for the same kind of score.
    kind : {"lac", "aps", "rank"}
        As in :meth:`Candidates.scores`.

    Returns
    -------
    numpy.ndarray of bool, shape (n, k)
    """
    there = np.asarray(pd.notna(candidates.codes))
    return np.asarray(there & (candidates.scores(kind) <= quantile))


def coverage_spread(
    n: int, alpha: float, confidence: float = 0.9
) -> tuple[float, float]:
    """Return the limits between which the coverage of new units lies by chance.

    Over calibration samples of size n the coverage has the distribution
    ``Beta(n + 1 - l, l)``, ``l = floor((n + 1) alpha)`` (Vovk 2012, ACML,
    proposition 2a; Angelopoulos and Bates 2023, section 3.2).

    Parameters
    ----------
    n : int
        Calibration units.
    alpha : float
        Probability of missing the truth.

    Examples
    --------
    >>> low, high = coverage_spread(1000, 0.1)
    >>> round(low, 3), round(high, 3)
    (0.884, 0.915)
    """
    missed = floor((n + 1) * alpha + 1e-9)
    if missed == 0:
        return (1.0, 1.0)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = stats.beta.ppf(tails, n + 1 - missed, missed)
    return (float(low), float(high))


def coverage_table(
    design: Design,
    sets: np.ndarray,
    hit: np.ndarray,
    group: np.ndarray | None = None,
    *,
    min_cell: int = 1,
) -> pd.DataFrame:
    """Return coverage and size of the sets, over all units and by group.

    Parameters
    ----------
    design : Design
        Of units that were used neither for fitting nor for calibration.
    sets : numpy.ndarray of bool, shape (n, k)
        As :func:`conformal_sets` returns them.
    hit : numpy.ndarray of bool, shape (n, k)
        Whether the candidate is the truth.
    group : numpy.ndarray of object, shape (n,), optional
        Class or domain; the promise holds for all units together only.
    min_cell : int
        A group with fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns group ("" for all), mean_size, empty, single (weighted shares of sets
        without and with one code), single_error (share of wrong ones among these) and
        those of :class:`~mlstats.quality.estimate.Estimate` for the coverage.
    """
    covered = (sets & hit).any(axis=1)
    size = sets.sum(axis=1)
    everyone = np.ones(len(size), dtype=bool)
    groups: list[tuple[str, np.ndarray]] = [("", everyone)]
    if group is not None:
        names = sorted(str(name) for name in pd.unique(group[pd.notna(group)]))
        groups += [(name, np.asarray(group == name)) for name in names]
    rows: list[tuple[dict[str, Any], Estimate]] = []
    for name, inside in groups:
        found = proportion(design, covered, inside)
        if found.status == "measured" and found.n < min_cell:
            found = absent("not_measured", f"fewer than {min_cell} units")
        sizes = {}
        if found.status == "measured":
            sizes = _sizes(np.where(inside, design.weight, 0.0), size, covered)
        rows.append(({"group": name, **sizes}, found))
    columns = ["group", "mean_size", "empty", "single", "single_error"]
    return as_table(rows, columns)


def _sizes(w: np.ndarray, size: np.ndarray, covered: np.ndarray) -> dict[str, float]:
    share = w / w.sum()
    single = float(share @ (size == 1))
    missed = float(share @ ((size == 1) & ~covered))
    return {
        "mean_size": float(share @ size),
        "empty": float(share @ (size == 0)),
        "single": single,
        "single_error": missed / single if single > 0 else np.nan,
    }


def judge_coverage(
    coverage: Estimate, alpha: float, *, tolerance: float, n_calibration: int
) -> Verdict:
    """Judge whether the sets cover what they promise, less a tolerance.

    Passed where the lower limit reaches ``1 - alpha - tolerance``: a wide interval
    does not pass. Where the spread by the calibration sample alone reaches below that,
    the reason says so: such a failure calls for more calibration units first.

    Parameters
    ----------
    coverage : Estimate
        With its two-sided interval.
    alpha : float
        Probability of missing the truth that the sets were made for.
    tolerance : float
        How much less coverage is accepted.
    n_calibration : int
        Units that the quantile came from.
    """
    if not np.isfinite(coverage.lower):
        return Verdict("not_measured", None, coverage.note or "no interval")
    bar = 1 - alpha - tolerance
    low, _ = coverage_spread(n_calibration, alpha)
    spread = ""
    if low < bar:
        spread = f"; {n_calibration} calibration units may by chance give {low:.3f}"
    if coverage.lower >= bar:
        return Verdict("pass", None, f"the lower limit reaches {bar:.3f}")
    if coverage.upper < bar:
        return Verdict("fail", None, f"the upper limit misses {bar:.3f}{spread}")
    return Verdict("inconclusive", None, f"{bar:.3f} lies between the limits{spread}")
