"""Published figures under truth and under each method, and how far they lie apart.

Totals, means and shares by publication domain, all on the same weights and units, so
that the standard error of a difference is that of paired figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.quality.accuracy import as_share
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table

__all__ = [
    "Arm",
    "Statistic",
    "aggregate_differences",
    "aggregates",
    "compared_aggregates",
]

Statistic = Literal["total", "mean", "share"]


@dataclass(frozen=True)
class Arm:
    """What one method says of every unit.

    Coding moves units between domains and leaves the amount; imputation changes the
    amount and leaves the domain.

    Parameters
    ----------
    domain : numpy.ndarray of object, shape (n,)
        Publication domain of each unit; None: in none, for instance not coded.
    amount : numpy.ndarray of float, shape (n,), optional
        What is added up; 1 per unit where left out.
    """

    domain: np.ndarray
    amount: np.ndarray | None = None

    def values(self) -> np.ndarray:
        """Return the amount of each unit."""
        if self.amount is None:
            return np.ones(len(self.domain))
        return np.asarray(self.amount, dtype=float)


def aggregates(
    design: Design,
    arms: Mapping[str, Arm],
    *,
    statistic: Statistic = "share",
    min_cell: int = 1,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the figure of every domain under every arm.

    Parameters
    ----------
    design : Design
        Of the sample; its weights carry to the population.
    arms : mapping
        Name -> arm, truth among them.
    statistic : {"total", "mean", "share"}
        Sum of the amounts of a domain, their mean, or their part of the sum over all
        domains and of the units in none.
    min_cell : int
        A domain with fewer units under the arm is not told.

    Returns
    -------
    pandas.DataFrame
        Columns domain, arm and those of
        :class:`~mlstats.quality.estimate.Estimate`, by domain and arm. The interval of
        a share of units is that of Korn and Graubard, of all others t.
    """
    domains = _domains(arms)
    rows = []
    for name, arm in arms.items():
        figures = _figures(design, arm, domains, statistic)
        told = _told(design, figures, min_cell, confidence)
        for domain, found in zip(domains, told, strict=True):
            rows.append(({"domain": domain, "arm": name}, found))
    table = as_table(rows, ["domain", "arm"])
    return table.sort_values("domain", kind="stable", ignore_index=True)


def aggregate_differences(
    design: Design,
    arms: Mapping[str, Arm],
    versus: str,
    *,
    statistic: Statistic = "share",
    min_cell: int = 1,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate by how much each arm's figure differs from that of another arm.

    Against the arm of truth the difference is the bias that the method carries into
    the figure. Its variance comes from the difference of the influences of each unit,
    so that what both arms share cancels.

    Parameters
    ----------
    design, arms, statistic, min_cell
        As in :func:`aggregates`; a difference is told where both figures are.
    versus : str
        The arm to compare with.

    Returns
    -------
    pandas.DataFrame
        Columns domain, arm, versus, those of
        :class:`~mlstats.quality.estimate.Estimate` for ``arm - versus``, and relative:
        the difference as a share of the figure of `versus`, NaN where that is zero or
        is not told.
    """
    domains = _domains(arms)
    other = _figures(design, arms[versus], domains, statistic)
    rows = []
    for name, arm in arms.items():
        if name == versus:
            continue
        gap = _figures(design, arm, domains, statistic).minus(other)
        told = _told(design, gap, min_cell, confidence)
        for domain, base, found in zip(domains, other.value, told, strict=True):
            known = found.status == "measured" and base != 0
            relative = found.value / base if known else np.nan
            keys = {"domain": domain, "arm": name, "versus": versus}
            rows.append(({**keys, "relative": relative}, found))
    table = as_table(rows, ["domain", "arm", "versus", "relative"])
    return table.sort_values("domain", kind="stable", ignore_index=True)


def compared_aggregates(
    design: Design,
    arms: Mapping[str, Arm],
    versus: Mapping[str, str],
    *,
    statistic: Statistic = "share",
    min_cell: int = 1,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate every figure with its differences to several arms in one pass.

    Parameters
    ----------
    design, arms, statistic, min_cell
        As in :func:`aggregates`.
    versus : mapping
        Prefix of the columns -> the arm to compare with.

    Returns
    -------
    pandas.DataFrame
        As :func:`aggregates`, and for each prefix the columns ``PREFIX``,
        ``PREFIX_se``, ``PREFIX_lower`` and ``PREFIX_upper`` of
        :func:`aggregate_differences`, NaN for the arm itself.
    """
    domains = _domains(arms)
    figures = {
        name: _figures(design, arm, domains, statistic) for name, arm in arms.items()
    }
    rows = []
    for name, own in figures.items():
        gaps = {
            prefix: list(_told(design, own.minus(figures[base]), min_cell, confidence))
            for prefix, base in versus.items()
            if base != name
        }
        told = _told(design, own, min_cell, confidence)
        for j, (domain, found) in enumerate(zip(domains, told, strict=True)):
            cells: dict[str, Any] = {"domain": domain, "arm": name}
            for prefix, each in gaps.items():
                cells |= {
                    prefix: each[j].value,
                    f"{prefix}_se": each[j].se,
                    f"{prefix}_lower": each[j].lower,
                    f"{prefix}_upper": each[j].upper,
                }
            rows.append((cells, found))
    names = [f"{p}{end}" for p in versus for end in ("", "_se", "_lower", "_upper")]
    table = as_table(rows, ["domain", "arm", *names])
    return table.sort_values("domain", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _Figures:
    """A statistic of every domain under one arm, and the influence of each unit.

    The influence is ``scores + common @ slopes``; `counted` tells the units that the
    degrees of freedom count (None: all), `n` the units of the domain under each arm,
    `fault` why a domain has no figure, and `behind` the units and clusters with weight
    where the figures are shares of units.
    """

    value: np.ndarray  # (domains,)
    scores: sparse.csr_array  # (n, domains)
    common: np.ndarray  # (n, arms)
    slopes: np.ndarray  # (arms, domains)
    counted: sparse.csr_array | None  # (n, domains)
    n: np.ndarray  # (arms, domains)
    fault: np.ndarray  # (domains,)
    behind: tuple[int, int] | None = None

    def minus(self, other: _Figures) -> _Figures:
        counted = None
        if self.counted is not None and other.counted is not None:
            counted = sparse.csr_array(self.counted + other.counted)
        return _Figures(
            self.value - other.value,
            sparse.csr_array(self.scores - other.scores),
            np.hstack([self.common, other.common]),
            np.vstack([self.slopes, -other.slopes]),
            counted,
            np.vstack([self.n, other.n]),
            np.where(self.fault == "", other.fault, self.fault),
        )


def _figures(
    design: Design, arm: Arm, domains: Sequence[str], statistic: Statistic
) -> _Figures:
    members = _Members(design, arm, domains)
    if statistic == "total":
        return members.totals()
    return members.means() if statistic == "mean" else members.shares()


class _Members:
    """Which units belong to which domain under one arm, and their amounts."""

    def __init__(self, design: Design, arm: Arm, domains: Sequence[str]) -> None:
        amount = arm.values()
        index = pd.Index(np.array(domains, dtype=object))
        self._row = index.get_indexer(pd.Index(arm.domain, dtype=object))
        self._shape = (len(design.weight), len(domains))
        self._weight = design.weight
        self._lost = ~np.isfinite(amount)
        self._behind = _behind(design) if arm.amount is None else None
        # A zero keeps an amount that is not finite from the other domains.
        self._weighted = design.weight * np.where(self._lost, 0.0, amount)
        self._units = np.flatnonzero((self._row >= 0) & (design.weight > 0))
        self._inside = self._spread(np.ones(len(amount)))
        self._part = self._spread(self._weighted)
        self._total = _column_sums(self._part)
        self._n = _column_sums(self._inside).astype(int)[None, :]

    def totals(self) -> _Figures:
        return self._local(self._total, self._part, self._faults())

    def means(self) -> _Figures:
        own = self._spread(self._weight)
        size = _column_sums(own)
        scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        mean = self._total * scale
        scores = (self._part - own @ _diagonal(mean)) @ _diagonal(scale)
        fault = self._faults()
        fault[self._n[0] == 0] = "no unit under this arm"
        return self._local(mean, sparse.csr_array(scores), fault)

    def shares(self) -> _Figures:
        """Return parts of the whole, which every unit with weight has a hand in."""
        whole = float(self._weighted.sum())
        lost = int(self._lost[self._weight > 0].sum())
        empty = "the amounts add up to zero" if whole == 0 else ""
        scale = 1 / whole if whole else 0.0
        share = self._total * scale
        return _Figures(
            share,
            sparse.csr_array(self._part * scale),
            (self._weighted * scale)[:, None],
            -share[None, :],
            None,
            self._n,
            np.full(self._shape[1], _missing(lost) or empty, dtype=object),
            self._behind,
        )

    def _local(
        self, value: np.ndarray, scores: sparse.csr_array, fault: np.ndarray
    ) -> _Figures:
        common, slopes = np.zeros((self._shape[0], 1)), np.zeros((1, self._shape[1]))
        return _Figures(value, scores, common, slopes, self._inside, self._n, fault)

    def _faults(self) -> np.ndarray:
        lost = _column_sums(self._spread(self._lost.astype(float)))
        return np.array([_missing(int(count)) for count in lost], dtype=object)

    def _spread(self, values: np.ndarray) -> sparse.csr_array:
        """Return a value of each unit in the column of its domain."""
        units = self._units
        cells = (values[units], (units, self._row[units]))
        return sparse.csr_array(cells, shape=self._shape)


def _told(
    design: Design, figures: _Figures, min_cell: int, confidence: float
) -> Iterator[Estimate]:
    n = figures.n.min(axis=0)
    # The difference to an empty domain would tell the figure of a small one.
    few = (figures.n > 0) & (figures.n < min_cell)
    small = np.asarray(few.any(axis=0))
    se = np.sqrt(design.variances(figures.scores, figures.common, figures.slopes))
    df = np.full(len(n), design.degrees_of_freedom())
    if figures.counted is not None:
        _, _, df = design.sizes(figures.counted)
    for j, value in enumerate(figures.value):
        fault = design.fault or figures.fault[j]
        if fault:
            yield absent("not_measured", fault, int(n[j]))
        elif small[j]:
            yield absent("not_measured", f"fewer than {min_cell} units")
        else:
            found = design.told(
                float(value), float(se[j]), int(df[j]), n=int(n[j]),
                confidence=confidence,
            )  # fmt: skip
            if figures.behind is not None:
                found = as_share(found, *figures.behind, confidence=confidence)
            yield found


def _behind(design: Design) -> tuple[int, int]:
    held = design.weight > 0
    return int(held.sum()), len(np.unique(design.cluster[held]))


def _domains(arms: Mapping[str, Arm]) -> list[str]:
    codes = pd.Series(np.concatenate([arm.domain for arm in arms.values()]))
    return sorted(str(code) for code in codes.dropna().unique())


def _missing(count: int) -> str:
    return f"{count} amounts are missing or not finite" if count else ""


def _column_sums(matrix: sparse.csr_array) -> np.ndarray:
    return np.asarray(matrix.sum(axis=0)).ravel()


def _diagonal(values: np.ndarray) -> sparse.dia_array:
    return sparse.diags_array(values)
