"""Every traditional method as a pilot makes it, on the demonstration's index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats.coding.arm import build_method
from mlstats.config import Evaluate, MethodSpec
from mlstats.errors import SourceError
from mlstats.method import predict_top

CONFIGS = Path(__file__).parents[2] / "configs"
INDEX = "rules/coicop_demo_index.csv"
NEW = pd.DataFrame(
    {"text": ["Rye breads 500g", "Weißbrot", "zzz", None], "language": "de"}
)


def find(relative: str) -> Path:
    path = CONFIGS / relative
    if not path.is_file():
        raise SourceError(f"There is no file {relative!r}")
    return path


def made(use: str, **params: Any) -> Any:
    spec = MethodSpec(kind="traditional", use=f"mlstats.coding.{use}", params=params)
    return build_method("m", spec, Evaluate(), find)


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("ExactIndex", {}),
        ("WeightedIndex", {}),
        ("GweonNeighbour", {}),
        ("MemoryBasedReasoning", {}),
        ("FuzzyIndex", {}),
    ],
)
def test_a_parser_file_serves_every_index_method(
    use: str, params: dict[str, Any], tmp_path: Path
) -> None:
    params = {"index": INDEX, "training": False, "parser": "language/en.yaml", **params}
    method = made(use, **params).fit(NEW.iloc[:0])
    codes, scores = predict_top(method, NEW, 1)
    assert codes[:, 0].tolist() == ["01.1.1.3", "01.1.1.3", None, None]
    assert scores[2:].tolist() == [[0.0], [0.0]]
    assert "'bread rye'" in method.explain(NEW)["reason"].iloc[0] or (
        "'rye bread'" in method.explain(NEW)["reason"].iloc[0]
    )
    method.save(tmp_path)
    again = predict_top(type(method).load(tmp_path), NEW, 1)[0]
    assert again.tolist() == codes.tolist()


def test_rules_are_found_and_read_covariates() -> None:
    method = made("Rules", rules="rules/coicop_demo_rules.yaml").fit(NEW)
    assert method.predict(NEW).tolist() == [None, "01.1.1.3", None, None]


def test_a_parser_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceError, match="language/xx.yaml"):
        made("ExactIndex", parser="language/xx.yaml")
