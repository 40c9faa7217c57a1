"""Edit and imputation: review, selection and treatment of survey and register data.

Review: :func:`read_edits`, :func:`verify` and :func:`review`. Selection:
:func:`localise`, outliers (:func:`hb_current`, :func:`hb_ratio`, :func:`sigma_gap`) and
errors of the unit (:func:`thousand_pounds`, :func:`unit_errors`). Treatment: imputers
(:class:`Deterministic`, :class:`NearestDonor`, :class:`HotDeck`,
:class:`EstimatorImputer`, :class:`MultinomialImputer`, :class:`ChainedImputer`) and
:class:`EditConsistent`, which leaves every edit holding; :func:`imputation_error` for
what they add to the error of a figure. All in one: :func:`process`, and
:func:`process_file` for files larger than memory; :func:`impact` for what it did. What
is named here is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ChainedImputer": "models",
    "CorrectedTotals": "totals",
    "Deterministic": "deterministic",
    "Edit": "edits",
    "EditConsistent": "consistent",
    "EditSet": "edits",
    "ErrorDetector": "detection",
    "EstimatorImputer": "estimators",
    "EstimatorStep": "estimators",
    "HotDeck": "hotdeck",
    "LinearEdits": "linear_edits",
    "LinkImputation": "links",
    "MultinomialImputer": "multinomial",
    "NearestDonor": "donors",
    "Processed": "processing",
    "Variable": "edits",
    "anticipate": "anticipation",
    "apply_cells": "cell_provenance",
    "conflict": "edit_check",
    "correct_totals": "totals",
    "cross_predicted": "anticipation",
    "draw_below_cut": "below_cut",
    "error_features": "detection",
    "expected_errors": "selective",
    "fit_contamination": "contamination",
    "global_score": "selective",
    "hb_current": "outliers",
    "hb_ratio": "outliers",
    "impact": "cell_provenance",
    "impact_table": "selective",
    "implied_edits": "edit_check",
    "imputation_error": "imputed_totals",
    "imputed_by_links": "links",
    "linear_part": "linear_edits",
    "localise": "localisation",
    "multiple_imputations": "multiple",
    "optimal_l": "winsorisation",
    "process": "processing",
    "process_file": "streaming",
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
    "ChainedImputer",
    "CorrectedTotals",
    "Deterministic",
    "Edit",
    "EditConsistent",
    "EditSet",
    "ErrorDetector",
    "EstimatorImputer",
    "EstimatorStep",
    "HotDeck",
    "LinearEdits",
    "LinkImputation",
    "MultinomialImputer",
    "NearestDonor",
    "Processed",
    "Variable",
    "anticipate",
    "apply_cells",
    "conflict",
    "correct_totals",
    "cross_predicted",
    "draw_below_cut",
    "error_features",
    "expected_errors",
    "fit_contamination",
    "global_score",
    "hb_current",
    "hb_ratio",
    "impact",
    "impact_table",
    "implied_edits",
    "imputation_error",
    "imputed_by_links",
    "linear_part",
    "localise",
    "multiple_imputations",
    "optimal_l",
    "process",
    "process_file",
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
