"""One method's units that have a truth at a level: what most figures start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.method import as_codes
from mlstats.quality.design import Design
from mlstats.quality.summaries import Ancestor

__all__ = ["Judged", "design_of"]


@dataclass(frozen=True)
class Judged:
    """One method's units that have a truth at the level.

    Parameters
    ----------
    part : pandas.DataFrame
        Rows of an Evaluation's units, with their index.
    truth, code : numpy.ndarray of object, shape (n,)
        Codes at the level.
    right : numpy.ndarray of bool, shape (n,)
        Whether they are the same.
    design : Design
        Of the same units.
    """

    part: pd.DataFrame
    truth: np.ndarray
    code: np.ndarray
    right: np.ndarray
    design: Design

    @classmethod
    def of(
        cls, units: pd.DataFrame, name: str, ancestor: Ancestor, level: str
    ) -> Judged:
        """Take the units of a method and judge them at a level."""
        part = units[units["method"] == name]
        truth = ancestor(as_codes(part["truth"]), level)
        judged = np.array([code is not None for code in truth], dtype=bool)
        part, truth = part[judged], truth[judged]
        code = ancestor(as_codes(part["prediction"]), level)
        return cls(part, truth, code, code == truth, design_of(part))

    @property
    def domains(self) -> dict[str, np.ndarray]:
        """Name of a domain variable -> its value for each unit."""
        columns = [c for c in self.part.columns if c.startswith("domain_")]
        return {
            column.removeprefix("domain_"): self.part[column].to_numpy(dtype=object)
            for column in columns
        }


def design_of(units: pd.DataFrame) -> Design:
    """Return the design of rows of an Evaluation's units."""
    return Design.of(
        units["weight"].to_numpy(dtype=float),
        stratum=units["stratum"].to_numpy(dtype=object),
        cluster=units["cluster"].to_numpy(dtype=object),
    )
