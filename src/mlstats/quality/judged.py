"""One method's units beside their truth at a level: right or wrong, and the design."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.evaluation import design_of
from mlstats.quality.summaries import Ancestor

__all__ = ["Judged"]


@dataclass(frozen=True)
class Judged:
    """One method's units that have a truth at the level.

    Two of the same level hold the same units in the same order, so that their columns
    can be subtracted.

    Parameters
    ----------
    part : pandas.DataFrame
        The units, as in :data:`mlstats.quality.evaluation.UNITS`.
    truth, code : numpy.ndarray of object, shape (n,)
        True and predicted code at the level; a code None was not given, or does not
        reach the level.
    right : numpy.ndarray of bool, shape (n,)
        Whether they are equal.
    design : Design
        Of the units.
    decided : numpy.ndarray of object, shape (n,)
        Code at the level where it was decided without a clerk; None where the unit is
        in the queue, or was decided to a shallower depth only.
    """

    part: pd.DataFrame
    truth: np.ndarray
    code: np.ndarray
    right: np.ndarray
    design: Design
    decided: np.ndarray

    @classmethod
    def of(
        cls,
        units: pd.DataFrame,
        name: str,
        ancestor: Ancestor,
        level: str,
        *,
        single: SingleClusterRule = "adjust",
    ) -> Judged:
        """Judge one method's units at a level of the classification.

        Parameters
        ----------
        units : pandas.DataFrame
            One fold of an Evaluation.
        name : str
            The method.
        ancestor : callable
            ``ancestor(codes, level)`` of the classification.
        level : str
            Units whose truth does not reach it are left out.
        single : {"adjust", "refuse"}
            The rule for a stratum with a single cluster.
        """
        part = units[units["method"] == name]
        truth = ancestor(as_codes(part["truth"]), level)
        judged = np.array([code is not None for code in truth], dtype=bool)
        part, truth = part[judged], truth[judged]
        code = ancestor(as_codes(part["prediction"]), level)
        design = design_of(part, single=single)
        decided = ancestor(as_codes(part["routed"]), level)
        if level == "full":
            # Any code is its own full code: one that was cut to a level is not meant.
            decided = np.where(part["depth"] == "full", decided, np.array(None))
        return cls(part, truth, code, code == truth, design, decided)

    @property
    def domains(self) -> dict[str, np.ndarray]:
        """Name of a domain variable -> its value for each unit."""
        columns = [c for c in self.part.columns if c.startswith("domain_")]
        return {
            column.removeprefix("domain_"): self.part[column].to_numpy(dtype=object)
            for column in columns
        }

    def each_domain(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield (variable, value, units inside) for every value of every domain."""
        for name, values in self.domains.items():
            for value in sorted(set(values.tolist())):
                yield name, str(value), values == value
