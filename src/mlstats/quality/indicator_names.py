"""How every indicator is called, what its unit is and which dimension it belongs to.

Whatever a quality module can emit has a name here; a test looks for those that have
none. Units: percent (a share of one), ratio, count, days, seconds, minutes, amount
(of money), energy (kWh), carbon (kg CO2e) and fact (what stands in the note counts).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = [
    "FAMILIES",
    "HEADLINES",
    "INDICATORS",
    "LOWER_IS_BETTER",
    "SHARES",
    "Name",
    "named",
]

Name = tuple[str, str, str]

# name, unit, dimension
INDICATORS: Final[Mapping[str, Name]] = {
    "accuracy": ("accuracy", "percent", "accuracy"),
    "macro_f1": ("macro-F1", "ratio", "accuracy"),
    "coverage": ("coverage", "percent", "accuracy"),
    "accuracy_seen": ("accuracy, texts seen in training", "percent", "accuracy"),
    "accuracy_unseen": ("accuracy, texts not seen", "percent", "accuracy"),
    "automation_guaranteed": ("automation, guaranteed", "percent", "accuracy"),
    "automation_any_depth": ("automation, at any depth", "percent", "accuracy"),
    "automation_oracle": ("automation, oracle", "percent", "accuracy"),
    "automation_error": ("error of the automated part", "percent", "accuracy"),
    "uncodable_share": ("told to be uncodable", "percent", "accuracy"),
    "false_reject_rate": ("codable, told to be uncodable", "percent", "accuracy"),
    "uncodable_found": ("uncodable, and told so", "percent", "accuracy"),
    "kappa": ("kappa", "ratio", "accuracy"),
    "brier": ("Brier score", "ratio", "accuracy"),
    "overconfidence": ("confidence less accuracy", "percent", "accuracy"),
    "ece_debiased": ("calibration error, debiased", "percent", "accuracy"),
    "accuracy_hybrid": ("accuracy, rest by the baseline", "percent", "accuracy"),
    "accuracy_difference": ("difference in accuracy", "percent", "accuracy"),
    "mcnemar_p": ("McNemar, mid-p", "ratio", "accuracy"),
    "non_inferiority_p": ("p of being worse by the margin", "ratio", "accuracy"),
    "equivalence_p": ("p of lying beyond the margins", "ratio", "accuracy"),
    "classes_worse": ("classes with lower recall", "count", "accuracy"),
    "candidates_hold_truth": ("truth among the candidates", "percent", "accuracy"),
    "conformal_coverage": ("coverage of the candidate list", "percent", "accuracy"),
    "conformal_size": ("length of the candidate list", "ratio", "accuracy"),
    "share_mse": ("MSE of the shares, points squared", "ratio", "accuracy"),
    "bias_ratio": ("largest bias ratio of a share", "ratio", "accuracy"),
    "index_difference": ("index less that of the truth", "ratio", "accuracy"),
    "hybrid_share_mse": ("MSE of the shares, hybrid", "ratio", "accuracy"),
    "hybrid_bias_ratio": ("largest bias ratio, hybrid", "ratio", "accuracy"),
    "nrmse": ("error (RMSE) in spreads of the truth", "ratio", "accuracy"),
    "nmae": ("mean absolute error, relative", "percent", "accuracy"),
    "slope": ("slope of the truth on imputed values", "ratio", "accuracy"),
    "r_squared": ("truth explained, R squared", "ratio", "accuracy"),
    "rank_correlation": ("rank correlation with the truth", "ratio", "accuracy"),
    "ks": ("largest gap of the distributions", "ratio", "accuracy"),
    "ks_null": ("largest gap, a perfect draw", "ratio", "accuracy"),
    "mean_bias": ("bias of the mean", "percent", "accuracy"),
    "abs_mean_bias": ("size of the bias of the mean", "percent", "accuracy"),
    "second_moment_bias": ("bias of the second moment", "percent", "accuracy"),
    "spread_ratio": ("spread of imputed to true values", "ratio", "accuracy"),
    "imputed_share": ("cells that got a value", "percent", "accuracy"),
    "total_variation": ("shares in the wrong category", "ratio", "accuracy"),
    "total_variation_null": (
        "shares in the wrong category, a perfect draw",
        "ratio",
        "accuracy",
    ),
    "marginal_homogeneity": ("test of equal shares, W", "ratio", "accuracy"),
    "ordinal_distance": ("distance of ordered categories", "ratio", "accuracy"),
    "imputation_variance": (
        "share of the variance that imputation adds",
        "percent",
        "accuracy",
    ),
    "total_bias": ("bias of the published total", "percent", "accuracy"),
    "errors_accepted": ("errors not found (alpha)", "percent", "accuracy"),
    "correct_flagged": ("correct values flagged (beta)", "percent", "accuracy"),
    "misclassified": ("cells judged wrongly (delta)", "percent", "accuracy"),
    "remaining_impact": ("impact of errors that stay", "percent", "accuracy"),
    "remaining_error": ("error left in the total (RAE)", "percent", "accuracy"),
    "edits_failing": ("records failing edits afterwards", "percent", "accuracy"),
    "outside_bounds": ("values outside their bounds", "count", "accuracy"),
    "accuracy_random": ("accuracy, random folds", "percent", "accuracy"),
    "accuracy_season": ("accuracy, season left out", "percent", "accuracy"),
    "macro_f1_random": ("macro-F1, random folds", "ratio", "accuracy"),
    "macro_f1_season": ("macro-F1, season left out", "ratio", "accuracy"),
    "relative_efficiency": ("efficiency against direct", "ratio", "accuracy"),
    "count_bias": ("pixel count less the estimate", "percent", "accuracy"),
    "area_bias": ("area less the known one", "percent", "accuracy"),
    "unclassified_share": ("territory left unclassified", "percent", "accuracy"),
    "outside_applicability": ("territory unlike the training", "percent", "accuracy"),
    "repeated_bias": ("bias over repeated surveys", "percent", "accuracy"),
    "repeated_rmse": ("error over repeated surveys", "percent", "accuracy"),
    "repeated_coverage": ("intervals that hold the truth", "percent", "accuracy"),
    "method_class": (
        "class of method, 1 a rule to 6 opaque",
        "count",
        "explainability",
    ),
    "importance_stability": ("stability of importances", "ratio", "explainability"),
    "rank_stability": ("rank correlation of importances", "ratio", "explainability"),
    "top_columns_shared": ("top columns shared by fits", "ratio", "explainability"),
    "expert_agreement": ("experts find it plausible", "percent", "explainability"),
    "explanation_coverage": (
        "automatic decisions explained",
        "percent",
        "explainability",
    ),
    "deletion_fidelity": (
        "named words matter more than others",
        "ratio",
        "explainability",
    ),
    "environment_completeness": (
        "recorded of what a rerun needs",
        "percent",
        "reproducibility",
    ),
    "rerun_changed": ("codes changed by a rerun", "percent", "reproducibility"),
    "rerun_largest_difference": (
        "largest change of a confidence by a rerun",
        "ratio",
        "reproducibility",
    ),
    "seed_spread": ("spread over seeds", "ratio", "reproducibility"),
    "churn": ("codes changed by a new version", "percent", "reproducibility"),
    "seed_spread_accuracy": (
        "accuracy over seeds, in sampling errors",
        "ratio",
        "reproducibility",
    ),
    "seed_spread_share": (
        "published shares over seeds, in sampling errors",
        "ratio",
        "reproducibility",
    ),
    "family_difference_accuracy": (
        "accuracy less a second family's",
        "percent",
        "reproducibility",
    ),
    "family_difference_share": (
        "published share less a second family's",
        "percent",
        "reproducibility",
    ),
    "development_person_days": ("work on it, person-days", "count", "timeliness"),
    "development_days": ("from start to approval", "days", "timeliness"),
    "fit_seconds_per_1000": ("fit, per 1,000 units", "seconds", "timeliness"),
    "predict_seconds_per_1000": ("predict, per 1,000 units", "seconds", "timeliness"),
    "processing_seconds_per_1000": (
        "input to code, per 1,000 units",
        "seconds",
        "timeliness",
    ),
    "treat_seconds_per_1000": (
        "review to treatment, per 1,000 records",
        "seconds",
        "timeliness",
    ),
    "output_lag_days": ("end of period to output", "days", "timeliness"),
    "punctuality_days": ("released after the day planned", "days", "timeliness"),
    "retraining_lead_days": ("trigger to approved model", "days", "timeliness"),
    "label_age_days": ("age of the newest label", "days", "timeliness"),
    "cost_total": ("total cost", "amount", "cost"),
    "cost_per_correct": ("cost of a correct code", "amount", "cost"),
    "clerical_minutes_saved": ("clerks' time saved", "minutes", "cost"),
    "break_even_periods": ("periods until it pays", "count", "cost"),
    "break_even_units": ("units until it pays", "count", "cost"),
    "cost_per_mse": ("cost per unit of MSE", "amount", "cost"),
    "energy_kwh": ("energy", "energy", "cost"),
    "carbon_kg": ("carbon", "carbon", "cost"),
    "accuracy_new_units": ("accuracy, new texts", "percent", "robustness"),
    "change_new_units": ("new texts less known ones", "percent", "robustness"),
    "accuracy_typing_errors": ("accuracy, one typing error", "percent", "robustness"),
    "change_typing_errors": ("typing error less clean", "percent", "robustness"),
    "accuracy_capitals": ("accuracy, capital letters", "percent", "robustness"),
    "change_capitals": ("capital letters less clean", "percent", "robustness"),
    "accuracy_truncation": ("accuracy, texts cut in half", "percent", "robustness"),
    "change_truncation": ("texts cut in half less clean", "percent", "robustness"),
    "accuracy_without_field": ("accuracy, a field missing", "percent", "robustness"),
    "change_without_field": ("a field missing less clean", "percent", "robustness"),
    "drift_alarms": ("drift alarms, columns and references", "count", "robustness"),
    "concept_drift": ("fall in accuracy since approval", "percent", "robustness"),
    "error_gap": ("error gap", "percent", "fairness"),
    "not_referred": ("decided without a clerk", "percent", "fairness"),
    "worst_to_best": ("worst domain's error to the best's", "ratio", "fairness"),
    "double_coding_agreement": ("agreement of two coders", "percent", "data"),
    "double_coding_kappa": ("kappa of two coders", "ratio", "data"),
    "double_coding_alpha": ("alpha (Krippendorff) of two coders", "ratio", "data"),
    "truth_sample": ("sample of the truth", "fact", "data"),
    "texts_in_training": ("test texts also in training", "percent", "data"),
    "clusters_in_training": ("test clusters also in training", "percent", "data"),
    "contract_kept": ("checks of the contract kept", "percent", "data"),
    "classification_version": ("version of the labels", "fact", "data"),
}

# How the name begins -> the same for what follows, which a run chooses.
FAMILIES: Final[Mapping[str, Name]] = {
    "accuracy_without_": ("accuracy without {}", "percent", "robustness"),
    "change_without_": ("change without {}", "percent", "robustness"),
    "accuracy_": ("accuracy, {}", "percent", "robustness"),
    "change_": ("change by {}", "percent", "robustness"),
    "seed_spread_": ("spread over seeds, {}", "ratio", "reproducibility"),
    "family_difference_": ("another family of methods, {}", "ratio", "reproducibility"),
}
# What a run is about at first sight: codes and categories, then numbers.
HEADLINES: Final = ("accuracy", "nrmse")
SHARES: Final = frozenset(
    name for name, (_, unit, _) in INDICATORS.items() if unit == "percent"
) | {"macro_f1", "kappa"}
LOWER_IS_BETTER: Final = frozenset(
    {
        "automation_error",
        "false_reject_rate",
        "brier",
        "ece_debiased",
        "bias_ratio",
        "hybrid_bias_ratio",
        "share_mse",
        "hybrid_share_mse",
        "classes_worse",
        "error_gap",
        "worst_to_best",
        "nrmse",
        "nmae",
        "ks",
        "abs_mean_bias",
        "total_variation",
        "marginal_homogeneity",
        "ordinal_distance",
        "errors_accepted",
        "correct_flagged",
        "misclassified",
        "remaining_impact",
        "remaining_error",
        "edits_failing",
        "outside_bounds",
        "unclassified_share",
        "outside_applicability",
        "repeated_rmse",
        "rerun_changed",
        "seed_spread_accuracy",
        "seed_spread_share",
        "cost_total",
        "cost_per_correct",
        "fit_seconds_per_1000",
        "predict_seconds_per_1000",
        "processing_seconds_per_1000",
        "treat_seconds_per_1000",
        "imputation_variance",
        "output_lag_days",
        "drift_alarms",
        "concept_drift",
    }
)


def named(indicator: str) -> Name | None:
    """Return the name, unit and dimension of an indicator, None where it has none.

    Examples
    --------
    >>> named("seed_spread_accuracy")
    ('accuracy over seeds, in sampling errors', 'ratio', 'reproducibility')
    >>> named("tide")
    """
    if indicator in INDICATORS:
        return INDICATORS[indicator]
    for start, (name, unit, dimension) in FAMILIES.items():
        rest = indicator.removeprefix(start)
        if rest and rest != indicator:
            return name.format(rest.replace("_", " ")), unit, dimension
    return None
