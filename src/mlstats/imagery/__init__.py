"""Satellite images joined with survey, census and administrative data.

Each name is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "areal_weighting": "disaggregation",
    "battese_harter_fuller": "unit_level",
    "benchmarked": "benchmarking",
    "bootstrap_mse": "benchmarking",
    "dasymetric": "disaggregation",
    "disaggregation_errors": "census_check",
    "fay_herriot": "area_level",
    "learned_weights": "densities",
    "pycnophylactic": "disaggregation",
    "smooth_variances": "area_level",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.imagery.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.imagery' has no attribute {name!r}")
