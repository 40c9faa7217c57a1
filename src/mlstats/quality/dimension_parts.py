"""The scorecard beyond accuracy of units that come in parts, from their sums.

The rows are those of :func:`mlstats.quality.dimensions.dimension_rows` that are about
the units: kappa, calibration, fairness, new texts, accuracy by domain. Values, errors
and intervals are the same. The band that a calibrated method would show is drawn from
a normal distribution with the covariance of the clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mlstats.quality.accuracy import as_proportion
from mlstats.quality.arm_means import Figure
from mlstats.quality.calibration import no_error, set_beside
from mlstats.quality.comparison import (
    comparison_indicators,
    hybrid_row,
    mcnemar_estimate,
)
from mlstats.quality.dimension_influences import DimensionInfluences
from mlstats.quality.dimension_sums import BY_TEXT, MIN_CELL, DimensionSums
from mlstats.quality.dimensions import (
    NO_CONFIDENCE,
    calibration_indicator,
    domain_row,
)
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.fairness import DomainFigures, domain_indicators
from mlstats.quality.indicator import Indicator, contrasted
from mlstats.quality.paired import pairs_of, scored
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.robustness import new_unit_indicators
from mlstats.quality.scorecard import Plan

__all__ = ["comparison_rows_of_sums", "dimension_rows_of_sums"]

_SIMULATIONS: Final = 1000


def dimension_rows_of_sums(
    first: DimensionSums, second: DimensionInfluences, plan: Plan
) -> list[dict[str, Any]]:
    """Return rows of the scorecard for every method.

    Parameters
    ----------
    first, second : DimensionSums, DimensionInfluences
        Of all parts, from the first and the second reading.
    plan : Plan
        As of the sums; its seed is that of the band of the calibration error.
    """
    rows: list[dict[str, Any]] = []
    for name in plan.kinds:
        told = _Told(first, second, plan, name)
        found = [
            Indicator("accuracy", "kappa", told.kappa()),
            *told.calibration(),
            *told.fairness(),
            *told.new_texts(),
        ]
        rows += [one.row(method=name, level=plan.level) for one in found]
        for row in told.domains():
            rows.append(row | {"method": name, "level": plan.level})
            if name != plan.baseline:
                rows[-1]["versus"] = plan.baseline
    return rows


def comparison_rows_of_sums(
    first: DimensionSums, second: DimensionInfluences, plan: Plan, *, margin: float
) -> list[dict[str, Any]]:
    """Return rows of every method beside the baseline.

    Those of :func:`mlstats.quality.comparison.hybrid_accuracy` and
    :func:`mlstats.quality.comparison.compared`.

    Parameters
    ----------
    first, second, plan
        As of :func:`dimension_rows_of_sums`.
    margin : float
        How much worse is too much, as a share; 0 where nothing says so.
    """
    rows: list[dict[str, Any]] = []
    for name in plan.kinds:
        if name == plan.baseline:
            continue
        told = _Told(first, second, plan, name)
        rows.append(told.hybrid() | {"method": name, "level": plan.level})
        found = told.compared(margin)
        rows += [one.row(method=name, level=plan.level) for one in found]
    return rows


@dataclass(frozen=True, eq=False)
class _Told:
    """The figures of a method."""

    first: DimensionSums
    second: DimensionInfluences
    plan: Plan
    method: str

    def kappa(self) -> Estimate:
        agreed, fault = self.first.agreement[self.method], self.first.fault
        if fault:
            return absent("not_measured", fault, agreed.n)
        missing = agreed.gap
        return self.influenced(("kappa",), agreed.kappa) if missing is None else missing

    def calibration(self) -> Iterator[Indicator]:
        sums, fault = self.first.calibration[self.method], self.first.fault
        if sums.n == 0:
            for name in ("brier", "overconfidence", "ece_debiased"):
                yield Indicator("accuracy", name, NO_CONFIDENCE)
            return
        outside = self.first.outside[self.method]
        unfit = f"{outside} confidences are missing or outside 0 to 1"
        reason = fault or (unfit if outside else "")
        for name in ("brier", "overconfidence"):
            found, _ = self.mean(self.first, Figure(name, self.method))
            if reason:
                found = absent("not_measured", reason, self.first.judged)
            yield Indicator("accuracy", name, found)
        if not reason and not sums.weight > 0:
            reason = "no unit has weight"
        error = no_error(reason, sums.n)
        if not reason:
            error = set_beside(sums, sums.null(_SIMULATIONS, self.plan.seed))
        yield calibration_indicator(error)

    def fairness(self) -> Iterator[Indicator]:
        for means in self.first.means_of(self.method):
            if means.variable == BY_TEXT:
                continue
            figures = {
                group: self._figures(means.variable, group, len(means.totals))
                for group in means.totals
            }
            yield from domain_indicators(
                figures, name=means.variable, min_cell=MIN_CELL
            )

    def _figures(self, variable: str, group: str, groups: int) -> DomainFigures:
        error, clusters = self.mean(
            self.second, Figure("error", self.method, variable), group
        )
        automatic = self.mean(
            self.second, Figure("not_referred", self.method, variable), group
        )
        right = replace(error, value=1 - error.value)

        def accurate(confidence: float) -> Estimate:
            return as_proportion(right, clusters, confidence=confidence)

        gap = absent("not_applicable", "there is no other domain")
        if groups > 1:
            gap = self.contrast(variable, group)
        return DomainFigures(
            as_proportion(error, clusters), gap, accurate, as_proportion(*automatic)
        )

    def new_texts(self) -> list[Indicator]:
        new = Figure("accuracy_new_units", self.method)
        known = self.first.units[Figure("accuracy_known", self.method)]
        change = absent("not_applicable", "all texts are new, or all are known")
        if known.total() and self.first.units[new].total():
            change = self.contrast(BY_TEXT, "new")
        found = as_proportion(*self.mean(self.first, new))
        return new_unit_indicators(found, change)

    def domains(self) -> Iterator[dict[str, Any]]:
        for variable, values in self.first.domains.items():
            own = Figure("accuracy", self.method, variable)
            apart = Figure("difference", self.method, variable)
            for value in sorted(values):
                found = as_proportion(*self.mean(self.first, own, value))
                if 0 < found.n < MIN_CELL:
                    found = absent("not_measured", f"fewer than {MIN_CELL} units")
                gap = None
                if apart in self.first.means:
                    gap, _ = self.mean(self.first, apart, value)
                yield domain_row(found, gap, f"{variable}: {value}")

    def hybrid(self) -> dict[str, Any]:
        found = as_proportion(*self.mean(self.first, Figure("hybrid", self.method)))
        gap, _ = self.mean(self.first, Figure("hybrid_difference", self.method))
        return hybrid_row(found, gap, self.plan.baseline)

    def compared(self, margin: float) -> list[Indicator]:
        first, sums = self.first, self.first.pairs[self.method]
        figure = Figure("difference", self.method)
        gap, clusters = self.mean(first, figure)
        pairs = None
        if gap.status == "measured":
            alone = sums.weights[0] / first.weight, sums.weights[1] / first.weight
            if gap.se > 0:
                spread = alone[0] + alone[1] - gap.value**2
                gap = replace(gap, n_effective=spread / gap.se**2)
            pairs = pairs_of(gap, alone, clusters)
        shown = gap if pairs is None else scored(gap, pairs)
        strata = first.means[figure].clusters
        simple = len(strata) == 1 and int(strata.sum()) == first.judged
        mcnemar_p = mcnemar_estimate(
            *sums.counts,
            simple=simple and sums.lightest == sums.heaviest,
            n=first.judged,
        )
        return comparison_indicators(shown, pairs, mcnemar_p, margin=margin)

    def contrast(self, variable: str, group: str) -> Estimate:
        """Return the mean in a group less that of all other units."""
        if self.first.fault:
            return absent("not_measured", self.first.fault)
        means = {m.variable: m for m in self.first.means_of(self.method)}[variable]
        (weight, mean), (other_weight, other_mean) = means.pair(group)
        if not (weight > 0 and other_weight > 0):
            return absent("not_applicable", "no unit has weight here")
        values = {"inside": mean, "outside": other_mean, "gap": mean - other_mean}
        return contrasted(
            *(
                self.influenced((variable, group, side), value)
                for side, value in values.items()
            )
        )

    def influenced(self, name: tuple[str, ...], value: float) -> Estimate:
        sums = self.second.influences[self.method]
        return sums.told(name, value, self.first.fractions, self.plan.single)

    def mean(
        self,
        sums: DimensionSums | DimensionInfluences,
        figure: Figure,
        group: str = "",
    ) -> tuple[Estimate, int]:
        """Return a mean as a design estimates it, and the clusters behind it."""
        if self.first.fault:
            return absent("not_measured", self.first.fault, self.first.judged), 0
        n = sums.units[figure][group]
        sampled = Sampled(self.first.fractions, self.plan.single)
        found, clusters = sampled.estimates(sums.means[figure], np.array([n]), group)
        return found[0], clusters
