"""The Method: a scikit-learn estimator plus ``kind: traditional or ml``.

There is one extension point and no plug-in system. A method does one of three kinds
of work, told by the attribute ``kind_of_work``:

``predict``
    ``fit(X, y)`` and ``predict(X)``: codes and classes. Any scikit-learn classifier
    is one. Optional: ``calibrate(X, y)`` on rows that ``fit`` never saw,
    ``predict_top(X, k)`` for ranked candidates with scores, ``outcome(X)`` for a word
    per row on how it was coded, ``explain(X)`` for a table per row: code, score,
    outcome, entry (what the code rests on) and reason, a sentence without the content
    of a training record. Optional too: ``same_in_any_block = True`` where the answer
    to a row has the same bits whatever rows stand beside it; workers then remember
    answers.
``impute``
    ``impute(frame, mask, seed)``: edit and imputation.
``estimate``
    ``estimate(sample, population)``: areas, totals, small areas.

Two adapters carry adoption: :class:`Incumbent`, because the traditional result is
often just a column, and :class:`mlstats.external.External`, because it is often another
program.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, nearest
from mlstats.scale import row_blocks

__all__ = [
    "EstimateMethod",
    "ImputeMethod",
    "Incumbent",
    "PredictMethod",
    "as_codes",
    "build",
    "distinct_rows",
    "predict_top",
    "resolve",
    "work_of",
]

BLOCK = 100_000  # distinct rows that a method is asked for at once


@runtime_checkable
class PredictMethod(Protocol):
    """A method that gives a code or class to each unit."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Any:
        """Learn from coded units."""
        ...

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return a code for each row, None where there is none."""
        ...


@runtime_checkable
class ImputeMethod(Protocol):
    """A method that fills the masked cells of a table."""

    def impute(
        self, frame: pd.DataFrame, mask: pd.DataFrame, seed: int
    ) -> pd.DataFrame:
        """Return `frame` with the cells filled where `mask` is true."""
        ...


@runtime_checkable
class EstimateMethod(Protocol):
    """A method that gives estimates with their standard errors."""

    def estimate(self, sample: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
        """Return a row per variable and domain: estimate, se, df, n."""
        ...


def work_of(method: object) -> str:
    """Return the kind of work of a method.

    Raises
    ------
    ConfigError
        Where the object is no method at all.
    """
    named = getattr(method, "kind_of_work", None)
    if named is not None:
        return str(named)
    for work, protocol in (
        ("predict", PredictMethod),
        ("impute", ImputeMethod),
        ("estimate", EstimateMethod),
    ):
        if isinstance(method, protocol):
            return work
    raise ConfigError(
        f"{type(method).__name__} is not a method",
        expected="fit and predict, or impute, or estimate",
    )


def build(use: str, params: Mapping[str, Any], *, where: str = "methods") -> Any:
    """Make the method that ``use: package.module.Class`` names.

    Parameters
    ----------
    use : str
        Dotted path of a class.
    params : mapping
        Keyword arguments of the class.
    where : str
        The place in the pilot, for the error.

    Raises
    ------
    ConfigError
        Where the class or a parameter does not exist.
    """
    cls = resolve(use, where)
    accepted = inspect.signature(cls).parameters
    free = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name in params:
        if name not in accepted and not free:
            raise ConfigError(
                f"{use} has no parameter {name!r}",
                where=where,
                expected=", ".join(accepted),
                nearest=nearest(name, accepted),
            )
    try:
        return cls(**params)
    except TypeError as error:
        raise ConfigError(f"{use} cannot be made: {error}", where=where) from None


def resolve(use: str, where: str = "methods") -> Any:
    """Return the class that a dotted path names.

    Raises
    ------
    ConfigError
        Where the module or the class does not exist.
    """
    module_name, _, class_name = use.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"There is no module {error.name!r}",
            where=where,
            expected="use: package.module.Class",
            hint="install it, or mend the name",
        ) from None
    names = getattr(module, "__all__", None) or vars(module)
    try:
        return getattr(module, class_name)
    except AttributeError:
        raise ConfigError(
            f"{module_name} has no {class_name!r}",
            where=where,
            nearest=nearest(class_name, names),
        ) from None


def as_codes(values: pd.Series) -> np.ndarray:
    """Return codes as objects, None where there is none, however pandas stores them."""
    codes = values.astype(object).to_numpy(copy=True)
    codes[values.isna().to_numpy()] = None
    return np.asarray(codes, dtype=object)


def predict_top(
    method: Any, X: pd.DataFrame, k: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best `k` codes of each row, worked out once per distinct row.

    Parameters
    ----------
    method : PredictMethod
        Fitted. ``predict_top`` is used where it has one, else ``predict_proba``,
        else ``predict`` (confidence unknown).
    X : pandas.DataFrame
        Any number of columns; equal rows are predicted once.
    k : int
        Number of candidates.

    Returns
    -------
    codes : numpy.ndarray of object, shape (n, k)
        Best first, None where there is no candidate.
    scores : numpy.ndarray of float, shape (n, k)
        Confidence in [0, 1]; NaN where the method does not tell it.
    """
    if len(X) == 0:
        return np.empty((0, k), dtype=object), np.empty((0, k))
    distinct, inverse = distinct_rows(X)
    blocks = [
        _predict_block(method, distinct.iloc[rows], k)
        for rows in row_blocks(len(distinct), BLOCK)
    ]
    codes, scores = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return codes[inverse], scores[inverse]


def distinct_rows(X: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the distinct rows, and for each row of `X` the place of its own."""
    numbers = pd.DataFrame({c: _numbered(X[c]) for c in X.columns})
    inverse = np.asarray(numbers.groupby(list(X.columns), sort=False).ngroup())
    first = np.unique(inverse, return_index=True)[1]
    return X.iloc[first].reset_index(drop=True), inverse


def _numbered(values: pd.Series) -> np.ndarray:
    """Return a number per value, equal for equal values."""
    if values.dtype != object:
        return np.asarray(pd.factorize(values, use_na_sentinel=False)[0])
    # pandas' hash table of objects ends a text at its first NUL character.
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(v, len(numbers)) for v in values], dtype=int)


def _predict_block(
    method: Any, X: pd.DataFrame, k: int
) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(method, "predict_top"):
        codes, scores = method.predict_top(X, k)
        return np.asarray(codes, dtype=object), np.asarray(scores, dtype=float)
    codes = np.full((len(X), k), None, dtype=object)
    scores = np.full((len(X), k), np.nan)
    if hasattr(method, "predict_proba"):
        proba = np.asarray(method.predict_proba(X))
        best = np.argsort(-proba, axis=1, kind="stable")[:, :k]
        codes[:, : best.shape[1]] = np.asarray(method.classes_, dtype=object)[best]
        scores[:, : best.shape[1]] = np.take_along_axis(proba, best, axis=1)
        return codes, scores
    codes[:, 0] = method.predict(X)
    return codes, scores


class Incumbent:
    """The traditional result as a column that the data already hold.

    It can be compared, and it cannot fall back: it predicts nothing for units
    whose column is empty.

    Parameters
    ----------
    column : str
        The column of codes.
    """

    kind_of_work = "predict"
    confidential = False

    def __init__(self, column: str) -> None:
        self.column = column

    @property
    def columns(self) -> list[str]:
        """The columns of the data that this method reads instead of the text."""
        return [self.column]

    def fit(self, X: pd.DataFrame, y: pd.Series | None = None) -> Incumbent:
        """Learn nothing; check that the column is there."""
        self._codes(X)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the column's codes, None where it is empty."""
        return as_codes(self._codes(X))

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Return the one code of each row; a column tells no confidence."""
        codes = np.full((len(X), k), None, dtype=object)
        codes[:, 0] = self.predict(X)
        return codes, np.full((len(X), k), np.nan)

    def save(self, folder: Path) -> None:
        """Write nothing but the column's name."""
        (folder / "incumbent.txt").write_text(self.column, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Incumbent:
        """Read what :meth:`save` wrote."""
        return cls((folder / "incumbent.txt").read_text(encoding="utf-8"))

    def _codes(self, X: pd.DataFrame) -> pd.Series:
        if self.column not in X:
            raise ConfigError(
                f"The column {self.column!r} of the incumbent is not in the data",
                nearest=nearest(self.column, map(str, X.columns)),
            )
        return X[self.column]
