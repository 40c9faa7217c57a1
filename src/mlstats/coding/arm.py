"""How a coding pilot sees its data, and how it makes its methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.coding.building import accepted_parameters, make_coder
from mlstats.coding.classification import Classification
from mlstats.config import ClassificationSpec, Evaluate, MethodSpec, Roles
from mlstats.errors import ConfigError

__all__ = ["build_method", "method_frame", "read_classification"]

FindFile = Callable[[str], Path]

_FILES = ("index", "parser", "rules")  # parameters that name a file


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
    name: str,
    spec: MethodSpec,
    evaluate: Evaluate,
    find_file: FindFile,
    classification: Classification | None = None,
) -> Any:
    """Make a method of a coding pilot.

    The pilot's seed and its least number of units per word are handed to every class
    that has such a parameter; a path of an index, a parser or rules is looked up; a
    classifier that does not read text itself is given text features.

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
    classification : Classification, optional
        The pilot's, for a class that has such a parameter.
    """
    where = f"methods.{name}"
    params = _with_files(dict(spec.params), find_file)
    if spec.use.startswith("mlstats.") and classification is not None:
        takes_it = "classification" in accepted_parameters(spec.use, where)
        params |= {"classification": classification} if takes_it else {}
    seed, min_units = evaluate.seed % 2**31, evaluate.min_units
    return make_coder(spec.use, params, seed=seed, min_units=min_units, where=where)


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


def _with_files(params: dict[str, Any], find_file: FindFile) -> dict[str, Any]:
    """Look up the paths of files, of the methods inside a method too."""
    for key in _FILES:
        if isinstance(params.get(key), str):
            params[key] = str(find_file(params[key]))
    nested = params.get("methods")
    if isinstance(nested, list):
        params["methods"] = [
            {**spec, "params": _with_files(dict(spec.get("params") or {}), find_file)}
            if isinstance(spec, Mapping)
            else spec
            for spec in nested
        ]
    return params
