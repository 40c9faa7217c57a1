"""The test units of a method: as it reads them, and as it was judged on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.dataset import Dataset
from mlstats.evaluate import MethodRun, inputs_of
from mlstats.method import as_codes, predict_top
from mlstats.quality.design import Design
from mlstats.quality.evaluation import Evaluation, design_of
from mlstats.quality.judged import Judged
from mlstats.quality.summaries import Ancestor
from mlstats.runs import Run

__all__ = ["HeldOut", "held_out"]


@dataclass(frozen=True)
class HeldOut:
    """One fitted method and its test units.

    Parameters
    ----------
    name : str
        Of the method in the pilot.
    method : object
        Fitted and calibrated.
    X : pandas.DataFrame
        All test units as the method reads them.
    units : pandas.DataFrame
        The same units, in the same order, as the Evaluation has them.
    judged : Judged
        Those with a truth at the level; their index is the place in `units`.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    level : str
        Level at which a code is judged.
    """

    name: str
    method: Any
    X: pd.DataFrame
    units: pd.DataFrame
    judged: Judged
    ancestor: Ancestor
    level: str

    @property
    def codes(self) -> np.ndarray:
        """The code that each unit was given, None where there is none."""
        return as_codes(self.units["prediction"])

    @property
    def places(self) -> np.ndarray:
        """The places of the judged units."""
        return self.judged.part.index.to_numpy(dtype=int)

    @property
    def design(self) -> Design:
        """The design of all test units."""
        return design_of(self.units)

    def predict(self, X: pd.DataFrame, method: Any = None) -> np.ndarray:
        """Return codes at the level, by the method or by another fit of it."""
        fitted = self.method if method is None else method
        return self.ancestor(predict_top(fitted, X, 1)[0][:, 0], self.level)

    def drawn(self, places: np.ndarray, size: int, seed: int) -> np.ndarray:
        """Draw at most so many places at random, without replacement, in order."""
        if len(places) <= size:
            return places
        rng = np.random.default_rng(seed)
        return np.sort(rng.choice(places, size=size, replace=False))


def held_out(
    run: Run, dataset: Dataset, evaluation: Evaluation, runs: Sequence[MethodRun]
) -> list[HeldOut]:
    """Return the test units of every method of a run."""
    pilot, ancestor = run.pilot, dataset.classification.ancestor
    in_test = (dataset.folds == "test").to_numpy()
    units = evaluation.units[evaluation.units["fold"] == "test"]
    found = []
    for done in runs:
        # The Evaluation holds the units of a method in the order of the data.
        own = units[units["method"] == done.name].reset_index(drop=True)
        X = inputs_of(done.method, dataset.frame, pilot)[in_test].reset_index(drop=True)
        judged = Judged.of(
            own,
            done.name,
            ancestor,
            pilot.evaluate.level,
            single=pilot.data.single_cluster,
        )
        found.append(
            HeldOut(
                done.name, done.method, X, own, judged, ancestor, pilot.evaluate.level
            )
        )
    return found
