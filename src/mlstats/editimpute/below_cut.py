"""What remains below the cut of selective editing: a random sample, and an estimate.

Not reviewed is not correct. Errors below the cut are few and of very unequal size, so
that the usual interval covers far too rarely. Records are therefore drawn with strata
of their possible (not of their expected) error, and the interval takes its degrees of
freedom from the errors that were found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from mlstats.errors import ConfigError, ContractError
from mlstats.quality.accuracy import proportion
from mlstats.quality.audit_estimates import audit_design
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table

__all__ = ["draw_below_cut", "remaining_error"]

Floats = npt.NDArray[np.float64]
# No record counts for less than this share of the median: any can hold an error.
FLOOR = 0.25


def draw_below_cut(
    table: pd.DataFrame,
    size: npt.ArrayLike,
    n: int,
    *,
    strata: int = 10,
    seed: int,
) -> pd.DataFrame:
    """Draw records that are not selected, stratified by the size of possible errors.

    Strata are cut at equal sums of `size` and get the same number of records, which is
    the best allocation where the standard deviation of the errors grows with the size.

    Parameters
    ----------
    table : DataFrame
        Of :class:`~mlstats.editimpute.cut.Selection`.
    size : array, shape (n,)
        How large an error the record may hold: its score *without* the probability of
        error. With the probability, the error that the model does not suspect would
        hardly ever be drawn, and would spoil the interval when it is.
    n : int
        Records to draw.
    strata : int
        At most so many; each has two records in the sample, or all of its own.
    seed : int
        Of the draw.

    Returns
    -------
    DataFrame
        unit, audit_stratum, inclusion (probability), in the order of the records and
        with their labels.
    """
    if len(table) != len(np.asarray(size)):
        raise ContractError(
            f"There are {len(table)} records, {len(np.asarray(size))} sizes"
        )
    below = np.flatnonzero(~table["selected"].to_numpy(dtype=bool))
    amount = np.asarray(size, dtype=float)[below]
    if not (np.isfinite(amount) & (amount >= 0)).all():
        raise ContractError("Sizes below the cut are missing, infinite or negative")
    if not n >= 2 or not strata >= 1:
        raise ConfigError("An audit below the cut needs two records", expected="n >= 2")
    if not len(below):
        raise ContractError("No record is below the cut")
    stratum = _strata(amount, min(strata, n // 2))
    held = np.bincount(stratum)
    taken = _allocated(held, min(n, len(below)))
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(stratum == h), taken[h], replace=False)
        for h in range(len(held))
    ]
    rows = np.sort(np.concatenate(drawn))
    return pd.DataFrame(
        {
            "unit": table["unit"].to_numpy()[below[rows]],
            "audit_stratum": stratum[rows].astype(str),
            "inclusion": (taken / held)[stratum[rows]],
        },
        index=table.index[below[rows]],
    )


def remaining_error(
    audit: pd.DataFrame, errors: pd.DataFrame, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Estimate the error that remains below the cut, from the audited records.

    Horvitz-Thompson totals (Särndal, Swensson and Wretman 1992, eq. 2.8.1). The
    degrees of freedom are at most ``sum(z)**2 / sum(z**2) - 1``, ``z`` the weighted
    sizes of the errors found: as if only so many equal errors had been seen. The
    interval of the absolute error, which cannot fall below zero, is made on the scale
    of logarithms.

    Parameters
    ----------
    audit : DataFrame
        Of :func:`draw_below_cut`.
    errors : DataFrame, shape (audited, variables)
        Survey weight times reported less true value, over the standardising factor, in
        the order of `audit`; missing: not reviewed, which is not "right".

    Returns
    -------
    DataFrame
        variable, figure (``absolute``: sum of the sizes; ``signed``: the bias that is
        left in the total; ``wrong``: share of the records with an error) and the
        columns of :class:`~mlstats.quality.estimate.Estimate`.
    """
    if len(audit) != len(errors):
        raise ContractError(f"There are {len(audit)} audited records, {len(errors)}")
    rows = []
    for name in errors.columns:
        found = errors[name].to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(found).any():
            raise ContractError(f"Errors of {name!r} are infinite")
        done = ~np.isnan(found)
        figures = _figures(audit, found, done, confidence)
        rows += [({"variable": name, "figure": f}, e) for f, e in figures.items()]
    return as_table(rows, ["variable", "figure"])


def _figures(
    audit: pd.DataFrame, found: Floats, done: npt.NDArray[np.bool_], confidence: float
) -> dict[str, Estimate]:
    design = audit_design(audit, done)
    if design.fault or not done.any():
        gone = absent("not_measured", design.fault or "no record was reviewed")
        return {"absolute": gone, "signed": gone, "wrong": gone}
    error = found[done]
    signed = design.total(error, confidence=confidence)
    size = design.total(np.abs(error), confidence=confidence)
    everyone = np.ones(len(error), dtype=bool)
    wrong = proportion(design, error != 0, everyone, confidence=confidence)
    if not error.any():
        note = "no error was found: see the limit of the share of wrong records"
        return {
            "absolute": replace(size, note=note),
            "signed": replace(signed, note=note),
            "wrong": wrong,
        }
    df = _effective_df(design, error)
    return {
        "absolute": _on_logarithms(size, df, confidence),
        "signed": _interval(signed, df, confidence),
        "wrong": wrong,
    }


def _effective_df(design: Design, error: Floats) -> float:
    z = design.weight * np.abs(error)
    return max(float(z.sum() ** 2 / (z**2).sum()) - 1, 1.0)


def _interval(found: Estimate, df: float, confidence: float) -> Estimate:
    if not found.has_error:
        return found
    df = min(df, found.df)
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * found.se
    low, high = found.value - half, found.value + half
    return replace(found, df=df, lower=low, upper=high)


def _on_logarithms(found: Estimate, df: float, confidence: float) -> Estimate:
    if not found.has_error:
        return found
    df = min(df, found.df)
    t = float(stats.t.ppf((1 + confidence) / 2, df))
    ratio = float(np.exp(min(t * found.se / found.value, 700.0)))
    low, high = found.value / ratio, found.value * ratio
    return replace(found, df=df, lower=low, upper=high, interval="t of logarithms")


def _strata(size: Floats, strata: int) -> npt.NDArray[np.int64]:
    least = FLOOR * float(np.median(size))
    held = np.maximum(size, least) if least > 0 else size + (not size.any())
    order = np.argsort(held, kind="stable")
    share = held[order].cumsum() / held.sum()
    place = np.minimum((share * strata * (1 - 1e-12)).astype(int), strata - 1)
    stratum = np.empty(len(size), dtype=np.int64)
    # Strata without a record are left out of the numbering.
    stratum[order] = np.unique(place, return_inverse=True)[1]
    return stratum


def _allocated(held: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Return equal numbers, where a stratum holds as many; the rest to the others."""
    taken = np.zeros(len(held), dtype=np.int64)
    while taken.sum() < n:
        open_ = np.flatnonzero(taken < held)
        left = int(n - taken.sum())
        part = np.full(len(open_), left // len(open_))
        # What does not divide goes to the strata of the larger sizes.
        part[len(open_) - left % len(open_) :] += 1
        taken[open_] = np.minimum(taken[open_] + part, held[open_])
    return taken
