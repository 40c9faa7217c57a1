"""Whether a run made again gives its numbers again, and what a seed is worth.

A rerun is compared by the digest of its outputs, first bit by bit and then by what
changed. Seeds, versions and families of algorithms are compared by the statistic they
give, in units of the sampling error that the statistic has anyway.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import ContractError
from mlstats.method import as_codes
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.evidence import digest
from mlstats.quality.indicator import Indicator, exact, noted

__all__ = [
    "KEYS",
    "PROVENANCE",
    "Rerun",
    "churn",
    "compare_reruns",
    "environment_completeness",
    "family_difference",
    "outputs_digest",
    "seed_spread",
]

KEYS: Final = ("method", "fold", "replicate", "unit", "variable")
PROVENANCE: Final = ("lock digest", "data digest", "code commit", "config digest")
LEAST_SEEDS: Final = 10
_DIMENSION: Final = "reproducibility"


def outputs_digest(
    units: pd.DataFrame,
    *,
    keys: Sequence[str] = KEYS,
    codes: Sequence[str] = ("prediction",),
    numbers: Sequence[str] = ("confidence",),
    tolerance: float = 0.0,
) -> str:
    """Return the sha256 of a run's outputs, whatever the order of their rows.

    Parameters
    ----------
    units : pandas.DataFrame
        The outputs; `keys` tell the rows apart.
    codes, numbers : sequence of str
        Columns that must be the same exactly, and columns of numbers.
    tolerance : float
        Numbers count as multiples of it; 0: to the last bit. Numbers that lie nearer
        than the tolerance can still fall on two multiples, so that equal digests
        prove equality and unequal ones ask for :func:`compare_reruns`.

    Raises
    ------
    ContractError
        Where two rows have the same keys.
    """
    table = _keyed(units, keys)
    columns: dict[str, list[object]] = {
        name: as_codes(table[name]).tolist() for name in (*keys, *codes)
    }
    for name in numbers:
        values = table[name].to_numpy(dtype=float)
        columns[name] = [_number(value, tolerance) for value in values.tolist()]
    return digest({"tolerance": tolerance, "rows": len(table), "columns": columns})


def _keyed(units: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    repeated = int(units.duplicated(list(keys)).sum())
    if repeated:
        raise ContractError(
            f"{repeated} rows of the outputs repeat their keys",
            where=", ".join(keys),
            expected="one row per unit",
        )
    return units.sort_values(list(keys), kind="stable", ignore_index=True)


def _number(value: float, tolerance: float) -> object:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return round(value / tolerance) if tolerance > 0 else value


@dataclass(frozen=True)
class Rerun:
    """What a second run of the same changed.

    Parameters
    ----------
    identical : bool
        To the last bit, whatever the order of the rows.
    changed : float
        Share of rows whose codes changed or that only one of the runs has.
    largest : float
        Largest absolute difference of a number in rows that both have; infinity
        where a number is missing in one of them only.
    n : int
        Rows that either has.
    """

    identical: bool
    changed: float
    largest: float
    n: int

    def indicators(self) -> list[Indicator]:
        """Return ``rerun_changed`` and ``rerun_largest_difference``."""
        note = "identical to the last bit" if self.identical else "not identical"
        if self.n == 0:
            found = [absent("not_measured", "no outputs to compare")] * 2
        else:
            found = [
                exact(value, n=self.n, note=note)
                for value in (self.changed, self.largest)
            ]
        names = ("rerun_changed", "rerun_largest_difference")
        return [
            Indicator(_DIMENSION, name, estimate)
            for name, estimate in zip(names, found, strict=True)
        ]


def compare_reruns(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    keys: Sequence[str] = KEYS,
    codes: Sequence[str] = ("prediction",),
    numbers: Sequence[str] = ("confidence",),
) -> Rerun:
    """Compare the outputs of two runs row by row.

    Parameters
    ----------
    first, second : pandas.DataFrame
        With `keys`, `codes` and `numbers`; missing equals missing.

    Raises
    ------
    ContractError
        Where two rows of a run have the same keys.
    """
    one, two = (
        outputs_digest(units, keys=keys, codes=codes, numbers=numbers)
        for units in (first, second)
    )
    both = _keyed(first, keys).merge(
        _keyed(second, keys), on=list(keys), how="outer", suffixes=("", " again"),
        indicator="_in",
    )  # fmt: skip
    shared = (both["_in"] == "both").to_numpy()
    changed = ~shared
    for name in codes:
        changed |= as_codes(both[name]) != as_codes(both[f"{name} again"])
    largest = max((_largest(both[shared], name) for name in numbers), default=0.0)
    share = float(changed.mean()) if len(both) else 0.0
    return Rerun(one == two, share, largest, len(both))


def _largest(both: pd.DataFrame, name: str) -> float:
    one = both[name].to_numpy(dtype=float)
    two = both[f"{name} again"].to_numpy(dtype=float)
    if (np.isnan(one) != np.isnan(two)).any():
        return math.inf
    apart = np.abs(one - two)[~np.isnan(one) & (one != two)]
    return float(apart.max(initial=0.0))


# -- seeds, environment, versions, families ----------------------------------------


def seed_spread(
    values: np.ndarray, sampling_se: float, *, of: str, confidence: float = 0.95
) -> Indicator:
    """Estimate the spread of a statistic over seeds in units of its sampling error.

    ``s / se`` with the interval of a standard deviation of normal values,
    ``s sqrt((m - 1) / chi2[m - 1])``; the sampling error is taken as known.

    Parameters
    ----------
    values : numpy.ndarray, shape (m,)
        The statistic under m seeds, at least 10.
    sampling_se : float
        Its standard error from the sample, of one fit.
    of : str
        Name of the statistic; the indicator is ``seed_spread_`` and this name.
    """
    name, m = f"seed_spread_{of}", len(values)
    if m < LEAST_SEEDS:
        note = f"{m} fits: the spread over seeds needs at least {LEAST_SEEDS}"
        return Indicator(_DIMENSION, name, absent("not_measured", note, m))
    if not np.isfinite(values).all():
        note = "the statistic is missing under some seeds"
        return Indicator(_DIMENSION, name, absent("not_measured", note, m))
    if not (math.isfinite(sampling_se) and sampling_se > 0):
        note = "the statistic has no sampling error to compare with"
        return Indicator(_DIMENSION, name, absent("not_applicable", note, m))
    # The mean of equal values is rounded: their spread would not be 0.
    sd = float(np.std(values, ddof=1)) if np.ptp(values) > 0 else 0.0
    tail = (1 - confidence) / 2
    lower, upper = (
        sd * math.sqrt((m - 1) / float(stats.chi2.ppf(q, m - 1))) / sampling_se
        for q in (1 - tail, tail)
    )
    found = Estimate(
        sd / sampling_se, lower=lower, upper=upper, n=m,
        note=f"standard deviation {sd:.3g} over {m} seeds, sampling error "
        f"{sampling_se:.3g}",
        interval="chi-squared, sampling error taken as known",
    )  # fmt: skip
    return Indicator(_DIMENSION, name, found)


def environment_completeness(
    provenance: Mapping[str, str], *, required: Sequence[str] = PROVENANCE
) -> Indicator:
    """State the share of what a rerun needs that the run has recorded.

    Parameters
    ----------
    provenance : mapping
        As :func:`mlstats.provenance.provenance` returns it. A commit that was
        changed, or none, is not a record of the code.
    required : sequence of str
        What has to be there: lock, data, code, config.
    """
    missing = [name for name in required if not _recorded(provenance.get(name, ""))]
    value = 1 - len(missing) / len(required)
    note = f"not recorded: {', '.join(missing)}" if missing else "all recorded"
    found = exact(value, n=len(required), note=note)
    return Indicator(_DIMENSION, "environment_completeness", found)


def _recorded(told: str) -> bool:
    return bool(told) and "(changed)" not in told and "not under" not in told


def churn(old: np.ndarray, new: np.ndarray, design: Design) -> Indicator:
    """Estimate the share of units whose code changes between two versions of a model.

    Parameters
    ----------
    old, new : numpy.ndarray of object, shape (n,)
        Codes of the same unchanged units; None where there is none.
    design : Design
        Of the units.
    """
    everywhere = np.ones(len(old), dtype=bool)
    found = proportion(design, np.asarray(old != new, dtype=bool), everywhere)
    return Indicator(_DIMENSION, "churn", found)


def family_difference(
    first: np.ndarray, second: np.ndarray, design: Design, *, of: str
) -> Indicator:
    """Estimate what a second family of algorithms changes about a statistic.

    Parameters
    ----------
    first, second : numpy.ndarray of float, shape (n,)
        What each unit adds to the statistic under either: 1 where it is right, 1
        where it falls into the class, or its imputed value.
    design : Design
        Of the units.
    of : str
        Name of the statistic; the indicator is ``family_difference_`` and this name.

    Returns
    -------
    Indicator
        The mean of the first minus that of the second, paired; the note gives it in
        units of the sampling error of the first.
    """
    gap = design.mean(np.asarray(first, dtype=float) - np.asarray(second, dtype=float))
    alone = design.mean(np.asarray(first, dtype=float))
    if gap.status == "measured" and alone.se > 0:
        gap = noted(gap, f"{gap.value / alone.se:+.2f} sampling errors of the first")
    return Indicator(_DIMENSION, f"family_difference_{of}", gap)
