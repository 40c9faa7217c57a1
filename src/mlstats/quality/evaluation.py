"""The Evaluation: three tables from which every number of a run derives.

``units`` holds a row per unit, method and variable and is confidential; ``estimates``
and ``timings`` are publishable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mlstats import io
from mlstats.errors import MlstatsError
from mlstats.quality.design import Design, SingleClusterRule

__all__ = [
    "ESTIMATES",
    "SCHEMA_VERSION",
    "TIMINGS",
    "UNITS",
    "Evaluation",
    "design_of",
    "fractions_of",
]

SCHEMA_VERSION = "2"

UNITS: Mapping[str, str] = {
    "run_id": "str",
    "period": "str",
    "method": "str",
    "fold": "str",  # valid (calibration, thresholds) or test (every figure)
    "replicate": "int64",  # seed or imputation number, 0 where there is one
    "unit": "str",  # keyed hash of the unit id
    "position": "int64",  # place in the data: orders clusters whatever the key
    "stratum": "str",
    "cluster": "str",  # keyed hash; the unit's own where it has no cluster
    "variable": "str",
    "prediction": "object",  # code or value, None where the method gave none
    "confidence": "float64",  # NaN where the method does not tell it
    "candidates": "object",  # ranked codes, best first
    "scores": "object",  # of the candidates
    "truth": "object",
    "truth_source": "str",  # the column that the truth comes from
    "weight": "float64",
    "fraction": "float64",  # share of the stratum's clusters that was drawn, 0 unknown
    "status": "str",  # coded, uncoded or uncodable
    "route": "str",  # automatic, queue, audit or uncodable; "" before a threshold
    "depth": "str",  # level to which it is coded automatically, "" in the queue
    "routed": "object",  # the code at that depth, None in the queue
    "seen": "bool",  # the text was known from training
}
ESTIMATES: Mapping[str, str] = {
    "run_id": "str",
    "period": "str",
    "method": "str",
    "variable": "str",
    "domain": "str",
    "estimate": "float64",
    "standard_error": "float64",
    "df": "float64",
    "n": "int64",
    "variance_method": "str",
}
TIMINGS: Mapping[str, str] = {
    "run_id": "str",
    "method": "str",
    "step": "str",
    "units": "int64",
    "wall_seconds": "float64",
    "cpu_seconds": "float64",
    "peak_mb": "float64",  # of the process so far, not of the step
}


@dataclass(frozen=True)
class Evaluation:
    """The three tables of one run.

    Parameters
    ----------
    units, estimates, timings : pandas.DataFrame
        With at least the columns of :data:`UNITS`, :data:`ESTIMATES` and
        :data:`TIMINGS`; domain columns ``domain_NAME`` may follow in units.
    tables : mapping
        Further publishable tables by name, such as the shares under every arm.
    """

    units: pd.DataFrame
    estimates: pd.DataFrame
    timings: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    schema_version: str = field(default=SCHEMA_VERSION)

    def __post_init__(self) -> None:
        for name, schema in (
            ("units", UNITS),
            ("estimates", ESTIMATES),
            ("timings", TIMINGS),
        ):
            table = getattr(self, name)
            missing = [column for column in schema if column not in table]
            if missing:
                raise MlstatsError(
                    f"The table {name} lacks {', '.join(missing)}",
                    where="Evaluation",
                    expected=f"schema version {SCHEMA_VERSION}",
                )
        keys = ["method", "fold", "replicate", "unit", "variable"]
        repeated = int(self.units.duplicated(keys).sum())
        if repeated:
            raise MlstatsError(
                f"{repeated} rows of units repeat a method, fold, unit and variable",
                where="Evaluation",
            )

    def write(self, confidential: Path, publishable: Path) -> str:
        """Write the tables and return the sha256 of the confidential units.

        Parameters
        ----------
        confidential, publishable : pathlib.Path
            Folders for ``units.parquet`` and for the other two.
        """
        units = confidential / "units.parquet"
        confidential.mkdir(mode=0o700, parents=True, exist_ok=True)
        publishable.mkdir(parents=True, exist_ok=True)
        io.write_parquet(units, self.units)
        io.write_parquet(publishable / "estimates.parquet", self.estimates)
        io.write_parquet(publishable / "timings.parquet", self.timings)
        for name, table in self.tables.items():
            if name == "aggregates":
                continue  # the report writes it, without its small cells
            io.write_parquet(publishable / f"{name}.parquet", table)
        return str(io.sha256_file(units))

    @classmethod
    def read(cls, confidential: Path, publishable: Path) -> Evaluation:
        """Read what :meth:`write` wrote."""
        return cls(
            units=pd.read_parquet(confidential / "units.parquet"),
            estimates=pd.read_parquet(publishable / "estimates.parquet"),
            timings=pd.read_parquet(publishable / "timings.parquet"),
        )


def fractions_of(units: pd.DataFrame) -> dict[str, float]:
    """Return stratum -> share of its clusters that was drawn, where it is known."""
    known = units.loc[units["fraction"] > 0, ["stratum", "fraction"]]
    shares = known.groupby("stratum")["fraction"].first()
    return {str(name): float(share) for name, share in shares.items()}


def design_of(units: pd.DataFrame, *, single: SingleClusterRule = "adjust") -> Design:
    """Return the design of units of an Evaluation, each held once.

    Parameters
    ----------
    units : pandas.DataFrame
        Rows of one method and fold.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster, ``data.single_cluster``.
    """
    return Design.of(
        units["weight"].to_numpy(dtype=float),
        stratum=units["stratum"].to_numpy(dtype=object),
        cluster=units["cluster"].to_numpy(dtype=object),
        fraction=fractions_of(units),
        single=single,
    )
