"""Classification coding: text in, code out, beside the coding index.

The methods that a pilot names as ``use: mlstats.coding.NAME``; each is imported when
it is named.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ExactIndex": "matching",
    "WeightedIndex": "matching",
    "LinearText": "linear",
    "SklearnText": "estimator",
    "FastText": "fasttext",
    "FuzzyIndex": "fuzzy",
    "GweonNeighbour": "neighbours",
    "MemoryBasedReasoning": "neighbours",
    "Rules": "rules",
    "Stacked": "stacked",
    "HierarchicalText": "hierarchical",
    "Checked": "correctness",
}

__all__ = [
    "Checked",
    "ExactIndex",
    "FastText",
    "FuzzyIndex",
    "GweonNeighbour",
    "HierarchicalText",
    "LinearText",
    "MemoryBasedReasoning",
    "Rules",
    "SklearnText",
    "Stacked",
    "WeightedIndex",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.coding.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.coding' has no attribute {name!r}")
