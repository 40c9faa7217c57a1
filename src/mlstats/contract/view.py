"""The safe view: the frame that reports are made from."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlstats.config import Data, Roles
from mlstats.errors import ConfigError

__all__ = ["SafeReference", "safe_features", "safe_view", "shown_columns", "words"]

_MISSING = "missing"
_OTHER = "other"
_BINS = tuple(f"q{number:02d}" for number in range(1, 11))
_BANDS = ("0-25%", "25-50%", "50-75%", "75-100%")
_BAND_EDGES = (0.25, 0.5, 0.75)
_WORD = re.compile(r"\w+")

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SafeReference:
    """What a safe view is made with, learnt from the reference frame.

    It holds words and exact numbers: confidential, never part of a report.

    Parameters
    ----------
    labels : mapping of str to tuple of str
        The categories of each column of the view; the last is "missing".
    edges : mapping of str to numpy.ndarray
        The inner edges of the bins, for the columns made from numbers.
    vocabulary : mapping of str to mapping of str to int
        For each text column, the number of reference rows that use a word.
    """

    labels: Mapping[str, tuple[str, ...]] = field(repr=False)
    edges: Mapping[str, _Numbers] = field(repr=False)
    vocabulary: Mapping[str, Mapping[str, int]] = field(repr=False)


def safe_view(
    frame: pd.DataFrame,
    data: Data,
    *,
    truth: str | None = None,
    reference: SafeReference | None = None,
    known_words: Iterable[str] | None = None,
    min_cell: int = 10,
) -> tuple[pd.DataFrame, SafeReference]:
    """Return the frame that reports are made from, and what it was made with.

    Ids, clusters, the period, confidential columns and columns without a role are
    left out, and the index is replaced. A text becomes its length, its number of
    words and the share of its words that are known; the text itself never is in the
    view, so its features are there for a confidential text too. Numbers become bins
    between the reference's deciles, named ``q01`` to ``q10``; a value on several
    deciles at once belongs to the middle one of their bins. Categories with fewer
    than `min_cell` units in the reference become "other". What is missing, be it a
    value or the column, becomes "missing".

    Parameters
    ----------
    frame : pandas.DataFrame
        Data that keep the contract.
    data : Data
        Its roles decide what is shown.
    truth : str, optional
        A further column of codes, shown like the target.
    reference : SafeReference, optional
        That of the frame to compare with; None learns it from `frame`.
    known_words : iterable of str, optional
        The words that count as known, such as those of an index. By default those of
        the reference: in the reference itself a word is known where another row uses
        it, or nothing there would be unknown.
    min_cell : int, default=10
        Units that a category needs in the reference.

    Returns
    -------
    view : pandas.DataFrame
        Category columns only, rows in the order of `frame`; ``attrs["safe_view"]``
        is True.
    reference : SafeReference
        For the views to compare with this one.
    """
    frame = frame.loc[:, ~frame.columns.duplicated()].reset_index(drop=True)
    if reference is None:
        vocabulary = {
            name: _word_rows(_column(frame, name), known_words)
            for name in data.roles.text
        }
        measured = _measured(frame, data.roles, truth, vocabulary, least=2)
        reference = _learn(measured, data.roles, vocabulary, min_cell)
    else:
        measured = _measured(frame, data.roles, truth, reference.vocabulary, least=1)
    return _view(measured, frame, reference), reference


def safe_features(
    table: pd.DataFrame,
    data: Data,
    *,
    reference: SafeReference | None = None,
    min_cell: int = 10,
) -> tuple[pd.DataFrame, SafeReference]:
    """Return the safe view of a table that holds features of the texts already.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns that a report may show as they are, and three features of each text
        (``NAME_length``, ``NAME_words``, ``NAME_known``); no other column.
    data : Data
        Its roles tell which numbers are names.
    reference, min_cell
        As for :func:`safe_view`.

    Returns
    -------
    view : pandas.DataFrame
        As of :func:`safe_view`.
    reference : SafeReference
        For the views to compare with this one.
    """
    frame = table.reset_index(drop=True)
    measured = {str(name): frame[name] for name in frame}
    if reference is None:
        reference = _learn(measured, data.roles, {}, min_cell)
    return _view(measured, frame, reference), reference


def _view(
    measured: Mapping[str, pd.Series], frame: pd.DataFrame, reference: SafeReference
) -> pd.DataFrame:
    missing = _column(frame, None)
    categories = {
        name: _categorised(
            measured.get(name, missing), labels, reference.edges.get(name)
        )
        for name, labels in reference.labels.items()
    }
    view = pd.DataFrame(categories, index=frame.index)
    view.attrs["safe_view"] = True
    return view


def _column(frame: pd.DataFrame, name: str | None) -> pd.Series:
    """Return a column, missing in every row where the frame does not have it."""
    if name in frame:
        return frame[name]
    return pd.Series(np.nan, index=frame.index, dtype=object)


def shown_columns(roles: Roles, truth: str | None = None) -> list[str]:
    """Return the columns whose values a report may show, each once.

    Parameters
    ----------
    roles : Roles
        Ids, clusters, the period, texts and confidential columns are not shown.
    truth : str, optional
        A further column of codes.
    """
    single = (roles.target, truth, roles.stratum, roles.weight)
    shown = [name for name in single if name]
    shown += [*roles.variables, *roles.auxiliary, *roles.domain]
    hidden = {roles.unit_id, roles.cluster, roles.period}
    hidden |= {*roles.text, *roles.confidential}
    return list(dict.fromkeys(name for name in shown if name not in hidden))


def _measured(
    frame: pd.DataFrame,
    roles: Roles,
    truth: str | None,
    vocabulary: Mapping[str, Mapping[str, int]],
    least: int,
) -> dict[str, pd.Series]:
    """Return the columns that are shown, before they are made into categories."""
    shown = shown_columns(roles, truth)
    measured = {name: _column(frame, name) for name in shown}
    for name in roles.text:
        used_by = vocabulary.get(name, {})
        features = _text_features(name, _column(frame, name), used_by, least)
        taken = sorted(features.keys() & measured.keys())
        if taken:
            raise ConfigError(
                f"The column {taken[0]!r} has the name of a feature of {name!r}",
                where="data.roles",
                hint="rename the column in the data and in the roles",
            )
        measured |= features
    return measured


def words(text: str) -> list[str]:
    """Return the words of a text as the safe view counts them, in their order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _word_rows(column: pd.Series, known_words: Iterable[str] | None) -> dict[str, int]:
    """Return word -> number of rows that use it; a word known anyway has two."""
    if known_words is not None:
        return {word: 2 for known in known_words for word in words(known)}
    rows: Counter[str] = Counter()
    for text, count in column.dropna().astype("str").value_counts().items():
        for word in set(words(str(text))):
            rows[word] += int(count)
    return dict(rows)


def _text_features(
    name: str, column: pd.Series, used_by: Mapping[str, int], least: int
) -> dict[str, pd.Series]:
    def share_known(text: str) -> float:
        known = [used_by.get(word, 0) >= least for word in words(text)]
        return sum(known) / len(known) if known else np.nan

    return {
        f"{name}_length": _per_text(column, lambda text: len(text.strip())),
        f"{name}_words": _per_text(column, lambda text: len(words(text))),
        f"{name}_known": _per_text(column, share_known),
    }


def _per_text(column: pd.Series, measure: Callable[[str], float]) -> pd.Series:
    """Return a measure of each text, worked out once per distinct one; blank: NaN."""
    row, distinct = pd.factorize(column.astype("str"))
    values = [measure(text) if text.strip() else np.nan for text in distinct]
    return pd.Series(np.array([*values, np.nan], dtype=float)[row], index=column.index)


def _learn(
    measured: Mapping[str, pd.Series],
    roles: Roles,
    vocabulary: Mapping[str, Mapping[str, int]],
    min_cell: int,
) -> SafeReference:
    edges: dict[str, _Numbers] = {}
    labels: dict[str, tuple[str, ...]] = {}
    bands = {f"{name}_known" for name in roles.text}
    counts = {f"{name}_{what}" for name in roles.text for what in ("length", "words")}
    by_name = {roles.stratum, *roles.domain}  # a number here is a name all the same
    for name, column in measured.items():
        if name in bands:
            edges[name] = np.array(_BAND_EDGES)
            labels[name] = (*_BANDS, _MISSING)
        elif name in counts or (name not in by_name and _is_number(column)):
            edges[name] = _deciles(column)
            labels[name] = (*_BINS, _MISSING)
        else:
            units = _names(column).value_counts()
            kept = set(units.index[units >= min_cell]) - {_OTHER, _MISSING}
            labels[name] = (*sorted(kept), _OTHER, _MISSING)
    return SafeReference(labels, edges, vocabulary)


def _is_number(column: pd.Series) -> bool:
    inferred = column.infer_objects()  # numbers out of a database may be objects
    if is_bool_dtype(inferred) or column.isna().all():
        return False
    return is_numeric_dtype(inferred)


def _deciles(column: pd.Series) -> _Numbers:
    values = _numbers(column)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.empty(0)
    # An order statistic, not an interpolation: sums of extreme values overflow.
    return np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf")


def _numbers(column: pd.Series) -> _Numbers:
    numbers = column if is_numeric_dtype(column) else column.astype(object)
    return pd.to_numeric(numbers, errors="coerce").to_numpy(float, na_value=np.nan)


def _names(column: pd.Series) -> pd.Series:
    """Return the values as text: 3.0 is "3", because one gap makes integers floats."""
    row, distinct = pd.factorize(column.astype(object))
    names = [_name(value) for value in distinct] + [_MISSING]
    return pd.Series(np.array(names, dtype=object)[row], index=column.index)


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or _MISSING


def _categorised(
    column: pd.Series, labels: tuple[str, ...], edges: _Numbers | None
) -> pd.Series:
    if edges is None:
        names = _names(column)
        values = names.where(names.isin(labels), _OTHER)
    else:
        numbers = _numbers(column)
        below = np.searchsorted(edges, numbers, "left")
        upto = np.searchsorted(edges, numbers, "right")
        bins = np.where(np.isnan(numbers), len(labels) - 1, (below + upto) // 2)
        values = pd.Series(np.array(labels, dtype=object)[bins], index=column.index)
    return values.astype(pd.CategoricalDtype(list(labels)))
