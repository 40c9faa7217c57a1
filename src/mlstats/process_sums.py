"""How the codes of a period came about, from sums that add up over its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.release_totals import TOTALS

__all__ = ["ProcessSums"]


@dataclass(frozen=True, eq=False)
class ProcessSums:
    """Sums of what the outputs of a coding pilot are watched by.

    Parameters
    ----------
    sums : mapping of str to RatioSums
        By figure.
    units : mapping of str to int
        Behind each figure.
    """

    sums: Mapping[str, RatioSums]
    units: Mapping[str, int]

    @classmethod
    def of(cls, units: pd.DataFrame) -> ProcessSums:
        """Add up the units of a part that holds whole clusters.

        Parameters
        ----------
        units : pandas.DataFrame
            Columns champion_code, baseline_code, weight, cluster, stratum, route and
            confidence, as they were before clerks' codes.
        """
        weight = units["weight"].to_numpy(dtype=float)
        clusters = Clusters.of(units["cluster"], units["stratum"])
        champion, baseline = units["champion_code"], units["baseline_code"]
        both = (champion.notna() & baseline.notna()).to_numpy()
        same = champion.astype(object) == baseline.astype(object)
        sure = units["confidence"].to_numpy(dtype=float)
        automatic = units["route"].isin(["automatic", "audit"])
        told = {
            "coded automatically": (automatic.to_numpy(), np.ones_like(both)),
            "same code by both methods": (same.to_numpy(), both),
            "mean confidence": (np.nan_to_num(sure), np.isfinite(sure)),
        }
        sums = {
            name: RatioSums.of_one(clusters, weight * inside, weight * inside * value)
            for name, (value, inside) in told.items()
        }
        return cls(
            sums, {name: int(inside.sum()) for name, (_, inside) in told.items()}
        )

    def merge(self, other: ProcessSums) -> ProcessSums:
        """Return the sums of both sets of clusters."""
        return ProcessSums(
            {name: of.merge(other.sums[name]) for name, of in self.sums.items()},
            {name: n + other.units[name] for name, n in self.units.items()},
        )

    def figures(self) -> pd.DataFrame:
        """Estimate the figures.

        Returns
        -------
        pandas.DataFrame
            As of :func:`mlstats.coding_totals.process_figures`.
        """
        rows = []
        for name, sums in self.sums.items():
            if self.units[name] < LEAST_UNITS:
                continue
            found = sums.ratio()[0]
            lower, upper = found.interval()
            rows.append(
                {
                    "variable": name,
                    "domain": "",
                    "class": "",
                    "estimate": found.value,
                    "se": found.se,
                    "df": found.df,
                    "lower": lower,
                    "upper": upper,
                    "n": self.units[name],
                    "open_share": 0.0,
                    "note": "",
                }
            )
        return pd.DataFrame(rows, columns=list(TOTALS)).astype(dict(TOTALS))
