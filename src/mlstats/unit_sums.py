"""What the units of a release come to in a pilot's history, one part at a time.

A part holds whole clusters, so that moments of their totals tell the shares and their
errors of all units. Parts are read by this machine: the workers of a cluster have no
rights on the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.audit_scorecard import ARMS
from mlstats.errors import SourceError
from mlstats.quality.accuracy import proportion_interval
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.release_tables import read_file, table_files
from mlstats.scale import map_blocks, progress

__all__ = ["UNITS", "UnitSums"]

UNITS: Final = "confidential/units.parquet"
_CODES: Final = tuple(f"{role}_code" for role in ARMS)
_READ: Final = (
    *("unit", "route", "flag", "value", "weight", "stratum", "cluster"),
    *_CODES,
)


@dataclass(frozen=True, eq=False)
class UnitSums:
    """What the units of a part, or of a release, add up to.

    Parameters
    ----------
    shares : mapping of str to RatioSums
        Weight of the units that went each way, over that of all.
    units, weighted : int
        How many, and how many of them have weight.
    audited : pandas.DataFrame
        Columns unit, champion_code and baseline_code of those that the audit drew.
    """

    shares: Mapping[str, RatioSums]
    units: int
    weighted: int
    audited: pd.DataFrame

    @classmethod
    def of(cls, units: pd.DataFrame, audit: Collection[str] = ()) -> UnitSums:
        """Add up units that hold whole clusters.

        Parameters
        ----------
        units : pandas.DataFrame
            Columns unit, route, flag, value, weight, stratum, cluster, champion_code
            and baseline_code.
        audit : collection of str
            Ids of the units that the audit drew.
        """
        clusters = Clusters.of(units["cluster"], units["stratum"])
        weight = units["weight"].to_numpy(dtype=float)
        told = {
            "in the review queue": units["route"].astype("str") == "queue",
            "without a code": units["value"].isna(),
            "by the baseline as fallback": units["flag"]
            .astype("str")
            .str.startswith("fallback"),
        }
        shares = {
            name: RatioSums.of_one(
                clusters, weight, weight * mine.to_numpy(dtype=float)
            )
            for name, mine in told.items()
        }
        drawn = units["unit"].isin(list(audit))
        given = units.loc[drawn, ["unit", *_CODES]].astype(object)
        weighted = int((weight > 0).sum())
        return cls(shares, len(units), weighted, given.reset_index(drop=True))

    @classmethod
    def of_table(
        cls, path: Path, audit: Collection[str] = (), *, workers: int = 1
    ) -> UnitSums:
        """Add up the units of a coding release, with a part in memory for each worker.

        Parameters
        ----------
        path : pathlib.Path
            Of the table in one file; its parts lie in the folder of that name.
        audit : collection of str
            As for :meth:`of`.
        workers : int
            Processes.

        Raises
        ------
        SourceError
            Where a file is damaged, or there is none.
        """
        files = table_files(path)
        if not files:
            raise SourceError(
                "The units of a release are not there",
                where=str(path),
                hint="restore the confidential store from its copy; mlstats doctor "
                "names all releases that are damaged",
            )
        done = map_blocks(_Adding(frozenset(audit)), files, workers=workers)
        told = progress(done, len(files), "Adding up the units")
        return reduce(cls.merge, told)

    def merge(self, other: UnitSums) -> UnitSums:
        """Return the sums of both sets of clusters."""
        return UnitSums(
            {name: of.merge(other.shares[name]) for name, of in self.shares.items()},
            self.units + other.units,
            self.weighted + other.weighted,
            pd.concat([self.audited, other.audited], ignore_index=True),
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the weighted shares of the units that went each way, for a history.

        A share whose error cannot be told is not measured.
        """
        if self.units < LEAST_UNITS:
            return
        for name, sums in self.shares.items():
            found = sums.ratio()[0]
            about = {
                "part": "outputs",
                "indicator": name,
                "arm": "released",
                "n": self.units,
            }
            if not np.isfinite(found.se):
                why = "too few clusters for an error" if self.weighted else "no weight"
                yield about | {"status": "not_measured", "note": why}
                continue
            lower, upper = proportion_interval(found, self.weighted)
            yield about | {
                "value": found.value,
                "se": found.se,
                "df": found.df,
                "lower": lower,
                "upper": upper,
                "status": "measured",
            }


@dataclass(frozen=True, eq=False)
class _Adding:
    """The work on one file."""

    audit: frozenset[str]

    def __call__(self, path: Path) -> UnitSums:
        return UnitSums.of(read_file(path, _READ).to_pandas(), self.audit)
