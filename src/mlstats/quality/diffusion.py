"""An index published from codes: the weighted mean of their scores, by period.

A survey of opinion publishes the diffusion index ``sum w s(c) / sum w`` with scores
such as ``(c - 1) 25`` for five steps. A method that codes well may still move the
index, and in another way when opinion turns; the table shows by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.diffusion_correction import ScoreCorrection, correction
from mlstats.quality.estimate import Estimate, absent, t_estimate
from mlstats.quality.estimate_level import hybrid_name
from mlstats.quality.indicator import Indicator
from mlstats.quality.judged import Judged
from mlstats.quality.report_tables import INDEX_COLUMNS
from mlstats.quality.summaries import Ancestor

__all__ = ["IndexArm", "IndexArms", "index_indicators", "index_table"]


@dataclass(frozen=True)
class IndexArm:
    """What one arm says of every unit.

    Parameters
    ----------
    kind : str
        truth, traditional, ml, hybrid or corrected.
    score : numpy.ndarray of float, shape (n,)
        Score of the unit's code; NaN where it has none, and does not count.
    code : numpy.ndarray of object, shape (n,)
        Code of each unit.
    corrected : ScoreCorrection or str, optional
        What corrects the arm, or why nothing does.
    """

    kind: str
    score: np.ndarray
    code: np.ndarray
    corrected: ScoreCorrection | str | None = None


@dataclass(frozen=True)
class IndexArms:
    """Every arm of an index on the same test units.

    Parameters
    ----------
    design : Design
        Of the units.
    period : numpy.ndarray of str, shape (n,)
        Reference period of each unit.
    arms : mapping
        Name -> arm, ``truth`` first.
    """

    design: Design
    period: np.ndarray
    arms: Mapping[str, IndexArm]

    @classmethod
    def of(
        cls,
        test: pd.DataFrame,
        valid: pd.DataFrame,
        ancestor: Ancestor,
        level: str,
        kinds: Mapping[str, str],
        scores: Mapping[str, float],
        *,
        baseline: str,
        candidate: str,
        single: SingleClusterRule = "adjust",
    ) -> IndexArms:
        """Bring the arms of a test fold together.

        Baseline and candidate are corrected too, by both estimators, with the valid
        part as the audit. Calibration takes the mix of codes of the valid part for
        that of every period and pulls the index towards its mean where the mix moves;
        the misclassification estimator does not.

        Parameters
        ----------
        test, valid : pandas.DataFrame
            Folds of an Evaluation.
        ancestor, level
            Classification and the level of the scored codes.
        kinds : mapping
            Method -> traditional or ml.
        scores : mapping
            Code -> score.
        baseline, candidate : str
            The baseline codes what the hybrids leave.
        """
        found = {
            name: Judged.of(test, name, ancestor, level, single=single)
            for name in kinds
        }
        first = found[baseline]
        arms = {"truth": IndexArm("truth", _scored(first.truth, scores), first.truth)}
        for name, one in found.items():
            arms[name] = IndexArm(kinds[name], _scored(one.code, scores), one.code)
        for name, one in found.items():
            route = np.array([c is not None for c in one.decided], dtype=bool)
            if name != baseline and route.any():
                code = np.where(route, one.decided, first.code)
                arm = IndexArm("hybrid", _scored(code, scores), code)
                arms[hybrid_name(name, baseline)] = arm
        for name in dict.fromkeys((baseline, candidate)):
            audit = Judged.of(valid, name, ancestor, level, single=single)
            for estimator in ("misclassification", "calibration"):
                by = correction(audit, scores, estimator)
                score = arms[name].score
                if isinstance(by, ScoreCorrection):
                    score = by.scores(found[name].code)
                arms[f"{name}, corrected ({estimator})"] = IndexArm(
                    "corrected", score, found[name].code, by
                )
        period = first.part["period"].astype("str").to_numpy(dtype=object)
        return cls(first.design, period, arms)


def index_table(
    arms: IndexArms, name: str, *, min_cell: int = 10, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the index under every arm, over all periods and in each.

    Standard errors are those of a ratio, linearised; differences to the truth are
    paired. Those of a corrected arm add the error of the audit, another sample.

    Parameters
    ----------
    name : str
        Of the index.
    min_cell : int
        A period with fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`~mlstats.quality.report_tables.INDEX_COLUMNS`; period "" is all
        of them together.
    """
    rows = []
    for period in ["", *sorted(set(arms.period) - {""})]:
        inside = np.ones(len(arms.period), dtype=bool)
        if period:
            inside = arms.period == period
        truth = _figure(arms.design, arms.arms["truth"], inside)
        for label, arm in arms.arms.items():
            place = {"index": name, "period": period, "arm": label, "kind": arm.kind}
            own = truth if label == "truth" else _figure(arms.design, arm, inside)
            told = _row(arms.design, arm, own, truth, min_cell, confidence)
            rows.append(place | told)
    return pd.DataFrame(rows, columns=list(INDEX_COLUMNS))


def index_indicators(table: pd.DataFrame) -> Iterator[tuple[str, Indicator]]:
    """Yield (method, figure): the index less that of the truth over all periods."""
    whole = table[(table["period"] == "") & table["kind"].isin(["traditional", "ml"])]
    for row in whole.to_dict("records"):
        by_period = table[(table["arm"] == row["arm"]) & (table["period"] != "")]
        found = absent("not_measured", str(row["note"]), int(row["n"]))
        if row["status"] == "measured":
            found = Estimate(
                row["difference"], row["difference_se"], np.inf,
                row["difference_lower"], row["difference_upper"], int(row["n"]),
                note=_largest(by_period), interval="t",
            )  # fmt: skip
        yield str(row["arm"]), Indicator("accuracy", "index_difference", found)


def _largest(by_period: pd.DataFrame) -> str:
    gaps = by_period.dropna(subset=["difference"])
    if gaps.empty:
        return ""
    at = gaps.iloc[int(np.argmax(gaps["difference"].abs().to_numpy()))]
    return (
        f"index {at['index']}; largest of {len(gaps)} periods: "
        f"{at['difference']:+.2f} in {at['period']}"
    )


# -- one period and arm ------------------------------------------------------------


@dataclass(frozen=True)
class _Figure:
    """An index with the weighted influence of each unit on it."""

    value: float
    influence: np.ndarray  # (n,)
    inside: np.ndarray  # (n,), units of the period that count
    audit: Estimate | None  # what the audit's error is, where there is one
    fault: str = ""


def _figure(design: Design, arm: IndexArm, inside: np.ndarray) -> _Figure:
    counts = inside & np.isfinite(arm.score) & (design.weight > 0)
    weight = np.where(counts, design.weight, 0.0)
    whole = float(weight.sum())
    nothing = np.zeros(len(weight))
    if isinstance(arm.corrected, str):
        return _Figure(np.nan, nothing, counts, None, arm.corrected)
    if design.fault or whole == 0:
        why = design.fault or "no unit with a scored code"
        return _Figure(np.nan, nothing, counts, None, why)
    score = np.where(counts, arm.score, 0.0)
    value = float(weight @ score) / whole
    audit = None
    if arm.corrected is not None:
        audit = arm.corrected.error(arm.code, weight)
    return _Figure(value, weight * (score - value) / whole, counts, audit)


def _row(
    design: Design,
    arm: IndexArm,
    own: _Figure,
    truth: _Figure,
    min_cell: int,
    confidence: float,
) -> dict[str, Any]:
    n = int(own.inside.sum())
    fault = own.fault or truth.fault
    if fault or n < min_cell:
        note = fault or f"fewer than {min_cell} units"
        return {"n": n if fault else 0, "status": "not_measured", "note": note}
    found = design.linearised(
        own.value, own.influence, inside=own.inside, confidence=confidence
    )
    row: dict[str, Any] = {"n": n, "status": "measured", "note": found.note}
    row |= _with_audit(found, own.audit, confidence)
    if arm.kind == "truth":
        return row
    gap = design.linearised(
        own.value - truth.value,
        own.influence - truth.influence,
        inside=own.inside | truth.inside,
        confidence=confidence,
    )
    apart = _with_audit(gap, own.audit, confidence)
    row |= {f"difference_{c}": apart[c] for c in ("se", "lower", "upper")}
    return row | {"difference": apart["value"]}


def _with_audit(
    found: Estimate, audit: Estimate | None, confidence: float
) -> dict[str, float]:
    if audit is not None:
        df = min(found.df, audit.df)
        se = float(np.hypot(found.se, audit.se))
        found = t_estimate(found.value, se, df, n=found.n, confidence=confidence)
    elif found.se == 0:
        found = replace(found, lower=np.nan, upper=np.nan)
    return {c: getattr(found, c) for c in ("value", "se", "lower", "upper")}


def _scored(codes: np.ndarray, scores: Mapping[str, float]) -> np.ndarray:
    """Return the score of each code, NaN where it has none."""
    return np.array([scores.get(code, np.nan) for code in codes], dtype=float)
