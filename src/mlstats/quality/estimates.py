"""What coding does to the published figure: shares by class under each method."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.accuracy import ratio
from mlstats.quality.design import SingleClusterRule
from mlstats.quality.evaluation import ESTIMATES, fractions_of
from mlstats.quality.summaries import UNCODED, Ancestor

__all__ = ["class_shares"]


def class_shares(
    units: pd.DataFrame,
    ancestor: Ancestor,
    level: str,
    *,
    min_cell: int = 10,
    single: SingleClusterRule = "adjust",
) -> pd.DataFrame:
    """Estimate the weighted share of each class under truth and under each method.

    Parameters
    ----------
    units : pandas.DataFrame
        Rows of one fold of an Evaluation.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    level : str
        Level of the published classes.
    min_cell : int
        A class with fewer units under the method is not published.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`mlstats.quality.evaluation.ESTIMATES`; the method
        ``truth`` stands for the true codes, the domain is the class.
    """
    rows = []
    methods = list(units["method"].unique())
    frames = [(m, "prediction", units[units["method"] == m]) for m in methods]
    for method, column, part in [("truth", "truth", frames[0][2]), *frames]:
        codes = ancestor(as_codes(part[column]), level)
        known = np.array([code if code is not None else UNCODED for code in codes])
        weight = part["weight"].to_numpy()
        keys = [part["stratum"].to_numpy(), part["cluster"].to_numpy()]
        index, _ = pd.factorize(pd.MultiIndex.from_arrays(keys))
        strata = pd.Series(keys[0]).groupby(index).first().to_numpy()
        total = np.bincount(index, weight)
        names, counts = np.unique(known, return_counts=True)
        for name, count in zip(names, counts, strict=True):
            if count < min_cell:
                continue
            inside = np.bincount(index, weight * (known == name), minlength=len(total))
            share = ratio(
                inside, total, strata, fractions=fractions_of(part), single=single
            )
            rows.append(
                {
                    "run_id": part["run_id"].iloc[0],
                    "period": _span(part["period"]),
                    "method": method,
                    "variable": f"share of {level}",
                    "domain": str(name),
                    "estimate": share.value,
                    "standard_error": share.se,
                    "df": share.df,
                    "n": int(count),
                    "variance_method": "linearised ratio, clusters with replacement",
                }
            )
    return pd.DataFrame(rows, columns=list(ESTIMATES)).astype(
        {"n": "int64", "estimate": "float64", "standard_error": "float64"}
    )


def _span(periods: pd.Series) -> str:
    first, last = periods.min(), periods.max()
    return str(first) if first == last else f"{first}/{last}"
