"""The scorecard beyond accuracy: calibration, domains, and the other dimensions.

Each figure is worked out for every method on the same units. What a plain run cannot
know (a rerun, other seeds, an expert's opinion, the cost) has a row that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.agreement import kappa
from mlstats.quality.breakdown import accuracy_by_domain
from mlstats.quality.calibration import (
    CalibrationError,
    brier_score,
    expected_calibration_error,
    overconfidence,
)
from mlstats.quality.design import SingleClusterRule
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.evaluation import design_of
from mlstats.quality.explain import method_class
from mlstats.quality.fairness import fairness_indicators
from mlstats.quality.indicator import Indicator
from mlstats.quality.judged import Judged
from mlstats.quality.reproducibility import environment_completeness
from mlstats.quality.robustness import new_units
from mlstats.quality.summaries import Ancestor

__all__ = [
    "NO_CONFIDENCE",
    "REFITS",
    "calibration_indicator",
    "dimension_rows",
    "domain_row",
]

NO_CONFIDENCE: Final = absent("not_applicable", "the method tells no confidence")
MIN_CELL = 10  # units of a domain below which nothing is told of it

# What only refits, explanations and perturbed input can tell: mlstats.refits.
REFITS: Final = (
    ("explainability", "rank_stability"),
    ("explainability", "explanation_coverage"),
    ("explainability", "deletion_fidelity"),
    ("explainability", "expert_agreement"),
    ("reproducibility", "rerun_changed"),
    ("reproducibility", "seed_spread_accuracy"),
    ("reproducibility", "seed_spread_share"),
    ("robustness", "accuracy_typing_errors"),
    ("robustness", "accuracy_capitals"),
    ("robustness", "accuracy_truncation"),
)


def dimension_rows(
    units: pd.DataFrame,
    ancestor: Ancestor,
    level: str,
    methods: Mapping[str, object],
    *,
    baseline: str,
    provenance: Mapping[str, str],
    seed: int,
    single: SingleClusterRule = "adjust",
    full: bool = False,
) -> list[dict[str, Any]]:
    """Return rows of the scorecard for every method.

    Parameters
    ----------
    units : pandas.DataFrame
        The test fold of an Evaluation.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    level : str
        Level at which a code is judged.
    methods : mapping
        Name -> fitted method.
    baseline : str
        The method that the differences by domain refer to.
    provenance : mapping
        What a rerun needs, as the run recorded it.
    seed : int
        Of the simulated null band of the calibration error.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
    full : bool
        Whether refits follow: then the rows of :data:`REFITS` are theirs to give.

    Returns
    -------
    list of dict
        Rows with the columns that an :class:`Indicator` has.
    """
    rows: list[dict[str, Any]] = []
    waiting = [] if full else [(*place, "told by run --full only") for place in REFITS]
    arms = {
        name: Judged.of(units, name, ancestor, level, single=single) for name in methods
    }
    for name, method in methods.items():
        arm = arms[name]
        found = [
            Indicator("accuracy", "kappa", kappa(arm.design, arm.code, arm.truth)),
            *_calibration(arm, seed, single),
            *_fairness(arm),
            *new_units(arm.right, arm.part["seen"].to_numpy(dtype=bool), arm.design),
        ]
        rows += [indicator.row(method=name, level=level) for indicator in found]
        other = None if name == baseline else arms[baseline]
        for row in _domains(arm, other):
            rows.append(row | {"method": name, "level": level})
            if other is not None:
                rows[-1]["versus"] = baseline
        told = [method_class(method), environment_completeness(provenance)]
        rows += [indicator.row(method=name) for indicator in told]
        rows += [
            Indicator(dimension, indicator, absent("not_measured", why)).row(
                method=name
            )
            for dimension, indicator, why in waiting
        ]
    return rows


def _calibration(
    arm: Judged, seed: int, single: SingleClusterRule
) -> Iterator[Indicator]:
    told = np.isfinite(arm.part["confidence"].to_numpy())
    if not told.any():
        for name in ("brier", "overconfidence", "ece_debiased"):
            yield Indicator("accuracy", name, NO_CONFIDENCE)
        return
    known = np.where(told, arm.part["confidence"].to_numpy(), 0.0)
    found = brier_score(arm.design, known, arm.right, told)
    yield Indicator("accuracy", "brier", found)
    found = overconfidence(arm.design, known, arm.right, told)
    yield Indicator("accuracy", "overconfidence", found)
    yield calibration_indicator(
        expected_calibration_error(
            design_of(arm.part[told], single=single),
            known[told],
            arm.right[told],
            seed=seed,
        )
    )


def calibration_indicator(error: CalibrationError) -> Indicator:
    """Return the calibration error without its bias, beside what chance shows."""
    said = error.note
    if error.status == "measured":
        where = "within" if error.within_null else "outside"
        said = (
            f"{where} what a calibrated method shows (mean {error.null_mean:.3f}, "
            f"95 % at most {error.null_upper:.3f}); raw value {error.value:.3f}"
        )
    told_error = Estimate(error.debiased, n=error.n, status=error.status, note=said)
    return Indicator("accuracy", "ece_debiased", told_error)


def _fairness(arm: Judged) -> Iterator[Indicator]:
    route = arm.part["route"].to_numpy(dtype=object)
    for name, domain in arm.domains.items():
        yield from fairness_indicators(
            arm.right, route, domain, arm.design, name=name, min_cell=MIN_CELL
        )


def _domains(arm: Judged, other: Judged | None) -> Iterator[dict[str, Any]]:
    for name, domain in arm.domains.items():
        table = accuracy_by_domain(arm.design, arm.right, domain, min_cell=MIN_CELL)
        for cells in table.to_dict("records"):
            value = cells.pop("domain")
            found = Estimate(**{str(key): cell for key, cell in cells.items()})
            gap = None
            if other is not None and found.status == "measured":
                # Both arms hold the same units in the same order.
                apart = arm.right.astype(float) - other.right
                gap = arm.design.mean(apart, domain == value)
            yield domain_row(found, gap, f"{name}: {value}")


def domain_row(found: Estimate, gap: Estimate | None, domain: str) -> dict[str, Any]:
    """Return the row of the accuracy in a domain, without method and level.

    Parameters
    ----------
    found : Estimate
        The accuracy.
    gap : Estimate, optional
        The same less that of the baseline; not told where the accuracy is not.
    domain : str
        ``NAME: VALUE``.
    """
    row = Indicator("accuracy", "accuracy", found, domain).row(method="")
    if gap is None or found.status != "measured":
        return row
    return row | {
        "difference": gap.value,
        "difference_se": gap.se,
        "difference_lower": gap.lower,
        "difference_upper": gap.upper,
    }
