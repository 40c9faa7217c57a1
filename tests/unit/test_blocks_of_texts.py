"""What a method says of a text does not depend on the texts that it is asked beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.coding import (
    ExactIndex,
    FastText,
    FuzzyIndex,
    GweonNeighbour,
    HierarchicalText,
    LinearText,
    MemoryBasedReasoning,
    WeightedIndex,
)
from mlstats.coding.classification import Classification
from mlstats.demo import make_products
from mlstats.method import predict_top

CLASSIFICATION = "configs/classifications/coicop2018_demo.csv"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.Series]:
    """Return texts with codes."""
    folder = tmp_path_factory.mktemp("data")
    make_products(folder, periods=("2026-01",), households_per_period=60)
    frame = pd.read_csv(
        folder / "products_2026-01.csv", dtype=str, keep_default_na=False
    )
    return pd.DataFrame({"text": frame["description"]}), frame["coicop_clerk"]


def methods() -> dict[str, Any]:
    path = Path(__file__).parents[2] / CLASSIFICATION
    levels = Classification.read(path, parent="parent")
    return {
        "exact": ExactIndex(),
        "fuzzy": FuzzyIndex(),
        "weighted": WeightedIndex(),
        "neighbour": GweonNeighbour(),
        "memory": MemoryBasedReasoning(),
        "linear": LinearText(random_state=1),
        "hierarchical": HierarchicalText(classification=levels, random_state=1),
        "fasttext": FastText(dim=5),
    }


@pytest.mark.parametrize("name", [*methods()])
def test_any_block_gives_the_same_bits(
    rows: tuple[pd.DataFrame, pd.Series], name: str
) -> None:
    X, y = rows
    method = methods()[name].fit(X, y)
    codes, scores = predict_top(method, X, 5)
    for some in (slice(1, 2), slice(3, 80), slice(40, None), slice(None, None, 3)):
        own, chances = predict_top(method, X.iloc[some], 5)
        assert (pd.Series(own.ravel()).fillna("")).tolist() == pd.Series(
            codes[some].ravel()
        ).fillna("").tolist()
        # The products of fastText's vectors are added by BLAS as a block is shaped.
        last_digits = 1e-12 if name == "fasttext" else 0.0
        np.testing.assert_allclose(chances, scores[some], rtol=last_digits)
