"""Edit and imputation: review, selection and treatment of survey and register data.

Review: :func:`read_edits`, :func:`verify` and :func:`review`. Selection:
:func:`localise`, outliers (:func:`hb_current`, :func:`hb_ratio`, :func:`sigma_gap`) and
errors of the unit (:func:`thousand_pounds`, :func:`unit_errors`). What is named here is
imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Edit": "edits",
    "EditSet": "edits",
    "Variable": "edits",
    "conflict": "edit_check",
    "hb_current": "outliers",
    "hb_ratio": "outliers",
    "impact_table": "selective",
    "implied_edits": "edit_check",
    "localise": "localisation",
    "read_edits": "edit_files",
    "review": "status",
    "sigma_gap": "outliers",
    "thousand_pounds": "unit_of_measure",
    "unit_errors": "unit_of_measure",
    "verify": "edit_check",
}

__all__ = [
    "Edit",
    "EditSet",
    "Variable",
    "conflict",
    "hb_current",
    "hb_ratio",
    "impact_table",
    "implied_edits",
    "localise",
    "read_edits",
    "review",
    "sigma_gap",
    "thousand_pounds",
    "unit_errors",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mlstats.editimpute.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlstats.editimpute' has no attribute {name!r}")
