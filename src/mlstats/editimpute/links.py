"""Imputation links over periods: ratio of means and mean of ratios.

The definitions are those of the Office for National Statistics (Statistical Method
Specifications, *Ratio of Means*, sections 8 and 9, and *Mean of Ratios*, sections 6 to
8). Within a class a forward link is the growth from the period before, a backward link
that from the period after, over the contributors who responded in both; a construction
link is the sum of responses over the sum of their auxiliary values. The order is:
forward from a response (FIR), backward (BI), manual construction (MC), construction
(C), forward from either construction (FIMC, FIC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["LinkImputation", "imputed_by_links"]

WAYS = ("forward", "backward", "construction")


@dataclass(frozen=True)
class LinkImputation:
    """How links are made and used.

    Parameters
    ----------
    identifier, period, group, target, auxiliary : str
        Columns: contributor, ``YYYYMM``, imputation class, variable to impute, and the
        auxiliary variable of constructions.
    links : {"ratio_of_means", "mean_of_ratios"}
        Kind of the forward and backward links.
    include : str, optional
        Boolean column: responses that links may rest on.
    manual : str, optional
        Column of values constructed by hand.
    given : mapping, optional
        ``forward``, ``backward`` or ``construction`` -> column of a link made before.
    previous : mapping, optional
        The same for the links to average with, see `weight`.
    weight : float
        Weight of this period's link; a missing previous link counts for nothing
        (Mean of Ratios, section 7.3.3).
    trim : (float, float), optional
        Percentages of the growth ratios cut at the top and at the bottom.
    trim_from : int
        Matched pairs from which a class is trimmed.
    zeros : bool
        Pairs with a zero have growth ratio 1; else they are no pairs. For the mean of
        ratios only.
    months : int
        Months from a period to the next.
    """

    identifier: str
    period: str
    group: str
    target: str
    auxiliary: str
    links: str = "ratio_of_means"
    include: str | None = None
    manual: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    trim: tuple[float, float] | None = None
    trim_from: int = 11
    zeros: bool = False
    months: int = 1

    def __post_init__(self) -> None:
        if self.links not in ("ratio_of_means", "mean_of_ratios"):
            raise ConfigError(
                f"There are no links {self.links!r}",
                expected="ratio_of_means or mean_of_ratios",
            )
        for way in [*self.given, *self.previous]:
            if way not in WAYS:
                raise ConfigError(f"There is no link {way!r}", expected=", ".join(WAYS))
        if not 0 <= self.weight <= 1:
            raise ConfigError("The weight of a link lies between 0 and 1")
        if self.trim is not None and not all(0 <= t < 100 for t in self.trim):
            raise ConfigError("A trim is a percentage from 0 to below 100")


def imputed_by_links(frame: pd.DataFrame, how: LinkImputation) -> pd.DataFrame:
    """Return the imputed values, their markers and the links behind them.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per contributor, class and period; the target is missing where there was
        no response.
    how : LinkImputation
        Columns and choices.

    Returns
    -------
    pandas.DataFrame
        With the index of `frame`: output, marker (None where nothing could be
        imputed), forward, backward, construction, ``count_`` and ``default_`` of each,
        and for the mean of ratios growth_forward, growth_backward,
        trim_inclusion_forward and trim_inclusion_backward (None where the class was
        not trimmed).
    """
    data = _prepared(frame, how)
    found = pd.DataFrame(index=data.index)
    for way, shift in (("forward", -1), ("backward", 1)):
        _growth(data, found, how, way, shift)
    _construction(data, found, how)
    _averaged(frame, found, how)
    _impute(data, found)
    found.index = frame.index
    return found


def _prepared(frame: pd.DataFrame, how: LinkImputation) -> pd.DataFrame:
    wanted = [how.identifier, how.period, how.group, how.target, how.auxiliary]
    extra = [*how.given.values(), *how.previous.values(), how.include, how.manual]
    for name in [*wanted, *(e for e in extra if e is not None)]:
        if name not in frame.columns:
            raise ConfigError(
                f"There is no column {name!r} for the links",
                nearest=nearest(name, map(str, frame.columns)),
            )
    text = frame[how.period].astype(str)
    if not text.str.fullmatch(r"\d{4}(0[1-9]|1[0-2])").all():
        raise ContractError("A period is not written as YYYYMM", where=how.period)
    month = text.str[:4].astype(int) * 12 + text.str[4:].astype(int)
    unit = frame.groupby([how.identifier, how.group], dropna=False, sort=False).ngroup()
    data = pd.DataFrame(
        {
            "unit": unit.to_numpy(),
            "time": (month // how.months).to_numpy(),
            "class": frame.groupby(how.group, dropna=False).ngroup().to_numpy(),
            "y": _numbers(frame, how.target),
            "aux": _numbers(frame, how.auxiliary),
            "manual": np.nan if how.manual is None else _numbers(frame, how.manual),
            "in": True if how.include is None else frame[how.include].to_numpy(bool),
        }
    )
    if data.duplicated(["unit", "time"]).any():
        count = int(data.duplicated(["unit", "time"]).sum())
        raise ContractError(f"{count} contributors have a second row in a period")
    places = pd.Series(np.arange(len(data)), index=[data["unit"], data["time"]])
    for name, shift in (("before", -1), ("after", 1)):
        key = pd.MultiIndex.from_arrays([data["unit"], data["time"] + shift])
        data[name] = places.reindex(key, fill_value=-1).to_numpy()
    for way, column in how.given.items():
        data[f"given_{way}"] = _numbers(frame, column)
    return data


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    try:
        values = frame[column].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise ContractError(
            f"{column!r} holds text where numbers are needed", expected="numbers"
        ) from None
    if np.isinf(values).any():
        raise ContractError(f"{column!r} has {int(np.isinf(values).sum())} infinities")
    return np.asarray(values)


def _growth(
    data: pd.DataFrame, found: pd.DataFrame, how: LinkImputation, way: str, shift: int
) -> None:
    """Add a forward or backward link to `found`."""
    other = data["before" if shift < 0 else "after"].to_numpy()
    y, ready = (
        data["y"].to_numpy(),
        data["in"].to_numpy() & data["y"].notna().to_numpy(),
    )
    there = np.where(other >= 0, y[other], np.nan)
    pair = ready & (other >= 0) & ready[other]
    if how.links == "ratio_of_means":
        _means(data, found, way, (y, there, pair), how)
        return
    zero = (y == 0) | (there == 0)
    pair = pair & (~zero | how.zeros)
    ratio = np.full(len(y), np.nan)
    np.divide(y, there, out=ratio, where=pair & ~zero)
    ratio[pair & zero] = 1.0
    found[f"growth_{way}"] = ratio
    kept = _trimmed(data, found, how, way, ratio)
    _links(data, found, way, (np.where(kept, ratio, 0.0), kept * 1.0, kept), how)


def _means(
    data: pd.DataFrame,
    found: pd.DataFrame,
    way: str,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
    how: LinkImputation,
) -> None:
    y, there, pair = sums
    parts = (np.where(pair, y, 0.0), np.where(pair, there, 0.0), pair)
    _links(data, found, way, parts, how)


def _links(
    data: pd.DataFrame,
    found: pd.DataFrame,
    way: str,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    how: LinkImputation,
) -> None:
    """Add ``sum above / sum below`` by class and period, 1 where it is not defined."""
    if way in how.given:
        found[way] = data[f"given_{way}"]
        found[f"count_{way}"], found[f"default_{way}"] = 0, False
        return
    keys = [data["class"], data["time"]]
    above, below, count = (
        pd.Series(p).groupby(keys).transform("sum").to_numpy() for p in parts
    )
    default = below == 0
    link = np.ones(len(data))
    np.divide(above, below, out=link, where=~default)
    found[way] = link
    found[f"count_{way}"], found[f"default_{way}"] = count.astype(int), default


def _trimmed(
    data: pd.DataFrame,
    found: pd.DataFrame,
    how: LinkImputation,
    way: str,
    ratio: np.ndarray,
) -> np.ndarray:
    """Return the growth ratios that are kept (Mean of Ratios, section 7.2)."""
    pair = np.isfinite(ratio)
    inclusion = pd.Series([None] * len(ratio), dtype=object)
    found[f"trim_inclusion_{way}"] = inclusion
    if how.trim is None:
        return np.asarray(pair)
    by_class = pd.Series(ratio).groupby([data["class"], data["time"]])
    number = by_class.transform("count").to_numpy()
    row = by_class.rank(method="first", ascending=False).to_numpy()
    upper, lower = how.trim
    # Rounded, so that 20 x 0.95 + 1 is the 20 that it is on paper.
    first = np.round(number * upper / 100, 9)
    last = np.round(number * (100 - lower) / 100 + 1, 9)
    kept: np.ndarray = pair & ~((row < first) | (row > last))
    small = number < how.trim_from
    inclusion[pair] = kept[pair] | small[pair]
    found[f"trim_inclusion_{way}"] = inclusion
    return np.asarray(np.where(small, pair, kept))


def _construction(data: pd.DataFrame, found: pd.DataFrame, how: LinkImputation) -> None:
    used = (data["in"] & data["y"].notna() & data["aux"].notna()).to_numpy()
    above = np.where(used, data["y"], 0.0)
    below = np.where(used, data["aux"], 0.0)
    _links(data, found, "construction", (above, below, used), how)


def _averaged(frame: pd.DataFrame, found: pd.DataFrame, how: LinkImputation) -> None:
    for way, column in how.previous.items():
        old = _numbers(frame, column)
        found[f"unweighted_{way}"] = found[way]
        mean = how.weight * found[way] + (1 - how.weight) * old
        found[way] = np.where(np.isfinite(old), mean, found[way])


def _impute(data: pd.DataFrame, found: pd.DataFrame) -> None:
    """Add output and marker, in the order of the module's docstring."""
    y = data["y"].to_numpy(copy=True)
    marker = np.full(len(y), None, dtype=object)
    marker[np.isfinite(y)] = "R"
    manual = np.isnan(y) & data["manual"].notna().to_numpy()
    y[manual], marker[manual] = data["manual"].to_numpy()[manual], "MC"
    forward, backward = found["forward"].to_numpy(), found["backward"].to_numpy()
    _chain(data, y, marker, forward, "before", {"R": "FIR", "FIR": "FIR"})
    _chain(data, y, marker, backward, "after", {"R": "BI", "BI": "BI"})
    from_hand = {"MC": "FIMC", "FIMC": "FIMC"}
    _chain(data, y, marker, forward, "before", from_hand)
    before = data["before"].to_numpy()
    # Only the first period of a gap is constructed; the rest follow by forward links.
    first = np.isnan(y) & ~((before >= 0) & np.isnan(y[before]))
    value = found["construction"].to_numpy() * data["aux"].to_numpy()
    first &= np.isfinite(value)
    y[first], marker[first] = value[first], "C"
    _chain(data, y, marker, forward, "before", {"C": "FIC", "FIC": "FIC"})
    found["output"], found["marker"] = y, marker


def _chain(
    data: pd.DataFrame,
    y: np.ndarray,
    marker: np.ndarray,
    link: np.ndarray,
    towards: str,
    follows: Mapping[str, str],
) -> None:
    """Impute period after period from the neighbouring one, in place."""
    other = data[towards].to_numpy()
    gaps = np.flatnonzero(np.isnan(y) & (other >= 0))
    time = data["time"].to_numpy()[gaps]
    steps = np.unique(time)
    for step in steps if towards == "before" else steps[::-1]:
        rows = gaps[time == step]
        source = marker[other[rows]]
        ready = np.isin(source.astype(str), list(follows))
        rows, source = rows[ready], source[ready]
        y[rows] = y[other[rows]] * link[rows]
        marker[rows] = [follows[s] for s in source]
