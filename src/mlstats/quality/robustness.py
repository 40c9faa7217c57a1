"""What accuracy is left when the input is worse, other or new.

An extension of QF4SA. Each perturbation has a kind, so that a fall can be acted on:
typing errors, capital letters, texts cut short, a field left out. The same units are
coded clean and perturbed, and the fall is a paired difference.
"""

from __future__ import annotations

import string
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, nearest
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, contrast

__all__ = [
    "PERTURBATIONS",
    "new_unit_indicators",
    "new_units",
    "perturb",
    "perturbed_accuracy",
    "without_field",
]

Predict = Callable[[pd.DataFrame], np.ndarray]
Perturbation = Callable[[str, np.random.Generator], str]

_DIMENSION: Final = "robustness"
_LETTERS: Final = np.array(list(string.ascii_lowercase))


def _typing_error(text: str, rng: np.random.Generator) -> str:
    """Swap, drop, double or replace one letter of a text, wherever it stands."""
    letters = list(text)
    places = [i for i, sign in enumerate(letters) if sign.isalnum()]
    if not places:
        return text
    at = int(rng.choice(places))
    kind = int(rng.integers(4))
    if kind == 0 and at + 1 < len(letters):
        letters[at : at + 2] = letters[at + 1], letters[at]
    elif kind == 1 and len(places) > 1:
        del letters[at]
    elif kind == 2:
        letters.insert(at, letters[at])
    else:
        letters[at] = str(rng.choice(_LETTERS))
    return "".join(letters)


def _capitals(text: str, rng: np.random.Generator) -> str:
    return text.upper()


def _cut_short(text: str, rng: np.random.Generator) -> str:
    """Keep the first half of the characters, as a narrow form field does."""
    return text[: (len(text) + 1) // 2]


PERTURBATIONS: Final[Mapping[str, Perturbation]] = {
    "typing_errors": _typing_error,
    "capitals": _capitals,
    "truncation": _cut_short,
}


def perturb(
    X: pd.DataFrame, kind: str, *, columns: Sequence[str] = ("text",), seed: int = 0
) -> pd.DataFrame:
    """Return a table whose texts are perturbed in one way.

    What happens to a text depends on the seed, the kind and the text alone, so that a
    partitioned file is perturbed like a whole one; missing texts stay missing.

    Parameters
    ----------
    X : pandas.DataFrame
        As the method reads it.
    kind : str
        A name in :data:`PERTURBATIONS`: typing_errors (one in each text), capitals,
        truncation (to half of the characters).
    columns : sequence of str
        The columns of texts.

    Raises
    ------
    ConfigError
        For a kind or a column that does not exist.
    """
    if kind not in PERTURBATIONS:
        raise ConfigError(
            f"There is no perturbation {kind!r}",
            expected=", ".join(PERTURBATIONS),
            nearest=nearest(kind, PERTURBATIONS),
        )
    changed = X.copy()
    for name in columns:
        _check_column(X, name)
        distinct = [str(text) for text in X[name].dropna().unique()]
        other = {text: _changed(text, kind, seed) for text in distinct}
        texts = [None if pd.isna(text) else other[str(text)] for text in X[name]]
        changed[name] = pd.Series(texts, index=X.index, dtype=X[name].dtype)
    return changed


def _changed(text: str, kind: str, seed: int) -> str:
    own = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), own])
    return PERTURBATIONS[kind](text, rng)


def without_field(X: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with one field left empty in every row.

    A text becomes the empty text, anything else missing.
    """
    _check_column(X, name)
    held = X[name]
    if pd.api.types.is_numeric_dtype(held.dtype):
        return X.assign(**{name: np.full(len(X), np.nan)})
    texts = pd.api.types.infer_dtype(held, skipna=True) == "string"
    empty = [("" if texts else None)] * len(X)
    return X.assign(**{name: pd.Series(empty, index=X.index, dtype=held.dtype)})


def _check_column(X: pd.DataFrame, name: str) -> None:
    if name not in X:
        raise ConfigError(
            f"There is no column {name!r} to perturb",
            nearest=nearest(name, map(str, X.columns)),
        )


def perturbed_accuracy(
    predict: Predict,
    X: pd.DataFrame,
    truth: np.ndarray,
    design: Design,
    *,
    kinds: Sequence[str] = tuple(PERTURBATIONS),
    fields: Sequence[str] = (),
    columns: Sequence[str] = ("text",),
    seed: int = 0,
) -> list[Indicator]:
    """Measure accuracy under each perturbation, and its change from clean input.

    Parameters
    ----------
    predict : callable
        ``predict(X)`` returns a code per row, at the level that is judged; it is
        called once clean and once for each perturbation.
    X : pandas.DataFrame, shape (n, columns)
        Held-out units, clean.
    truth : numpy.ndarray of object, shape (n,)
        Codes at the same level.
    design : Design
        Of the units.
    kinds : sequence of str
        Names in :data:`PERTURBATIONS`, applied to `columns`.
    fields : sequence of str
        Fields that are left empty, one at a time.

    Returns
    -------
    list of Indicator
        ``accuracy_KIND`` with its Korn-Graubard interval and ``change_KIND``, the
        paired difference to clean input with its t interval; for a field the kind is
        ``without_FIELD``.
    """
    tables = {kind: perturb(X, kind, columns=columns, seed=seed) for kind in kinds}
    tables |= {f"without_{name}": without_field(X, name) for name in fields}
    clean = np.asarray(predict(X), dtype=object) == truth
    everywhere = np.ones(len(X), dtype=bool)
    found = []
    for kind, table in tables.items():
        right = np.asarray(predict(table), dtype=object) == truth
        accuracy = proportion(design, right, everywhere)
        change = design.mean(right.astype(float) - clean.astype(float))
        found += [
            Indicator(_DIMENSION, f"accuracy_{kind}", accuracy),
            Indicator(_DIMENSION, f"change_{kind}", change),
        ]
    return found


def new_units(right: np.ndarray, seen: np.ndarray, design: Design) -> list[Indicator]:
    """Measure accuracy on units whose text training never held, beside the others.

    Parameters
    ----------
    right, seen : numpy.ndarray of bool, shape (n,)
        Whether the code is right, and whether the text was known from training.
    design : Design
        Of the units.

    Returns
    -------
    list of Indicator
        ``accuracy_new_units`` and ``change_new_units``, new minus known; the two
        groups are different units, so the difference is not paired.
    """
    accuracy = proportion(design, right, ~seen)
    held = design.weight > 0
    if (seen & held).any() and (~seen & held).any():
        change = contrast(right.astype(float), ~seen, seen, design)
    else:
        change = absent("not_applicable", "all texts are new, or all are known")
    return new_unit_indicators(accuracy, change)


def new_unit_indicators(accuracy: Estimate, change: Estimate) -> list[Indicator]:
    """Return the indicators of :func:`new_units`.

    Parameters
    ----------
    accuracy, change : Estimate
        On new units, and the same less that on known ones.
    """
    return [
        Indicator(_DIMENSION, "accuracy_new_units", accuracy),
        Indicator(_DIMENSION, "change_new_units", change),
    ]
