"""What clerks see of a period: the audit sample, double coding, arbitration.

The audit is drawn from every unit, from those that a clerk has coded too, in a few
coarse strata by code and confidence, and every unit has a chance to be drawn: no rate
can be estimated for units that had none. Audited units are coded without a suggestion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final, Literal

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.audit_strata import (
    Cell,
    allocated,
    each_once,
    strata_of,
    stratum_names,
)
from mlstats.quality.summaries import Ancestor

__all__ = [
    "arbitration_list",
    "audit_strata",
    "draw_audit",
    "draw_counted",
    "draw_within",
    "hash_of",
    "routed",
    "smallest_ranks",
]

Allocation = Literal["proportional", "neyman", "weight"]
BANDS: Final = (0.5, 0.8, 0.95)
_SURE: Final = 0.02  # no stratum counts as more certain than this: scores may not hold


def draw_audit(
    units: pd.DataFrame,
    *,
    size: int,
    ancestor: Ancestor,
    level: str,
    bands: Sequence[float] = BANDS,
    allocation: Allocation = "proportional",
    expected_error: Mapping[str, float] | None = None,
    amount: str | None = None,
    code: str = "prediction",
    least: int = 2,
    double_code: float = 0.1,
    seed: int,
) -> pd.DataFrame:
    """Draw a stratified audit sample with known inclusion probabilities.

    Within a stratum the units with the smallest hashes of seed and unit are drawn: a
    simple random sample without replacement that does not depend on the order of the
    rows. The strata are those of :func:`audit_strata`.

    Parameters
    ----------
    units : pandas.DataFrame
        One method's units of an Evaluation, each once.
    size : int
        Units to draw; all of them where there are no more.
    ancestor, level
        Classification and the coarse level of the strata.
    bands : sequence of float
        Limits of the bands of confidence.
    allocation : {"proportional", "neyman", "weight"}
        By units; by units times the standard deviation of weighted errors (Neyman
        1934, Journal of the Royal Statistical Society 97, 558-625); or by weight times
        amount.
    expected_error : mapping, optional
        Stratum -> error rate for Neyman's allocation, from an earlier audit; one
        minus the mean confidence otherwise, one half for what clerks have coded.
    amount : str, optional
        Column of what is added up, for the allocation by weight.
    code : str
        Column of the code that is published, the clerk's where there is one.
    least : int
        Units drawn in every stratum, at least; two give a standard error.
    double_code : float
        Share of the sample that a second coder codes too.
    seed : int
        Another seed draws another sample.

    Returns
    -------
    pandas.DataFrame
        The drawn rows in random order, so that a clerk cannot see the strata, with
        audit_stratum, inclusion (probability, above 0), audit_weight (one over it),
        blind (coded without suggestion, always true), double_coded and
        double_inclusion.

    Raises
    ------
    MlstatsError
        Where a unit stands twice or the size is less than `least`.
    """
    stratum = strata_of(units, size, ancestor, level, bands, code, least)
    measure = _measure(units, stratum, allocation, expected_error or {}, amount)
    return draw_within(
        units, stratum, measure, size, least=least, double_code=double_code, seed=seed
    )


def draw_within(
    units: pd.DataFrame,
    stratum: pd.Series,
    measure: pd.Series,
    size: int,
    *,
    least: int = 2,
    double_code: float = 0.1,
    seed: int,
    counts: pd.Series | None = None,
) -> pd.DataFrame:
    """Draw units at random within strata that are given.

    Parameters
    ----------
    units : pandas.DataFrame
        Column unit, each once.
    stratum : pandas.Series of str, shape (n,)
        With the index of the units.
    measure : pandas.Series
        By stratum: what the sample is to be in proportion to.
    size, least, double_code, seed
        As in :func:`draw_audit`.
    counts : pandas.Series, optional
        By stratum, all its units: where `units` are, of each stratum, those that
        :func:`smallest_ranks` returns.

    Returns
    -------
    pandas.DataFrame
        As :func:`draw_audit` returns it.
    """
    if counts is None:
        counts = stratum.groupby(stratum).size()
    table = _table(counts, measure, size, least)
    return _drawn(units, stratum, table, double_code, seed)


def draw_counted(
    units: pd.DataFrame,
    cells: Sequence[Cell],
    counts: Mapping[Cell, int],
    *,
    size: int,
    bands: Sequence[float] = BANDS,
    least: int = 2,
    double_code: float = 0.1,
    seed: int,
) -> pd.DataFrame:
    """Draw the sample of :func:`draw_audit`, allocated by units, from a few of them.

    Parameters
    ----------
    units : pandas.DataFrame
        Of each cell at least those that :func:`smallest_ranks` returns.
    cells : sequence of Cell
        Of each of these units, see :func:`mlstats.quality.audit_strata.audit_cells`.
    counts : mapping
        Cell -> all its units.
    size, bands, least, double_code, seed
        As in :func:`draw_audit`.
    """
    names = stratum_names(counts, size, bands, least)
    held: dict[str, int] = {}
    for cell, count in counts.items():
        held[names[cell]] = held.get(names[cell], 0) + count
    of = pd.Series(held).sort_index()
    stratum = pd.Series([names[cell] for cell in cells], units.index, dtype=object)
    table = _table(of, of.astype(float), size, least)
    return _drawn(units, stratum, table, double_code, seed)


def smallest_ranks(
    units: pd.Series, cells: Sequence[Cell], *, size: int, seed: int
) -> np.ndarray:
    """Return the rows that an audit can be drawn from, whatever its strata become.

    Parameters
    ----------
    units : pandas.Series
        Their ids.
    cells : sequence of Cell
        Of each unit.
    size, seed : int
        Of the audit.

    Returns
    -------
    numpy.ndarray of int
        Of each cell the `size` units that a draw takes first, in the order of the rows.
    """
    rank = _ranks(units, seed)
    number = pd.factorize(pd.Series(list(cells), dtype=object))[0]
    place = pd.Series(rank).groupby(number).rank(method="first")
    return np.flatnonzero(place.to_numpy() <= size)


def _drawn(
    units: pd.DataFrame,
    stratum: pd.Series,
    table: pd.DataFrame,
    double_code: float,
    seed: int,
) -> pd.DataFrame:
    rank = _ranks(units["unit"], seed)
    place = pd.Series(rank).groupby(stratum.to_numpy()).rank(method="first")
    chosen = place.to_numpy() <= stratum.map(table["sample"]).to_numpy()
    drawn = units[chosen].assign(
        audit_stratum=stratum[chosen],
        inclusion=stratum[chosen].map(table["inclusion"]).astype(float),
    )
    drawn["audit_weight"] = 1 / drawn["inclusion"]
    drawn["blind"] = True
    drawn = drawn.iloc[np.argsort(rank[chosen])]
    return _doubled(drawn, double_code, seed).reset_index(drop=True)


def audit_strata(
    units: pd.DataFrame,
    *,
    size: int,
    ancestor: Ancestor,
    level: str,
    bands: Sequence[float] = BANDS,
    allocation: Allocation = "proportional",
    expected_error: Mapping[str, float] | None = None,
    amount: str | None = None,
    code: str = "prediction",
    least: int = 2,
) -> pd.DataFrame:
    """Return the strata of an audit and how many units are drawn in each.

    A cell of code and band whose proportional part of the sample is less than `least`
    is merged: bands of a code with the next, then codes with one another. The name of
    a stratum tells what was merged into it. What a clerk has coded (route ``queue``)
    stands in strata of its own.

    Returns
    -------
    pandas.DataFrame
        By stratum: units, sample, inclusion.
    """
    stratum = strata_of(units, size, ancestor, level, bands, code, least)
    measure = _measure(units, stratum, allocation, expected_error or {}, amount)
    return _table(stratum.groupby(stratum).size(), measure, size, least)


def routed(units: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    """Return units with the route ``audit`` where they were drawn, by any method."""
    drawn = units["unit"].isin(audit["unit"])
    return units.assign(route=units["route"].mask(drawn, "audit"))


def hash_of(period: str) -> int:
    """Return a number of a period, so that each has a sample of its own."""
    return int.from_bytes(period.encode(), "big") % 2**31


def arbitration_list(
    first: pd.Series,
    second: pd.Series,
    *,
    ancestor: Ancestor | None = None,
    levels: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the units that two coders have coded differently.

    Parameters
    ----------
    first, second : pandas.Series
        Codes by unit (index); None or blank where the coder gave none.
    ancestor, levels
        Classification and its levels, the coarsest first, to tell where they part.

    Returns
    -------
    pandas.DataFrame
        Columns unit, first, second, kind (differ, or one_missing), apart_at (the
        first of `levels` at which they differ, or "code"); those apart at the
        coarsest level come first. Units that neither has coded are not listed: there
        is nothing to arbitrate.

    Raises
    ------
    MlstatsError
        Where a unit stands twice in one of the two.
    """
    for coded in (first, second):
        each_once(pd.Series(coded.index))
    pair = pd.DataFrame({"first": _given(first), "second": _given(second)})
    pair = pair.astype(object).where(pair.notna(), None)
    pair = pair[pair["first"].notna() | pair["second"].notna()]
    missing = pair.isna().any(axis=1)
    pair = pair[missing | (pair["first"] != pair["second"])]
    one, two = (as_codes(pair[name]) for name in ("first", "second"))
    apart = np.full(len(pair), len(levels))
    for place in reversed(range(len(levels) if ancestor else 0)):
        at = [ancestor(codes, levels[place]) for codes in (one, two)]  # type: ignore[misc]
        apart[at[0] != at[1]] = place
    pair.insert(0, "unit", pair.index)
    pair["kind"] = np.where(pair.isna().any(axis=1), "one_missing", "differ")
    pair["apart_at"] = np.array([*levels, "code"], dtype=object)[apart]
    return pair.iloc[np.argsort(apart, kind="stable")].reset_index(drop=True)


# -- the draw ----------------------------------------------------------------------


def _ranks(units: pd.Series, seed: int, purpose: str = "audit") -> np.ndarray:
    """Return a number for each unit that only unit, seed and purpose decide."""
    digests = (
        hashlib.sha256(f"{purpose} {seed} {unit}".encode()).digest() for unit in units
    )
    return np.array([int.from_bytes(digest[:8]) for digest in digests], dtype=np.uint64)


def _doubled(drawn: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Mark a simple random part of the audit for a second coder."""
    n = min(ceil(share * len(drawn)), len(drawn))
    rank = _ranks(drawn["unit"], seed, "double coding")
    doubled = np.zeros(len(drawn), dtype=bool)
    doubled[np.argsort(rank)[:n]] = True
    chance = n / len(drawn) if len(drawn) else 0.0
    return drawn.assign(
        double_coded=doubled,
        double_inclusion=np.where(doubled, drawn["inclusion"] * chance, np.nan),
    )


def _measure(
    units: pd.DataFrame,
    stratum: pd.Series,
    allocation: Allocation,
    expected_error: Mapping[str, float],
    amount: str | None,
) -> pd.Series:
    """Return by stratum what the sample is to be in proportion to."""
    if allocation == "neyman":
        return _neyman(units, stratum, expected_error)
    if allocation == "proportional":
        return pd.Series(stratum.groupby(stratum).size().astype(float))
    value = units["weight"].astype(float)
    value = value if amount is None else value * units[amount].astype(float).abs()
    return pd.Series(value.groupby(stratum).sum())


def _table(
    counts: pd.Series, measure: pd.Series, size: int, least: int
) -> pd.DataFrame:
    shares = measure.reindex(counts.index).to_numpy(dtype=float)
    drawn = allocated(counts.to_numpy(), shares, size, least)
    table = pd.DataFrame({"units": counts, "sample": drawn})
    table["inclusion"] = table["sample"] / table["units"]
    return table.rename_axis("stratum")


def _neyman(
    units: pd.DataFrame, stratum: pd.Series, expected_error: Mapping[str, float]
) -> pd.Series:
    """Return units times the standard deviation of weighted errors by stratum."""
    told = pd.Series(expected_error, dtype=float)
    # The model's confidence says nothing of the code that a clerk gave.
    sure = units["confidence"].astype(float).where(units["route"] != "queue")
    rate = 1 - sure.groupby(stratum).mean()
    rate = told.reindex(rate.index).fillna(rate).fillna(0.5).clip(_SURE, 1 - _SURE)
    weight = units["weight"].astype(float)
    mean = weight.groupby(stratum).mean()
    square = (weight**2).groupby(stratum).mean()
    spread = np.sqrt((rate * square - (rate * mean) ** 2).clip(lower=0.0))
    return pd.Series(spread * stratum.groupby(stratum).size())


def _given(codes: pd.Series) -> pd.Series:
    return codes.mask(codes.isna() | codes.astype("str").str.strip().eq(""), None)
