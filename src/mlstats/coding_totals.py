"""The shares of the classes that a coding pilot publishes of a period."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.coding_sums import CodeSums
from mlstats.process_sums import ProcessSums
from mlstats.quality.design import SingleClusterRule

__all__ = ["code_totals", "process_figures"]


def code_totals(
    units: pd.DataFrame,
    classification: Classification,
    level: str,
    *,
    domains: Sequence[str] = (),
    single: SingleClusterRule = "adjust",
) -> pd.DataFrame:
    """Estimate the weighted share of each class, and how the methods differ in it.

    Parameters
    ----------
    units : pandas.DataFrame
        Columns value, champion_code, baseline_code, weight, cluster, stratum,
        fraction, open and ``domain_NAME``.
    level : str
        Of the classification; what does not reach it is ``uncoded``.
    domains : sequence of str
        Columns by which the shares are told too.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.release_totals.TOTALS`. ``difference`` is champion less
        baseline of the same units, whoever produced them. A class of fewer than ten
        units is not told, nor one without which such a class could be worked out.
    """
    sums = CodeSums.of(units, classification, level, domains=domains)
    return sums.totals(single=single)


def process_figures(units: pd.DataFrame) -> pd.DataFrame:
    """Estimate how the codes of a period came about: what outputs are watched by.

    Parameters
    ----------
    units : pandas.DataFrame
        As for :func:`code_totals`, with route and confidence.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.release_totals.TOTALS`: the weighted shares of units
        coded automatically and of units to which both methods give the same code, and
        the mean confidence of those that have one; rows that cannot be told are left
        out.
    """
    return ProcessSums.of(units).figures()
