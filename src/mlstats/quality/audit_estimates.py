"""What an audit with known inclusion probabilities says of all units.

Error rates and corrected figures are weighted by one over the inclusion probability: a
sample stratified by predicted code does not hold the codes as the population does, and
an unweighted rate or matrix of it is biased. The audit is a sample of the units of one
period, without replacement; that these are a sample themselves is not in its errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table
from mlstats.quality.indicator import noted
from mlstats.quality.misclassification import Audit, corrected_shares
from mlstats.quality.summaries import UNCODED, Ancestor

__all__ = ["audit_design", "audit_error_rates", "corrected_figures"]

_CORRECTED: Sequence[str] = ("classify_and_count", "misclassification", "calibration")


def audit_design(
    audit: pd.DataFrame,
    reviewed: np.ndarray | None = None,
    *,
    size: np.ndarray | None = None,
) -> Design:
    """Return the design of an audit: strata, one over pi, finite populations.

    Parameters
    ----------
    audit : pandas.DataFrame
        Columns audit_stratum and inclusion, constant within a stratum.
    reviewed : numpy.ndarray of bool, shape (n,), optional
        Units whose code was checked; those that were not stand for nothing and the
        others of their stratum for them too, as if they had been drawn alone.
    size : numpy.ndarray, shape (n,), optional
        What each unit counts, its survey weight or weight times amount; 1 otherwise.
    """
    done = np.ones(len(audit), dtype=bool) if reviewed is None else reviewed
    stratum = audit["audit_stratum"].to_numpy(dtype=object)
    inclusion = audit["inclusion"].to_numpy(dtype=float)
    part = pd.Series(done.astype(float)).groupby(stratum).transform("mean").to_numpy()
    chance = inclusion * part
    weight = np.divide(1.0, chance, out=np.zeros(len(audit)), where=done)
    weight = weight if size is None else weight * size
    kept = pd.Series(chance, index=stratum).groupby(level=0).first()
    # Units that were not reviewed are no clusters of the sample.
    design = Design.of(
        weight[done],
        stratum=stratum[done],
        fraction={str(h): float(min(f, 1.0)) for h, f in kept.items()},
    )
    lost = sum(1 for f in kept if f == 0)
    if lost and not design.fault:
        fault = f"{lost} strata of the audit have no reviewed unit"
        return replace(design, fault=fault)
    return design


def audit_error_rates(
    audit: pd.DataFrame,
    *,
    ancestor: Ancestor,
    level: str,
    code: str = "prediction",
    truth: str = "truth",
    min_cell: int = 10,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the error rate and the number of wrong codes, overall and by code.

    The Horvitz-Thompson estimator ``sum(e / pi) / N`` (Särndal, Swensson and Wretman
    1992, eq. 2.8.1): in strata with fixed sizes the weights add up to N. The interval
    of a rate is Korn and Graubard's, that of a number the t interval.

    Parameters
    ----------
    audit : pandas.DataFrame
        As :func:`mlstats.review.draw_audit` gives it, with what the clerk found in
        `truth`; blank: not reviewed, which is not "right".
    ancestor, level
        Classification and the level of the figures; a truth that does not reach the
        level is left out as if it had not been reviewed.
    code : str
        Column of the code that is published.
    min_cell : int
        A code with fewer audited units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns figure (rate, number), code ("" is all of them) and those of
        :class:`~mlstats.quality.estimate.Estimate`.
    """
    found = _at(audit[truth], ancestor, level)
    given = _at(audit[code], ancestor, level)
    done = np.array([c is not None for c in found], dtype=bool)
    design = audit_design(audit, done)
    wrong = (found != given)[done]
    named = _named(given[done])
    rows: list[tuple[dict[str, Any], Estimate]] = []
    for name in ["", *sorted(set(named))]:
        inside = np.ones(len(named), dtype=bool) if name == "" else named == name
        n = int(inside.sum())
        if n < min_cell:
            gone = absent("not_measured", f"fewer than {min_cell} units")
            rows += [({"figure": f, "code": name}, gone) for f in ("rate", "number")]
            continue
        rate = number = absent("not_measured", design.fault, n)
        if not design.fault:
            rate = proportion(design, wrong, inside, confidence=confidence)
            count = wrong.astype(float)
            number = design.total(count, inside, confidence=confidence)
        told = _told(int(done.sum()), len(done)) if name == "" else ""
        rows += [
            ({"figure": "rate", "code": name}, noted(rate, told)),
            ({"figure": "number", "code": name}, noted(number, told)),
        ]
    return as_table(rows, ["figure", "code"])


def corrected_figures(
    audit: pd.DataFrame,
    units: pd.DataFrame,
    *,
    ancestor: Ancestor,
    level: str,
    amount: str | None = None,
    code: str = "prediction",
    truth: str = "truth",
    current: bool = True,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate shares and totals of the classes corrected for misclassification.

    By counting, by the misclassification and by the calibration estimator of
    :func:`~mlstats.quality.misclassification.corrected_shares`, with the audit's
    weights times survey weights and amounts. The sum over all classes is known, so
    that a total is the share times it.

    Parameters
    ----------
    audit : pandas.DataFrame
        As for :func:`audit_error_rates`.
    units : pandas.DataFrame
        All units whose shares are wanted, with `code` and weight.
    amount : str, optional
        Column of what is added up, not negative; units are counted otherwise.
    current : bool
        Whether the audit was drawn from these units.

    Returns
    -------
    pandas.DataFrame
        Columns estimator, class, those of
        :class:`~mlstats.quality.estimate.Estimate` for the share, and total,
        total_se, total_lower, total_upper. The bias of counting is in ``bias``.
    """
    size = _sizes(units, amount)
    given = _named(_at(units[code], ancestor, level))
    found = _at(audit[truth], ancestor, level)
    done = np.array([c is not None for c in found], dtype=bool)
    design = audit_design(audit, done, size=_sizes(audit, amount))
    audited = _named(_at(audit[code], ancestor, level)[done])
    classes = sorted({*given, *audited, *found[done]})
    index = pd.Index(classes, dtype=object).get_indexer(pd.Index(given, dtype=object))
    whole = float(size.sum())
    shares = np.bincount(index, size, minlength=len(classes)) / whole
    table = corrected_shares(
        Audit.of(design, found[done], audited, classes),
        shares,
        current=current,
        confidence=confidence,
    )
    table = table[table["estimator"].isin(_CORRECTED)].reset_index(drop=True)
    for column in ("value", "se", "lower", "upper"):
        name = "total" if column == "value" else f"total_{column}"
        table[name] = table[column] * whole
    return table


def _sizes(units: pd.DataFrame, amount: str | None) -> np.ndarray:
    size = units["weight"].to_numpy(dtype=float)
    return size if amount is None else size * units[amount].to_numpy(dtype=float)


def _at(codes: pd.Series, ancestor: Ancestor, level: str) -> np.ndarray:
    blank = codes.isna() | codes.astype("str").str.strip().eq("")
    return ancestor(as_codes(codes.mask(blank, None)), level)


def _named(codes: np.ndarray) -> np.ndarray:
    return np.array([UNCODED if c is None else str(c) for c in codes], dtype=object)


def _told(done: int, drawn: int) -> str:
    if done == drawn:
        return ""
    return f"{drawn - done} of {drawn} were not reviewed; their strata stand for them"
