"""The Data light, which tells whether training and gold data fit the purpose.

Five questions: do two coders agree (D1), how was the truth drawn (D2), what of the
test part was met in training (D3), does the contract hold (D4), and are the labels of
the version in use (D5). What the pilot does not tell is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.quality.design import Design
from mlstats.quality.double_coding import agreement_absent, coder_agreement, codes_of
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, exact
from mlstats.quality.summaries import Ancestor
from mlstats.split import cluster_ids

__all__ = ["contract_kept", "data_rows", "truth_sample"]

_SAMPLES: Final = {
    "probability": "probability sample",
    "purposive": "purposive sample: no inference to the population",
    "census": "census: every unit has a truth",
}


def data_rows(
    frame: pd.DataFrame,
    folds: pd.Series[str],
    pilot: Pilot,
    *,
    seen: np.ndarray,
    rules: tuple[int, int],
    methods: Sequence[str],
    double_codes: pd.DataFrame | None = None,
    ancestor: Ancestor | None = None,
    levels: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return rows of the scorecard of dimension ``data``, the same for every method.

    Parameters
    ----------
    frame : pandas.DataFrame
        All units with the columns of the contract.
    folds : pandas.Series of str
        Fold of each unit.
    pilot : Pilot
        Names the columns and what is known of the truth.
    seen : numpy.ndarray of bool
        Which test units have a text that was known from training.
    rules : (int, int)
        How many rules of the contract are kept, of how many.
    methods : sequence of str
        The data are the same for all of them.
    double_codes : pandas.DataFrame, optional
        What ``evaluate.double_coded`` names.
    ancestor, levels
        Classification and the levels at which two coders are compared; the codes as
        they are otherwise.
    """
    agreed = [*_double_coding(frame, pilot, double_codes, ancestor, levels)]
    found = [
        Indicator("data", "truth_sample", _sample(frame, folds, pilot)),
        *_met_in_training(frame, folds, pilot, seen),
        Indicator("data", "contract_kept", contract_kept(*rules)),
        Indicator("data", "classification_version", _version(pilot)),
    ]
    placed = [*agreed, *(("", indicator) for indicator in found)]
    return [
        indicator.row(method=name, level=level)
        for name in methods
        for level, indicator in placed
    ]


def _double_coding(
    frame: pd.DataFrame,
    pilot: Pilot,
    double_codes: pd.DataFrame | None,
    ancestor: Ancestor | None,
    levels: Sequence[str],
) -> Iterator[tuple[str, Indicator]]:
    """Compare two coders: those of a file of their own, else two columns."""
    spec, second = pilot.evaluate.double_coded, pilot.evaluate.second_coder
    if spec is not None and double_codes is not None:
        one, two = (codes_of(double_codes[c]) for c in (spec.first, spec.second))
        design = Design.of(
            np.ones(len(double_codes)),
            cluster=cluster_ids(double_codes, spec.cluster).to_numpy(dtype=object),
        )
        told = f"{spec.first} and {spec.second} of {Path(spec.file).name}"
    elif second is None or second not in frame:
        why = (
            "the pilot names no second coder (evaluate.second_coder or double_coded)"
            if second is None
            else f"the data have no column {second!r}"
        )
        yield from (("", found) for found in agreement_absent(why))
        return
    else:
        one, two = (codes_of(frame[column]) for column in (pilot.truth, second))
        twice = ~(pd.isna(one) | pd.isna(two))
        if not twice.any():
            why = "no unit was coded twice"
            yield from (("", found) for found in agreement_absent(why))
            return
        design, one, two = _design(frame, pilot, twice), one[twice], two[twice]
        told = f"{pilot.truth} and {second}"
    yield from coder_agreement(design, one, two, told, ancestor=ancestor, levels=levels)


def _design(frame: pd.DataFrame, pilot: Pilot, kept: np.ndarray) -> Design:
    roles, part = pilot.data.roles, frame[kept]
    weight = part[roles.weight].astype(float) if roles.weight else None
    stratum = part[roles.stratum].fillna("") if roles.stratum else None
    return Design.of(
        np.ones(len(part)) if weight is None else weight.to_numpy(),
        stratum=None if stratum is None else stratum.to_numpy(dtype=object),
        cluster=cluster_ids(part, roles.cluster).to_numpy(dtype=object),
    )


def _sample(frame: pd.DataFrame, folds: pd.Series[str], pilot: Pilot) -> Estimate:
    roles, test = pilot.data.roles, folds == "test"
    periods: list[str] = []
    if roles.period is not None:
        periods = sorted(set(frame.loc[test, roles.period].dropna()))
    return truth_sample(pilot, int(test.sum()), periods)


def truth_sample(pilot: Pilot, n: int, periods: Sequence[str] = ()) -> Estimate:
    """State how the truth was drawn: a fact, whose number says nothing.

    Parameters
    ----------
    n : int
        Units with a truth.
    periods : sequence of str
        Reference periods of the truth, in their order.
    """
    said = _SAMPLES.get(pilot.evaluate.truth_sample)
    if said is None:
        return absent(
            "not_measured",
            "the pilot does not say how the truth was drawn (evaluate.truth_sample)",
        )
    roles = pilot.data.roles
    parts = [said, f"weights: {roles.weight}" if roles.weight else "no weights"]
    parts += [" to ".join(dict.fromkeys([*periods[:1], *periods[-1:]]))]
    return Estimate(np.nan, n=n, note=", ".join(filter(None, parts)))


def _met_in_training(
    frame: pd.DataFrame, folds: pd.Series[str], pilot: Pilot, seen: np.ndarray
) -> Iterator[Indicator]:
    """Tell which test units have a text or a cluster that is in training too."""
    texts = absent("not_measured", "the test part has no units")
    if len(seen):
        note = "exact duplicates, as the methods read a text"
        texts = exact(float(np.mean(seen)), n=len(seen), note=note)
    yield Indicator("data", "texts_in_training", texts)
    clusters = absent("not_applicable", "the pilot names no clusters")
    column = pilot.data.roles.cluster
    if column is not None and (folds == "test").any():
        # A row without a cluster is its own and is met nowhere else.
        labels = cluster_ids(frame, column)
        met = labels[folds == "test"].isin(labels[folds == "train"].unique())
        clusters = exact(float(met.mean()), n=len(met), note=f"column {column}")
    yield Indicator("data", "clusters_in_training", clusters)


def contract_kept(kept: int, held: int) -> Estimate:
    """State how many rules of the contract no row breaks."""
    if held == 0:
        return absent("not_measured", "the contract was not checked")
    return exact(kept / held, n=held, note=f"{kept} of {held} rules; others only warn")


def _version(pilot: Pilot) -> Estimate:
    spec = pilot.data.classification
    used, labels = spec.version if spec else None, pilot.evaluate.truth_version
    if used is None or labels is None:
        missing = [
            key
            for key, value in (
                ("data.classification.version", used),
                ("evaluate.truth_version", labels),
            )
            if value is None
        ]
        return absent("not_measured", f"the pilot lacks {' and '.join(missing)}")
    if used == labels:
        return exact(1.0, note=f"{used}, as in use")
    return exact(0.0, note=f"labels of {labels}, in use is {used}")
