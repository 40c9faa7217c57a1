"""What is kept of a period's data so that later periods can be held to them.

Columns that a report may show are kept as they are; of a text only its length, its
number of words and the share of them that the training part knew. The tables stay in
the confidential store: they name units and, in the vocabulary, words.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlstats import split
from mlstats.config import Pilot
from mlstats.contract.view import shown_columns, words
from mlstats.watched import CLUSTER, UNIT, WEIGHT, known_share

__all__ = ["TRAINED", "VOCABULARY", "kinds_of", "trained_tables", "watch"]

# Names of the tables beside a model.
TRAINED: Final = "watched"
VOCABULARY: Final = "vocabulary"


def trained_tables(pilot: Pilot, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what is kept of the data that a version was trained on.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training part, with the columns of the contract.

    Returns
    -------
    dict of str to pandas.DataFrame
        :data:`TRAINED` as :func:`watch` returns it, without the units' ids, and
        :data:`VOCABULARY` with columns column and word: words that at least
        ``evaluate.min_units`` clusters use. To a training text a word is known where
        as many other clusters use it, else every word of it would be.
    """
    roles, least = pilot.data.roles, pilot.evaluate.min_units
    clusters = split.cluster_ids(frame, roles.cluster)
    everything = pd.Series(True, index=frame.index)
    known = {
        name: known_share(frame[name], clusters, everything, least=least)
        for name in roles.text
    }
    told = [
        (name, word)
        for name in roles.text
        for word in _shared_words(frame[name], clusters, least)
    ]
    kept = _watched(pilot, frame, known).drop(columns=UNIT)
    if CLUSTER in kept:
        kept[CLUSTER] = pd.factorize(kept[CLUSTER])[0]
    vocabulary = pd.DataFrame(told, columns=["column", "word"], dtype=object)
    return {TRAINED: kept, VOCABULARY: vocabulary}


def watch(
    pilot: Pilot,
    frame: pd.DataFrame,
    vocabulary: pd.DataFrame | None,
    first: int = 0,
) -> pd.DataFrame:
    """Return the watched columns of a period, a row per unit.

    Parameters
    ----------
    frame : pandas.DataFrame
        The period's data.
    vocabulary : pandas.DataFrame or None
        From :func:`trained_tables`; without it the share of known words is missing.
    first : int
        Number of the first row, where the frame is a part of the data.
    """
    known: dict[str, np.ndarray] = {}
    if vocabulary is not None:
        by_column = vocabulary.groupby("column")["word"].agg(frozenset).to_dict()
        for name in pilot.data.roles.text:
            told = by_column.get(name, frozenset())
            known[name] = _per_text(frame[name], partial(_share, known=told))
    return _watched(pilot, frame, known, first)


def kinds_of(pilot: Pilot, table: pd.DataFrame) -> dict[str, Any]:
    """Return how each watched column is read, ``number`` or ``code``."""
    by_name = {*pilot.data.roles.codes()}
    return {
        str(name): "number"
        if name not in by_name and _is_number(table[name])
        else "code"
        for name in table.columns
        if name not in {UNIT, WEIGHT, CLUSTER}
    }


def _watched(
    pilot: Pilot,
    frame: pd.DataFrame,
    known: dict[str, np.ndarray],
    first: int = 0,
) -> pd.DataFrame:
    roles = pilot.data.roles
    columns: dict[str, Any] = {
        name: frame[name]
        for name in shown_columns(roles)
        if name in frame and name not in {roles.weight, roles.target}
    }
    for name in roles.text:
        columns[f"{name}_length"] = _per_text(frame[name], lambda t: len(t.strip()))
        columns[f"{name}_words"] = _per_text(frame[name], lambda t: len(words(t)))
        if name in known:
            columns[f"{name}_known"] = known[name]
    columns[UNIT] = frame[roles.unit_id]
    if roles.weight:
        columns[WEIGHT] = frame[roles.weight]
    if roles.cluster:
        columns[CLUSTER] = split.cluster_ids(frame, roles.cluster, first=first)
    return pd.DataFrame(columns, index=frame.index).reset_index(drop=True)


def _is_number(values: pd.Series) -> bool:
    return is_numeric_dtype(values) and not is_bool_dtype(values)


def _shared_words(texts: pd.Series, clusters: pd.Series, least: int) -> list[str]:
    """Return the words that at least so many clusters use, sorted."""
    pairs = pd.DataFrame({"text": texts, "cluster": clusters}).dropna()
    used: set[tuple[str, object]] = set()
    for text, cluster in set(pairs.itertuples(index=False, name=None)):
        used.update((word, cluster) for word in words(str(text)))
    counts = Counter(word for word, _ in used)
    return sorted(word for word, count in counts.items() if count >= least)


def _share(text: str, known: frozenset[str]) -> float:
    told = words(text)
    return sum(word in known for word in told) / len(told) if told else np.nan


def _per_text(texts: pd.Series, measure: Any) -> np.ndarray:
    """Return a measure of each text, worked out once per distinct one; blank: NaN."""
    row, distinct = pd.factorize(texts.fillna("").astype("str"))
    values = [measure(str(t)) if str(t).strip() else np.nan for t in distinct]
    return np.array(values, dtype=float)[row]
