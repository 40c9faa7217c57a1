"""Parting units into train, valid and test; a cluster never straddles them."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from mlstats.config import Evaluate, Roles
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.period import PeriodRange, ReferencePeriod

__all__ = ["assign"]

_log = logging.getLogger(__name__)
FOLDS = ("train", "valid", "test")


def assign(
    frame: pd.DataFrame,
    roles: Roles,
    evaluate: Evaluate,
    *,
    test_period: str | None = None,
) -> tuple[pd.Series, list[str]]:
    """Give every unit its fold.

    Parameters
    ----------
    frame : pandas.DataFrame
        The units with the columns of `roles`.
    roles : Roles
        ``cluster`` keeps units together; rows without a cluster are their own.
    evaluate : Evaluate
        The split and the seed.
    test_period : str, optional
        Where the split is by period: test on this period alone.

    Returns
    -------
    folds : pandas.Series of str
        ``train``, ``valid``, ``test`` or ``left_out``.
    notes : list of str
        What a reader of the results has to know about the split.

    Raises
    ------
    ConfigError
        Where the split names a column that is not there.
    ContractError
        Where train or test has no units.
    """
    split = evaluate.split
    rng = np.random.default_rng(evaluate.seed)
    clusters = cluster_ids(frame, roles.cluster)
    notes: list[str] = []
    if split.by == "column":
        folds = _by_column(frame, str(split.column))
    elif split.by == "period":
        folds = _by_period(frame, roles, test_period or split.test_periods)
    else:
        blocks = clusters
        if split.by == "space":
            blocks = frame[_column(frame, str(split.column))].astype(str)
        folds = pd.Series("train", index=frame.index)
        folds[_draw(blocks, float(split.test), rng)] = "test"
    folds = _keep_clusters_whole(folds, clusters, split.by, notes)
    if not (folds == "valid").any() and split.valid > 0:
        folds = _take_valid(folds, clusters, split.valid, rng)
    for fold in ("train", "test"):
        if not (folds == fold).any():
            raise ContractError(
                f"The {fold} part has no units",
                where="evaluate.split",
                expected="units in train and in test",
                hint=f"the data have {clusters.nunique()} clusters: widen the data, or "
                "mend evaluate.split",
            )
    return folds, notes


def cluster_ids(
    frame: pd.DataFrame, column: str | None, *, first: int = 0
) -> pd.Series:
    """Return a label per row that is equal within a cluster and nowhere else.

    A row without a name of its cluster, or with blanks for one, is its own. Of a part
    of a table, `first` is the number of its first row in the table.
    """
    numbers = np.arange(first, first + len(frame))
    own = pd.Series(numbers, index=frame.index).astype(str)
    if column is None:
        return "row " + own
    named = frame[column].astype("str")
    there = frame[column].notna() & named.str.strip().ne("")
    return ("cluster " + named).where(there, "row " + own)


def _column(frame: pd.DataFrame, column: str) -> str:
    if column not in frame:
        raise ConfigError(
            f"The split column {column!r} is not in the data",
            where="evaluate.split.column",
            nearest=nearest(column, map(str, frame.columns)),
        )
    return column


def _by_column(frame: pd.DataFrame, column: str) -> pd.Series:
    folds = frame[_column(frame, column)].astype(str)
    unknown = sorted(set(folds.unique()) - set(FOLDS))
    if unknown:
        raise ContractError(
            f"The split column {column!r} holds {len(unknown)} other values",
            where="evaluate.split.column",
            expected=", ".join(FOLDS),
        )
    return folds


def _by_period(frame: pd.DataFrame, roles: Roles, test: str) -> pd.Series:
    if roles.period is None:
        raise ConfigError(
            "A split by period needs the column of the period",
            where="data.roles.period",
        )
    span = PeriodRange.parse(test)
    ordinals = {
        value: ReferencePeriod.parse(value) for value in frame[roles.period].unique()
    }
    fold_of = {
        value: "train"
        if period < span.first
        else ("left_out" if span.last < period else "test")
        for value, period in ordinals.items()
    }
    return frame[roles.period].map(fold_of).astype(str)


def _draw(blocks: pd.Series, share: float, rng: np.random.Generator) -> pd.Series:
    """Draw whole blocks at random until they hold `share` of the rows."""
    sizes = blocks.value_counts(sort=False).sort_index()
    order = rng.permutation(len(sizes))
    filled = np.cumsum(sizes.to_numpy()[order])
    chosen = order[: int(np.searchsorted(filled, share * len(blocks))) + 1]
    return blocks.isin(sizes.index[chosen])


def _take_valid(
    folds: pd.Series, clusters: pd.Series, share: float, rng: np.random.Generator
) -> pd.Series:
    train = folds == "train"
    if train.sum() < 2:
        return folds
    if clusters[train].nunique() < 2:
        return folds
    drawn = _draw(clusters[train], share, rng)
    return folds.mask(train & drawn.reindex(folds.index, fill_value=False), "valid")


def _keep_clusters_whole(
    folds: pd.Series, clusters: pd.Series, by: str, notes: list[str]
) -> pd.Series:
    tested = clusters.isin(clusters[folds == "test"].unique())
    straddling = tested & folds.isin(["train", "valid"])
    if not straddling.any():
        return folds
    shared = clusters[straddling].nunique()
    if by == "column":
        note = (
            f"{shared} clusters straddle the given split: its figures are those of a "
            "method that has met the test clusters before"
        )
        notes.append(note)
        _log.warning(note)
        return folds
    notes.append(
        f"{int(straddling.sum())} training rows of {shared} clusters that are also in "
        "the test part are left out"
    )
    return folds.mask(straddling, "left_out")
