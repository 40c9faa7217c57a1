"""The scorecard beyond accuracy: calibration, domains, and the other dimensions.

Each figure is worked out for every method on the same units. What a plain run cannot
know (a rerun, other seeds, an expert's opinion, the cost) has a row that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.agreement import kappa
from mlstats.quality.breakdown import accuracy_by_domain
from mlstats.quality.calibration import (
    brier_score,
    expected_calibration_error,
    overconfidence,
)
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.explain import method_class
from mlstats.quality.fairness import fairness_indicators
from mlstats.quality.indicator import Indicator
from mlstats.quality.reproducibility import environment_completeness
from mlstats.quality.robustness import new_units
from mlstats.quality.summaries import Ancestor

__all__ = ["dimension_rows"]

MIN_CELL = 10  # units of a domain below which nothing is told of it

_LATER = (
    ("explainability", "importance_stability", "needs several fits: run --full"),
    ("explainability", "expert_agreement", "needs a sheet that experts have rated"),
    ("reproducibility", "rerun_changed", "needs a second run: run --full"),
    ("reproducibility", "seed_spread", "needs ten fits: run --full"),
    ("cost", "cost_per_correct", "the pilot names no cost sheet"),
)


def dimension_rows(
    units: pd.DataFrame,
    ancestor: Ancestor,
    level: str,
    methods: Mapping[str, object],
    *,
    provenance: Mapping[str, str],
    seed: int,
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
    provenance : mapping
        What a rerun needs, as the run recorded it.
    seed : int
        Of the simulated null band of the calibration error.

    Returns
    -------
    list of dict
        Rows with the columns that an :class:`Indicator` has.
    """
    rows: list[dict[str, Any]] = []
    for name, method in methods.items():
        part = units[units["method"] == name]
        truth = ancestor(as_codes(part["truth"]), level)
        judged = np.array([code is not None for code in truth], dtype=bool)
        part, truth = part[judged], truth[judged]
        code = ancestor(as_codes(part["prediction"]), level)
        design = Design.of(
            part["weight"].to_numpy(dtype=float),
            stratum=part["stratum"].to_numpy(dtype=object),
            cluster=part["cluster"].to_numpy(dtype=object),
        )
        right = code == truth
        found = [
            Indicator("accuracy", "kappa", kappa(design, code, truth)),
            *_calibration(design, part["confidence"].to_numpy(), right, seed),
            *_domains(design, part, right),
            *new_units(right, part["seen"].to_numpy(dtype=bool), design),
        ]
        rows += [indicator.row(method=name, level=level) for indicator in found]
        told = [method_class(method), environment_completeness(provenance)]
        rows += [indicator.row(method=name) for indicator in told]
        rows += [
            Indicator(dimension, indicator, absent("not_measured", why)).row(
                method=name
            )
            for dimension, indicator, why in _LATER
        ]
    return rows


def _calibration(
    design: Design, confidence: np.ndarray, right: np.ndarray, seed: int
) -> Iterator[Indicator]:
    told = np.isfinite(confidence)
    if not told.any():
        reason = absent("not_applicable", "the method tells no confidence")
        for name in ("brier", "overconfidence", "ece_debiased"):
            yield Indicator("accuracy", name, reason)
        return
    known = np.where(told, confidence, 0.0)
    yield Indicator("accuracy", "brier", brier_score(design, known, right, told))
    gap = overconfidence(design, known, right, told)
    yield Indicator("accuracy", "overconfidence", gap)
    error = expected_calibration_error(
        Design(
            design.weight[told], design.cluster[told], design.stratum[told],
            design.fraction, design.single, design.fault,
        ),  # the error is no mean over the design: its null is simulated by cluster
        known[told], right[told], seed=seed,
    )  # fmt: skip
    said = (
        f"raw {error.value:.3f}; a calibrated method shows {error.null_mean:.3f}, "
        f"95 % of the time at most {error.null_upper:.3f}: "
        + ("within" if error.within_null else "outside")
        if error.status == "measured"
        else error.note
    )
    yield Indicator(
        "accuracy",
        "ece_debiased",
        Estimate(error.debiased, n=error.n, status=error.status, note=said),
    )


def _domains(
    design: Design, part: pd.DataFrame, right: np.ndarray
) -> Iterator[Indicator]:
    for column in [c for c in part.columns if c.startswith("domain_")]:
        name = column.removeprefix("domain_")
        domain = part[column].to_numpy(dtype=object)
        table = accuracy_by_domain(design, right, domain, min_cell=MIN_CELL)
        for row in table.to_dict("records"):
            label = f"{name}: {row.pop('domain')}"
            found = Estimate(**{str(key): value for key, value in row.items()})
            yield Indicator("accuracy", "accuracy", found, label)
        yield from fairness_indicators(
            right,
            part["route"].to_numpy(dtype=object),
            domain,
            design,
            name=name,
            min_cell=MIN_CELL,
        )
