"""Methods made from ``use`` and ``params``, in a pilot or inside another method."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.coding.coder import CalibratedCoder
from mlstats.errors import ConfigError, SourceError
from mlstats.method import build, resolve
from mlstats.writing import write_json

__all__ = [
    "accepted_parameters",
    "fit_method",
    "load_methods",
    "make_coder",
    "make_nested",
    "save_methods",
]

_NESTED = "methods.json"
_KEYS = {"use", "params"}


def make_coder(
    use: str, params: Mapping[str, Any], *, seed: int, min_units: int, where: str
) -> Any:
    """Make a method; a classifier that reads no text is given text features.

    Parameters
    ----------
    use : str
        Dotted path of a class.
    params : mapping
        Its parameters.
    seed, min_units : int
        Handed to a class that has ``random_state`` and ``min_units``, unless
        `params` say otherwise.
    where : str
        The place in the pilot, for errors.
    """
    params = dict(params)
    if use.startswith("mlstats."):
        accepted = accepted_parameters(use, where)
        for key, value in (("random_state", seed), ("min_units", min_units)):
            if key in accepted:
                params.setdefault(key, value)
        return build(use, params, where=where)
    classifier = build(use, params, where=where)
    if hasattr(classifier, "random_state") and classifier.random_state is None:
        classifier.set_params(random_state=seed)
    from mlstats.coding.estimator import SklearnText

    return SklearnText(classifier, min_units=min_units)


def make_nested(
    methods: Any, *, seed: int, min_units: int, where: str = "methods"
) -> list[Any]:
    """Make the methods that another method combines.

    Parameters
    ----------
    methods : list of mapping
        Each with ``use`` and, where they differ from the defaults, ``params``.
    seed, min_units, where
        As in :func:`make_coder`.

    Raises
    ------
    ConfigError
        If it is no such list, or an entry has another key.
    """
    if not isinstance(methods, list) or not methods:
        raise ConfigError(
            "There are no methods to combine",
            where=where,
            expected="a list of entries {use: ..., params: {...}}",
        )
    made = []
    for number, spec in enumerate(methods):
        place = f"{where}.{number}"
        if not isinstance(spec, Mapping) or not {"use"} <= set(spec) <= _KEYS:
            raise ConfigError(
                "An entry of the methods to combine does not fit",
                where=place,
                expected="use, and params where there are any",
            )
        params = spec.get("params") or {}
        made.append(
            make_coder(spec["use"], params, seed=seed, min_units=min_units, where=place)
        )
    return made


def fit_method(
    method: Any, X: pd.DataFrame, y: np.ndarray, groups: pd.Series | None
) -> Any:
    """Fit a method with the clusters where it takes them; its scores stay plain.

    What combines methods calibrates the result, so the probabilities of the parts are
    left as they come: the same way in every fold.
    """
    codes = pd.Series(y, index=X.index)
    if groups is not None and "groups" in inspect.signature(method.fit).parameters:
        method.fit(X, codes, groups)
    else:
        method.fit(X, codes)
    if isinstance(method, CalibratedCoder):
        method.leave_uncalibrated()
    return method


def save_methods(methods: list[Any], folder: Path) -> None:
    """Write fitted methods, each into a folder of its own."""
    names = [f"{type(m).__module__}.{type(m).__qualname__}" for m in methods]
    for number, method in enumerate(methods):
        part = folder / str(number)
        part.mkdir(parents=True, exist_ok=True)
        method.save(part)
    write_json(folder / _NESTED, names)


def load_methods(folder: Path) -> list[Any]:
    """Read what :func:`save_methods` wrote.

    Raises
    ------
    SourceError
        If the folder does not hold it, or a class is none of mlstats.
    """
    try:
        names = json.loads((folder / _NESTED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            "The saved methods cannot be read",
            where=str(folder),
            expected=f"a file {_NESTED}",
        ) from error
    for name in names:
        if not name.startswith("mlstats."):
            raise SourceError(
                "A saved method is of a class that is not mlstats'",
                where=str(folder),
            )
    return [
        resolve(name).load(folder / str(number)) for number, name in enumerate(names)
    ]


def accepted_parameters(use: str, where: str) -> set[str]:
    """Return the names of a class's parameters."""
    return set(inspect.signature(resolve(use, where)).parameters)
