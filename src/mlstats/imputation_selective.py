"""Selective editing tried on a pilot's errors: which records a clerk sees first.

Half of the clusters are the past, whose errors clerks have marked: what a detector
learns from. The rankings are judged on the other half, by the error that is removed if
the first so many records are put right.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.config_editimpute import Selective
from mlstats.editimpute.anticipation import anticipate, cross_predicted
from mlstats.editimpute.detection import ErrorDetector, error_features
from mlstats.editimpute.selective import impact_table
from mlstats.errors import ContractError
from mlstats.imputing import Case, cases, columns_of
from mlstats.records import Records, weights_of
from mlstats.split import cluster_ids

__all__ = ["selective_table", "usual_values"]

_log = logging.getLogger(__name__)


def selective_table(pilot: Pilot, records: Records) -> pd.DataFrame:
    """Compare rankings of the records by the error that their review removes.

    Parameters
    ----------
    pilot : Pilot
        With ``evaluate.selective``; else the table is empty.

    Returns
    -------
    pandas.DataFrame
        As :func:`mlstats.editimpute.selective.impact_table`: ranking, share (of the
        records that are reviewed), impact_removed, hit_rate, auc, average_precision.
    """
    spec = pilot.evaluate.selective
    case = next((c for c in cases(pilot, records) if c.wrong.to_numpy().any()), None)
    if spec is None or case is None or case.truth is None:
        return pd.DataFrame()
    known = case.truth[spec.variable].notna() & case.frame[spec.variable].notna()
    frame = case.frame[known].reset_index(drop=True)
    truth = case.truth.loc[known, spec.variable].reset_index(drop=True)
    roles = pilot.data.roles
    clusters = cluster_ids(records.frame, roles.cluster)[known].reset_index(drop=True)
    weights = weights_of(pilot, records)[known.to_numpy()]
    frame = frame.assign(_weight=weights, _cluster=clusters)
    rng = np.random.default_rng(case.seed)
    names = rng.permutation(clusters.unique())
    past = clusters.isin(names[: len(names) // 2])
    scores = _scores(pilot, records, frame, truth, past, case)
    other = ~past
    return impact_table(
        truth[other],
        frame.loc[other, spec.variable],
        frame.loc[other, "_weight"],
        {name: score[other] for name, score in scores.items()},
    )


def usual_values(frame: pd.DataFrame, spec: Selective) -> tuple[pd.Series, str]:
    """Return what is usual for each record, and how that is told.

    Parameters
    ----------
    frame : pandas.DataFrame
        Records.
    spec : Selective
        The variable, its classes and its auxiliary: the median of the class, or its
        median ratio times the auxiliary.
    """
    how: Literal["median", "median_ratio"] = (
        "median" if spec.auxiliary is None else "median_ratio"
    )
    name = spec.variable
    usual = anticipate(frame, name, how, by=spec.by, auxiliary=spec.auxiliary)
    usual = usual.fillna(anticipate(frame, name, "median", by=spec.by))
    return usual.fillna(frame[name].median()), how.replace("_", " ")


def _scores(
    pilot: Pilot,
    records: Records,
    frame: pd.DataFrame,
    truth: pd.Series,
    past: pd.Series,
    case: Case,
) -> dict[str, pd.Series]:
    """Return the score of every record by ranking, the largest first to review."""
    spec = pilot.evaluate.selective
    assert spec is not None
    name = spec.variable
    y, w = frame[name], frame["_weight"]
    usual, how = usual_values(frame, spec)
    # What clerks have edited teaches its true value.
    edited = frame.assign(**{name: y.where(~past, truth)})
    others = [c for c in columns_of(pilot, records) if c not in case.mask.columns]
    model = cross_predicted(edited, name, others, cluster="_cluster", random_state=1)
    scores = {
        f"traditional: w |y - {how}|": w * (y - usual).abs(),
        "ML: w |y - boosting|": w * (y - model).abs(),
    }
    chance = _chance(frame, name, others, model, y != truth, past)
    if chance is not None:
        scores["ML: p(error)"] = chance
        scores["ML: p(error) x score"] = chance * w * (y - model).abs()
    return scores | {"the largest errors (not to be had)": w * (y - truth).abs()}


def _chance(
    frame: pd.DataFrame,
    name: str,
    others: list[str],
    model: pd.Series,
    wrong: pd.Series,
    past: pd.Series,
) -> pd.Series | None:
    """Return the probability of an error, None where the past has too few of them."""
    features = error_features(
        frame[[name]], model.to_frame(name), auxiliary=frame[others]
    )
    detector = ErrorDetector(random_state=1)
    try:
        detector.fit(features[past], wrong[past], cluster=frame.loc[past, "_cluster"])
    except ContractError as error:
        _log.warning("selective editing without a probability: %s", error.title)
        return None
    return pd.Series(np.asarray(detector.probability(features)), frame.index)
