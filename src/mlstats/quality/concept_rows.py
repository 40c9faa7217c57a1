"""Drift of the concept as rows of the scorecard: test part against approval audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.audit_sample import AuditSample
from mlstats.quality.concept import concept_drift
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator
from mlstats.quality.summaries import Ancestor

__all__ = ["concept_rows"]

_MOST_DIRECTIONS: Final = 6
_ENOUGH: Final = 30  # units of the approval audit in a category, and outside it


def concept_rows(
    units: pd.DataFrame,
    methods: Sequence[str],
    ancestor: Ancestor,
    level: str,
    categories: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Test for each method whether it errs otherwise than when it was approved.

    The approval audit is the valid part, the audit of the period the test part. The
    residuals are looked at along the logit of the confidence and along the largest
    categories of the approval audit. Units that a method gave no code are left out.

    Parameters
    ----------
    units : pandas.DataFrame
        Of an Evaluation, all folds.
    methods : sequence of str
        Names.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    level : str
        Level at which a code is judged.
    categories : pandas.DataFrame
        Columns of which the categories are directions; row i is that of position i.

    Returns
    -------
    list of dict
        A row ``concept_drift`` per method: the fall of the accuracy and its interval.
    """
    rows = []
    for name in methods:
        part = units[units["method"] == name]
        found = _estimate(part, ancestor, level, categories)
        indicator = Indicator("robustness", "concept_drift", found)
        rows.append(indicator.row(method=name, level=level))
    return rows


def _estimate(
    part: pd.DataFrame, ancestor: Ancestor, level: str, categories: pd.DataFrame
) -> Estimate:
    if not np.isfinite(part["confidence"]).any():
        return absent("not_applicable", "the method tells no confidence")
    truth = ancestor(as_codes(part["truth"]), level)
    judged = np.array([code is not None for code in truth], dtype=bool)
    told = np.isfinite(part["confidence"].to_numpy())
    uncoded = int((judged & ~told).sum())
    judged &= told
    part, truth = part[judged], truth[judged]
    right = ancestor(as_codes(part["prediction"]), level) == truth
    now, then = (part["fold"] == fold for fold in ("test", "valid"))
    if not then.any():
        return absent("not_measured", "no units were held out as approval audit")
    audits = _Audits(part, np.asarray(right, dtype=bool), categories)
    directions = audits.directions(then.to_numpy())
    audit = audits.sample(now.to_numpy(), directions)
    approval = audits.sample(then.to_numpy(), directions)
    result = concept_drift(audit, approval)
    if result.state == "not measured":
        return absent("not_measured", result.note, result.labels)
    error = float(np.hypot(audit.accuracy().se, approval.accuracy().se))
    along = f"Tested along the confidence and {directions.shape[1]} categories"
    along += f"; {uncoded:,} units without a code are left out." if uncoded else "."
    return Estimate(
        value=result.drop,
        se=error,
        df=float(min(audit.clusters, approval.clusters) - 1),
        lower=result.drop_lower,
        upper=result.drop_upper,
        n=result.labels,
        note=f"{result.sentence()} {along}",
        interval="two intervals combined (Zou and Donner)",
    )


@dataclass(frozen=True, eq=False)
class _Audits:
    """The judged units of one method."""

    part: pd.DataFrame
    right: np.ndarray
    categories: pd.DataFrame

    def directions(self, approval: np.ndarray) -> np.ndarray:
        """Return indicators of the largest categories, as the approval audit has them.

        As many as its rarer outcome can carry.
        """
        n = int(approval.sum())
        of = self.part["position"].to_numpy()
        found: list[tuple[int, np.ndarray]] = []
        for name in self.categories:
            words = self.categories[name].iloc[of].fillna("").astype(str).to_numpy()
            values, counts = np.unique(words[approval], return_counts=True)
            found += [
                (int(count), words == value)
                for value, count in zip(values, counts, strict=True)
                if _ENOUGH <= count <= n - _ENOUGH
            ]
        found.sort(key=lambda pair: -pair[0])
        right = int(self.right[approval].sum())
        carried = min(right, n - right) // 2 - 2
        chosen = found[: max(min(_MOST_DIRECTIONS, carried), 0)]
        empty = np.empty((len(self.part), 0))
        return np.column_stack([empty, *(column for _, column in chosen)]).astype(float)

    def sample(self, rows: np.ndarray, directions: np.ndarray) -> AuditSample:
        part = self.part[rows]
        weight = part["weight"].to_numpy(dtype=float)
        cluster = part["cluster"].to_numpy()
        return AuditSample(
            self.right[rows],
            part["confidence"].to_numpy(dtype=float),
            directions[rows],
            weight=None if _all_equal(weight) else weight,
            cluster=cluster if pd.Series(cluster).duplicated().any() else None,
        )


def _all_equal(values: np.ndarray) -> bool:
    return len(values) == 0 or bool((values == values[0]).all())
