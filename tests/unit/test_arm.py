from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlstats.coding.arm import build_method, method_frame
from mlstats.coding.classification import Classification
from mlstats.config import Evaluate, MethodSpec, Roles
from mlstats.errors import ConfigError

CODES = Classification.from_frame(
    pd.DataFrame({"code": ["011", "012"]}), title=None, digits=[2, 3]
)


def spec(use: str, **params: object) -> MethodSpec:
    return MethodSpec(kind="ml", use=use, params=params)


def found(path: str) -> Path:
    return Path("found") / path


def test_auxiliary_columns_reach_the_methods_as_they_are() -> None:
    roles = Roles(unit_id="row", text=("a", "b"), auxiliary=("price", "shop"))
    frame = pd.DataFrame(
        {"row": [1], "a": ["whole"], "b": [None], "price": [1.5], "shop": ["x"]}
    )
    X = method_frame(frame, roles)
    assert list(X.columns) == ["text", "price", "shop"]
    assert X["price"].dtype == float
    assert X["text"].tolist() == ["whole "]


def test_seed_least_units_and_classification_are_handed_over() -> None:
    settings = Evaluate(seed=7, min_units=3)
    use = "mlstats.coding.HierarchicalText"
    coder = build_method("h", spec(use), settings, found, CODES)
    assert coder.classification is CODES
    assert (coder.random_state, coder.min_units) == (7, 3)
    own = build_method("h", spec(use, min_units=1), settings, found)
    assert own.classification is None
    assert own.min_units == 1


def test_indexes_are_looked_up_inside_methods_too() -> None:
    inside = [
        {"use": "mlstats.coding.LinearText", "params": {"index": "list.csv"}},
        {"use": "mlstats.coding.ExactIndex"},
    ]
    given = spec("mlstats.coding.Stacked", methods=inside)
    stacked = build_method("s", given, Evaluate(), found)
    assert stacked.methods[0]["params"]["index"] == str(found("list.csv"))
    assert given.params["methods"][0]["params"]["index"] == "list.csv"


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ConfigError, match="bandz"):
        build_method("l", spec("mlstats.coding.LinearText", bandz=3), Evaluate(), found)
