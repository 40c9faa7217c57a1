"""A method beside the baseline on the same units: tests, classes, candidate lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.accuracy import proportion
from mlstats.quality.breakdown import accuracy_by_class
from mlstats.quality.conformal import (
    Candidates,
    conformal_quantile,
    conformal_scores,
    conformal_sets,
    coverage_table,
    judge_coverage,
)
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, exact, p_value
from mlstats.quality.judged import Judged
from mlstats.quality.multiple import benjamini_hochberg
from mlstats.quality.paired import (
    Pairs,
    Verdict,
    effective_pairs,
    equivalence,
    mcnemar,
    non_inferiority,
    paired_difference,
)
from mlstats.quality.summaries import Ancestor

__all__ = [
    "candidate_coverage",
    "class_table",
    "compared",
    "comparison_indicators",
    "hybrid_accuracy",
    "hybrid_right",
    "hybrid_row",
    "list_length",
    "mcnemar_estimate",
    "recalls_beside",
    "worse_classes",
]

_ALPHA: Final = 0.05
_TOLERANCE: Final = 0.02  # less coverage than promised that is accepted


def compared(one: Judged, other: Judged, *, margin: float) -> list[Indicator]:
    """Test a method against another one on the same units.

    Parameters
    ----------
    one, other : Judged
        Both at the same level.
    margin : float
        How much worse is too much, as a share.

    Returns
    -------
    list of Indicator
        accuracy_difference with Tango's score interval at the effective numbers of the
        design, and the p-values mcnemar_p (mid-p; only where units are drawn simply at
        random, for which it is made), non_inferiority_p and equivalence_p.
    """
    gap = paired_difference(one.design, one.right, other.right, interval="score")
    pairs = effective_pairs(one.design, one.right, other.right)
    return comparison_indicators(gap, pairs, _mcnemar(one, other), margin=margin)


def comparison_indicators(
    gap: Estimate, pairs: Pairs | None, mcnemar_p: Estimate, *, margin: float
) -> list[Indicator]:
    """Return the indicators of :func:`compared`.

    Parameters
    ----------
    gap : Estimate
        The difference.
    pairs : Pairs or None
        Its effective numbers.
    mcnemar_p : Estimate
        See :func:`mcnemar_estimate`.
    margin : float
        As there.
    """
    found = {"accuracy_difference": gap, "mcnemar_p": mcnemar_p}
    for name, test in (
        ("non_inferiority_p", non_inferiority),
        ("equivalence_p", equivalence),
    ):
        if pairs is None or margin <= 0:
            reason = "no gate has a margin" if margin <= 0 else gap.note
            found[name] = absent("not_measured", reason)
        else:
            found[name] = _told(test(pairs, margin), gap.n)
    return [Indicator("accuracy", name, value) for name, value in found.items()]


def _told(verdict: Verdict, n: int) -> Estimate:
    if verdict.p_value is None:
        return absent("not_measured", verdict.reason, n)
    return Estimate(verdict.p_value, n=n, note=f"{verdict.result}: {verdict.reason}")


def _mcnemar(one: Judged, other: Judged) -> Estimate:
    weight, design = one.design.weight, one.design
    simple = (
        len(design.fraction) == 1
        and design.n_clusters == len(weight)
        and len(np.unique(weight)) == 1
    )
    first = int((one.right & ~other.right).sum())
    second = int((other.right & ~one.right).sum())
    return mcnemar_estimate(first, second, simple=simple, n=len(weight))


def mcnemar_estimate(first: int, second: int, *, simple: bool, n: int) -> Estimate:
    """Return the mid-p of McNemar's test where it is made for the sample.

    Parameters
    ----------
    first, second : int
        Units on which only the first, only the second method is right.
    simple : bool
        Whether units were drawn simply at random, with one weight.
    n : int
        All units.
    """
    if not simple:
        note = "weights, strata or clusters: McNemar's test does not know them"
        return absent("not_applicable", note)
    found = mcnemar(first, second)
    note = f"right alone {first}, other right alone {second}, exact p {found.exact:.3g}"
    return Estimate(found.mid_p, n=n, note=note)


def hybrid_accuracy(one: Judged, other: Judged, name: str) -> dict[str, Any]:
    """Estimate the accuracy of what would be published.

    The method codes what it decides by itself to this level, the other method all
    else; no clerk is counted on.

    Parameters
    ----------
    one, other : Judged
        The method, with its routes, and the baseline.
    name : str
        Of the baseline.

    Returns
    -------
    dict
        Row of the scorecard, with the paired difference to the baseline.
    """
    right = hybrid_right(one, other)
    everyone = np.ones(len(right), dtype=bool)
    found = proportion(one.design, right, everyone)
    return hybrid_row(found, one.design.mean(right.astype(float) - other.right), name)


def hybrid_right(one: Judged, other: Judged) -> np.ndarray:
    """Return whether what would be published of each unit is right."""
    automatic = np.array([code is not None for code in one.decided], dtype=bool)
    return np.where(automatic, one.decided == one.truth, other.right)


def hybrid_row(found: Estimate, gap: Estimate, name: str) -> dict[str, Any]:
    """Return the row of :func:`hybrid_accuracy`.

    Parameters
    ----------
    found, gap : Estimate
        The accuracy, and the same less that of the baseline.
    name : str
        Of the baseline.
    """
    return Indicator("accuracy", "accuracy_hybrid", found).row(method="") | {
        "versus": name,
        "difference": gap.value,
        "difference_se": gap.se,
        "difference_lower": gap.lower,
        "difference_upper": gap.upper,
    }


def class_table(
    one: Judged, other: Judged | None, *, min_cell: int = 10
) -> pd.DataFrame:
    """Return precision, recall and F1 of every class, and recall beside the other's.

    Parameters
    ----------
    one : Judged
        The method.
    other : Judged, optional
        The baseline on the same units.
    min_cell : int
        A measure over fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        As :func:`mlstats.quality.breakdown.accuracy_by_class`, and for recall the
        columns difference, difference_lower, difference_upper and p_adjusted
        (Benjamini-Hochberg over the classes).
    """
    table = accuracy_by_class(one.design, one.truth, one.code, min_cell=min_cell)
    if other is None:
        return recalls_beside(table, None)
    gap = one.right.astype(float) - other.right
    return recalls_beside(table, lambda code: one.design.mean(gap, one.truth == code))


def recalls_beside(
    table: pd.DataFrame, gap: Callable[[str], Estimate] | None
) -> pd.DataFrame:
    """Set the differences of the recall to another method's beside it.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns code, measure and status.
    gap : callable, optional
        Code -> difference of the recall; asked where the recall is measured.

    Returns
    -------
    pandas.DataFrame
        With the columns difference, difference_lower, difference_upper and p_adjusted
        (Benjamini-Hochberg over the classes).
    """
    columns = ["difference", "difference_lower", "difference_upper", "p_adjusted"]
    table = table.assign(**dict.fromkeys(columns, np.nan))
    if gap is None:
        return table
    recall = (table["measure"] == "recall") & (table["status"] == "measured")
    found = [gap(code) for code in table["code"][recall]]
    table.loc[recall, "difference"] = [e.value for e in found]
    table.loc[recall, "difference_lower"] = [e.lower for e in found]
    table.loc[recall, "difference_upper"] = [e.upper for e in found]
    p = np.array([p_value(e) for e in found], dtype=float)
    table.loc[recall, "p_adjusted"] = benjamini_hochberg(p)
    return table


def worse_classes(table: pd.DataFrame) -> Indicator:
    """Count the classes whose recall is shown to be below the baseline's.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`class_table` with a baseline.
    """
    tested = table[table["p_adjusted"].notna()]
    if len(tested) == 0:
        missing = absent("not_measured", "no class is large enough to be tested")
        return Indicator("accuracy", "classes_worse", missing)
    worse = tested[(tested["p_adjusted"] <= _ALPHA) & (tested["difference"] < 0)]
    better = tested[(tested["p_adjusted"] <= _ALPHA) & (tested["difference"] > 0)]
    names = ", ".join(worse.sort_values("difference")["code"].head(5))
    note = (
        f"of {len(tested)} classes tested, false discovery rate {_ALPHA:.0%}; "
        f"{len(better)} better" + (f"; worst: {names}" if names else "")
    )
    return Indicator("accuracy", "classes_worse", exact(len(worse), note=note))


def candidate_coverage(
    units: pd.DataFrame, method: str, ancestor: Ancestor, level: str, *, alpha: float
) -> tuple[list[Indicator], pd.DataFrame]:
    """Judge the list of candidates that a clerk is shown.

    The length of the list that holds the truth with probability ``1 - alpha`` comes
    from the valid part (conformal, by rank); it is judged on the test part.

    Parameters
    ----------
    units : pandas.DataFrame
        The valid and the test fold of an Evaluation.
    method : str
        Whose candidates.
    ancestor, level
        Where a candidate counts as right.
    alpha : float
        Probability of missing the truth.

    Returns
    -------
    indicators : list of Indicator
        candidates_hold_truth (of all that are kept), conformal_coverage and
        conformal_size.
    table : pandas.DataFrame
        Coverage by class and domain, as
        :func:`mlstats.quality.conformal.coverage_table`; a column ``of`` names what
        the groups are.
    """
    test = Judged.of(units[units["fold"] == "test"], method, ancestor, level)
    valid = Judged.of(units[units["fold"] == "valid"], method, ancestor, level)
    shown = _candidates(test, ancestor, level)
    hit = np.asarray(shown.codes == test.truth[:, None])
    everything = np.asarray(pd.notna(shown.codes))
    top = coverage_table(test.design, everything, hit).iloc[0]
    kept = shown.codes.shape[1]
    found = {"candidates_hold_truth": _estimate(top, f"of at most {kept} candidates")}
    quantile, n_calibration = _quantile(valid, ancestor, level, alpha)
    if not np.isfinite(quantile):
        note = f"the {kept} candidates kept do not reach {1 - alpha:.0%}"
        missing = absent("not_measured", note, n_calibration)
        found |= {"conformal_coverage": missing, "conformal_size": missing}
        return _indicators(found), _by_group(test, everything, hit)
    sets = conformal_sets(shown, quantile, "rank")
    whole = coverage_table(test.design, sets, hit).iloc[0]
    coverage = _estimate(whole, "")
    verdict = judge_coverage(
        coverage, alpha, tolerance=_TOLERANCE, n_calibration=n_calibration
    )
    note = f"promised {1 - alpha:.0%}, list of {quantile:.0f}; {verdict.result}: "
    found["conformal_coverage"] = _estimate(whole, note + verdict.reason)
    size = test.design.mean(sets.sum(axis=1).astype(float))
    found["conformal_size"] = size
    return _indicators(found), _by_group(test, sets, hit)


def list_length(
    units: pd.DataFrame, method: str, ancestor: Ancestor, level: str, *, alpha: float
) -> int:
    """Return how many candidates hold the truth with probability ``1 - alpha``.

    Parameters
    ----------
    units, method, ancestor, level, alpha
        As in :func:`candidate_coverage`; the valid part is used.

    Returns
    -------
    int
        More than any list has where all that are kept do not.
    """
    valid = Judged.of(units[units["fold"] == "valid"], method, ancestor, level)
    quantile, _ = _quantile(valid, ancestor, level, alpha)
    return int(min(quantile, np.iinfo(np.int32).max))


def _quantile(
    valid: Judged, ancestor: Ancestor, level: str, alpha: float
) -> tuple[float, int]:
    shown = _candidates(valid, ancestor, level)
    scores = conformal_scores(shown, valid.truth, "rank")
    return conformal_quantile(scores, alpha), len(scores)


def _indicators(found: Mapping[str, Estimate]) -> list[Indicator]:
    return [Indicator("accuracy", name, value) for name, value in found.items()]


def _estimate(row: pd.Series[Any], note: str) -> Estimate:
    names = ("value", "se", "df", "lower", "upper", "n", "n_effective", "status")
    told = "; ".join(part for part in (note, str(row["note"])) if part)
    cells = {name: row[name] for name in (*names, "interval")}
    return Estimate(**cells, note=told)


def _candidates(judged: Judged, ancestor: Ancestor, level: str) -> Candidates:
    """Return the candidates at the level, a code that repeats only once."""
    rows = [list(codes) for codes in judged.part["candidates"]]
    width = max((len(row) for row in rows), default=0) or 1
    flat = np.full((len(rows), width), None, dtype=object)
    for row, codes in zip(flat, rows, strict=True):
        row[: len(codes)] = codes
    cut = ancestor(as_codes(pd.Series(flat.ravel(), dtype=object)), level)
    table = np.asarray(cut, dtype=object).reshape(flat.shape)
    for row in table:
        distinct = list(dict.fromkeys(code for code in row if code is not None))
        row[:] = distinct + [None] * (width - len(distinct))
    return Candidates(table)


def _by_group(judged: Judged, sets: np.ndarray, hit: np.ndarray) -> pd.DataFrame:
    tables = [
        coverage_table(judged.design, sets, hit, group, min_cell=10).assign(of=name)
        for name, group in _groups(judged)
    ]
    return pd.concat(tables, ignore_index=True)


def _groups(judged: Judged) -> Iterator[tuple[str, np.ndarray]]:
    yield "class", judged.truth
    yield from judged.domains.items()
