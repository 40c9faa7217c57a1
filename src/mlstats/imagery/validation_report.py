"""The table of a validation: accuracy and macro-F1 with intervals, beside a baseline.

The clusters of every interval are the joined blocks, for folds of seasons the seasons:
units of one block are mistaken together, and a thousand pixels of ten blocks are no
thousand trials. Blocks that touch are not independent either: where errors reach as far
as a block is wide, the 95 % interval covers .88, over cores of blocks
(:func:`~mlstats.imagery.blocks_and_seasons.block_cores`) .95. Predict with all units,
then give the table the rows of units in cores. The interval is that of the accuracy of
maps from these training folds, over blocks like these; it does not tell how the
accuracy would vary with other training data (Bates, Hastie and Tibshirani 2024, JASA
119, 1434-1445).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.validation import SCHEMES
from mlstats.quality.accuracy import RatioEstimate, logit_interval, proportion
from mlstats.quality.breakdown import macro_f1_difference, macro_f1_linearised
from mlstats.quality.design import Design
from mlstats.quality.estimate import NO_VARIATION, Estimate, absent, as_table
from mlstats.quality.multiple import holm
from mlstats.quality.paired import paired_difference

__all__ = ["unlearnt_classes", "validation_sentence", "validation_table"]

_KEYS = ["scheme", "method", "measure", "against"]
_MEASURES = ("accuracy", "macro_f1")
_FEW = 10  # clusters below which an interval is told to be rough


def validation_table(
    predictions: pd.DataFrame, *, baseline: str | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Estimate accuracy and macro-F1 of every method under all three schemes.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of :func:`~mlstats.imagery.validation.validate_classifiers`.
    baseline : str, optional
        Method that the others are compared with; the first where left out.
    confidence : float
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        scheme, method, measure (accuracy, macro_f1, and accuracy_of_learnt_classes
        where a fold could not teach a class), against (the baseline, or "" for a
        level), the columns of :class:`~mlstats.quality.estimate.Estimate`, clusters,
        p (two-sided, of a difference) and p_holm (adjusted for the methods compared).
        Random, blocked and season rows are always there; one that could not be
        measured says why.

    Raises
    ------
    ConfigError
        No such baseline.

    Notes
    -----
    Accuracy has the Korn-Graubard interval of a proportion over clusters, macro-F1 a
    linearised standard error and an interval on the logit scale, paired differences
    linearised standard errors and t intervals; clusters less one degrees of freedom.
    """
    methods = list(dict.fromkeys(predictions["method"]))
    first = methods[0] if baseline is None else baseline
    if first not in methods:
        raise ConfigError(
            f"There is no method {first!r} to compare with",
            nearest=nearest(first, methods),
        )
    order = [first, *(name for name in methods if name != first)]
    rows: list[tuple[dict[str, str], Estimate]] = []
    clusters = {}
    for scheme in SCHEMES:
        part = predictions[predictions["scheme"] == scheme]
        if part.empty:
            reasons = predictions.attrs.get("not_measured", {})
            reason = reasons.get(scheme, "no predictions of this scheme")
            rows += _missing(scheme, order, reason)
            continue
        judged = _Judged.of(part, order)
        clusters[scheme] = judged.design.n_clusters
        rows += [
            (dict(zip(_KEYS, (scheme, *key), strict=True)), found)
            for key, found in judged.rows(confidence)
        ]
    table = as_table(rows, _KEYS)
    table["clusters"] = table["scheme"].map(clusters).fillna(0).astype(int)
    return _with_p(table)


def unlearnt_classes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the classes that a training fold did not have, with the units tested.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of :func:`~mlstats.imagery.validation.validate_classifiers`.

    Returns
    -------
    pandas.DataFrame
        scheme, fold, class, units: every method is bound to be wrong on them.
    """
    one = predictions[predictions["method"] == predictions["method"].iloc[0]]
    kept = one[~one["learnt"]].rename(columns={"truth": "class"})
    keys = ["scheme", "fold", "class"]
    found: pd.DataFrame = kept.groupby(keys, as_index=False)["unit"].count()
    return found.rename(columns={"unit": "units"})


def validation_sentence(table: pd.DataFrame, *, scheme: str = "blocked") -> str:
    """Say whether the best method is significantly above the baseline.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`validation_table`.
    scheme : str
        Which folds.
    """
    part = table[(table["scheme"] == scheme) & (table["measure"] == "accuracy")]
    gaps = part[(part["against"] != "") & (part["status"] == "measured")]
    if gaps.empty:
        note = part["note"].iloc[0] if len(part) else "no such scheme"
        return f"Folds {scheme}: no comparison ({note or 'one method'})."
    row = gaps.iloc[int(gaps["value"].to_numpy().argmax())]
    told = (
        f"Folds {scheme}: {row['method']} has the largest accuracy beside "
        f"{row['against']}, {row['value'] * 100:+.1f} points"
    )
    if not np.isfinite(row["p_holm"]):
        return f"{told}; no error can be told ({row['note']})."
    told += (
        f" ({row['lower'] * 100:+.1f} to {row['upper'] * 100:+.1f}, adjusted p "
        f"{row['p_holm']:.2g}, {row['clusters']} clusters)"
    )
    above = row["p_holm"] <= 0.05 and row["value"] > 0
    return f"{told}: {'significantly above' if above else 'not shown to be above'} it."


@dataclass(frozen=True, eq=False)
class _Judged:
    """Predictions of one scheme: a column per method for the same units."""

    design: Design
    truth: np.ndarray
    learnt: np.ndarray
    codes: dict[str, np.ndarray]
    note: str

    @classmethod
    def of(cls, part: pd.DataFrame, order: list[str]) -> _Judged:
        sides = {n: part[part["method"] == n].sort_values("unit") for n in order}
        first = sides[order[0]]
        units = first["unit"].to_numpy()
        if any(not np.array_equal(units, s["unit"].to_numpy()) for s in sides.values()):
            raise ContractError("the methods were not predicted for the same units")
        codes = {}
        for name, side in sides.items():
            found = side["prediction"].to_numpy(object)
            codes[name] = np.where(pd.isna(found), np.array(None), found)
        design = Design.of(
            np.ones(len(first)), cluster=first["cluster"].to_numpy(object)
        )
        learnt = first["learnt"].to_numpy(bool)
        notes = []
        if not learnt.all():
            lost = first.loc[~learnt, "truth"].value_counts()
            named = ", ".join(f"{name} ({count})" for name, count in lost.items())
            notes.append(f"classes not in the training fold (units): {named}")
        if design.n_clusters < _FEW:
            notes.append(f"{design.n_clusters} clusters: a rough interval")
        return cls(
            design, first["truth"].to_numpy(object), learnt, codes, "; ".join(notes)
        )

    def rows(self, confidence: float) -> Iterator[tuple[tuple[str, ...], Estimate]]:
        everything = np.ones(len(self.truth), dtype=bool)
        baseline = next(iter(self.codes.values()))
        against = next(iter(self.codes))
        right = baseline == self.truth
        for name, codes in self.codes.items():
            hit = codes == self.truth
            levels = {
                "accuracy": proportion(
                    self.design, hit, everything, confidence=confidence
                ),
                "macro_f1": self._bounded(
                    macro_f1_linearised(self.design, self.truth, codes), confidence
                ),
            }
            if not self.learnt.all():
                levels["accuracy_of_learnt_classes"] = proportion(
                    self.design, hit, self.learnt, confidence=confidence
                )
            for measure, found in levels.items():
                yield (name, measure, ""), self._noted(found)
            if name == against:
                continue
            gap = paired_difference(self.design, hit, right, confidence=confidence)
            yield (name, "accuracy", against), self._noted(gap)
            gap = macro_f1_difference(
                self.design, self.truth, codes, baseline, confidence=confidence
            )
            yield (name, "macro_f1", against), self._noted(gap)

    def _bounded(self, found: Estimate, confidence: float) -> Estimate:
        """Keep the interval of a mean of F1 within 0 and 1, as that of an F1 is."""
        if not found.df >= 1 or not np.isfinite(found.se):
            return found
        shape = RatioEstimate(found.value, found.se, found.df, self.design.n_clusters)
        lower, upper = logit_interval(shape, found.n, confidence)
        note = "" if found.note == NO_VARIATION else found.note
        return replace(found, lower=lower, upper=upper, interval="logit", note=note)

    def _noted(self, found: Estimate) -> Estimate:
        note = "; ".join(part for part in (found.note, self.note) if part)
        return replace(found, note=note)


def _missing(
    scheme: str, order: list[str], reason: str
) -> list[tuple[dict[str, str], Estimate]]:
    keys = [(name, measure, "") for name in order for measure in _MEASURES]
    keys += [(name, measure, order[0]) for name in order[1:] for measure in _MEASURES]
    return [
        (dict(zip(_KEYS, (scheme, *key), strict=True)), absent("not_measured", reason))
        for key in keys
    ]


def _with_p(table: pd.DataFrame) -> pd.DataFrame:
    compared = (table["against"] != "") & (table["se"] > 0) & (table["df"] >= 1)
    t = (table["value"] / table["se"]).where(compared)
    p = 2 * stats.t.sf(np.abs(t.astype(float)), table["df"].astype(float))
    table["p"] = np.where(compared, p, np.nan)
    table["p_holm"] = np.nan
    for _, rows in table[table["against"] != ""].groupby(["scheme", "measure"]):
        table.loc[rows.index, "p_holm"] = holm(rows["p"].to_numpy())
    return table
