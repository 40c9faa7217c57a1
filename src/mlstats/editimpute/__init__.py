"""Edit and imputation: review, selection and treatment of survey and register data.

Review: :func:`read_edits`, :func:`verify` and :func:`review`. Selection:
:func:`localise`, outliers (:func:`hb_current`, :func:`hb_ratio`, :func:`sigma_gap`) and
errors of the unit (:func:`thousand_pounds`, :func:`unit_errors`); selective editing
(:func:`select_units` and what it rests on), :func:`winsorise`. What is named here is
imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Edit": "edits",
    "EditSet": "edits",
    "ErrorDetector": "detection",
    "Variable": "edits",
    "anticipate": "anticipation",
    "conflict": "edit_check",
    "cross_predicted": "anticipation",
    "draw_below_cut": "below_cut",
    "error_features": "detection",
    "expected_errors": "selective",
    "fit_contamination": "contamination",
    "global_score": "selective",
    "hb_current": "outliers",
    "hb_ratio": "outliers",
    "impact_table": "selective",
    "implied_edits": "edit_check",
    "localise": "localisation",
    "optimal_l": "winsorisation",
    "read_edits": "edit_files",
    "remaining_error": "below_cut",
    "review": "status",
    "select_units": "cut",
    "sigma_gap": "outliers",
    "thousand_pounds": "unit_of_measure",
    "unit_errors": "unit_of_measure",
    "verify": "edit_check",
    "winsorise": "winsorisation",
}

__all__ = [
    "Edit",
    "EditSet",
    "ErrorDetector",
    "Variable",
    "anticipate",
    "conflict",
    "cross_predicted",
    "draw_below_cut",
    "error_features",
    "expected_errors",
    "fit_contamination",
    "global_score",
    "hb_current",
    "hb_ratio",
    "impact_table",
    "implied_edits",
    "localise",
    "optimal_l",
    "read_edits",
    "remaining_error",
    "review",
    "select_units",
    "sigma_gap",
    "thousand_pounds",
    "unit_errors",
    "verify",
    "winsorise",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.editimpute.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.editimpute' has no attribute {name!r}")
