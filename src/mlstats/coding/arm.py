"""How a coding pilot sees its data, and how it makes its methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.config import ClassificationSpec, Evaluate, MethodSpec, Roles
from mlstats.errors import ConfigError
from mlstats.method import build, resolve

__all__ = ["build_method", "method_frame", "read_classification"]

FindFile = Callable[[str], Path]


def method_frame(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Return what a method may see: column ``text``, then the auxiliary columns.

    Several text columns are joined by a blank; a missing text is the empty string.
    """
    if "text" in roles.auxiliary:
        raise ConfigError(
            "An auxiliary column cannot be called 'text'",
            where="data.roles.auxiliary",
            hint="rename the column in the data",
        )
    parts = [frame[column].fillna("").astype(str) for column in roles.text]
    text = parts[0]
    for part in parts[1:]:
        text = text + " " + part
    return pd.DataFrame({"text": text, **{c: frame[c] for c in roles.auxiliary}})


def build_method(
    name: str, spec: MethodSpec, evaluate: Evaluate, find_file: FindFile
) -> Any:
    """Make a method of a coding pilot.

    The pilot's seed and its least number of units per word are handed to every class
    that has such a parameter; a path of an index is looked up; a classifier that does
    not read text itself is given text features.

    Parameters
    ----------
    name : str
        In the pilot, for errors.
    spec : MethodSpec
        Class and parameters.
    evaluate : Evaluate
        Seed and ``min_units``.
    find_file : callable
        Relative path -> path, raising where there is none.
    """
    where = f"methods.{name}"
    params = dict(spec.params)
    if isinstance(params.get("index"), str):
        params["index"] = str(find_file(params["index"]))
    own = spec.use.startswith("mlstats.")
    if own:
        accepted = _parameters(spec.use, where)
        for key, value in (
            ("random_state", evaluate.seed % 2**31),
            ("min_units", evaluate.min_units),
        ):
            if key in accepted:
                params.setdefault(key, value)
        return build(spec.use, params, where=where)
    classifier = build(spec.use, params, where=where)
    if hasattr(classifier, "random_state") and classifier.random_state is None:
        classifier.set_params(random_state=evaluate.seed % 2**31)
    from mlstats.coding.estimator import SklearnText

    return SklearnText(classifier, min_units=evaluate.min_units)


def read_classification(
    spec: ClassificationSpec, find_file: FindFile
) -> Classification:
    """Read the classification that a pilot names."""
    return Classification.read(
        find_file(spec.file),
        code=spec.code,
        title=spec.title,
        parent=spec.parent,
        level_columns=list(spec.level_columns) or None,
        digits=list(spec.digits) or None,
        separator=spec.separator,
    )


def _parameters(use: str, where: str) -> set[str]:
    return set(inspect.signature(resolve(use, where)).parameters)
